"""Input embeddings, rotary and relative positions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.nn.dropout import Dropout
from bertsmith.nn.gradients import Embedding, LayerNorm
from bertsmith.types import Batch


def layer_norm(config: ModelConfig, size: int | None = None) -> nn.Module:
    """LayerNorm over `size` (D), biased only where the config is, or RMSNorm, never biased."""
    if config.norm_kind == "rms":
        return nn.RMSNorm(size or config.hidden_size, eps=config.layer_norm_eps)
    return LayerNorm(size or config.hidden_size, eps=config.layer_norm_eps, bias=config.bias)


class Embeddings(nn.Module):
    """Token + segment + learned position embeddings, normalised (BERT, section 3, figure 2).

    Only learned positions have a table; with `type_vocab_size` 0 there is no segment table.
    Tables of `embedding_size` columns are projected to D (ALBERT, section 3.1; ELECTRA does the
    same). The first token's place in the position table is `position_offset` (RoBERTa, whose
    padding has a place of its own).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.embedding_width
        self.word = _table(config.vocab_size, size)
        self.position_offset = config.position_offset
        places = config.max_position_embeddings + config.position_offset
        self.position = _table(places, size) if config.positions == "learned" else None
        self.token_type = _table(config.type_vocab_size, size) if config.type_vocab_size else None
        self.norm = layer_norm(config, size) if config.embedding_norm else nn.Identity()
        self.dropout = Dropout(config.dropout)
        self.projection = (
            nn.Linear(size, config.hidden_size, bias=config.bias) if config.embedding_size else None
        )

    def forward(self, batch: Batch) -> Tensor:
        """(T, D)."""
        hidden_TD: Tensor = self.word(batch.input_ids)
        if self.position is not None:
            hidden_TD = hidden_TD + self.position(batch.position_ids + self.position_offset)
        if self.token_type is not None:
            only_one = self.token_type.num_embeddings == 1  # whatever a tokenizer calls it
            types = self.token_type.weight if only_one else self.token_type(batch.token_type_ids)
            hidden_TD = hidden_TD + types
        hidden_TD = self.dropout(self.norm(hidden_TD))
        return hidden_TD if self.projection is None else self.projection(hidden_TD)


def _table(rows: int, size: int) -> Embedding:
    """An embedding whose first values are the encoder's to draw, once."""
    table: Embedding = Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        torch.zeros(rows, size), freeze=False
    )
    return table


class _RowsInUse(Embedding):
    """Some rows of a table, under their old ids."""

    def __init__(self, whole: Embedding, ids: Tensor) -> None:
        super().__init__(len(ids), whole.embedding_dim, _weight=whole.weight.detach()[ids])
        self.weight.requires_grad_(whole.weight.requires_grad)
        self._places = torch.zeros(whole.num_embeddings, dtype=torch.int64, device=ids.device)
        self._places[ids] = torch.arange(len(ids), device=ids.device)

    def forward(self, ids: Tensor) -> Tensor:
        """(..., size)."""
        return super().forward(self._places[ids])


@contextmanager
def rows_in_use(embeddings: Embeddings, ids: Tensor) -> Iterator[None]:
    """A context in which the word embedding has the rows of `ids` (N,), each once, and no others.

    For training on texts that have no other tokens. Rows that never get a gradient are then not
    read and written at every step: of BERT's small relatives, half of all weights, most of them
    such rows. What is learnt is the same, except that weight decay leaves them alone.
    """
    whole = embeddings.word
    embeddings.word = _RowsInUse(whole, ids.to(whole.weight.device))
    try:
        yield
    finally:
        with torch.no_grad():
            whole.weight[ids] = embeddings.word.weight
        embeddings.word = whole


class Rotary(nn.Module):
    """Rotary position embedding (Su et al. 2021, RoFormer, section 3.4.2), the halves layout.

    Has no buffer: a network turned to bfloat16 would round the frequencies, and position 500
    would be off by a radian.
    """

    def __init__(self, head_size: int, theta: float) -> None:
        super().__init__()
        self.head_size, self.theta = head_size, theta

    def forward(self, position_ids_T: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """cos and sin, each (T, 1, 1, d/2), to broadcast over q and k and over heads."""
        evens = torch.arange(0, self.head_size, 2, device=position_ids_T.device)
        angles = position_ids_T[:, None].float() * self.theta ** -(evens.float() / self.head_size)
        angles = angles[:, None, None, :]
        return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(qk: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn `qk` (..., d) by its positions' angles: pairs are (x[i], x[i + d/2])."""
    cos, sin = rotation
    left, right = qk.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


class RelativePositions(nn.Module):
    """A learnt bias on attention scores for each bucket of distances and each head, the same
    in every layer (Raffel et al. 2020, T5, section 2.1)."""

    def __init__(self, config: ModelConfig, bidirectional: bool) -> None:
        super().__init__()
        self.furthest, self.bidirectional = config.relative_distance, bidirectional
        self.table = _table(config.relative_buckets, config.num_heads)

    def forward(self, length: int) -> Tensor:
        """(1, H, S, S): for every query and key of S places."""
        places_S = torch.arange(length, device=self.table.weight.device)
        return self._bias(places_S - places_S[:, None])

    def last(self, length: int) -> Tensor:
        """(1, H, 1, S): for the last of S places as the query."""
        places_S = torch.arange(length, device=self.table.weight.device)
        return self._bias((places_S - (length - 1))[None])

    def _bias(self, offsets_QK: Tensor) -> Tensor:
        count = self.table.num_embeddings
        buckets_QK = bucket_of(offsets_QK, count, self.furthest, self.bidirectional)
        return self.table(buckets_QK).permute(2, 0, 1)[None]  # type: ignore[no-any-return]


def bucket_of(offsets: Tensor, buckets: int, furthest: int, bidirectional: bool) -> Tensor:
    """The bucket, 0 to `buckets` - 1, of each offset, which is the key's place less the query's.

    Small distances have a bucket each; from half the buckets of a side on they share them,
    ranges growing in proportion to the distance up to `furthest`. Bidirectional: the upper
    half of the buckets is for keys behind the query. Otherwise those have bucket 0, with the
    query itself: a mask hides them.
    """
    if bidirectional:
        buckets //= 2
        first, distance = (offsets > 0) * buckets, offsets.abs()
    else:
        first, distance = torch.zeros_like(offsets), (-offsets).clamp(min=0)
    single = buckets // 2
    share = (distance.clamp(min=1).float() / single).log() / math.log(furthest / single)
    shared = (single + (share * (buckets - single)).long()).clamp(max=buckets - 1)
    return first + torch.where(distance < single, distance, shared)
