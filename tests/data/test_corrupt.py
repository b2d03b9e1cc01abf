"""Masks: the rate, never a special token, whole what is to be whole, 80/10/10, pure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertsmith.config import DataConfig, Masking
from bertsmith.data import rng
from bertsmith.data.corrupt import (
    MASKS,
    choose_units,
    mask,
    ngram_starts,
    phrase_starts,
    span_starts,
)
from bertsmith.data.segments import Vocabulary
from bertsmith.text.lexicon import Lexicon
from bertsmith.types import NO_PAIR, BoolArray, Example, IntArray, Segment

# In segments, ids follow one another: phrases of 2 to 9 tokens from every third and seventh id.
PHRASES = Lexicon([range(first, first + 2 + first % 8) for first in range(5, 90, 3)])
ENTITIES = Lexicon([range(first, first + 2 + first % 3) for first in range(5, 90, 7)])
VOCABULARY = Vocabulary(
    100,
    cls_id=2,
    sep_id=3,
    mask_id=4,
    regular_ids=np.arange(5, 100),
    lexicons={"phrase": PHRASES, "entity": ENTITIES},
)
WHOLE: list[Masking] = ["word", "span", "ngram", "phrase", "entity"]


def segment(*sentences: list[int]) -> Segment:
    """[CLS] A [SEP] or [CLS] A [SEP] B [SEP]; a sentence is the lengths of its words."""
    starts = [True]
    special = [True]
    types = [0]
    for number, words in enumerate(sentences):
        for length in words:
            starts += [True] + [False] * (length - 1)
            special += [False] * length
            types += [number] * length
        starts.append(True)
        special.append(True)
        types.append(number)
    is_special = np.array(special)
    ids = np.where(is_special, 3, 5 + np.arange(len(special)) % 95)
    ids[0] = 2
    label = 1 if len(sentences) > 1 else NO_PAIR
    return Segment(ids, np.array(types), is_special, np.array(starts), label)


def corrupted(clean: Segment, seed: int, **config: object) -> Example:
    return mask(clean, rng.generator(seed), VOCABULARY, DataConfig(**config))


def runs(clean: Segment, starts: BoolArray) -> list[IntArray]:
    """Positions of each unit, given where units begin."""
    begins = [*np.flatnonzero(starts | clean.is_special).tolist(), len(starts)]
    units = [np.arange(begin, end) for begin, end in pairwise(begins)]
    return [unit for unit in units if not clean.is_special[unit[0]]]


words = st.lists(st.integers(1, 6), min_size=1, max_size=80)
segments = st.lists(words, min_size=1, max_size=2).map(lambda sentences: segment(*sentences))
maskings = st.sampled_from(list(MASKS))
rates = st.sampled_from([0.05, 0.15, 0.4])
by_whole = pytest.mark.parametrize("masking", WHOLE)


@settings(max_examples=200, deadline=None)
@given(segments, st.integers(0, 1000), maskings, rates)
def test_what_every_mask_keeps_to(clean: Segment, seed: int, masking: Masking, rate: float) -> None:
    """No special token is touched, labels are the original, the rest is as it was."""
    example = corrupted(clean, seed, masking=masking, mask_rate=rate)
    assert example.mlm_positions is not None
    assert example.mlm_labels is not None
    assert (np.diff(example.mlm_positions) > 0).all()
    assert not clean.is_special[example.mlm_positions].any()
    assert np.array_equal(example.mlm_labels, clean.input_ids[example.mlm_positions])
    untouched = np.setdiff1d(np.arange(len(clean.input_ids)), example.mlm_positions)
    assert np.array_equal(example.input_ids[untouched], clean.input_ids[untouched])
    assert not np.isin(example.input_ids[example.mlm_positions], [2, 3]).any()
    assert np.array_equal(example.token_type_ids, clean.token_type_ids)
    assert example.label == (None if clean.pair_label == NO_PAIR else clean.pair_label)
    again = corrupted(clean, seed, masking=masking, mask_rate=rate)
    assert np.array_equal(example.input_ids, again.input_ids)
    assert np.array_equal(example.mlm_positions, again.mlm_positions)


def budget(clean: Segment, rate: float) -> int:
    return max(1, round(int((~clean.is_special).sum()) * rate))


@settings(max_examples=100, deadline=None)
@given(segments, st.integers(0, 1000), rates)
def test_the_rate_of_tokens_is_exact(clean: Segment, seed: int, rate: float) -> None:
    example = corrupted(clean, seed, mask_rate=rate)
    assert example.mlm_positions is not None
    assert len(example.mlm_positions) == budget(clean, rate)


@settings(max_examples=100, deadline=None)
@given(segments, st.integers(0, 1000), rates)
def test_words_are_whole_and_the_rate_off_by_less_than_one(
    clean: Segment, seed: int, rate: float
) -> None:
    example = corrupted(clean, seed, masking="word", mask_rate=rate)
    taken = [np.isin(word, example.mlm_positions).mean() for word in runs(clean, clean.word_starts)]
    assert set(taken) <= {0.0, 1.0}
    longest = max(map(len, runs(clean, clean.word_starts)))
    assert example.mlm_positions is not None
    assert abs(len(example.mlm_positions) - budget(clean, rate)) < longest


@settings(max_examples=100, deadline=None)
@given(segments, st.integers(0, 1000), st.sampled_from(["phrase", "entity"]), rates)
def test_phrases_are_whole_and_the_rate_off_by_less_than_one(
    clean: Segment, seed: int, masking: Masking, rate: float
) -> None:
    config = DataConfig(masking=masking, mask_rate=rate)
    starts = phrase_starts(clean, VOCABULARY, config)
    assert not (starts & ~clean.word_starts).any()
    assert starts[clean.is_special].all()
    units = runs(clean, starts)
    assert sorted(np.concatenate(units)) == np.flatnonzero(~clean.is_special).tolist()
    example = corrupted(clean, seed, masking=masking, mask_rate=rate)
    assert example.mlm_positions is not None
    assert {float(np.isin(unit, example.mlm_positions).mean()) for unit in units} <= {0.0, 1.0}
    assert abs(len(example.mlm_positions) - budget(clean, rate)) < max(map(len, units))


def test_phrases_and_the_words_between_them_are_chosen_equally_often() -> None:
    clean = segment([1] * 90)
    starts = phrase_starts(clean, VOCABULARY, DataConfig(masking="phrase"))
    units = runs(clean, starts)
    assert {len(unit) for unit in units} >= {1, 5}
    times = np.zeros(len(clean.input_ids))
    for seed in range(3000):
        times[corrupted(clean, seed, masking="phrase").mlm_positions] += 1
    share = np.array([times[unit[0]] for unit in units]) / 3000
    assert abs(share - 0.15).max() < 0.03


@settings(max_examples=100, deadline=None)
@given(
    segments, st.integers(0, 1000), st.integers(1, 10), st.sampled_from([span_starts, ngram_starts])
)
def test_spans_tile_whole_words_between_special_tokens(
    clean: Segment, seed: int, longest: int, tile: Callable[..., BoolArray]
) -> None:
    config = DataConfig(span_max=longest)
    starts = tile(clean, rng.generator(seed), config)
    assert not (starts & ~clean.word_starts).any()
    spans = runs(clean, starts)
    assert sorted(np.concatenate(spans)) == np.flatnonzero(~clean.is_special).tolist()
    assert max(clean.word_starts[span].sum() for span in spans) <= longest
    chosen, unit = choose_units(clean, starts, rng.generator(seed, 1), config)
    assert {tuple(chosen[unit == number]) for number in set(unit)} <= set(map(tuple, spans))


def test_span_lengths_are_geometric() -> None:
    clean = segment([1] * 100_000)
    starts = span_starts(clean, rng.generator(0), DataConfig())
    lengths = np.array([len(span) for span in runs(clean, starts)][1:-1])
    shares = np.bincount(lengths, minlength=11)[1:] / len(lengths)
    expected = 0.2 * 0.8 ** np.arange(10) / (1 - 0.8**10)
    assert abs(shares - expected).max() < 4 * 0.5 / len(lengths) ** 0.5
    assert lengths.mean() == pytest.approx(3.8, abs=0.1)  # as SpanBERT says of its own


def test_n_grams_are_rarer_the_longer_they_are() -> None:
    clean = segment([1] * 100_000)
    starts = ngram_starts(clean, rng.generator(0), DataConfig(span_max=3))
    lengths = np.array([len(span) for span in runs(clean, starts)][1:-1])
    shares = np.bincount(lengths, minlength=4)[1:] / len(lengths)
    assert shares == pytest.approx([6 / 11, 3 / 11, 2 / 11], abs=0.01)


@by_whole
@pytest.mark.parametrize("sentences", [([1, 3, 2, 6, 1, 1, 4],), ([5, 5], [2, 9])])
def test_the_mean_rate_of_whole_units_is_the_rate(
    masking: Masking, sentences: tuple[list[int], ...]
) -> None:
    """In few and long words, where any other rule of rounding would show."""
    clean = segment(*sentences)
    counts = np.array(
        [
            len(e.mlm_positions)
            for e in (
                corrupted(clean, seed, masking=masking, mask_rate=0.3) for seed in range(4000)
            )
            if e.mlm_positions is not None
        ]
    )
    assert len(set(counts)) > 1
    error = counts.mean() - budget(clean, 0.3)
    assert abs(error) < 4 * counts.std() / len(counts) ** 0.5


@pytest.mark.parametrize("masking", list(MASKS))
def test_eighty_ten_ten(masking: Masking) -> None:
    clean = segment([1, 2, 3, 1] * 20)
    examples = [corrupted(clean, seed, masking=masking) for seed in range(800)]
    chosen = np.concatenate([e.input_ids[e.mlm_positions] for e in examples])
    labels = np.concatenate([e.mlm_labels for e in examples if e.mlm_labels is not None])
    masked, kept = chosen == 4, chosen == labels
    tolerance = 4 * 0.5 / (len(chosen) / 8) ** 0.5  # one fate for about 8 tokens of a span
    assert abs(masked.mean() - 0.8) < tolerance
    assert abs(kept.mean() - 0.1 - 0.1 / 95) < tolerance
    assert np.isin(chosen[~masked], VOCABULARY.regular_ids).all()


def test_a_span_meets_one_fate_and_a_word_s_tokens_each_their_own() -> None:
    clean = segment([8] * 40)

    def mixed(masking: Masking) -> int:
        """Words of which some tokens are [MASK] and some are not."""
        count = 0
        for seed in range(100):
            example = corrupted(clean, seed, masking=masking)
            assert example.mlm_positions is not None
            is_mask = example.input_ids[example.mlm_positions].reshape(-1, 8) == 4
            count += int((is_mask.any(axis=1) & ~is_mask.all(axis=1)).sum())
        return count

    assert mixed("span") == 0
    assert mixed("word") > 100
    assert mixed("ngram") > 100


@pytest.mark.parametrize("words", [[1, 4, 1, 2, 4, 1] * 5, [1] * 10 + [2] * 3 + [4], [3] * 4 + [9]])
def test_every_word_is_chosen_equally_often_however_long(words: list[int]) -> None:
    clean = segment(words)
    times = np.zeros(len(clean.input_ids))
    for seed in range(4000):
        chosen, _ = choose_units(clean, clean.word_starts, rng.generator(seed), DataConfig())
        times[chosen] += 1
    rate = budget(clean, 0.15) / sum(words)
    shares = np.array([times[word[0]] for word in runs(clean, clean.word_starts)]) / 4000
    assert abs(shares - rate).max() < 4 * (rate / 4000) ** 0.5


def test_shares_are_the_config_s() -> None:
    clean = segment([1] * 200)
    example = corrupted(clean, 0, mask_token_share=0.0, random_token_share=0.0)
    assert np.array_equal(example.input_ids, clean.input_ids)
    example = corrupted(clean, 0, mask_token_share=1.0, random_token_share=0.0)
    assert (example.input_ids[example.mlm_positions] == 4).all()


@pytest.mark.parametrize("masking", list(MASKS))
def test_other_seeds_other_masks(masking: Masking) -> None:
    clean = segment([2] * 50)
    one, other = corrupted(clean, 1, masking=masking), corrupted(clean, 2, masking=masking)
    assert not np.array_equal(one.input_ids, other.input_ids)
