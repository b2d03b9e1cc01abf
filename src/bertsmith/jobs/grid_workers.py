"""The points of a search, each a fine-tuning of its own, several at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bertsmith.files import write_text_atomically
from bertsmith.jobs.finetune import finetune
from bertsmith.jobs.finetune_runs import DivergedError
from bertsmith.jobs.processes import side_by_side
from bertsmith.jobs.progress import Bar


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
    them. `on_end` is called after each that is finished. Each has its share of the cores, where few
    are left, too, since a run's rounding depends on its threads.

    A job whose loss is not finite is named in its file; any other error ends all of them.
    """
    threads = max(1, torch.get_num_threads() // workers)
    processes = min(workers, max(2, len(jobs)))
    with Bar("searching", sum(job.epochs for job in jobs), workers > 1) as bar:

        def ended(job: Job, status: int) -> int:
            on_end()
            return status

        def show() -> None:
            finished = sum(map(_is_finished, jobs))
            bar.update(_epochs(jobs), f"{finished} of {len(jobs)} points")

        run = partial(run_job, show_progress=workers == 1)
        return side_by_side(run, jobs, processes, threads, ended, show)


def run_job(job: Job, show_progress: bool) -> int:
    """Its exit status. Its runs go one after the other: the points are side by side."""
    try:
        result = finetune(*job.arguments, show_progress=show_progress, workers=1, **job.keywords)
    except DivergedError as error:
        job.out.mkdir(parents=True, exist_ok=True)
        write_text_atomically(job.diverged, json.dumps({"error": str(error)}) + "\n")
        return 0
    return result.exit_status


def _is_finished(job: Job) -> bool:
    return (job.out / "scores.json").is_file() or job.diverged.is_file()


def _epochs(jobs: Sequence[Job]) -> float:
    """How many are trained: a job's by its finished seeds."""
    done = 0.0
    for job in jobs:
        seeds = len(list((job.out / "runs").glob("*.json"))) / job.keywords["seeds"]
        done += job.epochs * (1.0 if _is_finished(job) else min(1.0, seeds))
    return done
