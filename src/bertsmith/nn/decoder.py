"""The Transformer decoder over flat batches: it sees its own past, and what the encoder made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.nn.attention import CrossAttention, SelfAttention
from bertsmith.nn.dropout import Dropout
from bertsmith.nn.embeddings import RelativePositions, layer_norm
from bertsmith.nn.encoder import FeedForward, initialise
from bertsmith.nn.layout import Layout

Part = Callable[[Tensor], Tensor]
"""(rows, D) -> (rows, D)."""


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention, feed-forward (Vaswani et al. 2017, section 3.1).

    Norms stand where the config has them: after each sum, or before each part.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.is_pre_norm = config.norm == "pre"
        self.attention_norm = layer_norm(config)
        self.attention = SelfAttention(config)
        self.cross_attention_norm = layer_norm(config)
        self.cross_attention = CrossAttention(config)
        self.feed_forward_norm = layer_norm(config)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, hidden: Tensor, attend: Part, cross_attend: Part) -> Tensor:
        """(rows, D); the two attentions are given, for whole sequences or for one token each."""
        hidden = self._add(hidden, self.attention_norm, attend)
        hidden = self._add(hidden, self.cross_attention_norm, cross_attend)
        return self._add(hidden, self.feed_forward_norm, self.feed_forward)

    def _add(self, hidden: Tensor, norm: nn.Module, part: Part) -> Tensor:
        if self.is_pre_norm:
            return hidden + self.dropout(part(norm(hidden)))  # type: ignore[no-any-return]
        return norm(hidden + self.dropout(part(hidden)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Memory:
    """What b sequences that answer one input need for their next token.

    Keys and values of each layer: `past` (b, 2, H, n, d) of the n tokens so far, `source`
    (1, 2, H, S, d) of the input.
    """

    past: tuple[Tensor, ...]
    source: tuple[Tensor, ...]

    @property
    def num_tokens(self) -> int:
        """n."""
        return self.past[0].shape[3]

    def select(self, rows_b: Tensor) -> Memory:
        """The memory of sequences that go on from those in `rows_b`."""
        return Memory(tuple(past.index_select(0, rows_b) for past in self.past), self.source)


class Decoder(nn.Module):
    """Layers over embedded tokens; the embeddings are the encoder's."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.relative = (
            RelativePositions(config, bidirectional=False)
            if config.positions == "relative"
            else None
        )
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_decoder_layers))
        self.final_norm = layer_norm(config) if config.norm == "pre" else nn.Identity()
        initialise(self, config.initializer_range)

    def forward(
        self,
        hidden_TD: Tensor,
        lengths: tuple[int, ...],
        source_TD: Tensor,
        source_lengths: tuple[int, ...],
    ) -> Tensor:
        """(T, D): T tokens of B sequences of `lengths`, each beside its own source."""
        layout, source_layout = Layout.build_pair(lengths, source_lengths, hidden_TD.device)
        causal = layout.causal()
        if self.relative is not None:
            causal = causal.biased(self.relative)
        for layer in self._layers():
            hidden_TD = layer(
                hidden_TD,
                lambda h, at=layer.attention: at(h, causal, None),
                lambda h, at=layer.cross_attention: at(h, layout, source_TD, source_layout),
            )
        return self.final_norm(hidden_TD)  # type: ignore[no-any-return]

    def begin(self, source_SD: Tensor) -> Memory:
        """The memory of one sequence without a token yet, for an input's S vectors."""
        shape = (1, 2, self.config.num_heads, 0, self.config.head_size)
        layers = self._layers()
        return Memory(
            tuple(source_SD.new_zeros(shape) for _ in layers),
            tuple(layer.cross_attention.remember(source_SD) for layer in layers),
        )

    def step(self, hidden_bD: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """One more token of each of b sequences: (b, D), and the memory with it."""
        bias = None if self.relative is None else self.relative.last(memory.num_tokens + 1)
        pasts: list[Tensor] = []
        for layer, past, source in zip(self._layers(), memory.past, memory.source, strict=True):

            def attend(hidden: Tensor, layer: DecoderLayer = layer, past: Tensor = past) -> Tensor:
                output, grown = layer.attention.step(hidden, past, bias)
                pasts.append(grown)
                return output

            hidden_bD = layer(
                hidden_bD,
                attend,
                lambda h, at=layer.cross_attention, kv=source: at.step(h, kv),
            )
        return self.final_norm(hidden_bD), Memory(tuple(pasts), memory.source)

    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]
