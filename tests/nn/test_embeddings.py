from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import nn

from bertsmith.nn.embeddings import Embeddings, Rotary, layer_norm, rotate, rows_in_use
from bertsmith.nn.encoder import Encoder

from .batches import ALBERT, MODERN, POST, flat, random_examples, randomise


def test_embeddings_are_the_normalised_sum() -> None:
    module = Embeddings(POST)
    batch = flat(random_examples([6, 4]))
    total = (
        module.word(batch.input_ids)
        + module.position(batch.position_ids)
        + module.token_type(batch.token_type_ids)
    )
    torch.testing.assert_close(module(batch), module.norm(total))


def test_factorised_embeddings_are_projected_after_the_norm() -> None:
    module = Embeddings(ALBERT)
    batch = flat(random_examples([6, 4]))
    assert module.word.weight.shape == (99, 10)
    total = module.word(batch.input_ids) + module.position(batch.position_ids)
    total = total + module.token_type(batch.token_type_ids)
    expected = module.norm(total) @ module.projection.weight.T + module.projection.bias
    torch.testing.assert_close(module(batch), expected)
    assert module(batch).shape == (10, 24)
    same_width = Embeddings(POST.model_copy(update={"embedding_size": 24}))
    assert same_width.projection is not None
    assert Embeddings(POST).projection is None


def test_a_rotary_network_has_neither_position_nor_token_type_table() -> None:
    module = Embeddings(MODERN)
    assert module.position is None
    assert module.token_type is None
    assert [name for name, _ in module.named_parameters()] == ["word.weight", "norm.weight"]


def test_norms_follow_the_config() -> None:
    norm = layer_norm(POST.model_copy(update={"layer_norm_eps": 1e-3, "bias": False}))
    assert isinstance(norm, nn.LayerNorm)
    assert (norm.eps, norm.bias) == (1e-3, None)


def test_rotation_keeps_lengths_and_depends_on_distances_only() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 8)
    rotary = Rotary(8, 10_000.0)

    def score(at_q: int, at_k: int) -> torch.Tensor:
        turned = [
            rotate(x[:, None], rotary(torch.tensor([at]), torch.float32))
            for x, at in ((q, at_q), (k, at_k))
        ]
        torch.testing.assert_close(turned[0].norm(), q.norm())
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(score(5, 2), score(105, 102), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(score(5, 2), score(5, 3), atol=1e-3)


def test_a_network_in_bfloat16_turns_by_the_same_angles() -> None:
    """Frequencies rounded to bfloat16 would be wrong by radians far from the beginning."""
    positions = torch.tensor([0, 1, 500, 8191])
    exact = Rotary(32, 10_000.0)(positions, torch.float32)
    rounded = Rotary(32, 10_000.0).to(torch.bfloat16)(positions, torch.bfloat16)
    for left, right in zip(exact, rounded, strict=True):
        torch.testing.assert_close(left, right.float(), atol=0.005, rtol=0)


def test_rows_in_use_are_trained_as_in_the_whole_table() -> None:
    whole, some = Encoder(POST), Encoder(POST)
    randomise(whole)
    some.load_state_dict(whole.state_dict())
    before = some.embeddings.word.weight.detach().clone()
    batch = flat(random_examples([7, 5, 3]))
    ids = torch.cat([batch.input_ids.unique(), torch.tensor([0])]).unique()  # and one not in it
    weight = torch.randn(batch.num_tokens, POST.hidden_size)
    outputs = []
    for encoder, context in (
        (whole, nullcontext()),
        (some, rows_in_use(some.embeddings, ids)),
    ):
        with context:
            assert encoder is whole or encoder.embeddings.word.weight.shape[0] == len(ids)
            optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, weight_decay=0.0)
            for _ in range(3):
                outputs.append(encoder(batch))
                (outputs[-1] * weight).sum().backward()
                optimizer.step()
                optimizer.zero_grad()
    for expected, found in zip(outputs[:3], outputs[3:], strict=True):
        assert torch.equal(expected, found)
    table = some.embeddings.word.weight.detach()
    unused = torch.ones(len(table), dtype=torch.bool)
    unused[ids] = False
    assert torch.equal(table[unused], before[unused])
    assert not torch.equal(table[ids], before[ids])
    for one, other in zip(whole.parameters(), some.parameters(), strict=True):
        assert torch.equal(one, other)
