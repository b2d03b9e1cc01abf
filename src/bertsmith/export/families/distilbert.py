"""DistilBERT (Sanh et al. 2019): BERT's layers, half as many, without token types and pooler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.checks import Json, read_sizes
from bertsmith.export.families.base import (
    ACTIVATIONS,
    Architecture,
    Family,
    SpecialIds,
    embedding_names,
    is_bert_like,
)

_EPS = 1e-12
"""Of its norms; no config says another."""
_SIZES = {
    "num_layers": "n_layers",
    "num_heads": "n_heads",
    "hidden_size": "dim",
    "intermediate_size": "hidden_dim",
    "vocab_size": "vocab_size",
}


def _computes(config: ModelConfig) -> bool:
    return (
        is_bert_like(config)
        and config.layer_norm_eps == _EPS
        and (config.pooler, config.share) == ("relu", "none")
        and not config.type_vocab_size
        and not config.embedding_size
    )


def _to_json(config: ModelConfig, special_ids: SpecialIds, dropout: float) -> Json:
    return {
        "model_type": "distilbert",
        **{theirs: getattr(config, ours) for ours, theirs in _SIZES.items()},
        "max_position_embeddings": config.max_position_embeddings,
        "sinusoidal_pos_embds": False,
        "activation": "gelu" if config.feed_forward == "gelu" else "gelu_new",
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "seq_classif_dropout": dropout,
        "qa_dropout": dropout,
        "initializer_range": config.initializer_range,
        "pad_token_id": special_ids["pad"],
        "tie_word_embeddings": config.tied,
        "dtype": "float32",
    }


def _from_json(content: Json, where: Path) -> tuple[Json, Any]:
    activation = content.get("activation", "gelu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ModelError(
            f"activation {activation!r} is not supported",
            where=where,
            mend=f"use a model with one of {', '.join(ACTIVATIONS)}",
        )
    values = {
        **read_sizes(content, _SIZES, where),
        "max_position_embeddings": content.get("max_position_embeddings", 512),
        "type_vocab_size": 0,
        "feed_forward": ACTIVATIONS[activation],
        "pooler": "relu",
        "dropout": content.get("dropout", 0.1),
        "attention_dropout": content.get("attention_dropout", 0.1),
        "initializer_range": content.get("initializer_range", 0.02),
        "layer_norm_eps": _EPS,
        "tied": content.get("tie_word_embeddings", True),
    }
    return values, content.get("seq_classif_dropout", 0.2)


FAMILY = Family(
    name="distilbert",
    architectures={
        "encoder": Architecture("DistilBertModel"),
        "masked_lm": Architecture("DistilBertForMaskedLM"),
        "span": Architecture("DistilBertForQuestionAnswering", (("span.", "qa_outputs."),)),
        "choice": Architecture("DistilBertForMultipleChoice"),
        "tagger": Architecture("DistilBertForTokenClassification"),
        "classifier": Architecture("DistilBertForSequenceClassification"),
    },
    prefix="distilbert.",
    names=(
        *embedding_names("distilbert."),
        ("encoder.layers.", "distilbert.transformer.layer."),
        (".attention.output.", ".attention.out_lin."),
        (".attention_norm.", ".sa_layer_norm."),
        (".feed_forward.input.", ".ffn.lin1."),
        (".feed_forward.output.", ".ffn.lin2."),
        (".feed_forward_norm.", ".output_layer_norm."),
        ("pooler.dense.", "pre_classifier."),
        ("transform.dense.", "vocab_transform."),
        ("transform.norm.", "vocab_layer_norm."),
        ("vocabulary.bias", "vocab_projector.bias"),
    ),
    qkv=("q_lin", "k_lin", "v_lin"),
    copies=("vocab_projector.weight",),
    computes=_computes,
    to_json=_to_json,
    from_json=_from_json,
)
