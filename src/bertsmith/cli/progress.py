"""The progress bar of jobs that read bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bertsmith.jobs.progress import Bar


class ByteProgress:
    """To be called with the bytes done and in all (0: not known)."""

    def __init__(self, bar: Bar) -> None:
        self.now = bar.now
        self._bar, self._began = bar, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show it, with the rate so far."""
        megabytes = done / 1e6
        rate = megabytes / max(time.monotonic() - self._began, 1e-9)
        self._bar.update(done / total if total else 0.0, f"{megabytes:,.1f} MB, {rate:.1f} MB/s")


@contextmanager
def byte_progress(what: str) -> Iterator[ByteProgress]:
    """A bar for a job that reads bytes; `now` renames it when it goes on to something else."""
    from bertsmith.jobs.progress import Bar

    with Bar(what, 1.0) as bar:
        yield ByteProgress(bar)
