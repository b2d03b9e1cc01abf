"""Weights of classes against scikit-learn's and torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from bertsmith.errors import ConfigError
from bertsmith.tasks import choice, classify, multilabel, qa, regress, tagging
from bertsmith.tasks.class_weights import weigh_classes, weigh_labels
from bertsmith.tasks.protocol import Protocol

NAMES = ("contradiction", "entailment", "neutral")
BALANCED = Protocol(class_weights="balanced")


def test_balanced_is_scikit_learn_s() -> None:
    truth = np.random.default_rng(0).choice(3, p=(0.7, 0.2, 0.1), size=400)
    counts = np.bincount(truth).astype(float)
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=truth)
    assert weigh_classes("balanced", NAMES, counts) == pytest.approx(theirs)
    with_unseen = weigh_classes("balanced", (*NAMES, "other"), np.append(counts, 0))
    assert with_unseen[:3] == pytest.approx(theirs)


def test_weights_given_keep_the_mean_over_the_examples_at_1() -> None:
    counts = np.array([10.0, 20.0, 70.0])
    weights = weigh_classes("entailment=3, neutral = 0.5", NAMES, counts)
    assert (weights * counts).sum() == pytest.approx(100)
    assert weights / weights[0] == pytest.approx([1, 3, 0.5])


def test_over_a_whole_set_the_loss_is_torch_s_weighted_mean() -> None:
    torch.manual_seed(0)
    truth = torch.tensor([0, 1, 2, 2, 2, 0, 2, 2])
    logits = torch.randn(8, 3)
    task = classify.TASK.for_protocol(BALANCED, NAMES, truth.tolist())
    weights = torch.tensor(task.class_weights)
    theirs = functional.cross_entropy(logits, truth, weight=weights)
    assert classify.loss(logits, truth, weights).item() == pytest.approx(theirs.item())
    halves = [classify.loss(logits[i : i + 4], truth[i : i + 4], weights) for i in (0, 4)]
    assert sum(halves).item() / 2 == pytest.approx(theirs.item())  # type: ignore[union-attr]


def test_a_label_weighs_as_much_where_it_holds_as_where_not() -> None:
    counts = np.array([25.0, 100.0, 0.0])
    assert weigh_labels("balanced", NAMES, counts, 100).tolist() == [3.0, 1.0, 1.0]
    task = multilabel.TASK.for_protocol(
        Protocol(class_weights="neutral=4"), NAMES, [(1.0, 0.0, 0.0), (0.0, 1.0, 1.0)]
    )
    assert task.class_weights == (1.0, 1.0, 4.0)


def test_tags_weigh_as_classes_do() -> None:
    names = ["O", "B-X", "I-X"]
    task = tagging.TASK.restored({"scheme": "IOB2"}, names)
    weighed = task.for_protocol(BALANCED, names, [[0, 0, 1], [0]])
    assert weighed.class_weights == pytest.approx([4 / 6, 2.0, 2.0])


@pytest.mark.parametrize(
    ("chosen", "what"),
    [
        ("balance", "'balance' is no LABEL=WEIGHT; write balanced, or such as contradiction=2"),
        ("entailmnt=2", "no label 'entailmnt'; did you mean 'entailment'"),
        ("entailment=0", "'0' is no weight; give one above 0"),
        ("entailment=much", "'much' is no weight"),
        ("entailment=inf", "'inf' is no weight"),
    ],
)
def test_what_makes_no_sense_is_one_line(chosen: str, what: str) -> None:
    with pytest.raises(ConfigError, match=f"class_weights: {what}"):
        weigh_classes(chosen, NAMES, np.ones(3))


@pytest.mark.parametrize("task", [regress.TASK, qa.TASK, choice.TASK])
def test_tasks_without_classes_have_none_to_weigh(task: object) -> None:
    with pytest.raises(ConfigError, match="class_weights: no classes to weigh in"):
        task.for_protocol(BALANCED, [], [1.0, 2.0])  # type: ignore[attr-defined]


def test_a_crf_and_a_frozen_encoder_refuse_what_they_cannot_do() -> None:
    crf, frozen = tagging.tagging(crf=True), tagging.tagging(features="last")
    with pytest.raises(ConfigError, match="class_weights: a CRF scores whole sentences"):
        crf.for_protocol(BALANCED, ["O"], [[0]])
    for field, value in (("unfreeze", 1), ("layer_decay", 0.9)):
        protocol = Protocol(**{field: value})  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=f"{field}: the encoder is frozen"):
            frozen.for_protocol(protocol, ["O"], [[0]])
