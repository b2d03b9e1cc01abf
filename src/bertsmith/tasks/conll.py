"""Sentences of words and their tags, out of CoNLL columns and CoNLL-U, or raw text.

    columns   a word a line, its fields apart by tabs or spaces, an empty line after a sentence
              (CoNLL-2000, -2002, -2003); a line of -DOCSTART- begins a document
    CoNLL-U   see `bertsmith.tasks.conllu`
    .txt      to be tagged: a text a line; .jsonl: {"text": ...} a line; .csv, and .tsv with such
              a column and no empty line: a table with a column of texts

Tags are in the last column, in CoNLL-U in UPOS, unless another is named. Sentences are read as
they are asked for, and every problem is a DataError with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from bertsmith.errors import DataError
from bertsmith.tasks.conllu import FIELDS, read_conllu
from bertsmith.tasks.records import STDIN_NAME, Lines, open_lines, stdin_lines
from bertsmith.tasks.sentences import Sentence, sentence_of, spaced
from bertsmith.tasks.tables import TEXT_COLUMNS, Columns, Labelled, Table, read_table
from bertsmith.text.lines import text_suffix

DOCUMENT = "-DOCSTART-"
_HEAD = 200
"""Lines by which the kind of a file is told."""

Kind = Literal["columns", "conllu", "txt", "jsonl", "csv", "tsv"]


def read_sentences(path: Path, columns: Columns | None = None) -> Labelled[Sentence]:
    """All tagged sentences of a file. Raises DataError, also where there are none."""
    table = open_sentences(path, columns, Columns(), labelled=True)
    rows = list(table.rows)
    if not rows:
        raise DataError("no sentences", where=path, mend="give a word and its tag a line")
    return Labelled(path, table.columns, rows)


def open_sentences(
    path: Path | None, columns: Columns | None, learnt: Columns, *, labelled: bool
) -> Table[Sentence]:
    """The sentences in a file, or, where `path` is None, on standard input.

    `learnt` are the columns to take where none are named and the file is of their kind.
    """
    wanted = columns or Columns()
    if path is None:
        lines, is_json = stdin_lines()
        name, suffix = STDIN_NAME, ".jsonl" if is_json else ".txt"
    else:
        lines, name, suffix = open_lines(path), str(path), text_suffix(path)
    head = list(islice(lines, _HEAD))
    lines = chain(head, lines)
    if suffix == ".json":
        mend = "give a word a line, or texts as .txt, .jsonl, .csv or .tsv"
        raise DataError("a .json has no words and tags", where=name, mend=mend)
    kind = _kind(head, suffix, labelled, wanted)
    if kind in ("txt", "jsonl", "csv", "tsv"):
        table = read_table(
            lines, name, kind, Columns(wanted.text, header=wanted.header), labelled=False
        )
        return Table(name, table.columns, (sentence_of(row.text, row.line) for row in table.rows))
    found = _find(head, kind, wanted, learnt, name, labelled)
    return Table(name, found, _sentences(lines, kind, found, name))


def _kind(head: list[tuple[int, str]], suffix: str, labelled: bool, wanted: Columns) -> Kind:
    """CoNLL-U by its name or its first line; raw text by its name, a .tsv also by its header."""
    first = next((line for _, line in head if line.strip()), "")
    words = (line for _, line in head if line.strip() and not line.startswith("#"))
    fields = next(words, "").split("\t")
    if suffix in (".conllu", ".conll-u"):
        return "conllu"
    if len(fields) == len(FIELDS) and re.fullmatch(r"1(-\d+)?|0\.1", fields[0]):
        return "conllu"
    if not labelled and suffix == ".csv":
        return "csv"
    if not labelled and suffix == ".tsv":
        names = {name.strip().lower() for name in first.split("\t")}
        blank = any(not line.strip() for _, line in head)
        if wanted.header and not blank and names & {(wanted.text or "").lower(), *TEXT_COLUMNS}:
            return "tsv"
    if labelled or suffix not in (".txt", ".jsonl") or first.startswith(DOCUMENT):
        return "columns"
    return "jsonl" if suffix == ".jsonl" else "txt"


def _find(
    head: list[tuple[int, str]],
    kind: Kind,
    wanted: Columns,
    learnt: Columns,
    name: str,
    labelled: bool,
) -> Columns:
    """Word and tag column by number from 1, or by CoNLL-U's names."""
    if kind == "conllu":
        known: tuple[str, ...] = FIELDS
        usual = Columns("form", label="upos")
    else:
        line, fields = next(((n, _fields(line)) for n, line in head if _is_word(line)), (1, []))
        if not fields:
            raise DataError("no words", where=name, mend="give a word and its tag a line")
        if labelled and len(fields) == 1:
            raise DataError(
                "one column only, and no tags",
                where=f"{name}:{line}",
                mend="give a word and its tag a line, apart by a tab or spaces",
            )
        known = tuple(str(number) for number in range(1, len(fields) + 1))
        usual = Columns("1", label=known[-1])
    given = {
        role: getattr(wanted, role) or _if_known(getattr(learnt, role), known)
        for role in ("text", "label")
    }
    text = _column(given["text"] or usual.text or "", known, name)
    label = _column(given["label"] or usual.label or "", known, name) if labelled else None
    if text == label:
        raise DataError(
            f"column {text!r} is the word and the tag",
            where=name,
            mend="name the other one with --text- or --label-column",
        )
    return replace(wanted, text=text, pair=None, label=label, header=False)


