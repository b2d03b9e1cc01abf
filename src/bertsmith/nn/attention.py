"""Attention over flat batches, as a `Layout` takes them apart.

One kernel per device.

    GPU   variable-length flash attention on the flat batch as it is; groups, as on the CPU,
          where there is a decoder, a causal encoder or a bias on scores.
    CPU   dense groups of sequences of similar length. Groups shorter than SDPA_LENGTH take two
          explicit matrix products and a softmax, whose backward is several times cheaper there
          than that of the fused CPU kernel; longer ones take the fused kernel, which never
          writes the S x S matrix, unless there is dropout: then torch falls back to something
          slower than the explicit products.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bertsmith.config import ModelConfig
from bertsmith.nn.dropout import Dropout
from bertsmith.nn.embeddings import rotate
from bertsmith.nn.layout import Group, Layout, after

SDPA_LENGTH = 512
varlen_attn: Any = (
    import_module("torch.nn.attention.varlen").varlen_attn if torch.cuda.is_available() else None
)
"""The GPU's kernel. Its module brings torch's compiler with it, seconds of every start."""


class _Attention(nn.Module):
    """What self-attention and cross-attention share: heads, scale, dropout."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads, self.head_size = config.num_heads, config.head_size
        self.scale = config.attention_scale
        self.dropout = Dropout(config.attention_dropout)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, unseen: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        """softmax(scale q k + bias) v: (b, H, queries, d) out of (b, H, keys, d)."""
        rate = self._dropout_rate()
        if k.shape[-2] < SDPA_LENGTH or (rate > 0.0 and k.device.type == "cpu"):
            scores = (q * self.scale) @ k.transpose(-1, -2)  # (b, H, queries, keys)
            if bias is not None:
                scores = scores + bias
            if unseen is not None:
                scores = scores.masked_fill(unseen, float("-inf"))
            return self.dropout(scores.softmax(dim=-1)) @ v  # type: ignore[no-any-return]
        mask = None if unseen is None else ~unseen
        if bias is not None:
            mask = bias if unseen is None else bias.masked_fill(unseen, float("-inf"))
        return functional.scaled_dot_product_attention(
            q, k, v, mask, dropout_p=rate, scale=self.scale
        )

    def _dropout_rate(self) -> float:
        return self.dropout.rate if self.training else 0.0


