"""Trained in one language, asked in others: XNLI, XQuAD and DRCD, against random weights.

    python -m benchmarks.zero_shot MODEL --data DIR --out DIR [--only NAME ...] [--questions N]

Artetxe et al. 2020 (XQuAD, arXiv:1910.11856) and Hsu et al. 2019 (arXiv:1909.09587, whose case is
DRCD) asked this of multilingual BERT. MODEL is fine-tuned on one language's examples and scored on
the same questions in all: what it knows in a language that it was not fine-tuned in comes from
pre-training alone, which is why the same network is trained from random weights, too. Beside
English stands Chinese, with as many examples: XNLI's Chinese dev set, and DRCD's test set, whose
characters are traditional.

DIR holds nli/, squad/, xquad/ and drcd/. Three seeds where there are fewer than 10,000 examples,
else one; of SQuAD --questions are drawn. What is finished is not done again. Prints the table.
`--quick` is the same thing with a few examples, for one epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.finetuning_sets import ACCURACY, subset
from benchmarks.mistakes import told_in_a_line
from bertsmith.jobs.finetune import finetune_on
from bertsmith.markdown import markdown_table
from bertsmith.tasks import qa
from bertsmith.tasks.base import Task
from bertsmith.tasks.tables import Columns, Labelled

NLI = Columns("premise", "hypothesis", "label")
NLI_LANGUAGES = ("en", "zh", "sw", "ur")
XQUAD_LANGUAGES = ("en", "zh", "de", "es", "ro", "tr", "vi", "ru", "el", "ar", "hi", "th")
QUICK_ROWS = 48


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
        lines = run(arguments)
    head = ["trained on", "examples", "asked", "pre-trained", "random weights"]
    print(markdown_table(head, lines))


def run(arguments: argparse.Namespace) -> list[list[str]]:
    """Fine-tune on each language, and the rows of the table."""
    quick: dict[str, Any] = {"epochs": 1} if arguments.quick else {}
    lines: list[list[str]] = []
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
        scores = json.loads((tuned.folder / "scores.json").read_text("utf-8"))
        for what in asked:
            cells = [spread(scores["runs"], init, what) for init in ("pretrained", "scratch")]
            lines.append([name, f"{len(train.rows):,}", what, *cells])
    return lines


def spread(runs: list[dict[str, Any]], init: str, what: str) -> str:
    """Median (lowest to highest seed) on the set `what`, in hundredths: accuracy, or F1 / EM."""
    found = [run["also"][what] for run in runs if run["init"] == init]
    metrics = ["accuracy"] if "accuracy" in found[0] else ["f1", "exact"]
    cells = []
    for metric in metrics:
        values = [100 * one[metric] for one in found]
        cell = f"{statistics.median(values):.1f}"
        if len(values) > 1:
            cell += f" ({min(values):.1f} to {max(values):.1f})"
        cells.append(cell)
    return " / ".join(cells)


if __name__ == "__main__":
    main()
