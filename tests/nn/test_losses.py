from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bertsmith.nn import losses
from bertsmith.nn.losses import (
    choice_loss,
    grouped_cross_entropy,
    masked_lm_loss,
    masked_lm_loss_and_sample,
    next_sentence_loss,
    replaced_token_loss,
    sentence_order_loss,
    span_loss,
    vocabulary_cross_entropy,
    vocabulary_cross_entropy_and_sample,
)
from bertsmith.nn.models import MaskedLM

from .batches import POST, flat, random_examples, randomise

SIZES = (9, 4, 12, 6, 3)


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
        patch.setattr(losses, "BLOCK_ELEMENTS", 2 * rows * vocabulary)
        patch.setattr(losses, "CACHE_ELEMENTS", rows * vocabulary)
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


@pytest.mark.parametrize(("name", "order"), [("nsp", False), ("sop", True)])
def test_pair_losses_are_cross_entropies_of_the_first_tokens(name: str, order: bool) -> None:
    model = MaskedLM(POST, next_sentence=not order, sentence_order=order).eval()
    randomise(model)
    examples = random_examples(SIZES)
    batch = flat([replace(example, label=i % 2) for i, example in enumerate(examples)])
    head = model.sentence_order_head if order else model.next_sentence_head
    assert head is not None
    hidden_TD = model(batch)
    logits = head(hidden_TD, batch.lengths)
    labels = torch.tensor([index % 2 for index in batch.indices])
    found = (sentence_order_loss if order else next_sentence_loss)(model, batch, hidden_TD)
    assert set(found) == {f"{name}_loss", f"{name}_accuracy"}
    torch.testing.assert_close(found[f"{name}_loss"], functional.cross_entropy(logits, labels))
    correct = [int(row.argmax()) == int(label) for row, label in zip(logits, labels, strict=True)]
    assert float(found[f"{name}_accuracy"]) == pytest.approx(sum(correct) / len(correct))


@pytest.mark.parametrize("cache", [1, 40, 1 << 20])
def test_samples_follow_the_softmax(cache: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frequencies over many rows, within five standard errors, however the rows are cut."""
    monkeypatch.setattr(losses, "CACHE_ELEMENTS", cache)
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
    columns = losses._sample(weights, uniform)
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


def test_a_masked_lm_samples_one_token_a_masked_position() -> None:
    model = MaskedLM(POST, next_sentence=False).eval()
    randomise(model)
    targets = {"mlm_positions": torch.tensor([0, 5, 11]), "mlm_labels": torch.tensor([7, 8, 9])}
    batch = replace(flat(random_examples(SIZES)), targets=targets)
    hidden_TD = model(batch)
    torch.manual_seed(0)
    named, sampled = masked_lm_loss_and_sample(model, batch, hidden_TD)
    torch.manual_seed(0)
    _, again = masked_lm_loss_and_sample(model, batch, hidden_TD)
    assert sampled.shape == (3,)
    assert torch.equal(sampled, again)
    plain = masked_lm_loss(model, batch, hidden_TD)
    assert named.keys() == plain.keys()
    assert all(torch.equal(named[name], plain[name]) for name in plain)


def test_replaced_tokens_are_scored_at_every_token() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5, -3.0, 1.0])
    is_replaced = torch.tensor([True, True, False, False, False])
    found = replaced_token_loss(logits, is_replaced)
    chance = torch.sigmoid(logits)
    expected = -torch.where(is_replaced, chance, 1 - chance).log().mean()
    torch.testing.assert_close(found.pop("rtd_loss"), expected)
    counts = {name: float(value) for name, value in found.items()}
    expected_counts = {"rtd_accuracy": 2 / 5, "rtd_precision": 1 / 3, "rtd_recall": 1 / 2}
    assert counts == pytest.approx(expected_counts)
    nothing = replaced_token_loss(-logits.abs(), torch.zeros(5, dtype=torch.bool))
    assert float(nothing["rtd_precision"]) == float(nothing["rtd_recall"]) == 0.0


def test_softmaxes_over_groups_are_those_of_each_group_alone() -> None:
    torch.manual_seed(0)
    scores = (9 * torch.randn(11)).requires_grad_()
    groups = torch.tensor([2, 0, 1, 0, 2, 2, 0, 1, 2, 0, 0])
    right = torch.tensor([3, 7, 8])
    losses = grouped_cross_entropy(scores, groups, right)
    for group, row in enumerate(right.tolist()):
        members = (groups == group).nonzero().squeeze(1)
        place = members.tolist().index(row)
        alone = functional.cross_entropy(scores[members][None], torch.tensor([place]))
        assert losses[group].item() == pytest.approx(alone.item(), abs=1e-5)
    losses.sum().backward()
    assert scores.grad is not None
    assert scores.grad.sum().item() == pytest.approx(0.0, abs=1e-5)


def test_span_and_choice_losses() -> None:
    torch.manual_seed(1)
    lengths, spans = (5, 3, 1), torch.tensor([[1, 4], [0, 0], [0, 0]])
    logits = torch.randn(9, 2)
    parts = logits.split(list(lengths))
    expected = [
        functional.cross_entropy(part[None, :, side], spans[row, side][None])
        for row, part in enumerate(parts)
        for side in (0, 1)
    ]
    assert span_loss(logits, lengths, spans).item() == pytest.approx(
        torch.stack(expected).mean().item(), abs=1e-6
    )
    options = torch.tensor([[40, 0], [7, 1], [40, 1], [7, 0], [40, 0]])
    scores = torch.randn(5, 1)
    expected = [
        functional.cross_entropy(scores[[1, 3]].t(), torch.tensor([0])),
        functional.cross_entropy(scores[[0, 2, 4]].t(), torch.tensor([1])),
    ]
    assert choice_loss(scores, options).item() == pytest.approx(
        torch.stack(expected).mean().item(), abs=1e-6
    )
