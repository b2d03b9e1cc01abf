"""Lines and planes over a loss that is known: half the squared distance from a target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bertsmith.analysis.loss_surface import between, distance, line, losses_at, plane, weights_of
from bertsmith.errors import DataError


class Bowl(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.a = nn.Parameter(torch.randn(3, 4, generator=generator))
        self.b = nn.Parameter(torch.randn(5, generator=generator))

    def loss(self) -> float:
        """With its least value, 0, where all weights are 1."""
        return sum(float(0.5 * (part.detach() - 1).square().sum()) for part in (self.a, self.b))


@pytest.fixture
def bowl() -> Bowl:
    return Bowl(0)


def flat(weights: dict[str, torch.Tensor]) -> np.ndarray:
    return np.concatenate([part.numpy().ravel() for part in weights.values()])


def test_a_line_goes_through_both_ends_and_beyond(bowl: Bowl) -> None:
    start, end = weights_of(bowl), weights_of(Bowl(1))
    told = []
    found = line(bowl, bowl.loss, start, end, 9, lambda: told.append(1))
    assert found.alphas.tolist() == np.linspace(-0.5, 1.5, 9).tolist()
    assert len(told) == 9
    for alpha, loss in zip(found.alphas, found.losses, strict=True):
        there = flat(start) + alpha * (flat(end) - flat(start))
        assert loss == pytest.approx(0.5 * ((there - 1) ** 2).sum(), rel=1e-5)
    assert found.losses[2] == pytest.approx(bowl.loss())  # the model is where it was
    assert found.losses[6] == pytest.approx(Bowl(1).loss())
    assert distance(between(start, end)) == pytest.approx(
        float(np.linalg.norm(flat(end) - flat(start)))
    )


def test_a_plane_has_the_distances_of_the_weights(bowl: Bowl) -> None:
    start, *ends = (weights_of(Bowl(seed)) for seed in range(3))
    found = plane(bowl, bowl.loss, start, (ends[0], ends[1]), 7)
    assert found.losses.shape == (7, 7)
    corners = [flat(start), *map(flat, ends)]
    for one in range(3):
        for other in range(one):
            apart = np.linalg.norm(found.points[one] - found.points[other])
            assert apart == pytest.approx(np.linalg.norm(corners[one] - corners[other]), rel=1e-5)
    assert found.points[:2, 1].tolist() == [0, 0]
    across = (corners[1] - corners[0]) / found.points[1, 0]
    up = (corners[2] - corners[0] - found.points[2, 0] * across) / found.points[2, 1]
    for row, y in enumerate(found.y):
        for column, x in enumerate(found.x):
            there = corners[0] + x * across + y * up
            expected = 0.5 * ((there - 1) ** 2).sum()
            assert found.losses[row, column] == pytest.approx(expected, rel=1e-4)
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    margin = 0.5 * (high - low)
    np.testing.assert_allclose([found.x[0], found.y[0]], low - margin)
    np.testing.assert_allclose([found.x[-1], found.y[-1]], high + margin)
    assert bowl.loss() == pytest.approx(Bowl(0).loss())


def test_no_plane_goes_through_a_line(bowl: Bowl) -> None:
    start, end = weights_of(bowl), weights_of(Bowl(1))
    half = {name: (part + end[name]) / 2 for name, part in start.items()}
    for ends in ((start, end), (end, end), (end, half)):
        with pytest.raises(DataError, match="on one line"):
            plane(bowl, bowl.loss, start, ends, 3)


def test_nothing_else_moves(bowl: Bowl) -> None:
    start = weights_of(bowl)
    along = {"a": torch.zeros(3, 4), "b": torch.ones(5)}
    losses = losses_at(
        bowl, lambda: float(bowl.b.detach().sum()), start, [along], np.array([[0.0], [2.0]])
    )
    assert losses[1] - losses[0] == pytest.approx(10.0, rel=1e-5)
    assert all(torch.equal(part, start[name]) for name, part in weights_of(bowl).items())
