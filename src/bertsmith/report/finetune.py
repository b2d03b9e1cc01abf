"""The report of a fine-tuning run, from its scores.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertsmith.report.answers import answer_sections
from bertsmith.report.figures import confusion_matrix, epoch_curves
from bertsmith.report.page import (
    Cell,
    FigureSection,
    Heading,
    KeyValues,
    Note,
    Section,
    Table,
    Text,
    write_report,
)
from bertsmith.report.scores import FinetuneRun, Scores, Spread, TypeScores, read_scores
from bertsmith.tasks.findings import told_of_known
from bertsmith.tasks.metrics import METRIC_NAMES
from bertsmith.tasks.mistakes import FILE
from bertsmith.tasks.protocol import Protocol

INIT_NAMES = {"pretrained": "pre-trained", "scratch": "from scratch"}
NAMES = {**METRIC_NAMES, "train_loss": "training loss", "dev_loss": "held-out loss"}
MOST_CURVES = 5  # figures of the history
MOST_MISTAKES = 12  # rows
MOST_CELL = 160  # characters


def write_finetune_report(run_folder: Path) -> Path:
    """Write RUN/report.html from RUN/scores.json. Returns its path. Raises DataError."""
    scores = read_scores(run_folder / "scores.json")
    title = f"{scores.task}, fine-tuned"
    return write_report(
        run_folder / "report.html",
        title,
        finetune_summary(scores),
        finetune_sections(scores, run_folder),
    )


def finetune_summary(scores: Scores) -> str:
    """One or two sentences: the best median, and what pre-training was worth."""
    metric = scores.metrics[-1] if scores.metrics else ""
    medians = {
        init: spread[metric].median for init, spread in scores.summary.items() if metric in spread
    }
    if not medians:
        return f"{scores.model}, fine-tuned on {scores.train_examples:,} examples."
    parts = [f"{value:.3f} {_init(init)}" for init, value in medians.items()]
    sentence = (
        f"{_metric(metric)} {' against '.join(parts)}, median over seeds, on "
        f"{scores.dev_examples:,} held-out examples after {scores.train_examples:,} for training."
    )
    return _capital(sentence)


def finetune_sections(scores: Scores, run_folder: Path | None = None) -> list[Section]:
    """The parts of the page, for a page of one's own; `run_folder` has the best run's answers."""
    failed = [run for run in scores.runs if run.failed]
    sections: list[Section] = [_summary_table(scores)]
    if failed:
        names = ", ".join(f"{_init(run.init)} seed {run.seed}" for run in failed)
        sections.append(Note(f"{len(failed)} of {len(scores.runs)} runs failed to learn: {names}."))
    sections += [Heading("Course"), *_course(scores.runs)]
    if classes := [*_types(scores), *_classes(scores), *_labels(scores)]:
        sections += [Heading("Classes"), *classes]
    if run_folder is not None:
        runs = [run.model_dump() for run in scores.runs]
        best = max(runs, key=_merit)
        sections += answer_sections(runs, best, run_folder)
        sections += _mistakes(run_folder / FILE)
    sections += [Heading("Protocol"), *_protocol(scores)]
    return sections


def _mistakes(path: Path) -> list[Section]:
    """The first lines of errors.tsv."""
    if not path.is_file():
        return []
    columns, *rows = (line.split("\t") for line in path.read_text("utf-8").splitlines())
    if not rows:
        return []
    shown = [[f"{c[:MOST_CELL]}…" if len(c) > MOST_CELL else c for c in row] for row in rows]
    caption = "What the best run got wrong, the worst first; more of them are in errors.tsv."
    return [Heading("Worst mistakes"), Table(columns, shown[:MOST_MISTAKES], caption)]


def _merit(run: Mapping[str, Any]) -> tuple[bool, float]:
    """Of a run that answers or chooses: the best of these is the one that is kept."""
    return run["init"] == "pretrained", float(run.get("f1") or run.get("accuracy") or 0.0)


def class_scores(matrix: npt.ArrayLike) -> list[tuple[float, float, float]]:
    """(precision, recall, F1) of every class of a confusion matrix (rows: true class).

    0 where there is nothing to divide by, as is usual.
    """
    counts = np.asarray(matrix, dtype=float)
    hits, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    precision, recall = hits / np.maximum(predicted, 1), hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(true + predicted, 1)
    return [(float(p), float(r), float(f)) for p, r, f in zip(precision, recall, f1, strict=True)]


def _summary_table(scores: Scores) -> Table:
    columns = ["model", "seeds"]
    for metric in scores.metrics:
        columns += [_metric(metric), "lowest", "highest", "95 % interval"]
    rows = []
    for init, spreads in scores.summary.items():
        row: list[str | int | float] = [_init(init), sum(run.init == init for run in scores.runs)]
        for metric in scores.metrics:
            spread = spreads.get(metric)
            row += [spread.median, spread.min, spread.max] if spread else ["", "", ""]
            row.append(_interval(spread))
        rows.append(row)
    drawn = scores.drawn or scores.unit
    caption = (
        "Held-out scores: the median over seeds, and their range. The interval is what other "
        f"{drawn} of the same kind would give (bootstrap over the held-out ones, the median over "
        "seeds)."
    )
    return Table(columns, rows, caption)


def _interval(spread: Spread | None) -> str:
    if spread is None or spread.low is None or spread.high is None:
        return ""
    return f"{spread.low:.3f} to {spread.high:.3f}"


def _course(runs: Sequence[FinetuneRun]) -> list[Section]:
    histories = {
        _init(init): [run.history for run in runs if run.init == init]
        for init in dict.fromkeys(run.init for run in runs)
    }
    keys = dict.fromkeys(
        key for run in runs for record in run.history for key in record if key != "epoch"
    )
    if not keys:
        return [Text("No epoch was logged.")]
    return [
        FigureSection(
            epoch_curves(histories, key, _metric(key)),
            f"{_capital(_metric(key))} after each epoch; a line a seed.",
            f"Line chart of {_metric(key)} over epochs for {' and '.join(histories)}.",
        )
        for key in list(keys)[:MOST_CURVES]
    ]


def _classes(scores: Scores) -> list[Section]:
    sections: list[Section] = []
    tables: list[Section] = []
    for init in scores.summary:
        matrices = [
            run.confusion_matrix for run in scores.runs if run.init == init and run.confusion_matrix
        ]
        if matrices:
            total = np.sum(matrices, axis=0)
            sections.append(
                FigureSection(
                    confusion_matrix(total, scores.labels, _init(init)),
                    f"What was taken for what, {_init(init)}; {_seeds(len(matrices))}. "
                    "The deeper the colour, the larger the share of the true class.",
                    f"Confusion matrix, {_init(init)}: {np.trace(total):.0f} of "
                    f"{np.sum(total):.0f} on the diagonal.",
                )
            )
            if len(sections) == 1 and scores.runs[0].types is None:
                tables.append(_class_table(total, scores.labels, _init(init), len(matrices)))
    return [*sections, *tables]


def _types(scores: Scores) -> list[Section]:
    """Precision, recall and F1 of every type of spans, where spans are found."""
    sections: list[Section] = []
    for init in scores.summary:
        runs = [run.types for run in scores.runs if run.init == init and run.types is not None]
        by_type: dict[str, list[TypeScores]] = {}
        for one in (one for types in runs for one in types):
            by_type.setdefault(one.label, []).append(one)
        rows: list[list[str | int | float]] = []
        for label, some in sorted(by_type.items()):
            medians = [
                float(np.median([getattr(one, name) for one in some]))
                for name in ("precision", "recall", "f1")
            ]
            rows.append([label, max(one.examples for one in some), *medians])
        if rows:
            caption = f"Every type of spans, {_init(init)}; the median over seeds."
            columns = ("type", "spans", "precision", "recall", "F1")
            sections.append(Table(columns, rows, caption))
    return sections


def _labels(scores: Scores) -> list[Section]:
    """Each label's F1, where a text has any number of them."""
    columns = {
        _init(init): [
            run.label_f1 for run in scores.runs if run.init == init and run.label_f1 is not None
        ]
        for init in scores.summary
    }
    if not all(columns.values()):
        return []
    rows: list[list[str | float]] = [
        [label, *(float(np.median([own[number] for own in runs])) for runs in columns.values())]
        for number, label in enumerate(scores.labels)
    ]
    return [Table(("label", *columns), rows, "F1 of every label, the median over seeds.")]


