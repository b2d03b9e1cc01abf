"""The quickstart on a small text of one's own: every stage, resumed, and its page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bertsmith.errors import ConfigError, DataError
from bertsmith.jobs.quickstart import proof
from bertsmith.jobs.quickstart.run import quickstart
from bertsmith.jobs.quickstart.texts import NAMES, prepare_texts
from bertsmith.jobs.quickstart.words import find_contexts
from bertsmith.text.sources import Document

SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


def write_text(path: Path, documents: int) -> Path:
    """Made-up words in a fixed order within each clause, so that a swap can be seen."""
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(SYLLABLES, 3)) for _ in range(1500)]
    lines = []
    for _ in range(documents):
        for _ in range(8):
            start = generator.integers(0, 1480, 2)
            sentence = [*words[start[0] : start[0] + 6], "kernel", *words[start[1] : start[1] + 6]]
            lines.append(" ".join(sentence).capitalize() + ".")
        lines.append("")
    path.write_text("\n".join(lines))
    return path


def test_the_whole_journey_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "COUNTS", (100, 300))
    monkeypatch.setattr(proof, "EPOCHS", {100: 1, 300: 1})
    text, out = write_text(tmp_path / "own.txt", 1000), tmp_path / "out"
    result = quickstart(out, [text], minutes=0.05)
    assert [row[0] for row in result.table()] == [100, 300]
    assert result.report == out / "report.html"
    page = result.report.read_text("utf-8")
    for part in ("Was pre-training worth it?", "One word, 10 contexts", "from scratch", "swapped"):
        assert part in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    before = {path: path.stat().st_mtime_ns for path in (out / "finetuned").iterdir()}
    again = quickstart(out, [text], minutes=0.05)
    assert again.table() == result.table()
    assert before == {path: path.stat().st_mtime_ns for path in (out / "finetuned").iterdir()}


def test_test_sentences_are_not_pretrained_on(tmp_path: Path) -> None:
    corpus, question = prepare_texts(tmp_path / "t", [write_text(tmp_path / "own.txt", 600)])
    seen = corpus.read_text("utf-8")
    for row in question.test[:100]:
        if row.label == "as written":
            assert row.text not in seen
    labels = [row.label for row in (*question.train, *question.test)]
    assert set(labels) == {"as written", "swapped"}
    assert 0.4 < labels.count("swapped") / len(labels) < 0.6
    assert not {row.text for row in question.train} & {row.text for row in question.test}


def test_the_question_about_python_gives_nothing_away(tmp_path: Path) -> None:
    corpus, question = prepare_texts(tmp_path / "t", [])
    assert {"python", "torch", "numpy", "scipy", "sklearn"} <= set(question.labels)
    assert len(question.test) == len(question.train) == 1000
    for row in question.test:
        words = row.text.lower().replace("_", " ").split()
        assert not {"numpy", "torch", "sklearn", "scipy"} & set(words)
    documents = [json.loads(line) for line in corpus.read_text("utf-8").split("\n") if line]
    assert len(documents) > 15_000
    assert set(NAMES) >= set(question.labels)


def test_killed_before_it_says_whose_text_there_is_it_takes_no_other_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, own = (write_text(tmp_path / f"{count}.txt", count) for count in (600, 500))
    prepare_texts(tmp_path / "out" / "text", [first])

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bertsmith.jobs.quickstart.run._tokenizer", killed)
    with pytest.raises(KeyboardInterrupt):
        quickstart(tmp_path / "out", [own])
    expected, _ = prepare_texts(tmp_path / "expected", [own])
    assert (tmp_path / "out" / "text" / expected.name).read_bytes() == expected.read_bytes()
    with pytest.raises(ConfigError, match=r"a quickstart of .*500\.txt for 5 minutes was begun"):
        quickstart(tmp_path / "out", [first])


def test_a_folder_with_a_tokenizer_of_one_s_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "text").mkdir()
    with pytest.raises(ConfigError, match="is no quickstart"):
        quickstart(tmp_path, [tmp_path])
    (tmp_path / "tokenizer").rmdir()
    (tmp_path / "text" / "mine.txt").write_text("A text.")
    with pytest.raises(ConfigError, match="is no quickstart"):
        quickstart(tmp_path, [tmp_path])
    with pytest.raises(ConfigError, match="is no quickstart"):
        quickstart(tmp_path / "text" / "mine.txt")


def test_too_little_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give more text"):
        quickstart(tmp_path / "out", [write_text(tmp_path / "own.txt", 10)])
    assert not (tmp_path / "out").exists()


def test_contexts_are_of_one_ambiguous_word() -> None:
    sentences = [f"the kernel of thing {n} is what we look at here." for n in range(30)]
    found = find_contexts(map(Document, sentences), lambda word, sentence: True)
    assert found is not None
    word, contexts = found
    assert word == "kernel"
    assert len(contexts) == 10
    assert all("kernel" in context for context in contexts)
    assert find_contexts([Document("Nothing much.")], lambda word, sentence: True) is None
    assert find_contexts(map(Document, sentences), lambda word, sentence: False) is None
