"""Records out of CSV, TSV and JSONL files: column names, and one mapping a row.

    .csv     comma, or semicolon or tab where the header has those and no comma; fields in
             double quotes may hold the separator, line breaks and doubled quotes (RFC 4180)
    .tsv     fields apart by tabs, a line each; quotes are text, as in GLUE's files
    .jsonl   one object a line

Plain, or compressed as .gz, .xz or .zst. Rows are read one at a time, in bounded memory, and
every problem is a DataError with file and line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from bertsmith.errors import DataError
from bertsmith.text.delimited import Separated, delimited_rows, named_fields
from bertsmith.text.lines import (
    HashedFile,
    decoded,
    decompressed,
    read_bytes,
    read_lines,
    require_unicode,
    text_suffix,
)

TableKind = Literal["csv", "tsv", "jsonl", "txt"]
Lines = Iterator[tuple[int, str]]
Record = tuple[int, dict[str, Any]]
"""The line at which a row begins, and its fields by column name."""

MAX_TEXT_BYTES = 1 << 30
"""Of a file that is read whole."""
STDIN_NAME = "standard input"
"""What errors call it."""


def table_kind(path: Path) -> TableKind:
    """By the suffix, a compression's left out. Raises DataError for any other."""
    match text_suffix(path):
        case ".csv":
            return "csv"
        case ".tsv":
            return "tsv"
        case ".jsonl":
            return "jsonl"
        case ".txt":
            return "txt"
        case suffix:
            raise DataError(
                f"no table has the suffix {suffix!r}",
                where=path,
                mend="give a .csv, .tsv or .jsonl file, or a .txt with a text a line",
            )


def open_lines(path: Path) -> Lines:
    """The numbered lines of a file. Raises DataError where there is no such file."""
    _require_file(path)
    return _lines(path)


def read_text(path: Path | None) -> str:
    """The whole of a file, or of standard input where `path` is None, with its lines as they are.

    Raises DataError where it is no text in UTF-8, or larger than MAX_TEXT_BYTES.
    """
    if path is None:
        return _whole(sys.stdin.buffer, Path(STDIN_NAME))
    _require_file(path)
    with HashedFile(path) as raw:
        return _whole(decompressed(raw, path), path)


def _whole(stream: BinaryIO, path: Path) -> str:
    content = read_bytes(stream, MAX_TEXT_BYTES + 1, path)
    if len(content) > MAX_TEXT_BYTES:
        raise DataError(
            f"larger than {MAX_TEXT_BYTES >> 30} GiB",
            where=path,
            mend="give JSON lines, or a part of it",
        )
    return decoded(content, path)


def _require_file(path: Path) -> None:
    if not path.is_file():
        inside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, inside, n=1)
        mend = f"did you mean {str(path.parent / near[0])!r}?" if near else "check the path"
        what = "no such file"
        if path.is_dir():
            what, mend = "a folder, not a file", "name a file in it"
        raise DataError(what, where=path, mend=mend)


def _lines(path: Path) -> Lines:
    with HashedFile(path) as raw:
        yield from read_lines(decompressed(raw, path), path)


def stdin_lines() -> tuple[Lines, bool]:
    """The numbered lines of standard input, and whether they begin as JSON objects do."""
    lines = read_lines(sys.stdin.buffer, Path(STDIN_NAME))
    head = list(islice(lines, 1))
    return chain(head, lines), bool(head) and head[0][1].lstrip().startswith("{")


def read_records(
    lines: Lines, name: str, kind: TableKind, header: bool
) -> tuple[list[str], Iterator[Record]]:
    """Column names and records. Without a header the names are numbers from "1".

    `name` is what errors call the file. Raises DataError where it is empty.
    """
    if kind == "jsonl":
        return _json_records(lines, name)
    separated: Separated = "tsv" if kind == "tsv" else "csv"
    rows = delimited_rows(lines, name, separated)
    first = next(rows, None)
    if first is None:
        raise DataError("empty", where=name, mend="give a table with a header and rows")
    if header:
        names = [cell.strip() for cell in first[1]]
    else:
        names = [str(number) for number in range(1, len(first[1]) + 1)]
        rows = chain([first], rows)
    return names, named_fields(rows, names, name, separated)


def _json_records(lines: Lines, name: str) -> tuple[list[str], Iterator[Record]]:
    """The keys of the first object, and the objects."""
    objects = (
        (number, _json_object(line, f"{name}:{number}")) for number, line in lines if line.strip()
    )
    first = next(objects, None)
    if first is None:
        raise DataError("empty", where=name, mend='write {"text": "...", "label": "..."} a line')
    return list(first[1]), chain([first], objects)


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        spelt = json.dumps(record, ensure_ascii=False) if "\\u" in line else ""
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"not JSON ({error})", where=where, mend="write one JSON object a line"
        ) from None
    if not isinstance(record, dict):
        raise DataError("not a JSON object", where=where, mend='write {"text": "..."} a line')
    require_unicode(spelt, where)
    return record
