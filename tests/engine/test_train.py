"""The loop stops where a number goes wrong, and says where that was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bertsmith.config import OptimConfig
from bertsmith.data.examples import ListSource
from bertsmith.data.loader import Cursor, Loader
from bertsmith.engine.optim import Optimizer, make_schedule
from bertsmith.engine.train import DivergenceError, Length, State, Step, train
from bertsmith.types import Batch, Example


class Regression(nn.Module):
    """A number for each sequence: the mean over its tokens of a weight for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Embedding(10, 1)

    def forward(self, batch: Batch) -> Tensor:
        values = self.weights(batch.input_ids)[:, 0]
        parts = values.split(list(batch.lengths))
        return torch.stack([part.mean() for part in parts])


def squared_error(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    return (model(batch) - batch.targets["labels"]).square().mean(), {}


def examples(labels: list[float]) -> ListSource:
    generator = np.random.default_rng(0)
    return ListSource(
        [
            Example(generator.integers(0, 10, 5), np.zeros(5, np.int64), label=label)
            for label in labels
        ]
    )


def run(
    source: ListSource, lr: float, steps: int, state: State[Cursor] | None = None
) -> tuple[Regression, list[Step[Cursor]], DivergenceError | None]:
    torch.manual_seed(0)
    model, optim = Regression(), OptimConfig(lr=lr, warmup=0.0, weight_decay=0.0, grad_clip=1e9)
    state = state or State(Cursor())
    loader = Loader(source, batch_tokens=20, seed=0)
    batches = loader.stream(state.cursor)
    taken: list[Step[Cursor]] = []
    try:
        for step in train(
            model,
            squared_error,
            batches,
            Optimizer(model, optim),
            make_schedule(optim),
            Length(steps=steps),
            state,
            seed=0,
        ):
            taken.append(step)
    except DivergenceError as error:
        return model, taken, error
    finally:
        batches.close()
    return model, taken, None


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_poisoned_example_is_in_the_batch_that_is_named(poison: float) -> None:
    labels = [1.0] * 40
    labels[17] = poison
    model, taken, error = run(examples(labels), lr=0.01, steps=100)
    assert error is not None
    assert error.step == len(taken) + 1
    assert 17 in error.indices
    assert len(error.indices) == 4
    assert error.sound_step == error.step - 2  # nothing is known of the last step's weights
    assert str(error.step) in str(error)
    assert torch.isfinite(model.weights.weight).all()


def test_an_explosion_is_dated_from_its_beginning() -> None:
    _, taken, error = run(examples([1.0] * 40), lr=1e3, steps=100)
    assert error is not None
    assert [step.is_sound for step in taken] == [True] + [False] * (len(taken) - 1)
    assert error.step == 2
    assert error.sound_step == 0
    loader = Loader(examples([1.0] * 40), 20, seed=0)
    assert error.indices == loader.batch(Cursor(0, 1)).indices
    assert "exploded from" in str(error)


def test_a_resumed_run_measures_by_its_own_beginning() -> None:
    _, taken, error = run(examples([10.0] * 40), lr=0.01, steps=20)
    assert error is None
    first = taken[0].values["loss"]
    assert all(step.state.first_loss == first for step in taken)
    resumed = State(Cursor(), 5, 100, first_loss=1e-3)
    assert run(examples([10.0] * 40), 0.01, 30, resumed)[2] is not None
    resumed = State(Cursor(), 5, 100, first_loss=first)
    assert run(examples([10.0] * 40), 0.01, 30, resumed)[2] is None