def _class_table(total: npt.ArrayLike, labels: Sequence[str], name: str, seeds: int) -> Table:
    counts = np.asarray(total).sum(axis=1)
    rows = [
        (label, int(count), *values)
        for label, count, values in zip(labels, counts, class_scores(total), strict=True)
    ]
    caption = f"Every class, {name}; {_seeds(seeds)}."
    return Table(("class", "examples", "precision", "recall", "F1"), rows, caption)


def _protocol(scores: Scores) -> list[Section]:
    epochs = max((record["epoch"] for run in scores.runs for record in run.history), default=0)
    facts: dict[str, str | int | float] = {
        "model": scores.model,
        "task": scores.task,
        **({"labels": len(scores.labels)} if scores.labels else {}),
        "training examples": scores.train_examples,
        "held-out examples": scores.dev_examples,
        "epochs": epochs,
        "seeds": ", ".join(str(seed) for seed in sorted({run.seed for run in scores.runs})),
    }
    known = told_of_known(scores.dev_in_train, scores.dev_examples, scores.unit)
    words = (
        f"{scores.method} From scratch means the same network, "
        "data, order and settings, with random initial weights. The scores are those "
        f"of the held-out examples{'' if known else ', which are never trained on'}."
    )
    protocol = Protocol.model_validate(scores.protocol)
    notes = [Note(caveat) for caveat in (*known, *protocol.caveats())]
    chosen = {name.replace("_", " "): str(value) for name, value in protocol if value not in ("",)}
    return [Text(words), *notes, KeyValues({**chosen, **facts}), *_thresholds(scores)]


def _thresholds(scores: Scores) -> list[Section]:
    """Where "yes" begins in each run, and what it was worth."""
    rows: list[list[Cell]] = []
    for run in scores.runs:
        cut = (run.model_extra or {}).get("threshold")
        if isinstance(cut, Mapping):
            values = thresholds(cut["values"], scores.labels)
            before = "; ".join(f"{_metric(m)} {value:.3f}" for m, value in cut["at_half"].items())
            rows.append([_init(run.init), run.seed, values, _metric(cut["by"]), cut["on"], before])
    columns = ("model", "seed", "threshold", "chosen by", "on", "scores at 1/2")
    caption = "From which probability on a label is given."
    return [Table(columns, rows, caption)] if rows else []


def thresholds(values: Sequence[float], labels: Sequence[str]) -> str:
    """The one of all labels, or each label's."""
    if len(set(values)) == 1:
        return f"{values[0]:.3f}"
    return ", ".join(f"{value:.3f} ({label})" for value, label in zip(values, labels, strict=True))


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"the sum over {count} seeds"


def _init(name: str) -> str:
    return INIT_NAMES.get(name, name)


def _metric(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
