"""A number for a text: one output, mean squared error (STS-B in BERT, section 4.1).

The output is learnt in standard deviations from the mean of the training numbers, so that
prices and grades train alike, and the two are folded into the last layer when the run ends:
what is saved gives the numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from bertsmith.errors import DataError
from bertsmith.nn.models import SequenceClassifier
from bertsmith.tasks.labels import require_rows
from bertsmith.tasks.many_scores import Resampling, of_numbers
from bertsmith.tasks.metrics import ClassScores, Metrics, score_numbers
from bertsmith.tasks.sequences import SequenceTask, Target, Targets, TaskLoss
from bertsmith.tasks.tables import TextRow
from bertsmith.types import FloatArray


def number_text(value: Any, column: str, where: str) -> str:
    """A number in a field, as text. Raises DataError where it is none, or not finite."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{column!r} is no number but {value!r:.60}",
            where=where,
            mend="write one like 3.5, or name the column of the numbers with --label-column",
        )
    return repr(number)


def names(rows: Sequence[TextRow], file: str, column: str) -> list[str]:
    """The column's name. Raises DataError where all its numbers are the same, or beyond fp32."""
    require_rows(rows, file, "give texts with their numbers to learn from")
    numbers = np.array([float(row.label) for row in rows])
    least, most = float(numbers.min()), float(numbers.max())
    if least == most:  # 0.0 and -0.0 are one
        raise DataError(
            f"one number only: every text has {rows[0].label}",
            where=file,
            mend="give texts with different numbers",
        )
    with np.errstate(over="ignore"):
        least_32, most_32 = np.float32(least), np.float32(most)
    if least_32 == most_32 or not np.isfinite([least_32, most_32]).all():
        raise DataError(
            f"numbers from {least!r} to {most!r} are {least_32} and {most_32} in 32 bits",
            where=file,
            mend="give them in another unit, or less what they have in common",
        )
    return [column]


def targets(
    rows: Sequence[TextRow], labels: Sequence[str], file: str, known_to: str
) -> list[Target]:
    """The numbers. Raises DataError where there are no rows."""
    require_rows(rows, file, "give texts with their numbers to be scored on")
    return [float(row.label) for row in rows]


def score(truth: Targets, logits: FloatArray) -> Metrics:
    """Pearson's and Spearman's correlations."""
    return score_numbers(truth, logits[:, 0])


def score_each(truth: Targets, logits: FloatArray, labels: Sequence[str]) -> list[ClassScores]:
    """Nothing: there are no classes."""
    return []


def answer(logits: FloatArray, labels: Sequence[str]) -> dict[str, Any]:
    """The number."""
    return {"label": float(logits[0])}


def resample(truth: Targets, logits: FloatArray) -> Resampling:
    """The same of many choices of examples."""
    return of_numbers(truth, logits[:, 0])


def wrong(truth: Targets, logits: FloatArray) -> FloatArray:
    """How far away an answer is."""
    distance: FloatArray = np.abs(logits[:, 0] - truth)
    return distance


class _Affine(nn.Module):
    """x * scale + shift."""

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self._scale, self._shift = scale, shift

    def forward(self, x: Tensor) -> Tensor:
        return x * self._scale + self._shift


@contextmanager
def standardised(model: SequenceClassifier, numbers: Targets) -> Iterator[TaskLoss]:
    """While open, the last layer's parameters are in standard deviations of `numbers`.

    Logits are in the numbers' own unit within and after; the loss, mean squared error, is in
    the numbers' variance: 1 for always saying their mean.
    """
    layer, scale = model.head.classifier, float(numbers.std())

    def loss(logits_B1: Tensor, numbers_B: Tensor, weights: Tensor) -> Tensor:
        return functional.mse_loss(logits_B1.squeeze(1) / scale, numbers_B / scale)

    parametrize.register_parametrization(layer, "weight", _Affine(scale, 0.0))
    parametrize.register_parametrization(layer, "bias", _Affine(scale, float(numbers.mean())))
    try:
        yield loss
    finally:
        for name in ("weight", "bias"):
            parametrize.remove_parametrizations(layer, name, leave_parametrized=True)


def no_classes(label: str) -> tuple[str, ...]:
    """Numbers have no balance."""
    return ()


TASK = SequenceTask(
    name="regress",
    problem_type="regression",
    product="regression model",
    label_text=number_text,
    names=names,
    targets=targets,
    learning=standardised,
    score=score,
    resample=resample,
    wrong=wrong,
    score_each=score_each,
    answer=answer,
    counted=no_classes,
    metrics=("spearman", "pearson"),
    chosen_by=("pearson", "spearman"),
)
