"""Which task a labelled file is for, by its format and its labels."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import Any

from bertsmith.tasks import choice, classify, multilabel, qa, regress, tagging
from bertsmith.tasks.base import Task
from bertsmith.tasks.choice_files import answers_file
from bertsmith.tasks.records import open_lines, read_records, table_kind
from bertsmith.tasks.tables import Columns, open_table
from bertsmith.text.lines import text_suffix

TABLES = (".csv", ".tsv", ".jsonl")
ROWS = 1000
"""That are looked at."""


def guess(path: Path, columns: Columns | None = None) -> Task[Any, Any]:
    """The task that trains on such a file. Raises DataError where it cannot be read.

    Numbers that are not whole are numbers to be told; whole ones are classes. Labels with
    commas between are not recognised; lists in JSON are.
    """
    suffix = text_suffix(path)
    if suffix == ".json":
        return qa.TASK
    if suffix not in TABLES:
        return tagging.TASK
    if columns is None or columns == Columns():
        if suffix == ".tsv" and answers_file(path).is_file():
            return choice.TASK
        if suffix != ".tsv":
            names = set(read_records(open_lines(path), str(path), table_kind(path), True)[0])
            if {"question", "options"} <= names or {"sent1", "ending0"} <= names:
                return choice.TASK
            if {"question", "context"} <= names:
                return qa.TASK
    return _by_labels(path, columns)


def _by_labels(path: Path, columns: Columns | None) -> Task[Any, Any]:
    labels: list[Any] = []

    def seen(value: Any, column: str, where: str) -> str:
        labels.append(value)
        return ""

    for _ in islice(open_table(path, columns, labelled=True, label_text=seen).rows, ROWS):
        pass
    if any(isinstance(label, list) for label in labels):
        return multilabel.TASK
    numbers = [_number(label) for label in labels]
    if all(number is not None for number in numbers) and any(
        number is not None and not number.is_integer() for number in numbers
    ):
        return regress.TASK
    return classify.TASK


def _number(label: Any) -> float | None:
    if isinstance(label, bool) or not isinstance(label, str | int | float):
        return None
    try:
        number = float(label)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
