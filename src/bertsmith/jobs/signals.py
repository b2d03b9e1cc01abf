"""Stop when asked to: the first SIGTERM or Ctrl-C asks, a second one insists."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class StopRequest:
    """While open, remembers a stop signal instead of dying of it.

    The job looks at `signal_number` where it can stop cleanly, and leaves with
    `exit_status` (128 + the signal's number, as shells have it). A second signal is handled
    as it would have been without us.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, object] = {}

    @property
    def exit_status(self) -> int:
        """0 where nothing asked to stop."""
        return 0 if self.signal_number is None else 128 + self.signal_number

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in list(self._previous.items()):  # it may be interrupted by one
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()
