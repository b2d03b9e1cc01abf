"""Several processes at a time, and what becomes of the others where one is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import pytest

from bertsmith.errors import TrainingError
from bertsmith.jobs import processes
from bertsmith.text.workers import worker_pool

from .lost import work_or_die


def test_one_that_is_lost_is_told_of_and_ctrl_c_while_they_start_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is sent to all; it is the first process that stops the others."""

    def interrupted(workers: int, prepare: Callable[[], None]) -> Executor:
        pool = worker_pool(workers, prepare)
        assert isinstance(pool, ProcessPoolExecutor)
        for number in pool._processes:
            os.kill(number, signal.SIGINT)
        return pool

    monkeypatch.setattr(processes, "worker_pool", interrupted)
    mark = tmp_path / "at work"
    items = [("works", mark), ("dies", mark), ("waits", mark)]
    with pytest.raises(TrainingError, match="a process was lost; give fewer --workers"):
        processes.side_by_side(work_or_die, items, 2, 1, lambda item, status: status, lambda: None)
    assert mark.exists()
