"""What vectors know of words: their neighbours, analogies, and how alike people find them.

Words are compared by the cosine of their vectors. Upper and lower case are one in the data
sets, as in word2vec's compute-accuracy: of words that differ in case alone, the first counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from scipy.stats import spearmanr

from bertsmith.errors import DataError
from bertsmith.types import Float32Array, IntArray, WordVectors

SYNTACTIC = "gram"
"""How the names of the Google set's syntactic sections begin; the others are semantic."""
AT_ONCE = 512
"""Questions whose scores over the whole vocabulary are held at once."""

Question = tuple[str, str, str, str]
"""a is to b as c is to d."""


@dataclass(frozen=True)
class Score:
    """Questions answered rightly, of those with all words known, of those asked."""

    correct: int
    covered: int
    asked: int

    @property
    def accuracy(self) -> float:
        """Of the covered questions; NaN where none is."""
        return self.correct / self.covered if self.covered else float("nan")

    def __add__(self, other: Score) -> Score:
        return Score(
            self.correct + other.correct, self.covered + other.covered, self.asked + other.asked
        )


@dataclass(frozen=True)
class Correlation:
    """Spearman's, between the cosines of the covered pairs and people's ratings."""

    spearman: float  # NaN below two covered pairs
    covered: int
    asked: int


def neighbours(table: WordVectors, word: str, count: int = 10) -> list[tuple[str, float]]:
    """The `count` words with the highest cosine to `word`, and it, the nearest first.

    Raises DataError where `word`, as given or in lower case, has no vector.
    """
    places = {known: place for place, known in enumerate(table.words)}
    place = places.get(word, places.get(word.lower()))
    if place is None:
        near = get_close_matches(word.lower(), table.words, n=1)
        mend = f"did you mean {near[0]!r}?" if near else "give a word of the vocabulary"
        raise DataError(f"no vector for {word!r}", mend=mend)
    unit = _unit(table.vectors)
    cosines = unit @ unit[place]
    nearest = [int(other) for other in np.argsort(-cosines, kind="stable") if other != place]
    return [(table.words[other], float(cosines[other])) for other in nearest[:count]]


def analogies(
    table: WordVectors, sections: Mapping[str, Sequence[Question]], most_frequent: int = 30_000
) -> dict[str, Score]:
    """The share of questions where d is the word nearest to b - a + c (Mikolov et al. 2013a,
    section 4.1), by section, and in all as "semantic", "syntactic" and "total".

    Searched are the `most_frequent` words, without a, b and c; a question with a word that is
    not among them is not covered.
    """
    places = _places(table, most_frequent)
    unit = _unit(table.vectors[:most_frequent])
    scores = {name: _answer(unit, places, asked) for name, asked in sections.items()}
    nothing = Score(0, 0, 0)
    kinds = {"semantic": nothing, "syntactic": nothing, "total": nothing}
    for name, score in scores.items():
        kinds["syntactic" if name.startswith(SYNTACTIC) else "semantic"] += score
        kinds["total"] += score
    return scores | kinds


def correlation(table: WordVectors, pairs: Sequence[tuple[str, str, float]]) -> Correlation:
    """How far the cosines of `pairs` of words go with their ratings."""
    places, unit = _places(table, len(table.words)), _unit(table.vectors)
    known = [(places[a], places[b], r) for a, b, r in _folded(pairs) if a in places and b in places]
    if len(known) < 2:
        return Correlation(float("nan"), len(known), len(pairs))
    first, second, ratings = zip(*known, strict=True)
    cosines = (unit[list(first)] * unit[list(second)]).sum(axis=1)
    return Correlation(float(spearmanr(cosines, ratings).statistic), len(known), len(pairs))


def _folded(pairs: Sequence[tuple[str, str, float]]) -> Iterator[tuple[str, str, float]]:
    return ((a.lower(), b.lower(), rating) for a, b, rating in pairs)


def _places(table: WordVectors, most_frequent: int) -> dict[str, int]:
    """Where each word, in lower case, has its first vector."""
    found: dict[str, int] = {}
    for place, word in enumerate(table.words[:most_frequent]):
        found.setdefault(word.lower(), place)
    return found


def _unit(vectors: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float32Array = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _answer(unit: Float32Array, places: Mapping[str, int], asked: Sequence[Question]) -> Score:
    words = [[places.get(word.lower(), -1) for word in question] for question in asked]
    known: IntArray = np.array([row for row in words if -1 not in row], np.int64).reshape(-1, 4)
    correct = 0
    for begin in range(0, len(known), AT_ONCE):
        part = known[begin : begin + AT_ONCE]
        a, b, c, d = part.T
        scores = (unit[b] - unit[a] + unit[c]) @ unit.T
        np.put_along_axis(scores, part[:, :3], -np.inf, axis=1)
        correct += int((scores.argmax(axis=1) == d).sum())
    return Score(correct, len(known), len(asked))
