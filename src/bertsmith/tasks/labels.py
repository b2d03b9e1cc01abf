"""Labels as words and as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, starmap

from bertsmith.errors import DataError
from bertsmith.tasks.tables import TextRow

_MOST_NAMED = 5
"""Unknown labels, and lines of each, in an error line."""
_LONGEST_NAME = 40
"""Characters of a label there."""


def label_names(rows: Sequence[TextRow], name: str) -> list[str]:
    """The distinct labels of training rows, sorted; whole numbers by value.

    Raises DataError where there is only one, or where no label comes twice.
    """
    require_rows(rows, name, "give labelled texts to learn from")
    labels, count = {row.label for row in rows}, len(rows)
    if len(labels) == 1:
        raise DataError(
            f"one class only: every label is {_quoted(labels.pop())}",
            where=name,
            mend="give examples of at least two classes",
        )
    if count == len(labels) > 2:
        raise DataError(
            f"all {count} rows have different labels",
            where=name,
            mend="name the column of the classes with --label-column",
        )
    return in_order(labels)


def in_order(labels: Iterable[str]) -> list[str]:
    """Sorted; whole numbers by value."""
    labels = list(labels)
    numbers = all(len(x) < 20 and x.removeprefix("-").isdecimal() for x in labels)
    return sorted(labels, key=(lambda label: (int(label), label)) if numbers else None)


def require_rows(rows: Sequence[TextRow], name: str, mend: str) -> None:
    """Raise DataError where there are none."""
    if not rows:
        raise DataError("no rows", where=name, mend=mend)


def label_ids(rows: Sequence[TextRow], names: Sequence[str], name: str, known_to: str) -> list[int]:
    """The place of each row's label in `names`.

    Raises DataError where there are no rows, and for labels that are not there, naming the
    first of them and their lines; `known_to` says whose labels `names` are.
    """
    require_rows(rows, name, "give labelled texts to be scored on")
    ids = {label: index for index, label in enumerate(names)}
    require_known([(row.label, row.line) for row in rows], names, name, known_to)
    return [ids[row.label] for row in rows]


def require_known(
    labels: Iterable[tuple[str, int]], names: Sequence[str], name: str, known_to: str
) -> None:
    """Raise DataError for those of `labels`, each with its line, that are not in `names`."""
    known = frozenset(names)
    unknown: dict[str, list[int]] = {}
    for label, line in labels:
        if label not in known:
            unknown.setdefault(label, []).append(line)
    if unknown:
        shown = "; ".join(starmap(_where, islice(unknown.items(), _MOST_NAMED)))
        raise DataError(
            f"labels unknown to {known_to}: {shown}{_and_more(len(unknown))}",
            where=f"{name}:{min(min(lines) for lines in unknown.values())}",
            mend=f"it knows {', '.join(map(_quoted, names[:_MOST_NAMED]))}{_and_more(len(names))}",
        )


def _where(label: str, lines: list[int]) -> str:
    shown = ", ".join(map(str, lines[:_MOST_NAMED]))
    plural = "s" if len(lines) > 1 else ""
    return f"{_quoted(label)} in line{plural} {shown}{_and_more(len(lines))}"


def _and_more(count: int) -> str:
    return f" and {count - _MOST_NAMED:,} more" if count > _MOST_NAMED else ""


def _quoted(label: str) -> str:
    return repr(label if len(label) <= _LONGEST_NAME else label[: _LONGEST_NAME - 3] + "...")
