"""One word's vectors in many sentences, against transformers and by construction."""

from __future__ import annotations

import tracemalloc
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from sklearn.metrics import silhouette_score
from tokenizers import models, pre_tokenizers

from bertsmith.analysis.similarity import occurs, separation, similarity, word_vectors
from bertsmith.config import ModelConfig
from bertsmith.errors import DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer, save_model
from bertsmith.nn.models import MaskedLM
from bertsmith.text.pipeline import SPECIAL_TOKENS
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer

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


def test_a_long_sentence_is_cut_before_its_end_token(model: Path) -> None:
    encoder, tokenizer = load_encoder(model), load_tokenizer(model)
    long = "the bank was green " + "a " * 600
    (vector,) = word_vectors(encoder, tokenizer, "bank", [long])
    ids = tokenizer.encode(long).ids
    cut = torch.tensor([[*ids[:511], tokenizer.sep_id]])
    peer = transformers.BertModel.from_pretrained(model).eval()
    with torch.no_grad():
        hidden = peer(cut).last_hidden_state[0]
    target = tokenizer.encode("bank", add_special_tokens=False).ids
    at = next(i for i in range(len(ids)) if ids[i : i + len(target)] == target)
    expected = hidden[at : at + len(target)].mean(dim=0).numpy()
    np.testing.assert_allclose(vector, expected, atol=1e-5)
    last = "a " * (510 - len(target) + 1) + "bank a"
    with pytest.raises(DataError, match="and the model reads 512; shorten"):
        word_vectors(encoder, tokenizer, "bank", [last])


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


def test_separation_is_by_its_definition() -> None:
    generator = np.random.default_rng(0)
    points = np.concatenate([generator.normal(0, 1, (5, 4)) + 2, generator.normal(0, 1, (5, 4))])
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    senses = ["one"] * 5 + ["two"] * 5
    found = separation(unit @ unit.T, senses)
    pairs = list(combinations(range(10), 2))
    same = [float(unit[i] @ unit[j]) for i, j in pairs if senses[i] == senses[j]]
    other = [float(unit[i] @ unit[j]) for i, j in pairs if senses[i] != senses[j]]
    assert (found.within, found.between) == pytest.approx((np.mean(same), np.mean(other)))
    assert found.silhouette == pytest.approx(silhouette_score(unit, senses, metric="cosine"))
    gaps = []
    for five in combinations(range(10), 5):
        own = {(i in five) == (j in five): [] for i, j in pairs}
        for i, j in pairs:
            own[(i in five) == (j in five)].append(float(unit[i] @ unit[j]))
        gaps.append(np.mean(own[True]) - np.mean(own[False]))
    assert found.p_value == pytest.approx(np.mean(np.array(gaps) >= found.gap - 1e-9), abs=0.01)
    assert separation(np.ones((4, 4)), ["a", "b", "a", "b"]).p_value == 1.0
    for bad in (["a"] * 10, [str(n) for n in range(10)]):
        with pytest.raises(DataError, match="cannot be set apart"):
            separation(unit @ unit.T, bad)


def test_layers_are_mixed(model: Path) -> None:
    encoder, tokenizer = load_encoder(model), load_tokenizer(model)
    single = [word_vectors(encoder, tokenizer, "bank", SENTENCES, (n,)) for n in (0, 2)]
    both = word_vectors(encoder, tokenizer, "bank", SENTENCES, (0, 2))
    np.testing.assert_allclose(both, (single[0] + single[1]) / 2, atol=1e-6)
    last = word_vectors(encoder, tokenizer, "bank", SENTENCES)
    np.testing.assert_allclose(single[1], last, atol=1e-6)


def test_a_word_that_does_not_occur_is_named(model: Path) -> None:
    with pytest.raises(DataError, match="'money' does not occur") as caught:
        word_vectors(load_encoder(model), load_tokenizer(model), "money", SENTENCES)
    assert "the river bank" in str(caught.value)


def test_a_word_out_of_the_vocabulary_is_no_word(model: Path) -> None:
    encoder, tokenizer = load_encoder(model), load_tokenizer(model)
    assert not occurs(tokenizer, "苹果", "苹果 a bank")
    for word in ("苹果", ""):
        with pytest.raises(DataError, match="the vocabulary cannot write this word"):
            word_vectors(encoder, tokenizer, word, ["苹果 a bank"])


def _unigram() -> Tokenizer:
    """Words with a mark of the space before them, ALBERT's and T5's way; `##`-free pieces."""
    pieces = [*SPECIAL_TOKENS, "▁bank", "▁a", "▁the", "er", "s", "▁", ".", "▁苹果", "苹", "果"]
    backend = tokenizers.Tokenizer(
        models.Unigram([(piece, -1.0 - at / 10) for at, piece in enumerate(pieces)], unk_id=1)
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    return Tokenizer(backend, SPECIAL_TOKENS)


def test_a_word_is_not_found_within_another() -> None:
    tokenizer = _unigram()
    assert tokenizer.encode("a banker", add_special_tokens=False).tokens == ["▁a", "▁bank", "er"]
    assert not occurs(tokenizer, "bank", "a banker")
    assert not occurs(tokenizer, "bank", "the banks")
    for sentence in ("a bank", "the bank.", "a banker a bank", "bank", "a bank 苹果"):
        assert occurs(tokenizer, "bank", sentence)
    assert occurs(tokenizer, "苹果", "苹果苹")  # each character is a word


def test_a_word_is_written_as_after_a_space_too() -> None:
    """Published RoBERTas write a word otherwise at the beginning of a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet])
    backend = tokenizers.Tokenizer(
        models.BPE(
            {piece: at for at, piece in enumerate([*vocabulary, "ab", "Ġa", "Ġab"])},
            [("a", "b"), ("Ġ", "a"), ("Ġ", "ab")],
        )
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = Tokenizer(backend, ("<pad>", "<unk>", "<s>", "</s>", "<mask>"))
    for sentence in ("ab c", "c ab", "c ab."):
        assert occurs(tokenizer, "ab", sentence)
    assert not occurs(tokenizer, "ab", "c abc")


def test_separation_of_many_sentences_takes_little_memory() -> None:
    generator = np.random.default_rng(0)
    points = generator.normal(0, 1, (150, 4))
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    tracemalloc.start()
    separation(unit @ unit.T, ["one", "two and more"] * 75, permutations=2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # all deals at once: 22 million pairs of names
