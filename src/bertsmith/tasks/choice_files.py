"""Questions with several options, one of them right: SWAG's and MCTest's files, and one's own.

.csv      SWAG (Zellers et al. 2018): sent1, sent2, ending0 ... and label, the number of the
          right one, from 0; the endings in the order of their own numbers
.tsv      MCTest (Richardson et al. 2013): a story and four questions of four options a row;
          the right ones' letters stand in a file of the same name, .ans
.jsonl    {"question", "options": [...], "context", "label"} a line; label is an option's
          number, from 0, or its text; a context need not be
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from bertsmith.errors import DataError
from bertsmith.tasks.records import (
    STDIN_NAME,
    Lines,
    open_lines,
    read_records,
    stdin_lines,
    table_kind,
)
from bertsmith.text.lines import COMPRESSIONS, listed

QUESTIONS = 4
"""Of an MCTest story; each has as many options."""
_LETTERS = "ABCD"
_ENDING = re.compile("ending[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Choice:
    """A question on a context, its options, and the number of the right one."""

    context: str
    question: str
    options: tuple[str, ...]
    right: int | None = None
    kind: str = ""
    """MCTest's: whether one sentence answers it ("one"), or several do ("multiple")."""
    line: int = 0


def read_choices(path: Path | None, *, labelled: bool) -> Iterator[Choice]:
    """The questions of a file, or JSON lines of standard input where `path` is None.

    With `labelled`, every one has a right option. Raises DataError.
    """
    if path is None:
        lines, _ = stdin_lines()
        return _some(_of_records(lines, STDIN_NAME, labelled), STDIN_NAME)
    name = str(path)
    match table_kind(path):
        case "jsonl":
            return _some(_of_records(open_lines(path), name, labelled), name)
        case "csv":
            return _some(_of_swag(open_lines(path), name, labelled), name)
        case "tsv":
            return _some(_of_mctest(path, labelled), name)
        case _:
            raise DataError(
                "a .txt file has no options",
                where=path,
                mend="give SWAG's .csv, MCTest's .tsv, or a .jsonl",
            )


def _of_swag(lines: Lines, name: str, labelled: bool) -> Iterator[Choice]:
    names, records = read_records(lines, name, "csv", True)
    endings = sorted(filter(_ENDING.fullmatch, names), key=lambda name: int(name[6:]))
    wanted = ["sent1", "sent2", *(["label"] if labelled else [])]
    missing = [column for column in wanted if column not in names]
    if missing or len(endings) < 2:
        what = f"no column {', '.join(map(repr, missing))}" if missing else "no columns ending0 ..."
        raise DataError(
            f"{what}; there are: {listed(names)}",
            where=name,
            mend="give SWAG's columns: sent1, sent2, ending0, ending1 ... and label",
        )
    for column in (*wanted, *endings):
        if (count := names.count(column)) > 1:
            raise DataError(
                f"{count} columns are named {column!r}", where=name, mend="rename all but one"
            )
    for line, record in records:
        options = tuple(record[ending] for ending in endings)
        where = f"{name}:{line}"
        right = _number(record["label"], len(options), where) if labelled else None
        yield _checked(Choice(record["sent1"], record["sent2"], options, right, line=line), where)


def answers_file(path: Path) -> Path:
    """Where the answers to an MCTest file are, which may be compressed."""
    plain = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path
    return plain.with_suffix(".ans")


def _of_mctest(path: Path, labelled: bool) -> Iterator[Choice]:
    beside = answers_file(path)
    if labelled and not beside.is_file():
        raise DataError(
            f"no {beside.name} beside it, where MCTest's answers stand",
            where=path,
            mend="put it there, or give questions as a .jsonl",
        )
    answers = open_lines(beside) if labelled else iter(())
    count = 0
    for line, text in open_lines(path):
        if not text:
            continue
        where, fields = f"{path}:{line}", text.split("\t")
        width = 3 + QUESTIONS * (1 + len(_LETTERS))
        if len(fields) != width:
            raise DataError(
                f"{len(fields)} fields, where MCTest has {width}",
                where=where,
                mend="give id, author, story, and 4 times a question and its 4 options",
            )
        letters = _letters(next(answers, None), beside, where) if labelled else ""
        count += 1
        story = fields[2].replace("\\newline", "\n").replace("\\tab", "\t")
        for number in range(QUESTIONS):
            begin = 3 + number * (1 + len(_LETTERS))
            kind, _, question = fields[begin].partition(":")
            if kind not in ("one", "multiple"):
                kind, question = "", fields[begin]
            options = tuple(fields[begin + 1 : begin + 1 + len(_LETTERS)])
            right = _LETTERS.index(letters[number]) if labelled else None
            yield _checked(Choice(story, question.strip(), options, right, kind, line), where)
    if count and (more := next(answers, None)) is not None and more[1]:
        raise DataError(
            "more answers than stories",
            where=f"{beside}:{more[0]}",
            mend="give the .ans file that came with it",
        )


def _letters(line: tuple[int, str] | None, path: Path, story: str) -> Sequence[str]:
    if line is None:
        raise DataError(
            f"ends before the story in {story}",
            where=path,
            mend="give the .ans file that came with it",
        )
    letters = line[1].split("\t")
    if len(letters) != QUESTIONS or any(x not in _LETTERS or len(x) != 1 for x in letters):
        raise DataError(
            f"no four letters of A to D but {line[1]!r:.60}",
            where=f"{path}:{line[0]}",
            mend="give the .ans file that came with it",
        )
    return letters


def _of_records(lines: Lines, name: str, labelled: bool) -> Iterator[Choice]:
    _, records = read_records(lines, name, "jsonl", True)
    for line, record in records:
        where = f"{name}:{line}"
        options = _field(record, "options", where)
        if not isinstance(options, list) or not all(isinstance(o, str) for o in options):
            raise DataError(
                f"options is no list of texts but {options!r:.60}",
                where=where,
                mend='write "options": ["...", "..."]',
            )
        context, question = record.get("context", ""), _field(record, "question", where)
        if not (isinstance(context, str) and isinstance(question, str)):
            raise DataError(
                "question or context is no text", where=where, mend="write it in quotes"
            )
        right = _right(_field(record, "label", where), options, where) if labelled else None
        yield _checked(Choice(context, question, tuple(options), right, line=line), where)


def _field(record: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in record:
        raise DataError(
            f"no {key!r}; there are: {listed(record)}", where=where, mend=f"give it {key!r}"
        )
    return record[key]


def _right(value: Any, options: Sequence[str], where: str) -> int:
    """The right option's number, by its text or that number."""
    if isinstance(value, str) and options.count(value) == 1:
        return list(options).index(value)
    return _number(value, len(options), where)


def _number(value: Any, options: int, where: str) -> int:
    """The right one of so many options."""
    text = str(value).strip()
    is_number = text.isdecimal() and len(text) < 10 and not isinstance(value, bool)
    if not is_number or int(text) >= options:
        raise DataError(
            f"the label {value!r:.60} is none of the {options} options",
            where=where,
            mend=f"give a number from 0 to {options - 1}",
        )
    return int(text)


def _checked(choice: Choice, where: str) -> Choice:
    if len(choice.options) < 2:
        raise DataError(
            f"{len(choice.options)} options", where=where, mend="give two or more to choose from"
        )
    if not any(option.strip() for option in choice.options):
        raise DataError("all options are empty", where=where, mend="take the question out")
    return choice


def _some(choices: Iterator[Choice], name: str) -> Iterator[Choice]:
    first = next(choices, None)
    if first is None:
        raise DataError("no questions", where=name, mend="give questions with options")
    return chain([first], choices)
