"""Do a word and its translation, or a sentence and its own, have vectors alike?

Each of one language asks for its translation among all of the other by cosine (Liu et al. 2020,
arXiv:2004.09205): mean reciprocal rank of the best right answer, and how often it is the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bertsmith.analysis.intervals import wilson
from bertsmith.nn.sentence import normalised
from bertsmith.tasks.bootstrap import interval_of_ratio
from bertsmith.types import BoolArray, Float32Array, FloatArray, IntArray


@dataclass(frozen=True)
class Retrieval:
    """How well N queries find one of their right answers among M, with 95 % intervals."""

    queries: int
    candidates: int
    mrr: float  # mean reciprocal rank
    mrr_low: float  # by bootstrap over queries
    mrr_high: float
    precision: float  # at 1
    precision_low: float  # Wilson 1927
    precision_high: float
    chance_mrr: float  # of an order at random, exactly
    chance_precision: float


def alignment(
    source_ND: Float32Array, target_MD: Float32Array, pairs_P2: IntArray, centred: bool
) -> tuple[Retrieval, Retrieval]:
    """Source to target, and target to source; `pairs_P2` are rows that mean the same.

    With `centred`, each side's mean vector is taken from its own: what sets the languages apart
    as a whole (Libovický et al. 2020, section 3).
    """
    if centred:
        source_ND, target_MD = (side - side.mean(axis=0) for side in (source_ND, target_MD))
    is_right_NM = np.zeros((len(source_ND), len(target_MD)), np.bool_)
    is_right_NM[pairs_P2[:, 0], pairs_P2[:, 1]] = True
    cosines_NM = normalised(source_ND) @ normalised(target_MD).T
    return _retrieval(cosines_NM, is_right_NM), _retrieval(cosines_NM.T, is_right_NM.T)


def _retrieval(cosines_NM: Float32Array, is_right_NM: BoolArray) -> Retrieval:
    asked = is_right_NM.any(axis=1)
    ranks_N = ranks(cosines_NM[asked], is_right_NM[asked])
    gold_N = is_right_NM[asked].sum(axis=1)
    chance_mrr, chance_precision = chance(gold_N, cosines_NM.shape[1])
    reciprocal_N = 1 / ranks_N
    precision = float((ranks_N == 1).mean())
    return Retrieval(
        len(ranks_N),
        cosines_NM.shape[1],
        float(reciprocal_N.mean()),
        *interval_of_ratio(reciprocal_N, np.ones_like(ranks_N)),
        precision,
        *wilson(precision, len(ranks_N)),
        chance_mrr,
        chance_precision,
    )


def ranks(cosines_NM: Float32Array, is_right_NM: BoolArray) -> FloatArray:
    """(N,) the rank, from 1, of each row's best right answer among the wrong ones.

    A wrong one that is as alike counts half.
    """
    best_N = np.where(is_right_NM, cosines_NM, -np.inf).max(axis=1, keepdims=True)
    above_N = ((cosines_NM > best_N) & ~is_right_NM).sum(axis=1)
    level_N = ((cosines_NM == best_N) & ~is_right_NM).sum(axis=1)
    found: FloatArray = 1 + above_N + level_N / 2
    return found


def chance(gold_N: IntArray, candidates: int) -> tuple[float, float]:
    """The mean reciprocal rank and precision at 1 to expect of an order at random.

    Of `candidates`, `gold_N` are right for each query.
    """
    reciprocal = 1 / np.arange(1, candidates + 1)
    each = {}
    for gold in np.unique(gold_N).tolist():
        # The first r - 1 are wrong and the next is right.
        left = candidates - np.arange(candidates)
        wrong = np.maximum(left - gold, 0) / left
        first_R = np.concatenate([[1.0], np.cumprod(wrong)[:-1]]) * np.minimum(gold / left, 1)
        each[gold] = float(first_R @ reciprocal)
    mrr = float(np.mean([each[gold] for gold in gold_N.tolist()]))
    return mrr, float((gold_N / candidates).mean())
