"""Probes on vectors whose content is known, and against scikit-learn and transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bertsmith.analysis.probes import (
    ITERATIONS,
    PENALTY,
    Items,
    by_content,
    by_length,
    control_labels,
    layer_vectors,
    majority,
    mean_intervals,
    predict,
    principal_plane,
    score_layer,
    sentence_means,
    words_told,
)
from bertsmith.errors import DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.tasks.sentences import sentence_of
from bertsmith.tasks.windows import encode_sentences
from jobs.tiny import save_tiny_model

CLASSES = 3
TEXTS = ["the film was dull", "a film of two friends and their lovely dog", "good"]


def world(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, Items]:
    """Words of 40 types in sentences of five: vectors that say the type alone, vectors that say
    the class alone, which depends on the type for three words of four."""
    generator = np.random.default_rng(seed)
    types = generator.integers(0, 40, count)
    odd = generator.random(count) < 0.25
    labels = np.where(odd, generator.integers(0, CLASSES, count), types % CLASSES)
    noise = generator.normal(0, 0.1, (count, 40)).astype(np.float32)
    items = Items(labels, tuple(f"w{number}" for number in types), np.arange(count) // 5)
    of_class = np.eye(CLASSES, 40, dtype=np.float32)[labels] * 3
    return np.eye(40, dtype=np.float32)[types] * 3 + noise, of_class + noise, items


def test_what_is_learnt_by_heart_is_not_selective() -> None:
    by_type, by_class, train = world(2000, 0)
    test_by_type, test_by_class, test = world(1000, 1)
    heart = score_layer(by_type, train, test_by_type, test, CLASSES, draws=2)
    known = score_layer(by_class, train, test_by_class, test, CLASSES, draws=2)
    assert heart.accuracy == pytest.approx(0.75 + 0.25 / 3, abs=0.04)
    assert heart.control > 0.95
    assert heart.selectivity < 0
    assert known.accuracy > 0.98
    assert known.control < 0.6
    assert known.selectivity > 0.4
    for score in (heart, known):
        assert score.low <= score.accuracy <= score.high
        assert score.selectivity == pytest.approx(score.accuracy - score.control)
        assert score.selectivity_low < score.selectivity < score.selectivity_high


def test_a_control_has_one_label_for_each_type() -> None:
    train, test = world(500, 0)[2], world(500, 1)[2]
    first, second = control_labels(train, test, 0)
    drawn = dict(zip(train.types, first, strict=True)) | dict(zip(test.types, second, strict=True))
    assert [drawn[own] for own in train.types + test.types] == [*first, *second]
    assert set(drawn.values()) == set(range(CLASSES))
    assert np.array_equal(control_labels(train, test, 0)[0], first)
    assert not np.array_equal(control_labels(train, test, 1)[0], first)


def test_a_probe_is_scikit_learns_on_standardised_vectors() -> None:
    vectors, _, train = world(300, 0)
    other, _, _ = world(200, 1)
    vectors[:, 7] = 2.0  # a dimension that does not vary
    probe = LogisticRegression(C=PENALTY, max_iter=ITERATIONS, tol=1e-3)
    expected = make_pipeline(StandardScaler(), probe).fit(vectors, train.labels)
    other[:, 7] = 2.0
    found = predict(vectors, train.labels, other)
    assert (found == expected.predict(other)).mean() > 0.99
    one = predict(vectors, np.full(300, 2), other)
    assert one.tolist() == [2] * 200


def test_an_interval_is_over_sentences() -> None:
    values = (np.random.default_rng(0).random(400) < 0.7).astype(float)
    alone = mean_intervals({"a": values, "b": 1 - values}, np.arange(400))
    assert alone["a"][0] < values.mean() < alone["a"][1]
    exact = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / 400)
    assert alone["a"][1] - alone["a"][0] == pytest.approx(2 * exact, rel=0.15)
    assert alone["b"] == pytest.approx([1 - end for end in alone["a"][::-1]])
    copies = mean_intervals({"a": np.repeat(values, 9)}, np.repeat(np.arange(400), 9))
    assert copies["a"] == pytest.approx(alone["a"])
    assert mean_intervals({"a": np.ones(5)}, np.arange(5)) == {"a": [1.0, 1.0]}


def test_majority_is_of_the_training_items() -> None:
    train = Items(np.array([1, 1, 0]), ("a", "b", "c"), np.arange(3))
    test = Items(np.array([0, 0, 0, 1]), ("a", "b", "c", "d"), np.arange(4))
    assert majority(train, test) == 0.25


def test_the_plane_is_that_of_principal_components() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32) * np.arange(1, 9)
    places, shares = principal_plane(vectors)
    peer = PCA(2, svd_solver="full").fit(vectors.astype(np.float64))
    np.testing.assert_allclose(np.abs(places), np.abs(peer.transform(vectors)), atol=1e-4)
    np.testing.assert_allclose(shares, peer.explained_variance_ratio_, atol=1e-6)
    assert (places[np.abs(places).argmax(axis=0), [0, 1]] > 0).all()


def test_vectors_of_layers_are_those_of_transformers(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model")
    tokenizer = load_tokenizer(folder)
    sentences = [sentence_of(text) for text in TEXTS]
    examples = encode_sentences(sentences, tokenizer, 64).examples
    told: list[int] = []
    encoder = load_encoder(folder)
    words = layer_vectors(encoder, examples, words_told, told.append)
    means = layer_vectors(encoder, examples, sentence_means)
    peer = transformers.BertModel.from_pretrained(folder).eval()
    expected_words, expected_means = [], []
    for example in examples:
        with torch.no_grad():
            ids = torch.from_numpy(example.input_ids)[None]
            states = torch.stack(peer(ids, output_hidden_states=True).hidden_states)[:, 0]
        expected_words.append(states[:, example.token_targets["is_word"] > 0])
        expected_means.append(states.mean(dim=1, keepdim=True))
    np.testing.assert_allclose(words, torch.cat(expected_words, dim=1).numpy(), atol=1e-4)
    np.testing.assert_allclose(means, torch.cat(expected_means, dim=1).numpy(), atol=1e-4)
    assert words.shape[1] == sum(len(sentence.words) for sentence in sentences)
    assert told[-1] == len(TEXTS)


def test_sentences_by_length() -> None:
    sentences = [["a"] * (place % 32) for place in range(32 * 40)]
    taken, labels = by_length(sentences, 240)
    assert len(set(taken)) == 240
    assert np.bincount(labels).tolist() == [40] * 6
    assert np.bincount(labels[:160], minlength=6).max() <= 27
    lengths = [len(sentences[place]) for place in taken]
    for label, (low, high) in enumerate(((5, 8), (9, 12), (13, 16), (17, 20), (21, 25), (26, 28))):
        own = [length for length, number in zip(lengths, labels, strict=True) if number == label]
        assert low <= min(own) <= max(own) <= high
    with pytest.raises(DataError, match="are fewer than 10 of each; ask for more"):
        by_length(sentences, 59)
    with pytest.raises(DataError, match="too few sentences of each length"):
        by_length(sentences[:32], 240)


def test_sentences_by_content() -> None:
    generator = np.random.default_rng(0)
    names = [f"word{chr(97 + number)}" for number in range(6)]
    sentences = [
        ["The", *(str(own) for own in generator.choice(names, 1 + place % 3 // 2, False)), "x"]
        for place in range(600)
    ]
    taken, labels, words = by_content(sentences, 90, 3)
    assert len(words) == 3
    assert set(words) < set(names)
    assert np.bincount(labels).tolist() == [30] * 3
    assert np.bincount(labels[:60]).tolist() == [20] * 3
    for place, label in zip(taken, labels, strict=True):
        assert {*sentences[place]} & {*words} == {words[label]}
    with pytest.raises(DataError, match="too few sentences with one of 3 words"):
        by_content(sentences[:30], 90, 3)
