from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.tasks.many_scores import of_numbers
from bertsmith.tasks.metrics import (
    score_binary,
    score_classes,
    score_each_class,
    score_numbers,
)
from bertsmith.tasks.span_scores import score_spans


def test_a_worked_example() -> None:
    truth, predicted = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    metrics = score_classes(truth, predicted, 3)
    assert metrics.accuracy == pytest.approx(0.6)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics.matthews == pytest.approx((2 * 1 - 1 * 1) / 6)
    assert metrics.confusion_matrix == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert not metrics.single_answer
    first, second, absent = score_each_class(truth, predicted, ["a", "b", "c"])
    assert (first.label, first.precision, first.recall) == ("a", 2 / 3, 2 / 3)
    assert (second.f1, second.examples) == (0.5, 2)
    assert (absent.f1, absent.examples) == (0.0, 0)


@pytest.mark.parametrize("unit", [1e-15, 1e15])
def test_correlations_are_the_same_in_any_unit(unit: float) -> None:
    truth = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    said = truth + np.array([0.1, -0.4, 0.3, 0.2, -0.1])
    ours, plain = score_numbers(truth * unit, said * unit), score_numbers(truth, said)
    assert (ours.pearson, ours.spearman) == pytest.approx((plain.pearson, plain.spearman))
    assert plain.pearson > 0.9
    weights = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 2, 0], [0, 5, 0, 0, 0]])
    many, one = of_numbers(truth * unit, said * unit), of_numbers(truth, said)
    for name, scores in one.scores(weights).items():
        assert many.scores(weights)[name] == pytest.approx(scores)
        assert scores[2] == 0.0
    noise = np.array([0.0, 1e-13, -1e-13, 1e-13, 0.0])
    assert score_numbers(truth * unit, noise * unit).pearson == 0.0
    assert of_numbers(truth * unit, noise * unit).scores(weights)["pearson"][0] == 0.0


def test_one_class_throughout() -> None:
    same = score_classes(np.array([1, 1]), np.array([1, 1]), 2)
    assert (same.accuracy, same.matthews, same.single_answer) == (1.0, 0.0, False)
    lazy = score_classes(np.array([0, 1, 1]), np.array([1, 1, 1]), 2)
    assert (lazy.matthews, lazy.single_answer) == (0.0, True)


def test_of_ten_thousand_classes_nothing_is_a_hundred_million_numbers() -> None:
    truth, count = np.array([0, 7, 9_999]), 10_000
    right, lazy = score_classes(truth, truth, count), score_classes(truth, truth * 0, count)
    assert (right.accuracy, right.macro_f1, right.single_answer) == (1.0, 1.0, False)
    assert (lazy.macro_f1, lazy.single_answer) == (pytest.approx(0.5 / 3), True)
    assert right.confusion_matrix is None
    names = [f"{prefix}-{number}" for number in range(600) for prefix in "BI"]
    spans = score_spans(truth[:2], truth[:2] * 0, np.array([2]), names)
    assert (spans.confusion_matrix, spans.single_answer) == (None, True)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_binary_scores_are_those_of_scikit_learn(seed: int, count: int) -> None:
    truth, predicted = np.random.default_rng(seed).integers(0, 2, (2, count))
    metrics = score_binary(truth, predicted)
    assert metrics.accuracy == sklearn.metrics.accuracy_score(truth, predicted)
    assert metrics.f1 == sklearn.metrics.f1_score(truth, predicted, zero_division=0)
    if len({*truth, *predicted}) > 1:
        assert metrics.matthews == sklearn.metrics.matthews_corrcoef(truth, predicted)
