"""Interleaved timing, in one process or in several, and this machine's matrix-product rate."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection

import torch

Step = Callable[[], object]


def interleave(steps: Mapping[str, Step], rounds: int) -> dict[str, float]:
    """Median seconds of each of `steps`, taken in turn `rounds` times after one warm-up each.

    Whatever else the machine does then falls on all of them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


@contextmanager
def processes(makers: Mapping[str, Callable[[], Step]]) -> Iterator[dict[str, Step]]:
    """Steps that run each in a process of its own, as their users run them.

    `makers` are pickled and called there. What one does to its process (how it allocates, its
    threads) is then no help and no harm to the others. A step here asks for one there, waits, and
    returns what that one does.
    """
    context = multiprocessing.get_context("spawn")
    lines: dict[str, Connection] = {}
    children = []
    for name, make in makers.items():
        lines[name], theirs = context.Pipe()
        children.append(context.Process(target=_serve, args=(theirs, make), daemon=True))
        children[-1].start()

    def ask(line: Connection) -> object:
        line.send(True)
        return line.recv()

    yield {name: lambda line=line: ask(line) for name, line in lines.items()}  # type: ignore[misc]
    for line in lines.values():
        line.send(False)
    for child in children:
        child.join()


def _serve(line: Connection, make: Callable[[], Step]) -> None:
    step = make()
    while line.recv():
        line.send(step())


class Turns:
    """Work of many steps that goes on for `steps` of them whenever it is called.

    `work` calls the function that it is given after each of its steps; it runs in a thread that
    waits between turns. A call says whether it has come to its end, and raises what it raised.
    """

    def __init__(self, work: Callable[[Callable[[], None]], None], steps: int) -> None:
        self._steps, self._done = steps, 0
        self._go, self._over = threading.Semaphore(0), threading.Semaphore(0)
        self._ended = False
        self._error: BaseException | None = None
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def __call__(self) -> bool:
        """One turn."""
        self._go.release()
        self._over.acquire()
        if self._error is not None:
            raise self._error
        return self._ended

    def _run(self, work: Callable[[Callable[[], None]], None]) -> None:
        self._go.acquire()
        try:
            work(self._after_step)
        except BaseException as error:
            self._error = error
        self._ended = True
        self._over.release()

    def _after_step(self) -> None:
        self._done += 1
        if self._done % self._steps == 0:
            self._over.release()
            self._go.acquire()


def matmul_rate(dtype: torch.dtype) -> float:
    """FLOP/s of the best of a few large matrix products in `dtype`, each the median of 5."""
    best = 0.0
    for rows, inner, columns in ((4096, 1024, 1024), (4096, 256, 1024), (1024, 4096, 1024)):
        left, right = (
            torch.randn(rows, inner, dtype=dtype),
            torch.randn(inner, columns, dtype=dtype),
        )
        seconds = interleave({"matmul": lambda a=left, b=right: a @ b}, rounds=5)["matmul"]  # type: ignore[misc]
        best = max(best, 2.0 * rows * inner * columns / seconds)
    return best


def ratio(what: str, value: float, bar: float) -> None:
    """Print one figure beside the bar it is held against."""
    print(f"ratio {what} {value:.2f} bar {bar:.2f}", flush=True)
