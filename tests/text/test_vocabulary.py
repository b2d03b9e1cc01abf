"""Words added to a WordPiece vocabulary: which ones, and that nothing else changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.errors import DataError, TokenizerError
from bertsmith.text import vocabulary
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from bertsmith.text.vocabulary import (
    LEAST_COUNT,
    count_words,
    cut,
    most_useful,
    new_words,
    read_words,
    require_wordpiece,
    with_words,
)
from wordpieces import wordpiece

PLAIN = "the cell has a wall and the wall has pores in it so that water can go in and out"
DOMAIN = "Mitochondria divide; the mitochondria, 12345 of them, phosphorylate."

GAPPED = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\nc\nd\n"
"""A vocab.txt that has a token twice: the second place counts, and the first id is nobody's."""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return wordpiece([PLAIN + " abcdefghijklmnopqrstuvwxyz 12345;,."], 90)


def test_words_are_counted_as_the_tokenizer_sees_them(tokenizer: Tokenizer) -> None:
    counts = count_words(tokenizer, [DOMAIN, DOMAIN])
    assert counts["mitochondria"] == 4
    assert counts["12345"] == 2
    assert counts["the"] == counts[";"] == 2
    words = {word for word in tokenizer.encode(DOMAIN).word_ids if word is not None}
    assert counts.total() == 2 * len(words)


def test_a_script_without_spaces_is_not_kept_whole(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    separated = 0

    def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
        nonlocal separated
        separated += 1
        return list(text)

    def texts() -> Iterator[str]:
        for line in range(100):
            yield "\u4e00" + chr(0x4E01 + line)
            assert line - separated <= 10

    monkeypatch.setattr(vocabulary, "words_of", words_of)
    monkeypatch.setattr(vocabulary, "_BATCH", 10)
    counts = count_words(tokenizer, texts())
    assert counts["\u4e00"] == 100
    assert len(counts) == 101


def test_the_words_that_save_most_come_first(tokenizer: Tokenizer) -> None:
    counts = Counter({"mitochondria": 50, "phosphorylate": 30, "zz": 60, "wall": 999, "12345": 999})
    counts |= Counter({"rarely": LEAST_COUNT - 1})
    pieces = {word: len(tokenizer.encode(word, add_special_tokens=False).ids) for word in counts}
    found = most_useful(tokenizer, counts, 10)
    saved = {word.word: (len(word.pieces) - 1) * word.count for word in found}
    assert set(saved) == {"mitochondria", "phosphorylate", "zz"}
    assert list(saved.values()) == sorted(saved.values(), reverse=True)
    assert all(len(word.pieces) == pieces[word.word] for word in found)
    assert most_useful(tokenizer, counts, 1) == found[:1]
    assert found[0].word not in {
        word.word for word in most_useful(tokenizer, counts, 9, but=[found[0].word])
    }


def test_an_unknown_word_is_worth_its_characters(tokenizer: Tokenizer) -> None:
    (found,) = most_useful(tokenizer, Counter({"ячейка": LEAST_COUNT}), 3)
    assert found.piece_ids == (tokenizer.unk_id,)
    extended = with_words(tokenizer, ["ячейка"])
    before, after = (cut(each, Counter({"ячейка": 7})) for each in (tokenizer, extended))
    assert (before.unknown, after.unknown, after.tokens) == (7, 0, 7)


def test_a_word_too_long_for_any_entry_is_no_candidate(tokenizer: Tokenizer) -> None:
    fits, too_long = "a" * 100, "a" * 101
    assert with_words(tokenizer, [too_long]).encode(too_long).ids[1:-1] == [tokenizer.unk_id]
    found = most_useful(tokenizer, Counter({fits: LEAST_COUNT, too_long: 99}), 3)
    assert [word.word for word in found] == [fits]


def test_words_go_after_the_last_id_where_the_vocabulary_has_gaps(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text(GAPPED)
    tokenizer = Tokenizer.load(tmp_path)
    extended = with_words(tokenizer, ["foo"])
    assert extended.encode("foo d", add_special_tokens=False).ids == [10, 9]
    assert extended.decode([10, 9]) == "foo d"


def test_a_new_word_is_one_token_with_its_offsets(tokenizer: Tokenizer) -> None:
    extended = with_words(tokenizer, ["mitochondria"])
    new = tokenizer.vocab_size
    assert extended.vocab_size == new + 1
    text = "The Mitochondria, and mitochondrial water"
    encoding = extended.encode(text)
    places = [place for place, index in enumerate(encoding.ids) if index == new]
    assert [text[slice(*encoding.offsets[place])] for place in places] == [
        "Mitochondria",
        "mitochondria",
    ]
    assert extended.token(encoding.ids[places[1] + 1]).startswith("##")
    starts = extended.starts_word()
    assert starts is not None
    assert starts[new]
    assert extended.decode([new]) == "mitochondria"
    old = {tokenizer.token(index): index for index in range(new)}
    assert all(extended.backend.token_to_id(token) == index for token, index in old.items())
    before, after = (cut(each, count_words(each, [text])) for each in (tokenizer, extended))
    assert after.tokens < before.tokens
    assert after.pieces_per_word < before.pieces_per_word


@given(st.text(st.sampled_from("mitochndra wl;.é 中"), max_size=60))
def test_texts_without_the_new_words_keep_their_ids(text: str) -> None:
    tokenizer = wordpiece([PLAIN + " abcdefghijklmnopqrstuvwxyz 12345;,."], 90)
    extended = with_words(tokenizer, ["mitochondria", "pores中"])
    if not any(word.startswith("mitochondria") for word in count_words(tokenizer, [text])):
        assert extended.encode(text).ids == tokenizer.encode(text).ids


def test_a_file_of_words(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("Mitochondria\n\n  wall \nmitochondria\n")
    words = read_words(tokenizer, path)
    assert words == ["mitochondria", "wall"]
    assert [word.word for word in new_words(tokenizer, words, Counter())] == ["mitochondria"]
    for content, said in (
        ("new york\n", r"words\.txt:1: 'new york' is 2 words to this tokenizer: new york; give"),
        ("a\nx-ray\n", r"words\.txt:2: 'x-ray' is 3 words"),
        ("\n \n", r"words\.txt: no word in this file"),
        ("b" * 101, r"words\.txt:1: a word of 101 characters, where the tokenizer reads 100"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=said):
            read_words(tokenizer, path)
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="not UTF-8"):
        read_words(tokenizer, path)
    with pytest.raises(DataError, match="no such file"):
        read_words(tokenizer, tmp_path / "none.txt")


def test_other_kinds_are_refused(tokenizer: Tokenizer) -> None:
    require_wordpiece(tokenizer, "here")
    for kind, name, size in (("bpe", "BPE", 270), ("unigram", "Unigram", 30)):
        other = train_tokenizer([PLAIN], size, kind)  # type: ignore[arg-type]
        with pytest.raises(TokenizerError, match=f"here: is a {name} vocabulary, in which"):
            require_wordpiece(other, "here")
