"""A normalising flow on vectors: an invertible map to a standard normal distribution.

After Glow (Kingma & Dhariwal 2018, section 3), whose steps BERT-flow (Li et al. 2020, section 3)
uses on sentence vectors: each dimension scaled and shifted, dimensions shuffled, and one half of
them transformed by a scale and a shift that are read off the other half. Vectors are no images,
so there is one level, and Glow's 1x1 convolution is a shuffle.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LARGEST_LOG_SCALE = 1.0
"""Of one coupling; it keeps the inverse as exact as the map (RealNVP bounds it too)."""
SMALLEST_DEVIATION = 1e-3
"""Of a dimension, as a share of all dimensions' root mean square: what varies less is noise, and
is not blown up to variance 1."""


class FlowStep(nn.Module):
    """Actnorm, a fixed shuffle, and an affine coupling that begins as the identity."""

    order: Tensor  # (D,)
    inverse_order: Tensor  # (D,)

    def __init__(self, size: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(size))
        self.log_scale = nn.Parameter(torch.zeros(size))
        order = torch.randperm(size, generator=generator)
        self.register_buffer("order", order)
        self.register_buffer("inverse_order", order.argsort())
        self.kept = size // 2
        self.first = nn.Linear(self.kept, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, 2 * (size - self.kept))
        with torch.no_grad():
            for layer in (self.first, self.second):
                spread = layer.in_features**-0.5
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * spread)
                layer.bias.zero_()
            self.last.weight.zero_()
            self.last.bias.zero_()

    def forward(self, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        """What x becomes (N, D), and log |det| of the step's Jacobian there (N,)."""
        scaled_ND = ((x_ND - self.shift) * torch.exp(-self.log_scale))[:, self.order]
        kept, changed = scaled_ND[:, : self.kept], scaled_ND[:, self.kept :]
        log_scale, shift = self._coupling(kept)
        changed = changed * log_scale.exp() + shift
        return torch.cat([kept, changed], dim=1), log_scale.sum(dim=1) - self.log_scale.sum()

    def inverse(self, y_ND: Tensor) -> Tensor:
        """The x (N, D) that becomes y."""
        kept, changed = y_ND[:, : self.kept], y_ND[:, self.kept :]
        log_scale, shift = self._coupling(kept)
        whole = torch.cat([kept, (changed - shift) * torch.exp(-log_scale)], dim=1)
        return whole[:, self.inverse_order] * self.log_scale.exp() + self.shift

    def _coupling(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.second(self.first(kept).relu()).relu()
        log_scale, shift = self.last(hidden).chunk(2, dim=1)
        return LARGEST_LOG_SCALE * torch.tanh(log_scale / LARGEST_LOG_SCALE), shift


class Flow(nn.Module):
    """`steps` steps for vectors of `size` numbers; what `seed` draws is the same everywhere.

    Raises ValueError for vectors of fewer than two numbers.
    """

    def __init__(self, size: int, steps: int, width: int, seed: int = 0) -> None:
        super().__init__()
        if size < 2:
            raise ValueError(f"vectors of {size} numbers have no two halves")
        generator = torch.Generator().manual_seed(seed)
        self.size = size
        self.steps = nn.ModuleList(FlowStep(size, width, generator) for _ in range(steps))

    @torch.no_grad()
    def calibrate(self, x_ND: Tensor) -> None:
        """Set each step's scale and shift so that these vectors come out of it with mean 0 and
        variance 1 in every dimension that varies (Kingma & Dhariwal 2018, section 3.1)."""
        for step in self.steps:
            assert isinstance(step, FlowStep)
            deviations_D = x_ND.std(dim=0, correction=0)
            varies_D = deviations_D > SMALLEST_DEVIATION * deviations_D.square().mean().sqrt()
            step.shift.copy_(x_ND.mean(dim=0))
            step.log_scale.copy_(torch.where(varies_D, deviations_D, 1.0).log())
            x_ND = step(x_ND)[0]

    def forward(self, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        """The normal vectors z (N, D) of x, and log |det dz/dx| (N,)."""
        total_N = x_ND.new_zeros(len(x_ND))
        for step in self.steps:
            x_ND, log_det_N = step(x_ND)
            total_N = total_N + log_det_N
        return x_ND, total_N

    def inverse(self, z_ND: Tensor) -> Tensor:
        """The x (N, D) whose normal vectors are z."""
        for step in reversed(self.steps):
            assert isinstance(step, FlowStep)
            z_ND = step.inverse(z_ND)
        return z_ND

    def log_likelihood(self, x_ND: Tensor) -> Tensor:
        """(N,) nats: log N(z; 0, 1) + log |det dz/dx|, the change of variables."""
        z_ND, log_det_N = self(x_ND)
        normal_N = -0.5 * (z_ND.square().sum(dim=1) + self.size * math.log(2 * math.pi))
        return normal_N + log_det_N  # type: ignore[no-any-return]
