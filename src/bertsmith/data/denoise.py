"""Denoising for encoder-decoders: spans are cut out of the text, and the decoder says them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bertsmith.config import DataConfig
from bertsmith.data.segments import Vocabulary
from bertsmith.types import BoolArray, Example, IntArray, Segment


def corrupt_spans(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """Span corruption (Raffel et al. 2020, sections 3.1.4 and 3.3.4): spans against sentinels.

    The encoder reads the text with a sentinel for each span, the decoder says each sentinel
    and the span it stands for; both end with the separator. As in the released code, the text
    always ends with a span, after which no further sentinel is said.
    """
    text = segment.input_ids[~segment.is_special]
    cut = noise_spans(
        len(text), config.mask_rate, config.span_mean, len(vocabulary.sentinel_ids), generator
    )
    ending = [vocabulary.sep_id]
    source = np.append(_with_sentinels(text, cut, vocabulary.sentinel_ids), ending)
    target = np.append(_with_sentinels(text, ~cut, vocabulary.sentinel_ids), ending)
    return Example(
        source,
        np.zeros_like(source),
        decoder_input_ids=np.append([vocabulary.pad_id], target[:-1]),
        decoder_labels=target,
    )


def corrupt_spans_and_mask(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """`corrupt_spans`, where each sentinel is a mask, too: of the first token of its span."""
    example = corrupt_spans(segment, generator, vocabulary, config)
    assert example.decoder_labels is not None
    sentinels = np.isin(example.input_ids, vocabulary.sentinel_ids)
    said = np.isin(example.decoder_labels, vocabulary.sentinel_ids)
    return replace(
        example,
        mlm_positions=np.flatnonzero(sentinels),
        mlm_labels=example.decoder_labels[1:][said[:-1]],
    )


def noise_spans(
    length: int, rate: float, span_mean: float, most: int, generator: np.random.Generator
) -> BoolArray:
    """(length,) True in the spans to be cut out, as seqio's random_spans_noise_mask draws them.

    `length`, at least 2, fixes the number of tokens and of spans (at most `most`). The tokens
    are split among the spans, and the others among the gaps before each of them, every split
    into whole numbers from 1 being as likely as any other.
    """
    noise = min(max(round(length * rate), 1), length - 1)
    spans = min(max(round(noise / span_mean), 1), length - noise, most)
    gaps = _split(length - noise, spans, generator)
    lengths = np.stack([gaps, _split(noise, spans, generator)], axis=1).reshape(-1)
    return np.repeat(np.tile([False, True], spans), lengths)


def _split(total: int, count: int, generator: np.random.Generator) -> IntArray:
    """(count,) whole numbers from 1 that add up to `total`."""
    ends = 1 + np.sort(generator.permutation(total - 1)[: count - 1])
    return np.diff(ends, prepend=0, append=total)


def _with_sentinels(text: IntArray, cut: BoolArray, sentinel_ids: IntArray) -> IntArray:
    """`text` with one sentinel, the first, the second ..., in place of each run of `cut`."""
    begins = cut & ~np.append(False, cut[:-1])
    marked = np.where(begins, sentinel_ids[np.cumsum(begins) - 1], text)
    kept: IntArray = marked[begins | ~cut]
    return kept
