from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bertsmith.nn import attention
from bertsmith.nn.attention import SelfAttention
from bertsmith.nn.embeddings import Rotary
from bertsmith.nn.layout import ALIGNMENT, GROUP_SLACK, Layout

from .batches import MODERN, POST

CPU = torch.device("cpu")
LENGTHS = (9, 9, 8, 7, 4, 1, 1)


def softmax_attention(module: SelfAttention, hidden_nD: Tensor) -> Tensor:
    """The formula of Vaswani et al. 2017, section 3.2, one sequence and one head at a time."""
    qkv = module.qkv(hidden_nD).view(-1, 3, module.num_heads, module.head_size)
    heads = [
        (q @ k.T / module.head_size**0.5).softmax(-1) @ v
        for q, k, v in (qkv[:, :, head].unbind(1) for head in range(module.num_heads))
    ]
    return module.output(torch.cat(heads, dim=-1))


def output_and_gradient(
    module: SelfAttention, hidden_TD: Tensor, layout: Layout
) -> tuple[Tensor, Tensor]:
    hidden_TD = hidden_TD.clone().requires_grad_()
    return with_gradient(module(hidden_TD, layout, None), hidden_TD)


def formula(
    module: SelfAttention, hidden_TD: Tensor, lengths: Sequence[int]
) -> tuple[Tensor, Tensor]:
    hidden_TD = hidden_TD.clone().requires_grad_()
    parts = hidden_TD.split(list(lengths))
    return with_gradient(torch.cat([softmax_attention(module, part) for part in parts]), hidden_TD)


def with_gradient(output: Tensor, hidden_TD: Tensor) -> tuple[Tensor, Tensor]:
    weight = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((output * weight).sum(), hidden_TD)
    return output.detach(), gradient


def flat_layout(lengths: Sequence[int]) -> Layout:
    """The layout of a GPU, on the CPU."""
    return Layout(tuple(lengths), cu_seqlens=torch.tensor([0, *lengths]).cumsum(0).int())


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.booleans())
@settings(deadline=None, max_examples=60)
def test_groups_cover_every_token_once_and_are_tight(lengths: list[int], in_order: bool) -> None:
    lengths = sorted(lengths, reverse=True) if in_order else lengths
    groups = Layout.build(lengths, CPU).groups
    assert [group.begin for group in groups[1:]] == [group.end for group in groups[:-1]]
    assert (groups[0].begin, groups[-1].end) == (0, sum(lengths))
    assert sum(group.size for group in groups) == len(lengths)
    for group in groups:
        tokens = group.end - group.begin
        shortest = GROUP_SLACK * group.longest - ALIGNMENT + 1
        assert tokens >= shortest * group.size
        assert group.longest % ALIGNMENT == 0
        if group.slots is None:
            assert group.sources is None
            assert tokens == group.size * group.longest
        else:
            assert group.sources is not None
            assert torch.equal(group.sources[group.slots], torch.arange(tokens))


@pytest.mark.parametrize("lengths", [LENGTHS, (5,), (1,), (6, 6, 6), (2, 9, 4, 9)])
@pytest.mark.parametrize("path", ["explicit", "fused", "jagged"])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype:UserWarning")
def test_packed_equals_the_formula_on_each_sequence(
    lengths: tuple[int, ...], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "SDPA_LENGTH", 1 if path == "fused" else 512)
    torch.manual_seed(0)
    module = SelfAttention(POST)
    hidden_TD = torch.randn(sum(lengths), POST.hidden_size)
    layout = flat_layout(lengths) if path == "jagged" else Layout.build(lengths, CPU)
    output, gradient = output_and_gradient(module, hidden_TD, layout)

    expected, expected_gradient = formula(module, hidden_TD, lengths)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_both_kernels_agree_at_their_border() -> None:
    """511 takes the explicit product, 512 and more the fused kernel; mixed in one batch."""
    torch.manual_seed(0)
    module = SelfAttention(POST)
    lengths = (600, 512, 511, 500)
    hidden_TD = torch.randn(sum(lengths), POST.hidden_size)
    output, gradient = output_and_gradient(module, hidden_TD, Layout.build(lengths, CPU))
    expected, expected_gradient = formula(module, hidden_TD, lengths)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-5, rtol=1e-4)


def test_parameter_gradients_are_the_sum_over_sequences() -> None:
    torch.manual_seed(0)
    module = SelfAttention(POST)
    hidden_TD = torch.randn(sum(LENGTHS), POST.hidden_size)
    weight = torch.randn(hidden_TD.shape)
    (module(hidden_TD, Layout.build(LENGTHS, CPU), None) * weight).sum().backward()
    packed = module.qkv.weight.grad
    assert packed is not None
    packed = packed.clone()
    module.zero_grad()
    for part, scale in zip(hidden_TD.split(LENGTHS), weight.split(LENGTHS), strict=True):
        (module(part, Layout.build((len(part),), CPU), None) * scale).sum().backward()
    torch.testing.assert_close(module.qkv.weight.grad, packed, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rotary", [False, True])
def test_weights_are_what_forward_attends_with(rotary: bool) -> None:
    torch.manual_seed(0)
    module = SelfAttention(MODERN if rotary else POST)
    hidden_TD = torch.randn(sum(LENGTHS), POST.hidden_size)
    position_ids = torch.cat([torch.arange(length) for length in LENGTHS])
    turn = Rotary(POST.head_size, 10_000.0)(position_ids, torch.float32) if rotary else None
    layout = Layout.build(LENGTHS, CPU)
    maps = module.weights(hidden_TD, layout, turn)
    values = module.qkv(hidden_TD).view(-1, 3, POST.num_heads, POST.head_size)[:, 2]
    context = torch.cat(
        [
            (probabilities @ part.transpose(0, 1)).transpose(0, 1)
            for probabilities, part in zip(maps, values.split(LENGTHS), strict=True)
        ]
    )
    torch.testing.assert_close(module.output(context.flatten(1)), module(hidden_TD, layout, turn))
    for length, probabilities in zip(LENGTHS, maps, strict=True):
        assert probabilities.shape == (POST.num_heads, length, length)
        torch.testing.assert_close(probabilities.sum(-1), torch.ones(POST.num_heads, length))


@pytest.mark.parametrize("longest", [8, 512])
def test_attention_dropout_is_for_training_only(longest: int) -> None:
    module = SelfAttention(POST.model_copy(update={"attention_dropout": 0.5}))
    hidden_TD = torch.randn(longest, POST.hidden_size)
    layout = Layout.build((longest,), CPU)
    first, second = (module(hidden_TD, layout, None) for _ in range(2))
    assert not torch.equal(first, second)
    module.eval()
    first, second = (module(hidden_TD, layout, None) for _ in range(2))
    assert torch.equal(first, second)
