"""Models that answer questions and choose among options, in transformers and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.huggingface import (
    load_classifier,
    load_finetuned,
    load_for_finetuning,
    load_model,
    read_model,
    save_model,
)
from bertsmith.nn.models import ChoiceModel, MaskedLM, SpanModel
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Batch, Example
from nn.batches import by_example, flat, padded, random_examples, randomise

from .peers import TOLERANCE, make_peer, run_peer, unpadded
from .test_parity import BY_OURS, BY_SHAPE, OURS, examples_for

OPTIONS = (3, 9, 9, 5)


def span_logits(outputs: Any) -> Tensor:
    return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)


def assert_same_spans(model: nn.Module, peer: Any, examples: list[Example]) -> None:
    batch = flat(examples)
    theirs = unpadded(span_logits(run_peer(peer, examples)), examples)
    for left, right in zip(by_example(model(batch), batch), theirs, strict=True):
        torch.testing.assert_close(left, right, **TOLERANCE)


def assert_same_choices(model: nn.Module, peer: Any, types: int) -> None:
    """One question of four options: (1, 4, S) for transformers."""
    examples = random_examples(OPTIONS, types)
    inputs = {name: tensor[None] for name, tensor in padded(examples).items()}
    if peer.config.model_type == "modernbert":
        del inputs["token_type_ids"]
    batch: Batch = flat(examples)
    ours = model(batch)[[batch.indices.index(i) for i in range(len(OPTIONS))], 0]
    torch.testing.assert_close(ours, peer(**inputs).logits[0], **TOLERANCE)


@BY_SHAPE
@torch.no_grad()
def test_question_answering_of_transformers(
    family: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    peer = make_peer(f"{family}ForQuestionAnswering", **changes)
    peer.save_pretrained(tmp_path)
    model = load_finetuned(tmp_path)
    assert isinstance(model, SpanModel)
    assert_same_spans(model, peer, examples_for(model.encoder.config))


@BY_SHAPE
@torch.no_grad()
def test_multiple_choice_of_transformers(
    family: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    peer = make_peer(f"{family}ForMultipleChoice", **changes)
    peer.save_pretrained(tmp_path)
    model = load_finetuned(tmp_path)
    assert isinstance(model, ChoiceModel)
    assert_same_choices(model, peer, model.encoder.config.type_vocab_size)


@BY_OURS
@torch.no_grad()
def test_ours_in_transformers(config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path) -> None:
    answering, choosing = SpanModel(config).eval(), ChoiceModel(config).eval()
    for model in (answering, choosing):
        randomise(model)
        folder = tmp_path / type(model).__name__
        save_model(folder, model, tokenizer, extra_config={"task": "any"})
        source = read_model(folder)
        peer = getattr(transformers, source.architecture).from_pretrained(folder).eval()
        assert (source.labels, source.problem_type) == (None, None)
        if model is answering:
            assert_same_spans(model, peer, examples_for(config))
        else:
            assert_same_choices(model, peer, config.type_vocab_size)
        again = load_model(folder)
        assert type(again) is type(model)
        batch = flat(examples_for(config))
        assert torch.equal(again(batch), model(batch))
        with pytest.raises(ModelError, match="has no sequence classifier: it is a"):
            load_classifier(folder)


def test_our_own_format_and_what_pretraining_left(tokenizer: Tokenizer, tmp_path: Path) -> None:
    odd = OURS["bert"].model_copy(update={"norm": "pre"})
    for kind in (SpanModel, ChoiceModel):
        model = kind(odd).eval()
        randomise(model)
        save_model(tmp_path / "own", model, tokenizer)
        assert read_model(tmp_path / "own").family == "bertsmith"
        again, batch = load_finetuned(tmp_path / "own"), flat(examples_for(odd))
        assert torch.equal(again(batch), model(batch))
    pretrained = MaskedLM(OURS["modernbert"], False)
    save_model(tmp_path / "lm", pretrained, tokenizer)
    with pytest.raises(ModelError, match="has no sequence classifier"):
        load_finetuned(tmp_path / "lm")
    fresh = load_for_finetuning(tmp_path / "lm", SpanModel)
    assert fresh.training
    assert fresh.head.transform is not None
    assert torch.equal(
        fresh.head.transform.dense.weight, pretrained.mlm_head.transform.dense.weight
    )
