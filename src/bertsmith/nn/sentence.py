"""One vector a sentence: which layers are read, and how their tokens become one vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from bertsmith.errors import ConfigError
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.heads import first_positions, first_tokens, mean_tokens
from bertsmith.types import Batch, Float32Array

PoolingKind = Literal["cls", "mean", "max"]
KINDS: tuple[PoolingKind, ...] = get_args(PoolingKind)


def max_tokens(hidden_TD: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """The greatest value of every sequence's tokens in each dimension: (B, D)."""
    return torch.stack([tokens.amax(dim=0) for tokens in torch.split(hidden_TD, list(lengths))])


_POOL: dict[PoolingKind, Callable[[Tensor, tuple[int, ...]], Tensor]] = {
    "cls": first_tokens,
    "mean": mean_tokens,
    "max": max_tokens,
}


@dataclass(frozen=True)
class Pooling:
    """What of a sentence's tokens is read: [CLS], or all of them, in the mean of some layers.

    Layer 0 is the embeddings' output, static but for its position; none is the last layer.
    First-last pooling (Li et al. 2020, BERT-flow, section 2.3) is layers 1 and L.
    """

    kind: PoolingKind = "mean"
    layers: tuple[int, ...] = ()

    @classmethod
    def parse(cls, kind: str, layers: str, num_layers: int) -> Pooling:
        """From "mean" and "last", "first-last" or "0,3,6", for an encoder of `num_layers`.

        Raises ConfigError for a kind or a layer that there is not.
        """
        if kind not in KINDS:
            raise ConfigError(
                f"no pooling {kind!r}", where="pooling", mend=f"choose from {', '.join(KINDS)}"
            )
        return cls(kind, parse_layers(layers, num_layers))


def parse_layers(layers: str, num_layers: int) -> tuple[int, ...]:
    """From "last" (none), "first-last" (1 and L) or "0,3,6", for an encoder of `num_layers`.

    Raises ConfigError for a layer that there is not.
    """
    if layers == "last":
        return ()
    if layers == "first-last":
        return (1, num_layers)
    numbers = [part.strip() for part in layers.split(",")]
    chosen = tuple(int(part) for part in numbers if part.isdecimal())
    if len(chosen) < len(numbers) or max(chosen) > num_layers:
        raise ConfigError(
            f"{layers!r} names no layers of this model",
            where="layers",
            mend=f'give "last", "first-last", or numbers from 0 to {num_layers}, such as 0,2',
        )
    return () if chosen == (num_layers,) else chosen


class SentenceEncoder(nn.Module):
    """An encoder, and its tokens pooled. The pooling is in fp32, whatever the encoder is in."""

    def __init__(self, encoder: Encoder, pooling: Pooling) -> None:
        super().__init__()
        self.encoder, self.pooling = encoder, pooling

    def forward(self, batch: Batch) -> Tensor:
        """(B, D) float32, in the batch's order."""
        if self.pooling == Pooling("cls"):  # the last layer need be made for no other token
            read_B = first_positions(batch.lengths, batch.input_ids.device)
            hidden_TD = self.encoder(batch, read_B).float()
        else:
            hidden_TD = mixed_layers(self.encoder, batch, self.pooling.layers)
        return _POOL[self.pooling.kind](hidden_TD, batch.lengths)


def mixed_layers(encoder: Encoder, batch: Batch, layers: tuple[int, ...]) -> Tensor:
    """(T, D) float32: the mean of `layers`; none: the last."""
    if not layers:
        last: Tensor = encoder(batch)
        return last.float()
    states = enumerate(encoder.hidden_states(batch))
    total = sum(hidden_TD.float() for layer, hidden_TD in states if layer in layers)
    assert isinstance(total, Tensor)
    return total / len(set(layers))


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map of sentence vectors: learnt with the model, or a whitening."""

    weight: Float32Array  # (E, D)
    bias: Float32Array  # (E,)
    is_tanh: bool = False
    """Whether tanh is taken of what comes out."""

    def __call__(self, vectors_ND: Float32Array) -> Float32Array:
        """(N, E)."""
        projected: Float32Array = vectors_ND @ self.weight.T + self.bias
        return np.tanh(projected) if self.is_tanh else projected


def normalised(vectors_ND: Float32Array) -> Float32Array:
    """(N, D), each vector of length one; zero stays zero."""
    lengths = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    unit: Float32Array = vectors_ND / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
