"""Words found in text, and the means of what stands there, against transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers

from bertsmith.analysis.occurrences import NONE, WordTable, tokenize, unit_means
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.text.tokenizer import Tokenizer
from jobs.tiny import save_tiny_model
from wordpieces import wordpiece

TEXTS = ["中国人民 of the bank, banks", "the river bank 中国"]


def found(tokenizer: Tokenizer, words: list[str], text: str) -> list[tuple[str, str]]:
    table = WordTable(tokenizer, words)
    (sentence,) = tokenize(tokenizer, [text], 512)
    return [
        (tokenizer.text(index), table.words[unit])
        for index, unit in zip(sentence.ids, table.units(sentence), strict=True)
        if unit != NONE
    ]


def test_the_longest_whole_words_are_found() -> None:
    tokenizer = wordpiece(TEXTS, 70)
    words = ["中国", "中国人", "人", "bank", "river bank", "国"]
    assert found(tokenizer, words, TEXTS[0]) == [
        *((letter, "中国人") for letter in "中国人"),
        ("bank", "bank"),
    ]
    assert found(tokenizer, words, TEXTS[1]) == [
        ("river", "river bank"),
        ("bank", "river bank"),
        ("中", "中国"),
        ("国", "中国"),
    ]


def test_words_written_alike_are_one_and_unknown_ones_none() -> None:
    tokenizer = wordpiece(TEXTS, 70)
    table = WordTable(tokenizer, ["Bank", "bank", "苹果", "国", ""])
    assert table.unit_of == {"Bank": 0, "bank": 0, "国": 1}
    assert len(table) == 2
    assert table.tokens[1] == {tokenizer.encode("国", add_special_tokens=False).ids[0]}


def test_no_word_is_cut_in_two() -> None:
    tokenizer = wordpiece(["the bank", "a bank er"], 40)
    texts = ["the bank", "the banker", "bankerbank"]  # bank ##e ##r
    sentences = tokenize(tokenizer, texts, 4)
    written = [[tokenizer.text(index) for index in sentence.ids] for sentence in sentences]
    assert written == [["the", "bank"], ["the"], ["bank", "##e"]]  # the last would be nothing


def test_sentences_are_cut_to_what_a_model_reads() -> None:
    tokenizer = wordpiece(TEXTS, 70)
    short, whole = (tokenize(tokenizer, TEXTS, limit) for limit in (5, 512))
    assert [len(sentence.ids) for sentence in short] == [3, 3]
    for text, cut, sentence in zip(TEXTS, short, whole, strict=True):
        assert sentence.ids.tolist() == tokenizer.encode(text, add_special_tokens=False).ids
        assert cut.ids.tolist() == sentence.ids[:3].tolist()
        example = sentence.example(tokenizer, np.arange(len(sentence.ids)))
        assert example.input_ids.tolist() == tokenizer.encode(text).ids
        assert example.token_targets["unit"][[0, -1]].tolist() == [NONE, NONE]


def test_means_are_those_of_transformers_hidden_states(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    tokenizer, generator = load_tokenizer(model), np.random.default_rng(0)
    texts = ["the film was dull", "a dog", "a film of two friends and their dog"]
    sentences = tokenize(tokenizer, texts, 512)
    units = [generator.integers(-1, 3, len(sentence.ids)) for sentence in sentences]
    examples = [s.example(tokenizer, own) for s, own in zip(sentences, units, strict=True)]
    done: list[int] = []
    means, counts = unit_means(load_encoder(model).eval(), examples, 4, done.append)
    assert done[-1] == 3
    peer = transformers.BertModel.from_pretrained(model).eval()
    rows = []
    for text in texts:
        with torch.no_grad():
            ids = torch.tensor([tokenizer.encode(text).ids])
            states = peer(ids, output_hidden_states=True).hidden_states
        rows.append(torch.cat(states)[:, 1:-1].numpy())
    states, of = np.concatenate(rows, axis=1), np.concatenate(units)
    for unit in range(3):
        np.testing.assert_allclose(means[:, unit], states[:, of == unit].mean(axis=1), atol=1e-4)
    assert counts.tolist() == [*np.bincount(of[of >= 0], minlength=3).tolist(), 0]
    assert not means[:, 3].any()
