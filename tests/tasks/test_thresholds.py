"""Thresholds against scikit-learn's curves and against trying every one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_recall_curve,
)

from bertsmith.errors import ConfigError
from bertsmith.tasks import classify, multilabel, regress
from bertsmith.tasks.protocol import Protocol
from bertsmith.tasks.sequences import EncodedTexts
from bertsmith.tasks.thresholds import binary_threshold, label_thresholds
from bertsmith.types import Example


def drawn(seed: int, count: int = 60, rate: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = (generator.random(count) < rate).astype(int)
    margins = (truth - 1.5 + generator.normal(size=count)).round(1)  # with ties
    return truth, margins


@pytest.mark.parametrize("seed", range(5))
def test_f1_is_the_best_of_scikit_learn_s_curve(seed: int) -> None:
    truth, margins = drawn(seed)
    precision, recall, _ = precision_recall_curve(truth, expit(margins))
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    (threshold,) = binary_threshold("f1", truth, margins)
    assert f1_score(truth, expit(margins) > threshold) == pytest.approx(best)


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        ("accuracy", accuracy_score),
        ("matthews", matthews_corrcoef),
        ("macro_f1", lambda truth, said: f1_score(truth, said, average="macro")),
    ],
)
def test_any_metric_is_the_best_of_all_cuts(metric: str, score: object) -> None:
    truth, margins = drawn(11)
    cuts = [*np.unique(margins) - 0.05, margins.max() + 1]
    best = max(score(truth, (margins > cut).astype(int)) for cut in cuts)  # type: ignore[operator]
    (threshold,) = binary_threshold(metric, truth, margins)
    said = (expit(margins) > threshold).astype(int)
    assert score(truth, said) == pytest.approx(best)  # type: ignore[operator]


def test_where_one_half_is_as_good_as_any_it_stays() -> None:
    truth, margins = np.array([0, 0, 1, 1]), np.array([-3.0, -1.0, 2.0, 4.0])
    assert binary_threshold("f1", truth, margins) == [0.5]
    assert binary_threshold("f1", truth, margins - 5)[0] == pytest.approx(expit(-4.5))
    assert label_thresholds("macro_f1", np.zeros((3, 2)), np.ones((3, 2))) == [0.5, 0.5]
    assert 0 < binary_threshold("accuracy", np.zeros(3, int), np.array([5.0, 6.0, 50.0]))[0] < 1


@pytest.mark.parametrize("sign", [1, -1])
def test_margins_beyond_any_probability_do_not_make_it_worse(sign: int) -> None:
    margins = sign * np.array([40.0, 40.0, 40.0, 10.0, 10.0, -5.0])
    truth = np.array([0, 0, 0, 1, 1, 0]) if sign > 0 else np.array([1, 1, 1, 0, 0, 1])
    (threshold,) = binary_threshold("accuracy", truth, margins)
    task = replace(classify.TASK, settings={"thresholds": [threshold]})
    said = task.decided(np.stack([np.zeros(6), margins], axis=1)).argmax(axis=1)
    reached = max(accuracy_score(truth, margins > cut) for cut in range(-27, 28))
    assert accuracy_score(truth, said) == reached == 0.5


def test_labels_have_one_threshold_each_or_one_for_all() -> None:
    generator = np.random.default_rng(0)
    truth = (generator.random((80, 3)) < (0.1, 0.4, 0.8)).astype(float)
    logits = truth * 2 - (3.0, 0.0, 0.5) + generator.normal(size=truth.shape)
    each = label_thresholds("macro_f1", truth, logits)
    for column, threshold in enumerate(each):
        precision, recall, _ = precision_recall_curve(truth[:, column], logits[:, column])
        best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
        said = expit(logits[:, column]) > threshold
        assert f1_score(truth[:, column], said) == pytest.approx(best)
    (one, *same) = label_thresholds("micro_f1", truth, logits)
    assert same == [one, one]
    precision, recall, _ = precision_recall_curve(truth.ravel(), logits.ravel())
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    said = expit(logits) > one
    assert f1_score(truth, said, average="micro") == pytest.approx(best)


def encoded(targets: list[object]) -> EncodedTexts:
    ids = np.array([2, 5, 3])
    made = [Example(ids, np.zeros_like(ids), label=target) for target in targets]  # type: ignore[arg-type]
    return EncodedTexts(made, [False] * len(made))


def test_a_task_decides_by_its_thresholds_and_tells_the_same_probabilities() -> None:
    truth, margins = drawn(3)
    logits = np.stack([np.zeros(len(truth)), margins], axis=1)
    data, protocol = encoded(truth.tolist()), Protocol(threshold="f1")
    task = classify.TASK.for_protocol(protocol, ("no", "yes"), truth.tolist())
    tuned = task.with_threshold("f1", data, logits)
    (threshold,) = tuned.settings["thresholds"]  # type: ignore[misc]
    assert threshold < 0.5
    said = (expit(margins) > threshold).astype(int)
    metrics = vars(tuned.assess(None, data, logits))  # type: ignore[arg-type]
    assert metrics["accuracy"] == accuracy_score(truth, said)
    one = int(np.flatnonzero((expit(margins) > threshold) & (margins < 0))[0])
    row = tuned.row_of("a text")
    (prediction,) = tuned.predictions(
        None,
        [row],
        encoded([1]),
        logits[one : one + 1],
        ("no", "yes"),  # type: ignore[arg-type]
    )
    assert prediction.label == "yes"
    assert prediction.scores["yes"] == pytest.approx(expit(margins[one]))
    again = classify.TASK.restored({"thresholds": [threshold]}, ("no", "yes"))
    assert again.assess(None, data, logits) == tuned.assess(None, data, logits)  # type: ignore[arg-type]


def test_what_has_no_threshold_is_refused_and_so_is_a_broken_one() -> None:
    with pytest.raises(ConfigError, match="threshold: is for two classes, and there are 3"):
        classify.TASK.for_protocol(Protocol(threshold="f1"), "abc", [0, 1, 2])
    with pytest.raises(ConfigError, match="threshold: no metric 'f2' to choose it by; there"):
        classify.TASK.for_protocol(Protocol(threshold="f2"), "ab", [0, 1])
    with pytest.raises(ConfigError, match=r"threshold: no metric 'f1' .* micro_f1, macro_f1"):
        multilabel.TASK.for_protocol(Protocol(threshold="f1"), "ab", [(1.0, 0.0)])
    with pytest.raises(ConfigError, match="threshold: no threshold to find in regress"):
        regress.TASK.for_protocol(Protocol(threshold="f1"), "a", [1.0])
    for wrong in ([0.5, 0.5], [1.0], ["x"], 0.5, [float("nan")]):
        with pytest.raises(ConfigError, match=r"thresholds: .* is not a probability for each of"):
            classify.TASK.restored({"thresholds": wrong}, ("no", "yes"))  # type: ignore[dict-item]
