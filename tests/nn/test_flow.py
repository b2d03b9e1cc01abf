"""The flow: exact log-determinants, an exact inverse, and densities that are densities."""

from __future__ import annotations

import pytest
import torch

from bertsmith.nn.flow import Flow


def stirred(size: int, steps: int = 3, width: int = 16) -> tuple[Flow, torch.Tensor]:
    """A calibrated flow whose couplings do something, and vectors for it."""
    generator = torch.Generator().manual_seed(1)
    spread = torch.linspace(0.5, 3.0, size)
    x = torch.randn(64, size, generator=generator) * spread + 1.0
    flow = Flow(size, steps, width)
    flow.calibrate(x)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return flow, x


@pytest.mark.parametrize("size", [2, 5, 8])
def test_the_log_determinant_is_that_of_the_jacobian(size: int) -> None:
    flow, x = (part.double() for part in stirred(size))
    log_dets = flow(x)[1].detach()
    for row, found in zip(x[:8], log_dets, strict=False):
        jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], row)
        sign, expected = torch.linalg.slogdet(jacobian)
        assert abs(float(sign)) == 1.0
        assert float(found) == pytest.approx(float(expected), abs=1e-9)
    assert log_dets.std() > 0.01  # the couplings take part


@pytest.mark.parametrize("size", [3, 64])
def test_it_can_be_inverted(size: int) -> None:
    flow, x = stirred(size)
    with torch.no_grad():
        z, _ = flow(x)
        assert (z - x).abs().max() > 0.1
        assert (flow.inverse(z) - x).abs().max() < 1e-5


def test_it_begins_as_a_normal_distribution_in_each_dimension() -> None:
    _, x = stirred(6)
    flow = Flow(6, 4, 16)
    flow.calibrate(x)
    with torch.no_grad():
        z, _ = flow(x)
        found = flow.log_likelihood(x)
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(dim=0, correction=0), torch.ones(6))
    normal = torch.distributions.Normal(x.mean(dim=0), x.std(dim=0, correction=0))
    torch.testing.assert_close(found, normal.log_prob(x).sum(dim=1))


def test_what_does_not_vary_is_not_blown_up() -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    x[:, 2] = 7.0
    flow = Flow(4, 3, 8)
    flow.calibrate(x)
    with torch.no_grad():
        z, log_det = flow(x + torch.tensor([0.0, 0.0, 0.5, 0.0]))
    assert z.abs().max() < 10
    assert torch.isfinite(log_det).all()


def test_one_seed_is_one_flow() -> None:
    first, again, other = Flow(6, 2, 8, seed=3), Flow(6, 2, 8, seed=3), Flow(6, 2, 8, seed=4)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)
    assert not torch.equal(first.steps[0].first.weight, other.steps[0].first.weight)
    with pytest.raises(ValueError, match="no two halves"):
        Flow(1, 2, 8)
