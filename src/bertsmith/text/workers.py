"""Workers for pure functions, here or on a cluster, and results in the order of the tasks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import ParamSpec, TypeVar

from bertsmith.errors import ConfigError, CorpusError

DASK_SECONDS = 10
"""To wait for a scheduler."""
ASKING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a process to stop."""

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class InlineExecutor(Executor):
    """Runs each task at once, in the caller's thread."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call `fn` and return its finished future."""
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def worker_pool(workers: int, prepare: Callable[[], None]) -> Executor:
    """`workers` fresh processes, each of which has called `prepare`; for 1, this thread.

    The processes import the functions they are sent, not the caller's script, so a script
    needs no `if __name__ == "__main__"`. They end with the caller, even if it is killed.
    """
    if workers == 1:
        return InlineExecutor()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=partial(_begin, prepare))
    with _without_main(), _asking_held():
        for _ in range(workers):
            pool.submit(os.getpid)  # starts a process
    return pool


def _begin(prepare: Callable[[], None]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _asking_held() -> Iterator[None]:
    """Processes that are started in this block take no request to stop before they have called
    `prepare`: Ctrl-C is sent to all, and one that is still importing would die of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def dask_cluster(address: str) -> Iterator[tuple[Executor, int]]:
    """The workers of the dask scheduler at `address`, and how many tasks they run at once.

    They must see the folders that tasks name, and have this package. Raises ConfigError where
    no scheduler answers or it has no workers, CorpusError where workers are lost.
    """
    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise ConfigError(
            "dask is not installed", where="--dask", mend="pip install 'bertsmith[dask]'"
        ) from None
    mend = "start one with `dask scheduler`, and workers with `dask worker`"
    try:
        client = Client(address, timeout=DASK_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        what = f"no dask scheduler answers at {address!r} ({error})"
        raise ConfigError(what, where="--dask", mend=mend) from None
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise ConfigError(f"{address!r} has no workers", where="--dask", mend=mend)
        try:
            yield client.get_executor(pure=False), threads
        except KilledWorker as error:
            raise CorpusError(
                f"a task was lost with each worker that it was given ({error.last_worker.address})",
                mend="look at the workers' logs; the same command goes on",
            ) from None


def map_in_order(
    executor: Executor, function: Callable[[T], R], tasks: Iterable[T], ahead: int
) -> Iterator[R]:
    """Results in the order of `tasks`, of which `ahead` are under way at most."""
    futures: deque[Future[R]] = deque()
    for task in tasks:
        futures.append(executor.submit(function, task))
        if len(futures) > ahead:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()
