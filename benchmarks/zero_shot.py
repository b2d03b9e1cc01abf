"""Trained in one language, asked in others: XNLI, XQuAD and DRCD, against random weights.

    python -m benchmarks.zero_shot MODEL --data DIR --out DIR [--only NAME ...] [--questions N]

Artetxe et al. 2020 (XQuAD, arXiv:1910.11856) and Hsu et al. 2019 (arXiv:1909.09587, whose case is
DRCD) asked this of multilingual BERT. MODEL is fine-tuned on one language's examples and scored on
the same questions in all: what it knows in a language that it was not fine-tuned in comes from
pre-training alone, which is why the same network is trained from random weights, too. Beside
English stands Chinese, with as many examples: XNLI's Chinese dev set, and DRCD's test set, whose
characters are traditional.

DIR holds nli/, squad/, xquad/ and drcd/. Three seeds where there are fewer than 10,000 examples,
else one; of SQuAD --questions are drawn. What is finished is not done again. Prints the table, and
leaves OUT/accuracy.png and OUT/f1.png. `--quick` is the same thing with a few examples, for one
epoch.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.finetuning_sets import ACCURACY, subset
from benchmarks.mistakes import told_in_a_line
from bertsmith.jobs.finetune import finetune_on
from bertsmith.jobs.finetune_folder import Init
from bertsmith.markdown import markdown_table
from bertsmith.report.images import save
from bertsmith.report.style import MUTED, SERIES, new_figure, styled
from bertsmith.tasks import qa
from bertsmith.tasks.base import Task
from bertsmith.tasks.tables import Columns, Labelled

NLI = Columns("premise", "hypothesis", "label")
NLI_LANGUAGES = ("en", "zh", "sw", "ur")
XQUAD_LANGUAGES = ("en", "zh", "de", "es", "ro", "tr", "vi", "ru", "el", "ar", "hi", "th")
QUICK_ROWS = 48
SHOWN: dict[Init, str] = {"pretrained": "pre-trained", "scratch": "random weights"}
CHANCE = {"accuracy": 1 / 3}
"""Of three answers."""


@dataclass(frozen=True)
class Training:
    """What a model is fine-tuned on, and which sets it is asked."""

    task: Task[Any, Any]
    file: str
    asked: Mapping[str, str]
    """Names of sets, and their files; the first is the dev set."""
    columns: Columns | None = None
    rows: int | None = None
    """So many are drawn; None: all."""

    def table(self, data: Path, file: str, rows: int | None) -> Labelled[Any]:
        """`rows` of a file, or all of it."""
        path = data / file
        found = self.task.read(path) if self.columns is None else self.task.read(path, self.columns)
        return subset(found, rows)


def trainings(questions: int) -> dict[str, Training]:
    """By what they are trained on."""
    xnli = {f"XNLI {name}": f"nli/xnli_{name}_test.tsv" for name in NLI_LANGUAGES}
    xquad = {f"XQuAD {name}": f"xquad/xquad.{name}.json" for name in XQUAD_LANGUAGES}
    drcd = {"DRCD": "drcd/DRCD_dev.json"}
    few = 3500
    return {
        "English NLI": Training(ACCURACY, "nli/train.tsv", xnli, NLI),
        "XNLI's dev set, English": Training(ACCURACY, "nli/xnli_en_dev.tsv", xnli, NLI),
        "XNLI's dev set, Chinese": Training(ACCURACY, "nli/xnli_zh_dev.tsv", xnli, NLI),
        "English questions": Training(
            qa.TASK, "squad/train-v1.1.json", xquad | drcd, rows=questions
        ),
        "as many English questions as Chinese": Training(
            qa.TASK, "squad/train-v1.1.json", xquad | drcd, rows=few
        ),
        "Chinese questions": Training(qa.TASK, "drcd/DRCD_test.json", drcd | xquad, rows=few),
    }


def main() -> None:
    """Fine-tune what is asked for on the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=20_000)
    parser.add_argument("--only", nargs="+", choices=trainings(0), metavar="NAME")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with told_in_a_line():
        found = run(arguments)
    head = ["trained on", "examples", "asked", *SHOWN.values()]
    print(markdown_table(head, [one.cells() for one in found]))
    for metric in ("accuracy", "f1"):
        own = [one for one in found if one.metrics[0] == metric]
        if own:
            draw(own, arguments.out / metric)


