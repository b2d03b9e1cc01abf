"""A task's model trained, and asked: all weights, one loop for every task."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bertsmith.data.examples import ListSource
from bertsmith.data.loader import Cursor, Loader, sequential_batches
from bertsmith.engine.optim import Optimizer, make_schedule
from bertsmith.engine.train import Length, Loss, State, Step, train
from bertsmith.nn.depth import layer_rates, thaw
from bertsmith.nn.embeddings import rows_in_use
from bertsmith.nn.models import HeadedEncoder, model_device
from bertsmith.tasks.base import Encoded, Objective, Task
from bertsmith.tasks.metrics import Metrics
from bertsmith.tasks.protocol import Protocol
from bertsmith.types import Batch, Example, FloatArray, IntArray

EVALUATION_TOKENS = 8192
"""Tokens of a batch when nothing is trained."""
MICRO_TOKENS = 4096
"""Tokens that go through the network at once while it is trained, at most: what the usual batch of
32 texts of 128 has, so that none of these is cut. Each takes some half a megabyte until its
gradient is known (6 layers of 384, sequences of 350; four times that in BERT-base), and larger
parts are no faster (docs/results.md)."""
EVALUATIONS = 6
"""Over a run, at most."""


@dataclass(frozen=True)
class FitResult:
    """A trained model, what became of it epoch by epoch, and its last scores."""

    model: HeadedEncoder
    metrics: Metrics
    outputs: FloatArray
    """Its last ones on the dev set, as `predict` gives them."""
    history: list[dict[str, float]]
    """epoch, train_loss (mean since the entry before), dev_loss, and the task's metrics."""
    epoch: int
    """The one whose weights these are: the last, or with patience the best."""
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
            "epoch": self.epoch,
            "failed": self.failed,
            "seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True)
class Progress:
    """Where a run stands between two steps, apart from its weights and moments."""

    state: State[Cursor]
    history: list[dict[str, float]]
    """As in FitResult, so far."""
    losses: list[float]
    """Of the steps since the last entry of `history`."""
    seconds: float
    best: Mapping[str, Tensor] | None = None
    """The weights of the best entry of `history`, as `Optimizer.state` names them; None without
    patience, and before the first."""


class Keeper(ABC):
    """Where an unfinished run is kept."""

    @abstractmethod
    def load(self, optimizer: Optimizer) -> Progress | None:
        """Give `optimizer` and its model their weights back; None where the run is new."""

    @abstractmethod
    def keep(self, optimizer: Optimizer, progress: Progress) -> None:
        """Called after every step but the last, evaluation included; what it raises ends the
        run."""


