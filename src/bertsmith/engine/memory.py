"""Memory that a training step frees is memory that the next one needs."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
LARGEST_BLOCK = 1 << 30


def keep_freed_memory() -> bool:
    """Have the C library keep what this process frees; whether it could be told to.

    glibc hands large blocks back to the kernel as soon as they are freed and gets new ones,
    page by page, at the next step: at BERT's sizes some 30,000 page faults a step, up to a
    quarter of its time. The process' peak stays what it is. A no-op elsewhere.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # a C library without it, such as musl
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
