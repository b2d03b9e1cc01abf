"""What a family is: its classes, its config.json, and its names for tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.checks import Json, read_sizes

Kind = Literal[
    "encoder",
    "masked_lm",
    "next_sentence",
    "sentence_order",
    "replaced_token",
    "encoder_decoder",
    "classifier",
    "tagger",
    "feature_tagger",
    "span",
    "choice",
    "word_vectors",
]
"""A network: an encoder, and what it has on top."""
Replacements = tuple[tuple[str, str], ...]
"""Neutral names (see `bertsmith.export.naming`) to those on disk, tried one after another."""
SpecialIds = Mapping[str, int]
"""The tokenizer's pad, cls and sep ids."""


@dataclass(frozen=True)
class Architecture:
    """A class of transformers, or of ours."""

    name: str
    names: Replacements = ()
    """What it calls by other names than its family, tried first."""


@dataclass(frozen=True)
class Family:
    """Networks whose folders transformers, or only bertsmith, reads by one model_type."""

    name: str
    """The model_type."""
    architectures: Mapping[Kind, Architecture]
    prefix: str
    """Of the encoder's tensors on disk."""
    names: Replacements
    qkv: tuple[str, ...]
    """The parts of our joint projection; none where it is joint on disk."""
    copies: tuple[str, ...]
    """Where a file that stores the tied word embedding more than once has it; the first is the
    output matrix, where that is another."""
    computes: Callable[[ModelConfig], bool]
    """Whether its networks do exactly what a config says."""
    to_json: Callable[[ModelConfig, SpecialIds, float], Json]
    """(config, special ids, a classifier's dropout rate) -> config.json, without architectures
    and labels."""
    from_json: Callable[[Json, Path], tuple[Json, Any]]
    """(config.json, where) -> the values of a ModelConfig, and a classifier's dropout rate,
    neither of them checked. Raises ModelError for what our networks cannot do."""

    def kind_of(self, architecture: str) -> Kind | None:
        """The first kind whose class is called so; None where none is."""
        names = {kind: found.name for kind, found in self.architectures.items()}
        return next((kind for kind, name in names.items() if name == architecture), None)


SIZES = {
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocab_size",
}
"""Ours to theirs, as all families but T5 have them."""
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""Theirs to ours."""
BERT_ONLY: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
}
"""For `require_values`: of BERT and those after it."""
LAYER_QKV = ("self.query", "self.key", "self.value")
"""`Family.qkv` of BERT's layers."""


def is_plain(config: ModelConfig) -> bool:
    """Whether `config` is an encoder alone, with LayerNorm, on its embeddings too, with positions
    from 0, and with words scored as they are."""
    return (
        config.norm_kind == "layer"
        and config.embedding_norm
        and not config.inner_dropout
        and not config.causal
        and not config.num_decoder_layers
        and not config.position_offset
        and not config.scale_logits
    )


def is_bert_like(config: ModelConfig) -> bool:
    """Whether `config` has BERT's layers and is read from [CLS]."""
    return (
        is_plain(config)
        and config.norm == "post"
        and config.positions == "learned"
        and config.feed_forward in ("gelu", "gelu_tanh")
        and config.bias
        and config.pooling == "cls"
    )


def sizes_to_json(config: ModelConfig, special_ids: SpecialIds) -> Json:
    """What the config.json of all families but T5 begins with."""
    return {
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "max_position_embeddings": config.max_position_embeddings,
        "initializer_range": config.initializer_range,
        "pad_token_id": special_ids["pad"],
        "tie_word_embeddings": config.tied,
        "dtype": "float32",
    }


def bert_like_to_json(config: ModelConfig, special_ids: SpecialIds) -> Json:
    """What the config.json of BERT and those after it call by the same names."""
    return {
        **sizes_to_json(config, special_ids),
        "hidden_act": "gelu" if config.feed_forward == "gelu" else "gelu_new",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "type_vocab_size": config.type_vocab_size,
        "layer_norm_eps": config.layer_norm_eps,
    }


def bert_like_from_json(
    content: Json, where: Path, default_dropout: float = 0.1, default_activation: str = "gelu"
) -> Json:
    """`bert_like_to_json` the other way. Raises ModelError."""
    activation = content.get("hidden_act", default_activation)
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ModelError(
            f"hidden_act {activation!r} is not supported",
            where=where,
            mend=f"use a model with one of {', '.join(ACTIVATIONS)}",
        )
    return {
        **read_sizes(content, SIZES, where),
        "feed_forward": ACTIVATIONS[activation],
        "dropout": content.get("hidden_dropout_prob", default_dropout),
        "attention_dropout": content.get("attention_probs_dropout_prob", default_dropout),
        "max_position_embeddings": content.get("max_position_embeddings", 512),
        "type_vocab_size": content.get("type_vocab_size", 2),
        "layer_norm_eps": content.get("layer_norm_eps", 1e-12),
        "initializer_range": content.get("initializer_range", 0.02),
        "tied": content.get("tie_word_embeddings", True),
    }


def embedding_size(content: Json, where: Path) -> Any:
    """ALBERT's and ELECTRA's; a 0 would mean another network in a ModelConfig."""
    size = content.get("embedding_size", 128)
    if not size:
        raise ModelError(
            f"has an embedding_size of {size!r}", where=where, mend="use an unchanged model"
        )
    return size


def classifier_dropout(content: Json, dropout: Any) -> Any:
    """A rate of its own, or, where there is none, the encoder's."""
    rate = content.get("classifier_dropout")
    return dropout if rate is None else rate


def embedding_names(prefix: str) -> Replacements:
    """BERT's embeddings, as every family after it has them."""
    return (
        ("encoder.embeddings.word.", f"{prefix}embeddings.word_embeddings."),
        ("encoder.embeddings.position.", f"{prefix}embeddings.position_embeddings."),
        ("encoder.embeddings.token_type.", f"{prefix}embeddings.token_type_embeddings."),
        ("encoder.embeddings.norm.", f"{prefix}embeddings.LayerNorm."),
    )


def layer_names(prefix: str) -> Replacements:
    """BERT's layers, as most families after it have them."""
    return (
        ("encoder.layers.", f"{prefix}encoder.layer."),
        (".attention.output.", ".attention.output.dense."),
        (".attention_norm.", ".attention.output.LayerNorm."),
        (".feed_forward.input.", ".intermediate.dense."),
        (".feed_forward.output.", ".output.dense."),
        (".feed_forward_norm.", ".output.LayerNorm."),
    )
