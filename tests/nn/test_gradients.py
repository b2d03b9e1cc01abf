"""In bfloat16 gradients over many tokens are as exact as bfloat16 can tell them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bertsmith.nn.embeddings import Embeddings, RelativePositions, rows_in_use
from bertsmith.nn.gradients import Embedding, LayerNorm
from bertsmith.nn.losses import masked_lm_loss
from bertsmith.nn.models import MaskedLM
from bertsmith.nn.word2vec import Word2Vec
from bertsmith.types import Batch

from .batches import POST, T5, VOCABULARY, flat, random_examples

ROUNDING = 2**-8
"""Of one number in bfloat16, at most."""


def difference(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()


@pytest.mark.parametrize("rows", [3, 9000])
def test_a_row_that_comes_again_and_again_loses_nothing(rows: int) -> None:
    ids = (torch.arange(4000) % 3).view(2, 2000)
    table = Embedding(rows, 8).bfloat16()
    up = drawn(2, 2000, 8) * 0.1 + 1
    table(ids).backward(up)
    exact = torch.zeros(rows, 8, dtype=torch.float64)
    exact.index_add_(0, ids.flatten(), up.double().flatten(0, 1))
    assert table.weight.grad is not None
    assert difference(table.weight.grad, exact) < ROUNDING


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1500, 8), (3, 500, 8), (0, 8), (1, 8)])
def test_a_norms_weights_lose_nothing(shape: tuple[int, ...], bias: bool) -> None:
    norm = LayerNorm(8, bias=bias).bfloat16()
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    hidden, up = drawn(*shape).requires_grad_(), drawn(*shape) * 0.1 + 1
    exact = nn.LayerNorm(8, bias=bias).double()
    exact.load_state_dict(norm.state_dict())
    exact_hidden = hidden.detach().double().requires_grad_()
    normed = norm(hidden)
    torch.testing.assert_close(
        normed, nn.functional.layer_norm(hidden, (8,), norm.weight, norm.bias)
    )
    normed.backward(up)
    exact(exact_hidden).backward(up.double())
    assert hidden.grad is not None
    assert exact_hidden.grad is not None
    torch.testing.assert_close(hidden.grad.double(), exact_hidden.grad, rtol=0.01, atol=0.01)
    for ours, theirs in zip(norm.parameters(), exact.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=ROUNDING, atol=ROUNDING)


def test_what_is_frozen_gets_no_gradient() -> None:
    norm, table = LayerNorm(8).bfloat16(), Embedding(5, 8).bfloat16()
    table.weight.requires_grad_(False)
    norm.weight.requires_grad_(False)
    norm(table(torch.arange(5))).sum().backward()
    assert table.weight.grad is None
    assert norm.weight.grad is None
    assert norm.bias.grad is not None
    assert norm.bias.grad.tolist() == [5.0] * 8


def test_every_table_and_norm_of_a_network_is_such() -> None:
    networks = MaskedLM(POST, True), Word2Vec(POST), RelativePositions(T5, True)
    for part in (part for network in networks for part in network.modules()):
        assert not isinstance(part, nn.Embedding) or isinstance(part, Embedding)
        assert not isinstance(part, nn.LayerNorm) or isinstance(part, LayerNorm)


def test_the_bias_of_relative_positions_loses_nothing() -> None:
    relative = RelativePositions(T5, bidirectional=True).bfloat16()
    up = torch.ones(1, T5.num_heads, 96, 96, dtype=torch.bfloat16)
    relative(96).backward(up)
    assert relative.table.weight.grad is not None
    sums = relative.table.weight.grad.double().sum(0)
    assert sums.tolist() == pytest.approx([96.0**2] * T5.num_heads, rel=ROUNDING)


def test_rows_in_use_lose_nothing() -> None:
    embeddings = Embeddings(POST).bfloat16()
    ids = torch.tensor([7, 3])
    with rows_in_use(embeddings, ids):
        embeddings.word(ids.repeat(700)).sum().backward()
        assert embeddings.word.weight.grad is not None
        assert embeddings.word.weight.grad.unique().tolist() == [pytest.approx(700, rel=ROUNDING)]


def test_a_step_of_many_tokens_is_that_in_fp32() -> None:
    """Against the same weights in double: every gradient but those that are nearly nothing."""
    torch.manual_seed(0)
    network = MaskedLM(POST, next_sentence=False).bfloat16()
    exact = MaskedLM(POST, next_sentence=False).double()
    exact.load_state_dict(network.state_dict())
    batch = many_tokens()
    for model in (network, exact):
        masked_lm_loss(model, batch, model(batch))["mlm_loss"].backward()
    theirs = dict(exact.named_parameters())
    for name in (
        "encoder.embeddings.word.weight",
        "encoder.embeddings.token_type.weight",
        "encoder.embeddings.norm.bias",
        "encoder.layers.0.feed_forward_norm.weight",
        "mlm_head.transform.norm.bias",
    ):
        ours, right = network.get_parameter(name).grad, theirs[name].grad
        assert ours is not None
        assert right is not None
        assert difference(ours, right) < 0.03, name


def many_tokens() -> Batch:
    batch = flat(random_examples([16] * 200))
    positions = torch.arange(0, batch.num_tokens, 2)
    labels = (batch.input_ids[positions] * 7) % VOCABULARY
    batch.input_ids[positions] = 4  # [MASK]
    return Batch(
        batch.input_ids,
        batch.token_type_ids,
        batch.position_ids,
        batch.lengths,
        batch.indices,
        {"mlm_positions": positions, "mlm_labels": labels},
    )
