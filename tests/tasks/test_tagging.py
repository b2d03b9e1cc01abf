from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from bertsmith.config import ModelConfig
from bertsmith.errors import ConfigError, DataError
from bertsmith.nn import features
from bertsmith.nn.crf import CRF
from bertsmith.nn.features import tagger_of
from bertsmith.tasks.conll import read_sentences
from bertsmith.tasks.fit import evaluate, fit, predict
from bertsmith.tasks.metrics import ClassMetrics
from bertsmith.tasks.protocol import Protocol
from bertsmith.tasks.span_scores import SpanMetrics
from bertsmith.tasks.tables import Columns, Labelled
from bertsmith.tasks.tagging import TASK, TaggingTask, tagging
from bertsmith.text.tokenizer import Tokenizer
from wordpieces import wordpiece

FIRST, LAST, PLACES = ("anna", "bob", "eve"), ("smith", "jones"), ("york", "rome", "lima")
PLAIN = ("the", "dog", "met", "in", "and", "saw", "a")


def corpus(count: int, seed: int = 0) -> str:
    """Names of one or two words and places among plain words, in IOB1, with upos before."""
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        for _ in range(int(generator.integers(2, 5))):
            lines += [f"{word} X O" for word in generator.choice(PLAIN, generator.integers(1, 4))]
            if generator.random() < 0.5:
                lines.append(f"{generator.choice(FIRST)} N I-PER")
                if generator.random() < 0.5:
                    lines.append(f"{generator.choice(LAST)} N I-PER")
                elif generator.random() < 0.5:
                    lines.append(f"{generator.choice(FIRST)} N B-PER")
            else:
                lines.append(f"{generator.choice(PLACES)} N I-LOC")
        lines.append("")
    return "\n".join(lines)


def read(
    folder: Path, content: str, columns: Columns | None = None, name: str = "f"
) -> Labelled[Any]:
    (folder / name).write_text(content)
    return read_sentences(folder / name, columns)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return wordpiece([" ".join((*FIRST, *LAST, *PLACES, *PLAIN))], 80)


def config(tokenizer: Tokenizer) -> ModelConfig:
    return ModelConfig(
        vocab_size=tokenizer.vocab_size,
        num_layers=2,
        num_heads=2,
        hidden_size=32,
        intermediate_size=64,
    )


@pytest.mark.parametrize(
    "settings",
    [{"crf": False}, {"crf": True}, {"features": "mix", "tagger": "bilstm", "crf": True}],
    ids=["linear", "crf", "features"],
)
def test_every_tagger_learns_and_tells_spans(
    settings: dict[str, Any],
    tokenizer: Tokenizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "LSTM_WIDTH", 24)
    train, dev = read(tmp_path, corpus(120)), read(tmp_path, corpus(40, seed=1), name="dev")
    task = tagging(
        crf=settings["crf"], features=settings.get("features"), tagger=settings.get("tagger")
    ).suited(train)
    assert task.names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert task.metrics[-1] == task.chosen_by[0] == "f1"
    sets = [
        task.encode(d.rows, tokenizer, 32, task.truths(d, task.names, "train"))
        for d in (train, dev)
    ]
    torch.manual_seed(0)
    model = task.network(config(tokenizer), 5, 0.1)
    done: list[int] = []
    prepared = [task.prepared(model, data, done.append) for data in sets]
    if "features" in settings:
        assert done[-1] == len(sets[1].examples)
    rate = 2e-2 if "features" in settings else 3e-3
    protocol = Protocol(epochs=8, batch_size=16, lr=rate)
    fitted = fit(task, model, prepared[0], prepared[1], protocol, 0)
    assert isinstance(fitted.metrics, SpanMetrics)
    assert fitted.metrics.f1 > 0.8
    assert evaluate(task, fitted.model, sets[1]).f1 == pytest.approx(fitted.metrics.f1, abs=0.02)  # type: ignore[attr-defined]
    rows = [task.row_of("the dog saw bob jones in york"), task.row_of("")]
    data = task.encode(rows, tokenizer, 32)
    outputs = predict(fitted.model, data.examples, data.output_rows)
    told, empty = task.predictions(fitted.model, rows, data, outputs, task.names)
    record = json.loads(told.to_json())
    assert record["text"] == rows[0].text
    for span in record["spans"]:
        assert record["text"][span["start"] : span["end"]] == span["text"]
        assert 0 < span["score"] <= 1
    assert ("york", "LOC") in [(span["text"], span["label"]) for span in record["spans"]]
    assert json.loads(empty.to_json()) == {"text": "", "spans": []}
    outputs = predict(fitted.model, sets[1].examples, sets[1].output_rows)
    (table,) = task.files(fitted.model, sets[1], outputs, task.names).values()
    header, *lines = table.splitlines()
    assert header.split("\t") == ["line", "probability", "missed", "wrong", "text"]
    assert all(line.count("\t") == 4 for line in lines)
    surest = [float(line.split("\t")[1]) for line in lines]
    assert surest == sorted(surest, reverse=True)


