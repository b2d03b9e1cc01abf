"""ELECTRA (Clark et al. 2020): discriminators, and their generators as masked LMs."""

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
    embedding_size,
    is_bert_like,
    layer_names,
)

_ONLY = {**BERT_ONLY, "hidden_act": ("gelu", "gelu_python")}
"""Its heads take the exact GELU, whatever hidden_act says."""
_CHOICE = "ElectraForMultipleChoice"
_SUMMARY: dict[str, tuple[Any, ...]] = {
    "summary_type": ("first",),
    "summary_use_proj": (True,),
    "summary_activation": ("gelu", "gelu_python"),
}
"""What the class _CHOICE alone makes of a sequence's vectors."""


def _computes(config: ModelConfig) -> bool:
    return (
        is_bert_like(config)
        and config.type_vocab_size > 0
        and (config.feed_forward, config.pooler, config.share) == ("gelu", "gelu", "none")
        and config.embedding_size != config.hidden_size
    )


def _to_json(config: ModelConfig, special_ids: SpecialIds, dropout: float) -> Json:
    return {
        "model_type": "electra",
        **bert_like_to_json(config, special_ids),
        "classifier_dropout": dropout,
        "embedding_size": config.embedding_width,
    }


def _from_json(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, _ONLY, where)
    if content.get("architectures") == [_CHOICE]:
        require_values(content, _SUMMARY, where)
    size = embedding_size(content, where)
    values = bert_like_from_json(content, where)
    own = {"embedding_size": 0 if size == values["hidden_size"] else size, "pooler": "gelu"}
    return values | own, classifier_dropout(content, values["dropout"])


FAMILY = Family(
    name="electra",
    architectures={
        "encoder": Architecture("ElectraModel"),
        "replaced_token": Architecture("ElectraForPreTraining"),
        "masked_lm": Architecture("ElectraForMaskedLM"),
        "tagger": Architecture("ElectraForTokenClassification"),
        "classifier": Architecture(
            "ElectraForSequenceClassification",
            (("classifier.", "classifier.out_proj."), ("pooler.", "classifier.")),
        ),
        "span": Architecture("ElectraForQuestionAnswering", (("span.", "qa_outputs."),)),
        "choice": Architecture(_CHOICE, (("pooler.dense.", "sequence_summary.summary."),)),
    },
    prefix="electra.",
    names=(
        *embedding_names("electra."),
        ("encoder.embeddings.projection.", "electra.embeddings_project."),
        *layer_names("electra."),
        ("transform.dense.", "generator_predictions.dense."),
        ("transform.norm.", "generator_predictions.LayerNorm."),
        ("vocabulary.bias", "generator_lm_head.bias"),
        ("replaced_token.dense.", "discriminator_predictions.dense."),
        ("replaced_token.classifier.", "discriminator_predictions.dense_prediction."),
    ),
    qkv=LAYER_QKV,
    copies=("generator_lm_head.weight",),
    computes=_computes,
    to_json=_to_json,
    from_json=_from_json,
)
