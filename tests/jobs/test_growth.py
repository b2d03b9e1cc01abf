"""`analyze growth`: the models of a real, tiny run, asked one after another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertsmith.cli.main import run as command
from bertsmith.errors import DataError, ModelError
from bertsmith.jobs.analyses import growth
from bertsmith.jobs.analyses.growth import analyze_growth
from bertsmith.jobs.pretrain import pretrain
from bertsmith.report.growth import PANELS, figure, rows, sections
from jobs.tiny import POST, save_tiny_model
from recipes.toy import SUBJECTS, config, make_corpus

MODELS = 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("growth")
    corpus = make_corpus("modern", folder / "c")
    settings = {"log": {"models": MODELS, "evaluations": 4}}
    pretrain(config("modern", device="cpu", **settings), corpus, folder / "run")
    return folder / "run"


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """Every question, of the toy language."""
    words = [f"the {subject} sees the {what}" for subject in SUBJECTS for what in ("hen", "bone")]
    senses = [f"sees\t{'ab'[number % 2]}\t{text}" for number, text in enumerate(words)]
    (tmp_path / "senses.tsv").write_text("\n".join(["word\tsense\tsentence", *senses]) + "\n")
    tagged = "the DT\n{} NN\nsees VB\nthe DT\nhen NN\n\na DT\n{} NN\nhears VB\n\n"
    for name, nouns in (("train.txt", ("cat", "fox")), ("test.txt", ("fox", "cat"))):
        (tmp_path / name).write_text(tagged.format(*nouns) * 12)
    pairs = [f"{text}\t{words[0]}\t{number % 5}" for number, text in enumerate([*words] * 2)]
    (tmp_path / "pairs.tsv").write_text("\n".join(["sentence1\tsentence2\tscore", *pairs]) + "\n")
    rows = "a\t1\t\tthe cat sees the hen\na\t0\t*\tthe cat sees hen\n"
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text(rows)
    return {
        "sentences": tmp_path / "senses.tsv",
        "pos": (tmp_path / "train.txt", tmp_path / "test.txt"),
        "pairs": tmp_path / "pairs.tsv",
        "cola": tmp_path,
    }


def test_every_model_answers_as_its_own_page_says(
    run: Path, asked: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    page = analyze_growth(run, out, **asked)
    data = json.loads((out / "growth.json").read_text("utf-8"))
    assert len(data["models"]) == MODELS
    tokens = [model["tokens"] for model in data["models"]]
    assert tokens == sorted(set(tokens))
    assert len(data["loss"]) >= MODELS
    for model in data["models"]:
        found = {
            name: json.loads((out / model["name"] / f"{name}.json").read_text("utf-8"))
            for name in ("similarity", "layers", "fill", "anisotropy", "attention")
        }
        (word,) = found["similarity"]["words"]
        gap = word["separation"]["within"] - word["separation"]["between"]
        assert model["senses"] == model["senses_low"] == pytest.approx(gap)
        accuracies = [layer["accuracy"] for layer in found["layers"]["tasks"][0]["layers"]]
        assert (model["tags"], model["tags_embeddings"]) == (max(accuracies), accuracies[0])
        assert model["grammar"] == found["fill"]["pairs"]["accuracy"]
        assert model["cone"] == found["anisotropy"]["layers"][-1]
        assert not found["anisotropy"]["flows"]
        (likeness,) = [
            row["spearman"]
            for row in found["anisotropy"]["agreements"]
            if (row["vectors"], row["cure"]) == ("mean", "as they are")
        ]
        assert model["likeness"] == likeness
        means = found["attention"]["measures"]["previous"]["means"]
        assert model["previous"] == max(map(max, means))
        assert "pronouns" not in model  # which are English
    titles = [axes.get_title(loc="left") for axes in figure(data).axes]
    assert titles == [
        "held-out loss, nats a token",
        *(panel.title for panel in PANELS if panel.first != "pronouns"),
    ]
    assert "How it came to know" in page.read_text("utf-8")


def test_what_is_known_is_not_asked_again(
    run: Path, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    few = {"sentences": asked["sentences"]}
    analyze_growth(run, out, **few)
    before = (out / "growth.json").read_text("utf-8")
    times = {path: path.stat().st_mtime_ns for path in out.glob("tokens-*/*")}
    analyze_growth(run, out, **few)
    assert (out / "growth.json").read_text("utf-8") == before
    assert {path: path.stat().st_mtime_ns for path in out.glob("tokens-*/*")} == times
    calls = []
    judged = growth.analyze_fill
    monkeypatch.setattr(
        growth, "analyze_fill", lambda *given, **named: calls.append(1) or judged(*given, **named)
    )
    analyze_growth(run, out, **few, cola=asked["cola"])
    assert len(calls) == MODELS
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("train.tsv", "dev.tsv"):
        (elsewhere / name).write_bytes((asked["cola"] / name).read_bytes())
    analyze_growth(run, out, **few, cola=elsewhere)
    assert len(calls) == MODELS
    told = (elsewhere / "dev.tsv").read_text().replace("cat", "fox")
    (elsewhere / "dev.tsv").write_text(told)
    analyze_growth(run, out, **few, cola=elsewhere)
    assert len(calls) == 2 * MODELS


def test_a_file_that_is_not_there_is_told_before_any_work(run: Path, tmp_path: Path) -> None:
    missing = tmp_path / "no.conllu"
    with pytest.raises(DataError, match=r"no\.conllu: no such file"):
        analyze_growth(run, tmp_path / "out", pos=(Path(__file__), missing))
    assert not (tmp_path / "out").exists()


def test_models_that_fill_no_masks_are_told_of_before_any_work(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    causal = POST.model_copy(update={"causal": True})
    save_tiny_model(tmp_path / "run" / "models" / "tokens-1" / "model", causal)
    (tmp_path / "run" / "log.jsonl").write_text('{"kind": "run", "recipe": "left_to_right"}\n')
    with pytest.raises(ModelError, match="it reads from left to right; use another model"):
        analyze_growth(tmp_path / "run", tmp_path / "out", cola=asked["cola"])
    assert not (tmp_path / "out").exists()


def test_a_panel_without_answers_is_not_drawn() -> None:
    models = [{"name": "tokens-1", "tokens": 1, "senses": 0.1, "likeness": None}]
    data = {"recipe": "bert", "models": models, "loss": [], "unigram_entropy": None}
    titles = [axes.get_title(loc="left") for axes in figure(data).axes]
    assert titles == ["held-out loss, nats a token", "senses apart"]
    assert len(sections(data)) == 5
    assert str(rows(data)) == "[[1, 0.1, nan]]"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: None, "log.jsonl: no such file; give the folder of a run"),
        (
            lambda folder: (folder / "log.jsonl").write_text('{"kind": "run", "recipe": "bert"}\n'),
            "kept no models on its way; pretrain with --set log.models=16",
        ),
    ],
)
def test_mistakes_are_one_line(
    make: Any, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    make(tmp_path / "run")
    arguments = ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as exit:
        command(["analyze", "growth", *arguments])
    assert exit.value.code == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
