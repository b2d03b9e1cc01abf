from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.errors import ConfigError
from bertsmith.nn.models import HeadedEncoder
from bertsmith.tasks.classify import TASK
from bertsmith.tasks.sequences import encode_rows, fit_lengths
from bertsmith.tasks.tables import TextRow
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import FloatArray
from wordpieces import wordpiece

WORDS = "the cat sat on the mat and the dog ran after a cat in the rain was it so"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return wordpiece([WORDS], 48)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(2, 60))
def test_the_longer_text_is_cut_token_by_token(first: int, second: int, room: int) -> None:
    keep, keep_second = fit_lengths(first, second, room)
    while first + second > room:
        first, second = (first - 1, second) if first > second else (first, second - 1)
    assert (keep + keep_second, max(keep, keep_second)) == (first + second, max(first, second))


@given(st.lists(st.sampled_from(WORDS.split()), max_size=12), st.integers(5, 30))
def test_what_fits_is_encoded_as_the_tokenizer_does(
    tokenizer: Tokenizer, words: list[str], max_length: int
) -> None:
    text = " ".join(words)
    rows = [TextRow(text), TextRow(text, "the dog"), TextRow("a", text)]
    encoded = encode_rows(rows, tokenizer, max_length, [2, 1, 0])
    for row, example, cut in zip(rows, encoded.examples, encoded.is_truncated, strict=True):
        whole = tokenizer.encode(row.text, row.pair)
        assert cut == (len(whole.ids) > max_length)
        assert len(example.input_ids) == min(len(whole.ids), max_length)
        if not cut:
            assert example.input_ids.tolist() == whole.ids
            assert example.token_type_ids.tolist() == whole.type_ids
        assert example.input_ids[0] == tokenizer.cls_id
        assert example.input_ids[-1] == tokenizer.sep_id
    assert [example.label for example in encoded.examples] == [2, 1, 0]
    assert encoded.truncated == sum(encoded.is_truncated)


def test_only_what_is_wrong_is_put_in_words(tokenizer: Tokenizer) -> None:
    """Of ten thousand classes each row's probabilities are a megabyte."""
    asked: list[int] = []

    def answer(logits: FloatArray, names: Sequence[str]) -> dict[str, Any]:
        asked.append(int(logits.argmax()))
        return TASK.answer(logits, names)

    rows = [TextRow("the cat", label="a", line=2), TextRow("a dog", label="b", line=3)]
    task, network = replace(TASK, answer=answer), cast(HeadedEncoder, None)
    data = task.encode(rows, tokenizer, 16, [0, 1])
    files = task.files(network, data, np.array([[2.0, 0.0], [2.0, 0.0]]), ["a", "b"])
    assert files["errors.tsv"].splitlines()[1:] == ["3\t0.8808\tb\ta\ta dog"]
    assert asked == [0]


def test_no_room_for_text(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="max_length: 4 tokens hold no text"):
        encode_rows([TextRow("a", "b")], tokenizer, 4)
