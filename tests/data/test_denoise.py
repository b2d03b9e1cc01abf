"""Span corruption: seqio's counts and splits, nothing lost, sentinels in order, pure."""

from __future__ import annotations

from collections import Counter
from math import comb

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.config import DataConfig
from bertsmith.data import rng
from bertsmith.data.denoise import corrupt_spans, corrupt_spans_and_mask, noise_spans
from bertsmith.data.segments import Vocabulary
from bertsmith.types import Example, IntArray, Segment

SENTINELS = np.arange(3, 103)
VOCABULARY = Vocabulary(
    1000,
    cls_id=1,
    sep_id=1,
    mask_id=3,
    regular_ids=np.arange(103, 1000),
    pad_id=0,
    sentinel_ids=SENTINELS,
)
lengths = st.integers(2, 600)
rates = st.sampled_from([0.05, 0.15, 0.5, 0.9])
means = st.sampled_from([1.0, 3.0, 10.0])
seeds = st.integers(0, 1 << 30)


def segment(length: int) -> Segment:
    """</s> text </s>, as a plan reads it where one token opens and ends."""
    ids = np.concatenate([[1], 103 + np.arange(length) % 897, [1]])
    special = np.isin(np.arange(length + 2), [0, length + 1])
    return Segment(ids, np.zeros_like(ids), special, np.ones_like(special))


def corrupted(length: int, seed: int, **config: float) -> Example:
    return corrupt_spans(segment(length), rng.generator(seed), VOCABULARY, DataConfig(**config))


def spans(ids: IntArray) -> dict[int, list[int]]:
    """What follows each sentinel, without the end."""
    found: dict[int, list[int]] = {}
    for index in ids[:-1].tolist():
        if index in SENTINELS:
            found[index] = current = []
        else:
            current.append(index)
    return found


@given(lengths, rates, means, seeds)
def test_each_sentinel_masks_the_first_token_of_its_span(
    length: int, rate: float, mean: float, seed: int
) -> None:
    config = DataConfig(mask_rate=rate, span_mean=mean)
    plain = corrupt_spans(segment(length), rng.generator(seed), VOCABULARY, config)
    asked = corrupt_spans_and_mask(segment(length), rng.generator(seed), VOCABULARY, config)
    assert plain.mlm_positions is None
    for name in ("input_ids", "decoder_input_ids", "decoder_labels"):
        assert np.array_equal(getattr(plain, name), getattr(asked, name)), name
    assert asked.mlm_positions is not None
    assert asked.mlm_labels is not None
    assert asked.decoder_labels is not None
    masks = asked.input_ids[asked.mlm_positions].tolist()
    found = dict(zip(masks, asked.mlm_labels.tolist(), strict=True))
    assert found == {mask: said[0] for mask, said in spans(asked.decoder_labels).items()}


@given(lengths, rates, means, seeds)
def test_counts_are_those_of_the_released_code(
    length: int, rate: float, mean: float, seed: int
) -> None:
    cut = noise_spans(length, rate, mean, 100, rng.generator(seed))
    noise = min(max(round(length * rate), 1), length - 1)
    assert len(cut) == length
    assert cut.sum() == noise
    begins = cut & ~np.append(False, cut[:-1])
    wanted = min(max(round(noise / mean), 1), length - noise, 100)
    assert begins.sum() == wanted
    assert not cut[0]
    assert cut[-1]


def test_every_split_is_as_likely() -> None:
    """9 tokens, 4 of them in 2 spans: (5 - 1 choose 1) gaps by (4 - 1 choose 1) spans."""
    draws = 6000
    seen = Counter(
        tuple(noise_spans(9, 4 / 9, 2.0, 100, rng.generator(seed)).tolist())
        for seed in range(draws)
    )
    expected = comb(4, 1) * comb(3, 1)
    assert len(seen) == expected
    assert all(
        abs(count - draws / expected) < 5 * (draws / expected) ** 0.5 for count in seen.values()
    )


@given(lengths, rates, means, seeds)
def test_nothing_is_lost(length: int, rate: float, mean: float, seed: int) -> None:
    example = corrupted(length, seed, mask_rate=rate, span_mean=mean)
    assert example.decoder_labels is not None
    said = spans(example.decoder_labels)
    text = [
        token for index in example.input_ids[:-1].tolist() for token in said.get(index, [index])
    ]
    assert text == segment(length).input_ids[1:-1].tolist()
    assert example.input_ids[-1] == example.decoder_labels[-1] == VOCABULARY.sep_id
    assert list(said) == SENTINELS[: len(said)].tolist()
    assert all(said.values())
    in_text = [index for index in example.input_ids.tolist() if index in SENTINELS]
    assert in_text == list(said)


@given(lengths, seeds)
def test_the_decoder_reads_what_it_said_before(length: int, seed: int) -> None:
    example = corrupted(length, seed)
    assert example.decoder_input_ids is not None
    assert example.decoder_labels is not None
    assert example.decoder_input_ids[0] == VOCABULARY.pad_id
    assert np.array_equal(example.decoder_input_ids[1:], example.decoder_labels[:-1])


def test_pure_and_different_for_each_seed() -> None:
    first, again, other = corrupted(100, 1), corrupted(100, 1), corrupted(100, 2)
    assert np.array_equal(first.input_ids, again.input_ids)
    assert not np.array_equal(first.input_ids, other.input_ids)


def test_the_paper_s_rate_and_length() -> None:
    """512 tokens: 77 in 26 spans, which makes inputs of 462 and targets of 104 with their ends."""
    example = corrupted(512, 0)
    assert example.decoder_labels is not None
    assert len(example.input_ids) == 512 - 77 + 26 + 1
    assert len(example.decoder_labels) == 77 + 26 + 1


def test_no_more_spans_than_sentinels() -> None:
    cut = noise_spans(5000, 0.15, 3.0, 100, np.random.default_rng(0))
    assert cut.sum() == 750
    assert (cut & ~np.append(False, cut[:-1])).sum() == 100
