"""What processes of `test_processes` do: their functions are found by name."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bertsmith.jobs.signals import StopRequest


def work_or_die(item: tuple[str, Path]) -> int:
    """One works until it is asked to stop; the other dies, once the first is at it."""
    name, mark = item
    if name == "dies":
        while not mark.exists():
            time.sleep(0.01)
        os._exit(9)
    with StopRequest() as stop:
        mark.touch()
        while stop.signal_number is None:
            time.sleep(0.01)
    return stop.exit_status
