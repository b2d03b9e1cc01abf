"""What a task is: rows of one kind, and a head on the encoder that says something of each.

    file --read--> rows --output_names--> what there is to be said
    rows --truths--> what is right of each --encode--> examples, one or several a row
    examples --network--> outputs --objective--> a loss;  outputs --assess--> metrics
    outputs --predictions--> what a user is told

One family, one file: those on whole texts are SequenceTasks (`classify`, `multilabel`,
`regress`), the others fill the abstract methods below. Nothing is ever shortened in silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from bertsmith.config import ModelConfig
from bertsmith.data.examples import ListSource
from bertsmith.errors import ConfigError, DataError
from bertsmith.nn.models import HeadedEncoder
from bertsmith.tasks.findings import Finding, Item
from bertsmith.tasks.many_scores import Resampling, outermost
from bertsmith.tasks.metrics import ClassScores, Metrics
from bertsmith.tasks.parting import FEWEST_GROUPS, HELD_OUT, held_out, part
from bertsmith.tasks.protocol import Protocol
from bertsmith.tasks.tables import Columns, Labelled, Table
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Batch, Example, FloatArray, IntArray

RowT = TypeVar("RowT")

Setting = str | bool | int | float | list[float] | None

UNUSED = {"class_weights": "classes to weigh", "threshold": "threshold to find"}
"""What not every task has, by field of `Protocol`."""


@dataclass(frozen=True)
class Objective:
    """What a network is trained to make small: a mean over something that batches have."""

    mean: Callable[[Tensor, Batch], Tensor]
    """(a network's output for a batch in fp32, the batch with its targets) -> the mean loss."""
    count: Callable[[Batch], int] = lambda batch: batch.num_sequences
    """How many of what it is a mean over a batch has: its sequences, words, questions."""


@dataclass(frozen=True)
class Encoded:
    """Rows as model inputs, in their order, and which of them did not fit whole."""

    examples: list[Example]
    is_truncated: list[bool]  # one a row
    output_rows: IntArray | None = None  # (examples,) rows of the output for each; None: one
    groups: IntArray | None = None
    """(rows + 1,) where each row's examples begin, where they must share a batch."""

    @property
    def truncated(self) -> int:
        """How many rows did not fit whole."""
        return sum(self.is_truncated)

    @property
    def source(self) -> ListSource:
        """The examples, or groups of them, to be drawn."""
        return ListSource(self.examples, self.groups)


def some_of(data: Encoded, count: int, seed: int) -> Encoded:
    """`count` of the examples, or groups of them, drawn by `seed`; all where there are no more."""
    groups = data.groups if data.groups is not None else np.arange(len(data.examples) + 1)
    number = len(groups) - 1
    draw = np.random.default_rng(seed).permutation(number)[:count]
    members = [np.arange(groups[index], groups[index + 1]) for index in sorted(draw)]
    kept = np.concatenate(members)
    return Encoded(
        [data.examples[index] for index in kept],
        [],
        None if data.output_rows is None else data.output_rows[kept],
        None if data.groups is None else np.cumsum([0, *map(len, members)]),
    )


class Prediction(ABC):
    """What is told of one row."""

    line: int
    """Where in its file the row is."""
    truncated: bool

    @abstractmethod
    def to_json(self) -> str:
        """One line."""


EncodedT = TypeVar("EncodedT", bound=Encoded)


@dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[RowT, EncodedT]):
    """A question about each row of a file."""

    name: str
    """`bertsmith finetune NAME`, or the data set's own."""
    product: str
    """What comes out, in words: "classifier"."""
    unit: str = "texts"
    """What the rows are, in words."""
    drawn: str = ""
    """What is drawn for the intervals, in words, where it is not each row by itself."""
    method: str = "All weights are trained, with one linear layer on [CLS]."
    """What is trained, for the report."""
    metrics: tuple[str, ...]
    """The fields of `assess`'s result that are shown, in this order."""
    chosen_by: tuple[str, ...]
    """Those whose mean says which of several runs is best."""
    problem_type: str | None = None
    """What Hugging Face's config.json calls a task on whole texts."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """What was chosen of the task's own, as config.toml and the saved model keep it."""
    usual: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Protocol` where this task takes others than `choose_protocol` would."""

    class_weights: tuple[float, ...] = ()
    """What an error on each output costs, where it is not the same on all."""

    def merit(self, run: Mapping[str, Any]) -> float:
        """The mean of a run's `chosen_by`; the more the better."""
        return fmean(run[metric] for metric in self.chosen_by)

    @abstractmethod
    def read(self, path: Path, columns: Columns | None = None) -> Labelled[RowT]:
        """The whole of a labelled file. Raises DataError."""

    @abstractmethod
    def open(
        self, path: Path | None, columns: Columns | None, learnt: Columns, *, labelled: bool
    ) -> Table[RowT]:
        """What is to be predicted or scored, in `path` or, where it is None, on standard input.

        `learnt` are the columns that the model was trained on. Raises DataError.
        """

    @abstractmethod
    def row_of(self, text: str) -> RowT:
        """A bare text as a row. Raises DataError where a text alone is none."""

    @abstractmethod
    def items(self, rows: Sequence[RowT]) -> list[Item]:
        """What `bertsmith check data` compares of each row; its label where it has one."""

    def groupings(self, rows: Sequence[RowT]) -> list[Sequence[Hashable]]:
        """What rows hang together by, such as articles: groupings, the largest groups first, each
        naming a group for every row. Empty where each stands by itself."""
        return []

    def oddities(self, data: Labelled[RowT]) -> list[Finding]:
        """What only rows of this kind can have wrong, all of it."""
        return []

    @abstractmethod
    def suited(self, train: Labelled[RowT]) -> Task[RowT, EncodedT]:
        """The task as these training rows have it."""

    def restored(
        self, settings: Mapping[str, Setting], names: Sequence[str]
    ) -> Task[RowT, EncodedT]:
        """The task of a saved model, which keeps its settings and the names of its outputs."""
        return replace(self, settings={**self.settings, **settings})

    def parted(
        self, train: Labelled[RowT], dev: Labelled[RowT] | None
    ) -> tuple[Labelled[RowT], Labelled[RowT]]:
        """The sets to learn from and to be scored on.

        Where `dev` is None, a fifth of the training rows is held out. Raises DataError.
        """
        if dev is not None:
            return train, dev
        places = self.held_out(train.rows, HELD_OUT)
        if not places:
            raise DataError(
                f"{len(train.rows):,} {self.unit} are too few, or too much alike, to hold any out",
                where=train.path,
                mend="give some to be scored on with --dev FILE",
            )
        note = f"{len(places):,} of {len(train.rows):,} {self.unit} are held out to be scored on"
        return part(train, places, note)

    def held_out(self, rows: Sequence[RowT], share: float) -> list[int]:
        """The places of `share` of the rows, drawn as `bertsmith.tasks.parting` does, with what
        hangs together, or is there twice, on one side. Empty where they are too few."""
        items = self.items(rows)
        texts = [item.key.hex() for item in items]
        return held_out(items, outermost(*self.groupings(rows), texts, fewest=FEWEST_GROUPS), share)

    def for_training(self, train: Labelled[RowT]) -> Labelled[RowT]:
        """The rows that can be learnt from, with notes on the others. Raises DataError."""
        return train

    @abstractmethod
    def require_alike(self, other: Labelled[RowT], train: Labelled[RowT]) -> None:
        """Raise DataError where `other` is of another shape than the training rows."""

    @abstractmethod
    def output_names(self, train: Labelled[RowT]) -> list[str]:
        """A name for each output, by training rows. Raises DataError."""

    @abstractmethod
    def truths(self, data: Labelled[RowT], names: Sequence[str], known_to: str) -> Sequence[Any]:
        """What is right of each row; `known_to` says whose `names` are. Raises DataError."""

    def for_protocol(
        self, protocol: Protocol, names: Sequence[str], truths: Sequence[Any]
    ) -> Task[RowT, EncodedT]:
        """The task as `protocol` has it, for training rows of these truths.

        Raises ConfigError for what this task has no use for.
        """
        self.refuse(protocol, "class_weights", "threshold")
        return self

    def refuse(self, protocol: Protocol, *keys: str) -> None:
        """Raise ConfigError where `protocol` asks for one of these, of which the task has none."""
        for key in keys:
            if getattr(protocol, key):
                raise ConfigError(
                    f"no {UNUSED[key]} in {self.name}", where=key, mend="leave it out"
                )

    def reading(self, own: Tokenizer) -> tuple[Task[RowT, EncodedT], Tokenizer]:
        """The task, suited, and what it reads rows with, where a model's `own` tokenizer will not
        do. Ids beyond the model's get new embeddings. Raises ConfigError."""
        return self, own

    @abstractmethod
    def described(self, train: Labelled[RowT], names: Sequence[str]) -> str:
        """Where the rows are from and what is told of them, to go after their number."""

    @abstractmethod
    def encode(
        self,
        rows: Sequence[RowT],
        tokenizer: Tokenizer,
        max_length: int,
        truths: Sequence[Any] | None = None,
    ) -> EncodedT:
        """Rows as examples of at most `max_length` tokens, with targets where there are truths.

        Raises ConfigError where `max_length` leaves no room for text.
        """

    def shortening(self, max_length: int) -> str:
        """How rows that do not fit whole (`Encoded.is_truncated`) are shortened, in words."""
        return f"to {max_length} tokens"

    @abstractmethod
    def network(self, config: ModelConfig, outputs: int, dropout: float) -> HeadedEncoder:
        """What is trained: an encoder and this task's head."""

    @abstractmethod
    def objective(self, model: HeadedEncoder, train: EncodedT) -> AbstractContextManager[Objective]:
        """A context to train the model in, with its loss."""

    @abstractmethod
    def assess(self, model: HeadedEncoder, data: EncodedT, outputs: FloatArray) -> Metrics:
        """Metrics of the outputs (see `bertsmith.tasks.fit.predict`) for labelled examples."""

    @property
    def is_prepared(self) -> bool:
        """Whether `prepared` computes anything."""
        return False

    def prepared(
        self, model: HeadedEncoder, data: EncodedT, on_example: Callable[[int], None]
    ) -> EncodedT:
        """What never changes while `model` is trained, computed once; `on_example` is told the
        number of examples that are done."""
        return data

    def with_threshold(
        self, metric: str, data: EncodedT, outputs: FloatArray
    ) -> Task[RowT, EncodedT]:
        """The task with the threshold of the best `metric` on labelled examples; only asked for
        where `for_protocol` allows it."""
        return self

    def tuned(self, metrics: Metrics) -> Task[RowT, EncodedT]:
        """The task with what was tuned on the dev set, to go with the model of these metrics."""
        return self

    def caveats(self, run: Mapping[str, Any]) -> list[str]:
        """What the dev set decided of the task's own in a run: its scores are after that choice."""
        return []

    @abstractmethod
    def files(
        self, model: HeadedEncoder, data: EncodedT, outputs: FloatArray, names: Sequence[str]
    ) -> Mapping[str, str]:
        """What the run folder keeps of the best run's outputs on the dev set, by file name: the
        worst mistakes (`bertsmith.tasks.mistakes`), and what else the task has."""

    @abstractmethod
    def resampling(self, model: HeadedEncoder, data: EncodedT, outputs: FloatArray) -> Resampling:
        """What is drawn again for the intervals of the metrics (`bertsmith.tasks.bootstrap`)."""

    @abstractmethod
    def assess_each(
        self, model: HeadedEncoder, data: EncodedT, outputs: FloatArray, names: Sequence[str]
    ) -> list[ClassScores]:
        """How well each class is told; may be empty."""

    @abstractmethod
    def predictions(
        self,
        model: HeadedEncoder,
        rows: Sequence[RowT],
        data: EncodedT,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> Sequence[Prediction]:
        """What a user is told, one a row."""
