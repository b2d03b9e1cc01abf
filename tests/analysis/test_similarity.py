"""One word's vectors in many sentences, against transformers and by construction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from bertsmith.analysis.similarity import similarity, word_vectors
from bertsmith.config import ModelConfig
from bertsmith.errors import DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer, save_model
from bertsmith.nn.models import MaskedLM
from bertsmith.text.tokenizer import train_tokenizer

SENTENCES = ["the river bank was green", "a bank lends money", "money in the bank", "bank"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("similarity") / "model"
    tokenizer = train_tokenizer(SENTENCES * 3, 50)
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        num_layers=2,
        num_heads=2,
        hidden_size=32,
        intermediate_size=64,
    )
    save_model(folder, MaskedLM(config, next_sentence=True), tokenizer)
    return folder


def test_vectors_are_those_of_transformers(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    vectors = word_vectors(load_encoder(model), tokenizer, "bank", SENTENCES)
    peer = transformers.BertModel.from_pretrained(model).eval()
    target = tokenizer.encode("bank", add_special_tokens=False).ids
    for vector, sentence in zip(vectors, SENTENCES, strict=True):
        ids = tokenizer.encode(sentence).ids
        at = next(i for i in range(len(ids)) if ids[i : i + len(target)] == target)
        with torch.no_grad():
            hidden = peer(torch.tensor([ids])).last_hidden_state[0]
        expected = hidden[at : at + len(target)].mean(dim=0).numpy()
        np.testing.assert_allclose(vector, expected, atol=1e-4)


def test_the_matrix_is_of_cosines_in_a_clustered_order(model: Path) -> None:
    encoder, tokenizer = load_encoder(model), load_tokenizer(model)
    result = similarity(encoder, tokenizer, "bank", SENTENCES)
    assert sorted(result.sentences) == sorted(SENTENCES)
    np.testing.assert_allclose(np.diag(result.matrix), 1.0)
    np.testing.assert_allclose(result.matrix, result.matrix.T)
    vectors = word_vectors(encoder, tokenizer, "bank", result.sentences)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(result.matrix, unit @ unit.T, atol=1e-12)


def test_like_stands_by_like(model: Path) -> None:
    sentences = ["a bank lends money", "bank", "a bank lends money", "bank"]
    ordered = similarity(load_encoder(model), load_tokenizer(model), "bank", sentences).sentences
    assert ordered[0] == ordered[1]
    assert ordered[2] == ordered[3]


def test_a_word_that_does_not_occur_is_named(model: Path) -> None:
    with pytest.raises(DataError, match="'money' does not occur") as caught:
        word_vectors(load_encoder(model), load_tokenizer(model), "money", SENTENCES)
    assert "the river bank" in str(caught.value)
