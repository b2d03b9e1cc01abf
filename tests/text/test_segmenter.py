"""A segmenter of one's own decides where words begin, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertsmith.errors import BertsmithError, ConfigError, CorpusError, DataError
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.encoding import CachedEncoder
from bertsmith.text.pipeline import Kind
from bertsmith.text.segmenter import load_segmenter, word_of_character
from bertsmith.text.sources import Document
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from wordpieces import wordpiece

WORDS = ["北京", "大学", "北京大学", "生活", "大学生", "hello", "new york"]
TEXT = "北京大学生活在北京。他说 hello, new york 3.1!"
MODULE = f"""
WORDS = {WORDS!r}

def cut(sentence):
    found = []
    while sentence:
        known = [word for word in WORDS if sentence.startswith(word)]
        word = max(known, key=len, default=sentence[0])
        found.append(word)
        sentence = sentence[len(word):]
    return found

def drop(sentence):
    return sentence[1:]

def change(sentence):
    return [sentence.upper()]

def fail(sentence):
    raise KeyError("no")

def number(sentence):
    return [1]
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    module = f"words_of_{tmp_path.name}"
    Path(f"{module}.py").write_text(MODULE, "utf-8")
    return module


def tokenizer(kind: Kind = "wordpiece") -> Tokenizer:
    if kind == "wordpiece":
        return wordpiece([TEXT], 60)
    return train_tokenizer([TEXT] * 3, 270, kind)


def test_words_are_the_segmenter_s(name: str) -> None:
    cut = load_segmenter(f"{name}:cut")
    encoder = CachedEncoder(tokenizer(), cut)
    encoded = encoder.encode([TEXT, "", "北京"])
    plain = CachedEncoder(tokenizer()).encode([TEXT, "", "北京"])
    assert encoded.ids.tolist() == plain.ids.tolist()
    assert encoded.lengths.tolist() == plain.lengths.tolist()
    assert encoded.lengths.tolist()[1:] == [0, 2]
    words = np.split(encoded.ids, np.flatnonzero(encoded.word_starts)[1:])
    texts = [tokenizer().decode(word).replace(" ", "") for word in words]
    expected = ["北京大学", "生活", "在", "北京", "。", "他", "说", "hello", ",", "newyork"]
    assert texts == [*expected, "3", ".", "1", "!", "北京"]
    assert plain.word_starts.sum() > encoded.word_starts.sum()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "characters"])
def test_ids_never_change(kind: Kind, name: str) -> None:
    trained = tokenizer(kind)
    encoder = CachedEncoder(trained, load_segmenter(f"{name}:cut"))
    encoded = encoder.encode([TEXT])
    assert encoded.ids.tolist() == trained.encode(TEXT, add_special_tokens=False).ids
    assert encoded.word_starts[0]
    assert encoded.word_starts.sum() <= 15


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("北京 a", min_size=1, max_size=4), max_size=8), st.booleans())
def test_every_character_is_in_a_word(words: list[str], keeps_spaces: bool) -> None:
    sentence = "".join(words)
    given_words = words if keeps_spaces else [word.strip() for word in words]
    if not keeps_spaces and any(" " in word.strip() for word in words):
        given_words = "".join(words).split()
    numbers = word_of_character(sentence, lambda _: given_words)
    assert len(numbers) == len(sentence)
    visible = [word for word in given_words if word.strip()]
    if visible:
        assert set(np.diff(numbers).tolist()) <= {0, 1}
        assert numbers[-1] == len(visible) - 1


@pytest.mark.parametrize(
    ("function", "message"),
    [("drop", "gave"), ("change", "gave"), ("fail", "KeyError"), ("number", "failed")],
)
def test_what_is_no_segmenter_is_told_so(function: str, message: str, name: str) -> None:
    segmenter: Callable[..., object] = load_segmenter(f"{name}:{function}")
    with pytest.raises(DataError, match=message) as error:
        word_of_character("hello 北京", segmenter)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", ["jieba", ":cut", "json:", "no_such_module:cut", "json:nothing"])
def test_a_segmenter_that_is_not_there(wrong: str) -> None:
    with pytest.raises(ConfigError, match="segmenter"):
        load_segmenter(wrong)


def test_a_corpus_says_by_what_its_words_were_cut(name: str, tmp_path: Path) -> None:
    texts = [Document(TEXT), Document("北京大学。")]
    plain = build_corpus(texts, tokenizer(), tmp_path / "plain")
    cut = build_corpus(texts, tokenizer(), tmp_path / "cut", segmenter=f"{name}:cut")
    assert cut.num_words < plain.num_words
    assert cut.num_tokens == plain.num_tokens
    assert cut.fingerprint != plain.fingerprint
    assert cut.manifest.plan["segmenter"] == f"{name}:cut"
    assert "segmenter" not in plain.manifest.plan
    again = build_corpus(texts, tokenizer(), tmp_path / "cut", segmenter=f"{name}:cut")
    assert again.fingerprint == cut.fingerprint
    with pytest.raises(CorpusError, match="segmenter"):
        build_corpus(texts, tokenizer(), tmp_path / "cut")


@pytest.mark.parametrize("function", ["drop", "fail", "none"])
def test_a_failure_leaves_nothing(function: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(BertsmithError):
        build_corpus([Document(TEXT)], tokenizer(), tmp_path / "c", segmenter=f"{name}:{function}")
    assert not (tmp_path / "c").exists()
