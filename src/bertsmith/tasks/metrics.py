"""Scores of answers against the truth, by scikit-learn and scipy, as plain numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

from bertsmith.types import FloatArray, IntArray

METRIC_NAMES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "exact": "exact match",
    "f1": "F1",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "matthews": "Matthews",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "has_answer_exact": "exact match of those with an answer",
    "has_answer_f1": "F1 of those",
    "no_answer": "others left unanswered",
}
"""The fields of the metrics, as people call them."""
MOST_CLASSES = 1000
"""With more there is no confusion matrix: of ten thousand it has a hundred million numbers."""
LEAST_SPREAD = 0.01
"""Of the truth's standard deviation: predictions that vary less are one answer."""


@dataclass(frozen=True)
class ClassScores:
    """How well one class is told from the rest; 0 where there is nothing to divide by."""

    label: str
    precision: float
    recall: float
    f1: float
    examples: int


@dataclass(frozen=True)
class Metrics(ABC):
    """The scores of a model on some examples."""

    @property
    @abstractmethod
    def single_answer(self) -> bool:
        """Whether everything got one answer, while more were there to be found."""


def always_one(truth: IntArray, predicted: IntArray) -> bool:
    """Whether one class alone was predicted, while there are several."""
    return len(np.unique(predicted)) == 1 < len(np.unique(truth))


def confusions(truth: IntArray, predicted: IntArray, classes: int) -> list[list[int]] | None:
    """Counts, a row a true class, a column a predicted one; None where they are too many."""
    if classes > MOST_CLASSES:
        return None
    matrix: list[list[int]] = confusion_matrix(truth, predicted, labels=np.arange(classes)).tolist()
    return matrix


@dataclass(frozen=True)
class ClassMetrics(Metrics):
    """Of a classifier."""

    accuracy: float
    macro_f1: float
    """Mean F1 of the classes that occur among the true or the predicted ones."""
    matthews: float
    """Matthews' correlation (1975), CoLA's metric; 0 where either side is one class."""
    confusion_matrix: list[list[int]] | None  # rows: true class, columns: predicted
    always_same: bool

    @property
    def single_answer(self) -> bool:
        """One class was predicted throughout, while there are several."""
        return self.always_same


@dataclass(frozen=True)
class BinaryMetrics(ClassMetrics):
    """Of a classifier of two classes, the second of which is what is looked for."""

    f1: float
    """Of the second class."""


@dataclass(frozen=True)
class LabelMetrics(Metrics):
    """Of a model that gives a text any number of labels."""

    micro_f1: float
    """Over all decisions, a text and a label each."""
    macro_f1: float
    """Mean F1 of the labels; one that is nowhere true or predicted counts 0."""
    label_f1: list[float]
    always_same: bool

    @property
    def single_answer(self) -> bool:
        """Every text got the same labels, while their true ones differ."""
        return self.always_same


@dataclass(frozen=True)
class NumberMetrics(Metrics):
    """Of a model of one number."""

    pearson: float
    """Correlation; 0 where either side is constant."""
    spearman: float
    """Correlation of the ranks, ties by their mean rank; 0 where either side is constant."""
    spread: float
    """Standard deviation of the predictions, in that of the truth; 1 where that is constant."""

    @property
    def single_answer(self) -> bool:
        """The predictions hardly vary."""
        return self.spread < LEAST_SPREAD


def score_classes(truth: IntArray, predicted: IntArray, num_labels: int) -> ClassMetrics:
    """`truth` and `predicted` are (N,) class numbers below `num_labels`, N at least 1."""
    only_one = len(np.union1d(truth, predicted)) == 1
    return ClassMetrics(
        accuracy=float(accuracy_score(truth, predicted)),
        macro_f1=float(f1_score(truth, predicted, average="macro", zero_division=0)),
        matthews=0.0 if only_one else float(matthews_corrcoef(truth, predicted)),
        confusion_matrix=confusions(truth, predicted, num_labels),
        always_same=always_one(truth, predicted),
    )


def score_binary(truth: IntArray, predicted: IntArray) -> BinaryMetrics:
    """`truth` and `predicted` are (N,) zeros and ones, N at least 1."""
    f1 = float(f1_score(truth, predicted, zero_division=0))
    return BinaryMetrics(**vars(score_classes(truth, predicted, 2)), f1=f1)


def score_labels(truth: FloatArray, predicted: FloatArray) -> LabelMetrics:
    """`truth` and `predicted` are (N, labels) zeros and ones, N at least 1."""
    return LabelMetrics(
        micro_f1=float(f1_score(truth, predicted, average="micro", zero_division=0)),
        macro_f1=float(f1_score(truth, predicted, average="macro", zero_division=0)),
        label_f1=f1_score(truth, predicted, average=None, zero_division=0).tolist(),
        always_same=bool((predicted == predicted[0]).all() and not (truth == truth[0]).all()),
    )


def score_numbers(truth: FloatArray, predicted: FloatArray) -> NumberMetrics:
    """`truth` and `predicted` are (N,) numbers, N at least 1."""
    deviation, spread = float(truth.std()), float(predicted.std())
    varies = deviation > 1e-12 * float(np.abs(truth).max())  # of three times 0.1 it is not 0
    correlated = varies and spread > 1e-12 * max(deviation, float(np.abs(predicted).max()))
    return NumberMetrics(
        pearson=float(pearsonr(truth, predicted).statistic) if correlated else 0.0,
        spearman=float(spearmanr(truth, predicted).statistic) if correlated else 0.0,
        spread=spread / deviation if varies else 1.0,
    )


def score_each_class(
    truth: IntArray | FloatArray, predicted: IntArray | FloatArray, labels: Sequence[str]
) -> list[ClassScores]:
    """Precision, recall and F1 of every one of `labels`.

    The arrays are (N,) class numbers, or (N, labels) zeros and ones.
    """
    columns = precision_recall_fscore_support(
        truth, predicted, labels=np.arange(len(labels)), average=None, zero_division=0
    )
    return [
        ClassScores(label, float(precision), float(recall), float(f1), int(count))
        for label, precision, recall, f1, count in zip(labels, *columns, strict=True)
    ]
