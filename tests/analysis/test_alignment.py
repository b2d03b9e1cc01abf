"""Retrieval where the answer is known: planted, shifted, random, level."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import rankdata

from bertsmith.analysis.alignment import alignment, chance, ranks

DIAGONAL = np.repeat(np.arange(200)[:, None], 2, axis=1)


def test_planted_translations_are_found() -> None:
    generator = np.random.default_rng(0)
    words = generator.standard_normal((200, 16)).astype(np.float32)
    order = generator.permutation(200)
    pairs = np.stack([order, np.arange(200)], axis=1)  # target j is source order[j]
    for centred in (False, True):
        for found in alignment(words, words[order], pairs, centred):
            assert (found.queries, found.candidates) == (200, 200)
            assert found.mrr == found.precision == found.mrr_low == found.mrr_high == 1
            assert found.precision_low == pytest.approx(0.981, abs=1e-3)


def test_what_sets_languages_apart_is_centred_away() -> None:
    generator = np.random.default_rng(0)
    words = generator.standard_normal((200, 16)).astype(np.float32)
    step = 8 * generator.standard_normal(16).astype(np.float32)
    noise = 0.5 * generator.standard_normal((200, 16)).astype(np.float32)
    other = words + noise + step  # as queries, all of them point where the step does
    (_, raw), (_, centred) = (alignment(words, other, DIAGONAL, flag) for flag in (False, True))
    assert raw.mrr < 0.2 < 0.9 < centred.mrr
    assert raw.mrr_low < raw.mrr < raw.mrr_high < centred.mrr_low


def test_random_vectors_are_at_chance() -> None:
    generator = np.random.default_rng(1)
    sides = generator.standard_normal((2, 500, 32)).astype(np.float32)
    pairs = np.repeat(np.arange(500)[:, None], 2, axis=1)
    for found in alignment(*sides, pairs, False):
        assert found.chance_mrr == pytest.approx((1 / np.arange(1, 501)).sum() / 500)
        assert found.chance_precision == pytest.approx(1 / 500)
        assert found.mrr_low < found.chance_mrr < found.mrr_high
        assert found.precision_low < found.chance_precision < found.precision_high


def test_chance_is_the_mean_over_all_orders() -> None:
    for gold in range(1, 6):
        orders = list(permutations(range(5)))
        firsts = [1 + min(order.index(right) for right in range(gold)) for order in orders]
        expected = (np.mean([1 / first for first in firsts]), np.mean([f == 1 for f in firsts]))
        assert chance(np.array([gold]), 5) == pytest.approx(expected)
    one, two = chance(np.array([1]), 5), chance(np.array([2]), 5)
    assert chance(np.array([1, 2]), 5) == pytest.approx((np.add(one, two) / 2).tolist())


def test_the_best_of_several_translations_counts_and_level_ones_half() -> None:
    cosines = np.array([[0.9, 0.8, 0.7, 0.8], [0.5, 0.5, 0.5, 0.5]], np.float32)
    is_right = np.array([[False, True, True, False], [True, False, False, False]])
    assert ranks(cosines, is_right).tolist() == [2.5, 2.5]
    cosines = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    is_right = np.eye(30, 40, dtype=np.bool_)
    expected = rankdata(-cosines, axis=1)[is_right]
    np.testing.assert_array_equal(ranks(cosines, is_right), expected)


def test_words_without_a_translation_are_not_asked() -> None:
    words = np.eye(4, dtype=np.float32)
    forth, back = alignment(words, words, np.array([[0, 0], [0, 1], [3, 3]]), False)
    assert (forth.queries, forth.candidates, back.queries, back.candidates) == (2, 4, 3, 4)
    assert forth.mrr == 1
    assert back.mrr == pytest.approx((1 + 1 + 1 / 3) / 3)  # one above it, two level with it
    assert forth.chance_precision == pytest.approx((2 / 4 + 1 / 4) / 2)
