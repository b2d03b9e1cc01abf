"""Multiple choice: every option scored on its own, softmax over them (BERT, section 4.4).

    [CLS] context [SEP] question option [SEP]

The format is `choice_files`'. The options of a question are sequences of one batch, of whatever
number and lengths.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from bertsmith.config import ModelConfig
from bertsmith.errors import DataError
from bertsmith.nn.losses import choice_loss
from bertsmith.nn.models import ChoiceModel, HeadedEncoder
from bertsmith.tasks.base import Encoded, Objective, Prediction, Task
from bertsmith.tasks.choice_files import Choice, read_choices
from bertsmith.tasks.findings import Finding, Item, Place, single
from bertsmith.tasks.many_scores import Resampling, of_means, outermost
from bertsmith.tasks.metrics import ClassScores, Metrics
from bertsmith.tasks.mistakes import FILE, table_text
from bertsmith.tasks.records import STDIN_NAME
from bertsmith.tasks.sequences import encode_rows
from bertsmith.tasks.tables import Columns, Labelled, Table, TextRow, refuse_columns
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import FloatArray

COLUMNS = Columns("question", "context", "label")


@dataclass(frozen=True)
class EncodedChoices(Encoded):
    """Questions, an example for each option."""

    choices: Sequence[Choice] = ()


@dataclass(frozen=True)
class ChoiceMetrics(Metrics):
    """Of a model that chooses."""

    accuracy: float
    by_kind: dict[str, tuple[int, float]]
    """MCTest's kinds of questions: how many, and their accuracy."""
    always_same: bool

    @property
    def single_answer(self) -> bool:
        """The same number was chosen throughout, while the right ones differ."""
        return self.always_same


