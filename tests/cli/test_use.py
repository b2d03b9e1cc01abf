"""The verbs that use a model, as real commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.tiny import save_tiny_model, write_table
from tasks.glue_files import write_glue

from .commands import bertsmith


def run(*arguments: object, stdin: str = "") -> tuple[int, str, str]:
    done = bertsmith(*arguments, stdin=stdin)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("use")
    save_tiny_model(folder / "base")
    write_table(folder / "train.tsv", 96)
    write_table(folder / "dev.tsv", 40, seed=1)
    return folder


def test_from_a_pretrained_model_to_labels(folder: Path) -> None:
    inputs = ("--train", folder / "train.tsv", "--dev", folder / "dev.tsv")
    options = ("--epochs", 3, "--lr", 0.005, "--seeds", 1, "--from-scratch")
    status, out, err = run(
        *("finetune", "classify", *inputs, "--model", folder / "base"),
        *("--out", folder / "run", *options),
    )
    assert status == 0, err
    assert "macro-F1" in out
    assert "from scratch" in out
    assert str(folder / "run" / "report.html") in out
    assert "Traceback" not in err

    model = folder / "run" / "model"
    status, out, err = run("predict", model, "-", stdin="a good film\na bad film\n")
    assert (status, err) == (0, "")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["a good film", "a bad film"]

    status, out, _ = run("evaluate", model, folder / "dev.tsv", "--out", folder / "s.json")
    assert status == 0
    assert f"{json.loads((folder / 's.json').read_text())['accuracy']:.3f}" in out

    status, out, _ = run("fill", folder / "base", "a [MASK] [MASK]", "--top", "2")
    assert status == 0
    assert "gap 2" in out


def test_glue_and_a_model_of_numbers(folder: Path) -> None:
    data = write_glue(folder / "glue")
    status, out, err = run(
        *("glue", "--data", folder, data, "--model", folder / "base", "--out", folder / "scores"),
        *("--tasks", "sts-b", "RTE", "--epochs", 2, "--seeds", 1),
    )
    assert status == 0, err
    assert "STS-B: 48 rows to train on; 18 rows to score on (dev)" in err
    for part in (
        "GLUE",
        "Pearson / Spearman",
        "mean of 2",
        "MNLI: not asked for",
        "submission.zip",
    ):
        assert part in out
    model, dev = folder / "scores" / "STS-B" / "model", data / "STS-B" / "dev.tsv"
    status, out, _ = run("predict", model, dev)
    assert status == 0
    assert isinstance(json.loads(out.splitlines()[0])["label"], float)
    status, out, _ = run("evaluate", model, dev)
    assert status == 0
    assert out.startswith("Pearson ")


def test_what_is_wrong_is_one_line_and_exit_status_2(folder: Path) -> None:
    broken = folder / "broken.tsv"
    broken.write_text("text\tlabel\na\tb\tc\n")
    base, dev = folder / "base", folder / "dev.tsv"
    training = ("finetune", "classify", "--dev", dev, "--model", base, "--out", folder / "none")
    for arguments, expected in (
        ((*training, "--train", broken), "broken.tsv:2: 3 fields, where the first line has 2"),
        ((*training, "--train", dev, "--text-column", "txt"), "did you mean 'text'?"),
        (("predict", base, dev), "has no sequence classifier"),
    ):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("bertsmith: error: ")
        assert err.count("\n") == 1
        assert expected in err
    assert not (folder / "none").exists()
