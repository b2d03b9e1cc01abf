"""Tasks on whole texts, or pairs of texts, as values with slots; and texts to examples.

    rows --names--> what is to be learnt --targets--> a target a row
    logits + targets --learning--> a loss;  logits + targets --score--> metrics
    logits --answer--> what a user is told

All of them put a SequenceHead on the encoder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bertsmith.config import ModelConfig
from bertsmith.errors import ConfigError
from bertsmith.nn.models import HeadedEncoder, SequenceClassifier, model_device
from bertsmith.tasks.base import Encoded, Objective, Prediction, Setting, Task
from bertsmith.tasks.blocks import blocks
from bertsmith.tasks.findings import Finding, Item, Place, single
from bertsmith.tasks.many_scores import Resampling
from bertsmith.tasks.metrics import ClassScores, Metrics
from bertsmith.tasks.mistakes import FILE, MOST, table_text
from bertsmith.tasks.protocol import Protocol
from bertsmith.tasks.records import STDIN_NAME, TableKind, stdin_lines
from bertsmith.tasks.tables import (
    Columns,
    Labelled,
    LabelText,
    Table,
    TextRow,
    open_table,
    read_labelled,
    read_table,
    require_pairs,
)
from bertsmith.tasks.thresholds import Finder, offsets
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example, FloatArray

CUTS = "thresholds"
"""Their key in `settings`."""

Target = int | float | tuple[float, ...]
"""A class number, a number, or a 1.0 for each label that holds and a 0.0 for each that does not."""
Targets = npt.NDArray[Any]
"""The targets of N examples: (N,) int64, (N,) float64 or (N, labels) float64."""

TaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits (B, names), targets, weights (names,), or (0,) where all weigh the same) -> the mean over
the batch."""


@dataclass(frozen=True)
class EncodedTexts(Encoded):
    """Texts, an example for each."""

    rows: Sequence[TextRow] = ()


@dataclass(frozen=True)
class SequencePrediction(Prediction):
    """A text, or pair of texts, and what the model says of it."""

    row: TextRow
    logits: FloatArray  # (labels,)
    answer: dict[str, Any]
    """As `SequenceTask.answer` gives it."""
    truncated: bool

    @property
    def line(self) -> int:  # type: ignore[override]
        """Where in its file the row begins."""
        return self.row.line

    @property
    def label(self) -> Any:
        """The class, the list of labels, or the number."""
        return self.answer["label"]

    @property
    def scores(self) -> dict[str, float]:
        """The probability of each label, by label; empty where the answer is a number."""
        scores: dict[str, float] = self.answer.get("scores", {})
        return scores

    def to_json(self) -> str:
        """One line: text, text_pair where there is one, label, and scores where there are."""
        pair = {} if self.row.pair is None else {"text_pair": self.row.pair}
        scores = {label: round(score, 6) for label, score in self.scores.items()}
        record = {"text": self.row.text, **pair, "label": self.label}
        return json.dumps(record | ({"scores": scores} if scores else {}), ensure_ascii=False)


def one_of(label: str) -> tuple[str]:
    """A class is counted as itself."""
    return (label,)


