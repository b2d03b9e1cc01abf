"""Sentence boundaries and what is removed from documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.text.clean import clean_document, drop_repeated_lines, split_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? four", ["One.", "Two!", "Three? four"]),
        ("Dr. Smith met J. Doe at 5 p.m. Monday.", ["Dr. Smith met J. Doe at 5 p.m. Monday."]),
        ("It cost 3.5 percent. Then it fell.", ["It cost 3.5 percent.", "Then it fell."]),
        ('He said "Go." She went.', ['He said "Go."', "She went."]),
        ("Wait... What?", ["Wait...", "What?"]),
        ("See Fig. 3. Done.", ["See Fig. 3.", "Done."]),
        ("1. First item", ["1. First item"]),
        (
            "今天很好。你好吗？他说：“好！”然后走了。",
            ["今天很好。", "你好吗？", "他说：“好！”", "然后走了。"],
        ),
        ("यह एक है। वह दो है।", ["यह एक है।", "वह दो है।"]),
        ("یہ ایک ہے۔ وہ دو ہے۔", ["یہ ایک ہے۔", "وہ دو ہے۔"]),
        ("Das ist z.B. Anna. Gut é.", ["Das ist z.B. Anna.", "Gut é."]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_splitting_loses_no_character_but_white_space(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_sentences_have_single_spaces_and_no_nul(text: str) -> None:
    for sentence in clean_document(text)[0]:
        assert sentence
        assert sentence == " ".join(sentence.split())
        assert "\0" not in sentence


def test_wrapped_lines_are_joined_and_others_are_not() -> None:
    text = (
        "The quick brown fox jumps over the lazy\n"
        "dog and goes on to the next line where it\n"
        "stops. It is here.\n\n"
        "Parameters\n----------\nx : int\n"
    )
    assert clean_document(text)[0] == [
        "The quick brown fox jumps over the lazy dog and goes on to the next line where it stops.",
        "It is here.",
        "Parameters",
        "x : int",
    ]


def test_a_line_is_a_sentence_where_the_layout_says_so() -> None:
    assert clean_document("One. Two.\nthree", line_is_sentence=True)[0] == ["One. Two.", "three"]


def test_runaway_lines_are_removed_and_counted() -> None:
    in_a_row = ["same"] * 50 + ["other"]
    assert drop_repeated_lines(in_a_row) == ["same", "same", "other"]
    scattered = [part for number in range(30) for part in ("again", f"line {number}")]
    assert drop_repeated_lines(scattered).count("again") == 10
    assert clean_document("\n".join(in_a_row))[1].repeated_lines == 48


def test_control_characters_are_removed_and_counted() -> None:
    sentences, removed = clean_document("a\x01b\x7f c\ufeff.")
    assert sentences == ["ab c."]
    assert removed.control_characters == 3


@pytest.mark.parametrize("before", ["", "\u00e9 "])
def test_a_line_of_exclamation_marks_takes_no_longer_than_another(before: str) -> None:
    text = before + "!" * 1_000_000 + "x"  # hours, where each is looked at as a beginning
    assert split_sentences(text) == [text]
