"""transformers' networks beside ours, on the same random weights."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import (
    AlbertConfig,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedModel,
    RobertaConfig,
)

from bertsmith.types import Example
from nn.batches import VOCABULARY, padded, randomise

TOLERANCE = {"atol": 1e-4, "rtol": 0.0}


def bert_config(**changes: Any) -> BertConfig:
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 70,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
    }
    return BertConfig(**(sizes | changes))


def albert_config(**changes: Any) -> AlbertConfig:
    sizes = {
        "vocab_size": VOCABULARY,
        "embedding_size": 20,
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 70,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
    }
    return AlbertConfig(**(sizes | changes))


def electra_config(**changes: Any) -> ElectraConfig:
    sizes = {
        "vocab_size": VOCABULARY,
        "embedding_size": 20,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 70,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
    }
    return ElectraConfig(**(sizes | changes))


def roberta_config(**changes: Any) -> RobertaConfig:
    """Padded with 0, as the tests pad: 0 is no token of theirs."""
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 70,
        "max_position_embeddings": 513,
        "type_vocab_size": 1,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "layer_norm_eps": 1e-5,
        "initializer_range": 0.1,
    }
    return RobertaConfig(**(sizes | changes))


def distilbert_config(**changes: Any) -> DistilBertConfig:
    sizes = {
        "vocab_size": VOCABULARY,
        "dim": 48,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 70,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
    }
    return DistilBertConfig(**(sizes | changes))


def modernbert_config(**changes: Any) -> ModernBertConfig:
    layers = changes.get("num_hidden_layers", 3)
    rope = {"rope_type": "default", "rope_theta": 5_000.0}
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 70,
        "max_position_embeddings": 600,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "cls_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "layer_types": ["full_attention"] * layers,
        "rope_parameters": {"full_attention": rope, "sliding_attention": rope},
        "norm_eps": 0.05,
    }
    return ModernBertConfig(**(sizes | changes))


def make_peer(architecture: str, **changes: Any) -> PreTrainedModel:
    """A transformers network with large random weights, in evaluation mode."""
    families = {
        "Bert": bert_config,
        "Albert": albert_config,
        "Electra": electra_config,
        "Modern": modernbert_config,
        "Roberta": roberta_config,
        "DistilBert": distilbert_config,
    }
    config = next(make for start, make in families.items() if architecture.startswith(start))
    model = getattr(transformers, architecture)(config(**changes)).eval()
    randomise(model)
    model.tie_weights()
    return model


@torch.no_grad()
def run_peer(model: PreTrainedModel, examples: list[Example], **options: Any) -> Any:
    """transformers' outputs for a padded batch, in the order of `examples`."""
    inputs = padded(examples)
    if model.config.model_type in ("modernbert", "distilbert"):
        del inputs["token_type_ids"]
    return model(**inputs, **options)


def unpadded(padded_BSX: Tensor, examples: list[Example]) -> list[Tensor]:
    """The real rows of a padded (B, S, ...) tensor, one (n, ...) tensor an example."""
    return [
        row[: len(example.input_ids)] for row, example in zip(padded_BSX, examples, strict=True)
    ]
