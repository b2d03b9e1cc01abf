"""Fine-tunings side by side: each in a process, all of them stopped and resumed together."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import torch

from bertsmith.errors import TrainingError
from bertsmith.files import write_text_atomically
from bertsmith.jobs.finetune import finetune
from bertsmith.jobs.progress import Bar
from bertsmith.jobs.signals import StopRequest
from bertsmith.text.workers import worker_pool

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Job:
    """One fine-tuning: `finetune`'s arguments, where it is said that it diverged, its weight."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    diverged: Path
    epochs: int
    """Of all seeds."""

    @property
    def out(self) -> Path:
        """Its run folder."""
        return Path(self.arguments[-1])


def run_jobs(jobs: Sequence[Job], workers: int, on_end: Callable[[], None]) -> int:
    """Run all of them, `workers` at a time; the exit status: 0, or 128 + the signal that stopped
    them. `on_end` is called after each that is finished.

    A job whose loss is not finite is named in its file; any other error ends all of them. Killed
    with this process, they end with it.
    """
    workers = min(workers, len(jobs))
    stopping = multiprocessing.get_context("spawn").Event()
    threads = max(1, torch.get_num_threads() // workers)
    waiting, running = deque(jobs), set[Future[int]]()
    status = 0
    with (
        Bar("searching", sum(job.epochs for job in jobs), workers > 1) as bar,
        StopRequest() as stop,
        worker_pool(workers, partial(_prepare, stopping, threads)) as pool,
    ):
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    running.add(pool.submit(run_job, waiting.popleft(), workers == 1))
                done, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
                for future in done:
                    status = future.result() or status
                    on_end()
                status = status or stop.exit_status
                if status:
                    waiting.clear()
                    stopping.set()
                finished = sum(map(_is_finished, jobs))
                bar.update(_epochs(jobs), f"{finished} of {len(jobs)} points")
        except BrokenProcessPool:
            raise TrainingError(
                "a process of the search was lost",
                mend="give fewer --workers where memory is short; the same command goes on",
            ) from None
        finally:
            stopping.set()
    return status


def run_job(job: Job, show_progress: bool) -> int:
    """Its exit status."""
    try:
        result = finetune(*job.arguments, show_progress=show_progress, **job.keywords)
    except TrainingError as error:
        job.out.mkdir(parents=True, exist_ok=True)
        write_text_atomically(job.diverged, json.dumps({"error": str(error)}) + "\n")
        return 0
    return result.exit_status


def _prepare(stopping: Event, threads: int) -> None:
    """In a new process: leave signals to this one's parent, and take a share of the cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(threads)
    threading.Thread(target=_pass_on, args=(stopping,), daemon=True).start()


def _pass_on(stopping: Event) -> None:
    """Ask this process to stop until it does: what it is at may not be listening yet."""
    stopping.wait()
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(POLL_SECONDS)


def _is_finished(job: Job) -> bool:
    return (job.out / "scores.json").is_file() or job.diverged.is_file()


def _epochs(jobs: Sequence[Job]) -> float:
    """How many are trained: a job's by its finished seeds."""
    done = 0.0
    for job in jobs:
        seeds = len(list((job.out / "runs").glob("*.json"))) / job.keywords["seeds"]
        done += job.epochs * (1.0 if _is_finished(job) else min(1.0, seeds))
    return done
