"""Pseudo-likelihoods by their definition, against transformers, and what they decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM

from bertsmith.analysis.masked import judge, likelihoods
from bertsmith.errors import DataError
from bertsmith.export.huggingface import load_masked_lm, load_tokenizer
from jobs.tiny import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("masked") / "model")


def test_they_are_those_of_transformers(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    sentences = ["the film was dull", "a dog", "two friends and their dog was a story of the film"]
    found = likelihoods(load_masked_lm(model), tokenizer, sentences)
    peer = BertForMaskedLM.from_pretrained(model).eval()
    for row, sentence in enumerate(sentences):
        ids = torch.tensor(tokenizer.encode(sentence).ids)
        total = 0.0
        for place in range(1, len(ids) - 1):
            masked = ids.clone()
            masked[place] = tokenizer.mask_id
            with torch.no_grad():
                scores = peer(masked[None]).logits[0, place]
            total += float(scores.log_softmax(0)[ids[place]])
        assert found.tokens[row] == len(ids) - 2
        assert found.log_likelihoods[row] == pytest.approx(total, abs=1e-3)
        expected = np.exp(-total / (len(ids) - 2))
        assert found.perplexities[row] == pytest.approx(expected, rel=1e-3)
    whole = np.exp(-found.log_likelihoods.sum() / found.tokens.sum())
    assert found.perplexity == pytest.approx(whole)
    again = likelihoods(load_masked_lm(model), tokenizer, sentences[::-1])
    np.testing.assert_allclose(again.log_likelihoods[::-1], found.log_likelihoods, atol=1e-3)


def test_of_a_pair_the_likelier_one_is_preferred(model: Path) -> None:
    network, tokenizer = load_masked_lm(model), load_tokenizer(model)
    first = likelihoods(network, tokenizer, ["the film", "a dog", "a dog"])
    second = likelihoods(network, tokenizer, ["the dog was a", "a dog", "the story of a film"])
    found = judge(first, second)
    expected = first.log_likelihoods - second.log_likelihoods
    np.testing.assert_allclose(found.margins, expected)
    assert found.margins[1] == pytest.approx(0, abs=1e-5)
    assert 0 <= found.low < found.accuracy < found.high <= 1


def test_sentences_of_the_same_tokens_are_level(model: Path) -> None:
    network, tokenizer = load_masked_lm(model), load_tokenizer(model)
    right, wrong = (
        ["a dog", "The FILM was 漢", "a film 字"],
        ["a film", "the film was 字", "a film"],
    )
    others = ["the dog was a story"] * 300  # so that batches differ
    told: list[int] = []
    good = likelihoods(network, tokenizer, [*right, *others], told.append)
    bad = likelihoods(network, tokenizer, wrong)
    assert told == [303]
    assert good.unknown[:3].tolist() == [0, 1, 1]
    assert good.unknown[3:].tolist() == [0] * 300
    assert bad.unknown.tolist() == [0, 1, 0]
    whole = likelihoods(network, tokenizer, [*right, *others, *wrong])
    assert whole.log_likelihoods[1] == whole.log_likelihoods[-2]
    assert len(set(whole.log_likelihoods[3:303])) == 1
    tie = judge(*(likelihoods(network, tokenizer, [text]) for text in (right[1], wrong[1])))
    assert (tie.margins.tolist(), tie.accuracy) == ([0.0], 0.5)


def test_what_cannot_be_scored_is_named(model: Path) -> None:
    network, tokenizer = load_masked_lm(model), load_tokenizer(model)
    with pytest.raises(DataError, match="'': is empty"):
        likelihoods(network, tokenizer, ["a dog", ""])
    with pytest.raises(DataError, match="has 602 tokens, and the model reads 512"):
        likelihoods(network, tokenizer, ["a " * 600])
