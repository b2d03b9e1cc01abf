"""What hostile files are read under: little memory, and a trap for whoever unpickles."""

from __future__ import annotations

import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def little_memory(room: int = 256 << 20) -> Iterator[None]:
    """No more than `room` bytes of address space beyond those that the process has mapped."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    mapped = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (mapped + room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def bomb(mark: Path) -> bytes:
    """A pickle that creates `mark` when it is read."""
    return pickle.dumps(Bomb(mark))
