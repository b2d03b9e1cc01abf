"""Phrases out of a file are found in ids: whole words, the longest, from left to right."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertsmith.errors import BertsmithError, ConfigError, DataError
from bertsmith.text.encoding import CachedEncoder
from bertsmith.text.lexicon import Lexicon, read_phrases
from bertsmith.text.pipeline import Kind
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from wordpieces import wordpiece

TEXT = "New York is large, Newark is not. I love New York-style bagels. 我爱北京大学的北京。"


def by_hand(ids: list[int], starts: list[bool], phrases: set[tuple[int, ...]]) -> list[bool]:
    inside = [False] * len(ids)
    at = 0
    while at < len(ids):
        ends = [
            end
            for end in range(at + 2, len(ids) + 1)
            if tuple(ids[at:end]) in phrases and (end == len(ids) or starts[end])
        ]
        if starts[at] and ends:
            inside[at + 1 : ends[-1]] = [True] * (ends[-1] - at - 1)
            at = ends[-1]
        else:
            at += 1
    return inside


ids_of_two = st.lists(st.integers(0, 2), max_size=30)


@settings(max_examples=300, deadline=None)
@given(ids_of_two, st.lists(st.lists(st.integers(0, 2), max_size=5), max_size=12), st.randoms())
def test_as_by_hand(ids: list[int], phrases: list[list[int]], random: object) -> None:
    starts = [bool(random.random() < 0.7) for _ in ids]  # type: ignore[attr-defined]
    lexicon = Lexicon(phrases)
    long = {tuple(phrase) for phrase in phrases if len(phrase) > 1}
    assert len(lexicon) == len(long)
    inside = lexicon.inside(np.array(ids, dtype=np.int64), np.array(starts, dtype=np.bool_))
    assert inside.tolist() == by_hand(ids, starts, long)


def found(tokenizer: Tokenizer, lexicon: Lexicon) -> list[str]:
    encoded = CachedEncoder(tokenizer).encode([TEXT])
    inside = lexicon.inside(encoded.ids, encoded.word_starts)
    units = np.split(encoded.ids, np.flatnonzero(~inside)[1:])
    begins = np.flatnonzero(~inside)
    lengths = np.diff(begins, append=len(inside))
    words = np.add.reduceat(encoded.word_starts.astype(int), begins)
    assert lengths.sum() == len(encoded.ids)
    texts = (tokenizer.decode(unit.tolist()) for unit in units)
    return ["".join(t.split()) for t, n in zip(texts, words, strict=True) if n > 1]


@pytest.mark.parametrize("kind", ["wordpiece", "characters"])
def test_a_dictionary_in_any_script(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text("\ufeffNew York\t7\tplace\n\n 北京大学 \n北京\nlove\nlarge, Newark\n", "utf-8")
    is_wordpiece = kind == "wordpiece"
    tokenizer = wordpiece([TEXT], 90) if is_wordpiece else train_tokenizer([TEXT] * 3, 300, kind)
    lexicon = Lexicon.load(path, tokenizer)
    assert found(tokenizer, lexicon) == ["newyork", "large,newark", "newyork", "北京大学", "北京"]


def test_in_bytes_a_phrase_after_a_space_is_found_too(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("New York\n", "utf-8")
    tokenizer = train_tokenizer([TEXT] * 3, 270, "bpe")
    assert found(tokenizer, Lexicon.load(path, tokenizer)) == ["newyork", "newyork"]


def test_in_bytes_a_phrase_after_a_sign_is_found_too(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("New York\n", "utf-8")
    text = 'New York, (New York) and "New York"'
    tokenizer = train_tokenizer([text] * 3, 270, "bpe")
    lexicon = Lexicon.load(path, tokenizer)
    encoded = CachedEncoder(tokenizer).encode([text])
    inside = lexicon.inside(encoded.ids, encoded.word_starts)
    assert (inside & encoded.word_starts).sum() == 3


def test_files_are_read_as_texts_are(tmp_path: Path) -> None:
    content = "a  b\t1\n\n  c\u00a0d  \r\n"
    (tmp_path / "a.txt").write_bytes(content.encode())
    with gzip.open(tmp_path / "a.txt.gz", "wb") as file:
        file.write(content.encode())
    plain, packed = read_phrases(tmp_path / "a.txt"), read_phrases(tmp_path / "a.txt.gz")
    assert plain[0] == packed[0] == ["a b", "c d"]
    (tmp_path / "a.txt").write_bytes(content.encode() + b"e f\n")
    assert read_phrases(tmp_path / "a.txt")[1] != plain[1]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (None, ConfigError, "no such file"),
        (b"", DataError, "no phrase of two tokens"),
        (b"new\nyork\n", DataError, "no phrase of two tokens"),
        ("новый город\n".encode(), DataError, "no phrase of two tokens"),
        (b"new york\n\xff\xfe\n", DataError, "a.txt:2: not UTF-8"),
        (b"\x00\x01", DataError, "binary"),
    ],
)
def test_what_is_no_dictionary(
    content: bytes | None, kind: type[BertsmithError], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind, match=message) as error:
        Lexicon.load(path, wordpiece([TEXT], 90))
    assert "a.txt" in str(error.value)
    assert "\n" not in str(error.value)
