"""Texts out of files of records: each record's "text", or what else its column is called, and its
"title" where it has one.

    .jsonl, .ndjson    a record a line
    .json              an array of records, or records one after another
    .csv, .tsv         a header, and a record a row (see `delimited`)
    .parquet           a record a row (see `parquet`)

In JSON a record is an object, or a text by itself. One record is held at a time, and every
problem is a DataError with file and line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from bertsmith.errors import DataError
from bertsmith.text.delimited import Separated, delimited_rows, named_fields
from bertsmith.text.json_values import json_values
from bertsmith.text.lines import listed, read_lines, require_unicode, text_suffix

RecordKind = Literal["jsonl", "json", "csv", "tsv", "parquet"]
KINDS: dict[str, RecordKind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
"""By a file's suffix, a compression's left out."""
TEXT, TITLE = "text", "title"
"""The columns, or keys, where nothing else is said."""


class TextRecord(NamedTuple):
    """A record's text, and its title or ""."""

    text: str
    title: str


def record_kind(path: Path) -> RecordKind | None:
    """None: no file of records, but of text."""
    return KINDS.get(text_suffix(path))


def text_records(
    stream: BinaryIO, path: Path, kind: RecordKind, column: str = TEXT
) -> Iterator[TextRecord]:
    """The records in `stream`, the inside of the file `path`, but for .parquet."""
    match kind:
        case "jsonl":
            return _of_lines(stream, path, column)
        case "json":
            return _of_json(stream, path, column)
        case "csv" | "tsv":
            return _of_rows(stream, path, kind, column)
        case "parquet":
            raise AssertionError("is no stream")


def _of_lines(stream: BinaryIO, path: Path, column: str) -> Iterator[TextRecord]:
    for number, line in read_lines(stream, path):
        if not line or line.isspace():
            continue
        where = f"{path}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"not JSON ({error})", where=where, mend="write one JSON object a line"
            ) from None
        yield _record(record, column, "this record", where)


def _of_json(stream: BinaryIO, path: Path, column: str) -> Iterator[TextRecord]:
    for line, number, value in json_values(stream, path):
        yield _record(value, column, f"record {number:,}", f"{path}:{line}")


def _record(record: Any, column: str, what: str, where: str) -> TextRecord:
    text = record.get(column) if isinstance(record, dict) else record
    if not isinstance(text, str):
        raise DataError(_no_text(record, column, what), where=where, mend=_mend(column))
    require_unicode(text, where)
    title = record.get(TITLE) if isinstance(record, dict) else ""
    return TextRecord(text, title if isinstance(title, str) else "")


def _no_text(record: Any, column: str, what: str) -> str:
    if not isinstance(record, dict):
        return f'no "{column}" in {what}'
    if column not in record:
        return f'no "{column}" in {what}; it has {listed(record)}'
    return f'the "{column}" of {what} is {json.dumps(record[column])[:40]}, no string'


def _mend(column: str) -> str:
    if column != TEXT:
        return "give another name with --text-column, or leave this file out"
    return (
        f'write every text as "{column}", or leave this file out (tokenizer, corpus and vocab also '
        "take --text-column NAME)"
    )


def _of_rows(stream: BinaryIO, path: Path, kind: Separated, column: str) -> Iterator[TextRecord]:
    rows = delimited_rows(read_lines(stream, path), str(path), kind)
    first = next(rows, None)
    if first is None:
        return
    names = [name.strip() for name in first[1]]
    require_text_column(names, column, f"{path}:{first[0]}")
    for _, fields in named_fields(rows, names, str(path), kind):
        yield TextRecord(fields[column], fields.get(TITLE, ""))


def require_text_column(names: list[str], column: str, where: str) -> None:
    """Raise DataError unless one of the columns `names` is `column`."""
    count = names.count(column)
    if count == 0:
        what, mend = f'no column "{column}"; there are: {listed(names)}', _mend(column)
    else:
        what, mend = f'{count} columns are named "{column}"', "rename all but one of them"
    if count != 1:
        raise DataError(what, where=where, mend=mend)
