"""T5 (Raffel et al. 2020), version 1.0 of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.checks import Json, read_sizes, require_values
from bertsmith.export.families.base import Architecture, Family, SpecialIds

_FIXED: Json = {
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


def _computes(config: ModelConfig) -> bool:
    """T5 has one rate of dropout."""
    rates = {config.dropout, config.attention_dropout, config.inner_dropout}
    fixed = all(getattr(config, name) == value for name, value in _FIXED.items())
    return config.num_decoder_layers > 0 and fixed and len(rates) == 1


def _to_json(config: ModelConfig, special_ids: SpecialIds, dropout: float) -> Json:
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


def _from_json(content: Json, where: Path) -> tuple[Json, Any]:
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
        **_FIXED,
        **sizes,
        "num_decoder_layers": content.get("num_decoder_layers") or sizes["num_layers"],
        "relative_buckets": content.get("relative_attention_num_buckets", 32),
        "relative_distance": content.get("relative_attention_max_distance", 128),
        "max_position_embeddings": content.get("n_positions", 512),
        "layer_norm_eps": content.get("layer_norm_epsilon", 1e-6),
        **dict.fromkeys(("dropout", "attention_dropout", "inner_dropout"), dropout),
    }
    return values, content.get("classifier_dropout", 0.0)


FAMILY = Family(
    name="t5",
    architectures={
        "encoder": Architecture("T5EncoderModel"),
        "encoder_decoder": Architecture("T5ForConditionalGeneration"),
    },
    prefix="encoder.",
    names=(
        ("encoder.embeddings.word.", "shared."),
        (
            "encoder.relative.table.",
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.",
        ),
        (
            "decoder.relative.table.",
            "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.",
        ),
        ("encoder.layers.#.feed_forward_norm.", "encoder.block.#.layer.1.layer_norm."),
        ("encoder.layers.#.feed_forward.", "encoder.block.#.layer.1.DenseReluDense."),
        ("decoder.layers.#.feed_forward_norm.", "decoder.block.#.layer.2.layer_norm."),
        ("decoder.layers.#.feed_forward.", "decoder.block.#.layer.2.DenseReluDense."),
        ("encoder.layers.", "encoder.block."),
        ("decoder.layers.", "decoder.block."),
        ("encoder.final_norm.", "encoder.final_layer_norm."),
        ("decoder.final_norm.", "decoder.final_layer_norm."),
        (".attention_norm.", ".layer.0.layer_norm."),
        (".attention.", ".layer.0.SelfAttention."),
        (".cross_attention_norm.", ".layer.1.layer_norm."),
        (".cross_attention.", ".layer.1.EncDecAttention."),
        (".DenseReluDense.input.", ".DenseReluDense.wi."),
        (".DenseReluDense.output.", ".DenseReluDense.wo."),
        (".output.", ".o."),
    ),
    qkv=("q", "k", "v"),
    copies=("lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
    computes=_computes,
    to_json=_to_json,
    from_json=_from_json,
)
