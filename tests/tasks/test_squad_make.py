from __future__ import annotations

import json
from pathlib import Path

import pytest

from bertsmith.tasks.squad import read_questions
from bertsmith.tasks.squad_make import draw_unanswerable, split_articles

from .squad_files import asked

CONTENT = {
    "version": "1.1",
    "data": [
        {
            "title": str(article),
            "paragraphs": [
                {
                    "context": f"number {number} of article {article}",
                    "qas": [asked(f"{article}-{number}", "which?", (f"number {number}", 0))],
                }
                for number in range(5)
            ],
        }
        for article in range(10)
    ],
}


def test_articles_are_split_whole() -> None:
    first, second = split_articles(CONTENT, 0.3)
    titles = [[article["title"] for article in part["data"]] for part in (first, second)]
    assert (len(titles[0]), len(titles[1])) == (3, 7)
    assert sorted(titles[0] + titles[1]) == [str(number) for number in range(10)]
    assert split_articles(CONTENT, 0.3) == (first, second)
    assert split_articles(CONTENT, 0.3, seed=1) != (first, second)
    with pytest.raises(ValueError, match=r"0\.01 of 10 articles leaves an empty set"):
        split_articles(CONTENT, 0.01)


def test_questions_are_asked_again_where_their_answer_is_not(tmp_path: Path) -> None:
    before = json.dumps(CONTENT)
    made = draw_unanswerable(CONTENT, 0.5)
    assert json.dumps(CONTENT) == before
    assert made == draw_unanswerable(CONTENT, 0.5)
    path = tmp_path / "made.json"
    path.write_text(json.dumps(made))
    questions = list(read_questions(path, labelled=True))
    drawn = [question for question in questions if question.is_impossible]
    assert len(questions) == 50 + len(drawn)
    assert 10 < len(drawn) < 40
    for question in drawn:
        article, number = question.id.removesuffix("-none").split("-")
        assert f"article {article}" in question.context
        assert f"number {number} " not in question.context
    alone = {"data": [{"paragraphs": [CONTENT["data"][0]["paragraphs"][0]]}]}  # type: ignore[index]
    assert len(draw_unanswerable(alone, 1.0)["data"][0]["paragraphs"][0]["qas"]) == 1
