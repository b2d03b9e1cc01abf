"""Thresholds on probabilities: where "yes" begins, chosen so that a metric is greatest.

Exact: every cut between two examples is tried. Of cuts that are equally good, the one nearest to
a probability of 1/2 is taken, so that where nothing is gained nothing changes. A margin is what a
probability's logistic function is taken of: 0 at 1/2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from bertsmith.errors import ConfigError
from bertsmith.tasks.many_scores import class_scores, label_scores
from bertsmith.types import BoolArray, FloatArray, IntArray

_FARTHEST = 27.0
"""Margins beyond this are one: probabilities nearer to 1 are too far apart."""

Merit = Callable[[FloatArray, FloatArray], FloatArray]
"""(hits (R,), examples said "yes" to (R,)) -> the metric (R,)."""


@dataclass(frozen=True)
class Finder:
    """How a task finds its thresholds."""

    metrics: tuple[str, ...]
    """That can be asked for."""
    names: Callable[[Sequence[str]], Sequence[str]]
    """All outputs -> the last of them, which have a threshold. Raises ConfigError."""
    find: Callable[[str, Any, FloatArray], list[float]]
    """(metric, targets, logits (N, names)) -> a probability for each of those."""

    def require(self, metric: str, names: Sequence[str]) -> None:
        """Raise ConfigError where there is no such metric, or no threshold for such outputs."""
        if metric not in self.metrics:
            raise ConfigError(
                f"no metric {metric!r:.40} to choose it by",
                where="threshold",
                mend=f"there are {', '.join(self.metrics)}",
            )
        self.names(names)

    def require_sound(self, thresholds: Any, names: Sequence[str]) -> None:
        """Raise ConfigError where what a model folder says is not what `find` gives."""
        cuts = thresholds if isinstance(thresholds, list) else []
        count = len(self.names(names))
        if len(cuts) != count or not all(isinstance(c, float) and 0 < c < 1 for c in cuts):
            raise ConfigError(
                f"{thresholds!r:.60} is not a probability for each of {count} outputs",
                where="thresholds",
                mend="fine-tune the model again",
            )


def binary_threshold(metric: str, truth: IntArray, margins: FloatArray) -> list[float]:
    """The probability of the second of two classes from which on it is said, alone in a list.

    `truth` (N,) zeros and ones; `margins` (N,) the second logit less the first.
    """
    total, yes = float(len(truth)), float(truth.sum())

    def merit(hits: FloatArray, said: FloatArray) -> FloatArray:
        true = np.broadcast_to([total - yes, yes], (len(hits), 2))
        right = np.stack([total - yes - (said - hits), hits], axis=1)
        return class_scores(right, true, np.stack([total - said, said], axis=1))[metric]

    return [_probability(best_cut(truth == 1, margins, merit))]


def label_thresholds(metric: str, truth: FloatArray, logits: FloatArray) -> list[float]:
    """For each label the probability from which on it is given.

    `truth` and `logits` are (N, labels). For micro-F1 one threshold for all labels, for macro-F1
    one for each, 1/2 where a label never holds.
    """
    if metric == "micro_f1":
        cut = best_cut(truth.ravel() > 0, logits.ravel(), _f1_of(truth.sum()))
        return [_probability(cut)] * truth.shape[1]
    return [
        _probability(best_cut(own > 0, margins, _f1_of(own.sum()))) if own.any() else 0.5
        for own, margins in zip(truth.T, logits.T, strict=True)
    ]


def best_cut(is_true: BoolArray, margins: FloatArray, merit: Merit) -> float:
    """The margin above which "yes" is best said: 0, or halfway between two examples' own, none of
    them beyond what a probability can say (_FARTHEST)."""
    order = np.argsort(-margins, kind="stable")
    ordered = margins[order]
    said = np.arange(len(margins) + 1, dtype=float)
    hits = np.concatenate([[0.0], np.cumsum(is_true[order], dtype=float)])
    above = np.concatenate([[np.inf], ordered])  # the cut lies between these two
    below = np.concatenate([ordered, [-np.inf]])
    is_cut = (above > below) & (above > -_FARTHEST) & (below < _FARTHEST)
    merits = np.where(is_cut, merit(hits, said), -np.inf)
    best = np.flatnonzero(merits >= merits.max() - 1e-12)
    cuts = [_between(float(below[place]), float(above[place])) for place in best]
    return min((max(-_FARTHEST, min(cut, _FARTHEST)) for cut in cuts), key=abs)


def offsets(thresholds: list[float], outputs: int) -> FloatArray:
    """(outputs,) what to take from logits so that decisions fall at 0, or at the greatest."""
    first = np.zeros(outputs - len(thresholds))
    return np.concatenate([first, logit(np.array(thresholds, dtype=float))])


def _between(low: float, high: float) -> float:
    """0 where it lies between; a little beyond the last example; else halfway."""
    if low < 0 < high:
        return 0.0
    if not np.isfinite(low):
        return high - 1.0
    return low + 1.0 if not np.isfinite(high) else (low + high) / 2


def _f1_of(true: float) -> Merit:
    counts = float(true)

    def merit(hits: FloatArray, said: FloatArray) -> FloatArray:
        one = np.full((len(hits), 1), counts)
        return label_scores(hits[:, None], one, said[:, None])["micro_f1"]

    return merit


def _probability(cut: float) -> float:
    """Of a margin; never 0 or 1 themselves."""
    return float(expit(cut))
