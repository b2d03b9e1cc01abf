"""Hashes of whole numbers, many at a time: splitmix64 (Steele, Lea & Flood 2014)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]

GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
"""What splitmix64's state grows by from one number to the next: 2^64 over the golden ratio."""


def mixed(values: Bits) -> Bits:
    """64 bits for each value, which depend on all of its bits: splitmix64's finish."""
    with np.errstate(over="ignore"):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))
