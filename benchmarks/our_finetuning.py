"""A fine-tuning as `bertsmith finetune` does it, on rows that are in memory already."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.finetuning_sets import Labels
from bertsmith.engine.precision import choose_hardware
from bertsmith.export.huggingface import load_tokenizer, read_model
from bertsmith.jobs.finetune_folder import Init
from bertsmith.jobs.trainer import Trainer
from bertsmith.nn.models import HeadedEncoder
from bertsmith.tasks.base import Encoded
from bertsmith.tasks.fit import FitResult, evaluate
from bertsmith.tasks.metrics import Metrics
from bertsmith.tasks.protocol import choose_protocol
from bertsmith.tasks.tables import Labelled


class OurRun:
    """One run, all that is to be asked of it afterwards included."""

    def __init__(
        self,
        labels: Labels,
        model: Path,
        seed: int = 0,
        *,
        init: Init | None = None,
        epochs: int | None = None,
    ) -> None:
        """By the set's recipe; where `init` is given, from there, with our defaults but the
        recipe's length, and `epochs`."""
        self._labels, self._seed, self._init = labels, seed, init or "pretrained"
        source = read_model(model)
        self._tokenizer = load_tokenizer(source)
        given = labels.recipe.protocol()
        if init is not None:
            given = {"max_length": given["max_length"], "epochs": epochs}
        count = len(labels.train.rows)
        self._protocol = choose_protocol(source.config, count, labels.task.usual, **given)
        hardware = choose_hardware("cpu")
        self.precision = hardware.precision
        self._trainer = Trainer(
            labels.task,
            source,
            hardware,
            self._protocol,
            len(labels.names),
            self._encoded(labels.train),
            self._encoded(labels.dev),
        )
        self._fitted: FitResult | None = None

    def _encoded(self, data: Labelled[object]) -> Encoded:
        task, truths = self._labels.task, self._labels.truths(data)
        encoded: Encoded = task.encode(
            data.rows, self._tokenizer, self._protocol.max_length, truths
        )
        return encoded

    @property
    def model(self) -> HeadedEncoder:
        """The network, once it is trained."""
        assert self._fitted is not None
        return self._fitted.model

    @property
    def recipe(self) -> dict[str, Any]:
        """How it is trained."""
        return self._protocol.model_dump()

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps."""
        return math.ceil(len(self._trainer.train.source) / self._protocol.batch_size)

    def train(self, on_step: Callable[[], None] = lambda: None) -> None:
        """All epochs, and a look at the dev set."""
        self._fitted = self._trainer.fit(
            self._init, self._seed, lambda step, done: on_step(), evaluations=1
        )

    def metrics(self, data: Labelled[object]) -> Metrics:
        """Of its answers to `data`."""
        assert self._fitted is not None
        if data is self._labels.dev:
            return self._fitted.metrics
        return evaluate(self._labels.task, self._fitted.model, self._encoded(data))

    def close(self) -> None:
        """There is nothing to take away."""