def _if_known(column: str | None, known: tuple[str, ...]) -> str | None:
    return column if column in known else None


def _column(column: str, known: tuple[str, ...], name: str) -> str:
    if column.lower() in known:
        return column.lower()
    if column.isdecimal() and 1 <= int(column) <= len(known):
        return known[int(column) - 1]
    raise DataError(f"no column {column!r}", where=name, mend=f"there are: {', '.join(known)}")


def _is_word(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(DOCUMENT)


def _fields(line: str) -> list[str]:
    """A no-break space is part of a word."""
    return line.split("\t") if "\t" in line else [field for field in line.split(" ") if field]


def _sentences(lines: Lines, kind: Kind, columns: Columns, name: str) -> Iterator[Sentence]:
    read = read_conllu if kind == "conllu" else _read_columns
    return read(lines, columns, name)


def _read_columns(lines: Lines, columns: Columns, name: str) -> Iterator[Sentence]:
    assert columns.text is not None
    word, tag = int(columns.text) - 1, int(columns.label) - 1 if columns.label else None
    rows: list[tuple[int, list[str]]] = []
    count = first = document = 0
    for number, line in chain(lines, [(0, "")]):
        if not _is_word(line):
            if rows:
                yield _joined(rows, word, tag, document)
            rows = []
            document += line.startswith(DOCUMENT)
            continue
        fields = _fields(line)
        if not count:
            count, first = len(fields), number
        if len(fields) != count:
            raise DataError(
                f"{len(fields)} columns, where line {first} has {count}",
                where=f"{name}:{number}",
                mend="give every word all its columns, and an empty line after each sentence",
            )
        for index, what in ((word, "word"), (tag, "tag")):
            if index is not None and not fields[index].strip():
                raise DataError(
                    f"no {what} in column {index + 1}",
                    where=f"{name}:{number}",
                    mend="write one, or take the line out",
                )
        rows.append((number, fields))


def _joined(
    rows: list[tuple[int, list[str]]], word: int, tag: int | None, document: int
) -> Sentence:
    """Words with spaces between."""
    words = tuple(fields[word] for _, fields in rows)
    tags = () if tag is None else tuple(fields[tag].strip() for _, fields in rows)
    text, offsets = spaced(words, [True] * len(words))
    lines = tuple(number for number, _ in rows)
    return Sentence(text, words, offsets, lines, tags, document)
