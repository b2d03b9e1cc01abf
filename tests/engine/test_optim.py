"""Schedules, AdamW and Muon against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bertsmith.config import OptimConfig
from bertsmith.engine.optim import Muon, Optimizer, make_schedule, orthogonalise
from bertsmith.errors import CheckpointError


def test_linear_schedule() -> None:
    factor = make_schedule(OptimConfig(warmup=0.1, decay="linear"))
    assert [round(factor(p), 4) for p in (0.0, 0.05, 0.1, 0.55, 1.0)] == [0, 0.5, 1, 0.5, 0]


def test_stable_schedule() -> None:
    factor = make_schedule(OptimConfig(warmup=0.1, decay="stable", decay_share=0.2))
    assert [round(factor(p), 4) for p in (0.05, 0.1, 0.5, 0.8, 0.9, 1.0)] == [
        *(0.5, 1, 1, 1, 0.5, 0)
    ]


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))


def run(model: nn.Module, optimizer: Optimizer, steps: int) -> None:
    for step in range(steps):
        torch.manual_seed(step)
        model(torch.randn(4, 8)).square().sum().backward()
        optimizer.step(1.0)


def test_adamw_is_torch_s_with_clipping_and_no_decay_of_vectors() -> None:
    ours, theirs = network(), network()
    optimizer = Optimizer(ours, OptimConfig(lr=1e-2, weight_decay=0.1, grad_clip=1.0))
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim == 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=1e-2, eps=1e-6)
    run(ours, optimizer, 5)
    for step in range(5):
        torch.manual_seed(step)
        reference.zero_grad()
        theirs(torch.randn(4, 8)).square().sum().backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        reference.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_muon_follows_torch_s(dtype: torch.dtype) -> None:
    """torch's multiplies in bfloat16, so that a step agrees to about a percent."""
    torch.manual_seed(0)
    start = [torch.randn(24, 16), torch.randn(16, 24), torch.randn(16, 24)]
    ours = [nn.Parameter(w.clone()) for w in start]
    theirs = [nn.Parameter(w.clone()) for w in start]
    muon = Muon(ours, lr=0.02, weight_decay=0.1, dtype=dtype)
    reference = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        muon.step()
        reference.step()
    for one, other, begin in zip(ours, theirs, start, strict=True):
        moved = (other - begin).norm()
        assert (one - other).norm() < 0.02 * moved


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 64)])
def test_orthogonalise_brings_singular_values_near_one(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    result = orthogonalise(torch.randn(3, *shape), dtype)
    assert result.dtype is torch.float32
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_orthogonalise_stands_nearly_singular_matrices() -> None:
    torch.manual_seed(0)
    scales = torch.logspace(0, -8, 32)
    result = orthogonalise((torch.randn(64, 32) * scales)[None])
    assert torch.isfinite(result).all()
    assert torch.linalg.svdvals(result).max() < 1.4


def test_bfloat16_models_keep_fp32_weights() -> None:
    model = network().to(torch.bfloat16)
    optimizer = Optimizer(model, OptimConfig(lr=1e-5, weight_decay=0.0))
    before = {name: w.clone() for name, w in optimizer.weights().items()}
    model(torch.randn(4, 8, dtype=torch.bfloat16)).float().square().sum().backward()
    optimizer.step(1.0)
    # Steps far below bfloat16's resolution add up in the fp32 weights.
    for name, weight in optimizer.weights().items():
        assert weight.dtype is torch.float32
        assert (weight != before[name]).any()
        torch.testing.assert_close(
            model.get_parameter(name).detach(), weight.to(torch.bfloat16), rtol=0, atol=0
        )


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    model = network()
    optimizer = Optimizer(model, OptimConfig())
    before = [p.detach().clone() for p in model.parameters()]
    (model(torch.randn(4, 8)).sum() * float("inf")).backward()
    assert not torch.isfinite(torch.tensor(optimizer.step(1.0)))
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_state_round_trip_is_exact(name: str) -> None:
    def fresh(seed: int) -> tuple[nn.Module, Optimizer]:
        model = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(8, 8)])})
        return model, Optimizer(model, OptimConfig(name=name), lambda n, _: "layers" in n)

    def step(model: nn.Module, optimizer: Optimizer, seed: int) -> None:
        torch.manual_seed(seed)
        model["layers"][0](torch.randn(4, 8)).square().sum().backward()  # type: ignore[index]
        optimizer.step(0.5)

    torch.manual_seed(0)
    model, optimizer = fresh(0)
    step(model, optimizer, 1)
    saved = {key: value.clone() for key, value in optimizer.state().items()}
    step(model, optimizer, 2)
    other_model, other = fresh(1)
    other.load_state(saved)
    step(other_model, other, 2)
    for one, two in zip(model.parameters(), other_model.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(CheckpointError, match="differ"):
        Optimizer(network(), OptimConfig()).load_state(saved)


def test_rates_of_their_own_are_torch_s_parameter_groups() -> None:
    ours, theirs = network(), network()
    rates = {"0.weight": 0.25, "0.bias": 0.25, "2.weight": 0.5}
    config = OptimConfig(lr=1e-2, weight_decay=0.1, grad_clip=1e6)
    optimizer = Optimizer(ours, config, rates=rates)
    groups = [
        {
            "params": [parameter],
            "lr": 1e-2 * rates.get(name, 1.0),
            "weight_decay": 0.1 if parameter.ndim == 2 else 0.0,
        }
        for name, parameter in theirs.named_parameters()
    ]
    reference = torch.optim.AdamW(groups, eps=1e-6)
    run(ours, optimizer, 5)
    for step in range(5):
        torch.manual_seed(step)
        reference.zero_grad()
        theirs(torch.randn(4, 8)).square().sum().backward()
        reference.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_a_matrix_of_muon_has_its_own_rate() -> None:
    start, rates = network(), {"0.weight": 0.5}
    config = OptimConfig(name="muon", muon_lr=0.02, weight_decay=0.0)
    moved = []
    for chosen in ({}, rates):
        model = network()
        optimizer = Optimizer(model, config, lambda name, _: True, rates=chosen)
        run(model, optimizer, 1)
        moved.append([a - b for a, b in zip(model.parameters(), start.parameters(), strict=True)])
    torch.testing.assert_close(moved[1][0], 0.5 * moved[0][0])
    torch.testing.assert_close(moved[1][2], moved[0][2])


def test_weights_that_are_frozen_for_a_while_stay_and_then_move() -> None:
    model = network()
    optimizer = Optimizer(model, OptimConfig(lr=1e-2))
    before = model[0].weight.detach().clone()
    model[0].requires_grad_(False)
    run(model, optimizer, 2)
    assert torch.equal(model[0].weight, before)
    assert "exp_avg.0.weight" not in optimizer.state()
    other = Optimizer(network(1), OptimConfig(lr=1e-2))
    other.load_state(optimizer.state())
    model[0].requires_grad_(True)
    run(model, optimizer, 2)
    assert not torch.equal(model[0].weight, before)
