"""Questions on texts, and options: from their files to a model, its answers and its report."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import transformers

from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import read_model, save_model
from bertsmith.jobs.finetune import FinetuneResult, finetune
from bertsmith.jobs.grid_search import search_grid
from bertsmith.jobs.predict import Predictor, evaluate_file, predict_file
from bertsmith.nn.models import MaskedLM
from bertsmith.tasks.qa import TASK
from bertsmith.tasks.squad import read_questions
from bertsmith.tasks.squad_score import score_answer
from bertsmith.tasks.tables import Columns
from tasks.squad_files import asked, write_squad
from wordpieces import wordpiece

from .tiny import POST

NAMES = ("anna", "bela", "cara", "dora", "emil", "fred", "gerd", "hans")
THINGS = ("bread", "water", "cheese", "apples", "silver", "paper")
WORDS = ("buys", "what", "and", "nothing", "here", "today", ".", "?")


def story(generator: np.random.Generator, thing: str) -> str:
    """A context in which somebody buys something, or nothing."""
    name = str(generator.choice(NAMES)).title()
    filler = " ".join(generator.choice(("here", "and", "today"), generator.integers(1, 9)))
    return f"{filler}. {name} buys {thing} today."


def write_questions(path: Path, count: int, seed: int, impossible: bool = False) -> Path:
    generator = np.random.default_rng(seed)
    paragraphs = []
    for number in range(count):
        none = impossible and number % 2 == 1
        thing = "nothing" if none else str(generator.choice(THINGS)).title()
        context = story(generator, thing)
        answers = [] if none else [(thing, context.index(thing))]
        own = asked(f"q{number}", "what ?", *answers, impossible=none or None)
        paragraphs.append((context, [own]))
    return write_squad(path, *paragraphs)


def write_choices(path: Path, count: int, seed: int) -> Path:
    """Things are right, people are wrong."""
    generator = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        options = [str(name) for name in generator.permutation(NAMES)[: 2 + number % 2]]
        label = int(generator.integers(len(options) + 1))
        options.insert(label, str(generator.choice(THINGS)))
        context = story(generator, "nothing")
        row = {"context": context, "question": "what ?", "options": options, "label": label}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    tokenizer = wordpiece([" ".join((*NAMES, *THINGS, *WORDS))], 100)
    config = POST.model_copy(update={"vocab_size": tokenizer.vocab_size})
    save_model(folder / "model", MaskedLM(config, True), tokenizer)
    for name, count, seed in (("train", 160, 0), ("dev", 40, 1)):
        write_questions(folder / f"{name}.json", count, seed)
        write_questions(folder / f"{name}2.json", count, seed, impossible=True)
        write_choices(folder / f"{name}.jsonl", count, seed)
    return folder


def run(inputs: Path, out: Path, task: str, train: str, dev: str) -> FinetuneResult:
    return finetune(
        task,
        inputs / train,
        inputs / dev,
        inputs / "model",
        out,
        seeds=1,
        epochs=12,
        batch_size=16,
        lr=2e-3,
        max_length=48,
        dropout=0.0,
    )


@pytest.fixture(scope="module")
def answering(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    return run(inputs, tmp_path_factory.mktemp("runs") / "qa", "qa", "train2.json", "dev2.json")


@pytest.fixture(scope="module")
def choosing(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    return run(inputs, tmp_path_factory.mktemp("runs") / "mc", "choice", "train.jsonl", "dev.jsonl")


def test_a_search_shows_the_best_points_answers(inputs: Path, tmp_path: Path) -> None:
    data = (inputs / "train2.json", inputs / "dev2.json", inputs / "model")
    grid = "lr=2e-3,1e-9 epochs=2 batch_size=16"
    done = search_grid("qa", *data, tmp_path / "out", grid=grid, seeds=1, workers=1, max_length=48)
    (best, *_) = done.found["points"]
    its_folder = tmp_path / "out" / best["folder"]
    answers = ("predictions.json", "nbest_predictions.json", "null_odds.json", "errors.tsv")
    for name in answers:
        assert (tmp_path / "out" / name).read_bytes() == (its_folder / name).read_bytes()
    (its_folder / ".predictions.json.1.tmp").write_text("{")  # killed
    search_grid("qa", *data, tmp_path / "out", grid=grid, seeds=1, workers=1, max_length=48)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    examples = json.loads((its_folder / "examples.json").read_text("utf-8"))
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert all(one["after"][:12] in page for one in examples)


def test_questions_are_learnt_and_left_unanswered(answering: FinetuneResult, inputs: Path) -> None:
    best = answering.best
    assert best["f1"] > 0.8
    assert best["no_answer"] > 0.8
    assert best["history"][-1]["f1"] == best["f1"]
    extra = read_model(answering.model).extra
    assert extra["task"] == "qa"
    assert extra["settings"]["null_threshold"] == best["null_threshold"]
    names = {path.name for path in answering.folder.iterdir()}
    assert names >= {"predictions.json", "nbest_predictions.json", "null_odds.json", "errors.tsv"}
    said = json.loads((answering.folder / "predictions.json").read_text())
    questions = list(read_questions(inputs / "dev2.json", labelled=True))
    scores = [score_answer(one, said[one.id], has_impossible=True).f1 for one in questions]
    assert np.mean(scores) == pytest.approx(best["f1"])
    wrong = (answering.folder / "errors.tsv").read_text().splitlines()[1:]
    exact = [score_answer(one, said[one.id], has_impossible=True).exact for one in questions]
    assert len(wrong) == exact.count(0.0)
    again = evaluate_file(answering.model, inputs / "dev2.json")
    assert again["f1"] == pytest.approx(best["f1"], abs=0.03)
    for folder in (answering.folder, answering.model):
        text = " ".join((folder / "README.md").read_text("utf-8").split())
        assert "no answer is given was chosen on the dev set, whose scores are after it" in text
    page = (answering.folder / "report.html").read_text("utf-8")
    for text in ("exact match", "no answer", "what ?", "<mark>"):
        assert text in page


def test_the_code_in_a_card_runs_as_it_stands(
    answering: FinetuneResult, choosing: FinetuneResult, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    for done in (answering, choosing):
        card = (done.model / "README.md").read_text("utf-8")
        _, _, code = card.split("```python\n")
        named = code.partition("```")[0].replace(f'"{done.folder.name}"', repr(str(done.model)))
        exec(compile(named, "card", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] in ("one option", "another one")


def test_a_question_gets_the_same_answer_alone_and_in_any_batch(
    answering: FinetuneResult, inputs: Path
) -> None:
    predictor = Predictor.load(answering.model, precision="float32")
    questions = list(read_questions(inputs / "dev2.json", labelled=False))
    together = list(predictor.predict(questions))
    for question, before in zip(questions[:8], together, strict=False):
        (alone,) = predictor.predict([question])
        assert (alone.text, alone.is_answered) == (before.text, before.is_answered)
        assert alone.found.null_score == pytest.approx(before.found.null_score, abs=1e-4)
        assert alone.found.best.score == pytest.approx(before.found.best.score, abs=1e-4)
        assert alone.text == question.context[before.found.best.start : before.found.best.end] or (
            not alone.is_answered
        )


def test_answers_are_those_of_transformers(answering: FinetuneResult, inputs: Path) -> None:
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(answering.model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(answering.model)
    predictor = Predictor.load(answering.model, precision="float32")
    questions = list(read_questions(inputs / "dev2.json", labelled=False))[:6]
    for question, ours in zip(questions, predictor.predict(questions), strict=True):
        encoded = tokenizer(question.text, question.context, return_tensors="pt")
        theirs = model(**encoded)
        null = (theirs.start_logits[0, 0] + theirs.end_logits[0, 0]).item()
        assert ours.found.null_score == pytest.approx(null, abs=1e-3)


def test_predictions_of_a_file_and_of_standard_input(
    answering: FinetuneResult, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = predict_file(answering.model, inputs / "dev2.json", tmp_path / "a.jsonl")
    assert (result.texts, result.truncated) == (40, 0)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    context = "and today. Anna buys Bread today."
    asking = json.dumps({"question": "what ?", "context": context})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(asking.encode())))
    predict_file(answering.model, "-", tmp_path / "b.jsonl")
    (row,) = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert row["answer"] == context[row["start"] : row["end"]] == "Bread"
    assert [row["id"] for row in rows] == [f"q{number}" for number in range(40)]


def test_without_unanswerable_questions_there_is_always_an_answer(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((inputs / "train.json").read_text())
    qas = content["data"][0]["paragraphs"][0]["qas"]
    qas.append(asked("lost", "what ?", ("Zeno", 0)))
    (tmp_path / "train.json").write_text(json.dumps(content))
    tuned = finetune(
        "qa",
        tmp_path / "train.json",
        inputs / "dev.json",
        inputs / "model",
        tmp_path / "out",
        seeds=1,
        epochs=1,
        max_length=24,
    )
    said = capsys.readouterr().err
    assert "160 training and 40 dev questions" in said
    assert "1 questions refused, whose answer is not in their text: lost" in said
    assert tuned.best["null_threshold"] is None
    assert not (tuned.folder / "null_odds.json").exists()
    answers = json.loads((tuned.folder / "predictions.json").read_text())
    assert all(answers.values())


def test_options_are_learnt(choosing: FinetuneResult, inputs: Path, tmp_path: Path) -> None:
    assert choosing.best["accuracy"] > 0.8
    scores = evaluate_file(choosing.model, inputs / "dev.jsonl")
    assert scores["accuracy"] == pytest.approx(choosing.best["accuracy"], abs=0.03)
    predict_file(choosing.model, inputs / "dev.jsonl", tmp_path / "p.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    truth = [json.loads(line) for line in (inputs / "dev.jsonl").read_text().splitlines()]
    right = np.mean([a["label"] == b["label"] for a, b in zip(rows, truth, strict=True)])
    assert right == pytest.approx(scores["accuracy"])
    assert all(sum(row["scores"]) == pytest.approx(1.0, abs=1e-4) for row in rows)
    wrong = (choosing.folder / "errors.tsv").read_text().splitlines()[1:]
    assert len(wrong) == round(40 * (1 - choosing.best["accuracy"]))


def test_wrong_input_is_refused(answering: FinetuneResult, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"question": "a"}\n')
    with pytest.raises(DataError, match=r"c\.jsonl:1: no 'context'; there are: 'question'"):
        predict_file(answering.model, tmp_path / "c.jsonl")
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        evaluate_file(answering.model, tmp_path / "none.json")
    with pytest.raises(DataError, match="a text alone is no question on a text; give question"):
        next(Predictor.load(answering.model).predict(["a text"]))
    with pytest.raises(ConfigError, match="questions have no columns to choose"):
        evaluate_file(answering.model, tmp_path / "c.jsonl", columns=Columns("a"))


def test_a_language_without_rules_is_refused(inputs: Path, tmp_path: Path) -> None:
    task = replace(TASK, settings={**TASK.settings, "language": "xx"})
    with pytest.raises(ConfigError, match="no rules for the language 'xx'; give one of ar, de"):
        finetune(task, inputs / "dev.json", inputs / "dev.json", inputs / "model", tmp_path / "o")
    assert not (tmp_path / "o").exists()
    task = replace(TASK, settings={**TASK.settings, "stride": 0})
    with pytest.raises(ConfigError, match="a stride of 0 goes nowhere"):
        finetune(task, inputs / "dev.json", inputs / "dev.json", inputs / "model", tmp_path / "o")
