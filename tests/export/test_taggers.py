"""Taggers of words: transformers' token classification both ways, and our own beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn

from bertsmith.errors import ModelError
from bertsmith.export.huggingface import (
    architecture_of,
    load_classifier,
    load_finetuned,
    load_for_finetuning,
    load_tagger,
    read_model,
    save_model,
)
from bertsmith.nn.features import tagger_of
from bertsmith.nn.models import TokenClassifier
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example
from nn.batches import by_example, flat, random_examples, randomise

from .peers import TOLERANCE, make_peer, run_peer, unpadded
from .test_parity import OURS

LABELS = ["O", "B-PER", "I-PER", "B-für [x]", "I-für [x]"]
LENGTHS = (7, 30, 1, 12)


def every_token(examples: list[Example]) -> list[Example]:
    """Each token a word of its own, so that all logits are there."""
    return [
        replace(one, token_targets={"is_word": np.ones_like(one.input_ids)}) for one in examples
    ]


@torch.no_grad()
def logits_of(model: nn.Module, examples: list[Example]) -> list[Tensor]:
    batch = flat(every_token(examples))
    return by_example(model(batch), batch)


@pytest.mark.parametrize(
    "family", ["Bert", "Albert", "Electra", "Roberta", "DistilBert", "ModernBert"]
)
def test_a_tagger_of_transformers(family: str, tmp_path: Path) -> None:
    peer = make_peer(f"{family}ForTokenClassification", num_labels=5)
    peer.save_pretrained(tmp_path)
    model = load_finetuned(tmp_path)
    assert isinstance(model, TokenClassifier)
    examples = random_examples(LENGTHS, model.encoder.config.type_vocab_size)
    expected = unpadded(run_peer(peer, examples).logits, examples)
    for ours, theirs in zip(logits_of(model, examples), expected, strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)
    assert read_model(tmp_path).labels == tuple(f"LABEL_{n}" for n in range(5))
    with pytest.raises(ModelError, match="has no sequence classifier"):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["bert", "bert-one-token-type", "albert", "electra", "roberta", "distilbert", "modernbert"],
)
@pytest.mark.parametrize("crf", [False, True])
def test_our_tagger_in_transformers(
    name: str, crf: bool, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = TokenClassifier(OURS[name], 5, 0.25, crf).eval()
    randomise(model)
    extra = {"task": "tag", "settings": {"crf": crf}}
    save_model(tmp_path, model, tokenizer, labels=LABELS, extra_config=extra)
    peer, info = transformers.AutoModelForTokenClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert type(peer).__name__ == architecture_of(model)[1]
    assert not info["missing_keys"]
    assert set(info["unexpected_keys"]) == (
        {"crf.start", "crf.end", "crf.transitions"} if crf else set()
    )
    assert list(peer.config.id2label.values()) == LABELS
    examples = random_examples(LENGTHS, OURS[name].type_vocab_size)
    expected = unpadded(run_peer(peer.eval(), examples).logits, examples)
    again = load_tagger(tmp_path)
    for one in (model, again):
        for ours, theirs in zip(logits_of(one, examples), expected, strict=True):
            torch.testing.assert_close(ours, theirs, **TOLERANCE)
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(again.state_dict()[key], w) for key, w in model.state_dict().items())


@pytest.mark.parametrize("settings", [{"features": "mix", "crf": True}, {"features": "last"}])
def test_a_tagger_on_features_comes_back(
    settings: dict[str, Any], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = tagger_of(OURS["bert"], 5, 0.1, settings).eval()
    randomise(model)
    extra = {"task": "tag", "settings": settings}
    save_model(tmp_path, model, tokenizer, labels=LABELS, extra_config=extra)
    again = load_finetuned(tmp_path)
    assert again.state_dict().keys() == model.state_dict().keys()
    examples = random_examples(LENGTHS, 2)
    for ours, theirs in zip(logits_of(again, examples), logits_of(model, examples), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert read_model(tmp_path).architecture == "FeatureTagger"


def test_what_is_missing_or_odd_is_said(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = TokenClassifier(OURS["bert"], 5)
    save_model(tmp_path, model, tokenizer, labels=LABELS, extra_config={"settings": {}})
    config = json.loads((tmp_path / "config.json").read_text())
    for settings, what in (
        ({"crf": True}, "has no crf: it is a BertForTokenClassification"),
        ({"crf": "x"}, r"config\.json: has settings of no tagger \('x' is none of True, False\)"),
        ({"features": ["last"]}, "has settings of no tagger"),
    ):
        config["bertsmith"] = {"settings": settings}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=what):
            load_tagger(tmp_path)
    make_peer("BertModel").save_pretrained(tmp_path / "encoder")
    with pytest.raises(ModelError, match="has no tagger of words"):
        load_tagger(tmp_path / "encoder")


def test_a_fresh_head_on_a_pretrained_encoder(tmp_path: Path) -> None:
    make_peer("ModernBertForMaskedLM").save_pretrained(tmp_path)
    model = load_for_finetuning(tmp_path, lambda config: TokenClassifier(config, 3))
    transform = read_model(tmp_path).state["transform.dense.weight"]
    assert model.head.transform is not None
    assert torch.equal(model.head.transform.dense.weight, transform)
