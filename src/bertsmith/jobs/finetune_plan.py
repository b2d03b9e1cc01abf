"""A fine-tuning before its first step: everything read, checked and chosen, nothing written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertsmith.engine.precision import Hardware, choose_hardware
from bertsmith.errors import ConfigError
from bertsmith.export.huggingface import ModelFolder, load_tokenizer, read_model
from bertsmith.export.vocabulary import with_new_rows
from bertsmith.export.weights import WEIGHTS
from bertsmith.jobs.finetune_folder import FinetuneConfig, InputConfig
from bertsmith.jobs.trainer import Trainer
from bertsmith.tasks.base import Encoded, Task
from bertsmith.tasks.check import count_known
from bertsmith.tasks.protocol import choose_protocol
from bertsmith.tasks.tables import Labelled
from bertsmith.text.lines import file_sha256
from bertsmith.text.tokenizer import Tokenizer

FEW_EXAMPLES = 10_000
"""Below this many training examples the seed matters, so three are taken."""


@dataclass(frozen=True)
class Plan:
    """A fine-tuning that is read and checked, of which nothing is written or encoded yet.

    Other processes can be sent it.
    """

    task: Task[Any, Any]
    """As the training rows and the protocol have it."""
    config: FinetuneConfig
    source: ModelFolder
    tokenizer: Tokenizer
    hardware: Hardware
    tables: Mapping[str, Labelled[Any]]
    """"train", "dev" and further ones."""
    truths: Mapping[str, Sequence[Any]]
    """Of each table's rows."""
    learnt: Sequence[int]
    """The training rows that are learnt from ..."""
    held: Sequence[int]
    """... and those held out of that."""
    dev_in_train: int
    """Dev rows that are training rows, too."""

    @property
    def described(self) -> str:
        """The training rows in words, further lines being notes on them."""
        train = self.tables["train"]
        return "\n".join([self.task.described(train, self.config.labels), *train.notes])

    def trainer(self) -> Trainer:
        """With everything encoded."""
        sets = {
            name: self._encoded(name, range(len(table.rows)))
            for name, table in self.tables.items()
            if name != "train"
        }
        return Trainer(
            self.task,
            self.source,
            self.hardware,
            self.config.protocol,
            len(self.config.labels),
            self._encoded("train", self.learnt),
            sets.pop("dev"),
            sets,
            self._encoded("train", self.held) if self.held else None,
            self.dev_in_train,
        )

    def _encoded(self, name: str, places: Sequence[int]) -> Encoded:
        rows, truths = self.tables[name].rows, self.truths[name]
        data: Encoded = self.task.encode(
            [rows[place] for place in places],
            self.tokenizer,
            self.config.protocol.max_length,
            [truths[place] for place in places],
        )
        return data


def require_seeds(seeds: int | None) -> None:
    """Raise ConfigError for a number of runs that is none."""
    if seeds is not None and seeds < 1:
        raise ConfigError(f"{seeds} seeds are none", where="seeds", mend="give 1 or more")


def make_plan(
    task: Task[Any, Any],
    train: Labelled[Any],
    dev: Labelled[Any],
    model: Path,
    *,
    also: Mapping[str, Labelled[Any]] | None = None,
    seeds: int | None = None,
    from_scratch: bool = False,
    device: str = "auto",
    precision: str = "auto",
    **protocol: Any,
) -> Plan:
    """What `finetune_on` has from its caller, checked, and what it chooses. Raises as it does."""
    require_seeds(seeds)
    train, others = task.for_training(train), also or {}
    task = task.suited(train)
    for table in (dev, *others.values()):
        task.require_alike(table, train)
    labels = task.output_names(train)
    tables = {"train": train, "dev": dev, **others}
    truths = {name: task.truths(table, labels, str(train.path)) for name, table in tables.items()}
    source = read_model(model)
    if not source.has("encoder"):
        raise source.lacks("encoder", "give a model that reads whole sequences")
    task, tokenizer = task.reading(load_tokenizer(source))
    if tokenizer.vocab_size > source.config.vocab_size:
        source = with_new_rows(source, tokenizer.vocab_size)
    hardware = choose_hardware(device, precision)
    chosen = choose_protocol(source.config, len(train.rows), task.usual, **protocol)
    held = task.held_out(train.rows, chosen.threshold_share) if chosen.threshold_share else []
    learnt = sorted({*range(len(train.rows))} - {*held})
    task = task.for_protocol(chosen, labels, [truths["train"][place] for place in learnt])
    if chosen.threshold_share:
        _require_different(truths["train"], held, f"{task.unit} that are held out", "raise it")
        _require_different(truths["train"], learnt, f"{task.unit} that are left", "lower it")
    config = FinetuneConfig(
        task=task.name,
        train=str(train.path),
        dev=str(dev.path),
        model=str(model),
        seeds=seeds or (3 if len(train.rows) < FEW_EXAMPLES else 1),
        from_scratch=from_scratch,
        device=hardware.device.type,
        precision=hardware.precision,
        labels=tuple(labels),
        settings=dict(task.settings),
        input=InputConfig(
            text_column=train.columns.text or "",
            pair_column=train.columns.pair,
            label_column=train.columns.label or "",
            header=train.columns.header,
            dev_is_held_out=dev.is_held_out,
            train_sha256=file_sha256(train.path),
            dev_sha256=file_sha256(dev.path),
            model_sha256=file_sha256(model / WEIGHTS),
            also_sha256={name: file_sha256(table.path) for name, table in others.items()},
        ),
        protocol=chosen,
    )
    known = count_known(task.items(dev.rows), task.items(train.rows))
    return Plan(task, config, source, tokenizer, hardware, tables, truths, learnt, held, known)


def _require_different(truths: Sequence[Any], places: Sequence[int], what: str, mend: str) -> None:
    """Raise ConfigError where nothing can be told apart by the rows at `places`."""
    if len({str(truths[place]) for place in places}) < 2:
        raise ConfigError(
            f"no two of the {len(places)} {what} have different labels",
            where="threshold_share",
            mend=mend,
        )
