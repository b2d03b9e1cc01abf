"""Tables of one's own: texts, or pairs of texts, and their labels.

Columns are named by the header, or counted from 1 where there is none; those not named are
guessed from the usual names. A .txt file is a text a line, without labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from bertsmith.errors import ConfigError, DataError
from bertsmith.tasks.records import (
    Lines,
    Record,
    TableKind,
    open_lines,
    read_records,
    table_kind,
)
from bertsmith.text.lines import listed

PAIR_COLUMNS = (
    ("text", "text_pair"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("#1 string", "#2 string"),
)
TEXT_COLUMNS = (
    *("text", "sentence", "content", "review", "document", "body", "message", "question"),
    *("premise", "text_a", "text1", "sentence1", "sentence_a", "question1"),
    *("sequence", "notes"),
)
LABEL_COLUMNS = (
    *("label", "labels", "tags", "class", "category", "gold_label", "target"),
    *("sentiment", "intent", "topic", "is_duplicate", "quality", "score", "rating"),
)

_MOST_LINES = 20
"""Of broken rows, in an error line."""

RowT = TypeVar("RowT")

LabelText = Callable[[Any, str, str], str]
"""(field, its column, file:line) -> the label as text. Raises DataError."""


def class_text(value: Any, column: str, where: str) -> str:
    """A class: a word; whole numbers, true and false are words too."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    if not isinstance(value, str):
        raise DataError(
            f"{column!r} is no label but {value!r:.60}",
            where=where,
            mend="give a word or a whole number",
        )
    if not value.strip():
        raise DataError(
            f"no label in column {column!r}", where=where, mend="label the row or take it out"
        )
    return value.strip()


class TextRow(NamedTuple):
    """One text, or pair of texts. `label` is empty where it has none."""

    text: str
    pair: str | None = None
    label: str = ""
    line: int = 0


