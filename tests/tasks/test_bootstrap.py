"""Intervals against scipy.stats.bootstrap; the vectorised scores against one at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import bootstrap

from bertsmith.tasks.bootstrap import interval_of_ratio, intervals, resample
from bertsmith.tasks.many_scores import (
    Resampling,
    of_classes,
    of_labels,
    of_means,
    of_numbers,
    of_spans,
)
from bertsmith.tasks.metrics import score_binary, score_classes, score_labels, score_numbers
from bertsmith.tasks.schemes import spans_of
from bertsmith.tasks.span_scores import score_spans, span_counts
from bertsmith.types import FloatArray, IntArray

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
    assert name == "means"
    values = generator.random(count)
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


@pytest.mark.parametrize("name", ["binary", "numbers", "spans"])
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
