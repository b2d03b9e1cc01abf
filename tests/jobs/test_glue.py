from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertsmith.errors import BertsmithError, ConfigError, DataError
from bertsmith.files import alone_in
from bertsmith.jobs.glue import GlueResult, glue
from bertsmith.jobs.predict import Predictor
from bertsmith.tasks.glue import GLUE
from bertsmith.tasks.tables import TextRow
from tasks.glue_files import DEV, TEST, TRAIN, write_glue

from .tiny import PRE, save_tiny_model

QUICK: dict[str, Any] = {"epochs": 6, "batch_size": 16, "lr": 3e-3, "max_length": 64}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_glue(folder / "glue")
    save_tiny_model(folder / "model")
    return folder


@pytest.fixture(scope="module")
def done(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> GlueResult:
    out = tmp_path_factory.mktemp("runs") / "out"
    return glue([inputs / "glue"], inputs / "model", out, seeds=1, from_scratch=True, **QUICK)


def test_every_task_is_scored_and_the_mean_taken(done: GlueResult) -> None:
    scores = json.loads((done.folder / "glue.json").read_text())
    assert scores == done.scores
    assert " ".join(scores["tasks"]) == "CoLA SST-2 MRPC STS-B QQP MNLI QNLI RTE WNLI"
    assert scores["absent"] == {}
    for name, task in scores["tasks"].items():
        assert {key: one["rows"] for key, one in task["sets"].items()} == {
            "train": TRAIN,
            "dev": DEV,
            **({"mismatched": DEV + 1} if name == "MNLI" else {}),
        }
        for own in task["scores"].values():
            assert own["seeds"] == [0]
            assert own["score"]["median"] == pytest.approx(
                np.mean([spread["median"] for spread in own["metrics"].values()])
            )
            for spread in own["metrics"].values():
                assert spread["low"] <= spread["median"] <= spread["high"]
    for init, mean in scores["mean"].items():
        medians = [task["scores"][init]["score"]["median"] for task in scores["tasks"].values()]
        assert mean == pytest.approx(sum(medians) / 9)
    run = json.loads((done.folder / "MNLI" / "runs" / "pretrained-0.json").read_text())
    low, high = run["also"]["mismatched"]["intervals"]["accuracy"]
    spread = scores["tasks"]["MNLI"]["scores"]["pretrained"]["metrics"]["mismatched accuracy"]
    assert (spread["low"], spread["high"]) == (low, high)
    assert spread["median"] == run["also"]["mismatched"]["accuracy"]
    metrics = {name: list(t["scores"]["scratch"]["metrics"]) for name, t in scores["tasks"].items()}
    assert metrics["MRPC"] == ["accuracy", "F1"]
    assert metrics["MNLI"] == ["accuracy", "mismatched accuracy"]


def test_the_submission_is_what_the_best_models_predict(done: GlueResult, inputs: Path) -> None:
    with zipfile.ZipFile(done.folder / "submission.zip") as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert sorted(files) == sorted(name for task in GLUE for name in task.tests)
    assert done.scores["submission"]["absent"] == []
    for name, content in files.items():
        head, *rows = (line.split("\t") for line in content.splitlines())
        assert head == ["index", "prediction"]
        assert [int(index) for index, _ in rows] == list(range(len(rows)))
        assert len(rows) == {"MNLI-mm.tsv": TEST + 1, "AX.tsv": TEST + 2}.get(name, TEST)
    assert all(
        0 <= float(line.split("\t")[1]) <= 5 for line in files["STS-B.tsv"].split("\n")[1:-1]
    )
    lines = (inputs / "glue" / "diagnostic" / "diagnostic.tsv").read_text().splitlines()[1:]
    pairs = [TextRow(*line.split("\t")[1:]) for line in lines]
    best = Predictor.load(done.folder / "MNLI" / "model")
    expected = [prediction.label for prediction in best.predict(pairs)]
    assert [line.split("\t")[1] for line in files["AX.tsv"].splitlines()[1:]] == expected


def test_the_page_and_the_readme_say_what_is_not_as_it_should_be(done: GlueResult) -> None:
    page, readme = (
        (done.folder / name).read_text("utf-8") for name in ("report.html", "README.md")
    )
    for text in (page, readme):
        assert "QQP: train has 48 rows, GLUE" in text
        assert "mismatched accuracy" in text
        spread = done.scores["tasks"]["CoLA"]["scores"]["scratch"]["metrics"]["Matthews"]
        value, low, high = (f"{100 * spread[key]:.1f}" for key in ("median", "low", "high"))
        assert f"{value} [{low}, {high}]" in text
        assert "the mean of the dev scores on GLUE" in text
    failed = [
        f"{name}, {init}: seed {own['failed'][0]}"
        for name, task in done.scores["tasks"].items()
        for key, init in (("pretrained", "pre-trained"), ("scratch", "from scratch"))
        if (own := task["scores"][key])["failed"]
    ]
    assert all(line in readme for line in failed)


def test_the_same_command_goes_on_and_more_seeds_make_a_spread(
    done: GlueResult, inputs: Path, tmp_path: Path
) -> None:
    out, arguments = tmp_path / "out", ([inputs / "glue"], inputs / "model", tmp_path / "out")
    shutil.copytree(done.folder, out)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*/runs/*.json")}
    zipped = (out / "submission.zip").read_bytes()
    shutil.rmtree(out / "SST-2")
    again = glue(*arguments, seeds=1, from_scratch=True, **QUICK)
    assert {n: t["scores"] for n, t in again.scores["tasks"].items()} == {
        n: t["scores"] for n, t in done.scores["tasks"].items()
    }
    begun = (out / "glue.toml").read_bytes()
    other = save_tiny_model(tmp_path / "other", PRE)
    with pytest.raises(ConfigError, match="the content of model has changed"):
        glue([inputs / "glue"], other, out, seeds=1, from_scratch=True, **QUICK)
    with alone_in(out, ConfigError), pytest.raises(ConfigError, match="another process is writing"):
        glue(*arguments, seeds=1, from_scratch=True, **QUICK)
    assert (out / "glue.toml").read_bytes() == begun
    same = {path: path.stat().st_mtime_ns for path in kept if "SST-2" not in path.parts}
    assert same == {path: time for path, time in kept.items() if path in same}
    assert (out / "submission.zip").read_bytes() == zipped
    more = glue(*arguments, seeds=3, from_scratch=True, tasks=["sst-2"], **QUICK).scores
    assert list(more["tasks"]) == ["SST-2"]
    assert more["absent"]["RTE"] == "not asked for"
    own = more["tasks"]["SST-2"]["scores"]["pretrained"]
    runs = [json.loads(p.read_text()) for p in sorted(out.glob("SST-2/runs/pretrained-*.json"))]
    accuracies = sorted(run["accuracy"] for run in runs)
    assert own["seeds"] == [0, 1, 2]
    assert own["score"] == dict(zip(("min", "median", "max"), accuracies, strict=True))
    assert own["failed"] == [run["seed"] for run in runs if run["failed"]]
    with pytest.raises(ConfigError, match="seeds was 3, now 1"):
        glue(*arguments, seeds=1, from_scratch=True, tasks=["SST-2"], **QUICK)


def test_what_is_missing_what_stands_in_and_what_fails_is_said(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, more = tmp_path / "data", tmp_path / "more"
    (data / "CoLA").mkdir(parents=True)
    shutil.copy(inputs / "glue" / "CoLA" / "dev.tsv", data / "CoLA")
    sad = "gj04\t0\t*\tthe dull film\n"
    (data / "CoLA" / "train.tsv").write_text(sad * 40 + "gj04\t1\t\tthe good film\n")
    (more / "nli").mkdir(parents=True)
    rows = [(f"a film {'of two friends ' * 9}", "a good film", "entailment")] * 3
    rows += [("a dog", "a bad film", "contradiction"), ("a dog", "a film", "neutral")]
    table = "premise\thypothesis\tlabel\n" + "".join("\t".join(row) + "\n" for row in rows)
    for name in ("train.tsv", "mnli_dev_gold.tsv"):
        (more / "nli" / name).write_text(table)
    quick = QUICK | {"epochs": 1, "lr": 1e-4, "max_length": 16}
    result = glue([data, more], inputs / "model", tmp_path / "out", seeds=1, **quick)
    scores = result.scores
    assert list(scores["tasks"]) == ["CoLA", "MNLI"]
    assert scores["absent"]["RTE"] == "no RTE/train.tsv and no RTE/dev.tsv"
    assert scores["tasks"]["CoLA"]["scores"]["pretrained"]["failed"] == [0]
    assert scores["tasks"]["MNLI"]["missing_sets"] == ["mismatched"]
    assert scores["tasks"]["MNLI"]["truncated"] == {"train": 3, "dev": 3}
    assert scores["submission"]["files"] == {}
    assert not (tmp_path / "out" / "submission.zip").exists()
    readme = (tmp_path / "out" / "README.md").read_text()
    for part in (
        "CoLA, pre-trained: seed 0 failed; it ended with one answer to everything.",
        "MNLI: train is train.tsv, pairs of several sources, not GLUE's own.",
        "MNLI: no mismatched dev set is there.",
        "MNLI: 3 texts of train are shortened to 16 tokens.",
        "SST-2: no SST-2/train.tsv and no SST-2/dev.tsv;",
        "Not in submission.zip, which gluebenchmark.com therefore refuses: CoLA.tsv",
        "the mean of the dev scores on 2 of GLUE's 9 tasks",
    ):
        assert part in readme, part
    assert "mnli_dev_gold.tsv, a part of the matched dev set" in capsys.readouterr().err


def test_everything_is_read_before_anything_is_trained(inputs: Path, tmp_path: Path) -> None:
    data, out, model = tmp_path / "glue", tmp_path / "out", inputs / "model"
    shutil.copytree(inputs / "glue", data)
    with (data / "WNLI" / "test.tsv").open("a") as file:
        file.write("cut\n")
    with (data / "RTE" / "dev.tsv").open("a") as file:
        file.write("99\ta\tb\tperhaps\n")
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    other.mkdir()
    (other / "mine.txt").write_text("x")
    cases: list[tuple[tuple[Any, ...], dict[str, Any], type[BertsmithError], str]] = [
        (([data], model, out), {}, DataError, r"dev\.tsv:20: labels unknown to GLUE: 'perhaps'"),
        (([data], model, out), {"tasks": ["WNLI"]}, DataError, r"test\.tsv:11: 1 fields"),
        (([empty], model, out), {}, DataError, r"empty: holds none of CoLA, SST-2, .*CoLA/train"),
        (([data], model, out), {"tasks": ["wnl"]}, ConfigError, "did you mean 'WNLI'"),
        (([data], model, other), {"tasks": ["CoLA"]}, ConfigError, "is no run of GLUE"),
        (([data], model, out), {"workers": 0}, ConfigError, "workers: 0 are none"),
        (([data], model, out), {"seeds": 0}, ConfigError, "0 seeds are none"),
        (([data], model, out), {"tasks": ["CoLA"], "epochs": 0}, ConfigError, "epochs"),
    ]
    for arguments, options, kind, expected in cases:
        with pytest.raises(kind, match=expected):
            glue(*arguments, **options)
    assert not out.exists()
    assert [path.name for path in other.iterdir()] == ["mine.txt"]
