"""Counter-based randomness: every draw is a pure function of what it is for.

No stream has a state to save, so that resuming, re-ordering or sharing out the work among
workers cannot change what any segment looks like.
"""

from __future__ import annotations

import hashlib

import numpy as np

from bertsmith.text.mixing import GOLDEN_RATIO, mixed
from bertsmith.types import FloatArray, IntArray


def key(*parts: int | str) -> int:
    """64 bits that depend on every one of `parts`."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def uniform(key_: int, counters: IntArray) -> FloatArray:
    """One number in [0, 1) for each of `counters`, by splitmix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        states = counters.astype(np.uint64) * GOLDEN_RATIO + np.uint64(key_)
    return (mixed(states) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def generator(*parts: int | str) -> np.random.Generator:
    """A generator whose whole stream depends on `parts` alone (Philox, Salmon et al. 2011)."""
    return np.random.Generator(np.random.Philox(key=key(*parts)))
