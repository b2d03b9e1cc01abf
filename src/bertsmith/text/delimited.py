"""Rows out of lines: fields apart by a separator, each row with the line that it begins at.

    csv    comma, or semicolon or tab where the header has those and no comma; fields in double
           quotes may hold the separator, line breaks and doubled quotes (RFC 4180)
    tsv    fields apart by tabs, a line each; quotes are text, as in GLUE's files

Rows come one at a time, and every problem is a DataError with file and line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import Literal

from bertsmith.errors import DataError
from bertsmith.text.lines import MAX_LINE_BYTES

Line = tuple[int, str]
"""Its number, and itself."""
Separated = Literal["csv", "tsv"]
Row = tuple[int, list[str]]
"""The line at which a row begins, and its fields."""

_RAGGED = {
    "tsv": "take tabs out of the text",
    "csv": "put double quotes around a text that holds the separator",
}


def delimited_rows(lines: Iterator[Line], name: str, kind: Separated) -> Iterator[Row]:
    """The rows that are not empty; `name` is what errors call the file."""
    if kind == "tsv":
        return ((number, line.split("\t")) for number, line in lines if line)
    return _csv_rows(lines, name)


def named_fields(
    rows: Iterator[Row], names: list[str], name: str, kind: Separated
) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's line, and its fields by the columns' `names`, of which it must have as many."""
    for line, fields in rows:
        if len(fields) != len(names):
            raise DataError(
                f"{len(fields)} fields, where the first line has {len(names)}",
                where=f"{name}:{line}",
                mend=_RAGGED[kind],
            )
        yield line, dict(zip(names, fields, strict=True))


def _csv_rows(lines: Iterator[Line], name: str) -> Iterator[Row]:
    """A field may span lines."""
    head = next(lines, None)
    if head is None:
        return
    delimiter = next((mark for mark in ",;\t" if mark in head[1]), ",")
    text = (line + "\n" for _, line in chain([head], lines))
    csv.field_size_limit(MAX_LINE_BYTES)  # the process's: a reader has none of its own
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        begin = rows.line_num + 1
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            what = f"not CSV ({error})"
            mend = "close the quote that this row opens, and double the quotes inside a field"
            if "new-line character" in str(error):
                what = "a carriage return inside of a field"
                mend = "take it out, or put double quotes around the field"
            elif "field limit" in str(error):
                what = f"a field of more than {MAX_LINE_BYTES:,} characters"
                mend = "shorten the text, or close the quote that this row opens"
            raise DataError(what, where=f"{name}:{begin}", mend=mend) from None
        if fields:
            yield begin, fields
