"""`bertsmith analyze attention`: data, figures, the page, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bertsmith.analysis.attention import MEASURES
from bertsmith.cli.main import run
from bertsmith.jobs.analyses.attention import PRONOUNS, analyze_attention
from jobs.tiny import save_tiny_model

TEXT = ["the film was dull", "a film of two friends", "their dog was in the film", "a good film"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("attention") / "model")


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    path = tmp_path / "sentences.txt"
    path.write_text("\n".join(TEXT) + "\n")
    return path


def test_the_pronouns_are_as_described() -> None:
    with PRONOUNS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == len({row["sentence"] for row in rows}) == 60
    comes_first = 0
    for row, twin in zip(rows[::2], rows[1::2], strict=True):
        assert (row["to"], row["rival"]) == (twin["rival"], twin["to"])
        for one in (row, twin):
            words = one["sentence"].lower().rstrip(".").split()
            places = [words.index(one[name]) for name in ("from", "to", "rival")]
            assert max(places) == places[0]
            comes_first += places[1] < places[2]
    assert comes_first == 30


def test_what_is_written(model: Path, sentences: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    page = analyze_attention(model, out, sentences=sentences)
    kinds = {f"attention.{kind}" for kind in ("json", "tsv", "png", "svg")}
    maps = {f"attention-maps.{kind}" for kind in ("png", "svg")}
    assert {path.name for path in out.iterdir()} == kinds | maps | {"report.html"}
    data = json.loads((out / "attention.json").read_text("utf-8"))
    assert data["sentences"] == len(TEXT)
    assert list(data["measures"]) == list(MEASURES)
    (shown,) = data["maps"]
    assert shown["sentence"] == TEXT[0]
    values = np.array(shown["values"])
    assert values.shape == (2, 2, len(shown["tokens"]), len(shown["tokens"]))
    np.testing.assert_allclose(values.sum(-1), 1, atol=1e-3)
    with (out / "attention.tsv").open() as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[0] == ["layer", "head", *MEASURES]
    assert [row[:2] for row in rows[1:]] == [
        ["1", "1"],
        ["1", "2"],
        ["2", "1"],
        ["2", "2"],
        ["alike", ""],
    ]
    assert "Where heads look" in page.read_text("utf-8")


def test_the_map_is_of_the_first_sentence_that_is_short_enough(model: Path, tmp_path: Path) -> None:
    """Where there is no --text to name another, as in `analyze growth`."""
    path = tmp_path / "sentences.txt"
    path.write_text("\n".join(["a " * 70, *TEXT]) + "\n")
    analyze_attention(model, tmp_path / "out", sentences=path)
    data = json.loads((tmp_path / "out" / "attention.json").read_text("utf-8"))
    assert data["sentences"] == len(TEXT) + 1
    assert [shown["sentence"] for shown in data["maps"]] == TEXT[:1]


def test_a_pair_in_one_head(model: Path, sentences: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = {"layers": "2", "heads": "1", "texts": TEXT[:2], "sentences": sentences}
    analyze_attention(model, out, pair=("a", "film"), **(arguments | {"texts": TEXT[1:2]}))
    data = json.loads((out / "attention.json").read_text("utf-8"))
    assert (data["layers"], data["heads"], data["pairs"]["count"]) == ([2], [1], 1)
    assert data["pairs"]["best"] is None
    (table := tmp_path / "pairs.tsv").write_text(
        "sentence\tfrom\tto\n" + "".join(f"{text}\tfilm\t{text.split()[0]}\n" for text in TEXT * 3)
    )
    page = analyze_attention(model, out, pairs=table, **arguments)
    data = json.loads((out / "attention.json").read_text("utf-8"))
    assert data["pairs"]["count"] == 12
    assert data["pairs"]["best"]["head"] == "2-1"
    assert "12 pairs from pairs.tsv" in page.read_text("utf-8")


def test_mistakes_are_one_line(
    model: Path, sentences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.txt").write_text("the film\n")
    (tmp_path / "long.txt").write_text("the film\n" + "a " * 600 + "film\n")
    (tmp_path / "no.tsv").write_text("sentence\tfrom\nthe film\tthe\n")
    (tmp_path / "gap.tsv").write_text("sentence\tfrom\tto\nthe film was\tthe\t\n")
    (tmp_path / "bad.tsv").write_text("sentence\tfrom\tto\nthe film was\tthe\tdog\n")
    out = tmp_path / "out"
    told = ("analyze", "attention", "--model", model, "--out", out)
    on = (*told, "--sentences", sentences)
    for arguments, expected in (
        ((*on, "--layers", "3"), "'3' names no layers of this model; give \"all\", or numbers"),
        ((*on, "--heads", "0"), "'0' names no heads of this model"),
        ((*on, "--text", "a " * 63), "has 65 tokens, and a map shows 64"),
        ((*on, "--text", " "), "is empty"),
        ((*on, "--pair", "the", "film"), "a pair is of words in a text"),
        ((*on, "--text", TEXT[0], "--pair", "the", "dog"), "'dog' is no word of it; choose from"),
        ((*on, "--pairs", tmp_path / "no.tsv"), "has no column 'to'"),
        ((*on, "--pairs", tmp_path / "gap.tsv"), "gap.tsv:2: has no to"),
        ((*on, "--pairs", tmp_path / "bad.tsv"), "'dog' is no word of it"),
        ((*told, "--sentences", tmp_path / "one.txt"), "1 sentence says little"),
        ((*told, "--sentences", tmp_path / "long.txt"), "model reads 512"),
        ((*told, "--sentences", tmp_path / "no.txt"), "no such file"),
    ):
        with pytest.raises(SystemExit) as exit:
            run([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert exit.value.code == 2
        assert err.splitlines()[-1].startswith("bertsmith: error: ")
        assert expected in err
    assert not out.exists()
