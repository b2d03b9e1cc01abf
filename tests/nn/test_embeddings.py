from __future__ import annotations

import torch
from torch import nn

from bertsmith.nn.embeddings import Embeddings, Rotary, layer_norm, rotate

from .batches import ALBERT, MODERN, POST, flat, random_examples


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
