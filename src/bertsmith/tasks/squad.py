"""Questions answered by spans of a text, in SQuAD's format (Rajpurkar et al. 2016 and 2018).

    .json     {"data": [{"paragraphs": [{"context": ..., "qas": [{"id", "question", "answers":
              [{"text", "answer_start"}], "is_impossible"}]}]}]}: SQuAD 1.1 and 2.0, DRCD, XQuAD
    .jsonl    {"question", "context", "id", "title", "answers", "is_impossible"} a line; answers as
              above, or as {"text": [...], "answer_start": [...]}

`answer_start` counts characters (code points). Where a text does not stand at its place, the
nearest place where it does is taken, and counted; where it stands nowhere, a question is refused
with its id if it is to be learnt from. Scores need the answers' texts alone, so that such a
question is still asked.

What is wrong with a .json file is told with its place in the tree, as jq takes it, and not with a
line: the official ones are one line of up to 30 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from bertsmith.errors import DataError
from bertsmith.tasks.records import (
    STDIN_NAME,
    Lines,
    open_lines,
    read_records,
    read_text,
)
from bertsmith.text.lines import listed, require_unicode, text_suffix

_MOST_NAMED = 5
"""Refused questions that a line names."""
_Placed = tuple[str, str, "Question"]
"""A question, after file or file:line, and its place in the tree, empty in JSON lines."""
_MEND = 'write {"data": [{"paragraphs": [{"context": "...", "qas": [...]}]}]} as SQuAD does'


class Answer(NamedTuple):
    """A span of a context: its text, and the character that it begins at."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Just after it."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Question:
    """One question, its context, and every answer that counts as right; none: it has none."""

    id: str
    text: str
    context: str
    answers: tuple[Answer, ...] = ()
    is_impossible: bool = False
    """Whether the context does not answer it."""
    moved: int = 0
    """Answers that did not stand where `answer_start` said."""
    lost: int = 0
    """Answers that stand nowhere in the context; their start is -1."""
    line: int = 0
    article: str = ""
    """Its title, or its place in the file: what hangs together; empty where none is told."""


def read_questions(path: Path | None, *, labelled: bool) -> Iterator[Question]:
    """The questions of a file, or of standard input where `path` is None, in their order.

    A JSON file is read whole and checked at once; JSON lines one by one. Without `labelled`
    answers are not looked at. Raises DataError.
    """
    if path is None:
        return _distinct(_of_stdin(labelled), STDIN_NAME)
    if text_suffix(path) == ".jsonl":
        return _distinct(_of_lines(open_lines(path), str(path), labelled), str(path))
    if text_suffix(path) != ".json":
        raise DataError(
            f"no file of questions has the suffix {text_suffix(path)!r}",
            where=path,
            mend="give SQuAD's .json, or a .jsonl with a question and a context a line",
        )
    content = _parsed(read_text(path), str(path))
    return _distinct(_of_json(content, str(path), labelled), str(path))


def learnable(questions: Iterable[Question], name: str) -> tuple[list[Question], list[str]]:
    """Those that can be learnt from, and a line on what had to be mended or refused.

    Raises DataError where none is left.
    """
    kept: list[Question] = []
    refused: list[str] = []
    moved = 0
    for question in questions:
        there = tuple(answer for answer in question.answers if answer.start >= 0)
        if there or question.is_impossible:
            kept.append(replace(question, answers=there))
            moved += question.moved
        else:
            refused.append(question.id)
    notes = []
    if moved:
        notes.append(f"{moved:,} answers moved to the nearest place where they stand")
    if refused:
        ids = ", ".join(f"{own:.60}" for own in refused[:_MOST_NAMED])
        more = f" and {len(refused) - _MOST_NAMED:,} more" if len(refused) > _MOST_NAMED else ""
        notes.append(
            f"{len(refused):,} questions refused, whose answer is not in their text: {ids}{more}"
        )
    if not kept:
        what = f"no question to learn from{'; ' + notes[-1] if notes else ''}"
        raise DataError(what, where=name, mend="give questions whose answers are in their contexts")
    return kept, notes


def _parsed(text: str, name: str) -> Any:
    if not text.strip():
        raise DataError("empty", where=name, mend=_MEND)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"not JSON ({error.msg}, column {error.colno})",
            where=f"{name}:{error.lineno}",
            mend="fetch or write it again",
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({error})", where=name, mend="write it again") from None


def _of_stdin(labelled: bool) -> Iterator[_Placed]:
    """JSON lines, or all of it one JSON text with "data"."""
    text = read_text(None)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict) and "data" in whole:
        return _of_json(whole, STDIN_NAME, labelled)
    return _of_lines(iter(enumerate(text.split("\n"), 1)), STDIN_NAME, labelled)


def _of_lines(lines: Lines, name: str, labelled: bool) -> Iterator[_Placed]:
    _, records = read_records(lines, name, "jsonl", True)
    for number, record in records:
        where = f"{name}:{number}"
        context = _text(record, "context", where)
        record.setdefault("id", str(number))
        question = _question(record, context, where, "", labelled)
        yield where, "", replace(question, line=number, article=_title(record))


def _of_json(content: Any, name: str, labelled: bool) -> Iterator[_Placed]:
    if not isinstance(content, dict):
        raise DataError(f"no JSON object but {_kind(content)}", where=name, mend=_MEND)
    count = 0
    for a, article in enumerate(_list(content, "data", name, "")):
        path = f"data[{a}]"
        title = _title(_table(article, name, path)) or path
        for p, paragraph in enumerate(_list(article, "paragraphs", name, path)):
            at = f"{path}.paragraphs[{p}]"
            context = _text(_table(paragraph, name, at), "context", name, at)
            for q, asked in enumerate(_list(paragraph, "qas", name, at)):
                here = f"{at}.qas[{q}]"
                question = _table(asked, name, here)
                if "id" not in question:
                    raise _lacks(question, "id", name, here)
                count += 1
                read = _question(question, context, name, here, labelled)
                yield name, here, replace(read, line=count, article=title)


