"""Model folders in the Hugging Face format, out and in.

    config.json  model.safetensors  tokenizer.json  tokenizer_config.json  vocab.txt  README.md
    vectors.txt (word2vec alone: its vectors in their own text format)

Seven families are written so that transformers computes our numbers: "bert" (Devlin et al.
2019), "albert" (Lan et al. 2020), "electra" (Clark et al. 2020), "roberta" (Liu et al. 2019),
"distilbert" (Sanh et al. 2019), "modernbert" (Warner et al. 2024) and "t5" (Raffel et al.
2020). Any other ModelConfig, an ablation, is written as model_type "bertsmith", which only
bertsmith reads. No pickle is ever read, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bertsmith.errors import ModelError
from bertsmith.export.configs import PROBLEM_TYPES
from bertsmith.export.families import family_of
from bertsmith.export.folder import CONFIG, ModelFolder, load_tokenizer, read_model, require_fit
from bertsmith.export.model_card import model_card
from bertsmith.export.naming import neutral_name
from bertsmith.export.networks import (
    kind_of,
    load_classifier,
    load_encoder,
    load_encoder_decoder,
    load_finetuned,
    load_for_classification,
    load_for_finetuning,
    load_masked_lm,
    load_model,
    load_replaced_token_detector,
    load_tagger,
    load_word2vec,
    networks_of,
)
from bertsmith.export.vectors import write_vectors
from bertsmith.export.weights import WEIGHTS, disk_state, write_weights
from bertsmith.files import replace_folder
from bertsmith.nn.features import FeatureTagger
from bertsmith.nn.models import SequenceClassifier, TokenClassifier, config_of
from bertsmith.nn.word2vec import Word2Vec
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import WordVectors

__all__ = [
    "ModelFolder",
    "architecture_of",
    "load_classifier",
    "load_encoder",
    "load_encoder_decoder",
    "load_finetuned",
    "load_for_classification",
    "load_for_finetuning",
    "load_masked_lm",
    "load_model",
    "load_replaced_token_detector",
    "load_tagger",
    "load_tokenizer",
    "load_word2vec",
    "networks_of",
    "read_model",
    "save_model",
    "vectors_of",
]

LABELLED = (SequenceClassifier, TokenClassifier, FeatureTagger)
"""Networks whose outputs have names."""
VECTORS = "vectors.txt"
"""Of a word2vec model: its vectors as text, see `bertsmith.export.vectors`."""


def save_model(
    folder: str | Path,
    model: nn.Module,
    tokenizer: Tokenizer,
    *,
    labels: Sequence[str] | None = None,
    problem_type: str = PROBLEM_TYPES[0],
    card: str = "",
    extra_config: Mapping[str, Any] | None = None,
) -> None:
    """Write `model` as a model folder, whole or not at all; an older model there is replaced.

    `labels` name the outputs of a classifier, in their order, and `problem_type`, one of
    PROBLEM_TYPES, says what they mean. `card` is the README.md; a short one is made where it is
    empty. `extra_config` is kept in config.json under "bertsmith". Raises ModelError where
    `folder` holds something else than a model, or where tokenizer or labels do not fit the model;
    TypeError for a class of networks that no format is known for.
    """
    folder = Path(folder)
    config, kind = config_of(model), kind_of(model)
    family = family_of(config, kind)
    architecture = family.architectures[kind].name
    require_fit(tokenizer, config, folder, "save the tokenizer that the model was trained with")
    content: dict[str, Any] = {
        "architectures": [architecture],
        **family.to_json(config, _special_ids(tokenizer), _classifier_dropout(model)),
    }
    names = _label_names(model, labels, folder)
    if names is not None:
        content["id2label"] = {str(index): name for index, name in enumerate(names)}
        content["label2id"] = {name: index for index, name in enumerate(names)}
        if kind == "classifier":
            content["problem_type"] = problem_type
    if extra_config:
        content["bertsmith"] = dict(extra_config)
    neutral = {neutral_name(own, config): part for own, part in model.state_dict().items()}
    state = disk_state(neutral, family, kind)
    text = card or model_card(
        folder.resolve().name,
        architecture=architecture,
        labels=names,
        mask="" if config.causal else tokenizer.specials[-1],
    )
    with replace_folder(folder, holds=CONFIG, error=ModelError) as temporary:
        (temporary / CONFIG).write_text(_dumps(content), "utf-8")
        (temporary / "README.md").write_text(text, "utf-8")
        tokenizer.save(temporary, max_length=config.max_position_embeddings)
        write_weights(temporary / WEIGHTS, state)
        if isinstance(model, Word2Vec):
            write_vectors(temporary / VECTORS, vectors_of(model, tokenizer))


def architecture_of(model: nn.Module) -> tuple[str, str]:
    """The family that `model` is written as, and its class there.

    A pair head that the family does not have (ModernBERT any, BERT one for the sentences'
    order) makes it our own format. Raises TypeError for a class of networks that no format is
    known for.
    """
    kind = kind_of(model)
    family = family_of(config_of(model), kind)
    return family.name, family.architectures[kind].name


def vectors_of(model: Word2Vec, tokenizer: Tokenizer) -> WordVectors:
    """The input vectors of the words of `tokenizer`, special tokens left out."""
    kept = [index for index in range(tokenizer.vocab_size) if index not in tokenizer.special_ids]
    vectors = model.input.weight.detach()[torch.tensor(kept)]
    return WordVectors(tuple(tokenizer.tokens(kept)), vectors.cpu().float().numpy())


def _special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    return {"pad": tokenizer.pad_id, "cls": tokenizer.cls_id, "sep": tokenizer.sep_id}


def _classifier_dropout(model: nn.Module) -> float:
    """Where nothing is classified yet, the encoder's rate, as BERT has it."""
    if isinstance(model, LABELLED):
        return model.head.dropout.rate
    return config_of(model).dropout


def _label_names(
    model: nn.Module, labels: Sequence[str] | None, folder: Path
) -> tuple[str, ...] | None:
    if not isinstance(model, LABELLED):
        return None
    count = model.head.classifier.out_features
    names = tuple(labels or (f"LABEL_{index}" for index in range(count)))
    if len(names) != count or len(set(names)) != count:
        raise ModelError(
            f"{len(set(names))} different labels for a model of {count} classes",
            where=folder,
            mend="name each class once",
        )
    return names


def _dumps(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
