"""What the GPU's variable-length kernel is given, with a processor in its place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bertsmith.nn import attention
from bertsmith.nn.attention import SelfAttention
from bertsmith.nn.embeddings import Rotary
from bertsmith.nn.layout import BLOCK, Layout

from .batches import MODERN

LENGTHS = (9, 9, 8, 7, 4, 1, 1)


def kernel(q: Tensor, k: Tensor, v: Tensor, *where: Tensor | int) -> Tensor:
    """As torch.nn.attention.varlen.varlen_attn, and as particular."""
    first, second, longest, same = where
    assert isinstance(first, Tensor)
    assert first is second
    assert longest == same == BLOCK
    assert (first.dtype, first.tolist()[-1]) == (torch.int32, len(q))
    for part in (q, k, v):
        assert part.dtype is torch.bfloat16
        assert part.shape == (len(q), q.shape[1], q.shape[2])
        assert part.stride(-1) == 1
    sizes = first.diff().tolist()
    contexts = []
    for parts in zip(*(part.float().split(sizes) for part in (q, k, v)), strict=True):
        one_q, one_k, one_v = (part.transpose(0, 1) for part in parts)  # (H, n, d)
        scores = one_q @ one_k.mT / q.shape[-1] ** 0.5
        contexts.append((scores.softmax(-1) @ one_v).transpose(0, 1))
    return torch.cat(contexts).to(q.dtype)


@pytest.mark.parametrize("is_rotated", [False, True])
def test_the_flat_kernel_computes_what_groups_do(
    is_rotated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "varlen_attn", kernel)
    config = MODERN.model_copy(update={"attention_dropout": 0.0, "num_heads": 2, "hidden_size": 16})
    torch.manual_seed(0)
    module = SelfAttention(config).bfloat16()
    hidden = torch.randn(sum(LENGTHS), config.hidden_size).bfloat16()
    positions = torch.cat([torch.arange(length) for length in LENGTHS])
    rotary = Rotary(config.head_size, config.rope_theta) if is_rotated else None
    rotation = rotary(positions, hidden.dtype) if rotary else None
    offsets = torch.tensor([0, *LENGTHS]).cumsum(0).int()
    flat = Layout(LENGTHS, cu_seqlens=offsets, longest=BLOCK)
    results = []
    for layout in (flat, Layout.build(LENGTHS, torch.device("cpu"))):
        given = hidden.clone().requires_grad_()
        output = module(given, layout, rotation)
        (gradient,) = torch.autograd.grad(output.float().square().sum(), given)
        results.append((output.detach().float(), gradient.float()))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0.05, atol=0.02 * float(theirs.abs().max()))