def test_an_answer_is_the_same_alone_in_any_batch_and_by_windows(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    train = read(tmp_path, corpus(30))
    words = " ".join(word for row in train.rows[:6] for word in row.words)
    for crf in (False, True):
        task = tagging(crf=crf).suited(train)
        torch.manual_seed(1)
        model = task.network(config(tokenizer), 5, 0.1).eval()
        for weight in model.head.parameters():
            torch.nn.init.normal_(weight)
        rows = [*train.rows, task.row_of(words)]
        data = task.encode(rows, tokenizer, 32)
        assert len(data.examples) > len(rows)
        outputs = predict(model, data.examples, data.output_rows)
        together = task.predictions(model, rows, data, outputs, task.names)
        for row, expected in zip(rows, together, strict=True):
            own = task.encode([row], tokenizer, 32)
            alone = predict(model, own.examples, own.output_rows)
            (answer,) = task.predictions(model, [row], own, alone, task.names)
            assert answer.tags == expected.tags
            assert len(answer.tags) == len(row.words)
            assert answer.probabilities == pytest.approx(expected.probabilities, abs=1e-4)


@pytest.mark.parametrize("column", ["2", "3"], ids=["plain", "spans"])
def test_a_score_is_one_search_of_a_crf_and_no_probabilities(
    column: str, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = read(tmp_path, corpus(20), Columns(label=column))
    task = tagging(crf=True).suited(train)
    data = task.encode(train.rows, tokenizer, 32, task.truths(train, task.names, "f"))
    model = task.network(config(tokenizer), len(task.names), 0.1).eval()
    outputs = predict(model, data.examples, data.output_rows)
    searches, search = [], CRF.viterbi
    monkeypatch.setattr(CRF, "viterbi", lambda *given: searches.append(1) or search(*given))
    monkeypatch.delattr(CRF, "marginals")
    task.assess(model, data, outputs)
    task.resampling(model, data, outputs)
    task.assess_each(model, data, outputs, task.names)
    assert len(searches) == 3


def test_plain_tags_are_scored_as_classes(tokenizer: Tokenizer, tmp_path: Path) -> None:
    train = read(tmp_path, corpus(20), Columns(label="2"))
    task = TASK.suited(train)
    assert (task.scheme, task.names, task.chosen_by) == ("plain", ("N", "X"), ("accuracy",))
    data = task.encode(train.rows, tokenizer, 32, task.truths(train, task.names, "f"))
    model = task.network(config(tokenizer), 2, 0.1).eval()
    assert data.tags is not None
    outputs = np.random.default_rng(0).normal(size=(len(data.tags), 2))
    metrics = task.assess(model, data, outputs)
    assert isinstance(metrics, ClassMetrics)
    predicted = outputs.argmax(axis=1)
    assert metrics.accuracy == accuracy_score(data.tags, predicted)
    assert metrics.macro_f1 == f1_score(data.tags, predicted, average="macro")
    each = task.assess_each(model, data, outputs, task.names)
    assert [one.label for one in each] == ["N", "X"]
    (first, *_) = task.predictions(model, train.rows, data, outputs, task.names)
    assert len(first.spans) == len(train.rows[0].words)


def test_schemes_are_taken_from_one_to_another(tmp_path: Path) -> None:
    train = read(tmp_path, "a B-X\nb E-X\nc S-Y\nd O\n")
    task = TASK.suited(train)
    assert task.scheme == "BIOES"
    assert task.names == ("O", *(f"{p}-{t}" for t in "XY" for p in "BIES"))
    dev = read(tmp_path, "a I-X\nb I-X\nc B-X\n", name="dev")
    task.require_alike(dev, train)
    assert task.truths(dev, task.names, "f") == [[1, 3, 4]]
    back = TASK.restored({"scheme": "BIOES", "crf": True}, task.names)
    assert (back.scheme, back.names, back.settings["crf"]) == ("BIOES", task.names, True)
    assert TASK.restored({}, ["NOUN", "VERB"]).scheme == "plain"


@pytest.mark.parametrize(
    ("dev", "what"),
    [
        ("a B-Z\nb O\n", r"dev:1: labels unknown to train: 'B-Z' in line 1; it knows 'O', 'B-X'"),
        ("a N\nb V\n", r"dev:1: plain tags, where train has spans; name the column"),
        ("a B-X\nb X\nc O\n", r"dev:2: the tag 'X' is neither O nor B-"),
        ("a B-X\nb\n", r"dev:2: 1 columns, where line 1 has 2"),
    ],
)
def test_dev_data_that_do_not_fit(tmp_path: Path, dev: str, what: str) -> None:
    train = read(tmp_path, "a B-X\nb I-X\nc O\n", name="train")
    task = TASK.suited(train)
    with pytest.raises(DataError, match=what):
        task.truths(read(tmp_path, dev, name="dev"), task.names, "train")


def test_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one tag only, 'O', for 2 words"):
        TASK.suited(read(tmp_path, "a O\nb O\n"))
    lemmas = "".join(f"w L{number}\n" for number in range(200))
    with pytest.raises(DataError, match="200 tags, for 200 words; name the column"):
        TASK.suited(read(tmp_path, lemmas))


def test_choices_that_do_not_go_together() -> None:
    assert tagging(features="mix").settings == {"crf": False, "features": "mix", "tagger": "bilstm"}
    assert isinstance(tagging(crf=True), TaggingTask)
    with pytest.raises(ConfigError, match="tagger: a tagger without features; give --features"):
        tagging(tagger="linear")
    with pytest.raises(ConfigError, match="features: no 'first'; there are embeddings, last"):
        tagging(features="first")
    with pytest.raises(ValueError, match="none of"):
        tagger_of(ModelConfig(), 2, 0.1, {"features": "first"})
