"""Our own format, "bertsmith": any ModelConfig and any network of ours, under neutral names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.checks import Json
from bertsmith.export.families.base import Architecture, Family, SpecialIds


def _to_json(config: ModelConfig, special_ids: SpecialIds, dropout: float) -> Json:
    return {
        "model_type": "bertsmith",
        "model": config.model_dump(mode="json"),
        "classifier_dropout": dropout,
        "pad_token_id": special_ids["pad"],
    }


def _from_json(content: Json, where: Path) -> tuple[Json, Any]:
    values = content.get("model")
    if not isinstance(values, dict):
        raise ModelError('has no table "model"', where=where, mend="save the model again")
    return values, content.get("classifier_dropout", 0.1)


FAMILY = Family(
    name="bertsmith",
    architectures={
        "encoder": Architecture("Encoder"),
        "next_sentence": Architecture("MaskedLM"),
        "sentence_order": Architecture("MaskedLM"),
        "replaced_token": Architecture("ReplacedTokenDetector"),
        "encoder_decoder": Architecture("EncoderDecoder"),
        "masked_lm": Architecture("MaskedLM"),
        "tagger": Architecture("TokenClassifier"),
        "feature_tagger": Architecture("FeatureTagger"),
        "classifier": Architecture("SequenceClassifier"),
        "span": Architecture("SpanModel"),
        "choice": Architecture("ChoiceModel"),
        "word_vectors": Architecture("Word2Vec"),
    },
    prefix="encoder.",
    names=(),
    qkv=(),
    copies=(),
    computes=lambda config: True,
    to_json=_to_json,
    from_json=_from_json,
)
