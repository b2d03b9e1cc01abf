"""The only training loop, a generator: saving, logging and evaluating are its caller's.

    for step in train(model, loss, loader.stream(state.cursor), optimizer, schedule, run, state):
        ...log, evaluate, checkpoint with step.state...

A batch goes through the network in micro-batches, one after another, as many as its memory asks
for: their losses, and so their gradients, add up to the whole's.

Nothing in here has a random state of its own: torch's generator is seeded from (seed, step,
rank) before each step, so that a run resumed at any step goes on bit for bit. Where several
processes train together, each Step tells of all their shares, and is the same for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from bertsmith.engine.distributed import ALONE, Group
from bertsmith.engine.health import ExplosionDetector
from bertsmith.engine.optim import Optimizer, Schedule
from bertsmith.engine.sharding import Loss as Loss
from bertsmith.errors import TrainingError
from bertsmith.types import Batch

CursorT = TypeVar("CursorT")
_TOKENS = "tokens"


@dataclass(frozen=True)
class Length:
    """How long a run is, in tokens or in steps: exactly one of them."""

    tokens: int | None = None
    steps: int | None = None

    def progress(self, state: State[CursorT]) -> float:
        """0 at the beginning, 1 at the end."""
        if self.tokens is not None:
            return min(1.0, state.tokens / self.tokens)
        assert self.steps is not None
        return min(1.0, state.step / self.steps)


@dataclass(frozen=True)
class State(Generic[CursorT]):
    """All that a run is, apart from its weights and moments."""

    cursor: CursorT
    step: int = 0
    tokens: int = 0
    first_loss: float | None = None
    """Of step 1: what knowing nothing costs."""


@dataclass(frozen=True)
class Step(Generic[CursorT]):
    """What one optimizer step did."""

    state: State[CursorT]  # after the step
    tokens: int  # of this step
    values: Mapping[str, float]  # "loss" and the named scalars
    learning_rate_factor: float
    grad_norm: float
    is_sound: bool  # no jump to a loss as of a run that explodes
    seconds: float  # waiting for the batch included, the caller's time between steps not


class DivergenceError(TrainingError):
    """A loss or gradient that is not finite, or a loss that has exploded.

    `step` is the step that failed, or where the explosion began, and `indices` the examples in
    it. The weights after `sound_step` are the last whose loss, at the next step, was sound.
    """

    def __init__(self, what: str, step: int, indices: Sequence[int], sound_step: int) -> None:
        self.step, self.indices, self.sound_step = step, tuple(indices), sound_step
        self._parts = what, step, self.indices, sound_step
        super().__init__(
            f"{what} at step {step:,}, in examples {listed(indices)}",
            mend="lower the learning rate, or lengthen the warm-up",
        )

    def __reduce__(self) -> tuple[object, ...]:
        """See BertsmithError."""
        return type(self), self._parts


def listed(indices: Sequence[int], most: int = 8) -> str:
    """The first few of `indices`, and how many more there are."""
    more = f" and {len(indices) - most} more" if len(indices) > most else ""
    return ", ".join(map(str, indices[:most])) + more


def train(
    model: nn.Module,
    loss: Loss,
    batches: Iterable[tuple[CursorT, Sequence[Batch]]],
    optimizer: Optimizer,
    schedule: Schedule,
    length: Length,
    state: State[CursorT],
    seed: int,
    group: Group = ALONE,
) -> Iterator[Step[CursorT]]:
    """Train from `state` to the end of `length`, yielding after every optimizer step.

    `batches` gives each batch as its micro-batches, of which `group` has shares, with the cursor
    that follows it. Raises DivergenceError, with the weights as they were before the step, where
    a loss or a gradient is not finite, or the loss has exploded (see ExplosionDetector).
    """
    model.train()
    detector, sound_step = ExplosionDetector(state.first_loss), state.step - 1
    device = next(model.parameters()).device
    if length.progress(state) >= 1.0:
        return
    began = time.perf_counter()
    for cursor, micro_batches in batches:
        torch.manual_seed(_mix(seed, state.step, group.rank))
        own: dict[str, Tensor] = {}
        for micro_batch in micro_batches:
            batch = group.share(micro_batch.to(device))
            total, named = loss(model, batch)
            (total * batch.weight).backward()  # type: ignore[no-untyped-call]
            optimizer.collect()
            for name, scalar in {"loss": total, **named}.items():
                own[name] = own.get(name, 0.0) + scalar.detach() * batch.weight
        read = sum(batch.num_tokens * batch.weight for batch in micro_batches)
        values = group.sums({**own, _TOKENS: read})
        value, tokens = values["loss"], int(values.pop(_TOKENS))
        indices = [i for batch in micro_batches for i in batch.indices * batch.weight]
        was_sound = detector.is_sound
        detector.update(value)
        if detector.is_sound:
            sound_step = state.step
        elif was_sound:
            jump = state.step + 1, group.union(indices)
        before = length.progress(state)
        state = State(cursor, state.step + 1, state.tokens + tokens, detector.first_loss)
        factor = schedule((before + length.progress(state)) / 2)
        if detector.has_exploded:
            what = f"the loss has exploded from {detector.first_loss:.3g} to {value:.3g}"
            raise DivergenceError(what, *jump, sound_step)
        if not math.isfinite(value):
            what = f"the loss is {value}"
            raise DivergenceError(what, state.step, group.union(indices), sound_step)
        grad_norm = optimizer.step(factor)
        if not math.isfinite(grad_norm):
            what = f"the gradient's norm is {grad_norm}"
            raise DivergenceError(what, state.step, group.union(indices), sound_step)
        seconds = time.perf_counter() - began
        yield Step(state, tokens, values, factor, grad_norm, detector.is_sound, seconds)
        began = time.perf_counter()
        if length.progress(state) >= 1.0:
            return


def _mix(seed: int, step: int, rank: int) -> int:
    """One 63-bit seed a step and rank, far from those of its neighbours."""
    mixed = seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0xD6E8FEB86659FD93
    return (mixed + 0x94D049BB) % (1 << 63)
