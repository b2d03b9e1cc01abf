"""BERT (Devlin et al. 2019)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bertsmith.config import ModelConfig
from bertsmith.export.checks import Json, require_values
from bertsmith.export.families.base import (
    BERT_ONLY,
    LAYER_QKV,
    Architecture,
    Family,
    SpecialIds,
    bert_like_from_json,
    bert_like_to_json,
    classifier_dropout,
    embedding_names,
    is_bert_like,
    layer_names,
)


def _computes(config: ModelConfig) -> bool:
    return (
        is_bert_like(config)
        and config.type_vocab_size > 0
        and (config.pooler, config.share, config.embedding_size) == ("tanh", "none", 0)
    )


def _to_json(config: ModelConfig, special_ids: SpecialIds, dropout: float) -> Json:
    return {
        "model_type": "bert",
        **bert_like_to_json(config, special_ids),
        "classifier_dropout": dropout,
    }


def _from_json(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, BERT_ONLY, where)
    values = bert_like_from_json(content, where)
    return values, classifier_dropout(content, values["dropout"])


FAMILY = Family(
    name="bert",
    architectures={
        "encoder": Architecture("BertModel"),
        "next_sentence": Architecture("BertForPreTraining"),
        "masked_lm": Architecture("BertForMaskedLM"),
        "tagger": Architecture("BertForTokenClassification"),
        "classifier": Architecture("BertForSequenceClassification"),
        "span": Architecture("BertForQuestionAnswering", (("span.", "qa_outputs."),)),
        "choice": Architecture("BertForMultipleChoice"),
    },
    prefix="bert.",
    names=(
        *embedding_names("bert."),
        *layer_names("bert."),
        ("pooler.", "bert.pooler."),
        ("transform.dense.", "cls.predictions.transform.dense."),
        ("transform.norm.", "cls.predictions.transform.LayerNorm."),
        ("vocabulary.bias", "cls.predictions.bias"),
        ("next_sentence.", "cls.seq_relationship."),
    ),
    qkv=LAYER_QKV,
    copies=("cls.predictions.decoder.weight",),
    computes=_computes,
    to_json=_to_json,
    from_json=_from_json,
)
