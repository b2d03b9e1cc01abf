from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bertsmith.nn import cross_entropy
from bertsmith.nn.cross_entropy import (
    vocabulary_cross_entropy,
    vocabulary_cross_entropy_and_sample,
)


def inputs(count: int, vocabulary: int, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    labels = torch.randint(vocabulary, (count,), generator=generator)
    return [draw(count, 6), draw(vocabulary, 6), draw(vocabulary), labels]


def reference(hidden: Tensor, embedding: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(functional.linear(hidden, embedding, bias), labels)


@given(
    count=st.integers(1, 20),
    vocabulary=st.integers(1, 30),
    rows=st.integers(1, 25),
    scale=st.floats(0.1, 5),
)
@settings(deadline=None, max_examples=80)
def test_it_equals_torch_in_any_number_of_chunks(
    count: int, vocabulary: int, rows: int, scale: float
) -> None:
    hidden, embedding, bias, labels = inputs(count, vocabulary, torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_entropy, "BLOCK_ELEMENTS", 2 * rows * vocabulary)
        patch.setattr(cross_entropy, "CACHE_ELEMENTS", rows * vocabulary)
        loss, correct = vocabulary_cross_entropy(hidden, embedding, bias, labels)
    expected = reference(hidden, embedding, bias, labels)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    best = functional.linear(hidden, embedding, bias).argmax(1)
    assert int(correct) == int((best == labels).sum())
    ours = torch.autograd.grad(scale * loss, [hidden, embedding, bias])
    theirs = torch.autograd.grad(scale * expected, [hidden, embedding, bias])
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-4)


def test_its_gradient_is_the_slope_of_its_value() -> None:
    """Central differences of our own loss, at double precision's logits."""
    hidden, embedding, bias, labels = inputs(5, 11, torch.float64)
    tensors = [hidden, embedding, bias]
    loss, _ = vocabulary_cross_entropy(*tensors, labels)
    gradients = torch.autograd.grad(loss, tensors)
    expected = torch.autograd.grad(reference(*tensors, labels), tensors)
    for left, right in zip(gradients, expected, strict=True):
        assert left.dtype == torch.float64
        torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-5)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        direction = torch.randn_like(tensor)
        step = 1e-3
        values = []
        for sign in (1, -1):
            moved = [t + sign * step * direction if t is tensor else t for t in tensors]
            values.append(float(vocabulary_cross_entropy(*moved, labels)[0].detach()))
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-2, abs=1e-3)


def test_no_labels_is_no_loss_and_no_gradient() -> None:
    hidden, embedding, bias, labels = inputs(0, 7, torch.float32)
    loss, correct = vocabulary_cross_entropy(hidden, embedding, bias, labels)
    assert (float(loss.detach()), int(correct)) == (0.0, 0)
    loss.backward()
    for tensor in (hidden, embedding, bias):
        assert tensor.grad is not None
        assert not tensor.grad.any()


def test_evaluation_needs_no_gradient() -> None:
    hidden, embedding, bias, labels = inputs(9, 7, torch.float32)
    with torch.no_grad():
        loss, _ = vocabulary_cross_entropy(hidden, embedding, bias, labels)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, reference(hidden, embedding, bias, labels))


def test_scores_far_apart_do_not_overflow() -> None:
    hidden, embedding, bias, labels = inputs(4, 9, torch.float32)
    large = (hidden * 1e4).detach().requires_grad_()
    loss, _ = vocabulary_cross_entropy(large, embedding, bias, labels)
    torch.testing.assert_close(loss, reference(large, embedding, bias, labels))
    loss.backward()
    assert torch.isfinite(large.grad).all()


def test_bfloat16_stays_near_float32() -> None:
    hidden, embedding, bias, labels = inputs(64, 50, torch.float32)
    tensors = [t.detach().to(torch.bfloat16).requires_grad_() for t in (hidden, embedding, bias)]
    loss, _ = vocabulary_cross_entropy(*tensors, labels)
    assert loss.dtype == torch.float32
    exact = [t.detach().float().requires_grad_() for t in tensors]
    expected = reference(*exact, labels)
    torch.testing.assert_close(loss, expected, atol=0.02, rtol=0.01)
    loss.backward()
    expected.backward()
    for left, right in zip(tensors, exact, strict=True):
        assert left.grad.dtype == torch.bfloat16
        torch.testing.assert_close(
            left.grad.float(), right.grad, atol=0.02 * float(right.grad.abs().max()), rtol=0.05
        )


@pytest.mark.parametrize("cache", [1, 40, 1 << 20])
def test_samples_follow_the_softmax(cache: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frequencies over many rows, within five standard errors, however the rows are cut."""
    monkeypatch.setattr(cross_entropy, "CACHE_ELEMENTS", cache)
    rows = 500 if cache == 1 else 20_000
    bias = torch.tensor([0.0, 2.0, -1.0, -torch.inf, 1.0, -4.0])
    torch.manual_seed(3)
    _, _, sampled = vocabulary_cross_entropy_and_sample(
        torch.zeros(rows, 2), torch.randn(6, 2), bias, torch.zeros(rows, dtype=torch.int64)
    )
    probabilities = bias.softmax(0)
    frequencies = torch.bincount(sampled, minlength=6) / rows
    errors = (probabilities * (1 - probabilities) / rows).sqrt()
    assert ((frequencies - probabilities).abs() <= 5 * errors).all()
    assert frequencies[3] == 0


@given(vocabulary=st.integers(1, 40), seed=st.integers(0, 1000), edge=st.sampled_from([0.0, 1.0]))
@settings(deadline=None, max_examples=40)
def test_the_edges_of_the_unit_interval_draw_a_token_that_can_be(
    vocabulary: int, seed: int, edge: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(6, vocabulary, generator=generator)
    weights[:, :-1] *= torch.rand(6, vocabulary - 1, generator=generator) > 0.5
    uniform = torch.full((6,), min(edge, 1 - 2**-24))
    columns = cross_entropy._sample(weights, uniform)
    assert (weights.gather(1, columns[:, None]) > 0).all()


def test_sampling_changes_neither_loss_nor_gradient() -> None:
    tensors = inputs(20, 30, torch.float32)
    loss, correct, sampled = vocabulary_cross_entropy_and_sample(*tensors)
    plain, same = vocabulary_cross_entropy(*tensors)
    assert torch.equal(loss, plain)
    assert torch.equal(correct, same)
    assert sampled.dtype == torch.int64
    ours, theirs = (torch.autograd.grad(value, tensors[:3]) for value in (loss, plain))
    assert all(torch.equal(left, right) for left, right in zip(ours, theirs, strict=True))
    _, _, none = vocabulary_cross_entropy_and_sample(*inputs(0, 7, torch.float32))
    assert none.shape == (0,)
