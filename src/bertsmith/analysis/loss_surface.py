"""The loss around a fine-tuning: on the line that it went, and on a plane through it.

Hao, Dong, Wei & Xu 2019, "Visualizing and Understanding the Effectiveness of BERT", section 3:
f(a) = J(start + a (end - start)), and f(a, b) = J(start + a u + b v). Their second direction is
where another data set leads from the same start; here it is where the same data lead in another
order, with other dropout. The axes of the plane are orthonormal, so that distances in it are
those of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bertsmith.errors import DataError
from bertsmith.types import FloatArray

Weights = Mapping[str, Tensor]
"""Parameters by name, in fp32."""

BEYOND = 0.5
"""How far a line or a plane goes past its points, of their extent."""


@dataclass(frozen=True)
class Line:
    """Losses (A,) at start + alphas (A,) times (end - start)."""

    alphas: FloatArray
    losses: FloatArray


@dataclass(frozen=True)
class Plane:
    """Losses (Y, X) over the plane through a start and two ends, in distances from the start."""

    x: FloatArray
    y: FloatArray
    losses: FloatArray
    points: FloatArray  # (3, 2): the start, the first end, which is at y = 0, and the second


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of what can be trained."""
    return {name: part.detach().float().clone() for name, part in model.named_parameters()}


def between(start: Weights, end: Weights) -> dict[str, Tensor]:
    """`end` less `start`."""
    return {name: end[name] - part for name, part in start.items()}


def distance(direction: Weights) -> float:
    """The Euclidean length."""
    return math.sqrt(_dot(direction, direction))


@torch.no_grad()
def losses_at(
    model: nn.Module,
    loss: Callable[[], float],
    start: Weights,
    directions: Sequence[Weights],
    places: FloatArray,
    on_place: Callable[[], None] = lambda: None,
) -> FloatArray:
    """(P,) `loss` with the weights of `model` at `start` + `places` (P, N) times N `directions`.

    `on_place` is called after each. Leaves the model at `start`.
    """
    losses: list[float] = []
    for place in [*places.tolist(), [0.0] * len(directions)]:
        for name, part in model.named_parameters():
            steps = [a * direction[name] for a, direction in zip(place, directions, strict=True)]
            part.copy_(sum(steps, start[name]))
        if len(losses) < len(places):
            losses.append(loss())
            on_place()
    return np.array(losses)


def line(
    model: nn.Module,
    loss: Callable[[], float],
    start: Weights,
    end: Weights,
    points: int,
    on_place: Callable[[], None] = lambda: None,
) -> Line:
    """`points` losses along the line from `start`, 0, to `end`, 1, and BEYOND both."""
    alphas = np.linspace(-BEYOND, 1 + BEYOND, points)
    along = between(start, end)
    return Line(alphas, losses_at(model, loss, start, [along], alphas[:, None], on_place))


def plane(
    model: nn.Module,
    loss: Callable[[], float],
    start: Weights,
    ends: tuple[Weights, Weights],
    size: int,
    on_place: Callable[[], None] = lambda: None,
) -> Plane:
    """`size` x `size` losses on the plane through `start` and two `ends`, and BEYOND them.

    Raises DataError where the three are on one line.
    """
    first, second = (between(start, end) for end in ends)
    far = distance(first)
    across = {name: part / max(far, 1e-30) for name, part in first.items()}
    shadow = _dot(second, across)
    rest = {name: part - shadow * across[name] for name, part in second.items()}
    height = distance(rest)
    if far == 0 or height < 1e-6 * far:
        raise DataError(
            "start and ends are on one line, and no plane goes through them",
            mend="train for more steps",
        )
    up = {name: part / height for name, part in rest.items()}
    points = np.array([[0.0, 0.0], [far, 0.0], [shadow, height]])
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = np.linspace(low - BEYOND * (high - low), high + BEYOND * (high - low), size).T
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    losses = losses_at(model, loss, start, [across, up], places, on_place)
    return Plane(x, y, losses.reshape(size, size), points)


def _dot(left: Weights, right: Weights) -> float:
    return sum(float((part * right[name]).sum(dtype=torch.float64)) for name, part in left.items())
