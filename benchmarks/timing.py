"""Interleaved timing, in one process or in several, and this machine's matrix-product rate."""

from __future__ import annotations

import multiprocessing
import statistics
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
    threads) is then no help and no harm to the others. A step here asks for one there and waits.
    """
    context = multiprocessing.get_context("spawn")
    lines: dict[str, Connection] = {}
    children = []
    for name, make in makers.items():
        lines[name], theirs = context.Pipe()
        children.append(context.Process(target=_serve, args=(theirs, make), daemon=True))
        children[-1].start()

    def ask(line: Connection) -> None:
        line.send(True)
        line.recv()

    yield {name: lambda line=line: ask(line) for name, line in lines.items()}  # type: ignore[misc]
    for line in lines.values():
        line.send(False)
    for child in children:
        child.join()


def _serve(line: Connection, make: Callable[[], Step]) -> None:
    step = make()
    while line.recv():
        step()
        line.send(True)


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
