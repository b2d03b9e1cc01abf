"""Intervals against scipy.stats.bootstrap; the vectorised scores against one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap

from bertsmith.tasks import choice, qa, tagging
from bertsmith.tasks.bootstrap import interval_of_ratio, intervals, resample
from bertsmith.tasks.choice_files import Choice
from bertsmith.tasks.many_scores import (
    Resampling,
    of_classes,
    of_labels,
    of_means,
    of_numbers,
    of_spans,
    outermost,
)
from bertsmith.tasks.metrics import score_binary, score_classes, score_labels, score_numbers
from bertsmith.tasks.schemes import spans_of
from bertsmith.tasks.sentences import Sentence
from bertsmith.tasks.span_scores import score_spans, span_counts
from bertsmith.tasks.squad import Answer, Question
from bertsmith.types import FloatArray, IntArray
from wordpieces import wordpiece

Metric = Callable[[IntArray], dict[str, float]]
"""(the units drawn) -> metrics."""


def case(name: str) -> tuple[Resampling, Metric]:
    generator = np.random.default_rng(7)
    count = 40
    if name in ("classes", "binary"):
        size = 2 if name == "binary" else 5
        truth = generator.choice(size, size=count)
        said = np.where(generator.random(count) < 0.6, truth, generator.choice(size, size=count))
        score = score_binary if size == 2 else lambda t, p: score_classes(t, p, size)
        return of_classes(truth, said, size), lambda drawn: vars(score(truth[drawn], said[drawn]))
    if name == "labels":
        chosen = (generator.random((2, count, 4)) < [0.5, 0.2, 0.05, 0.0]).astype(float)
        truth, said = chosen
        return of_labels(truth, said), lambda drawn: vars(score_labels(truth[drawn], said[drawn]))
    if name == "numbers":
        truth = generator.integers(0, 6, size=count).astype(float)  # with ties
        said = truth + generator.normal(size=count).round(1)
        return of_numbers(truth, said), lambda drawn: vars(score_numbers(truth[drawn], said[drawn]))
    if name == "spans":
        names = ["O", "B-X", "I-X", "B-Y", "I-Y"]
        lengths = generator.integers(1, 9, size=count)
        total = int(lengths.sum())
        truth = generator.choice(5, size=total)
        said = np.where(generator.random(total) < 0.8, truth, generator.choice(5, size=total))
        ends = np.cumsum(lengths)

        def metric(drawn: IntArray) -> dict[str, float]:
            words = np.concatenate([np.arange(ends[i] - lengths[i], ends[i]) for i in drawn])
            return vars(score_spans(truth[words], said[words], lengths[drawn], names))

        return of_spans(*span_counts(truth, said, lengths, names)), metric
    values = generator.random(count)
    if name == "clusters":
        groups = generator.integers(0, 9, count)
        keys = dict.fromkeys(groups.tolist())
        parts = [values[groups == key] for key in keys]
        named = [f"text {key}" for key in groups]
        return of_means({"f1": values}, named), lambda drawn: {
            "f1": np.concatenate([parts[at] for at in drawn]).mean()
        }
    assert name == "means"
    return of_means({"exact": values, "f1": values**2}), lambda drawn: {
        "exact": values[drawn].mean(),
        "f1": (values[drawn] ** 2).mean(),
    }


METRICS = {
    "classes": ("accuracy", "macro_f1", "matthews"),
    "binary": ("accuracy", "f1", "macro_f1", "matthews"),
    "labels": ("micro_f1", "macro_f1"),
    "numbers": ("pearson", "spearman"),
    "spans": ("precision", "recall", "f1"),
    "means": ("exact", "f1"),
    "clusters": ("f1",),
}


@pytest.mark.parametrize("name", METRICS)
def test_many_at_once_are_one_at_a_time(name: str) -> None:
    resampling, metric = case(name)
    drawn = np.random.default_rng(1).integers(resampling.units, size=(30, resampling.units))
    drawn[0] = np.arange(resampling.units)
    drawn[1] = 3  # one unit alone: constant, and of one class
    weights = np.stack([np.bincount(row, minlength=resampling.units) for row in drawn])
    ours = resampling.scores(weights)
    for row, units in enumerate(drawn):
        theirs = metric(units)
        assert {m: ours[m][row] for m in METRICS[name]} == pytest.approx(
            {m: theirs[m] for m in METRICS[name]}, abs=1e-9
        )


@pytest.mark.parametrize("name", ["binary", "numbers", "spans", "clusters"])
def test_intervals_are_scipy_s(name: str) -> None:
    """Which draws the same units from the same generator."""
    resampling, metric = case(name)
    which = METRICS[name][-1]
    theirs = bootstrap(
        (np.arange(resampling.units),),
        lambda drawn: metric(drawn.astype(int))[which],
        n_resamples=200,
        confidence_level=0.95,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(0),
    )
    ours = resample(resampling, 200)[which]
    assert np.sort(ours) == pytest.approx(np.sort(theirs.bootstrap_distribution), abs=1e-9)
    assert intervals(resampling, [which], 200)[which] == pytest.approx(
        list(theirs.confidence_interval), abs=1e-9
    )


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    resampling, _ = case("binary")
    whole = intervals(resampling, ["f1"])
    monkeypatch.setattr("bertsmith.tasks.bootstrap._COUNTS", 7 * resampling.units)
    assert intervals(resampling, ["f1"]) == whole
    low, high = whole["f1"]
    assert 0 < low < high < 1


def test_counts_of_spans_are_those_of_the_sentences() -> None:
    names = ["O", "B-X", "I-X"]
    tags = np.array([1, 2, 0, 1, 1, 0])
    said = np.array([1, 0, 0, 1, 1, 2])
    counts: list[FloatArray] = list(span_counts(tags, said, np.array([3, 3]), names))
    assert [c.tolist() for c in counts] == [[0, 1], [1, 2], [1, 2]]
    assert len(spans_of(["B-X", "B-X", "I-X"])) == 2


def test_the_interval_of_a_ratio() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = interval_of_ratio(values, np.ones(400))
    error = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - error, abs=0.05)
    assert high == pytest.approx(values.mean() + error, abs=0.05)
    assert interval_of_ratio(np.array([1, 2, 3]), np.array([2, 4, 6])) == (0.5, 0.5)


def test_questions_on_a_text_are_drawn_together() -> None:
    words = "What is it here Anna buys bread Bela buys water today"
    tokenizer = wordpiece([words, words.lower()], 60)
    texts = ("Anna buys bread today", "Bela buys water") * 2 + ("Anna buys water today",)
    questions = [
        Question(str(row), "What is it", text, (Answer(text[10:15], 10),))
        for row, text in enumerate(texts)
    ]
    data = qa.TASK.encode(questions, tokenizer, 48, questions)
    lengths = [len(example.input_ids) for example in data.examples]
    assert len(lengths) == 5
    outputs = np.random.default_rng(0).normal(size=(sum(lengths), 2))
    model: Any = None  # outputs are all that is asked for
    ours = qa.TASK.resampling(model, data, outputs)
    assert ours.units == 3
    each = np.split(outputs, np.cumsum(lengths)[:-1])
    alone = [
        qa.TASK.assess(model, qa.TASK.encode([one], tokenizer, 48, [one]), own).f1
        for one, own in zip(questions, each, strict=True)
    ]
    assert len(set(alone)) > 1
    drawn = ours.scores(np.array([[1, 1, 1], [3, 0, 0], [0, 2, 1]]))["f1"]
    expected = [alone[0] + alone[2], 2 * (alone[1] + alone[3]) + alone[4]]
    assert drawn == pytest.approx([np.mean(alone), expected[0] / 2, expected[1] / 5])
    fewer = qa.TASK.encode(questions[:4], tokenizer, 48, questions[:4])
    assert qa.TASK.resampling(model, fewer, np.concatenate(each[:4])).units == 4  # of two texts

    choices = [
        Choice(text, f"What is it {number}", ("bread", "water"), 0)
        for number, text in enumerate(("", texts[0], texts[1], texts[0], " "))
    ]
    chosen = choice.TASK.encode(choices, tokenizer, 48, choices)
    scores = np.array([1, 0, 1, 0, 0, 1, 0, 1, 1, 0], dtype=float)[:, None]
    ours = choice.TASK.resampling(model, chosen, scores)
    assert ours.units == 4  # those without a text are each by themselves
    drawn = ours.scores(np.array([[1, 1, 1, 1], [0, 2, 1, 1], [4, 0, 0, 0]]))["accuracy"]
    assert drawn == pytest.approx([3 / 5, 3 / 6, 1])
    fewer_chosen = choice.TASK.encode(choices[1:4], tokenizer, 48, choices[1:4])
    assert choice.TASK.resampling(model, fewer_chosen, scores[2:8]).units == 3


def test_texts_of_an_article_are_drawn_together() -> None:
    words = "what is it anna bela carl dora emil buys bread"
    tokenizer = wordpiece([words], 60)
    names = ("anna", "bela", "carl", "dora", "anna")
    questions = [
        Question(str(row), "what is it", f"{name} buys bread", (Answer(name, 0),))
        for row, name in enumerate(names)
    ]

    def units(*articles: str) -> int:
        told = [replace(own, article=name) for own, name in zip(questions, articles, strict=True)]
        data = qa.TASK.encode(told, tokenizer, 48, told)
        outputs = np.zeros((sum(len(example.input_ids) for example in data.examples), 2))
        model: Any = None
        return qa.TASK.resampling(model, data, outputs).units

    assert units("x", "x", "y", "z", "x") == 3
    assert units("x", "x", "y", "z", "w") == 3  # a text that is there twice is of one article
    assert units("x", "y", "", "", "x") == 4
    assert units("x", "y", "y", "y", "x") == 4  # of two articles there are no intervals
    assert units("", "", "", "", "") == 4
    assert outermost((1, 1, 2, 3), "abcd") == (1, 1, 2, 3)
    assert outermost((1, 1, 1), "aba", "xyx") == "xyx"


@pytest.mark.parametrize("scheme", ["plain", "IOB2"])
def test_sentences_of_a_document_are_drawn_together(scheme: str) -> None:
    names = ["O", "B-X", "I-X"]
    task = tagging.TASK.restored({"scheme": scheme}, names)
    tags = [[1, 2], [0], [1], [0, 1], [0, 0]]
    documents = (1, 1, 2, 3, 3)

    def outcome(documents: tuple[int, ...]) -> Resampling:
        rows = [
            Sentence("", ("w",) * len(own), ((0, 1),) * len(own), (1,) * len(own), (), document)
            for own, document in zip(tags, documents, strict=True)
        ]
        data = task.encode(rows, wordpiece(["w"], 20), 32, tags)
        said = np.eye(3)[[1, 0, 1, 1, 0, 1, 0, 0]]
        model: Any = SimpleNamespace(head=SimpleNamespace(crf=None))
        return task.resampling(model, data, said)

    together, apart = outcome(documents), outcome((0, 0, 0, 1, 1))
    assert (together.units, apart.units) == (3, 5)
    drawn = together.scores(np.array([[2, 0, 1], [1, 1, 1]]))
    same = apart.scores(np.array([[2, 2, 0, 1, 1], [1, 1, 1, 1, 1]]))
    assert {name: value.tolist() for name, value in drawn.items()} == {
        name: value.tolist() for name, value in same.items()
    }
