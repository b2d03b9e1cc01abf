"""Scores as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bertsmith.report import page

INITS = {"pretrained": "pre-trained", "scratch": "from scratch"}
MOST_CLASSES = 12
"""A larger confusion matrix fits no terminal."""


def print_summary(scores: Mapping[str, Any]) -> None:
    """Median, least and greatest of each metric, a row an initialisation."""
    from bertsmith.tasks.metrics import METRIC_NAMES

    unit = scores.get("unit", "texts")
    title = f"{scores['dev_examples']:,} dev {unit}; median (least to greatest) [95 % interval]"
    table = Table(title=title)
    table.add_column("weights at the start")
    table.add_column("runs", justify="right")
    table.add_column("failed", justify="right")
    metrics = list(next(iter(scores["summary"].values())))
    for metric in metrics:
        table.add_column(METRIC_NAMES[metric], justify="right")
    for init, spreads in scores["summary"].items():
        runs = [run for run in scores["runs"] if run["init"] == init]
        cells = [in_words(spreads[metric]) for metric in metrics]
        failed = sum(run["failed"] for run in runs)
        table.add_row(INITS[init], str(len(runs)), str(failed), *cells)
    _print(table)


def in_words(spread: Mapping[str, float]) -> str:
    """Median (least to greatest) [95 % interval, where there is one]."""
    interval = f" [{spread['low']:.3f}, {spread['high']:.3f}]" if "low" in spread else ""
    return f"{spread['median']:.3f} ({spread['min']:.3f} to {spread['max']:.3f}){interval}"


def print_confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]] | None) -> None:
    """Counts, a row a true class; nothing where there are none, or too many classes."""
    if matrix is None or len(labels) > MOST_CLASSES:
        return
    click.echo("rows: true class, columns: predicted")
    table = Table()
    table.add_column("", overflow="fold")
    for label in labels:
        table.add_column(label, justify="right", overflow="fold")
    for label, row in zip(labels, matrix, strict=True):
        table.add_row(label, *map(str, row))
    _print(table)


def print_classes(classes: Sequence[Mapping[str, Any]]) -> None:
    """Precision, recall and F1, a row a class; nothing where there are none."""
    if not classes:
        return
    table = Table(title="every class")
    for name in ("class", "precision", "recall", "F1", "number"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for scores in classes:
        numbers = (f"{scores[name]:.3f}" for name in ("precision", "recall", "f1"))
        table.add_row(str(scores["label"]), *numbers, str(scores["examples"]))
    _print(table)


def metrics_line(scores: Mapping[str, Any]) -> str:
    """Every metric that is there, with its interval."""
    from bertsmith.tasks.metrics import METRIC_NAMES

    there = ((name, shown) for name, shown in METRIC_NAMES.items() if scores.get(name) is not None)
    intervals = scores.get("intervals", {})
    ends = {name: f" [{low:.3f}, {high:.3f}]" for name, (low, high) in intervals.items()}
    return "  ".join(f"{shown} {scores[name]:.3f}{ends.get(name, '')}" for name, shown in there)


def print_table(table: page.Table) -> None:
    """A table of a report, under its caption, which a narrow one would break."""
    click.echo(table.caption)
    shown = Table()
    for column in table.columns:
        shown.add_column(column, overflow="fold")  # a name is not cut off, but goes on below
    for row in table.rows:
        shown.add_row(*(_cell(cell) for cell in row))
    _print(shown)


def print_sections(sections: Sequence[page.Section]) -> None:
    """The words and the tables of a part of a report."""
    from bertsmith.report.page import Table as PageTable
    from bertsmith.report.page import Text

    for section in sections:
        if isinstance(section, PageTable):
            print_table(section)
        elif isinstance(section, Text):
            click.echo(section.text)


def _cell(value: page.Cell) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


def print_guesses(guesses: Sequence[Sequence[tuple[str, float]]]) -> None:
    """For each gap, its tokens or spans and their probabilities."""
    table = Table()
    for number in range(1, len(guesses) + 1):
        table.add_column("gap" if len(guesses) == 1 else f"gap {number}", justify="right")
        table.add_column("probability", justify="right")
    columns = [[(token, f"{p:.4f}") for token, p in gap] for gap in guesses]
    for row in zip_longest(*columns, fillvalue=("", "")):
        table.add_row(*(cell for cells in row for cell in cells))
    _print(table)


def _print(table: Table) -> None:
    """On stdout; markup in labels is text. Off a terminal the table is as wide as it needs."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=200)
    console.print(table)