@dataclass(frozen=True)
class Columns:
    """Which columns to read, each by its name or its number from 1; None: by guess.

    The pair is guessed only where the text is.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    header: bool = True


@dataclass(frozen=True)
class Table(Generic[RowT]):
    """The rows of one file, read as they are asked for, and the columns they are from."""

    name: str
    columns: Columns
    rows: Iterator[RowT]
    lines: int | None = None
    """How many there are, where that is known."""


@dataclass(frozen=True)
class Labelled(Generic[RowT]):
    """The whole of a labelled file."""

    path: Path
    columns: Columns
    rows: list[RowT]
    notes: tuple[str, ...] = ()
    """What had to be mended or left out, a line each."""
    is_held_out: bool = False
    """Whether these are rows of the training file that are not learnt from."""


def read_labelled(
    path: Path, columns: Columns | None = None, label_text: LabelText = class_text
) -> Labelled[TextRow]:
    """`open_table`, read to the end. Raises DataError."""
    table = open_table(path, columns, labelled=True, label_text=label_text)
    return Labelled(path, table.columns, list(table.rows))


def open_table(
    path: Path,
    columns: Columns | None = None,
    *,
    labelled: bool,
    usual: Columns | None = None,
    label_text: LabelText = class_text,
) -> Table[TextRow]:
    """The table in a file. With `labelled`, every row has a text, and a label that
    `label_text` reads.

    `usual` are the columns to take before guessing, where the table has them. Raises
    DataError: at once where the columns are not there, and while reading for a line that is
    broken.
    """
    lines, kind = open_lines(path), table_kind(path)
    return read_table(
        lines, str(path), kind, columns, labelled=labelled, usual=usual, label_text=label_text
    )


def read_table(
    lines: Lines,
    name: str,
    kind: TableKind,
    columns: Columns | None = None,
    *,
    labelled: bool,
    usual: Columns | None = None,
    label_text: LabelText = class_text,
) -> Table[TextRow]:
    """As `open_table`, from lines; `name` is what errors call them."""
    wanted = columns or Columns()
    if kind == "txt":
        if labelled:
            raise DataError(
                "a .txt file has no labels", where=name, mend="give a .csv, .tsv or .jsonl file"
            )
        if wanted.text or wanted.pair:
            raise DataError(
                "a text a line has no columns",
                where=name,
                mend="leave out --text- or --pair-column",
            )
        return Table(name, Columns(), (TextRow(text, line=line) for line, text in lines))
    if kind == "jsonl" and not wanted.header:
        raise ConfigError("JSON objects have no header to leave out", where=name)
    names, records = read_records(lines, name, kind, wanted.header)
    found = find_columns(names, wanted, name, labelled=labelled, usual=usual or Columns())
    return Table(name, found, _rows(records, found, name, label_text))


def find_columns(
    names: list[str], wanted: Columns, name: str, *, labelled: bool, usual: Columns
) -> Columns:
    """`wanted` with every column a name of `names`. Raises DataError, listing those there are, and
    where one is to be two things."""
    lower = {column.lower(): column for column in reversed(names)}
    text, pair, label = wanted.text, wanted.pair, wanted.label if labelled else None
    if label is None and labelled and usual.label in names:
        label = usual.label
    if text is None and pair is None and {usual.text, usual.pair} <= {*names, None}:
        text, pair = usual.text, usual.pair
    if text is None and pair is None:
        for first, second in PAIR_COLUMNS:
            if first in lower and second in lower:
                text, pair = lower[first], lower[second]
                break
    if text is None:
        text = _guess(names, TEXT_COLUMNS, "text", name, wanted.header)
    if label is None and labelled:
        label = _guess(names, LABEL_COLUMNS, "label", name, wanted.header)
    found = replace(
        wanted,
        text=_known(text, names, name),
        pair=None if pair is None else _known(pair, names, name),
        label=None if label is None else _known(label, names, name),
    )
    for one, left, other, right, mend in (
        ("text", found.text, "pair", found.pair, "name the other one with --text-column"),
        ("text", found.text, "label", found.label, "name the other one with --text-column"),
        ("pair", found.pair, "label", found.label, "name the texts with --text- and --pair-column"),
    ):
        if left is not None and left == right:
            raise DataError(f"column {left!r} is the {one} and the {other}", where=name, mend=mend)
    return found


def refuse_columns(columns: Columns | None) -> None:
    """Raise ConfigError where columns are chosen of a format that has its own."""
    if columns is not None and columns != Columns():
        raise ConfigError("questions have no columns to choose", mend="leave the flags out")


def require_pairs(columns: Columns, expected: bool, name: str, learnt_from: str) -> None:
    """Raise DataError where there is a second text and none is `expected`, or the reverse.

    `learnt_from` says what did, or did not, have one.
    """
    if expected and columns.pair is None:
        raise DataError(
            f"no second text in a row, where {learnt_from} has one",
            where=name,
            mend="give a table of pairs, and name their columns with --text- and --pair-column",
        )
    if not expected and columns.pair is not None:
        raise DataError(
            f"a second text, {columns.pair!r}, in a row, where {learnt_from} has none",
            where=name,
            mend="name the one text's column with --text-column",
        )


def _known(column: str, names: list[str], name: str) -> str:
    """`column` as one of `names`: as it is, or as a number."""
    if column not in names and column.isdecimal() and 1 <= int(column) <= len(names):
        column = names[int(column) - 1]
    if names.count(column) == 1:
        return column
    if column in names:
        raise DataError(
            f"{names.count(column)} columns are named {column!r}",
            where=name,
            mend="rename all but one of them",
        )
    near = get_close_matches(column, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(f"no column {column!r}", where=name, mend=f"{hint}there are: {listed(names)}")


def _guess(names: list[str], usual: tuple[str, ...], role: str, name: str, header: bool) -> str:
    lower = {column.lower(): column for column in reversed(names)}
    for column in usual:
        if column in lower:
            return lower[column]
    or_count = (
        f", or count it where there is no header: --no-header --{role}-column 1" if header else ""
    )
    raise DataError(
        f"no column looks like the {role}; there are: {listed(names)}",
        where=name,
        mend=f"name it with --{role}-column{or_count}",
    )


def _rows(
    records: Iterator[Record], columns: Columns, name: str, label_text: LabelText
) -> Iterator[TextRow]:
    """The rows. Labelled ones are all looked at before the first that is broken is told."""
    broken: list[tuple[int, DataError]] = []
    try:
        for line, record in records:
            try:
                row = _row(line, record, columns, name, label_text)
            except DataError as error:
                if columns.label is None:
                    raise
                broken.append((line, error))
                continue
            if not broken:
                yield row
    except DataError:  # the file ends here
        if not broken:
            raise
    if broken:
        first, others = broken[0][1], [str(line) for line, _ in broken[1:]]
        shown = ", ".join(others[:_MOST_LINES]) + " ..." * (len(others) > _MOST_LINES)
        more = f" ({len(others):,} more rows are broken, in lines {shown})" if others else ""
        raise DataError(first.what + more, where=first.where, mend=first.mend)


def _row(
    line: int, record: dict[str, Any], columns: Columns, name: str, label_text: LabelText
) -> TextRow:
    assert columns.text is not None
    where = f"{name}:{line}"
    text = _text(record, columns.text, where)
    pair = None if columns.pair is None else _text(record, columns.pair, where)
    label = ""
    if columns.label is not None:
        label = label_text(_field(record, columns.label, where), columns.label, where)
        if not text.strip():
            raise DataError(
                f"no text in column {columns.text!r}", where=where, mend="take the row out"
            )
    return TextRow(text, pair, label, line)


def _field(record: Mapping[str, Any], column: str, where: str) -> Any:
    if column not in record:
        raise DataError(
            f"no {column!r} in this record; it has {listed(list(record))}",
            where=where,
            mend="give every record the same keys",
        )
    return record[column]


def _text(record: Mapping[str, Any], column: str, where: str) -> str:
    value = _field(record, column, where)
    if not isinstance(value, str):
        raise DataError(
            f"{column!r} is no text but {value!r:.60}", where=where, mend="write it in quotes"
        )
    return value
