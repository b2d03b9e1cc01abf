"""Several trainings at a time, each in a process, all of them stopped together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

import torch

from bertsmith.config import ModelConfig
from bertsmith.errors import ConfigError, TrainingError
from bertsmith.jobs.signals import StopRequest
from bertsmith.tasks.fit import MICRO_TOKENS
from bertsmith.text.workers import worker_pool

POLL_SECONDS = 0.5
COPIES = 8
"""Of its weights that a fine-tuning needs memory for, about, ..."""
BASE_BYTES = 1 << 30
"""... what a process does, ..."""
UNIT_BYTES = 220
"""... and each hidden unit of each layer, for each token that is in the network at once
(docs/results.md)."""

Item = TypeVar("Item")
Value = TypeVar("Value")


def require_workers(workers: int | None) -> None:
    """Raise ConfigError for a number of processes that is none."""
    if workers is not None and workers < 1:
        raise ConfigError(f"{workers} are none", where="workers", mend="give 1 or more")


def usual_workers(items: int, each: int) -> int:
    """As many as there are items, cores that torch would use, and memory for, `each` taking so
    many bytes."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(items, torch.get_num_threads(), memory // each))


def bytes_of(config: ModelConfig, weights: int) -> int:
    """Memory of one fine-tuning, `weights` bytes being its model's."""
    units = config.num_layers * config.hidden_size
    return COPIES * weights + BASE_BYTES + UNIT_BYTES * units * MICRO_TOKENS


def side_by_side(
    function: Callable[[Item], Value],
    items: Sequence[Item],
    workers: int,
    threads: int,
    on_end: Callable[[Item, Value], int],
    on_poll: Callable[[], None],
) -> int:
    """Call `function` with each item, `workers` at a time, each in a process that computes with
    `threads`; the exit status: 0, or 128 + the signal that stopped them.

    `on_end` is called here with what comes of each, and gives its exit status; the first that is
    not 0 stops all, as a signal does. What one raises ends all of them and is raised here. Killed
    with this process, they end with it. With one worker, `function` is called here. Raises
    TrainingError where a process is lost.
    """
    waiting, running = deque(items), dict[Future[Value], Item]()
    status = 0
    with (
        _line() as stops,
        _line() as losses,
        StopRequest() as stop,
        worker_pool(workers, partial(_prepare, stops.there, losses.there, threads)) as pool,
    ):
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    item = waiting.popleft()
                    running[pool.submit(_at_work_on, function, item)] = item
                for future in wait(running, POLL_SECONDS, FIRST_COMPLETED).done:
                    status = on_end(running.pop(future), future.result()) or status
                status = status or stop.exit_status
                if status:
                    waiting.clear()
                    stops.cut()
                on_poll()
        except BrokenProcessPool:
            losses.cut()
            raise TrainingError(
                "a process was lost",
                mend="give fewer --workers where memory is short; the same command goes on",
            ) from None
        finally:
            stops.cut()
    return status


@dataclass(frozen=True)
class _Line:
    """What all of several processes hear when it is cut; that comes through whoever dies."""

    here: Connection
    there: Connection

    def cut(self) -> None:
        self.here.close()


@contextmanager
def _line() -> Iterator[_Line]:
    there, here = multiprocessing.get_context("spawn").Pipe(duplex=False)
    with there, here:
        yield _Line(here, there)


def _prepare(stops: Connection, losses: Connection, threads: int) -> None:
    """In a new process: leave signals to this one's parent, and take a share of the cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(threads)
    threading.Thread(target=_pass_on, args=(stops, losses), daemon=True).start()


_AT_WORK = threading.Event()
"""Whether this process has something to stop."""


def _at_work_on(function: Callable[[Item], Value], item: Item) -> Value:
    _AT_WORK.set()
    try:
        return function(item)
    finally:
        _AT_WORK.clear()


def _pass_on(stops: Connection, losses: Connection) -> None:
    """Ask this process to stop until it does: what it is at may not be listening yet.

    Where another process was lost, the pool tells nobody of the end any more.
    """
    wait_for([stops, losses])
    while _AT_WORK.is_set() or not losses.poll():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(POLL_SECONDS)
    os._exit(1)