@dataclass(frozen=True)
class Asked:
    """A set, and what models that were fine-tuned on one language's examples scored on it."""

    training: str
    examples: int
    name: str
    scores: Mapping[Init, Mapping[str, Sequence[float]]]
    """By what they began from: accuracy, or F1 and exact match, one a seed."""

    @property
    def metrics(self) -> list[str]:
        """Which these are."""
        return list(self.scores["pretrained"])

    def cells(self) -> list[str]:
        """A row of the table: medians (lowest to highest seed), in hundredths."""
        spreads = [
            " / ".join(spread(self.scores[init][metric]) for metric in self.metrics)
            for init in SHOWN
        ]
        return [self.training, f"{self.examples:,}", self.name, *spreads]


def run(arguments: argparse.Namespace) -> list[Asked]:
    """Fine-tune on each language, and ask in all."""
    quick: dict[str, Any] = {"epochs": 1} if arguments.quick else {}
    found: list[Asked] = []
    for name, training in trainings(arguments.questions).items():
        if name not in (arguments.only or [name]):
            continue
        rows = QUICK_ROWS if arguments.quick else None
        asked = {
            what: training.table(arguments.data, file, rows)
            for what, file in training.asked.items()
        }
        train = training.table(arguments.data, training.file, rows or training.rows)
        tuned = finetune_on(
            training.task,
            train,
            next(iter(asked.values())),
            model=arguments.model,
            out=arguments.out / name.replace(" ", "-"),
            also=asked,
            from_scratch=True,
            seeds=1 if arguments.quick else None,
            **quick,
        )
        if not tuned.finished:
            raise SystemExit(tuned.exit_status)
        found += [
            Asked(name, len(train.rows), what, scores_on(what, tuned.scores["runs"]))
            for what in asked
        ]
    return found


def scores_on(what: str, runs: Sequence[Mapping[str, Any]]) -> dict[Init, dict[str, list[float]]]:
    """Of all seeds, on the set `what`."""
    metrics = ["accuracy"] if "accuracy" in runs[0]["also"][what] else ["f1", "exact"]
    return {
        init: {
            metric: [run["also"][what][metric] for run in runs if run["init"] == init]
            for metric in metrics
        }
        for init in SHOWN
    }


def spread(values: Sequence[float]) -> str:
    """Median (lowest to highest), in hundredths."""
    median, low, high = (100 * of(values) for of in (statistics.median, min, max))
    return f"{median:.1f}" + (f" ({low:.1f} to {high:.1f})" if len(values) > 1 else "")


def draw(found: Sequence[Asked], path: Path) -> None:
    """A panel for each training, a row for each set, a dot for each seed, as PNG and SVG."""
    panels = list(dict.fromkeys(one.training for one in found))
    rows = list(dict.fromkeys(one.name for one in found))
    metric = found[0].metrics[0]
    with styled():
        figure = new_figure(1.3 + 0.25 * len(rows), width=2.0 + 2.0 * len(panels))
        all_axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axes, panel in zip(all_axes, panels, strict=True):
            for init, colour, shift in zip(SHOWN, SERIES, (-0.12, 0.12), strict=False):
                points = [
                    (100 * score, rows.index(one.name) + shift)
                    for one in found
                    if one.training == panel
                    for score in one.scores[init][metric]
                ]
                axes.scatter(*zip(*points, strict=True), s=18, color=colour, label=SHOWN[init])
            if metric in CHANCE:
                axes.axvline(100 * CHANCE[metric], color=MUTED, linewidth=1, label="chance")
            axes.set_title(_in_two_lines(panel), fontsize=9)
            axes.set_yticks(range(len(rows)), rows)
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.grid(axis="x")
        figure.supxlabel(f"{'F1' if metric == 'f1' else metric}, %; a dot a seed", fontsize=10)
        handles, names = all_axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=3, frameon=False)
        save(figure, path)


def _in_two_lines(text: str) -> str:
    """Cut at the space nearest to the middle."""
    spaces = [place for place, letter in enumerate(text) if letter == " "]
    cut = min(spaces, key=lambda place: abs(place - len(text) / 2))
    return f"{text[:cut]}\n{text[cut + 1 :]}"


if __name__ == "__main__":
    main()
