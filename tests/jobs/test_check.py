"""`bertsmith check data`, from files to table, JSON, page and exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bertsmith.errors import ConfigError, DataError
from bertsmith.jobs.check import Check, check_data
from bertsmith.report.check import check_summary, counts_table, findings_table
from tasks.glue_files import DEV, TEST, TRAIN, write_glue

from .tiny import save_tiny_model, write_table


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def kinds(result: Check, file: int = 0) -> dict[str, int]:
    return {found.kind: found.count for found in result.sets[0].files[file].findings}


def test_a_training_set_and_a_dev_set(model: Path, tmp_path: Path) -> None:
    train, dev = tmp_path / "train.tsv", tmp_path / "dev.tsv"
    train.write_text("text\tlabel\nthe film\tglad\na story\tsad\nthe film\tglad\nthe dog\tsad\n")
    dev.write_text(f"text\tlabel\nthe film\tsad\n{'a ' * 160}\tsad\n")
    out, html = tmp_path / "check.json", tmp_path / "check.html"
    result = check_data([train, dev], model=model, out=out, html=html)
    assert result.status == 1
    assert kinds(result) == {"duplicates": 1, "rare labels": 2}
    assert kinds(result, 1) == {"rare labels": 1, "overlap": 1, "too long": 1}
    told = json.loads(out.read_text())
    assert told == result.records
    (one,) = told
    assert (one["task"], one["errors"]) == ("classify", [])
    assert one["files"][0]["labels"] == {"glad": 2, "sad": 2}
    by_kind = {found["kind"]: found for found in one["files"][1]["findings"]}
    assert by_kind["overlap"]["places"] == [[{"at": 2, "note": ""}, {"at": 2, "note": ""}]]
    assert by_kind["too long"]["places"] == [[{"at": 3, "note": "162 tokens"}]]
    tokens = one["files"][1]["tokens"]
    assert (tokens["longest"], tokens["max_length"]) == (162, 128)
    assert tokens["histogram"] == [0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert "2 = 4" in findings_table(told).rows[0]
    assert check_summary(told) == "6 rows of 2 files: 0 errors, 3 warnings."
    page = html.read_text("utf-8")
    assert "repeat another row" in page
    assert page.count("<svg") == 2


def test_sequences_are_parted_as_finetune_parts_them(tmp_path: Path) -> None:
    """So that what it refuses is told here."""
    path = tmp_path / "dna.tsv"
    for lines, what in (
        (
            "text\ttext_pair\tlabel\nACGT\tAA\ta\nGG\tCC\tb\n",
            "a second text, 'text_pair', in a row",
        ),
        ("sequence\tlabel\nACGT\ta\nACGT\tb\nGG\ta\nTT\ta\nCC\ta\n", "one class only"),
        ("sequence\tlabel\nACGT\ta\nGG\tb\n", "no rows; give labelled texts to be scored on"),
    ):
        path.write_text(lines)
        result = check_data([path], task="symbols")
        assert result.status == 2
        assert what in str(result.errors[0])


def test_symbols_are_measured_as_they_are_read(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "dna.tsv"
    rows = [f"{'ACGT' * (3 + number)}\t{'ab'[number % 2]}\n" for number in range(20)]
    path.write_text("sequence\tlabel\n" + "".join(rows))
    result = check_data([path], task="symbols", model=model)
    lengths = result.sets[0].files[0].lengths
    assert lengths is not None
    assert lengths.tokens.tolist() == [2 + 4 * (3 + number) for number in range(20)]
    assert (lengths.unknown, kinds(result)) == (0.0, {"too long": 1})  # the longest is held out


def test_nothing_to_be_looked_at(tmp_path: Path) -> None:
    train = write_table(tmp_path / "train.tsv", 40)
    result = check_data([train])
    assert (result.status, kinds(result)) == (0, {})
    assert counts_table(result.records).rows[0][2] == 40


def test_every_error_is_told_and_the_other_files_are_checked_all_the_same(tmp_path: Path) -> None:
    train = write_table(tmp_path / "train.tsv", 40)
    for name, content in (
        ("ragged.tsv", "text\tlabel\na\tglad\tx\n"),
        ("odd.tsv", "text\tlabel\na\tglad\nb\tangry\n"),
        ("pairs.tsv", "text_a\ttext_b\tlabel\na\tb\tglad\n"),
        ("one.tsv", "text\tlabel\na\tglad\nb\tglad\n"),
    ):
        (tmp_path / name).write_text(content)
    names = ("ragged.tsv", "odd.tsv", "pairs.tsv", "missing.tsv")
    result = check_data([train, *(tmp_path / name for name in names)], html=tmp_path / "a.html")
    assert result.status == 2
    assert [file.path.name for file in result.sets[0].files] == [
        *("train.tsv", "odd.tsv", "pairs.tsv")
    ]
    for error, expected in zip(
        result.errors,
        ("ragged.tsv:2: ", "missing.tsv: no such", "odd.tsv:3: labels unknown", "pairs.tsv: a sec"),
        strict=True,
    ):
        assert expected in str(error)
    assert "labels unknown to" in (tmp_path / "a.html").read_text()
    alone = check_data([tmp_path / "one.tsv"])
    assert (alone.status, str(alone.errors[0]).count("one class only")) == (2, 1)
    broken = check_data([tmp_path / "ragged.tsv", tmp_path / "missing.tsv"])
    assert (broken.status, len(broken.errors), broken.sets[0].files) == (2, 2, [])


def test_a_folder_of_glue(model: Path, tmp_path: Path) -> None:
    data = write_glue(tmp_path / "glue")
    with (data / "QQP" / "train.tsv").open("a") as file:
        file.write("a line\tthat is cut\n")
    result = check_data([data], model=model)
    names = [one.name for one in result.sets]
    assert names == ["CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI"]
    assert [file.rows for file in result.sets[0].files] == [TRAIN, DEV, TEST]
    assert result.sets[3].files[0].numbers["greatest"] == 5.0
    left_out = next(f for f in result.sets[4].files[0].findings if f.kind == "left out")
    assert [place.at for (place,) in left_out.places] == [TRAIN + 2]
    assert "QQP/train.tsv" in {row[0] for row in findings_table(result.records).rows}
    (cola,) = check_data([data / "CoLA"]).sets
    assert (cola.name, len(cola.files)) == ("CoLA", 3)
    (data / "RTE" / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tmaybe\n")
    (error,) = check_data([data]).errors
    assert "dev.tsv:2: labels unknown to" in str(error)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"none: no file of GLUE's in this folder"):
        check_data([data, tmp_path / "none"])


def test_what_is_asked_for_must_fit_together(model: Path, tmp_path: Path) -> None:
    train = write_table(tmp_path / "train.tsv", 4)
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"model": model, "tokenizer": model}, "a model brings its tokenizer"),
        ({"max_length": 9}, "a length in tokens needs a tokenizer"),
        ({"model": model, "max_length": 10**6}, "positions of the model"),
        ({"tokenizer": model, "max_length": 2}, "2 tokens hold no text"),
        ({"task": "clasify"}, "did you mean 'classify'"),
        ({"out": tmp_path / "none" / "c.json"}, r"c\.json: not a file that can be written"),
        ({"html": tmp_path}, "not a file that can be written"),
    )
    for arguments, expected in cases:
        with pytest.raises(ConfigError, match=expected):
            check_data([train], **arguments)
    assert check_data([train], tokenizer=model).sets[0].files[0].lengths is not None


def test_real_data_sets_and_what_is_wrong_with_them() -> None:
    data = Path(os.environ.get("BERTSMITH_DATA", "none"))
    if not (data / "sentences").is_dir():
        pytest.skip("$BERTSMITH_DATA has no sentences")
    trec = check_data([data / "sentences" / f"trec.{name}.tsv" for name in ("train", "test")])
    assert (kinds(trec)["duplicates"], kinds(trec, 1)["overlap"]) == (71, 10)
    cola = check_data([data / "glue" / "CoLA"])
    assert [file.rows for file in cola.sets[0].files] == [8551, 1043, 1063]
    assert kinds(cola, 1) == {"duplicates": 1, "conflicts": 3, "overlap": 16}
    english = data / "conll2003" / "eng.testa"
    assert kinds(check_data([english]))["duplicates"] == 179
