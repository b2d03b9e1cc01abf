"""A run of GLUE: one table for the terminal, the page and the README, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertsmith.markdown import markdown_table
from bertsmith.report.finetune import INIT_NAMES
from bertsmith.report.numbers import scientific
from bertsmith.report.page import Cell, Heading, KeyValues, Note, Section, Table, Text, write_report

CAPTION = (
    "Dev scores in hundredths: the median over seeds; of a metric, in square brackets, what other "
    "texts of the kind would give (95 %, bootstrap), of a score, in round ones, the least and the "
    "greatest over seeds. A task's score is the mean of its metrics, GLUE's the mean of the tasks "
    "here."
)


def write_glue_report(path: Path, scores: Mapping[str, Any]) -> Path:
    """Write the page at `path` from what glue.json holds. Returns `path`."""
    sections: list[Section] = [glue_table(scores)]
    sections += [Note(note) for note in glue_notes(scores)]
    sections += [Heading("Protocol"), Text(_PROTOCOL), _protocol(scores)]
    sections.append(KeyValues({"model": scores["model"]}))
    return write_report(path, "GLUE", glue_summary(scores), sections)


def glue_summary(scores: Mapping[str, Any]) -> str:
    """One sentence: the means, and over how many tasks."""
    means = " against ".join(
        f"{_hundredths(mean)} {INIT_NAMES[init]}" for init, mean in scores["mean"].items()
    )
    count, absent = len(scores["tasks"]), len(scores["absent"])
    of = f"{count} of GLUE's {count + absent} tasks" if absent else f"GLUE's {count} tasks"
    return f"{means}: the mean of the dev scores on {of}."


def glue_table(scores: Mapping[str, Any]) -> Table:
    """A row a task, and the mean."""
    inits = list(scores["mean"])
    columns = ["task", "metrics", "train", "dev"]
    for init in inits:
        columns += [INIT_NAMES[init], "score", "failed"]
    rows: list[list[Cell]] = []
    for name, task in scores["tasks"].items():
        named = " / ".join(task["scores"][inits[0]]["metrics"])
        row: list[Cell] = [name, named, *(task["sets"][s]["rows"] for s in ("train", "dev"))]
        for init in inits:
            own = task["scores"][init]
            metrics = " / ".join(map(_with_interval, own["metrics"].values()))
            row += [metrics, _with_range(own["score"]), _failed(own)]
        rows.append(row)
    means: list[Cell] = ["GLUE", f"mean of {len(rows)}", "", ""]
    for init in inits:
        means += ["", _hundredths(scores["mean"][init]), ""]
    return Table(columns, [*rows, means], CAPTION)


def glue_notes(scores: Mapping[str, Any]) -> list[str]:
    """What a reader of the table has to know: failures, what is missing, what stands in."""
    notes = []
    for name, task in scores["tasks"].items():
        for init, own in task["scores"].items():
            if own["failed"]:
                seeds = ", ".join(map(str, own["failed"]))
                notes.append(
                    f"{name}, {INIT_NAMES[init]}: seed {seeds} failed; it ended with one answer to "
                    "everything."
                )
        notes += [f"{name}: {note}" for note in _set_notes(task)]
    if scores["absent"]:
        why = "; ".join(f"{name}: {reason}" for name, reason in scores["absent"].items())
        notes.append(f"Not in the table and its mean: {why}.")
    for name, file in scores["submission"]["files"].items():
        if file["truncated"]:
            notes.append(
                f"{file['truncated']:,} of {file['rows']:,} texts for {name} are shortened."
            )
    if scores["submission"]["absent"]:
        names = ", ".join(scores["submission"]["absent"])
        notes.append(f"Not in submission.zip, which gluebenchmark.com therefore refuses: {names}.")
    return notes


def _set_notes(task: Mapping[str, Any]) -> list[str]:
    notes = []
    for name, one in task["sets"].items():
        official, rows = one["official_rows"], one["rows"]
        if one["note"]:
            notes.append(f"{name} is {Path(one['file']).name}, {one['note']}, not GLUE's own.")
        if official is not None and rows != official:
            notes.append(f"{name} has {rows:,} rows, GLUE's own {official:,}.")
        if one["left_out"]:
            notes.append(f"{one['left_out']:,} broken lines of {name} are left out.")
        if task["truncated"][name]:
            length = task["protocol"]["max_length"]
            count = task["truncated"][name]
            notes.append(f"{count:,} texts of {name} are shortened to {length} tokens.")
    notes += [f"no {name} dev set is there." for name in task["missing_sets"]]
    return notes


def glue_readme(scores: Mapping[str, Any]) -> str:
    """README.md of the folder."""
    table = glue_table(scores)
    rows = [[f"{c:,}" if isinstance(c, int) else c for c in row] for row in table.rows]
    notes = "\n".join(f"- {note}" for note in glue_notes(scores))
    return f"""# GLUE

{glue_summary(scores)}

{markdown_table(table.columns, rows)}

{CAPTION}

{notes}

- `glue.json` the same in numbers; `report.html` to look at
- `submission.zip` the predictions for the test sets
- a folder for each task: its best model, scores, report and log

The same `bertsmith glue` command again goes on where it was interrupted.
"""


_PROTOCOL = (
    "All weights are trained, a run a seed; the model that predicts the test set is that of the "
    "best dev score. From scratch means the same network, data, order and settings, with random "
    "initial weights."
)


def _protocol(scores: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = []
    for name, task in scores["tasks"].items():
        own, seeds = task["protocol"], next(iter(task["scores"].values()))["seeds"]
        numbers = [own["epochs"], own["batch_size"], scientific(own["lr"]), own["max_length"]]
        rows.append([name, len(seeds), *numbers])
    columns = ("task", "seeds", "epochs", "texts a step", "peak rate", "most tokens")
    return Table(columns, rows, "How each task was trained.")


def _failed(own: Mapping[str, Any]) -> str:
    return f"{len(own['failed'])} of {len(own['seeds'])}"


def _hundredths(value: float) -> str:
    return f"{100 * value:.1f}"


def _with_range(spread: Mapping[str, float]) -> str:
    low, high = _hundredths(spread["min"]), _hundredths(spread["max"])
    return f"{_hundredths(spread['median'])} ({low} to {high})"


def _with_interval(spread: Mapping[str, float]) -> str:
    if "low" not in spread:  # of a run of before there were any
        return _hundredths(spread["median"])
    low, high = _hundredths(spread["low"]), _hundredths(spread["high"])
    return f"{_hundredths(spread['median'])} [{low}, {high}]"