def _question(
    record: Mapping[str, Any], context: str, name: str, at: str, labelled: bool
) -> Question:
    own = record["id"]
    if isinstance(own, bool) or not isinstance(own, str | int) or own == "":
        raise DataError(
            f"{_at(at)}the id {own!r:.60} is no text", where=name, mend="give every question one"
        )
    own = str(own)
    require_unicode(own, name, f"the id of {at}" if at else "the id")
    here = _with_id(at, own)
    text = _text(record, "question", name, here)
    if not text.strip():
        raise DataError(f"{here}: an empty question", where=name, mend="take it out")
    if not labelled:
        return Question(own, text, context)
    says = record.get("is_impossible")
    if says is not None and not isinstance(says, bool):
        raise DataError(
            f"{here}: is_impossible is {says!r:.40}", where=name, mend="give true or false"
        )
    if "answers" not in record and not says:
        raise _lacks(record, "answers", name, here)
    given = () if says else tuple(_answers(record["answers"], name, at, own))
    if says is False and not given:
        raise DataError(
            f"{here}: has no answer, and is_impossible is false",
            where=name,
            mend="give its answers, or is_impossible true",
        )
    placed = [_placed(answer, context) for answer in given]
    return Question(
        own,
        text,
        context,
        tuple(placed),
        is_impossible=not given,
        moved=sum(now.start not in (-1, was.start) for was, now in zip(given, placed, strict=True)),
        lost=sum(answer.start < 0 for answer in placed),
    )


def _title(record: Mapping[str, Any]) -> str:
    """An article's; empty where it has none."""
    title = record.get("title")
    return title.strip() if isinstance(title, str) else ""


def _answers(value: Any, name: str, at: str, own: str) -> Iterator[Answer]:
    """Both ways to write them: a list of objects, or an object of lists."""
    here, at = _with_id(at, own), f"{at}.answers" if at else "answers"
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise DataError(
                f"{here}: answers needs lists text and answer_start of one length",
                where=name,
                mend="write the question again",
            )
        value = [
            {"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)
        ]
    if not isinstance(value, list):
        raise DataError(
            f"{here}: answers is no list but {_kind(value)}", where=name, mend="write a list"
        )
    for number, answer in enumerate(value):
        here = _with_id(f"{at}[{number}]", own)
        text = _text(_table(answer, name, here), "text", name, here)
        start = answer.get("answer_start")
        if isinstance(start, bool) or not isinstance(start, int):
            raise DataError(
                f"{here}: answer_start is {'missing' if start is None else repr(start)[:40]}",
                where=name,
                mend="give the number of the character that the answer begins at",
            )
        if not text.strip():
            raise DataError(
                f"{here}: an empty answer",
                where=name,
                mend="leave answers empty where a question has none",
            )
        yield Answer(text, start)


def _placed(answer: Answer, context: str) -> Answer:
    """The answer where it stands: at its place, at the nearest other one, or -1."""
    if answer.start >= 0 and context.startswith(answer.text, answer.start):
        return answer
    text = answer.text if answer.text in context else answer.text.strip()
    near = max(0, answer.start)
    places = (context.rfind(text, 0, near + len(text)), context.find(text, near))
    there = [place for place in places if place >= 0]
    if not there:
        return answer._replace(start=-1)
    return Answer(text, min(there, key=lambda place: abs(place - answer.start)))


def _distinct(placed: Iterator[_Placed], name: str) -> Iterator[Question]:
    """The questions as they come. Raises DataError where two have one id, or there is none."""
    seen: dict[str, str] = {}
    for where, at, question in placed:
        if question.id in seen:
            raise DataError(
                f"{_at(at)}two questions have the id {question.id!r:.60}, this one and that at "
                f"{seen[question.id]}",
                where=where,
                mend="give every question an id of its own",
            )
        seen[question.id] = at or where
        yield question
    if not seen:
        raise DataError("no questions", where=name, mend=_MEND)


def _at(at: str) -> str:
    return f"{at}: " if at else ""


def _with_id(at: str, own: str) -> str:
    """A question's place in the tree, or one inside of it, and its id."""
    return f"{at} (id {own:.60})" if at else f"id {own:.60}"


def _kind(value: Any) -> str:
    names = {list: "a list", dict: "an object", str: "text", type(None): "null"}
    return names.get(type(value), "true or false" if isinstance(value, bool) else "a number")


def _table(value: Any, name: str, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{at} is no object but {_kind(value)}", where=name, mend=_MEND)
    return value


def _lacks(record: Mapping[str, Any], key: str, name: str, at: str) -> DataError:
    what = f"{_at(at)}no {key!r}; there are: {listed(record)}"
    return DataError(what, where=name, mend=f"give it {key!r}")


def _list(record: Mapping[str, Any], key: str, name: str, at: str) -> list[Any]:
    if key not in record:
        raise _lacks(record, key, name, at)
    value = record[key]
    if not isinstance(value, list):
        raise DataError(
            f"{at + '.' if at else ''}{key} is no list but {_kind(value)}", where=name, mend=_MEND
        )
    return value


def _text(record: Mapping[str, Any], key: str, name: str, at: str = "") -> str:
    if key not in record:
        raise _lacks(record, key, name, at)
    value = record[key]
    if not isinstance(value, str):
        raise DataError(
            f"{_at(at)}{key} is no text but {_kind(value)}", where=name, mend="write it in quotes"
        )
    require_unicode(value, name, f"{key} of {at}" if at else key)
    return value
