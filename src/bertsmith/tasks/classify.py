"""Classification of whole texts: one class each, softmax (BERT, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional

from bertsmith.errors import ConfigError
from bertsmith.tasks.class_weights import weigh_classes
from bertsmith.tasks.labels import label_ids, label_names
from bertsmith.tasks.many_scores import Resampling, of_classes
from bertsmith.tasks.metrics import ClassScores, Metrics, score_classes, score_each_class
from bertsmith.tasks.sequences import SequenceTask, Targets, learn_by
from bertsmith.tasks.tables import TextRow, class_text
from bertsmith.tasks.thresholds import Finder, binary_threshold
from bertsmith.types import FloatArray


def names(rows: Sequence[TextRow], file: str, column: str) -> list[str]:
    """The classes. See `label_names`."""
    return label_names(rows, file)


def score(truth: Targets, logits: FloatArray) -> Metrics:
    """Accuracy, macro-F1, Matthews and the confusion matrix of the largest logits."""
    return score_classes(truth, logits.argmax(axis=1), logits.shape[1])


def score_each(truth: Targets, logits: FloatArray, labels: Sequence[str]) -> list[ClassScores]:
    """Every class's scores."""
    return score_each_class(truth, logits.argmax(axis=1), labels)


def answer(logits: FloatArray, labels: Sequence[str]) -> dict[str, Any]:
    """The most probable class, and the probability of each; they add up to 1."""
    scores = dict(zip(labels, softmax(logits).tolist(), strict=True))
    return {"label": labels[int(np.argmax(logits))], "scores": scores}


def loss(logits_BK: Tensor, targets_B: Tensor, weights_K: Tensor) -> Tensor:
    """Cross entropy, each example times its class's weight.

    The sum is divided by the number of examples, not by their weights as torch does, so that a
    batch of nothing but a frequent class counts little.
    """
    if not len(weights_K):
        return functional.cross_entropy(logits_BK, targets_B)
    losses_B = functional.cross_entropy(logits_BK, targets_B, reduction="none")
    return (losses_B * weights_K[targets_B]).mean()


def weigh(chosen: str, labels: Sequence[str], targets: Targets) -> FloatArray:
    """See `weigh_classes`."""
    return weigh_classes(chosen, labels, np.bincount(targets, minlength=len(labels)).astype(float))


def resample(truth: Targets, logits: FloatArray) -> Resampling:
    """The same of many choices of examples."""
    return of_classes(truth, logits.argmax(axis=1), logits.shape[1])


def wrong(truth: Targets, logits: FloatArray) -> FloatArray:
    """How probable a wrong answer was held to be."""
    said = logits.argmax(axis=1)
    return np.where(said == truth, 0.0, softmax(logits, axis=1).max(axis=1))


def with_threshold(names: Sequence[str]) -> Sequence[str]:
    """The second of two classes. Raises ConfigError where there are more."""
    if len(names) != 2:
        raise ConfigError(
            f"is for two classes, and there are {len(names)}",
            where="threshold",
            mend="leave it out",
        )
    return names[1:]


def find_threshold(metric: str, truth: Targets, logits: FloatArray) -> list[float]:
    """See `binary_threshold`."""
    return binary_threshold(metric, truth, logits[:, 1] - logits[:, 0])


TASK = SequenceTask(
    name="classify",
    problem_type="single_label_classification",
    product="classifier",
    label_text=class_text,
    names=names,
    targets=label_ids,
    learning=learn_by(loss),
    weigh=weigh,
    thresholds=Finder(("f1", "accuracy", "macro_f1", "matthews"), with_threshold, find_threshold),
    score=score,
    resample=resample,
    wrong=wrong,
    score_each=score_each,
    answer=answer,
    metrics=("accuracy", "matthews", "macro_f1"),
    chosen_by=("macro_f1",),
)
