"""Sentences of words and their tags, out of CoNLL columns and CoNLL-U, or raw text.

    columns   a word a line, its fields apart by tabs or spaces, an empty line after a sentence
              (CoNLL-2000, -2002, -2003); lines of -DOCSTART- are left out
    CoNLL-U   ten fields apart by tabs, comments, words of several tokens (1-2) and empty nodes
              (8.1): the syntactic words are read (universaldependencies.org/format)
    .txt      to be tagged: a text a line; .jsonl: {"text": ...} a line

Tags are in the last column, in CoNLL-U in UPOS, unless another is named. Sentences are read as
they are asked for, and every problem is a DataError with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from bertsmith.errors import DataError
from bertsmith.tasks.records import Lines, open_lines, stdin_lines
from bertsmith.tasks.tables import Columns, Labelled, Table, read_table
from bertsmith.text.lines import text_suffix
from bertsmith.text.split import split_words

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
DOCUMENT = "-DOCSTART-"
NO_TAG = "_"
"""In CoNLL-U."""
_HEAD = 20
"""Lines by which the kind of a file is told."""

Kind = Literal["columns", "conllu", "txt", "jsonl"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and where they are in `text`; their tags, where they have any."""

    text: str
    words: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]  # (begin, end) of each word
    lines: tuple[int, ...]  # of each word in its file
    tags: tuple[str, ...] = ()

    @property
    def line(self) -> int:
        """Where the sentence begins."""
        return self.lines[0] if self.lines else 0


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
        name, suffix = "standard input", ".jsonl" if is_json else ".txt"
    else:
        lines, name, suffix = open_lines(path), str(path), text_suffix(path)
    head = list(islice(lines, _HEAD))
    lines = chain(head, lines)
    kind = _kind(head, suffix, labelled)
    if kind in ("txt", "jsonl"):
        table = read_table(lines, name, kind, Columns(wanted.text), labelled=False)
        return Table(name, table.columns, (sentence_of(row.text, row.line) for row in table.rows))
    found = _find(head, kind, wanted, learnt, name, labelled)
    return Table(name, found, _sentences(lines, kind, found, name))


def sentence_of(text: str, line: int = 0) -> Sentence:
    """Raw text as a sentence: see `split_words`."""
    offsets = tuple(split_words(text))
    words = tuple(text[begin:end] for begin, end in offsets)
    return Sentence(text, words, offsets, (line,) * len(words))


def _kind(head: list[tuple[int, str]], suffix: str, labelled: bool) -> Kind:
    """CoNLL-U by its name or its first line; raw text by its name alone."""
    first = next((line for _, line in head if line.strip()), "")
    words = (line for _, line in head if line.strip() and not line.startswith("#"))
    fields = next(words, "").split("\t")
    if suffix in (".conllu", ".conll-u"):
        return "conllu"
    if len(fields) == len(CONLLU) and re.fullmatch(r"1(-\d+)?|0\.1", fields[0]):
        return "conllu"
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
        known: tuple[str, ...] = CONLLU
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
    return line.split("\t") if "\t" in line else line.split()


def _sentences(lines: Lines, kind: Kind, columns: Columns, name: str) -> Iterator[Sentence]:
    read = _read_conllu if kind == "conllu" else _read_columns
    return read(lines, columns, name)


def _read_columns(lines: Lines, columns: Columns, name: str) -> Iterator[Sentence]:
    assert columns.text is not None
    word, tag = int(columns.text) - 1, int(columns.label) - 1 if columns.label else None
    rows: list[tuple[int, list[str]]] = []
    count = first = 0
    for number, line in chain(lines, [(0, "")]):
        if not _is_word(line):
            if rows:
                yield _joined(rows, word, tag)
            rows = []
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


def _joined(rows: list[tuple[int, list[str]]], word: int, tag: int | None) -> Sentence:
    """Words with spaces between."""
    words = tuple(fields[word] for _, fields in rows)
    tags = () if tag is None else tuple(fields[tag].strip() for _, fields in rows)
    text, offsets = _spaced(words, [True] * len(words))
    return Sentence(text, words, offsets, tuple(number for number, _ in rows), tags)


