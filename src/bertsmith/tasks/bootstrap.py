"""How far a score depends on which examples were drawn: the percentile bootstrap (Efron 1979).

The units of a set are drawn again with replacement, as many as there are, and scored; the middle
95 % of 1,000 such scores are the interval. It tells what other examples of the same kind would
give with the same model; what another seed would give is the spread over seeds. What hangs
together (the words of a sentence, the questions on a text) is one unit, drawn whole (Field & Welsh
2007): one by one, they would seem to tell more than they do. Of one or two
such units no interval can be made; there, their parts are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bertsmith.tasks.many_scores import Resampling, Scores, of_sums
from bertsmith.types import FloatArray, IntArray

RESAMPLES = 1000
CONFIDENCE = 0.95
_SEED = 0
_COUNTS = 1 << 21
"""Units times resamples at a time."""


def intervals(
    resampling: Resampling, metrics: Sequence[str], resamples: int = RESAMPLES
) -> dict[str, list[float]]:
    """Each metric's interval, its two ends, always the same for the same examples and answers."""
    scores = resample(resampling, resamples)
    tail = 100 * (1 - CONFIDENCE) / 2
    ends = {name: np.percentile(scores[name], [tail, 100 - tail]) for name in metrics}
    return {name: own.tolist() for name, own in ends.items()}


def interval_of_ratio(
    sums_N: FloatArray | IntArray, counts_N: FloatArray | IntArray
) -> tuple[float, float]:
    """The interval of all sums over all counts, such as hits over tokens, by drawing the N units
    that they are of; 0 where nothing was counted."""
    values_N2 = np.stack([sums_N, counts_N], axis=1).astype(np.float64)
    ratio = of_sums(values_N2, lambda sums: {"ratio": sums[:, 0] / np.maximum(sums[:, 1], 1)})
    low, high = intervals(ratio, ("ratio",))["ratio"]
    return low, high


def resample(resampling: Resampling, resamples: int, seed: int = _SEED) -> Scores:
    """Each metric in every resample, (resamples,)."""
    units, generator = resampling.units, np.random.default_rng(seed)
    rows = max(1, _COUNTS // units)
    parts: list[Scores] = []
    for begin in range(0, resamples, rows):
        count = min(rows, resamples - begin)
        drawn = generator.integers(units, size=(count, units))
        drawn += units * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * units)
        parts.append(resampling.scores(weights.reshape(count, units)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
