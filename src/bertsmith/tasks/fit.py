"""A task's model trained, and asked: all weights, one loop for every task."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bertsmith.data.loader import Cursor, ListSource, Loader, sequential_batches
from bertsmith.engine.optim import Optimizer, make_schedule
from bertsmith.engine.train import Length, Loss, State, Step, train
from bertsmith.nn.models import SequenceClassifier, model_device
from bertsmith.tasks.base import Targets, Task, TaskLoss
from bertsmith.tasks.metrics import Metrics
from bertsmith.tasks.protocol import Protocol
from bertsmith.types import Batch, Example, FloatArray

EVALUATION_TOKENS = 8192
"""Tokens of a batch when nothing is trained."""
EVALUATIONS = 6
"""Over a run, at most."""


@dataclass(frozen=True)
class FitResult:
    """A trained model, what became of it epoch by epoch, and its last scores."""

    model: SequenceClassifier
    metrics: Metrics
    history: list[dict[str, float]]
    """epoch, train_loss (mean since the entry before), dev_loss, and the task's metrics."""
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether it ended by giving one answer to everything."""
        return self.metrics.single_answer

    def summary(self) -> dict[str, Any]:
        """Everything but the model, for JSON."""
        return {
            **asdict(self.metrics),
            "history": self.history,
            "failed": self.failed,
            "seconds": round(self.seconds, 2),
        }


def batch_loss(loss: TaskLoss) -> Loss:
    """A task's loss over a batch's sequences, in fp32."""

    def of_batch(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        return loss(model(batch).float(), batch.targets["labels"]), {}

    return of_batch


@torch.no_grad()
def predict(model: SequenceClassifier, examples: list[Example]) -> FloatArray:
    """Logits, (N, labels), in the examples' order."""
    was_training, device = model.training, model_device(model)
    model.eval()
    logits = np.zeros((len(examples), model.head.classifier.out_features))
    for batch in sequential_batches(ListSource(examples), EVALUATION_TOKENS):
        logits[list(batch.indices)] = model(batch.to(device)).double().cpu().numpy()
    model.train(was_training)
    return logits


def evaluate(task: Task, model: SequenceClassifier, examples: list[Example]) -> Metrics:
    """Scores on labelled `examples`."""
    return task.score(targets_of(examples), predict(model, examples))


def targets_of(examples: list[Example]) -> Targets:
    """The targets of labelled examples, as one array."""
    return np.array([example.label for example in examples])


def fit(
    task: Task,
    model: SequenceClassifier,
    train_examples: list[Example],
    dev_examples: list[Example],
    protocol: Protocol,
    seed: int,
    on_step: Callable[[Step[Cursor], int], None] = lambda step, sequences: None,
    evaluations: int = EVALUATIONS,
) -> FitResult:
    """Train every weight of `model`, in place; the last weights are kept, not the best.

    `seed` decides the order of the examples and the dropout. `on_step` is called after every
    step with the number of sequences so far; what it raises ends the run. `evaluations` on
    `dev_examples` fall on the ends of epochs, the last on the run's end. Raises TrainingError
    where a loss is not finite.
    """
    began = time.perf_counter()
    optim = protocol.optim()
    loader = Loader(
        ListSource(train_examples),
        batch_tokens=protocol.batch_size * protocol.max_length,
        seed=seed,
        batch_sequences=protocol.batch_size,
    )
    every = -(-protocol.epochs // evaluations)
    history: list[dict[str, float]] = []
    losses: list[float] = []
    truth = targets_of(dev_examples)
    with (
        task.learning(model, targets_of(train_examples)) as loss,
        closing(loader.stream()) as batches,
    ):
        for step in train(
            model,
            batch_loss(loss),
            batches,
            Optimizer(model, optim),
            make_schedule(optim),
            Length(steps=protocol.steps(len(train_examples))),
            State(Cursor()),
            seed,
        ):
            losses.append(step.values["loss"])
            epoch, batch = step.state.cursor.epoch, step.state.cursor.batch
            on_step(step, epoch * len(train_examples) + batch * protocol.batch_size)
            if batch == 0 and (epoch % every == 0 or epoch == protocol.epochs):
                logits = predict(model, dev_examples)
                metrics = task.score(truth, logits)
                history.append(
                    {
                        "epoch": epoch,
                        "train_loss": float(np.mean(losses)),
                        "dev_loss": float(loss(*map(torch.from_numpy, (logits, truth)))),
                        **{name: getattr(metrics, name) for name in task.metrics},
                    }
                )
                losses.clear()
    return FitResult(model.eval(), metrics, history, time.perf_counter() - began)
