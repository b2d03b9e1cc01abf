"""T5's config.json (Raffel et al. 2020), version 1.0 of the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.checks import Json, read_sizes, require_values

FIXED: Json = {
    "norm": "pre",
    "norm_kind": "rms",
    "embedding_norm": False,
    "positions": "relative",
    "feed_forward": "relu",
    "bias": False,
    "scale_logits": True,
    "pooling": "mean",
    "pooler": "tanh",
    "share": "none",
    "embedding_size": 0,
    "type_vocab_size": 0,
}
"""What every T5 has, as a ModelConfig says it."""
_SIZES = {
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "hidden_size": "d_model",
    "intermediate_size": "d_ff",
    "vocab_size": "vocab_size",
}
_ONLY: dict[str, tuple[Any, ...]] = {
    "feed_forward_proj": ("relu",),
    "tie_word_embeddings": (True,),
    "scale_decoder_outputs": (True,),
    "is_encoder_decoder": (True, False),
    "is_decoder": (False,),
}


def is_t5(config: ModelConfig) -> bool:
    """Whether `config` is a T5, with its one rate of dropout."""
    rates = {config.dropout, config.attention_dropout, config.inner_dropout}
    fixed = all(getattr(config, name) == value for name, value in FIXED.items())
    return config.num_decoder_layers > 0 and fixed and len(rates) == 1


def to_json(config: ModelConfig, special_ids: Mapping[str, int]) -> Json:
    """config.json, without architectures."""
    return {
        "model_type": "t5",
        **{theirs: getattr(config, ours) for ours, theirs in _SIZES.items()},
        "d_kv": config.head_size,
        "num_decoder_layers": config.num_decoder_layers,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_distance,
        "n_positions": config.max_position_embeddings,
        "feed_forward_proj": "relu",
        "dropout_rate": config.dropout,
        "layer_norm_epsilon": config.layer_norm_eps,
        "is_encoder_decoder": True,
        "tie_word_embeddings": True,
        "pad_token_id": special_ids["pad"],
        "decoder_start_token_id": special_ids["pad"],
        "eos_token_id": special_ids["sep"],
        "dtype": "float32",
    }


def from_json(content: Json, where: Path) -> tuple[Json, Any]:
    """The values of a ModelConfig, and a classifier's dropout rate."""
    require_values(content, _ONLY, where)
    sizes = read_sizes(content, _SIZES, where)
    heads, width = sizes["num_heads"], content.get("d_kv", 64)
    whole = isinstance(heads, int) and isinstance(width, int)
    if not whole or heads * width != sizes["hidden_size"]:
        raise ModelError(
            f"num_heads {heads!r} of d_kv {width!r} do not make its d_model",
            where=where,
            mend="use a model whose heads fill its width",
        )
    dropout = content.get("dropout_rate", 0.1)
    values = {
        **FIXED,
        **sizes,
        "num_decoder_layers": content.get("num_decoder_layers") or sizes["num_layers"],
        "relative_buckets": content.get("relative_attention_num_buckets", 32),
        "relative_distance": content.get("relative_attention_max_distance", 128),
        "max_position_embeddings": content.get("n_positions", 512),
        "layer_norm_eps": content.get("layer_norm_epsilon", 1e-6),
        **dict.fromkeys(("dropout", "attention_dropout", "inner_dropout"), dropout),
    }
    return values, content.get("classifier_dropout", 0.0)
