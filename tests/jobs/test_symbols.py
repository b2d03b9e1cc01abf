"""`finetune symbols`, from a file of sequences to a model that transformers reads them with."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import transformers

from bertsmith.cli.main import run
from bertsmith.export.huggingface import read_model
from bertsmith.jobs.finetune import finetune
from bertsmith.jobs.predict import Predictor, evaluate_file
from bertsmith.tasks.symbols import symbols

from .tiny import save_tiny_model

PROTOCOL = {"epochs": 12, "batch_size": 16, "lr": 3e-3}


def write_sequences(path: Path, count: int) -> Path:
    """Ten letters each; those of class "site" have GT somewhere, those of class "none" nowhere."""
    generator = np.random.default_rng(0)
    lines = ["label\tsequence"]
    while len(lines) <= count:
        letters = "".join(generator.choice(list("ACGT"), size=10))
        is_site = len(lines) % 2 == 0
        letters = letters[:4] + "GT" + letters[6:] if is_site else letters.replace("GT", "GA")
        lines.append(f"{('none', 'site')[is_site]}\t{letters}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("symbols")
    write_sequences(folder / "dna.tsv", 300)
    save_tiny_model(folder / "model")
    return folder


@pytest.mark.parametrize("new", [False, True])
def test_sequences_become_a_model_that_transformers_reads(
    inputs: Path, tmp_path: Path, new: bool
) -> None:
    data = inputs / "dna.tsv"
    task = symbols(new_embeddings=new)
    tuned = finetune(task, data, None, inputs / "model", tmp_path / "out", seeds=1, **PROTOCOL)  # type: ignore[arg-type]
    assert tuned.best["accuracy"] > 0.75
    before, after = read_model(inputs / "model"), read_model(tuned.model)
    assert after.config.vocab_size == before.config.vocab_size + 4 * new
    assert after.extra["settings"] == task.settings
    rows = (tuned.folder / "symbols.tsv").read_text().splitlines()
    assert rows[0] == "symbol\tcount\tstands for"
    assert sorted(row[0] for row in rows[1:]) == list("acgt")
    predictor = Predictor.load(tuned.model, precision="float32")
    assert predictor.task.name == "symbols"
    (ours,) = predictor.predict(["acgtGTAACC"])
    pipe = transformers.pipeline("text-classification", str(tuned.model), top_k=None)
    theirs = {item["label"]: item["score"] for item in pipe(["ACGTGTAACC"])[0]}
    assert theirs == pytest.approx(ours.scores, abs=1e-5)
    scores = evaluate_file(tuned.model, data)
    assert (scores["unit"], scores["examples"]) == ("sequences", 300)
    assert scores["accuracy"] > 0.75


def test_both_starts_get_the_same_symbols_and_another_mapping_is_refused(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["finetune", "symbols", "--train", inputs / "dna.tsv", "--model", inputs / "model"]
    command += ["--out", tmp_path / "out", "--seeds", 1, "--epochs", 1, "--from-scratch"]
    with pytest.raises(SystemExit) as exit:
        run([str(part) for part in command])
    assert exit.value.code == 0
    said = capsys.readouterr()
    assert "4 symbols, each for a word drawn by seed 0" in said.err
    assert "are held out, by seed 0" in said.err
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [run["init"] for run in scores["runs"]] == ["pretrained", "scratch"]
    assert scores["dev_examples"] == pytest.approx(60, abs=2)
    for flag, value in (("--mapping-seed", "1"), ("--split-seed", "1")):
        with pytest.raises(SystemExit) as exit:
            run([*map(str, command), flag, value])
        assert exit.value.code == 2
        assert "begun with other values: settings." in capsys.readouterr().err


def test_a_search_holds_the_same_sequences_out_at_every_point(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["finetune", "symbols", "--train", inputs / "dna.tsv", "--model", inputs / "model"]
    command += ["--out", tmp_path / "out", "--seeds", 1, "--search", "lr=1e-4,3e-3 epochs=1"]
    with pytest.raises(SystemExit) as exit:
        run([str(part) for part in [*command, "--workers", 1]])
    assert exit.value.code == 0, capsys.readouterr().err
    found = json.loads((tmp_path / "out" / "search.json").read_text())
    assert sorted(point["lr"] for point in found["points"]) == [1e-4, 3e-3]
    assert found["train_examples"] + found["dev_examples"] <= 300
    assert read_model(tmp_path / "out" / "model").labels == ("none", "site")


def test_real_sequences(inputs: Path, tmp_path: Path) -> None:
    """A few of each set go all the way; nothing is claimed of what is learnt."""
    data = Path(os.environ.get("BERTSMITH_DATA", "")) / "symbols"
    if not (data / "music_nottingham.tsv").is_file():
        pytest.skip("$BERTSMITH_DATA has no symbols")
    for name, alphabet in (("dna_splice", "letters"), ("music_nottingham", "notes")):
        with (data / f"{name}.tsv").open(encoding="utf-8") as whole:
            head, *rows = islice(whole, 2000)
        some = tmp_path / f"{name}.tsv"
        some.write_text("".join([head, *rows[:: len(rows) // 20]]), "utf-8")
        tuned = finetune(
            symbols(alphabet=alphabet, new_embeddings=alphabet == "notes"),
            some,
            None,
            inputs / "model",
            tmp_path / name,
            seeds=1,
            epochs=1,
            max_length=128,
        )
        assert tuned.finished
        assert tuned.scores["truncated"]["train"] == 0 or alphabet == "notes"
