"""Characters that hardly occur leave the vocabulary to words, where there are words."""

from __future__ import annotations

from collections import Counter

import pytest

from bertsmith.errors import TokenizerError
from bertsmith.text.alphabet import COVERAGE, CharacterCounts, choose_pieces
from bertsmith.text.tokenizer_training import train_tokenizer

TRAINED = ["a", "b", "q", "##a", "##b", "##q", "ab", "##ba", "aq"]
COMMON = {"a": 60_000, "b": 40_000, "q": 1}


def test_characters_are_counted_as_they_go_by() -> None:
    texts = ["Hello,  wörld \U0001f600\ud800", "", "HELLO 中中"]
    counts = CharacterCounts()
    assert list(counts.of(texts)) == texts
    assert counts.normalised(str.lower) == Counter("".join(texts).lower().replace(" ", ""))
    doubled = counts.normalised(lambda character: character.lower() * 2)
    assert (doubled["l"], doubled["中"]) == (10, 4)


def test_a_character_that_hardly_occurs_gives_way_to_longer_pieces() -> None:
    assert COMMON["q"] < (1 - COVERAGE) * sum(COMMON.values())
    assert choose_pieces(TRAINED, COMMON, 6) == ["a", "##a", "b", "##b", "ab", "##ba"]
    often = {**COMMON, "q": 1_000}
    assert choose_pieces(TRAINED, often, 9) == ["a", "##a", "b", "##b", "q", "##q", *TRAINED[6:]]


def test_room_that_is_left_is_filled_to_the_last_piece() -> None:
    assert choose_pieces(TRAINED, COMMON, 8)[6:] == ["q", "##q"]
    for room in range(len(TRAINED) + 3):
        chosen = choose_pieces(TRAINED, COMMON, room)
        assert len(chosen) == len(set(chosen)) == min(room, len(TRAINED))


def test_characters_leave_a_third_to_longer_pieces() -> None:
    even = dict.fromkeys("abq", 10)
    assert choose_pieces(TRAINED, even, 6) == ["a", "##a", "b", "##b", "ab", "##ba"]


def test_chinese_fills_what_it_is_said_to_fill() -> None:
    texts = [
        "".join(chr(0x4E00 + (7 * row + place) % 900) for place in range(30)) for row in range(300)
    ]
    with pytest.raises(TokenizerError, match=r"vocabulary of 905 tokens, not 2000; ask for"):
        train_tokenizer(texts, 2000)
    tokenizer = train_tokenizer(texts, 905)
    assert "[UNK]" not in {tokenizer.token(token) for token in tokenizer.encode(texts[0]).ids}


def test_quoted_scripts_do_not_fill_an_english_vocabulary() -> None:
    words = [
        "".join(chr(97 + (row * place + row // 7) % 26) for place in range(1, 6))
        for row in range(400)
    ]
    quoted = {chr(code) for code in range(0x4E00, 0x4E14)}
    tokenizer = train_tokenizer([*[" ".join(words)] * 150, "".join(quoted)], 200)
    tokens = {tokenizer.token(index) for index in range(200)}
    assert not quoted & tokens
    assert {"a", "z", "##a", "##z"} <= tokens