class SelfAttention(_Attention):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2), as the layout has it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=config.bias)
        self.output = nn.Linear(config.hidden_size, config.hidden_size, bias=config.bias)

    def forward(
        self, hidden_TD: Tensor, layout: Layout, rotation: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """(T, D), or the rows of it that `layout.take` takes.

        Rows beyond the layout's tokens, where there are some, see nothing.
        """
        if layout.cu_seqlens is not None:
            context = self._attend_flat(self._project(hidden_TD, rotation), layout)
        else:
            qkv = self._project(hidden_TD)
            contexts = [self._attend_group(qkv, group, rotation) for group in layout.groups]
            spare = len(qkv) - layout.groups[-1].end
            context = torch.cat([*contexts, qkv.new_zeros(spare, *qkv.shape[2:])])
        return self.output(layout.take(context.flatten(1)))  # type: ignore[no-any-return]

    def step(self, hidden_bD: Tensor, past: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """One more token of each of b sequences: its (b, D), and the past with it.

        `past` (b, 2, H, n, d) holds the keys and values of the n tokens before, `bias`
        (1, H, 1, n+1) is added to scores.
        """
        q, k, v = self._project(hidden_bD)[:, :, :, None].unbind(1)
        past = torch.cat([past, torch.stack([k, v], dim=1)], dim=3)
        context = self._attend(q, past[:, 0], past[:, 1], None, bias)
        return self.output(context.flatten(1)), past

    def weights(
        self,
        hidden_TD: Tensor,
        layout: Layout,
        rotation: tuple[Tensor, Tensor] | None,
        heads: Sequence[int] | None = None,
    ) -> list[Tensor]:
        """Attention probabilities, one (H, n, n) tensor a sequence, in batch order.

        With `heads`, counted from 0, only theirs are computed, in the order given.
        """
        qkv = self._project(hidden_TD, rotation)
        if heads is not None:
            qkv = qkv[:, :, list(heads)]
        biases = [group.bias[0] for group in layout.groups if group.bias is not None]
        # It depends on distances alone, so that the largest has them all.
        largest = max(biases, key=lambda bias: bias.shape[1], default=None)
        if largest is not None and heads is not None:
            largest = largest[list(heads)]
        maps: list[Tensor] = []
        begin = 0
        for length in layout.lengths:
            q, k, _ = qkv[begin : begin + length].permute(1, 2, 0, 3)
            scores = (q * self.scale) @ k.transpose(-1, -2)
            if largest is not None:
                scores = scores + largest[:, :length, :length]
            if layout.is_causal:
                scores = scores.masked_fill(after(length, layout.device)[0], float("-inf"))
            maps.append(scores.softmax(-1))
            begin += length
        return maps

    def _project(self, hidden_TD: Tensor, rotation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """q, k and v as (T, 3, H, d), q and k rotated."""
        qkv: Tensor = self.qkv(hidden_TD).view(-1, 3, self.num_heads, self.head_size)
        if rotation is None:
            return qkv
        return torch.cat([rotate(qkv[:, :2], rotation), qkv[:, 2:]], dim=1)

    def _attend_group(
        self, qkv: Tensor, group: Group, rotation: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Context (tokens, H, d) of one dense group.

        Every sequence's positions begin at 0, so that those of the longest serve all.
        """
        # (3, b, H, S, d), rotated in that order: what comes out is laid out as products want it.
        qkv = group.pad(qkv).permute(2, 0, 3, 1, 4)
        q, k, v = qkv
        if rotation is not None:
            q, k = rotate(qkv[:2], group.turn(rotation))
        context = self._attend(q, k, v, group.unseen, group.bias)
        return group.unpad(context.transpose(1, 2))

    def _attend_flat(self, qkv: Tensor, layout: Layout) -> Tensor:
        """Context (T, H, d) by the variable-length kernel, or SDPA over jagged tensors.

        The kernel is for 16-bit floats and head sizes up to 256 that are multiples of 8,
        and has no dropout.
        """
        assert layout.cu_seqlens is not None
        rate = self._dropout_rate()
        fits = self.head_size % 8 == 0 and self.head_size <= 256
        if rate == 0.0 and fits and qkv.dtype in (torch.bfloat16, torch.float16):
            q, k, v = qkv.unbind(1)
            offsets, longest = layout.cu_seqlens, layout.longest
            context = varlen_attn(q, k, v, offsets, offsets, longest, longest)
            assert isinstance(context, Tensor)  # a pair only where the log-sum-exp is asked for
            return context
        offsets = layout.cu_seqlens.long()
        q, k, v = (
            torch.nested.nested_tensor_from_jagged(
                part.contiguous(),  # else SDPA has no kernel to fall back to
                offsets,
                min_seqlen=min(layout.lengths),
                max_seqlen=max(layout.lengths),
            ).transpose(1, 2)
            for part in qkv.unbind(1)
        )
        context = functional.scaled_dot_product_attention(q, k, v, dropout_p=rate)
        return context.transpose(1, 2).values()


class CrossAttention(_Attention):
    """A decoder's attention to what the encoder made (Vaswani et al. 2017, section 3.2.3)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.q = nn.Linear(config.hidden_size, config.hidden_size, bias=config.bias)
        self.kv = nn.Linear(config.hidden_size, 2 * config.hidden_size, bias=config.bias)
        self.output = nn.Linear(config.hidden_size, config.hidden_size, bias=config.bias)

    def forward(
        self, hidden_TD: Tensor, layout: Layout, memory_TD: Tensor, memory_layout: Layout
    ) -> Tensor:
        """(T, D). Both layouts come from one `Layout.build_pair`."""
        q_THd = self.q(hidden_TD).view(-1, self.num_heads, self.head_size)
        kv = self.kv(memory_TD).view(-1, 2, self.num_heads, self.head_size)
        contexts = []
        for group, seen in zip(layout.groups, memory_layout.groups, strict=True):
            k, v = seen.pad(kv).permute(2, 0, 3, 1, 4)
            q = group.pad(q_THd).transpose(1, 2)
            contexts.append(group.unpad(self._attend(q, k, v, seen.unseen, None).transpose(1, 2)))
        return self.output(torch.cat(contexts).flatten(1))  # type: ignore[no-any-return]

    def remember(self, memory_nD: Tensor) -> Tensor:
        """The keys and values (1, 2, H, n, d) of one sequence, for `step`."""
        kv: Tensor = self.kv(memory_nD).view(-1, 2, self.num_heads, self.head_size)
        return kv.permute(1, 2, 0, 3)[None]

    def step(self, hidden_bD: Tensor, memory: Tensor) -> Tensor:
        """(b, D): one token of each of b sequences that have one `memory`."""
        q = self.q(hidden_bD).view(-1, self.num_heads, 1, self.head_size)
        k, v = memory.unbind(1)
        return self.output(self._attend(q, k, v, None, None).flatten(1))  # type: ignore[no-any-return]
