"""config.json <-> ModelConfig, for every family that we read and write.

What a family's config can say and our encoder cannot do is refused by name, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from bertsmith.config import MAX_VOCABULARY, ModelConfig, validate
from bertsmith.errors import ConfigError, ModelError
from bertsmith.export import t5
from bertsmith.export.checks import Json, read_sizes, require_values
from bertsmith.export.naming import Family

MAX_LABELS = 1 << 20
Kind = Literal[
    "encoder",
    "masked_lm",
    "next_sentence",
    "sentence_order",
    "replaced_token",
    "encoder_decoder",
    "classifier",
    "word_vectors",
]

ARCHITECTURES: dict[Family, dict[Kind, str]] = {
    "bert": {
        "encoder": "BertModel",
        "next_sentence": "BertForPreTraining",
        "masked_lm": "BertForMaskedLM",
        "classifier": "BertForSequenceClassification",
    },
    "albert": {
        "encoder": "AlbertModel",
        "sentence_order": "AlbertForPreTraining",
        "masked_lm": "AlbertForMaskedLM",
        "classifier": "AlbertForSequenceClassification",
    },
    "electra": {
        "encoder": "ElectraModel",
        "replaced_token": "ElectraForPreTraining",
        "masked_lm": "ElectraForMaskedLM",
        "classifier": "ElectraForSequenceClassification",
    },
    "modernbert": {
        "encoder": "ModernBertModel",
        "masked_lm": "ModernBertForMaskedLM",
        "classifier": "ModernBertForSequenceClassification",
    },
    "t5": {
        "encoder": "T5EncoderModel",
        "encoder_decoder": "T5ForConditionalGeneration",
    },
    "bertsmith": {
        "encoder": "Encoder",
        "next_sentence": "MaskedLM",
        "sentence_order": "MaskedLM",
        "replaced_token": "ReplacedTokenDetector",
        "encoder_decoder": "EncoderDecoder",
        "masked_lm": "MaskedLM",
        "classifier": "SequenceClassifier",
        "word_vectors": "Word2Vec",
    },
}

_BERT_ONLY: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
}
_ALBERT_ONLY: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute",),
    "num_hidden_groups": (1,),
    "inner_group_num": (1,),
}
_ELECTRA_ONLY = {**_BERT_ONLY, "hidden_act": ("gelu", "gelu_python")}
"""Its heads take the exact GELU, whatever hidden_act says."""
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_MODERNBERT_ONLY: dict[str, tuple[Any, ...]] = {
    "hidden_activation": ("gelu",),
    "classifier_activation": ("gelu",),
    "decoder_bias": (True,),
}
PROBLEM_TYPES = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)
_MODERNBERT_BIASES = ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias")
_SIZES = {
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocab_size",
}


@dataclass(frozen=True)
class Description:
    """What a config.json says.

    `labels` and `problem_type`, one of PROBLEM_TYPES, only where its model is a sequence
    classifier.
    """

    family: Family
    architecture: str
    config: ModelConfig
    classifier_dropout: float
    labels: tuple[str, ...] | None
    problem_type: str | None
    pad_token_id: int | None
    extra: Mapping[str, Any]


def family_of(config: ModelConfig) -> Family:
    """The Hugging Face family that computes exactly what `config` does, or our own."""
    if t5.is_t5(config):
        return "t5"
    if (
        config.norm_kind != "layer"
        or not config.embedding_norm
        or config.inner_dropout
        or config.num_decoder_layers
    ):
        return "bertsmith"
    if (
        config.norm == "post"
        and config.positions == "learned"
        and config.feed_forward in ("gelu", "gelu_tanh")
        and config.bias
        and config.pooling == "cls"
        and config.type_vocab_size
    ):
        match config.pooler, config.share, config.embedding_size:
            case "tanh", "none", 0:
                return "bert"
            case "tanh", "all", size if size:
                return "albert"
            case "gelu", "none", size if size != config.hidden_size:
                return "electra" if config.feed_forward == "gelu" else "bertsmith"
            case _:
                return "bertsmith"
    if (
        config.norm == "pre"
        and config.positions == "rotary"
        and config.feed_forward == "geglu"
        and config.pooler == "tanh"
        and not config.type_vocab_size
        and not config.embedding_size
    ):
        return "modernbert"
    return "bertsmith"


def to_json(
    config: ModelConfig,
    family: Family,
    classifier_dropout: float,
    special_ids: Mapping[str, int],
) -> Json:
    """The config.json of `family`, without architectures and labels.

    `special_ids` are the tokenizer's pad, cls and sep ids.
    """
    common: Json = {
        **{theirs: getattr(config, ours) for ours, theirs in _SIZES.items()},
        "max_position_embeddings": config.max_position_embeddings,
        "initializer_range": config.initializer_range,
        "pad_token_id": special_ids["pad"],
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    match family:
        case "bert":
            return {
                "model_type": "bert",
                **common,
                **_post_norm_to_json(config),
                "classifier_dropout": classifier_dropout,
            }
        case "albert":
            return {
                "model_type": "albert",
                **common,
                **_post_norm_to_json(config),
                "classifier_dropout_prob": classifier_dropout,
                "embedding_size": config.embedding_size,
                "num_hidden_groups": 1,
                "inner_group_num": 1,
                "bos_token_id": special_ids["cls"],
                "eos_token_id": special_ids["sep"],
            }
        case "electra":
            return {
                "model_type": "electra",
                **common,
                **_post_norm_to_json(config),
                "classifier_dropout": classifier_dropout,
                "embedding_size": config.embedding_width,
            }
        case "modernbert":
            rope = {"rope_type": "default", "rope_theta": config.rope_theta}
            return {
                "model_type": "modernbert",
                **common,
                "hidden_activation": "gelu",
                "classifier_activation": "gelu",
                "classifier_dropout": classifier_dropout,
                "classifier_pooling": config.pooling,
                "embedding_dropout": config.dropout,
                "mlp_dropout": config.dropout,
                "attention_dropout": config.attention_dropout,
                "norm_eps": config.layer_norm_eps,
                **dict.fromkeys(_MODERNBERT_BIASES, config.bias),
                "decoder_bias": True,
                "layer_types": ["full_attention"] * config.num_layers,
                "rope_parameters": {"full_attention": rope, "sliding_attention": rope},
                "cls_token_id": special_ids["cls"],
                "bos_token_id": special_ids["cls"],
                "sep_token_id": special_ids["sep"],
                "eos_token_id": special_ids["sep"],
            }
        case "t5":
            return t5.to_json(config, special_ids)
        case "bertsmith":
            return {
                "model_type": "bertsmith",
                "model": config.model_dump(mode="json"),
                "classifier_dropout": classifier_dropout,
                "pad_token_id": special_ids["pad"],
            }


def _post_norm_to_json(config: ModelConfig) -> Json:
    """What the config.json of BERT, ALBERT and ELECTRA call by the same names."""
    return {
        "hidden_act": "gelu" if config.feed_forward == "gelu" else "gelu_new",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "type_vocab_size": config.type_vocab_size,
        "layer_norm_eps": config.layer_norm_eps,
    }


def from_json(content: Json, where: Path) -> Description:
    """Read a config.json. Raises ModelError for anything that we could not compute exactly."""
    if "auto_map" in content:
        raise ModelError(
            "asks for code of its own to be run (auto_map)",
            where=where,
            mend="use a model whose code is part of transformers",
        )
    family = _family(content, where)
    values, rate = _READERS[family](content, where)
    try:
        config = validate(ModelConfig, values, where)
    except ConfigError as error:
        raise ModelError(error.what, where=where, mend="use a whole, unchanged model") from None
    if not 1 <= config.vocab_size <= MAX_VOCABULARY:
        raise ModelError(
            f"vocab_size {config.vocab_size} is not between 1 and {MAX_VOCABULARY}",
            where=where,
            mend="use a whole, unchanged model",
        )
    if not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise ModelError(f"classifier_dropout {rate!r} is no rate", where=where)
    pad, extra = content.get("pad_token_id"), content.get("bertsmith")
    classifies = _architecture(content) == ARCHITECTURES[family].get("classifier")
    labels = _labels(content, where) if classifies else None
    return Description(
        family=family,
        architecture=_architecture(content),
        config=config,
        classifier_dropout=float(rate),
        labels=labels,
        problem_type=_problem_type(content, len(labels), where) if labels else None,
        pad_token_id=pad if isinstance(pad, int) else None,
        extra=extra if isinstance(extra, dict) else {},
    )


def _family(content: Json, where: Path) -> Family:
    given = content.get("model_type")
    for family in get_args(Family):
        if given == family:
            return cast(Family, family)
    known = ", ".join(get_args(Family))
    raise ModelError(f"is of model_type {given!r}", where=where, mend=f"use one of {known}")


def _read_bert(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, _BERT_ONLY, where)
    values = _read_post_norm(content, where, default_dropout=0.1, default_activation="gelu")
    rate = content.get("classifier_dropout")
    return values, values["dropout"] if rate is None else rate


def _read_albert(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, _ALBERT_ONLY, where)
    values = {
        **_read_post_norm(content, where, default_dropout=0.0, default_activation="gelu_new"),
        "embedding_size": _embedding_size(content, where),
        "share": "all",
    }
    return values, content.get("classifier_dropout_prob", 0.1)


def _read_electra(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, _ELECTRA_ONLY, where)
    size = _embedding_size(content, where)
    values = {
        **_read_post_norm(content, where, default_dropout=0.1, default_activation="gelu"),
        "embedding_size": 0 if size == content["hidden_size"] else size,
        "pooler": "gelu",
    }
    rate = content.get("classifier_dropout")
    return values, values["dropout"] if rate is None else rate


def _embedding_size(content: Json, where: Path) -> Any:
    """ALBERT's and ELECTRA's; a 0 would mean another network in a ModelConfig."""
    size = content.get("embedding_size", 128)
    if not size:
        raise ModelError(
            f"has an embedding_size of {size!r}", where=where, mend="use an unchanged model"
        )
    return size


def _read_post_norm(
    content: Json, where: Path, default_dropout: float, default_activation: str
) -> Json:
    """What the config.json of BERT, ALBERT and ELECTRA call by the same names."""
    activation = content.get("hidden_act", default_activation)
    if not isinstance(activation, str) or activation not in _ACTIVATIONS:
        raise ModelError(
            f"hidden_act {activation!r} is not supported",
            where=where,
            mend=f"use a model with one of {', '.join(_ACTIVATIONS)}",
        )
    return {
        **read_sizes(content, _SIZES, where),
        "feed_forward": _ACTIVATIONS[activation],
        "dropout": content.get("hidden_dropout_prob", default_dropout),
        "attention_dropout": content.get("attention_probs_dropout_prob", default_dropout),
        "max_position_embeddings": content.get("max_position_embeddings", 512),
        "type_vocab_size": content.get("type_vocab_size", 2),
        "layer_norm_eps": content.get("layer_norm_eps", 1e-12),
        "initializer_range": content.get("initializer_range", 0.02),
    }


def _read_modernbert(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, _MODERNBERT_ONLY, where)
    biases = {bool(content.get(key, False)) for key in _MODERNBERT_BIASES}
    if len(biases) > 1:
        raise ModelError(
            f"has biases in some layers only ({', '.join(_MODERNBERT_BIASES)})",
            where=where,
            mend="use a model with biases everywhere or nowhere",
        )
    sizes = read_sizes(content, _SIZES, where)
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
    }
    return values, content.get("classifier_dropout", 0.0)


def _read_own(content: Json, where: Path) -> tuple[Json, Any]:
    values = content.get("model")
    if not isinstance(values, dict):
        raise ModelError('has no table "model"', where=where, mend="save the model again")
    return values, content.get("classifier_dropout", 0.1)


_READERS = {
    "bert": _read_bert,
    "albert": _read_albert,
    "electra": _read_electra,
    "modernbert": _read_modernbert,
    "t5": t5.from_json,
    "bertsmith": _read_own,
}


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


def _architecture(content: Json) -> str:
    names = content.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def _labels(content: Json, where: Path) -> tuple[str, ...]:
    by_id = content.get("id2label")
    if by_id is None:  # transformers leaves out what is its default
        count = content.get("num_labels", 2)
        if not isinstance(count, int) or not 1 <= count <= MAX_LABELS:
            raise ModelError(f"num_labels is {count!r}", where=where, mend="name them in id2label")
        return tuple(f"LABEL_{index}" for index in range(count))
    numbers = [str(index) for index in range(len(by_id))] if isinstance(by_id, dict) else []
    if not numbers or set(numbers) != set(by_id):
        raise ModelError("id2label does not number the labels from 0", where=where)
    labels = tuple(by_id[number] for number in numbers)
    if not all(isinstance(label, str) for label in labels):
        raise ModelError("id2label has labels that are not text", where=where)
    return labels


def _problem_type(content: Json, num_labels: int, where: Path) -> str:
    """Where it is not said, one output is a number and several are classes, as transformers
    trains them."""
    given = content.get("problem_type")
    if given is None:
        return "regression" if num_labels == 1 else "single_label_classification"
    if given not in PROBLEM_TYPES:
        raise ModelError(
            f"problem_type {given!r} is not supported",
            where=where,
            mend=f"use a model with one of {', '.join(PROBLEM_TYPES)}",
        )
    if given == "regression" and num_labels > 1:
        raise ModelError(
            f"is a regression of {num_labels} numbers", where=where, mend="use a model of one"
        )
    return str(given)
