"""Neighbours, analogies and correlations on vectors whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bertsmith.analysis.word_vectors import Score, analogies, correlation, neighbours
from bertsmith.errors import DataError
from bertsmith.types import WordVectors

CAPITALS = {"athens": "greece", "paris": "france", "rome": "italy", "oslo": "norway"}


def table() -> WordVectors:
    """Each land has a direction of its own; its capital is a step off, the same for all."""
    words, rows = [], []
    for index, (capital, land) in enumerate(CAPITALS.items()):
        direction = np.zeros(6)
        direction[index] = 1.0
        step = np.array([0, 0, 0, 0, 0.6, 0.1])
        words += [land.capitalize(), capital]
        rows += [direction, direction + step]
    words += ["PARIS", "pebble"]
    rows += [np.full(6, 9.0), np.array([0, 0, 0, 0, -1.0, 1.0])]
    return WordVectors(tuple(words), np.array(rows, dtype=np.float32))


def test_analogies_are_answered_and_counted() -> None:
    pairs = list(CAPITALS.items())
    asked = [(a, b, c, d) for a, b in pairs for c, d in pairs if a != c]
    sections = {
        "capital-common-countries": [*asked, ("Athens", "Greece", "Bern", "Switzerland")],
        "gram1-nonsense": [("athens", "greece", "paris", "pebble")],
    }
    scores = analogies(table(), sections)
    assert scores["capital-common-countries"] == Score(12, 12, 13)
    assert scores["gram1-nonsense"] == Score(0, 1, 1)
    assert scores["semantic"] == Score(12, 12, 13)
    assert scores["syntactic"] == Score(0, 1, 1)
    assert scores["total"] == Score(12, 13, 14)
    assert scores["total"].accuracy == pytest.approx(12 / 13)
    assert list(scores)[-3:] == ["semantic", "syntactic", "total"]


def test_the_words_of_a_question_are_no_answer() -> None:
    """b - a + c is nearest to c itself, as nearly always."""
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.4, 1]], dtype=np.float32)
    found = WordVectors(("a", "b", "c", "d"), vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert int(((unit[1] - unit[0] + unit[2]) @ unit.T).argmax()) == 2
    assert analogies(found, {"x": [("a", "b", "c", "d")]})["total"] == Score(1, 1, 1)


def test_only_the_most_frequent_words_are_searched() -> None:
    question = {"x": [("athens", "greece", "oslo", "norway")]}
    assert analogies(table(), question, most_frequent=4)["total"] == Score(0, 0, 1)
    assert math.isnan(Score(0, 0, 1).accuracy)


def test_neighbours_come_in_order_and_without_the_word_itself() -> None:
    assert [word for word, _ in neighbours(table(), "paris", 2)] == ["France", "PARIS"]
    assert neighbours(table(), "paris", 1)[0][1] == pytest.approx(1 / 1.37**0.5)
    cosines = [cosine for _, cosine in neighbours(table(), "Greece", 100)]
    assert cosines == sorted(cosines, reverse=True)
    assert len(cosines) == 9
    assert neighbours(table(), "Oslo", 1) == neighbours(table(), "oslo", 1)
    with pytest.raises(DataError, match=r"no vector for 'pebbles'; did you mean 'pebble'\?"):
        neighbours(table(), "pebbles")


def test_correlation_is_spearman_s_over_the_covered_pairs() -> None:
    angles = np.radians([0, 10, 35, 80])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = WordVectors(("a", "B", "c", "d"), vectors)
    pairs = [("a", "b", 9.0), ("A", "c", 8.5), ("a", "d", 1.0), ("a", "e", 5.0)]
    result = correlation(found, pairs)
    assert result.spearman == pytest.approx(1.0)
    assert (result.covered, result.asked) == (3, 4)
    swapped = [("a", "b", 1.0), ("a", "c", 8.5), ("a", "d", 9.0)]
    assert correlation(found, swapped).spearman == pytest.approx(-1.0)
    assert math.isnan(correlation(found, pairs[:1]).spearman)
