"""The Transformer encoder over a flat batch: every pointwise layer runs on T real tokens."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from bertsmith.config import ModelConfig
from bertsmith.nn.attention import SelfAttention
from bertsmith.nn.dropout import Dropout
from bertsmith.nn.embeddings import Embeddings, RelativePositions, Rotary, layer_norm
from bertsmith.nn.layout import Layout
from bertsmith.nn.rows import with_spare_rows
from bertsmith.types import Batch

SHARED_PARTS = {
    "attention": ("attention", "attention_norm"),
    "feed_forward": ("feed_forward", "feed_forward_norm"),
}
"""What layers have in common, by `ModelConfig.share`, where it is not the whole layer."""


def activate(hidden: Tensor, config: ModelConfig) -> Tensor:
    """ReLU, or GELU (Hendrycks & Gimpel 2016, section 2), exact or by tanh: as configured."""
    if config.feed_forward == "relu":
        return functional.relu(hidden)
    return functional.gelu(
        hidden, approximate="tanh" if config.feed_forward == "gelu_tanh" else "none"
    )


class FeedForward(nn.Module):
    """Two linear layers around ReLU, GELU or GeGLU (Shazeer 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.gated = config.feed_forward == "geglu"
        width = config.intermediate_size * (2 if self.gated else 1)
        self.input = nn.Linear(config.hidden_size, width, bias=config.bias)
        self.output = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.bias)
        self.dropout = Dropout(config.inner_dropout)

    def forward(self, hidden_TD: Tensor) -> Tensor:
        """(T, D)."""
        inner: Tensor = self.input(hidden_TD)
        if self.gated:
            inner, gate = inner.chunk(2, dim=-1)
            inner = functional.gelu(inner) * gate
        else:
            inner = activate(inner, self.config)
        return self.output(self.dropout(inner))  # type: ignore[no-any-return]


class PostNormLayer(nn.Module):
    """x = norm(x + f(x)) for attention and then feed-forward (Vaswani et al. 2017; BERT)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_norm = layer_norm(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = layer_norm(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, hidden_TD: Tensor, layout: Layout, rotation: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """(T, D), or the rows of it that `layout.take` takes."""
        attended = self.dropout(self.attention(hidden_TD, layout, rotation))
        hidden_TD = self.attention_norm(layout.take(hidden_TD) + attended)
        return self.feed_forward_norm(  # type: ignore[no-any-return]
            hidden_TD + self.dropout(self.feed_forward(hidden_TD))
        )

    def attention_input(self, hidden_TD: Tensor) -> Tensor:
        """What this layer's attention sees."""
        return hidden_TD


