from __future__ import annotations

import gzip
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bertsmith.errors import DataError
from bertsmith.tasks.squad import Answer, Question, learnable, read_questions

from .squad_files import RIVER, asked, write_squad


def read(path: Path, labelled: bool = True) -> list[Question]:
    return list(read_questions(path, labelled=labelled))


def test_questions_come_with_their_answers_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write_squad(
        tmp_path / "a.json",
        (RIVER, [asked("1", "How long?", ("1,230 km", 64)), asked("2", "Where?", ("Swit", 21))]),
        ("空港は大阪にある。", [asked("3", "どこ", ("大阪", 3)), asked("4", "?", impossible=True)]),
    )
    questions = read(path)
    assert [question.id for question in questions] == ["1", "2", "3", "4"]
    assert questions[2].answers == (Answer("大阪", 3),)
    assert [question.is_impossible for question in questions] == [False, False, False, True]
    assert read(path, labelled=False)[0] == Question("1", "How long?", RIVER, line=1, article="t")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read(tmp_path / "a.json.gz") == questions


def test_which_article_a_question_is_on(tmp_path: Path) -> None:
    paragraph = {"context": "c", "qas": [asked("1", "q")]}
    other = {"context": "c", "qas": [asked("2", "q")]}
    whole = {"data": [{"title": " Rhine ", "paragraphs": [paragraph]}, {"paragraphs": [other]}]}
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert [question.article for question in read(tmp_path / "a.json")] == ["Rhine", "data[1]"]
    rows = [{"title": "Rhine"}, {"title": 3}, {}]
    lines = [json.dumps({"question": "q", "context": "c", "answers": [], **row}) for row in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert [question.article for question in read(tmp_path / "a.jsonl")] == ["Rhine", "", ""]


def test_json_lines_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {
            "question": "How long?",
            "context": RIVER,
            "answers": {"text": ["1"], "answer_start": [64]},
        },
        {"id": 7, "question": "Why?", "context": RIVER, "answers": [], "is_impossible": True},
        {
            "id": "x",
            "question": "When?",
            "context": RIVER,
            "answers": {"text": [], "answer_start": []},
        },
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = read(path)
    assert [question.id for question in questions] == ["1", "7", "x"]
    assert questions[0].answers == (Answer("1", 64),)
    assert [question.is_impossible for question in questions] == [False, True, True]
    separated = '{"question": "a\u2028b", "context": "c"}'
    whole = json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": [asked("1", "q")]}]}]})
    for text, ids in ((path.read_text(), ["1", "7", "x"]), (whole, ["1"]), (separated, ["1"])):
        stream = io.TextIOWrapper(io.BytesIO(text.encode()))
        monkeypatch.setattr(sys, "stdin", stream)
        assert [question.id for question in read_questions(None, labelled=False)] == ids


def test_an_answer_out_of_place_moves_to_the_nearest_place_or_is_refused(tmp_path: Path) -> None:
    path = write_squad(
        tmp_path / "a.json",
        (
            RIVER,
            [
                asked("near", "What?", ("Rhine", 50)),
                asked("far", "What?", ("Rhine", 9_999)),
                asked("before", "What?", ("Rhine", -5)),
                asked("wide", "What?", (" North Sea ", 0)),
                asked("lost", "What?", ("Danube", 4)),
                asked("right", "What?", ("Rhine", 4)),
            ],
        ),
    )
    questions = {question.id: question for question in read(path)}
    starts = {name: question.answers[0].start for name, question in questions.items()}
    assert starts == {"near": 55, "far": 55, "before": 4, "wide": 40, "lost": -1, "right": 4}
    kept, notes = learnable(questions.values(), "a.json")
    assert [question.id for question in kept] == ["near", "far", "before", "wide", "right"]
    assert notes == [
        "4 answers moved to the nearest place where they stand",
        "1 questions refused, whose answer is not in their text: lost",
    ]
    with pytest.raises(DataError, match=r"a\.json: no question to learn from; 1 questions refused"):
        learnable([questions["lost"]], "a.json")


def paragraph(**changes: Any) -> dict[str, Any]:
    return {"data": [{"paragraphs": [{"context": RIVER, "qas": [asked("1", "What?") | changes]}]}]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "empty"),
        ("{", r":1: not JSON"),
        ('{"data": [\n1,]}', r":2: not JSON"),
        ("[" * 100_000, "not JSON"),
        ([], "no JSON object but a list"),
        ({}, "no 'data'; there are: nothing"),
        ({"data": {}}, "data is no list but an object"),
        ({"data": []}, "no questions"),
        ({"data": [3]}, r"data\[0\] is no object but a number"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, r"data\[0\]\.paragraphs\[0\]: no 'context'"),
        ({"data": [{"paragraphs": [{"context": "a"}]}]}, "no 'qas'; there are: 'context'"),
        (paragraph(id=None), r"qas\[0\]: the id None is no text"),
        (paragraph(question=1), r"qas\[0\] \(id 1\): question is no text but a number"),
        (paragraph(question=" "), r"\(id 1\): an empty question"),
        (paragraph(question="\ud800"), "half a surrogate pair"),
        (paragraph(answers=None), "answers is no list but null"),
        (
            paragraph(answers=[{"text": "a"}]),
            r": data\[0\]\.paragraphs\[0\]\.qas\[0\]\.answers\[0\] \(id 1\): answer_start is miss",
        ),
        (paragraph(answers=[{"text": "a", "answer_start": "0"}]), "answer_start is '0'"),
        (paragraph(answers=[{"text": " ", "answer_start": 0}]), "an empty answer"),
        (paragraph(answers=[], is_impossible=False), "has no answer, and is_impossible is false"),
        (paragraph(is_impossible="no"), "is_impossible is 'no'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, content: Any, expected: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=rf"bad\.json.*{expected}") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)


def test_files_that_are_no_questions(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"data":\n "caf\xe9"}')
    (tmp_path / "zero.json").write_bytes(b'{"data":\n\0}')
    (tmp_path / "b.txt").write_text("x")
    (tmp_path / "l.jsonl").write_text(
        '{"question": "a", "context": "b", "answers": []}\n{"a": 1}\n'
    )
    two = {"data": paragraph()["data"] * 2}
    (tmp_path / "two.json").write_text(json.dumps(two))
    row = {"question": "a", "context": "b", "answers": []}
    rows = [row, row, row | {"id": 2}]
    (tmp_path / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    empty = {"text": ["b", ""], "answer_start": [0, 0]}
    (tmp_path / "answer.jsonl").write_text(json.dumps(row | {"answers": empty}))
    for name, expected in (
        ("latin.json", r"latin\.json:2: not UTF-8 \(byte 6 of the line is 0xe9\)"),
        ("zero.json", r"zero\.json:2: a binary file"),
        ("b.txt", r"no file of questions has the suffix '\.txt'"),
        ("l.jsonl", r"l\.jsonl:2: no 'context'"),
        (
            "two.json",
            r"two\.json: data\[1\]\.paragraphs\[0\]\.qas\[0\]: two questions have the id '1', this "
            r"one and that at data\[0\]\.paragraphs\[0\]\.qas\[0\]",
        ),
        ("two.jsonl", r"two\.jsonl:3: two questions have the id '2', this one and that at .*:2;"),
        ("answer.jsonl", r"answer\.jsonl:1: answers\[1\] \(id 1\): an empty answer"),
        ("none.json", "no such file"),
    ):
        with pytest.raises(DataError, match=expected):
            read(tmp_path / name)
    (tmp_path / "bom.json").write_text("\ufeff" + json.dumps(paragraph()), "utf-8")
    assert len(read(tmp_path / "bom.json")) == 1


def test_every_answer_of_the_official_files_stands_in_its_place() -> None:
    data = os.environ.get("BERTSMITH_DATA")
    if not data or not (Path(data) / "squad").is_dir():
        pytest.skip("$BERTSMITH_DATA has no squad")
    for name, questions, impossible in (("dev-v1.1", 10_570, 0), ("dev-v2.0", 11_873, 5_945)):
        found = read(Path(data) / "squad" / f"{name}.json")
        assert len(found) == questions
        assert sum(question.is_impossible for question in found) == impossible
        assert not any(question.moved or question.lost for question in found)
