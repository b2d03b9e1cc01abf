"""ALBERT (Lan et al. 2020), with one group of layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bertsmith.config import ModelConfig
from bertsmith.export.checks import Json, require_values
from bertsmith.export.families.base import (
    Architecture,
    Family,
    SpecialIds,
    bert_like_from_json,
    bert_like_to_json,
    embedding_names,
    embedding_size,
    is_bert_like,
)

_ONLY: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute",),
    "num_hidden_groups": (1,),
    "inner_group_num": (1,),
}


def _computes(config: ModelConfig) -> bool:
    return (
        is_bert_like(config)
        and config.type_vocab_size > 0
        and (config.pooler, config.share) == ("tanh", "all")
        and config.embedding_size > 0
    )


def _to_json(config: ModelConfig, special_ids: SpecialIds, dropout: float) -> Json:
    return {
        "model_type": "albert",
        **bert_like_to_json(config, special_ids),
        "classifier_dropout_prob": dropout,
        "embedding_size": config.embedding_size,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "bos_token_id": special_ids["cls"],
        "eos_token_id": special_ids["sep"],
    }


def _from_json(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, _ONLY, where)
    values = {
        **bert_like_from_json(content, where, default_dropout=0.0, default_activation="gelu_new"),
        "embedding_size": embedding_size(content, where),
        "share": "all",
    }
    return values, content.get("classifier_dropout_prob", 0.1)


FAMILY = Family(
    name="albert",
    architectures={
        "encoder": Architecture("AlbertModel"),
        "sentence_order": Architecture("AlbertForPreTraining"),
        "masked_lm": Architecture("AlbertForMaskedLM"),
        "tagger": Architecture("AlbertForTokenClassification"),
        "classifier": Architecture("AlbertForSequenceClassification"),
        "span": Architecture("AlbertForQuestionAnswering", (("span.", "qa_outputs."),)),
        "choice": Architecture("AlbertForMultipleChoice"),
    },
    prefix="albert.",
    names=(
        *embedding_names("albert."),
        ("encoder.embeddings.projection.", "albert.encoder.embedding_hidden_mapping_in."),
        ("encoder.layers.0.", "albert.encoder.albert_layer_groups.0.albert_layers.0."),
        (".attention.output.", ".attention.dense."),
        (".attention_norm.", ".attention.LayerNorm."),
        (".feed_forward.input.", ".ffn."),
        (".feed_forward.output.", ".ffn_output."),
        (".feed_forward_norm.", ".full_layer_layer_norm."),
        ("pooler.dense.", "albert.pooler."),
        ("transform.dense.", "predictions.dense."),
        ("transform.norm.", "predictions.LayerNorm."),
        ("vocabulary.bias", "predictions.bias"),
        ("sentence_order.", "sop_classifier.classifier."),
    ),
    qkv=("query", "key", "value"),
    copies=("predictions.decoder.weight",),
    computes=_computes,
    to_json=_to_json,
    from_json=_from_json,
)
