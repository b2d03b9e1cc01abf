from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
import transformers

from bertsmith.errors import DataError, ModelError
from bertsmith.export.huggingface import save_model
from bertsmith.jobs.fill import BEAMS, SPAN_TOKENS, _span, fill
from bertsmith.nn.generate import Hypothesis
from bertsmith.recipes.base import find
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer

from .tiny import GLAD, PLAIN, SAD, save_tiny_model

SIZES = {"num_layers": 2, "num_decoder_layers": 2, "num_heads": 2, "hidden_size": 32}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    recipe = find("t5")
    return train_tokenizer([" ".join((*GLAD, *SAD, *PLAIN))] * 3, 135, **recipe.tokenizer)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = find("t5")
    config = recipe.config.model.model_copy(update={**SIZES, "vocab_size": tokenizer.vocab_size})
    torch.manual_seed(0)
    network = recipe.model(config)
    for part in network.modules():  # else it repeats what it reads
        if isinstance(part, torch.nn.Linear):
            part.weight.data *= 4
    network.encoder.embeddings.word.weight.data[3:5] *= 3  # it likes to say sentinels
    folder = tmp_path_factory.mktemp("models") / "t5"
    save_model(folder, network, tokenizer)
    return folder


def test_spans_are_those_of_transformers(model: Path) -> None:
    text = "the <extra_id_0> was a <extra_id_1> dog"
    ours = fill(model, text, top=3)
    assert all(1 <= len(guesses) <= 3 for guesses in ours)
    peer = transformers.AutoModelForSeq2SeqLM.from_pretrained(model)
    encode = transformers.AutoTokenizer.from_pretrained(model)
    others = [encode.convert_tokens_to_ids(f"<extra_id_{number}>") for number in range(2, 100)]
    options = {
        "num_beams": BEAMS,
        "num_return_sequences": BEAMS,
        "max_new_tokens": 2 * SPAN_TOKENS,
        "eos_token_id": [encode.eos_token_id, *others],
    }
    begun = torch.tensor([[encode.pad_token_id, encode.convert_tokens_to_ids("<extra_id_0>")]])
    inputs = encode(text, return_tensors="pt")
    answers = encode.batch_decode(peer.generate(**inputs, decoder_input_ids=begun, **options))
    for number, guesses in enumerate(ours):
        found = [
            re.search(rf"<extra_id_{number}>(.*?)(<extra_id_\d+>|</s>|$)", answer)
            for answer in answers
        ]
        spans = dict.fromkeys(match[1].strip() if match else "" for match in found)
        assert [span for span, _ in guesses] == list(spans)[:3]
        assert any(probability > 0 for _, probability in guesses) == any(found)


def test_guesses_are_different_and_end_with_their_gap(model: Path) -> None:
    """However an answer would begin, and go on behind the last gap of the text."""
    (guesses,) = fill(model, "the <extra_id_0> dog", top=8)
    texts = [text for text, _ in guesses]
    assert len(set(texts)) == len(texts) > 1
    assert all(probability > 0 for _, probability in guesses)


def test_a_guess_has_the_probability_of_its_tokens_and_its_end(tokenizer: Tokenizer) -> None:
    first, second = tokenizer.sentinel_ids[:2]
    words = tokenizer.encode("good film", add_special_tokens=False).ids
    ids = (first, *words, second, tokenizer.sep_id)
    answer = Hypothesis(ids, tuple(-0.1 * (place + 1) for place in range(len(ids))))
    text, probability = _span(answer, tokenizer, first)
    assert text == "good film"
    inside = range(1, len(words) + 2)
    assert probability == pytest.approx(math.exp(sum(-0.1 * (place + 1) for place in inside)))
    assert _span(answer, tokenizer, second) == ("", pytest.approx(math.exp(-0.1 * len(ids))))
    assert _span(answer, tokenizer, tokenizer.sentinel_ids[2]) == ("", 0.0)


def test_nothing_to_fill_or_another_model(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no <extra_id_0> in the text; write <extra_id_0>"):
        fill(model, "the dog")
    with pytest.raises(DataError, match=r"no \[MASK\] in the text"):
        fill(save_tiny_model(tmp_path / "bert"), "the <extra_id_0>")
    (model / "model.safetensors").rename(tmp_path / "weights")
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        fill(model, "the <extra_id_0>")
    (tmp_path / "weights").rename(model / "model.safetensors")
