from __future__ import annotations

import pytest
import torch

from bertsmith.nn.dropout import Dropout, keep_mask


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_drops_at_its_rate_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    out = Dropout(rate)(torch.ones(1_000_003))
    kept = out != 0
    assert float((~kept).float().mean()) == pytest.approx(rate, abs=0.002)
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / (1 - rate)))


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 64, 128, 256, 768])
def test_dropped_elements_are_independent(lag: int) -> None:
    """Of those `lag` further on, and of those of the next call, to 4 standard errors."""
    torch.manual_seed(0)
    calls = torch.stack([keep_mask(1 << 20, 0.3) for _ in range(4)]).float() + 0.7
    variance, error = 0.3 * 0.7, (4 << 20) ** -0.5
    along = (calls[:, lag:] * calls[:, :-lag]).mean() / variance
    across = (calls * calls.roll(1, 0)).mean() / variance
    assert abs(along) < 4 * error
    assert abs(across) < 4 * error


def test_is_the_identity_in_evaluation_and_at_rate_zero() -> None:
    hidden = torch.randn(7, 5)
    assert Dropout(0.5).eval()(hidden) is hidden
    assert Dropout(0.0)(hidden) is hidden


def test_follows_the_seed() -> None:
    hidden, dropout = torch.ones(3, 5, 7), Dropout(0.5)
    torch.manual_seed(3)
    first, second = dropout(hidden), dropout(hidden)
    torch.manual_seed(3)
    assert torch.equal(dropout(hidden), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_masks_its_gradient_as_it_masks_its_input(dtype: torch.dtype) -> None:
    hidden = torch.ones(50, 7, dtype=dtype, requires_grad=True)
    out = Dropout(0.4)(hidden)
    out.sum().backward()
    assert out.dtype == dtype
    assert torch.equal(hidden.grad, out.detach())
