"""A few processes that talk to each other, as torchrun would start them, and what they return."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from torch.distributed import TCPStore

PRELOADED = ["bertsmith.jobs.pretrain", "torch.distributed.fsdp", "torch.distributed.tensor"]
"""Imported once; the processes are forked from there."""
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(PRELOADED)


class Together:
    """`size` processes that call `function(*args)`; none outlives `seconds`."""

    def __init__(self, size: int, function: Callable[..., Any], *args: Any, seconds: float = 270.0):
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self._until = time.monotonic() + seconds
        self._lines, self.processes = [], []
        for rank in range(size):
            ours, theirs = context.Pipe(duplex=False)
            environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size} | {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": self._store.port,
                "TORCHELASTIC_USE_AGENT_STORE": True,
                "OMP_NUM_THREADS": 1,
            }
            process = context.Process(target=_work, args=(environment, function, args, theirs))
            process.start()
            theirs.close()
            self._lines.append(ours)
            self.processes.append(process)

    def results(self) -> list[Any]:
        """What each returned, or the exception that ended it."""
        try:
            found = []
            for line in self._lines:
                assert line.poll(max(0.0, self._until - time.monotonic())), "a process hangs"
                found.append(line.recv())
            return found
        finally:
            for process in self.processes:
                process.join(1.0)
                process.kill()


def together(size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """What `function(*args)` returns in each of `size` processes."""
    return Together(size, function, *args).results()


def _work(
    environment: dict[str, object], function: Callable[..., Any], args: Any, line: Connection
) -> None:
    os.environ |= {key: str(value) for key, value in environment.items()}
    try:
        result = function(*args)
    except BaseException as error:
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        result = error
    line.send(result)