def batch_loss(objective: Objective) -> Loss:
    """A task's loss of a batch, or its part of the whole's, in fp32."""

    def of_batch(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        mean = objective.mean(model(batch).float(), batch)
        return mean * (objective.count(batch) / batch.total(objective.count)), {}

    return of_batch


def predict(
    model: HeadedEncoder, examples: list[Example], rows: IntArray | None = None
) -> FloatArray:
    """The network's outputs end to end, in the examples' order: (rows of all, outputs).

    `rows` (examples,) says how many each example has: one where it is not given.
    """
    outputs, _ = _outputs(model, ListSource(examples), rows, None)
    return outputs


@torch.no_grad()
def _outputs(
    model: HeadedEncoder,
    source: ListSource,
    rows: IntArray | None,
    objective: Objective | None,
) -> tuple[FloatArray, float]:
    """As `predict`, and the objective's mean over all, 0 where there is none."""
    was_training, device = model.training, model_device(model)
    model.eval()
    counts = np.ones(source.num_examples, dtype=np.int64) if rows is None else rows
    starts = np.cumsum(counts) - counts
    outputs: FloatArray | None = None
    loss, counted = 0.0, 0
    for batch in sequential_batches(source, EVALUATION_TOKENS):
        batch = batch.to(device)
        own = model(batch).float()
        if outputs is None:
            outputs = np.zeros((int(counts.sum()), own.shape[1]))
        places = [np.arange(starts[i], starts[i] + counts[i]) for i in batch.indices]
        outputs[np.concatenate(places)] = own.double().cpu().numpy()
        if objective is not None:
            count = objective.count(batch)
            loss += float(objective.mean(own, batch)) * count
            counted += count
    model.train(was_training)
    return np.zeros((0, 0)) if outputs is None else outputs, loss / max(1, counted)


def mean_loss(model: HeadedEncoder, data: Encoded, objective: Objective) -> float:
    """Over labelled examples, with nothing dropped."""
    return _outputs(model, data.source, data.output_rows, objective)[1]


def evaluate(task: Task[Any, Any], model: HeadedEncoder, data: Encoded) -> Metrics:
    """Scores on labelled examples."""
    return task.assess(model, data, predict(model, data.examples, data.output_rows))


def tokens_in(*sets: Encoded) -> Tensor:
    """The ids that occur in the examples, each once."""
    is_used = np.zeros(1, dtype=np.bool_)
    for example in (example for data in sets for example in data.examples):
        ids = example.input_ids
        if (most := int(ids.max(initial=0))) >= len(is_used):
            is_used = np.pad(is_used, (0, most + 1 - len(is_used)))
        is_used[ids] = True
    return torch.from_numpy(is_used.nonzero()[0])


def fit(
    task: Task[Any, Any],
    model: HeadedEncoder,
    train_data: Encoded,
    dev_data: Encoded,
    protocol: Protocol,
    seed: int,
    on_step: Callable[[Step[Cursor], int], None] = lambda step, sequences: None,
    evaluations: int = EVALUATIONS,
    keeper: Keeper | None = None,
) -> FitResult:
    """Train every weight of `model`, in place; the last weights are kept, or, with patience,
    those of the best dev score.

    `seed` decides the order of the examples and the dropout. `on_step` is called after every
    step with the number of sequences so far. `evaluations` on `dev_data` fall on the ends of
    epochs, the last on the run's end; with patience there is one after every epoch. A run that
    `keeper` has a part of goes on from there, to the bit. Raises TrainingError where a loss is
    not finite.
    """
    began = time.perf_counter()
    source, optim = train_data.source, protocol.optim()
    count = len(source)
    loader = Loader(
        source,
        batch_tokens=protocol.batch_size * int(source.lengths(0).max()),
        seed=seed,
        batch_sequences=protocol.batch_size,
        micro_tokens=MICRO_TOKENS,
    )
    every = 1 if protocol.patience else -(-protocol.epochs // evaluations)
    length = Length(steps=protocol.steps(count))
    with ExitStack() as stack:
        objective = stack.enter_context(task.objective(model, train_data))
        stack.enter_context(rows_in_use(model.encoder.embeddings, tokens_in(train_data, dev_data)))
        optimizer = Optimizer(model, optim, rates=layer_rates(model, protocol.layer_decay))
        kept = keeper.load(optimizer) if keeper is not None else None
        kept = kept or Progress(State(Cursor()), [], [], 0.0)
        history, losses, best = kept.history, kept.losses, kept.best
        _thaw(model, protocol, kept.state.cursor.epoch)
        stream = stack.enter_context(closing(loader.stream(kept.state.cursor)))
        for step in train(
            model,
            batch_loss(objective),
            stream,
            optimizer,
            make_schedule(optim),
            length,
            kept.state,
            seed,
        ):
            losses.append(step.values["loss"])
            epoch, batch = step.state.cursor.epoch, step.state.cursor.batch
            on_step(step, epoch * count + batch * protocol.batch_size)
            if batch == 0:
                _thaw(model, protocol, epoch)
            if batch == 0 and (epoch % every == 0 or epoch == protocol.epochs):
                outputs, dev_loss = _outputs(
                    model, dev_data.source, dev_data.output_rows, objective
                )
                metrics = task.assess(model, dev_data, outputs)
                history.append(
                    {
                        "epoch": epoch,
                        "train_loss": float(np.mean(losses)),
                        "dev_loss": dev_loss,
                        **{name: getattr(metrics, name) for name in task.metrics},
                    }
                )
                losses.clear()
                if protocol.patience and _best(task, history) == len(history) - 1:
                    best = _copied(optimizer)
                if _is_over(task, history, protocol.patience):
                    break
            seconds = kept.seconds + time.perf_counter() - began
            if keeper is not None and length.progress(step.state) < 1.0:
                keeper.keep(optimizer, Progress(step.state, history, losses, seconds, best))
        _thaw(model, protocol, protocol.epochs)
        if best is not None and _best(task, history) < len(history) - 1:
            optimizer.load_state(best)
            outputs = predict(model, dev_data.examples, dev_data.output_rows)
            metrics = task.assess(model, dev_data, outputs)
    seconds = kept.seconds + time.perf_counter() - began
    at = -1 if best is None else _best(task, history)
    return FitResult(model.eval(), metrics, outputs, history, int(history[at]["epoch"]), seconds)


def _thaw(model: HeadedEncoder, protocol: Protocol, epoch: int) -> None:
    """Freeze what is not yet trained in `epoch`, where the protocol unfreezes at all."""
    if protocol.unfreeze:
        thaw(model, epoch * protocol.unfreeze)


def _best(task: Task[Any, Any], history: list[dict[str, float]]) -> int:
    """Which entry has the highest merit, the first of equals."""
    return int(np.argmax([task.merit(entry) for entry in history]))


def _is_over(task: Task[Any, Any], history: list[dict[str, float]], patience: int) -> bool:
    """Whether the last `patience` entries, and there is some, brought nothing better."""
    return bool(patience) and len(history) - 1 - _best(task, history) >= patience


def _copied(optimizer: Optimizer) -> dict[str, Tensor]:
    """The weights as they are now, as `Optimizer.load_state` takes them."""
    return {f"weights.{name}": weight.clone() for name, weight in optimizer.weights().items()}
