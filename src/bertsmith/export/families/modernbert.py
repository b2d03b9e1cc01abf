"""ModernBERT (Warner et al. 2024), with global attention in every layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.checks import Json, read_sizes, require_values
from bertsmith.export.families.base import (
    SIZES,
    Architecture,
    Family,
    SpecialIds,
    is_plain,
    sizes_to_json,
)

_ONLY: dict[str, tuple[Any, ...]] = {
    "hidden_activation": ("gelu",),
    "classifier_activation": ("gelu",),
    "decoder_bias": (True,),
}
_BIASES = ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias")


def _computes(config: ModelConfig) -> bool:
    return (
        is_plain(config)
        and config.norm == "pre"
        and config.positions == "rotary"
        and config.feed_forward == "geglu"
        and config.pooler == "tanh"
        and not config.type_vocab_size
        and not config.embedding_size
    )


def _to_json(config: ModelConfig, special_ids: SpecialIds, dropout: float) -> Json:
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
    return {
        "model_type": "modernbert",
        **sizes_to_json(config, special_ids),
        "hidden_activation": "gelu",
        "classifier_activation": "gelu",
        "classifier_dropout": dropout,
        "classifier_pooling": config.pooling,
        "embedding_dropout": config.dropout,
        "mlp_dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "norm_eps": config.layer_norm_eps,
        **dict.fromkeys(_BIASES, config.bias),
        "decoder_bias": True,
        "layer_types": ["full_attention"] * config.num_layers,
        "rope_parameters": {"full_attention": rope, "sliding_attention": rope},
        "cls_token_id": special_ids["cls"],
        "bos_token_id": special_ids["cls"],
        "sep_token_id": special_ids["sep"],
        "eos_token_id": special_ids["sep"],
    }


def _from_json(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, _ONLY, where)
    biases = {bool(content.get(key, False)) for key in _BIASES}
    if len(biases) > 1:
        raise ModelError(
            f"has biases in some layers only ({', '.join(_BIASES)})",
            where=where,
            mend="use a model with biases everywhere or nowhere",
        )
    sizes = read_sizes(content, SIZES, where)
    _require_global_attention(content, sizes["num_layers"], where)
    values = {
        **sizes,
        "norm": "pre",
        "positions": "rotary",
        "feed_forward": "geglu",
        "type_vocab_size": 0,
        "bias": biases.pop(),
        "pooling": content.get("classifier_pooling", "cls"),
        "dropout": content.get("embedding_dropout", 0.0),
        "attention_dropout": content.get("attention_dropout", 0.0),
        "max_position_embeddings": content.get("max_position_embeddings", 8192),
        "layer_norm_eps": content.get("norm_eps", 1e-5),
        "initializer_range": content.get("initializer_range", 0.02),
        "rope_theta": _rope_theta(content, where),
        "tied": content.get("tie_word_embeddings", True),
    }
    return values, content.get("classifier_dropout", 0.0)


def _require_global_attention(content: Json, num_layers: Any, where: Path) -> None:
    types = content.get("layer_types")
    if types is None:  # as published: every third layer is global
        every = content.get("global_attn_every_n_layers", 3)
        sliding = every != 1 and num_layers != 1
    else:
        sliding = not isinstance(types, list) or any(kind != "full_attention" for kind in types)
    if sliding:
        raise ModelError(
            "has layers with sliding-window attention",
            where=where,
            mend="use a model with global attention in every layer",
        )


def _rope_theta(content: Json, where: Path) -> Any:
    parameters = content.get("rope_parameters")
    full = parameters.get("full_attention") if isinstance(parameters, dict) else None
    full = full if isinstance(full, dict) else {}
    if content.get("rope_scaling") or full.get("rope_type", "default") != "default":
        raise ModelError("scales its rotary positions", where=where, mend="use plain rotary ones")
    return full.get("rope_theta", content.get("global_rope_theta", 160_000.0))


FAMILY = Family(
    name="modernbert",
    architectures={
        "encoder": Architecture("ModernBertModel"),
        "masked_lm": Architecture("ModernBertForMaskedLM"),
        "tagger": Architecture("ModernBertForTokenClassification"),
        "classifier": Architecture("ModernBertForSequenceClassification"),
        "span": Architecture("ModernBertForQuestionAnswering", (("span.", "classifier."),)),
        "choice": Architecture("ModernBertForMultipleChoice"),
    },
    prefix="model.",
    names=(
        ("encoder.embeddings.word.", "model.embeddings.tok_embeddings."),
        ("encoder.embeddings.norm.", "model.embeddings.norm."),
        ("encoder.layers.", "model.layers."),
        ("encoder.final_norm.", "model.final_norm."),
        (".attention.qkv.", ".attn.Wqkv."),
        (".attention.output.", ".attn.Wo."),
        (".attention_norm.", ".attn_norm."),
        (".feed_forward.input.", ".mlp.Wi."),
        (".feed_forward.output.", ".mlp.Wo."),
        (".feed_forward_norm.", ".mlp_norm."),
        ("transform.", "head."),
        ("vocabulary.bias", "decoder.bias"),
    ),
    qkv=(),
    copies=("decoder.weight",),
    computes=_computes,
    to_json=_to_json,
    from_json=_from_json,
)
