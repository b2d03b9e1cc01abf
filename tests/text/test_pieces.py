"""Pieces of texts, and samples of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bertsmith.text.pieces import PIECE_CHARS, EvenSample, pieces


def test_a_text_is_cut_at_white_space_and_nothing_is_lost() -> None:
    text = "12345 789\n" * 10_000
    cut = list(pieces([text, "", "short", "x" * 25_000]))
    assert "".join(cut) == text + "short" + "x" * 25_000
    assert all(len(piece) <= PIECE_CHARS + 6 and piece[-1].isspace() for piece in cut[:-2])
    assert cut[-2:] == ["short", "x" * 25_000]


@given(st.integers(0, 500), st.integers(20, 200))
def test_a_sample_is_spread_evenly_and_bounded(count: int, most: int) -> None:
    sample = EvenSample(most)
    for number in range(count):
        sample.add(f"{number:04}")
    numbers = [int(text) for text in sample.texts]
    step = numbers[1] if len(numbers) > 1 else 1
    assert numbers == list(range(0, count, step))
    assert 4 * len(numbers) <= most
    assert step == 1 or 4 * len(range(0, count, step // 2)) > most


def test_a_long_document_is_sampled_inside() -> None:
    sample = EvenSample(50_000)
    sample.add("one " * 50_000 + "two " * 50_000)
    assert sum(map(len, sample.texts)) <= 50_000
    assert "two" in sample.texts[-1]
