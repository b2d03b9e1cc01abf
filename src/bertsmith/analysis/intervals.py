"""95 % intervals by formula; those of scores, by drawing again, are in `tasks.bootstrap`."""

from __future__ import annotations

import math

DEVIATIONS = 1.959964
"""Standard deviations on each side, of what is normally distributed."""


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen in `count` cases (Wilson 1927)."""
    spread = DEVIATIONS**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
