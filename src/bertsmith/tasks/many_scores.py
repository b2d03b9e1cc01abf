"""The scores of `metrics`, `span_scores` and so on for many choices of examples at once.

A `Resampling` is what `bertsmith.tasks.bootstrap` asks of a task: N units that are drawn
independently (texts, documents, articles with all their questions) and each metric as a function
of how often each is drawn. Nearly all metrics are functions of sums over the units, so that a
resample costs one row of a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from bertsmith.types import FloatArray, IntArray

Scores = dict[str, FloatArray]
"""Each metric, (R,)."""
FEWEST_GROUPS = 3
"""Of which intervals are better made than of their parts (docs/log.md)."""


@dataclass(frozen=True)
class Resampling:
    """N units, and the metrics of R choices of them."""

    units: int
    scores: Callable[[IntArray], Scores]
    """(R, N) how often each unit is in each choice, the rows adding up to N -> scores."""


def of_sums(
    values_NC: FloatArray | csr_matrix, scores: Callable[[FloatArray], Scores]
) -> Resampling:
    """Of metrics that are functions of the sums (R, C) of units' own values."""
    return Resampling(values_NC.shape[0], lambda weights_RN: scores((values_NC.T @ weights_RN.T).T))


def outermost(*groupings: Sequence[Hashable], fewest: int = FEWEST_GROUPS) -> Sequence[Hashable]:
    """What to draw whole, of the groups that rows belong to, the largest first, such as articles:
    the first of which there are `fewest`, else the last."""
    enough = (groups for groups in groupings if len(set(groups)) >= fewest)
    return next(enough, groupings[-1])


def added_up(
    values_NC: FloatArray | csr_matrix, groups: Sequence[Hashable]
) -> FloatArray | csr_matrix:
    """(groups, C) the sums over the rows of each group; `groups` names the one of each row."""
    numbers: dict[Hashable, int] = {}
    places = np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)
    return one_hot(places, len(numbers)).T @ values_NC


def of_means(
    values: Mapping[str, FloatArray], groups: Sequence[Hashable] | None = None
) -> Resampling:
    """Of metrics that are means of N values each (N,).

    The N are the units, or, where `groups` names the one that each belongs to, these are, whole:
    the cluster bootstrap (Field & Welsh 2007). The mean is over what they have in all.
    """
    counted = np.stack([*values.values(), np.ones(len(next(iter(values.values()))))], axis=1)
    if groups is not None:
        counted = added_up(counted, groups)
    return of_sums(
        counted, lambda sums: {name: sums[:, at] / sums[:, -1] for at, name in enumerate(values)}
    )


def of_classes(truth: IntArray, predicted: IntArray, num_labels: int) -> Resampling:
    """`truth` and `predicted` are (N,) class numbers below `num_labels`. See `class_scores`."""
    tables = class_tables(truth, predicted, num_labels)
    return of_sums(tables, lambda sums: class_scores(*np.split(sums, 3, axis=1)))


def class_tables(truth: IntArray, predicted: IntArray, num_labels: int) -> csr_matrix:
    """(N, 3 K) ones: whether an example is a hit of each class, of the class, taken for it."""
    rows, right = np.arange(len(truth)), truth == predicted
    places = [rows[right], rows, rows]
    columns = [truth[right], num_labels + truth, 2 * num_labels + predicted]
    at = np.concatenate(places), np.concatenate(columns)
    return csr_matrix((np.ones(len(at[0])), at), shape=(len(truth), 3 * num_labels))


def one_hot(places_N: IntArray, size: int) -> csr_matrix:
    """(N, size): a one in each row."""
    count = len(places_N)
    return csr_matrix((np.ones(count), (np.arange(count), places_N)), shape=(count, size))


def class_scores(hits_RK: FloatArray, true_RK: FloatArray, predicted_RK: FloatArray) -> Scores:
    """Accuracy, macro-F1 and Matthews of R sets out of the counts of each of K classes: those that
    are taken for what they are, those there are, and those that are taken for it.

    Of two classes, "f1" is that of the second.
    """
    count_R = true_RK.sum(axis=1)
    right_R = hits_RK.sum(axis=1)
    f1_RK = _f1(hits_RK, true_RK, predicted_RK)
    present_RK = true_RK + predicted_RK > 0
    expected_R = (true_RK * predicted_RK).sum(axis=1)
    spreads = [count_R**2 - (some**2).sum(axis=1) for some in (true_RK, predicted_RK)]
    matthews_R = _divided(right_R * count_R - expected_R, np.sqrt(spreads[0] * spreads[1]))
    scores = {
        "accuracy": right_R / count_R,
        "macro_f1": f1_RK.sum(axis=1) / present_RK.sum(axis=1),
        "matthews": matthews_R,
    }
    return scores | ({"f1": f1_RK[:, 1]} if f1_RK.shape[1] == 2 else {})


