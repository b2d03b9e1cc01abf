"""Files of questions and ratings, and the verbs that ask them, as real commands' functions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bertsmith.cli import vectors as verbs
from bertsmith.errors import BertsmithError, DataError, ModelError
from bertsmith.export.vectors import write_vectors
from bertsmith.jobs.word_vectors import load_word_vectors, read_pairs, read_questions
from bertsmith.types import WordVectors

from .tiny import save_tiny_model

QUESTIONS = """: family
king queen man woman
king queen boy girl
: gram1-plural
cat cats dog dogs
"""


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    words = ("king", "queen", "man", "woman", "cat", "cats", "dog", "dogs")
    people = [[1, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 1]]
    animals = [[0, 0, 1, 0], [0, 0, 1, -1], [0, 1, 1, 0], [0, 1, 1, -1]]
    rows = np.array([*people, *animals])
    path = tmp_path / "v.txt"
    write_vectors(path, WordVectors(words, rows.astype(np.float32)))
    return path


def run(verb: str, *arguments: object) -> str:
    command, given = getattr(verbs, verb), [str(each) for each in arguments]
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_verbs_say_what_was_found(vectors: Path, tmp_path: Path) -> None:
    questions, ratings = tmp_path / "q.txt", tmp_path / "ratings.txt"
    questions.write_text(QUESTIONS)
    ratings.write_text("king\tqueen\t9\nking\tcat\t1\nKing\tking\t10\nking\tprince\t8\n")
    said = run("analogies", vectors, questions)
    assert [line.split()[0] for line in said.splitlines()] == [
        *("family", "gram1-plural", "semantic", "syntactic", "total")
    ]
    assert "1 of 1 (50.0 % of 2 covered)" in said
    said = run("wordsim", vectors, ratings)
    assert " ".join(said.split()) == "ratings.txt Spearman 1.000 (75.0 % of 4 pairs covered)"
    nearest = run("similar", vectors, "King", "--top", 1)
    assert nearest == "0.7071  queen\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("king queen man woman\n", "q.txt:1: 'king queen man woman' is neither"),
        (": a\n\nking queen man\n", "q.txt:3: 'king queen man' is neither"),
        (": a\n", "q.txt: no question in this file"),
    ],
)
def test_questions_that_are_none_are_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "q.txt"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_questions(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("word1 word2 score\n", "p.txt:1: 'word1 word2 score' is not two words and a number"),
        ("a b 1\na b\n", "p.txt:2: 'a b' is not"),
        ("\n", "p.txt: no pair in this file"),
    ],
)
def test_ratings_that_are_none_are_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert message in str(caught.value)


def test_what_has_no_word_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no word vectors: it is a BertForPreTraining"):
        load_word_vectors(save_tiny_model(tmp_path / "model"))
    for missing in (tmp_path / "none.txt", tmp_path / "q.txt"):
        with pytest.raises(BertsmithError, match="no such file"):
            load_word_vectors(missing)


@pytest.mark.skipif("BERTSMITH_DATA" not in os.environ, reason="no $BERTSMITH_DATA")
def test_the_published_files_are_read() -> None:
    folder = Path(os.environ["BERTSMITH_DATA"]) / "wordvectors"
    if not folder.is_dir():
        pytest.skip("no wordvectors in $BERTSMITH_DATA")
    sections = read_questions(folder / "questions-words.txt")
    assert len(sections) == 14
    assert sum(map(len, sections.values())) == 19_544
    assert sum(name.startswith("gram") for name in sections) == 9
    for name, count in (("EN-WS-353-ALL", 353), ("EN-SIMLEX-999", 999)):
        assert len(read_pairs(folder / "word-sim" / f"{name}.txt")) == count
