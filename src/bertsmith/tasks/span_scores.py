"""Precision, recall and F1 of spans, as conlleval counts them (Tjong Kim Sang, 2004).

A span is right where its first word, its last word and its type are; micro averages are over
all spans. Both sides may be any sequences of tags (see `bertsmith.tasks.schemes`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bertsmith.tasks.metrics import ClassScores, Metrics, always_one, confusions
from bertsmith.tasks.schemes import Span, spans_of
from bertsmith.types import FloatArray, IntArray


@dataclass(frozen=True)
class SpanMetrics(Metrics):
    """Of a model that finds spans of words."""

    precision: float
    recall: float
    f1: float
    accuracy: float
    """Of the tags, O included."""
    types: list[ClassScores]
    confusion_matrix: list[list[int]] | None  # tags: rows true, columns predicted
    always_same: bool

    @property
    def single_answer(self) -> bool:
        """One tag was predicted throughout, while there are several."""
        return self.always_same


def score_spans(
    truth: IntArray, predicted: IntArray, lengths: IntArray, names: Sequence[str]
) -> SpanMetrics:
    """Of sentences of `lengths` words end to end; the tags (W,) are numbers of `names`.

    0 where there is nothing to divide by.
    """
    found, right, there = Counter[str](), Counter[str](), Counter[str]()
    for true_spans, spans in _by_sentence(truth, predicted, lengths, names):
        for counter, some in ((there, true_spans), (found, spans), (right, true_spans & spans)):
            counter.update(span.label for span in some)
    total = _scores("", right.total(), found.total(), there.total())
    types = sorted(there.keys() | found.keys())
    return SpanMetrics(
        precision=total.precision,
        recall=total.recall,
        f1=total.f1,
        accuracy=float((truth == predicted).mean()) if len(truth) else 0.0,
        types=[_scores(label, right[label], found[label], there[label]) for label in types],
        confusion_matrix=confusions(truth, predicted, len(names)),
        always_same=always_one(truth, predicted),
    )


def span_counts(
    truth: IntArray, predicted: IntArray, lengths: IntArray, names: Sequence[str]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(sentences,) the spans of each that are right, that are there, and that are found."""
    counts = [
        (len(true_spans & spans), len(true_spans), len(spans))
        for true_spans, spans in _by_sentence(truth, predicted, lengths, names)
    ]
    right, there, found = np.array(counts, dtype=float).reshape(-1, 3).T
    return right, there, found


def _by_sentence(
    truth: IntArray, predicted: IntArray, lengths: IntArray, names: Sequence[str]
) -> Iterator[tuple[set[Span], set[Span]]]:
    """The true spans of each sentence, and the predicted ones."""
    for begin, end in pairwise(np.cumsum([0, *lengths]).tolist()):
        true_spans = set(spans_of([names[tag] for tag in truth[begin:end]]))
        yield true_spans, set(spans_of([names[tag] for tag in predicted[begin:end]]))


def _scores(label: str, right: int, found: int, there: int) -> ClassScores:
    precision, recall = right / max(1, found), right / max(1, there)
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return ClassScores(label, precision, recall, f1, there)
