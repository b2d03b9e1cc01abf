"""Small random batches and networks, flat for us and padded for transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.data.pack import collate
from bertsmith.types import Batch, Example

VOCABULARY = 99
POST = ModelConfig(
    vocab_size=VOCABULARY,
    num_layers=2,
    num_heads=3,
    hidden_size=24,
    intermediate_size=40,
    dropout=0.0,
    attention_dropout=0.0,
)
PRE = POST.model_copy(update={"norm": "pre"})
MODERN = PRE.model_copy(
    update={"positions": "rotary", "feed_forward": "geglu", "bias": False, "type_vocab_size": 0}
)
T5 = PRE.model_copy(
    update={
        "norm_kind": "rms",
        "embedding_norm": False,
        "positions": "relative",
        "relative_buckets": 8,
        "relative_distance": 12,
        "feed_forward": "relu",
        "bias": False,
        "type_vocab_size": 0,
        "pooling": "mean",
        "scale_logits": True,
        "num_decoder_layers": 3,
        "layer_norm_eps": 1e-6,
    }
)
ALBERT = POST.model_copy(update={"embedding_size": 10, "share": "all", "feed_forward": "gelu_tanh"})
CONFIGS = {
    "post": POST,
    "pre": PRE,
    "modern": MODERN,
    "albert": ALBERT,
    "t5": T5,
    "one-attention": ALBERT.model_copy(update={"share": "attention"}),
    "one-feed-forward": POST.model_copy(update={"share": "feed_forward"}),
}


def random_examples(
    lengths: Sequence[int], type_vocab_size: int = 2, seed: int = 0
) -> list[Example]:
    """One example a length; token types are 0 and then 1, as in a pair, where there are two."""
    rng = np.random.default_rng(seed)
    return [
        Example(
            input_ids=rng.integers(1, VOCABULARY, length),
            token_type_ids=(np.arange(length) > length // 2).astype(np.int64)
            * (type_vocab_size > 1),
        )
        for length in lengths
    ]


def random_pairs(
    lengths: Sequence[int], decoder_lengths: Sequence[int], seed: int = 0
) -> list[Example]:
    """For an encoder-decoder: what it reads, and what its decoder reads and says."""
    rng = np.random.default_rng(seed)
    return [
        replace(
            example,
            decoder_input_ids=rng.integers(1, VOCABULARY, length),
            decoder_labels=rng.integers(1, VOCABULARY, length),
        )
        for example, length in zip(random_examples(lengths, 0, seed), decoder_lengths, strict=True)
    ]


def flat(examples: Sequence[Example]) -> Batch:
    """The examples as one of our batches."""
    return collate(examples, range(len(examples)))


def padded(examples: Sequence[Example]) -> dict[str, Tensor]:
    """The examples as transformers takes them: (B, S), padded with 0, in the order given."""
    longest = max(len(example.input_ids) for example in examples)
    shape = (len(examples), longest)
    names = ("input_ids", "token_type_ids", "attention_mask")
    inputs = {name: torch.zeros(shape, dtype=torch.int64) for name in names}
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        inputs["input_ids"][row, :length] = torch.from_numpy(example.input_ids)
        inputs["token_type_ids"][row, :length] = torch.from_numpy(example.token_type_ids)
        inputs["attention_mask"][row, :length] = 1
    return inputs


def by_example(flat_TX: Tensor, batch: Batch) -> list[Tensor]:
    """A (T, ...) tensor as one (n, ...) tensor an example, in the examples' own order."""
    parts = flat_TX.split(list(batch.lengths))
    return [parts[batch.indices.index(i)] for i in range(batch.num_sequences)]


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Large random weights everywhere, so that nothing agrees by being zero or one."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm_weight = parameter.dim() == 1 and bool((parameter == 1).all())
        parameter.data = 1 + 0.2 * noise if is_norm_weight else 0.2 * noise
