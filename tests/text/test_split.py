from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.text.split import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The U.S. paid $3.50, o.k.?", "The|U.S.|paid|$|3.50|,|o.k.|?"),
        ("Britain's all-rounder (at 9:30)...", "Britain|'s|all-rounder|(|at|9:30|)|..."),
        ("don’t -- AT&T and/or a_b", "don|’t|--|AT&T|and/or|a_b"),
        ("東京は far", "東|京|は|far"),
        ("naïve e\u0301te\u0301 हिन्दी", "naïve|e\u0301te\u0301|हिन्दी"),
        ("the U.S.A won, J.R.R.Tolkien.", "the|U.S.A|won|,|J.R.R.Tolkien|."),
        ("می\u200cخواهم ශ්\u200dරී co\u00adoperate", "می\u200cخواهم|ශ්\u200dරී|co\u00adoperate"),
        ("\u2764\ufe0f\u2764\ufe0flove", "\u2764\ufe0f\u2764\ufe0f|love"),
        ("  \u200b\n", ""),
    ],
)
def test_words_by_hand(text: str, words: str) -> None:
    assert "|".join(text[begin:end] for begin, end in split_words(text)) == words


@given(st.text(max_size=40))
def test_words_are_in_order_and_leave_nothing_to_be_seen(text: str) -> None:
    at, left = 0, []
    for begin, end in split_words(text):
        assert at <= begin < end
        left.append(text[at:begin])
        at = end
    rest = "".join([*left, text[at:]])
    assert not any(letter.isalnum() for letter in rest)
    assert rest == "" or all(letter.isspace() or not letter.isprintable() for letter in rest)
