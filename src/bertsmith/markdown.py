"""Tables in Markdown, for README files, model cards and what benchmarks print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """One line for the columns, one below it, and one a row; no end of line at the end.

    Floats have four digits. Line breaks and bars in a cell do not end it.
    """
    return "\n".join(map(markdown_row, [columns, ["---"] * len(columns), *rows]))


def markdown_row(cells: Sequence[object]) -> str:
    """One line of a table."""
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: object) -> str:
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(shown.split()).replace("|", "\\|")
