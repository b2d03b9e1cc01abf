"""Measures of anisotropy, by their definitions and against scipy."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import rankdata, spearmanr

from bertsmith.analysis.anisotropy import (
    agreement,
    draw_tokens,
    frequency_effect,
    mean_cosine,
    read_sentences,
)
from bertsmith.analysis.sentences import sentence_vectors
from bertsmith.errors import DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.nn.sentence import Pooling, SentenceEncoder
from bertsmith.types import Float32Array
from jobs.tiny import GLAD, PLAIN, SAD, save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("anisotropy") / "model")


def some_texts(count: int) -> list[str]:
    generator = np.random.default_rng(0)
    words = (*PLAIN, *GLAD, *SAD)
    return [" ".join(generator.choice(words, size=generator.integers(1, 12))) for _ in range(count)]


def test_the_mean_cosine_is_over_all_pairs() -> None:
    vectors = (np.random.default_rng(0).normal(size=(9, 5)) + 1).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.mean([unit[i] @ unit[j] for i, j in combinations(range(9), 2)])
    assert mean_cosine(vectors) == pytest.approx(expected, abs=1e-6)
    with_nothing = np.concatenate([vectors, np.zeros((2, 5), np.float32)])
    assert mean_cosine(with_nothing) == pytest.approx(expected, abs=1e-6)
    assert np.isnan(mean_cosine(vectors[:1]))


def test_no_token_is_drawn_twice() -> None:
    ids = [[1, 5, 6, 2], [1, 5, 2], [1, 5, 2], [1, 2], [1, 7, 8, 5, 2]]
    places = draw_tokens(ids, frozenset({1, 2}))
    drawn = [own[place] for own, place in zip(ids, places, strict=True) if place >= 0]
    assert len(drawn) == len(set(drawn)) == 3
    assert not {1, 2} & set(drawn)
    assert places[3] == -1
    assert draw_tokens(ids, frozenset({1, 2})) == places


def test_sentences_are_read_once_and_pooled_in_every_way(model: Path) -> None:
    encoder, tokenizer = load_encoder(model).eval(), load_tokenizer(model)
    texts = [*some_texts(30), ""]
    found = read_sentences(encoder, tokenizer, texts, 10)
    assert found.truncated > 0
    for name, pooling in (
        ("[CLS]", Pooling("cls")),
        ("mean", Pooling()),
        ("first-last", Pooling("mean", (1, 2))),
    ):
        peer = sentence_vectors(SentenceEncoder(encoder, pooling), tokenizer, texts, 10).vectors
        np.testing.assert_allclose(found.vectors[name], peer, atol=1e-5)
    table = encoder.embeddings.word.weight.detach().numpy()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids[:8] for text in texts]
    for row, own in enumerate(ids):
        expected = table[own].mean(axis=0) if own else np.zeros(table.shape[1])
        np.testing.assert_allclose(found.vectors["static"][row], expected, atol=1e-6)


def test_cosines_of_layers_are_of_the_tokens_drawn(model: Path) -> None:
    encoder, tokenizer = load_encoder(model).eval(), load_tokenizer(model)
    texts = some_texts(12)
    found = read_sentences(encoder, tokenizer, texts, 32)
    places = draw_tokens([tokenizer.encode(text).ids for text in texts], tokenizer.special_ids)
    ids = [
        tokenizer.encode(text).ids[place]
        for text, place in zip(texts, places, strict=True)
        if place >= 0
    ]
    assert found.drawn.tolist() == ids
    peer = transformers.BertModel.from_pretrained(model).eval()
    vectors: list[list[Float32Array]] = []
    for text, place in zip(texts, places, strict=True):
        if place >= 0:
            with torch.no_grad():
                states = peer(torch.tensor([tokenizer.encode(text).ids]), output_hidden_states=True)
            vectors.append([state[0, place].numpy() for state in states.hidden_states])
    for cosine, own in zip(found.cosines, zip(*vectors, strict=True), strict=True):
        assert cosine == pytest.approx(mean_cosine(np.stack(own)), abs=1e-5)


def test_frequency_goes_with_length_and_distance_as_built() -> None:
    generator = np.random.default_rng(0)
    counts = generator.permutation(np.arange(1, 701))
    vectors = generator.normal(size=(700, 8)) / np.sqrt(counts)[:, None]
    vectors = vectors.astype(np.float32)
    found = frequency_effect(np.r_[vectors, vectors[:3]], np.r_[counts, [0, 0, 0]])
    assert found.words == 700
    assert found.norm_spearman < -0.5
    assert found.distance_spearman < -0.5
    assert [(part.first, part.last) for part in found.ranges] == [(1, 100), (101, 500), (501, 700)]
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    nearest = np.sort(distances, axis=1)[:, 1:6].mean(axis=1)
    norms = np.linalg.norm(vectors, axis=1)
    top = np.argsort(-counts)[:100]
    assert found.ranges[0].norm == pytest.approx(norms[top].mean(), rel=1e-4)
    assert found.ranges[0].distance == pytest.approx(nearest[top].mean(), rel=1e-3)
    assert found.norm_spearman == pytest.approx(spearmanr(counts, norms).statistic, abs=1e-6)
    with pytest.raises(DataError, match="3 words are too few"):
        frequency_effect(vectors[:3], np.ones(3, np.int64))


def test_agreement_is_spearmans() -> None:
    generator = np.random.default_rng(0)
    first = generator.normal(size=(80, 6)).astype(np.float32)
    second = (first + generator.normal(size=(80, 6)) * np.linspace(0, 4, 80)[:, None]).astype("f4")
    ratings = np.round(np.linspace(5, 0, 80))  # with ties
    found = agreement(first, second, ratings)
    cosines = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for a, b in zip(first.astype(float), second.astype(float), strict=True)
    ]
    expected = np.corrcoef(rankdata(cosines), rankdata(ratings))[0, 1]
    assert found.spearman == pytest.approx(expected, abs=1e-9)
    assert found.low < found.spearman < found.high
    error = np.sqrt((1 + expected**2 / 2) / 77)
    assert np.arctanh(found.high) - np.arctanh(found.low) == pytest.approx(2 * 1.959964 * error)
    assert np.isnan(agreement(first[:3], second[:3], ratings[:3]).spearman)
    assert np.isnan(agreement(first, second, np.ones(80)).spearman)