def _spaced(words: tuple[str, ...], spaces: list[bool]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text of words, a space after those that have one, and where each is."""
    parts: list[str] = []
    offsets: list[tuple[int, int]] = []
    at = 0
    for word, space in zip(words, spaces, strict=True):
        offsets.append((at, at + len(word)))
        parts.append(word + " " * space)
        at += len(parts[-1])
    return "".join(parts).rstrip(" "), tuple(offsets)


def _read_conllu(lines: Lines, columns: Columns, name: str) -> Iterator[Sentence]:
    assert columns.text is not None
    word = CONLLU.index(columns.text)
    tag = CONLLU.index(columns.label) if columns.label else None
    block = _Block()
    for number, line in chain(lines, [(0, "")]):
        where = f"{name}:{number}"
        if not line.strip():
            if block.rows:
                yield block.sentence(word, tag)
            block = _Block()
        elif line.startswith("#"):
            key, _, value = line[1:].partition("=")
            if key.strip() == "text":
                block.text = value.strip()
        else:
            fields = line.split("\t")
            if len(fields) != len(CONLLU):
                raise DataError(
                    f"{len(fields)} fields, where CoNLL-U has {len(CONLLU)}",
                    where=where,
                    mend="put tabs between the fields, _ where one is empty",
                )
            block.add(number, fields, word, tag, where)


class _Block:
    """One sentence of CoNLL-U while it is read."""

    def __init__(self) -> None:
        self.text = ""
        self.rows: list[tuple[int, list[str]]] = []
        self._tokens: dict[int, tuple[int, str]] = {}  # a word's row -> its token's last id, form
        self._spaces: dict[int, bool] = {}
        self._inside = 0  # the last word's id of the token that is being read

    def add(self, number: int, fields: list[str], word: int, tag: int | None, where: str) -> None:
        if "." in fields[0]:
            return
        has_space = "SpaceAfter=No" not in fields[-1]
        begin, _, end = fields[0].partition("-")
        if not begin.isdecimal() or (end and not end.isdecimal()):
            raise DataError(
                f"the ID {fields[0]!r:.40} is no number", where=where, mend="count words from 1"
            )
        if end:
            self._tokens[len(self.rows)] = (int(end), fields[CONLLU.index("form")])
            self._spaces[int(end)] = has_space
            self._inside = int(end)
            return
        if int(begin) != len(self.rows) + 1:
            raise DataError(
                f"word {len(self.rows) + 1} has the ID {begin}",
                where=where,
                mend="count words from 1, and put an empty line after each sentence",
            )
        if not fields[word].strip():
            raise DataError("no word", where=where, mend="write one, or take the line out")
        if tag is not None and fields[tag] in (NO_TAG, ""):
            raise DataError(
                f"no tag in {CONLLU[tag]}",
                where=where,
                mend="tag the word, or name another column with --label-column",
            )
        self._spaces.setdefault(int(begin), has_space and int(begin) > self._inside)
        self.rows.append((number, fields))

    def sentence(self, word: int, tag: int | None) -> Sentence:
        words = tuple(fields[word] for _, fields in self.rows)
        tags = () if tag is None else tuple(fields[tag] for _, fields in self.rows)
        surface = self._surface(words)
        text, places = _spaced(
            tuple(form for form, _, _ in surface), [space for _, _, space in surface]
        )
        offsets: list[tuple[int, int]] = []
        for (form, own, _), (begin, end) in zip(surface, places, strict=True):
            offsets += [(begin, end)] if len(own) == 1 else _inside(form, own, begin, end)
        if self.text and text != self.text:
            text, offsets = _aligned(self.text, text, offsets)
        return Sentence(text, words, tuple(offsets), tuple(n for n, _ in self.rows), tags)

    def _surface(self, words: tuple[str, ...]) -> list[tuple[str, tuple[str, ...], bool]]:
        """Tokens: as they read, their words, and whether a space follows."""
        surface = []
        at = 0
        while at < len(words):
            end, form = self._tokens.get(at, (at + 1, words[at]))
            end = min(max(end, at + 1), len(words))
            surface.append((form, words[at:end], self._spaces.get(end, True)))
            at = end
        return surface


def _inside(form: str, words: tuple[str, ...], begin: int, end: int) -> list[tuple[int, int]]:
    """Where the words of one token are in it; the whole of it for one that is not to be found."""
    offsets = []
    at = 0
    for word in words:
        place = form.lower().find(word.lower(), at)
        if place < 0 or len(form.lower()) != len(form):
            offsets.append((begin, end))
        else:
            offsets.append((begin + place, begin + place + len(word)))
            at = place + len(word)
    return offsets


def _aligned(
    text: str, own: str, offsets: list[tuple[int, int]]
) -> tuple[str, list[tuple[int, int]]]:
    """`offsets` into `own` as offsets into `text`, which differs in spaces alone; else as given."""
    letters, mine = _letters(text), _letters(own)
    if [text[i] for i in letters] != [own[i] for i in mine]:
        return own, offsets
    place = dict(zip(mine, letters, strict=True))
    moved = [
        (place[begin], place[end - 1] + 1) if begin in place and end - 1 in place else None
        for begin, end in offsets
    ]
    if None in moved:
        return own, offsets
    return text, [pair for pair in moved if pair is not None]


def _letters(text: str) -> list[int]:
    return [i for i, letter in enumerate(text) if not letter.isspace()]