@dataclass(frozen=True, kw_only=True)
class SequenceTask(Task[TextRow, Encoded]):
    """A question about a whole text, or pair of texts."""

    label_text: LabelText
    """Reads a field of the label's column."""
    names: Callable[[Sequence[TextRow], str, str], list[str]]
    """(training rows, file, the label's column) -> a name for each logit. Raises DataError."""
    targets: Callable[[Sequence[TextRow], Sequence[str], str, str], Sequence[Target]]
    """(rows, names, file, whose names they are) -> a target a row. Raises DataError."""
    learning: Callable[[SequenceClassifier, Targets], AbstractContextManager[TaskLoss]]
    """(model, training targets) -> a context to train the model in, with its loss."""
    weigh: Callable[[str, Sequence[str], Targets], FloatArray] | None = None
    """(`Protocol.class_weights`, names, training targets) -> (names,), where there are classes to
    weigh. Raises ConfigError."""
    thresholds: Finder | None = None
    """Where probabilities have thresholds."""
    score: Callable[[Targets, FloatArray], Metrics]
    """(targets, logits (N, names)) -> metrics."""
    resample: Callable[[Targets, FloatArray], Resampling]
    """(targets, logits (N, names)) -> the same of many choices of examples."""
    wrong: Callable[[Targets, FloatArray], FloatArray]
    """(targets, logits (N, names)) -> (N,) how wrong each answer is; 0: it is right."""
    score_each: Callable[[Targets, FloatArray, Sequence[str]], list[ClassScores]]
    """(targets, logits (N, names), names) -> how well each name is told; may be empty."""
    answer: Callable[[FloatArray, Sequence[str]], dict[str, Any]]
    """(logits (names,), names) -> "label", and "scores" by name where there are such."""
    counted: Callable[[str], Sequence[str]] = one_of
    """(a row's label) -> what there is a balance of; nothing where it is a number."""
    unlabelled: str = ""
    """What is right of a row whose label is empty, in words; empty: that it is not known."""

    def read(self, path: Path, columns: Columns | None = None) -> Labelled[TextRow]:
        """See Task."""
        return read_labelled(path, columns, self.label_text)

    def open(
        self, path: Path | None, columns: Columns | None, learnt: Columns, *, labelled: bool
    ) -> Table[TextRow]:
        """See Task. Pairs exactly where the model was trained on pairs.

        Standard input is a text a line, or, where it begins with "{", JSON objects.
        """
        label_text = self.label_text
        if path is None:
            lines, is_json = stdin_lines()
            kind: TableKind = "jsonl" if is_json else "txt"
            table = read_table(lines, STDIN_NAME, kind, columns, labelled=labelled, usual=learnt)
        else:
            table = open_table(
                path, columns, labelled=labelled, usual=learnt, label_text=label_text
            )
        if learnt.text is not None:
            expected = learnt.pair is not None
            require_pairs(table.columns, expected, table.name, "what the model was trained on")
        return table

    def row_of(self, text: str) -> TextRow:
        """See Task."""
        return TextRow(text)

    def items(self, rows: Sequence[TextRow]) -> list[Item]:
        """See Task."""
        items = []
        for row in rows:
            counted = tuple(self.counted(row.label)) if row.label else ()
            text = (row.text,) if row.pair is None else (row.text, row.pair)
            label = ",".join(sorted(counted)) or row.label
            right = frozenset({label or self.unlabelled} - {""})
            items.append(Item(row.line, text, right, counted))
        return items

    def oddities(self, data: Labelled[TextRow]) -> list[Finding]:
        """Pairs without a second text."""
        blank = (Place(r.line) for r in data.rows if r.pair is not None and not r.pair.strip())
        return single("no second text", "warning", "have an empty second text", blank)

    def suited(self, train: Labelled[TextRow]) -> SequenceTask:
        """The task itself."""
        return self

    def require_alike(self, other: Labelled[TextRow], train: Labelled[TextRow]) -> None:
        """Both of pairs, or neither. Raises DataError."""
        paired = train.columns.pair is not None
        require_pairs(other.columns, paired, str(other.path), str(train.path))

    def output_names(self, train: Labelled[TextRow]) -> list[str]:
        """See Task."""
        return self.names(train.rows, str(train.path), train.columns.label or "")

    def truths(
        self, data: Labelled[TextRow], names: Sequence[str], known_to: str
    ) -> Sequence[Target]:
        """See Task."""
        return self.targets(data.rows, names, str(data.path), known_to)

    def for_protocol(
        self, protocol: Protocol, names: Sequence[str], truths: Sequence[Target]
    ) -> Task[TextRow, Encoded]:
        """See Task, `weigh`."""
        if self.weigh is None:
            self.refuse(protocol, "class_weights")
        if self.thresholds is None:
            self.refuse(protocol, "threshold")
        elif protocol.threshold:
            self.thresholds.require(protocol.threshold, names)
        if self.weigh is None or not protocol.class_weights:
            return self
        weights = self.weigh(protocol.class_weights, names, np.array(truths))
        return replace(self, class_weights=tuple(weights.tolist()))

    def restored(self, settings: Mapping[str, Setting], names: Sequence[str]) -> SequenceTask:
        """See Task. Raises ConfigError where its thresholds do not fit."""
        if self.thresholds is not None and CUTS in settings:
            self.thresholds.require_sound(settings[CUTS], names)
        return replace(self, settings={**self.settings, **settings})

    def with_threshold(self, metric: str, data: Encoded, outputs: FloatArray) -> SequenceTask:
        """See Task, `thresholds`."""
        assert self.thresholds is not None
        cuts = self.thresholds.find(metric, targets_of(data.examples), outputs)
        return replace(self, settings={**self.settings, CUTS: cuts})

    def decided(self, logits: FloatArray) -> FloatArray:
        """Logits (N, names), moved by the thresholds: what is said is what is above 0, or the
        greatest."""
        cuts = self.settings.get(CUTS) if self.thresholds is not None else None
        return logits - offsets(cuts, logits.shape[-1]) if isinstance(cuts, list) else logits

    def described(self, train: Labelled[TextRow], names: Sequence[str]) -> str:
        """The columns, and the number of labels."""
        columns = train.columns
        pair = f", pair in {columns.pair!r}" if columns.pair else ""
        what = f"{len(names)} labels" if len(names) > 1 else "numbers"
        return f"in {columns.text!r}{pair}, {what} in {columns.label!r}"

    def encode(
        self,
        rows: Sequence[TextRow],
        tokenizer: Tokenizer,
        max_length: int,
        truths: Sequence[Target] | None = None,
    ) -> Encoded:
        """See `encode_rows`."""
        encoded = encode_rows(rows, tokenizer, max_length, truths)
        return EncodedTexts(encoded.examples, encoded.is_truncated, rows=rows)

    def network(self, config: ModelConfig, outputs: int, dropout: float) -> SequenceClassifier:
        """An encoder and a SequenceHead."""
        return SequenceClassifier(config, outputs, dropout)

    @contextmanager
    def objective(self, model: HeadedEncoder, train: Encoded) -> Iterator[Objective]:
        """See `learning`."""
        assert isinstance(model, SequenceClassifier)
        weights = torch.tensor(self.class_weights, device=model_device(model))
        with self.learning(model, targets_of(train.examples)) as loss:
            yield Objective(lambda logits, batch: loss(logits, batch.targets["labels"], weights))

    def assess(self, model: HeadedEncoder, data: Encoded, outputs: FloatArray) -> Metrics:
        """See `score`."""
        return self.score(targets_of(data.examples), self.decided(outputs))

    def resampling(self, model: HeadedEncoder, data: Encoded, outputs: FloatArray) -> Resampling:
        """By texts. See `resample`."""
        return self.resample(targets_of(data.examples), self.decided(outputs))

    def files(
        self, model: HeadedEncoder, data: Encoded, outputs: FloatArray, names: Sequence[str]
    ) -> Mapping[str, str]:
        """errors.tsv: how wrong, what is right, what is said."""
        assert isinstance(data, EncodedTexts)
        wrong = self.wrong(targets_of(data.examples), self.decided(outputs))
        worst = np.argsort(-wrong, kind="stable")[: min(MOST, np.count_nonzero(wrong))]
        pairs = ["pair"] if any(row.pair is not None for row in data.rows) else []
        rows = [
            [
                str(row.line),
                f"{wrong[place]:.4g}",
                row.label,
                _told(self._answer(outputs[place], names)["label"]),
                row.text,
                *([row.pair or ""] if pairs else []),
            ]
            for place in worst.tolist()
            for row in [data.rows[place]]
        ]
        return {FILE: table_text(["line", "wrong", "right", "said", "text", *pairs], rows)}

    def assess_each(
        self, model: HeadedEncoder, data: Encoded, outputs: FloatArray, names: Sequence[str]
    ) -> list[ClassScores]:
        """See `score_each`."""
        return self.score_each(targets_of(data.examples), self.decided(outputs), names)

    def predictions(
        self,
        model: HeadedEncoder,
        rows: Sequence[TextRow],
        data: Encoded,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> list[SequencePrediction]:
        """See `answer`. Probabilities are as they are, whatever the thresholds."""
        return [
            SequencePrediction(row, own, self._answer(own, names), truncated)
            for row, truncated, own in zip(rows, data.is_truncated, outputs, strict=True)
        ]

    def _answer(self, logits: FloatArray, names: Sequence[str]) -> dict[str, Any]:
        said = self.answer(logits, names)
        if CUTS in self.settings:
            said |= {"label": self.answer(self.decided(logits), names)["label"]}
        return said


def _told(answer: Any) -> str:
    """A class, labels or a number, as one would write it in a table."""
    if isinstance(answer, list):
        return ",".join(answer)
    return f"{answer:.4g}" if isinstance(answer, float) else str(answer)


def learn_by(
    loss: TaskLoss,
) -> Callable[[SequenceClassifier, Targets], AbstractContextManager[TaskLoss]]:
    """`SequenceTask.learning` where nothing but the loss is needed."""
    return partial(_learn_by, loss)


def _learn_by(
    loss: TaskLoss, model: SequenceClassifier, targets: Targets
) -> AbstractContextManager[TaskLoss]:
    return nullcontext(loss)


def targets_of(examples: list[Example]) -> Targets:
    """The targets of labelled examples, as one array."""
    return np.array([example.label for example in examples])


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
    for some in blocks([len(row.text) + len(row.pair or "") for row in rows]):
        block = rows[some]
        texts = tokenizer.encode_batch([row.text for row in block], add_special_tokens=False)
        pairs = iter(
            tokenizer.encode_batch(
                [row.pair for row in block if row.pair is not None], add_special_tokens=False
            )
        )
        for offset, (row, first) in enumerate(zip(block, texts, strict=True), some.start):
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
