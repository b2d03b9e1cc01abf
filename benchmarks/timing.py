"""Interleaved timing, in one process or in several, and this machine's matrix-product rate."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import torch

from benchmarks.mistakes import told_in_a_line

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
    with conversations({name: partial(_repeat, make) for name, make in makers.items()}) as steps:
        yield steps


Answer = Callable[[object], None]
"""Gives what was asked for, and returns when more is asked for."""


@contextmanager
def conversations(sides: Mapping[str, Callable[[Answer], None]]) -> Iterator[dict[str, Step]]:
    """Likewise for work that goes on between two answers. Each of `sides` is called when it is
    first asked.

    It has its process' first thread: a second one's OpenMP workers would sleep where the first
    one's wait awake, which costs a fine-tuning step a third of its time.
    """
    context = multiprocessing.get_context("spawn")
    lines: dict[str, Connection] = {}
    children: list[SpawnProcess] = []
    for name, side in sides.items():
        lines[name], theirs = context.Pipe()
        children.append(context.Process(target=_serve, args=(theirs, side), daemon=True))
        children[-1].start()
        theirs.close()  # so that its end is seen here

    def ask(line: Connection, child: SpawnProcess) -> object:
        try:
            line.send(True)
            return line.recv()
        except (EOFError, ConnectionError):  # it has said why
            child.join()
            raise SystemExit(child.exitcode or 1) from None

    both = zip(lines.items(), children, strict=True)
    yield {name: partial(ask, line, child) for (name, line), child in both}
    for line in lines.values():
        line.send(False)
    for child in children:
        child.join()


def _repeat(make: Callable[[], Step], answer: Answer) -> None:
    step = make()
    while True:
        answer(step())


def _serve(line: Connection, side: Callable[[Answer], None]) -> None:
    def answer(value: object) -> None:
        line.send(value)
        wait()

    def wait() -> None:
        try:
            if line.recv():
                return
        except EOFError:  # the other end is gone
            pass
        raise SystemExit

    with told_in_a_line():
        wait()
        side(answer)


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
