"""Recurrent networks over flat, unpadded sequences."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class BiLSTM(nn.Module):
    """LSTMs from left to right and from right to left (Hochreiter & Schmidhuber 1997; Graves &
    Schmidhuber 2005): (W, input_size) -> (W, 2 * hidden_size)."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            input_size,
            hidden_size,
            num_layers,
            bidirectional=True,
            dropout=dropout if num_layers > 1 else 0.0,
        )

    def forward(self, inputs_WD: Tensor, lengths: Tensor) -> Tensor:
        """Sequences of `lengths` (B,), each at least 1, end to end."""
        order, sizes = by_step(lengths)
        packed = PackedSequence(inputs_WD[order], sizes)
        outputs, _ = self.lstm(packed)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return outputs.data[back]  # type: ignore[no-any-return]


def by_step(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """(W,) all rows by their place in their sequence, longer sequences first, and how many
    there are at each place: torch's PackedSequence."""
    longest_first = lengths.argsort(descending=True, stable=True)
    rank = torch.empty_like(longest_first)
    rank[longest_first] = torch.arange(len(lengths), device=lengths.device)
    starts = lengths.cumsum(0) - lengths
    rows = torch.arange(int(lengths.sum()), device=lengths.device)
    step = rows - starts.repeat_interleave(lengths)
    key = step * len(lengths) + rank.repeat_interleave(lengths)
    return key.argsort(), torch.bincount(step).cpu()
