"""The same fine-tuning by ours and by transformers' example recipes: scores side by side.

    python -m benchmarks.scores --out DIR [--only NAME ...] [--subset N] [--seeds N]
        [--threads N] [--quick]
    python -m benchmarks.scores --own MODEL --out DIR ...

all-MiniLM-L6-v2 on the sixteen sets of benchmarks/finetuning_sets.py, which has the rates: those
of the recipes, on both sides. Theirs is transformers' Trainer in fp32, as run_glue, run_ner,
run_qa and run_swag set it up; ours is `bertsmith finetune` in the type that it takes on this
machine. Three seeds where there are fewer than 10,000 training examples, one elsewhere, or --seeds
of each. Where theirs would take much more than a quarter of an hour, both are trained on the same
rows, drawn once, and scored on as many of the dev set: --subset N, or a part of N where texts are
long. Ours then also on the whole.
Each run has a process of its own.

With --own: MODEL on the same rows, with bertsmith's defaults for its size and the recipes' lengths,
beside its network with random weights, which is trained alike. DIR is of one MODEL.

DIR/NAME/WHO-ROWS-SEED.json is one run; what is there is not done again, so that the same command
goes on where it was stopped. After every run DIR/table.md and DIR/scores.png are written anew.
`--quick` shows that it all works: 64 rows of every set, one epoch, one seed. It needs
$BERTSMITH_DATA.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from benchmarks.embed import model_folder
from benchmarks.finetuning_sets import SETS, Labels
from benchmarks.mistakes import data_folder, told_in_a_line
from benchmarks.our_finetuning import OurRun
from bertsmith.files import write_text_atomically
from bertsmith.jobs.finetune_folder import Init
from bertsmith.jobs.finetune_plan import require_seeds
from bertsmith.markdown import markdown_table
from bertsmith.report.images import save
from bertsmith.report.style import SERIES, new_figure, styled

if TYPE_CHECKING:
    from benchmarks.their_finetuning import TheirRun

OURS, THEIRS, PRETRAINED, SCRATCH = "ours", "theirs", "pretrained", "scratch"
PEERS, OWN = (OURS, THEIRS), (PRETRAINED, SCRATCH)
"""What is compared."""
SHOWN = {OURS: "ours", THEIRS: "transformers", PRETRAINED: "pre-trained", SCRATCH: "from scratch"}
SEEDS = 3
QUICK_ROWS = 64


@dataclass(frozen=True)
class Plan:
    """One run: of whom, on what, with which seed."""

    name: str
    who: str
    rows: int | None
    """Drawn of each file; None: all."""
    seed: int

    def path(self, out: Path) -> Path:
        """Where its result is."""
        return out / self.name / f"{self.who}-{self.rows or 'all'}-{self.seed}.json"


def plans(
    names: Sequence[str], sides: Sequence[str], rows: int, quick: bool, asked: int | None = None
) -> Iterator[Plan]:
    """All runs: both sides of every set, then ours on the whole of those that were drawn from."""
    usual = {name: SEEDS if SETS[name].few and not quick else 1 for name in names}
    seeds = {name: range(asked or usual[name]) for name in names}
    drawn = {
        name: QUICK_ROWS if quick else round(rows * SETS[name].drawn) or None for name in names
    }
    for name in names:
        yield from (Plan(name, who, drawn[name], seed) for seed in seeds[name] for who in sides)
    for name in names:
        if drawn[name] and OURS in sides and not quick:
            yield from (Plan(name, OURS, None, seed) for seed in seeds[name])


def load(name: str, rows: int | None) -> Labels:
    """A set, or what is drawn of it."""
    return SETS[name].load(name, data_folder(), rows)


def run(plan: Plan, model: Path, epochs: int | None, threads: int) -> dict[str, Any]:
    """Train, and be scored on the dev set and the further ones."""
    torch.set_num_threads(threads)
    labels = load(plan.name, plan.rows)
    if epochs is not None:
        labels = replace(labels, recipe=replace(labels.recipe, epochs=epochs))
    made = _prepared(plan, labels, model, epochs)
    began = time.perf_counter()
    made.train()
    seconds = time.perf_counter() - began
    scores = labels.scores(made.metrics(labels.dev))
    for also, data in labels.also.items():
        own = labels.scores(made.metrics(data))
        scores |= {f"{also} {metric}": score for metric, score in own.items()}
    made.close()
    return {
        "who": plan.who,
        "rows": plan.rows,
        "seed": plan.seed,
        "precision": made.precision,
        "train": len(labels.train.rows),
        "dev": len(labels.dev.rows),
        "recipe": made.recipe,
        "seconds": round(seconds, 1),
        "scores": scores,
    }


def _prepared(plan: Plan, labels: Labels, model: Path, epochs: int | None) -> OurRun | TheirRun:
    if plan.who == THEIRS:
        from benchmarks.their_finetuning import TheirRun

        return TheirRun(labels, model, plan.seed)
    init = None if plan.who == OURS else cast(Init, plan.who)
    return OurRun(labels, model, plan.seed, init=init, epochs=epochs)


@dataclass(frozen=True)
class Line:
    """One metric of one set: every seed's score on either side."""

    name: str
    metric: str
    scores: Mapping[str, Sequence[float]]
    """Of the one side, and of the other."""
    whole: float | None
    train: int
    dev: int
    is_drawn: bool

    @property
    def difference(self) -> float:
        """Of the medians, in points."""
        one, other = map(statistics.median, self.scores.values())
        return 100 * (one - other)

    def cells(self) -> list[str]:
        """A row of the table."""
        drawn = " (drawn)" if self.is_drawn else ""
        return [
            self.name,
            self.metric,
            *map(_spread, self.scores.values()),
            f"{self.difference:+.1f}",
            f"{self.train:,} / {self.dev:,}{drawn}",
            *([] if OURS not in self.scores else [_whole(self.whole)]),
        ]


