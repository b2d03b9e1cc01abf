"""What a task on whole texts is, as a value with slots; and texts to examples.

    rows --names--> what is to be learnt --targets--> a target an example
    logits + targets --learning--> a loss;  logits + targets --score--> metrics
    logits --answer--> what a user is told

One family, one file: `classify`, `multilabel`, `regress`. All of them put a SequenceHead on the
encoder. A text is never shortened in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bertsmith.errors import ConfigError
from bertsmith.nn.models import SequenceClassifier
from bertsmith.tasks.metrics import ClassScores, Metrics
from bertsmith.tasks.tables import LabelText, TextRow
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example, FloatArray

ENCODE_ROWS = 4096
"""Rows tokenised at a time."""

Target = int | float | tuple[float, ...]
"""A class number, a number, or a 1.0 for each label that holds and a 0.0 for each that does not."""
Targets = npt.NDArray[Any]
"""The targets of N examples: (N,) int64, (N,) float64 or (N, labels) float64."""

TaskLoss = Callable[[Tensor, Tensor], Tensor]
"""(logits (B, names), targets) -> the mean over the batch."""


@dataclass(frozen=True)
class Task:
    """A question about a whole text, or pair of texts."""

    name: str
    """`bertsmith finetune NAME`, or the data set's own."""
    problem_type: str
    """What Hugging Face's config.json calls it."""
    product: str
    """What comes out, in words: "classifier"."""
    label_text: LabelText
    """Reads a field of the label's column."""
    names: Callable[[Sequence[TextRow], str, str], list[str]]
    """(training rows, file, the label's column) -> a name for each logit. Raises DataError."""
    targets: Callable[[Sequence[TextRow], Sequence[str], str, str], Sequence[Target]]
    """(rows, names, file, whose names they are) -> a target a row. Raises DataError."""
    learning: Callable[[SequenceClassifier, Targets], AbstractContextManager[TaskLoss]]
    """(model, training targets) -> a context to train the model in, with its loss."""
    score: Callable[[Targets, FloatArray], Metrics]
    """(targets, logits (N, names)) -> metrics."""
    score_each: Callable[[Targets, FloatArray, Sequence[str]], list[ClassScores]]
    """(targets, logits (N, names), names) -> how well each name is told; may be empty."""
    answer: Callable[[FloatArray, Sequence[str]], dict[str, Any]]
    """(logits (names,), names) -> "label", and "scores" by name where there are such."""
    metrics: tuple[str, ...]
    """The fields of `score`'s result that are shown, in this order."""
    chosen_by: tuple[str, ...]
    """Those whose mean says which of several runs is best."""
    training: Callable[[SequenceClassifier, Targets], AbstractContextManager[None]] = (
        lambda model, targets: nullcontext()
    )
    """(model, training targets) -> what has to hold around a run."""

    def merit(self, run: Mapping[str, Any]) -> float:
        """The mean of a run's `chosen_by`; the more the better."""
        return fmean(run[metric] for metric in self.chosen_by)


def learn_by(
    loss: TaskLoss,
) -> Callable[[SequenceClassifier, Targets], AbstractContextManager[TaskLoss]]:
    """`Task.learning` where nothing but the loss is needed."""
    return lambda model, targets: nullcontext(loss)


@dataclass(frozen=True)
class Encoded:
    """Rows as model inputs, in their order, and which of them did not fit whole."""

    examples: list[Example]
    is_truncated: list[bool]

    @property
    def truncated(self) -> int:
        """How many rows did not fit whole."""
        return sum(self.is_truncated)


def encode_rows(
    rows: Sequence[TextRow],
    tokenizer: Tokenizer,
    max_length: int,
    targets: Sequence[Target] | None = None,
) -> Encoded:
    """[CLS] text [SEP], or [CLS] text [SEP] pair [SEP], of at most `max_length` tokens.

    What does not fit is cut from the end of the longer of the two. Raises ConfigError where
    `max_length` leaves no room for text.
    """
    backend = tokenizer.backend
    examples: list[Example] = []
    is_truncated: list[bool] = []
    for begin in range(0, len(rows), ENCODE_ROWS):
        block = rows[begin : begin + ENCODE_ROWS]
        texts = tokenizer.encode_batch([row.text for row in block], add_special_tokens=False)
        pairs = iter(
            tokenizer.encode_batch(
                [row.pair for row in block if row.pair is not None], add_special_tokens=False
            )
        )
        for offset, (row, first) in enumerate(zip(block, texts, strict=True), begin):
            second = None if row.pair is None else next(pairs)
            room = max_length - backend.num_special_tokens_to_add(second is not None)
            if room < 1 + (second is not None):
                raise ConfigError(f"{max_length} tokens hold no text", where="max_length")
            keep, keep_second = fit_lengths(len(first), 0 if second is None else len(second), room)
            is_truncated.append(
                keep < len(first) or (second is not None and keep_second < len(second))
            )
            first.truncate(keep)
            if second is not None:
                second.truncate(keep_second)
            whole = backend.post_process(first, second, add_special_tokens=True)
            examples.append(
                Example(
                    np.array(whole.ids, dtype=np.int64),
                    np.array(whole.type_ids, dtype=np.int64),
                    label=None if targets is None else targets[offset],
                )
            )
    return Encoded(examples, is_truncated)


def fit_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text to keep, the longer one cut first, until both fit `room`."""
    keep_second = min(second, max(room // 2, room - first))
    return min(first, room - keep_second), keep_second
