"""Any number of labels for a text: a sigmoid each, binary cross entropy, one threshold of 1/2.

A label's column holds them with commas between, or, in JSON, a list; none at all is right too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from bertsmith.errors import DataError
from bertsmith.tasks.class_weights import weigh_labels
from bertsmith.tasks.labels import in_order, require_known, require_rows
from bertsmith.tasks.many_scores import Resampling, of_labels
from bertsmith.tasks.metrics import ClassScores, Metrics, score_each_class, score_labels
from bertsmith.tasks.sequences import SequenceTask, Target, Targets, learn_by
from bertsmith.tasks.tables import TextRow, class_text
from bertsmith.tasks.thresholds import Finder, label_thresholds
from bertsmith.types import FloatArray

NO_LABEL = "no label"


def labels_text(value: Any, column: str, where: str) -> str:
    """The labels in a field, joined by commas. Raises DataError where it holds something else."""
    if not isinstance(value, list):
        is_empty = isinstance(value, str) and not value.strip()
        return "" if is_empty else ",".join(split(class_text(value, column, where)))
    labels = [class_text(item, column, where) for item in value]
    for label in labels:
        if "," in label:
            raise DataError(
                f"a comma in the label {label!r:.60}", where=where, mend="take it out of the label"
            )
    return ",".join(labels)


def split(text: str) -> list[str]:
    """The labels of a row, each once, in order."""
    return list(dict.fromkeys(label for part in text.split(",") if (label := part.strip())))


def names(rows: Sequence[TextRow], file: str, column: str) -> list[str]:
    """The distinct labels of training rows, sorted; whole numbers by value.

    Raises DataError where there are fewer than two, or where none of them comes twice.
    """
    require_rows(rows, file, "give labelled texts to learn from")
    every = list(chain.from_iterable(split(row.label) for row in rows))
    found = set(every)
    if len(found) < 2:
        raise DataError(
            f"{len(found)} different labels", where=file, mend="give texts of at least two labels"
        )
    if len(every) == len(found) > 2:
        raise DataError(
            f"none of the {len(found)} labels comes twice",
            where=file,
            mend="name the column of the labels with --label-column",
        )
    return in_order(found)


def targets(
    rows: Sequence[TextRow], labels: Sequence[str], file: str, known_to: str
) -> list[Target]:
    """(labels,) zeros and ones a row. Raises DataError for labels that are not known."""
    require_rows(rows, file, "give labelled texts to be scored on")
    chosen = [split(row.label) for row in rows]
    lines = ((label, row.line) for row, own in zip(rows, chosen, strict=True) for label in own)
    require_known(lines, labels, file, known_to)
    return [tuple(float(label in own) for label in labels) for own in map(frozenset, chosen)]


def score(truth: Targets, logits: FloatArray) -> Metrics:
    """Micro- and macro-F1."""
    return score_labels(truth, (logits > 0).astype(float))


def score_each(truth: Targets, logits: FloatArray, labels: Sequence[str]) -> list[ClassScores]:
    """Every label's scores."""
    return score_each_class(truth, (logits > 0).astype(float), labels)


def answer(logits: FloatArray, labels: Sequence[str]) -> dict[str, Any]:
    """The labels that hold more probably than not, and the probability of each."""
    scores = dict(zip(labels, expit(logits).tolist(), strict=True))
    chosen = [label for label, logit in zip(labels, logits, strict=True) if logit > 0]
    return {"label": chosen, "scores": scores}


def loss(logits_BK: Tensor, targets_BK: Tensor, weights_K: Tensor) -> Tensor:
    """Binary cross entropy, a label that holds times its weight."""
    return functional.binary_cross_entropy_with_logits(
        logits_BK, targets_BK, pos_weight=weights_K if len(weights_K) else None
    )


def weigh(chosen: str, labels: Sequence[str], targets: Targets) -> FloatArray:
    """See `weigh_labels`."""
    return weigh_labels(chosen, labels, targets.sum(axis=0), len(targets))


def resample(truth: Targets, logits: FloatArray) -> Resampling:
    """The same of many choices of examples."""
    return of_labels(truth, (logits > 0).astype(float))


def wrong(truth: Targets, logits: FloatArray) -> FloatArray:
    """How probable the surest wrong decision was held to be."""
    said = logits > 0
    sure = np.where(said, expit(logits), expit(-logits))
    worst: FloatArray = np.where(said == (truth > 0), 0.0, sure).max(axis=1)
    return worst


def with_threshold(names: Sequence[str]) -> Sequence[str]:
    """All of them."""
    return names


TASK = SequenceTask(
    name="multilabel",
    problem_type="multi_label_classification",
    product="multi-label classifier",
    label_text=labels_text,
    names=names,
    targets=targets,
    learning=learn_by(loss),
    weigh=weigh,
    thresholds=Finder(("micro_f1", "macro_f1"), with_threshold, label_thresholds),
    score=score,
    resample=resample,
    wrong=wrong,
    score_each=score_each,
    answer=answer,
    counted=split,
    unlabelled=NO_LABEL,
    metrics=("macro_f1", "micro_f1"),
    chosen_by=("micro_f1",),
)
