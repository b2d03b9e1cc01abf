"""Classification of whole texts: one class each, softmax (BERT, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax
from torch.nn import functional

from bertsmith.tasks.labels import label_ids, label_names
from bertsmith.tasks.metrics import ClassScores, Metrics, score_classes, score_each_class
from bertsmith.tasks.sequences import SequenceTask, Targets, learn_by
from bertsmith.tasks.tables import TextRow, class_text
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


TASK = SequenceTask(
    name="classify",
    problem_type="single_label_classification",
    product="classifier",
    label_text=class_text,
    names=names,
    targets=label_ids,
    learning=learn_by(functional.cross_entropy),
    score=score,
    score_each=score_each,
    answer=answer,
    metrics=("accuracy", "matthews", "macro_f1"),
    chosen_by=("macro_f1",),
)
