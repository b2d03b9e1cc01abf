"""What a report says of answers to questions: by kind, by length, and some of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bertsmith.report.page import Cell, FillRow, Fills, Heading, Section, Table
from bertsmith.tasks.qa import EXAMPLES

NONE = "no answer"


def answer_sections(
    runs: Sequence[Mapping[str, Any]], best: Mapping[str, Any], folder: Path
) -> list[Section]:
    """Of runs that answer questions or choose among options; none where they do something else.

    `best` is the run whose answers on the dev set `folder` holds.
    """
    if "by_kind" in best:
        return _kinds(best)
    if "by_length" not in best:
        return []
    kinds = [_table(runs)] if best["no_answer"] is not None else []
    return [Heading("Answers"), *kinds, _lengths(best), *_examples(folder / EXAMPLES)]


def _table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Questions with an answer, and those without."""
    rows: list[list[Cell]] = []
    for init in dict.fromkeys(run["init"] for run in runs):
        own = [run for run in runs if run["init"] == init]
        row: list[Cell] = [init]
        for key in ("has_answer_exact", "has_answer_f1", "no_answer", "null_threshold"):
            values = [run[key] for run in own if run.get(key) is not None]
            row.append(median(values) if values else "–")
        rows.append(row)
    columns = ("weights", "exact match", "F1", "left unanswered rightly", "threshold")
    caption = (
        "Questions that have an answer, and, where there are such, those that have none; the "
        "median over seeds. Above the threshold, tuned here, no answer is given."
    )
    return Table(columns, rows, caption)


def _lengths(best: Mapping[str, Any]) -> Table:
    caption = "By the number of words of the shortest right answer; the best run."
    return Table(("words", "questions", "exact match", "F1"), best["by_length"], caption)


def _kinds(best: Mapping[str, Any]) -> list[Section]:
    rows = [(kind, count, accuracy) for kind, (count, accuracy) in best["by_kind"].items()]
    if not rows:
        return []
    caption = "Questions that one sentence answers, and that take several; the best run."
    return [Heading("Kinds"), Table(("kind", "questions", "accuracy"), rows, caption)]


def _examples(path: Path) -> list[Section]:
    """The right answer in its place, and below it what was said."""
    if not path.is_file():
        return []
    rows = [
        FillRow(
            one["before"],
            one["after"],
            one["right"],
            [[(text or NONE, probability)] for text, probability in one["said"]],
            title=one["question"],
        )
        for one in json.loads(path.read_text("utf-8"))
    ]
    columns = max((len(row.predictions) for row in rows), default=0)
    rows = [row for row in rows if len(row.predictions) == columns]
    moments = ("first", "second", "third")[:columns]
    caption = "Questions of the dev set, the right answer marked, and the best run's answers."
    return [Fills(moments, rows, caption, absent=NONE)]
