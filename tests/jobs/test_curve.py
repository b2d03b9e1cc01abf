"""`analyze curve`: a fine-tuning from two starts, trained again to the same ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bertsmith.cli.main import run
from bertsmith.errors import BertsmithError
from bertsmith.export.huggingface import load_classifier
from bertsmith.jobs.analyses import curve
from bertsmith.jobs.analyses.curve import LINE, analyze_curve, plan_again
from bertsmith.jobs.finetune import FinetuneResult, finetune
from bertsmith.jobs.finetune_folder import FinetuneConfig
from bertsmith.schema import read_toml, validate
from bertsmith.tasks.symbols import symbols
from bertsmith.tasks.tagging import tagging
from browser import check_page

from .test_answering import write_choices
from .test_symbols import write_sequences
from .test_tagging import write_conll
from .tiny import save_tiny_model, write_table

PROTOCOL = {"epochs": 3, "batch_size": 16, "lr": 3e-3}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curve")
    numbers = {"glad": "90.5", "sad": "-30"}
    for name, seed in (("train", 0), ("dev", 1)):
        write_table(folder / f"{name}.tsv", 160, seed)
        write_table(folder / f"{name}_numbers.tsv", 48, seed, label=numbers.__getitem__)
        write_conll(folder / f"{name}.conll", 20, seed)
        write_choices(folder / f"{name}.jsonl", 20, seed)
    write_sequences(folder / "dna.tsv", 60)
    save_tiny_model(folder / "model")
    return folder


@pytest.fixture(scope="module")
def done(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    out = tmp_path_factory.mktemp("runs") / "out"
    return finetune(
        "classify",
        inputs / "train.tsv",
        inputs / "dev.tsv",
        inputs / "model",
        out,
        seeds=1,
        from_scratch=True,
        precision="float32",
        **{**PROTOCOL, "epochs": 8},  # type: ignore[arg-type]
    )


def data_of(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "curve.json").read_text("utf-8"))
    return found


def test_curves_and_surfaces_of_a_run(done: FinetuneResult, tmp_path: Path) -> None:
    page = analyze_curve(done.folder, tmp_path / "out", grid=3, examples=16)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"report.html", *(f"curve.{kind}" for kind in ("json", "tsv", "png", "svg"))}
    check_page(page, tmp_path / "browser")
    data = json.loads((tmp_path / "out" / "curve.json").read_text("utf-8"))
    for init in ("pretrained", "scratch"):
        (own,) = data["curves"][init]
        (run,) = (run for run in done.scores["runs"] if run["init"] == init)
        assert own["steps"] == list(range(1, 81))
        assert own["epochs"] == [entry["epoch"] for entry in run["history"]]
        assert own["scores"] == [entry["accuracy"] for entry in run["history"]]
        surface = data["surfaces"][init]
        assert len(surface["line"]) == LINE
        assert np.shape(surface["plane"]) == (3, 3)
        assert surface["end_loss"] < surface["start_loss"] - 0.01
        assert surface["points"][1] == [pytest.approx(surface["distance"]), 0]
        # As many steps and the same data lead about as far in another order.
        assert np.linalg.norm(surface["points"][2]) == pytest.approx(surface["distance"], rel=0.5)
    rows = (tmp_path / "out" / "curve.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows[1:]] == ["pre-trained", "from scratch"]
    html = page.read_text("utf-8")
    for part in ("Pre-trained against random weights", "Hao et al. 2019", "share of the way"):
        assert part in html


def test_the_run_is_trained_again_to_the_bit(done: FinetuneResult) -> None:
    path = done.folder / "config.toml"
    plan = plan_again(done.folder, validate(FinetuneConfig, read_toml(path), path))
    end = curve._end(plan.trainer(), "pretrained", 0, lambda count, note: None)
    saved = dict(load_classifier(done.model).named_parameters())
    assert end.keys() == saved.keys()
    words = "encoder.embeddings.word.weight"  # of which the rows in use are trained
    assert all(torch.equal(part, saved[name]) for name, part in end.items() if name != words)


@pytest.mark.parametrize(
    ("task", "train", "dev"),
    [
        ("regress", "train_numbers.tsv", "dev_numbers.tsv"),
        (tagging(crf=True), "train.conll", "dev.conll"),
        ("choice", "train.jsonl", "dev.jsonl"),
        (symbols(new_embeddings=True), "dna.tsv", None),
    ],
    ids=["regress", "tag", "choice", "symbols"],
)
def test_any_task_has_a_surface(
    inputs: Path, tmp_path: Path, task: str, train: str, dev: str | None
) -> None:
    """Whose loss is taken in the parameters that are trained, numbers' and CRF's too."""
    settings = {**PROTOCOL, "epochs": 1, "precision": "float32"}
    tuned = finetune(
        task,
        inputs / train,
        None if dev is None else inputs / dev,
        inputs / "model",
        tmp_path / "run",
        seeds=1,
        from_scratch=True,
        **settings,  # type: ignore[arg-type]
    )
    assert tuned.finished
    analyze_curve(tmp_path / "run", tmp_path / "out", grid=2, examples=8)
    data = json.loads((tmp_path / "out" / "curve.json").read_text("utf-8"))
    for surface in data["surfaces"].values():
        assert np.isfinite(surface["line"]).all()
        assert surface["distance"] > 0
        # In standard deviations, or nats of two options, or tags: nothing is known at the start.
        assert 0.3 < surface["start_loss"] < 3


def test_curves_alone_train_nothing(
    done: FinetuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "fit", None)
    page = analyze_curve(done.folder, tmp_path / "out", surface=False)
    assert "Hao et al." not in page.read_text("utf-8")
    assert data_of(tmp_path / "out")["surfaces"] == {}


def test_what_is_no_such_run_is_refused(
    done: FinetuneResult, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone"
    files = (inputs / "train.tsv", inputs / "dev.tsv", inputs / "model")
    finetune("classify", *files, alone, seeds=1, **{**PROTOCOL, "epochs": 1})  # type: ignore[arg-type]
    copied = tmp_path / "copied"
    copied.mkdir()
    config = (done.folder / "config.toml").read_text()
    (copied / "config.toml").write_text(config)
    changed = tmp_path / "changed"
    changed.mkdir()
    write_table(tmp_path / "other.tsv", 48, 7)
    for name in ("scores.json", "log.jsonl"):
        (changed / name).write_bytes((done.folder / name).read_bytes())
    odd = config.replace(str(inputs / "train.tsv"), str(tmp_path / "other.tsv"))
    (changed / "config.toml").write_text(odd)
    pretrained = tmp_path / "pretrained"
    pretrained.mkdir()
    (pretrained / "config.toml").write_text('recipe = "bert"\n')
    for folder, expected in (
        (tmp_path / "none", "is no fine-tuning; give the folder"),
        (pretrained, "is no fine-tuning; give the folder"),
        (alone, "has no runs from random weights"),
        (copied, "is not finished; give the finetune command again"),
        (changed, "other.tsv has changed since"),
    ):
        with pytest.raises(SystemExit) as exit:
            run(["analyze", "curve", "--run", str(folder), "--out", str(tmp_path / "out")])
        err = capsys.readouterr().err
        assert exit.value.code == 2
        assert expected in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
    with pytest.raises(BertsmithError, match="is no fine-tuning"):
        analyze_curve(tmp_path, tmp_path / "out")
