"""Cures of anisotropy: maps that are fitted to sentence vectors without any labels.

    centring       the mean taken off
    whitening      covariance 1 (Su et al. 2021); see `analysis.sentences`
    without_top    the mean and the directions of most variance taken off (Mu & Viswanath 2018)
    fit_flow       a normalising flow (Li et al. 2020)

Each is called with vectors (N, D) and gives as many.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from bertsmith.errors import DataError
from bertsmith.nn.flow import SMALLEST_DEVIATION, Flow
from bertsmith.nn.sentence import Projection
from bertsmith.types import BoolArray, Float32Array

STEPS, WIDTH = 4, 64
"""Of a flow: few and narrow, for a few thousand vectors."""
RATE, BATCH, EPOCHS = 1e-3, 128, 20
HELD_OUT = 0.1
"""Of the vectors: the flow of the epoch that they are likeliest under is taken."""
FEWEST = 20
"""Vectors that a flow is fitted to."""
PER_COMPONENT = 100
"""Dimensions for each direction that is removed (Mu & Viswanath 2018, section 3)."""


@dataclass(frozen=True, eq=False)
class FittedFlow:
    """A flow fitted to vectors of some kind, and what it gained."""

    flow: Flow
    kept: BoolArray  # (D,)
    """The dimensions that vary; the others are left out."""
    likelihoods: tuple[float, ...]
    """Nats a dimension of the held-out vectors: before the first epoch, a normal distribution in
    each dimension for itself, and after each."""
    epoch: int
    """The one taken; 0 where none gained anything."""

    @torch.no_grad()
    def __call__(self, vectors_ND: Float32Array) -> Float32Array:
        """(N, dimensions kept), standard normal were the fit perfect."""
        normal: Float32Array = self.flow(torch.from_numpy(vectors_ND[:, self.kept]))[0].numpy()
        return normal


def centring(vectors_ND: Float32Array) -> Projection:
    """The map that takes off the mean."""
    size = vectors_ND.shape[1]
    mean_D = vectors_ND.mean(axis=0, dtype=np.float64)
    return Projection(np.eye(size, dtype=np.float32), (-mean_D).astype(np.float32))


def without_top(vectors_ND: Float32Array, count: int | None = None) -> Projection:
    """The map that takes off the mean and the `count` directions of most variance; None: one
    for every 100 dimensions (Mu & Viswanath 2018, algorithm 1)."""
    size = vectors_ND.shape[1]
    removed = max(1, round(size / PER_COMPONENT)) if count is None else count
    mean_D = vectors_ND.mean(axis=0, dtype=np.float64)
    centred_ND = vectors_ND - mean_D
    directions = np.linalg.svd(centred_ND.T @ centred_ND, hermitian=True)[2][:removed]
    kernel_DD = np.eye(size) - directions.T @ directions
    return Projection(kernel_DD.astype(np.float32), (-kernel_DD @ mean_D).astype(np.float32))


def fit_flow(
    vectors_ND: Float32Array, on_epoch: Callable[[int], None] = lambda done: None
) -> FittedFlow:
    """A flow of maximum likelihood (Li et al. 2020, section 3.2), from a fixed seed.

    Raises DataError for fewer than FEWEST vectors, or for vectors that do not vary.
    """
    deviations_D = vectors_ND.std(axis=0)
    kept_D: BoolArray = deviations_D > SMALLEST_DEVIATION * np.sqrt(np.square(deviations_D).mean())
    if len(vectors_ND) < FEWEST or kept_D.sum() < 2:
        raise DataError(
            f"{len(vectors_ND):,} vectors, which vary in {kept_D.sum()} dimensions, are too few "
            "for a flow",
            mend="give more texts",
        )
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.from_numpy(vectors_ND[:, kept_D])[
        torch.randperm(len(vectors_ND), generator=generator)
    ]
    held = shuffled[: max(1, round(HELD_OUT * len(shuffled)))]
    learnt = shuffled[len(held) :]
    flow = Flow(shuffled.shape[1], STEPS, WIDTH)
    flow.calibrate(learnt)
    optimizer = torch.optim.Adam(flow.parameters(), lr=RATE)
    likelihoods = [_likelihood(flow, held)]
    best, taken = copy.deepcopy(flow), 0
    for epoch in range(1, EPOCHS + 1):
        order = torch.randperm(len(learnt), generator=generator)
        for part in torch.split(order, BATCH):
            loss = -flow.log_likelihood(learnt[part]).mean() / flow.size
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        likelihoods.append(_likelihood(flow, held))
        if likelihoods[epoch] > likelihoods[taken]:
            best, taken = copy.deepcopy(flow), epoch
        on_epoch(epoch)
    return FittedFlow(best, kept_D, tuple(likelihoods), taken)


@torch.no_grad()
def _likelihood(flow: Flow, vectors: torch.Tensor) -> float:
    """Mean nats a dimension."""
    return float(flow.log_likelihood(vectors).mean()) / flow.size
