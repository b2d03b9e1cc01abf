"""RoBERTa (Liu et al. 2019): BERT's network, with a place for padding among its positions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.checks import Json, require_values
from bertsmith.export.families import bert
from bertsmith.export.families.base import (
    BERT_ONLY,
    Architecture,
    SpecialIds,
    bert_like_from_json,
    bert_like_to_json,
    classifier_dropout,
    embedding_names,
    layer_names,
)

_ONLY = {**BERT_ONLY, "hidden_act": ("gelu", "gelu_python")}
"""Its heads take the exact GELU, whatever hidden_act says."""


def _computes(config: ModelConfig) -> bool:
    """Positions begin after the padding's own, whatever id that has."""
    plain = config.model_copy(update={"position_offset": 0})
    return (
        config.position_offset > 0 and config.feed_forward == "gelu" and bert.FAMILY.computes(plain)
    )


def _to_json(config: ModelConfig, special_ids: SpecialIds, dropout: float) -> Json:
    return {
        "model_type": "roberta",
        **bert_like_to_json(config, special_ids),
        "max_position_embeddings": config.max_position_embeddings + config.position_offset,
        "bos_token_id": special_ids["cls"],
        "eos_token_id": special_ids["sep"],
        "classifier_dropout": dropout,
    }


def _from_json(content: Json, where: Path) -> tuple[Json, Any]:
    require_values(content, _ONLY, where)
    values = bert_like_from_json(content, where)
    pad, rows = content.get("pad_token_id", 1), values["max_position_embeddings"]
    if not isinstance(pad, int) or pad < 0 or not isinstance(rows, int) or rows <= pad + 1:
        raise ModelError(
            f"pad_token_id {pad!r} leaves no position of {rows!r}",
            where=where,
            mend="use an unchanged model",
        )
    places = {"position_offset": pad + 1, "max_position_embeddings": rows - pad - 1}
    return values | places, classifier_dropout(content, values["dropout"])


FAMILY = replace(
    bert.FAMILY,
    name="roberta",
    architectures={
        "encoder": Architecture("RobertaModel"),
        "masked_lm": Architecture("RobertaForMaskedLM"),
        "span": Architecture("RobertaForQuestionAnswering", (("span.", "qa_outputs."),)),
        "choice": Architecture("RobertaForMultipleChoice"),
        "tagger": Architecture("RobertaForTokenClassification"),
        "classifier": Architecture(
            "RobertaForSequenceClassification",
            (("classifier.", "classifier.out_proj."), ("pooler.", "classifier.")),
        ),
    },
    prefix="roberta.",
    names=(
        *embedding_names("roberta."),
        *layer_names("roberta."),
        ("pooler.", "roberta.pooler."),
        ("transform.dense.", "lm_head.dense."),
        ("transform.norm.", "lm_head.layer_norm."),
        ("vocabulary.bias", "lm_head.bias"),
    ),
    copies=("lm_head.decoder.weight",),
    computes=_computes,
    to_json=_to_json,
    from_json=_from_json,
)
