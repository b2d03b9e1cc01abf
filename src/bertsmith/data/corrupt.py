"""Masking: small pure functions from a clean Segment to an Example.

Each is two choices, which tokens are to be predicted and what stands in their place:

    masking   chosen whole                          80/10/10 drawn for
    token     single tokens                         each token (BERT, section 3.1, task 1)
    word      words, as the corpus stores them      each token (BERT's whole-word code)
    span      runs of words, geometric in number    each span (SpanBERT, section 3.1)
    ngram     runs of words, short ones oftener     each token (ALBERT, section 4.1)
    phrase    phrases of a lexicon, other words     each token (ERNIE, section 3.2.2)
    entity    names of a lexicon, other words       each token (ERNIE, section 3.2.3)

Whatever is chosen whole is chosen by one rule, `choose_units`: long or short, all are as likely,
and the mean rate is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from bertsmith.config import DataConfig, Masking
from bertsmith.data.segments import Vocabulary
from bertsmith.types import NO_PAIR, BoolArray, Example, FloatArray, IntArray, Segment

Mask = Callable[[Segment, np.random.Generator, Vocabulary, DataConfig], Example]


def mask(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """Masked as `config.masking` says."""
    return MASKS[config.masking](segment, generator, vocabulary, config)


def predict_next(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """The text as it is; at every token but the last, the one after it is to be predicted."""
    return Example(
        segment.input_ids,
        segment.token_type_ids,
        mlm_positions=np.arange(len(segment.input_ids) - 1),
        mlm_labels=segment.input_ids[1:],
    )


def mask_tokens(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """`mask_rate` of the regular tokens, rounded and at least one; special tokens never."""
    candidates = np.flatnonzero(~segment.is_special)
    chosen = np.sort(generator.permutation(candidates)[: _budget(len(candidates), config)])
    fate = generator.random(len(chosen))
    return _replaced(segment, chosen, fate, generator, vocabulary, config)


def mask_words(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """Whole words (google-research/bert, 31 May 2019), each token then replaced by itself."""
    chosen, _ = choose_units(segment, segment.word_starts, generator, config)
    fate = generator.random(len(chosen))
    return _replaced(segment, chosen, fate, generator, vocabulary, config)


def mask_spans(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """Spans of whole words (Joshi et al. 2020, SpanBERT, section 3.1), replaced as one."""
    starts = span_starts(segment, generator, config)
    return _mask_units(segment, starts, generator, vocabulary, config)


def mask_ngrams(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """Runs of whole words (Lan et al. 2020, ALBERT, section 4.1), each token replaced by itself."""
    starts = ngram_starts(segment, generator, config)
    chosen, _ = choose_units(segment, starts, generator, config)
    fate = generator.random(len(chosen))
    return _replaced(segment, chosen, fate, generator, vocabulary, config)


def mask_phrases(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """Phrases, or entities, and the words between them (Sun et al. 2019, ERNIE, section 3.2).

    All are as likely to be chosen, and each token is replaced by itself, as in the released
    code, whose segmented text has no other units either.
    """
    chosen, _ = choose_units(segment, phrase_starts(segment, vocabulary, config), generator, config)
    fate = generator.random(len(chosen))
    return _replaced(segment, chosen, fate, generator, vocabulary, config)


MASKS: dict[Masking, Mask] = {
    "token": mask_tokens,
    "word": mask_words,
    "span": mask_spans,
    "ngram": mask_ngrams,
    "phrase": mask_phrases,
    "entity": mask_phrases,
}


def phrase_starts(segment: Segment, vocabulary: Vocabulary, config: DataConfig) -> BoolArray:
    """(n,) where the phrases begin, or entities, and the words that are in none."""
    lexicon = vocabulary.lexicons[config.masking]
    return segment.word_starts & ~lexicon.inside(segment.input_ids, segment.word_starts)


def span_starts(segment: Segment, generator: np.random.Generator, config: DataConfig) -> BoolArray:
    """(n,) where spans begin that tile the segment without gaps.

    Lengths in words have the truncated geometric distribution with `span_p` and `span_max`
    (mean 3.8 at 0.2 and 10); special tokens end a span. SpanBERT draws spans one by one and
    throws away those that overlap; tiling needs no second draw.
    """
    return _tile(segment, generator, _span_lengths(config.span_p, config.span_max))


def ngram_starts(segment: Segment, generator: np.random.Generator, config: DataConfig) -> BoolArray:
    """As `span_starts`; n words, from 1 to `span_max`, with a probability proportional to 1/n."""
    return _tile(segment, generator, _ngram_lengths(config.span_max))


def _tile(segment: Segment, generator: np.random.Generator, lengths: FloatArray) -> BoolArray:
    """(n,) where runs of words begin, their `lengths` given by a cumulative distribution."""
    words = np.flatnonzero(segment.word_starts)
    drawn = 1 + np.searchsorted(lengths, generator.random(len(words)), side="right")
    begins = np.cumsum(drawn) - drawn
    starts = np.zeros(len(segment.input_ids), dtype=np.bool_)
    starts[words[begins[begins < len(words)]]] = True
    starts[1:] |= segment.is_special[:-1]
    return starts


@lru_cache(maxsize=8)
def _span_lengths(p: float, longest: int) -> FloatArray:
    """The cumulative distribution of 1, 2 ... `longest`, without its last value, which is 1."""
    return _cumulative(np.power(1.0 - p, np.arange(longest, dtype=np.float64)))


@lru_cache(maxsize=8)
def _ngram_lengths(longest: int) -> FloatArray:
    """As `_span_lengths`, p(n) proportional to 1/n."""
    return _cumulative(1.0 / np.arange(1, longest + 1))


def _cumulative(weights: FloatArray) -> FloatArray:
    cumulative: FloatArray = np.cumsum(weights / weights.sum())[:-1]
    return cumulative


def choose_units(
    segment: Segment, starts: BoolArray, generator: np.random.Generator, config: DataConfig
) -> tuple[IntArray, IntArray]:
    """Whole units that hold `mask_rate` of the regular tokens: positions, and which unit each.

    Units begin where `starts` (n,) says; special tokens are in none. They are laid in a circle in
    random order, and those are taken that begin in an arc of it, at a random place, which is as
    long as the budget in `mask_tokens`. So every unit is as likely as any other, however long
    it is; the number of tokens is off by less than the longest unit, and its mean is the budget.
    """
    regular = np.flatnonzero(~segment.is_special)
    unit = np.cumsum(starts[regular]) - 1
    lengths = np.bincount(unit)
    order = generator.permutation(len(lengths))
    begins = np.cumsum(lengths[order]) - lengths[order]
    along = (begins - generator.integers(len(regular))) % len(regular)
    taken = np.zeros(len(lengths), dtype=np.bool_)
    taken[order[along < _budget(len(regular), config)]] = True
    chosen = taken[unit]
    return regular[chosen], unit[chosen]


def _budget(regular_tokens: int, config: DataConfig) -> int:
    return max(1, round(regular_tokens * config.mask_rate))


def _mask_units(
    segment: Segment,
    starts: BoolArray,
    generator: np.random.Generator,
    vocabulary: Vocabulary,
    config: DataConfig,
) -> Example:
    """Whole units, all tokens of each meeting one fate."""
    chosen, unit = choose_units(segment, starts, generator, config)
    fate = generator.random(len(segment.input_ids))[unit]
    return _replaced(segment, chosen, fate, generator, vocabulary, config)


def _replaced(
    segment: Segment,
    chosen: IntArray,
    fate: FloatArray,
    generator: np.random.Generator,
    vocabulary: Vocabulary,
    config: DataConfig,
) -> Example:
    """`chosen` positions to be predicted; `fate` in [0, 1) says what stands there instead.

    The lowest `mask_token_share` become [MASK], the next `random_token_share` a random
    regular token, each its own, and the rest stay.
    """
    input_ids = segment.input_ids.copy()
    masked = fate < config.mask_token_share
    random = ~masked & (fate < config.mask_token_share + config.random_token_share)
    input_ids[chosen[masked]] = vocabulary.mask_id
    regular_ids = vocabulary.regular_ids
    drawn = generator.integers(len(regular_ids), size=int(random.sum()))
    input_ids[chosen[random]] = regular_ids[drawn]
    return Example(
        input_ids,
        segment.token_type_ids,
        mlm_positions=chosen,
        mlm_labels=segment.input_ids[chosen],
        label=None if segment.pair_label == NO_PAIR else segment.pair_label,
    )