def _whole(score: float | None) -> str:
    return "" if score is None else f"{100 * score:.1f}"


def _spread(values: Sequence[float]) -> str:
    median, low, high = (100 * f(values) for f in (statistics.median, min, max))
    return f"{median:.1f}" + (f" ({low:.1f}, {high:.1f})" if len(values) > 1 else "")


def lines(out: Path, sides: Sequence[str] = PEERS) -> list[Line]:
    """Of all sets that have a run on either side, in their order."""
    found = []
    for name in SETS:
        runs = [json.loads(path.read_text("utf-8")) for path in sorted((out / name).glob("*.json"))]
        compared = [run for run in runs if run["who"] == sides[1]]
        if not compared:
            continue
        first = compared[0]
        rows = first["rows"]
        alike = {
            side: [run for run in runs if run["who"] == side and run["rows"] == rows]
            for side in sides
        }
        if not all(alike.values()):
            continue
        whole = [run for run in runs if run["rows"] is None and rows is not None]
        for metric in first["scores"]:
            scores = {side: [r["scores"][metric] for r in own] for side, own in alike.items()}
            wholes = [run["scores"][metric] for run in whole]
            median = statistics.median(wholes) if wholes else None
            found.append(
                Line(name, metric, scores, median, first["train"], first["dev"], rows is not None)
            )
    return found


def table(found: Sequence[Line], sides: Sequence[str] = PEERS) -> str:
    """As docs/results.md has it."""
    head = ["set", "metric", *(SHOWN[side] for side in sides), "difference", "train / dev"]
    if OURS in sides:
        head.append("ours, whole set")
    return markdown_table(head, (line.cells() for line in found))


def draw(found: Sequence[Line], path: Path, sides: Sequence[str] = PEERS) -> None:
    """Every seed's score, the one side's above the other's, as PNG and SVG."""
    with styled():
        figure = new_figure(1.0 + 0.3 * len(found))
        axes = figure.add_subplot()
        for side, colour, shift in zip(sides, SERIES, (-0.13, 0.13), strict=False):
            points = np.array(
                [
                    (100 * score, place + shift)
                    for place, line in enumerate(found)
                    for score in line.scores[side]
                ]
            )
            axes.scatter(points[:, 0], points[:, 1], s=22, color=colour, label=SHOWN[side])
        axes.set_yticks(range(len(found)), [f"{line.name}, {line.metric}" for line in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.set_xlabel("dev score, a dot a seed")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
        save(figure, path)


@told_in_a_line()
def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--own", type=Path, metavar="MODEL")
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS), metavar="NAME")
    parser.add_argument("--subset", type=int, default=4000, metavar="N")
    parser.add_argument("--seeds", type=int, metavar="N")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    require_seeds(arguments.seeds)
    out: Path = arguments.out
    sides, model = (OWN, arguments.own) if arguments.own else (PEERS, model_folder())
    epochs = 1 if arguments.quick else None
    data_folder()
    for plan in plans(arguments.only, sides, arguments.subset, arguments.quick, arguments.seeds):
        path = plan.path(out)
        if path.exists():
            continue
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            result = pool.submit(run, plan, model, epochs, arguments.threads).result()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, json.dumps(result, indent=1) + "\n")
        print(f"{path.relative_to(out)}: {result['seconds']:.0f} s, {result['scores']}", flush=True)
        found = lines(out, sides)
        if found:
            write_text_atomically(out / "table.md", table(found, sides) + "\n")
            draw(found, out / "scores", sides)
    print(table(lines(out, sides), sides))


if __name__ == "__main__":
    main()
