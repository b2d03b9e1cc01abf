"""One run of a fine-tuning: a model folder and encoded data in, a trained model out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bertsmith.config import ModelConfig
from bertsmith.data.loader import Cursor
from bertsmith.engine.memory import keep_freed_memory
from bertsmith.engine.precision import Hardware, choose_hardware
from bertsmith.engine.train import Step
from bertsmith.export.huggingface import (
    ModelFolder,
    load_for_finetuning,
    load_tokenizer,
    read_model,
)
from bertsmith.jobs.finetune_folder import Init
from bertsmith.nn.models import HeadedEncoder, place
from bertsmith.tasks import classify
from bertsmith.tasks.base import Encoded, Task
from bertsmith.tasks.fit import EVALUATIONS, FitResult, Keeper, fit, predict
from bertsmith.tasks.protocol import Protocol, choose_protocol
from bertsmith.tasks.sequences import encode_rows
from bertsmith.tasks.tables import TextRow

OnStep = Callable[[Step[Cursor], int], None]


@dataclass(frozen=True)
class Trainer:
    """A model folder and encoded data: everything that the runs of one set share."""

    task: Task[Any, Any]
    source: ModelFolder
    hardware: Hardware
    protocol: Protocol
    num_labels: int
    train: Encoded
    dev: Encoded
    also: Mapping[str, Encoded] = field(default_factory=dict)
    """Further labelled sets, by name, that each finished run is scored on."""
    held: Encoded | None = None
    """Training rows that are not learnt from: thresholds are chosen on them, else on `dev`."""
    dev_in_train: int = 0
    """Dev rows that are training rows, too."""
    _kept: dict[Init, tuple[Encoded, Encoded]] = field(default_factory=dict)

    @property
    def truncated(self) -> dict[str, int]:
        """How many rows of each set did not fit whole."""
        sets = {"train": self.train, "dev": self.dev, **self.also}
        if self.held is not None:
            sets["held out"] = self.held
        return {name: encoded.truncated for name, encoded in sets.items()}

    def fit(
        self,
        init: Init,
        seed: int,
        on_step: OnStep,
        evaluations: int = EVALUATIONS,
        on_example: Callable[[int], None] = lambda done: None,
        keeper: Keeper | None = None,
    ) -> FitResult:
        """One run, or what `keeper` has not of it.

        `on_example` is told how far the task's preparation is (`Task.prepared`).
        """
        keep_freed_memory()
        model, protocol = self.network(init, seed), self.protocol_of(init)
        train, dev = self.prepared(init, model, on_example)
        return fit(self.task, model, train, dev, protocol, seed, on_step, evaluations, keeper)

    def protocol_of(self, init: Init) -> Protocol:
        """How a run from `init` is trained."""
        return self.protocol.for_random_weights() if init == "scratch" else self.protocol

    def decided(self, fitted: FitResult) -> Task[Any, Any]:
        """The task with all that is chosen of it once a run is trained: see `Task.tuned`, and
        `Protocol.threshold`."""
        task = self.task.tuned(fitted.metrics)
        if not self.protocol.threshold:
            return task
        data, outputs = self.dev, fitted.outputs
        if self.held is not None:
            data = self.held
            outputs = predict(fitted.model, data.examples, data.output_rows)
        return task.with_threshold(self.protocol.threshold, data, outputs)

    def prepared(
        self,
        init: Init,
        model: HeadedEncoder,
        on_example: Callable[[int], None] = lambda done: None,
    ) -> tuple[Encoded, Encoded]:
        """The sets with what a pre-trained model gives once for all seeds."""
        if init in self._kept:
            return self._kept[init]
        train = self.task.prepared(model, self.train, on_example)
        count = len(self.train.examples)
        dev = self.task.prepared(model, self.dev, lambda done: on_example(count + done))
        if init == "pretrained":
            self._kept[init] = train, dev
        return train, dev

    def network(self, init: Init, seed: int) -> HeadedEncoder:
        """What is trained, as it is before the first step."""
        torch.manual_seed(seed)
        dropout = self.protocol.dropout

        def network(config: ModelConfig) -> HeadedEncoder:
            return self.task.network(config, self.num_labels, dropout)

        if init == "pretrained":
            model = load_for_finetuning(self.source, network, encoder_dropout=dropout)
        else:
            rates = {"dropout": dropout, "attention_dropout": dropout}
            model = network(self.source.config.model_copy(update=rates))
        place(model, self.hardware.device, self.hardware.dtype)
        return model


def fit_classifier(
    train: Sequence[TextRow],
    dev: Sequence[TextRow],
    model: str | Path | ModelFolder,
    *,
    init: Init = "pretrained",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    on_step: OnStep = lambda step, sequences: None,
    evaluations: int = EVALUATIONS,
    **protocol: Any,
) -> FitResult:
    """One run on rows in memory, nothing written: for learning curves and comparisons.

    `protocol` are fields of `Protocol`; see `choose_protocol` for what is not given. Raises
    DataError where the rows are of one class, or dev has others than train.
    """
    source = model if isinstance(model, ModelFolder) else read_model(model)
    chosen = choose_protocol(source.config, len(train), classify.TASK.usual, **protocol)
    labels = classify.TASK.names(train, "train", "label")
    targets = [
        classify.TASK.targets(rows, labels, name, "the training rows")
        for name, rows in (("train", train), ("dev", dev))
    ]
    train_set, dev_set = (
        encode_rows(rows, load_tokenizer(source), chosen.max_length, own)
        for rows, own in zip((train, dev), targets, strict=True)
    )
    hardware = choose_hardware(device, precision)
    task = classify.TASK.for_protocol(chosen, labels, targets[0])
    trainer = Trainer(task, source, hardware, chosen, len(labels), train_set, dev_set)
    return trainer.fit(init, seed, on_step, evaluations)