class PreNormLayer(nn.Module):
    """x = x + f(norm(x)) (Xiong et al. 2020); gradients reach the first layer undamped.

    The first layer takes the embeddings' own norm instead of a second one (ModernBERT), where
    they have one.
    """

    def __init__(self, config: ModelConfig, first: bool) -> None:
        super().__init__()
        is_normed = first and config.embedding_norm
        self.attention_norm = nn.Identity() if is_normed else layer_norm(config)
        self.attention = SelfAttention(config)
        self.feed_forward_norm = layer_norm(config)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, hidden_TD: Tensor, layout: Layout, rotation: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """(T, D), or the rows of it that `layout.take` takes."""
        attended = self.attention(self.attention_norm(hidden_TD), layout, rotation)
        hidden_TD = layout.take(hidden_TD) + self.dropout(attended)
        fed = self.feed_forward(self.feed_forward_norm(hidden_TD))
        return hidden_TD + self.dropout(fed)  # type: ignore[no-any-return]

    def attention_input(self, hidden_TD: Tensor) -> Tensor:
        """What this layer's attention sees."""
        return self.attention_norm(hidden_TD)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Embeddings and layers: a batch in, one vector a token out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.rotary = (
            Rotary(config.head_size, config.rope_theta) if config.positions == "rotary" else None
        )
        self.relative = (
            RelativePositions(config, bidirectional=True)
            if config.positions == "relative"
            else None
        )
        self.layers = nn.ModuleList(
            PostNormLayer(config) if config.norm == "post" else PreNormLayer(config, index == 0)
            for index in range(1 if config.share == "all" else config.num_layers)
        )
        _share(self.layers, SHARED_PARTS.get(config.share, ()))
        self.final_norm = layer_norm(config) if config.norm == "pre" else nn.Identity()
        initialise(self, config.initializer_range)
        if config.norm == "pre":
            _shrink_residual_outputs(self.layers)

    def forward(self, batch: Batch, read: Tensor | None = None) -> Tensor:
        """The last layer's vectors, (T, D).

        With `read` (R,), those of its tokens, each named once, and zeros for all others. What the
        last layer does after attention, most of its work, is then done for R tokens only.
        """
        *_, hidden_TD = self.hidden_states(batch, read)
        return hidden_TD

    def hidden_states(self, batch: Batch, read: Tensor | None = None) -> Iterator[Tensor]:
        """The embeddings' output and then each layer's, L+1 tensors (T, D), one at a time.

        The last one is what `forward` returns: after the final norm where there is one.
        """
        hidden_TD = self.embeddings(batch)
        yield hidden_TD
        yield from self.continued(batch, hidden_TD, 0, read)

    def continued(
        self, batch: Batch, hidden_TD: Tensor, layer: int, read: Tensor | None = None
    ) -> Iterator[Tensor]:
        """What `hidden_states` gives after `layer`, L-layer tensors (T, D), were `hidden_TD` what
        it gives there.

        So vectors may be changed on their way up. Layer 0 is the embeddings' output.
        """
        layout, rotation = self._surroundings(batch, hidden_TD)
        hidden_TD = with_spare_rows(hidden_TD)
        above = self._depths()[layer:]
        for own in above[:-1]:
            hidden_TD = own(hidden_TD, layout, rotation)
            yield hidden_TD[: batch.num_tokens]
        if above:
            layout = replace(layout, read=read)
            yield layout.put_back(self.final_norm(above[-1](hidden_TD, layout, rotation)))

    def attention_weights(
        self,
        batch: Batch,
        layers: Collection[int] | None = None,
        heads: Sequence[int] | None = None,
    ) -> Iterator[list[Tensor]]:
        """Per layer, the attention probabilities of each sequence, (H, n, n) each.

        With `layers` or `heads`, both counted from 0, theirs alone: layers from the lowest up,
        heads in the order given. One layer's are computed at a time, and nothing above the last.
        """
        wanted = range(self.config.num_layers) if layers is None else layers
        hidden_TD, layout, rotation = self._begin(batch)
        for depth, layer in enumerate(self._depths()[: max(wanted, default=-1) + 1]):
            assert isinstance(layer, PostNormLayer | PreNormLayer)
            if depth in wanted:
                seen_TD = layer.attention_input(hidden_TD)
                yield layer.attention.weights(seen_TD, layout, rotation, heads)
            if depth < max(wanted):
                hidden_TD = layer(hidden_TD, layout, rotation)

    def _depths(self) -> list[nn.Module]:
        """The layer of each depth: everywhere the same one where all parameters are shared."""
        return list(self.layers) * (self.config.num_layers // len(self.layers))

    def _begin(self, batch: Batch) -> tuple[Tensor, Layout, tuple[Tensor, Tensor] | None]:
        hidden_TD = self.embeddings(batch)
        return hidden_TD, *self._surroundings(batch, hidden_TD)

    def _surroundings(
        self, batch: Batch, hidden_TD: Tensor
    ) -> tuple[Layout, tuple[Tensor, Tensor] | None]:
        """What every layer is told beside its input."""
        is_dense = self.config.causal or self.relative is not None
        layout = Layout.build(batch.lengths, hidden_TD.device, dense=is_dense)
        if self.config.causal:
            layout = layout.causal()
        if self.relative is not None:
            layout = layout.biased(self.relative)
        rotation = None if self.rotary is None else self.rotary(batch.position_ids, hidden_TD.dtype)
        return layout, rotation


def _share(layers: nn.ModuleList, parts: Sequence[str]) -> None:
    """Let every layer use the first one's `parts` (ALBERT, section 3.1).

    Only the first layer registers them, so that each weight has one name: in a state, in a
    file and for the optimizer.
    """
    for layer in layers[1:]:
        for part in parts:
            delattr(layer, part)
            object.__setattr__(layer, part, getattr(layers[0], part))


def initialise(module: nn.Module, deviation: float) -> None:
    """BERT's initialisation: weights normal with `deviation`, truncated at two; biases zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            _draw_truncated_normal(part.weight, deviation)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


@torch.no_grad()
def _draw_truncated_normal(weight: Tensor, deviation: float) -> None:
    """By the inverse of the distribution: a fifth of the time of nn.init.trunc_normal_."""
    if weight.is_meta:  # no memory to fill: only names and shapes are wanted
        return
    bound = math.erf(2 / math.sqrt(2))
    weight.uniform_(-bound, bound).erfinv_().mul_(deviation * math.sqrt(2))


@torch.no_grad()
def _shrink_residual_outputs(layers: nn.ModuleList) -> None:
    """Divide what is added to the residual stream by sqrt(2L) (GPT-2, section 2.3)."""
    for layer in layers:
        assert isinstance(layer, PreNormLayer)
        for output in (layer.attention.output, layer.feed_forward.output):
            output.weight.mul_((2 * len(layers)) ** -0.5)
