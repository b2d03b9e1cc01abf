"""Model folders on GLUE's tasks, and the cells of docs/results.md's tables."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from bertsmith.errors import DataError
from bertsmith.report.images import save
from bertsmith.report.style import MUTED, SERIES, new_figure, styled
from bertsmith.tasks.glue import find_tasks, locate

Scores = dict[str, dict[str, float]]
"""Of each task "median", "min" and "max" over the seeds, 1 at best."""


def finetune(
    model: Path, glue: Path, out: Path, tasks: Mapping[str, int], seeds: int | None = None
) -> Scores:
    """`bertsmith glue` for each of `tasks`, with its epochs; what is finished is not done again.

    With its own number of `seeds` where none is given: three below 10,000 examples, else one.
    """
    scores: Scores = {}
    for task, epochs in tasks.items():
        run(
            *("bertsmith", "glue", "--data", str(glue), "--model", str(model)),
            *("--out", str(out / task), "--tasks", task, "--epochs", str(epochs)),
            *([] if seeds is None else ["--seeds", str(seeds)]),
        )
        found = json.loads((out / task / "glue.json").read_text("utf-8"))
        scores[task] = found["tasks"][task]["scores"]["pretrained"]["score"]
    return scores


def require_tasks(glue: Path, tasks: Iterable[str]) -> None:
    """Raise DataError where the folder lacks one of `tasks`: before hours are spent."""
    for task in find_tasks(list(tasks)):
        for files in (task.train, task.dev):
            if locate(files, [glue]) is None:
                mend = "give the folder with GLUE's official files"
                raise DataError(f"no {files[0].path}", where=glue, mend=mend)


def run(*arguments: str) -> None:
    """`python -m` with these, shown first. Raises CalledProcessError where it fails."""
    print("$ python -m", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", *arguments], check=True)


def mean(scores: Scores) -> float:
    """Of the tasks' medians, in hundredths."""
    return 100 * statistics.mean(score["median"] for score in scores.values())


def cells(scores: Scores) -> list[str]:
    """Each task's median and range in hundredths, and their mean."""
    each = [
        f"{100 * score['median']:.1f} ({100 * score['min']:.1f} to {100 * score['max']:.1f})"
        for score in scores.values()
    ]
    return [*each, f"{mean(scores):.1f}"]


def draw(results: Mapping[str, Scores], path: Path) -> None:
    """A panel a task, a row a model: the median over the seeds, and their range. PNG and SVG."""
    names, tasks = list(results), list(next(iter(results.values())))
    with styled():
        figure = new_figure(0.9 + 0.28 * len(names), 1.6 + 1.3 * len(tasks))
        panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        rows = np.arange(len(names))[::-1]
        for axes, task in zip(panels, tasks, strict=True):
            for row, name in zip(rows, names, strict=True):
                score = results[name][task]
                low, middle, high = (100 * score[key] for key in ("min", "median", "max"))
                axes.plot([low, high], [row, row], color=MUTED, linewidth=1.2)
                axes.plot([middle], [row], marker="o", color=SERIES[0], markersize=5)
            axes.set_title(task)
            axes.set_yticks(rows, names)
            axes.grid(axis="x")
            axes.margins(x=0.15, y=0.12)
        save(figure, path)
