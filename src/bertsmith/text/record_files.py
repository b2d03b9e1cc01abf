"""Texts out of files of records: each record's "text", and its "title" where it has one.

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
"""The columns, or keys."""
_MEND = 'call the column of the text "text", or leave this file out'


class TextRecord(NamedTuple):
    """A record's text, and its title or ""."""

    text: str
    title: str


def record_kind(path: Path) -> RecordKind | None:
    """None: no file of records, but of text."""
    return KINDS.get(text_suffix(path))


def text_records(stream: BinaryIO, path: Path, kind: RecordKind) -> Iterator[TextRecord]:
    """The records in `stream`, the inside of the file `path`, but for .parquet."""
    match kind:
        case "jsonl":
            return _of_lines(stream, path)
        case "json":
            return _of_json(stream, path)
        case "csv" | "tsv":
            return _of_rows(stream, path, kind)
        case "parquet":
            raise AssertionError("is no stream")


def _of_lines(stream: BinaryIO, path: Path) -> Iterator[TextRecord]:
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
        yield _record(record, "this record", where, 'write {"text": "..."} a line')


def _of_json(stream: BinaryIO, path: Path) -> Iterator[TextRecord]:
    for line, number, value in json_values(stream, path):
        where, mend = f"{path}:{line}", 'write {"text": "..."} for each, or leave this file out'
        yield _record(value, f"record {number:,}", where, mend)


def _record(record: Any, what: str, where: str, mend: str) -> TextRecord:
    text = record.get(TEXT) if isinstance(record, dict) else record
    if not isinstance(text, str):
        raise DataError(_no_text(record, what), where=where, mend=mend)
    require_unicode(text, where)
    title = record.get(TITLE) if isinstance(record, dict) else ""
    return TextRecord(text, title if isinstance(title, str) else "")


def _no_text(record: Any, what: str) -> str:
    if not isinstance(record, dict):
        return f'no "text" in {what}'
    if TEXT not in record:
        return f'no "text" in {what}; it has {listed(record)}'
    return f'the "text" of {what} is {json.dumps(record[TEXT])[:40]}, no string'


def _of_rows(stream: BinaryIO, path: Path, kind: Separated) -> Iterator[TextRecord]:
    rows = delimited_rows(read_lines(stream, path), str(path), kind)
    first = next(rows, None)
    if first is None:
        return
    names = [name.strip() for name in first[1]]
    require_text_column(names, f"{path}:{first[0]}")
    for _, fields in named_fields(rows, names, str(path), kind):
        yield TextRecord(fields[TEXT], fields.get(TITLE, ""))


def require_text_column(names: list[str], where: str) -> None:
    """Raise DataError unless one column is that of the text."""
    count = names.count(TEXT)
    if count == 0:
        what, mend = f'no column "text"; there are: {listed(names)}', _MEND
    else:
        what, mend = f'{count} columns are named "text"', "rename all but one of them"
    if count != 1:
        raise DataError(what, where=where, mend=mend)
