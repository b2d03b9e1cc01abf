"""errors.tsv: what a model got wrong on the dev set, the worst first."""

from __future__ import annotations

from collections.abc import Sequence

FILE = "errors.tsv"
MOST = 200
"""Texts or sentences in it; of questions, all."""


def table_text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Tab-separated, a row a line, white space within a cell made one space."""
    return "".join(
        "\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in (columns, *rows)
    )
