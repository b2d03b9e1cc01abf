"""One progress line for every long job: a live bar on a terminal, a line now and then off it."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

QUIET_SECONDS = 10.0
"""Between two lines where stderr is no terminal."""


class Teller(Protocol):
    """Who is told how a job goes."""

    def update(self, done: float, note: str = "") -> None:
        """See Bar."""

    def say(self, message: str) -> None:
        """See Bar."""


class Notes:
    """Keeps what is said, for another process to say."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def update(self, done: float, note: str = "") -> None:
        """Nobody looks."""

    def say(self, message: str) -> None:
        """See Teller."""
        self.said.append(message)


class Bar:
    """A context manager; `update` says how far, and what to show beside it.

    Goes to stderr, so that stdout holds results alone; nowhere where it is not `shown`.
    """

    def __init__(self, what: str, total: float, shown: bool = True) -> None:
        self._what, self._total, self._shown = what, total, shown
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._said = time.monotonic()
        self._first: tuple[float, float] | None = None  # when, and how far: not all begin at 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (self._live and shown),
        )
        self._task = self._bar.add_task(what, total=total, note="")
        self._bar.start()

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def update(self, done: float, note: str = "") -> None:
        """`done` of the total; `note` is free text such as a loss and a rate."""
        self._bar.update(self._task, completed=done, note=note)
        now = time.monotonic()
        self._first = self._first or (now, done)
        if self._shown and not self._live and now - self._said >= QUIET_SECONDS:
            self._said = now
            said = f"{self._what}: {100.0 * done / self._total:.0f} % {note}"
            began, first = self._first
            if done > first:
                said += f", {(now - began) * (self._total - done) / (done - first):.0f} s left"
            print(said, file=sys.stderr)

    def now(self, what: str) -> None:
        """What is under way from here on."""
        self._what = what
        self._bar.update(self._task, description=what)

    def say(self, message: str) -> None:
        """A line that stays, above the bar."""
        if self._shown:
            self._console.print(message, highlight=False, markup=False, soft_wrap=True)