def of_labels(truth: FloatArray, predicted: FloatArray) -> Resampling:
    """`truth` and `predicted` are (N, labels) zeros and ones. See `label_scores`."""
    sides = np.hstack([truth * predicted, truth, predicted])
    return of_sums(sides, lambda sums: label_scores(*np.split(sums, 3, axis=1)))


def label_scores(hits_RK: FloatArray, true_RK: FloatArray, predicted_RK: FloatArray) -> Scores:
    """Micro- and macro-F1 out of the counts of each label: right, there, and given."""
    totals = [some.sum(axis=1) for some in (hits_RK, true_RK, predicted_RK)]
    return {
        "micro_f1": _f1(*totals),
        "macro_f1": _f1(hits_RK, true_RK, predicted_RK).mean(axis=1),
    }


def of_spans(right_N: FloatArray, there_N: FloatArray, found_N: FloatArray) -> Resampling:
    """Precision, recall and F1 over the spans of all units, of each of which that many are
    right, there, and found."""

    def scores(sums_R3: FloatArray) -> Scores:
        right_R, there_R, found_R = sums_R3.T
        return {
            "precision": _divided(right_R, found_R),
            "recall": _divided(right_R, there_R),
            "f1": _f1(right_R, there_R, found_R),
        }

    return of_sums(np.stack([right_N, there_N, found_N], axis=1), scores)


def of_numbers(truth_N: FloatArray, predicted_N: FloatArray) -> Resampling:
    """Pearson's and Spearman's correlation."""
    sizes = [float(np.abs(some).max()) for some in (truth_N, predicted_N)]
    sizes[1] = max(sizes[1], float(truth_N.std()))

    def scores(weights_RN: IntArray) -> Scores:
        true_RN, predicted_RN = (_ranks(some, weights_RN) for some in (truth_N, predicted_N))
        return {
            "pearson": _correlation(truth_N, predicted_N, weights_RN, sizes),
            "spearman": _correlation(true_RN, predicted_RN, weights_RN, [len(truth_N)] * 2),
        }

    return Resampling(len(truth_N), scores)


def _correlation(
    x: FloatArray, y: FloatArray, weights_RN: IntArray, sizes: Sequence[float]
) -> FloatArray:
    """(R,), 0 where either side is constant, beside its size; `x` and `y` are (N,) or (R, N)."""
    total_R1 = weights_RN.sum(axis=1, keepdims=True)
    away_x, away_y = (
        some - (weights_RN * some).sum(axis=1, keepdims=True) / total_R1 for some in (x, y)
    )
    variances = [(weights_RN * away**2).sum(axis=1) for away in (away_x, away_y)]
    for variance, size in zip(variances, sizes, strict=True):
        variance[variance <= total_R1[:, 0] * (1e-12 * size) ** 2] = 0.0
    together = (weights_RN * away_x * away_y).sum(axis=1)
    return _divided(together, np.sqrt(variances[0]) * np.sqrt(variances[1]))


def _ranks(values_N: FloatArray, weights_RN: IntArray) -> FloatArray:
    """(R, N) the rank of each unit among those of its choice, equal ones by their mean rank."""
    distinct, groups_N = np.unique(values_N, return_inverse=True)
    counts_RG = (one_hot(groups_N, len(distinct)).T @ weights_RN.T).T
    ranks_RG: FloatArray = np.cumsum(counts_RG, axis=1) - (counts_RG - 1) / 2
    return ranks_RG[:, groups_N]


def _f1(hits: FloatArray, true: FloatArray, predicted: FloatArray) -> FloatArray:
    return _divided(2 * hits, true + predicted)


def _divided(above: FloatArray, below: FloatArray) -> FloatArray:
    """0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros(np.shape(below)), where=below > 0)
