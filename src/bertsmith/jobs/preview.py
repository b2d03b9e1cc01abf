"""What a run's model will see, before anyone spends a night on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bertsmith.config import RunConfig
from bertsmith.data.corrupt import predict_next
from bertsmith.data.denoise import corrupt_spans_and_mask
from bertsmith.errors import ConfigError
from bertsmith.files import require_place
from bertsmith.jobs.setup import Setup, prepare
from bertsmith.report.numbers import percent
from bertsmith.report.page import Fate, Passage, Token
from bertsmith.report.preview import Preview, write_preview
from bertsmith.text.corpus import Corpus
from bertsmith.text.lexicon import Lexicon
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import NO_PAIR, Example, Segment

MEASURED = 300
"""Segments that the rates are measured over."""

Pair = tuple[Segment, Example]


def preview(
    config: RunConfig,
    corpus: Corpus,
    samples: int = 4,
    progress: float = 0.0,
    html: str | Path | None = None,
) -> Preview:
    """`samples` segments of an epoch as they are when `progress` of the run is over.

    Also writes them to the file `html`. Raises ConfigError and CorpusError as `pretrain` does, and
    ConfigError, before the work, where the file cannot be written.
    """
    if html is not None:
        require_place(Path(html), ConfigError)
    setup = prepare(config, corpus)
    phase = setup.config.data.phase_at(progress)
    source = setup.sources[phase]
    order, _ = setup.loader().loader(phase).order(0)
    pairs = [
        (source.segment(0, index), source.example(0, index, progress))
        for index in order[: max(MEASURED, samples)].tolist()
    ]
    if setup.recipe.corrupt in (predict_next, corrupt_spans_and_mask):  # none in another's place
        pairs = [(s, replace(e, mlm_positions=None, mlm_labels=None)) for s, e in pairs]
    lexicon = setup.lexicons.get(setup.config.data.at(progress).masking)
    found = Preview(
        config.recipe,
        setup.tokenizer.token(setup.tokenizer.mask_id),
        _rates(setup, pairs, progress, len(order)),
        [_passage(setup.tokenizer, lexicon, *pair) for pair in pairs[:samples]],
    )
    if html is not None:
        write_preview(Path(html), found)
    return found


def _rates(setup: Setup, pairs: Sequence[Pair], progress: float, segments: int) -> dict[str, str]:
    lengths = [len(segment.input_ids) for segment, _ in pairs]
    data = setup.config.data.at(progress)
    rates = {
        "measured": f"{len(pairs):,} of an epoch's {segments:,} segments",
        "length": f"{np.mean(lengths):.1f} tokens on average, {max(lengths)} at most",
    }
    given = sum(len(example.input_ids) for _, example in pairs)
    if given != sum(lengths):
        rates["left"] = f"{percent(given / sum(lengths))} of the tokens by the corruption"
    labels = np.array([s.pair_label for s, _ in pairs if s.pair_label != NO_PAIR])
    if len(labels):
        rates["pairs"] = f"{percent(float(labels.mean()))} with a B that does not follow A"
    if setup.recipe.corrupt is predict_next:
        rates["predicted"] = "every token but the first, from those before it"
    if any(example.mlm_positions is not None for _, example in pairs):
        rates |= _mask_rates(setup.tokenizer.mask_id, pairs)
        if data.masking in setup.lexicons:
            rates |= _phrase_rates(setup.lexicons[data.masking], data.masking, pairs)
        rates["as configured"] = f"{percent(data.mask_rate)}, masking by {data.masking}"
    if setup.recipe.corrupt is corrupt_spans_and_mask:
        rates["predicted"] = "by the encoder, the first token of each span; by the decoder, all"
    if any(example.decoder_labels is not None for _, example in pairs):
        rates |= _span_rates(setup.tokenizer, pairs)
    return rates


def _mask_rates(mask_id: int, pairs: Sequence[Pair]) -> dict[str, str]:
    """How many are chosen, what stands in their place, and how whole the chosen words are."""
    regular = chosen = masked = kept = runs = touched = whole = 0
    for segment, example in pairs:
        is_chosen = np.zeros(len(segment.input_ids), dtype=np.bool_)
        is_chosen[example.mlm_positions] = True
        regular += int((~segment.is_special).sum())
        chosen += int(is_chosen.sum())
        masked += int((example.input_ids[is_chosen] == mask_id).sum())
        kept += int((example.input_ids == segment.input_ids)[is_chosen].sum())
        runs += int((is_chosen[1:] & ~is_chosen[:-1]).sum())
        begins = np.flatnonzero(segment.word_starts)
        touched += int(np.logical_or.reduceat(is_chosen, begins).sum())
        whole += int(np.logical_and.reduceat(is_chosen, begins).sum())
    shares = [percent(count / max(chosen, 1)) for count in (masked, chosen - masked - kept, kept)]
    return {
        "chosen": f"{percent(chosen / regular)} of the tokens that are not special",
        "in their place": "{} masked, {} random, {} kept".format(*shares),
        "chosen in a row": f"{chosen / max(runs, 1):.2f} tokens on average",
        "chosen words": f"{percent(whole / max(touched, 1))} of them whole",
    }


def _phrase_rates(lexicon: Lexicon, masking: str, pairs: Sequence[Pair]) -> dict[str, str]:
    """How much of the text, and of what is chosen, is in phrases, and how whole they are."""
    regular = inside = chosen = chosen_inside = touched = whole = 0
    for segment, example in pairs:
        is_chosen = np.zeros(len(segment.input_ids), dtype=np.bool_)
        is_chosen[example.mlm_positions] = True
        goes_on = lexicon.inside(segment.input_ids, segment.word_starts)
        begins = np.append(goes_on[1:], False) & ~goes_on
        in_phrase = begins | goes_on
        regular += int((~segment.is_special).sum())
        inside += int(in_phrase.sum())
        chosen += int(is_chosen.sum())
        chosen_inside += int((is_chosen & in_phrase).sum())
        units = np.flatnonzero(~goes_on)
        is_phrase = begins[units]
        touched += int((np.logical_or.reduceat(is_chosen, units) & is_phrase).sum())
        whole += int((np.logical_and.reduceat(is_chosen, units) & is_phrase).sum())
    share, of_chosen = percent(inside / regular), percent(chosen_inside / max(chosen, 1))
    name = {"phrase": "phrases", "entity": "entities"}[masking]
    return {
        f"in {name}": f"{share} of the tokens, {of_chosen} of the chosen; _ joins their words",
        f"chosen {name}": f"{percent(whole / max(touched, 1))} of them whole",
    }


def _span_rates(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> dict[str, str]:
    """How much of the text is cut out for the decoder, and in how long spans."""
    regular = sum(int((~segment.is_special).sum()) for segment, _ in pairs)
    said = np.concatenate([e.decoder_labels for _, e in pairs if e.decoder_labels is not None])
    cut = int((~np.isin(said, list(tokenizer.special_ids))).sum())
    spans = int(np.isin(said, tokenizer.sentinel_ids).sum())
    share, length = percent(cut / regular), cut / max(spans, 1)
    return {"cut out": f"{share} of the tokens, in spans of {length:.2f} on average"}


def _passage(
    tokenizer: Tokenizer, lexicon: Lexicon | None, segment: Segment, example: Example
) -> Passage:
    caption = f"{len(example.input_ids)} tokens"
    if segment.pair_label != NO_PAIR:
        follows = "B follows A" if segment.pair_label == 0 else "B does not follow A"
        caption = f"{follows} (label {segment.pair_label}), {caption}"
    lines: list[list[Token]] = [[]]
    for token, ends in _tokens(tokenizer, lexicon, segment, example):
        lines[-1].append(token)
        if ends:
            lines.append([])
    if example.decoder_labels is not None:
        said = example.decoder_labels.tolist()
        lines.append([Token(_text(tokenizer, i), _fate(tokenizer, i, None)) for i in said])
    return Passage(caption, [line for line in lines if line])


def _tokens(
    tokenizer: Tokenizer, lexicon: Lexicon | None, segment: Segment, example: Example
) -> Iterator[tuple[Token, bool]]:
    """Each token, and whether it is a special one that ends a part of the sequence."""
    labels: dict[int, int] = {}
    if example.mlm_positions is not None and example.mlm_labels is not None:
        labels = dict(zip(example.mlm_positions.tolist(), example.mlm_labels.tolist(), strict=True))
    same = len(segment.input_ids) == len(example.input_ids)
    joined: set[int] = set()  # words that go on in a phrase
    if lexicon is not None:
        goes_on = lexicon.inside(segment.input_ids, segment.word_starts)
        joined.update(np.flatnonzero(goes_on & segment.word_starts).tolist())
    for place, index in enumerate(example.input_ids.tolist()):
        original = labels.get(place)
        starts = bool(segment.word_starts[place]) if same else True
        joint = "_" if place in joined else ""
        fate = _fate(tokenizer, index, original)
        yield (
            Token(
                ("" if fate == "masked" else joint) + _text(tokenizer, index),
                fate,
                "" if original is None else joint + _text(tokenizer, original),
                starts and not joint,
            ),
            original is None and index == tokenizer.sep_id,
        )


def _fate(tokenizer: Tokenizer, index: int, original: int | None) -> Fate:
    if original is None:
        return "special" if index in tokenizer.special_ids else "plain"
    if index == tokenizer.mask_id:
        return "masked"
    return "kept" if index == original else "random"


def _text(tokenizer: Tokenizer, index: int) -> str:
    """A token as it reads, without the mark of what goes on inside a word."""
    inside = tokenizer.description["model"].get("continuing_subword_prefix") or ""
    return tokenizer.text(index).removeprefix(inside)
