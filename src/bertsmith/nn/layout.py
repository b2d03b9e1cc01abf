"""How attention takes a flat batch apart, into the sequences that it is made of.

Sequences come longest first, so neighbours are of similar length: they are taken in groups, padded
within a group only, and each group is one dense batch. For the GPU's variable-length kernel there
are no groups, but offsets into the flat batch as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bertsmith.nn.rows import with_spare_rows

CPU = torch.device("cpu")
GROUP_SLACK = 0.6
"""A group's shortest sequence, aligned, is at least this share of its longest."""
ALIGNMENT = 16
"""Groups are padded to a multiple of this: matrix products of odd sizes are slow."""
BLOCK = 128
"""What the GPU's kernel is told of the longest sequence is a multiple of this, so that compiled
code sees few values of it."""


@dataclass(frozen=True)
class Group:
    """Neighbouring sequences that one dense batch of shape (b, S) holds."""

    begin: int  # first token in the flat batch
    end: int
    size: int  # b
    longest: int  # S
    longest_row: int = 0  # which of its sequences is the longest
    slots: Tensor | None = None  # (tokens,) where each token stands in the dense (b*S) batch
    sources: Tensor | None = None  # (b*S,) the token for each slot; padding repeats a token
    unseen: Tensor | None = None  # (b, 1, 1, S) or (1, 1, S, S), True at keys a query must not see
    bias: Tensor | None = None  # (1, H, S, S) added to scores

    def turn(self, rotation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The rows (S, d/2) of `rotation` (T, 1, 1, d/2) that its longest sequence has."""
        cos, sin = (part[self.begin : self.end].flatten(1) for part in rotation)
        if self.sources is None:
            return cos[: self.longest], sin[: self.longest]
        rows = self.sources.view(self.size, self.longest)[self.longest_row]
        return cos[rows], sin[rows]

    def pad(self, flat_TX: Tensor) -> Tensor:
        """Its part of a flat batch (T, ...) as a dense one, (b, S, ...)."""
        flat = flat_TX[self.begin : self.end]
        if self.sources is not None and self.slots is not None:
            flat = _Pad.apply(flat, self.sources, self.slots)  # type: ignore[no-untyped-call]
        return flat.view(self.size, self.longest, *flat.shape[1:])

    def unpad(self, dense_bSX: Tensor) -> Tensor:
        """A dense batch (b, S, ...) as its part of a flat one, (tokens, ...)."""
        dense = dense_bSX.flatten(0, 1)
        if self.slots is not None:
            dense = _Unpad.apply(dense, self.slots)  # type: ignore[no-untyped-call]
        return dense


@dataclass(frozen=True)
class Layout:
    """How attention takes one batch apart; built once a batch, used by every layer."""

    lengths: tuple[int, ...]
    groups: tuple[Group, ...] = ()
    cu_seqlens: Tensor | None = None  # GPU without groups, (B+1,) int32
    longest: int = 0  # likewise: no sequence is longer
    device: torch.device = CPU
    is_causal: bool = False
    read: Tensor | None = None  # (R,) the tokens whose vectors are wanted, else all

    def take(self, flat_TX: Tensor) -> Tensor:
        """The rows of (T, ...) that are wanted once attention is over, and spare ones."""
        if self.read is None:
            return flat_TX
        return with_spare_rows(_Unpad.apply(flat_TX, self.read))  # type: ignore[no-untyped-call]

    def put_back(self, rows_RD: Tensor) -> Tensor:
        """(T, D) out of what became of the rows taken; zero where none was."""
        count = sum(self.lengths)
        if self.read is None:
            return rows_RD[:count]
        flat_TD = rows_RD.new_zeros(count, rows_RD.shape[1])
        return flat_TD.index_copy(0, self.read, rows_RD[: len(self.read)])

    @classmethod
    def build(cls, lengths: Sequence[int], device: torch.device, dense: bool = False) -> Layout:
        """The layout for sequences of `lengths`, in batch order; in groups where `dense`."""
        if device.type == "cuda" and not dense:
            counts = torch.tensor([0, *lengths], dtype=torch.int32)
            offsets = counts.cumsum(0, dtype=torch.int32).to(device, non_blocking=True)
            longest = -(-max(lengths) // BLOCK) * BLOCK
            return cls(tuple(lengths), cu_seqlens=offsets, longest=longest, device=device)
        return cls._grouped(lengths, _partition(lengths), device)

    @classmethod
    def build_pair(
        cls, lengths: Sequence[int], memory_lengths: Sequence[int], device: torch.device
    ) -> tuple[Layout, Layout]:
        """Layouts for sequences and what each attends to, group by group the same sequences."""
        parts = _partition(lengths, memory_lengths)
        grouped = cls._grouped(lengths, parts, device)
        return grouped, cls._grouped(memory_lengths, parts, device)

    @classmethod
    def _grouped(
        cls, lengths: Sequence[int], parts: Sequence[slice], device: torch.device
    ) -> Layout:
        groups: list[Group] = []
        for part in parts:
            groups.append(_group(groups[-1].end if groups else 0, lengths[part], device))
        return cls(tuple(lengths), tuple(groups), device=device)

    def causal(self) -> Layout:
        """The same with every token seeing itself and those before it only.

        Padding stands behind all real tokens, so that it needs no further hiding.
        """
        groups = (replace(group, unseen=after(group.longest, self.device)) for group in self.groups)
        return replace(self, groups=tuple(groups), is_causal=True)

    def biased(self, bias: Callable[[int], Tensor]) -> Layout:
        """The same with the scores of each group raised by `bias(S)`, (1, H, S, S)."""
        groups = (replace(group, bias=bias(group.longest)) for group in self.groups)
        return replace(self, groups=tuple(groups))


def _partition(*lengths: Sequence[int]) -> list[slice]:
    """Runs of neighbours whose lengths are similar, in every one of `lengths`.

    Any order is right; longest first is what makes the runs long.
    """
    aligned = [[_align(length) for length in each] for each in lengths]
    parts: list[slice] = []
    first, count = 0, len(lengths[0])
    while first < count:
        ranges = [(each[first], each[first]) for each in aligned]
        last = first + 1
        while last < count:
            ranges = [
                (min(low, each[last]), max(high, each[last]))
                for (low, high), each in zip(ranges, aligned, strict=True)
            ]
            if any(low < GROUP_SLACK * high for low, high in ranges):
                break
            last += 1
        parts.append(slice(first, last))
        first = last
    return parts


def _align(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def _group(begin: int, lengths: Sequence[int], device: torch.device) -> Group:
    size, end = len(lengths), begin + sum(lengths)
    longest = _align(max(lengths))
    if min(lengths) == longest:
        return Group(begin, end, size, longest)
    lengths_b = torch.tensor(lengths)
    starts_b = lengths_b.cumsum(0) - lengths_b
    columns_S = torch.arange(longest)
    real_bS = columns_S < lengths_b[:, None]
    sources_bS = starts_b[:, None] + columns_S.clamp(max=lengths_b[:, None] - 1)
    return Group(
        begin,
        end,
        size,
        longest,
        longest_row=int(lengths_b.argmax()),
        slots=real_bS.flatten().nonzero().squeeze(1).to(device),
        sources=sources_bS.flatten().to(device),
        unseen=~real_bS[:, None, None, :].to(device),
    )


def after(length: int, device: torch.device) -> Tensor:
    """(1, 1, S, S), True where the key comes after the query."""
    return torch.ones(1, 1, length, length, dtype=torch.bool, device=device).triu(1)


class _Pad(torch.autograd.Function):
    """Flat tokens into dense slots. Backward is a gather, never a scatter-add.

    Padding slots repeat a real token; their gradient is zero, because attention hides them
    as keys and `_Unpad` drops them as queries.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor, sources: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        return flat.index_select(0, sources)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (slots,) = ctx.saved_tensors
        return grads[0].index_select(0, slots), None, None


class _Unpad(torch.autograd.Function):
    """Dense slots back into flat tokens; padding slots get a zero gradient."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        ctx.num_slots = dense.shape[0]
        return dense.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (slots,) = ctx.saved_tensors
        padded = grads[0].new_zeros(ctx.num_slots, *grads[0].shape[1:])
        return padded.index_copy_(0, slots, grads[0]), None