@dataclass(frozen=True)
class ChoicePrediction(Prediction):
    """A question and how probable each option is."""

    choice: Choice
    probabilities: FloatArray  # (options,)
    truncated: bool

    @property
    def line(self) -> int:  # type: ignore[override]
        """Where in its file it is."""
        return self.choice.line

    @property
    def label(self) -> int:
        """The number of the most probable option."""
        return int(self.probabilities.argmax())

    def to_json(self) -> str:
        """One line: question, answer, its number, and the probabilities of all."""
        record = {
            "question": self.choice.question,
            "answer": self.choice.options[self.label],
            "label": self.label,
            "scores": [round(p, 6) for p in self.probabilities.tolist()],
        }
        return json.dumps(record, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class ChoiceTask(Task[Choice, EncodedChoices]):
    """One option of several."""

    settings: Mapping[str, Any] = field(default_factory=dict)

    def read(self, path: Path, columns: Columns | None = None) -> Labelled[Choice]:
        """The questions of a file; columns are not chosen."""
        refuse_columns(columns)
        return Labelled(path, COLUMNS, list(read_choices(path, labelled=True)))

    def open(
        self, path: Path | None, columns: Columns | None, learnt: Columns, *, labelled: bool
    ) -> Table[Choice]:
        """See Task."""
        refuse_columns(columns)
        name = STDIN_NAME if path is None else str(path)
        return Table(name, COLUMNS, read_choices(path, labelled=labelled))

    def row_of(self, text: str) -> Choice:
        """See Task."""
        raise DataError("a text alone has no options", mend="give question and options, as JSON")

    def items(self, rows: Sequence[Choice]) -> list[Item]:
        """See Task. The places of the right option are counted."""
        return [
            Item(
                choice.line,
                (choice.context, choice.question, *sorted(choice.options)),
                frozenset(() if choice.right is None else {choice.options[choice.right]}),
                () if choice.right is None else (f"option {choice.right + 1}",),
                choice.context,
            )
            for choice in rows
        ]

    def groupings(self, rows: Sequence[Choice]) -> list[Sequence[Hashable]]:
        """By contexts; a question without one by itself."""
        return [[one.context.strip() or (one.question, *sorted(one.options)) for one in rows]]

    def oddities(self, data: Labelled[Choice]) -> list[Finding]:
        """Questions that have an option twice."""
        twice = (
            Place(choice.line, choice.question)
            for choice in data.rows
            if len({" ".join(option.split()) for option in choice.options}) < len(choice.options)
        )
        return single("equal options", "warning", "have the same option twice", twice)

    def suited(self, train: Labelled[Choice]) -> ChoiceTask:
        """The task itself."""
        return self

    def require_alike(self, other: Labelled[Choice], train: Labelled[Choice]) -> None:
        """Questions are alike."""

    def output_names(self, train: Labelled[Choice]) -> list[str]:
        """None: the one logit of an option is no label."""
        return []

    def truths(
        self, data: Labelled[Choice], names: Sequence[str], known_to: str
    ) -> Sequence[Choice]:
        """The questions themselves."""
        return data.rows

    def described(self, train: Labelled[Choice], names: Sequence[str]) -> str:
        """How many options there are."""
        counts = sorted({len(choice.options) for choice in train.rows})
        return f"of {' to '.join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))} options"

    def encode(
        self,
        rows: Sequence[Choice],
        tokenizer: Tokenizer,
        max_length: int,
        truths: Sequence[Choice] | None = None,
    ) -> EncodedChoices:
        """An example for each option. What does not fit is cut from the longer side's end."""
        texts = [_row(choice, option) for choice in rows for option in choice.options]
        encoded = encode_rows(texts, tokenizer, max_length)
        groups = np.cumsum([0, *(len(choice.options) for choice in rows)])
        cut = [any(encoded.is_truncated[a:b]) for a, b in pairwise(groups)]
        examples = encoded.examples
        if truths is not None:
            labels = [
                (index, int(number == choice.right))
                for index, choice in enumerate(rows)
                for number in range(len(choice.options))
            ]
            examples = [replace(e, label=x) for e, x in zip(examples, labels, strict=True)]
        return EncodedChoices(examples, cut, groups=groups, choices=rows)

    def network(self, config: ModelConfig, outputs: int, dropout: float) -> ChoiceModel:
        """An encoder and a ChoiceHead."""
        return ChoiceModel(config, dropout)

    @contextmanager
    def objective(self, model: HeadedEncoder, train: EncodedChoices) -> Iterator[Objective]:
        """See `choice_loss`. The mean is over questions, each of which has one right option."""
        yield Objective(
            lambda logits, batch: choice_loss(logits, batch.targets["labels"]),
            lambda batch: int(batch.targets["labels"][:, 1].sum()),
        )

    def assess(
        self, model: HeadedEncoder, data: EncodedChoices, outputs: FloatArray
    ) -> ChoiceMetrics:
        """Accuracy, and that of each kind of question."""
        chosen = np.array([scores.argmax() for scores in _by_question(data, outputs)])
        right = np.array([choice.right for choice in data.choices])
        kinds = np.array([choice.kind for choice in data.choices])
        return ChoiceMetrics(
            accuracy=float((chosen == right).mean()),
            by_kind={
                kind: (int(own.sum()), float((chosen == right)[own].mean()))
                for kind in sorted({*kinds.tolist()} - {""})
                for own in [kinds == kind]
            },
            always_same=bool((chosen == chosen[0]).all() and not (right == right[0]).all()),
        )

    def resampling(
        self, model: HeadedEncoder, data: EncodedChoices, outputs: FloatArray
    ) -> Resampling:
        """By contexts; a question without one by itself, and all where there are hardly any."""
        chosen = [int(scores.argmax()) for scores in _by_question(data, outputs)]
        right = [choice.right for choice in data.choices]
        values = {"accuracy": (np.array(chosen) == np.array(right)).astype(float)}
        by_itself = range(len(data.choices))
        return of_means(values, outermost(*self.groupings(data.choices), by_itself))

    def assess_each(
        self, model: HeadedEncoder, data: EncodedChoices, outputs: FloatArray, names: Sequence[str]
    ) -> list[ClassScores]:
        """Nothing: options are no classes."""
        return []

    def predictions(
        self,
        model: HeadedEncoder,
        rows: Sequence[Choice],
        data: EncodedChoices,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> list[ChoicePrediction]:
        """Softmax over the options."""
        return [
            ChoicePrediction(choice, softmax(scores), truncated)
            for choice, scores, truncated in zip(
                rows, _by_question(data, outputs), data.is_truncated, strict=True
            )
        ]

    def files(
        self, model: HeadedEncoder, data: EncodedChoices, outputs: FloatArray, names: Sequence[str]
    ) -> Mapping[str, str]:
        """errors.tsv: what was chosen wrongly, the surest first."""
        wrong = [
            one
            for one in self.predictions(model, data.choices, data, outputs, ())
            if one.label != one.choice.right
        ]
        wrong.sort(key=lambda one: -one.probabilities.max())
        columns = ("line", "probability", "question", "chosen", "right")
        rows = [
            (
                str(one.line),
                f"{one.probabilities.max():.3f}",
                one.choice.question,
                one.choice.options[one.label],
                one.choice.options[one.choice.right or 0],
            )
            for one in wrong
        ]
        return {FILE: table_text(columns, rows)}


def _row(choice: Choice, option: str) -> TextRow:
    """Without a context, the question takes its place."""
    if not choice.context.strip():
        return TextRow(choice.question, option)
    return TextRow(choice.context, f"{choice.question} {option}".strip())


def _by_question(data: EncodedChoices, outputs: FloatArray) -> list[FloatArray]:
    assert data.groups is not None
    return [scores[:, 0] for scores in np.split(outputs, data.groups[1:-1])]


TASK = ChoiceTask(
    name="choice",
    product="model that chooses an answer",
    unit="questions",
    drawn="texts with all their questions",
    method="All weights are trained, with one vector on [CLS] for an option's score.",
    metrics=("accuracy",),
    chosen_by=("accuracy",),
    usual={"batch_size": 16},
)
