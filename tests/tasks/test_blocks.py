from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.tasks import blocks as module
from bertsmith.tasks.blocks import CHARACTERS, ROWS, blocks
from bertsmith.tasks.sentences import sentence_of
from bertsmith.tasks.sequences import encode_rows
from bertsmith.tasks.spans import encode_questions
from bertsmith.tasks.squad import Question
from bertsmith.tasks.tables import TextRow
from bertsmith.tasks.windows import encode_sentences
from bertsmith.text.tokenizer import Tokenizer
from wordpieces import wordpiece

TEXTS = ["the dog sat", "", "a cat on the mat", "the cat " * 40, "a", "the mat " * 3]


@given(st.lists(st.sampled_from([0, 1, CHARACTERS // 3, CHARACTERS, 5 * CHARACTERS])))
def test_every_text_is_in_one_block_and_no_block_is_large(lengths: list[int]) -> None:
    found = list(blocks(lengths))
    assert [place for some in found for place in range(len(lengths))[some]] == [
        *range(len(lengths))
    ]
    for some in found:
        assert len(lengths[some]) == 1 or sum(lengths[some]) <= CHARACTERS
    for some, after in pairwise(found):
        assert sum(lengths[some]) + lengths[after.start] > CHARACTERS


def test_of_short_texts_a_block_has_so_many() -> None:
    assert [*blocks([1] * (ROWS + 1))] == [slice(0, ROWS), slice(ROWS, ROWS + 1)]


def test_long_texts_are_not_tokenised_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole encodings of a thousand books, of which 128 tokens are kept, are a hundred GB."""
    tokenizer, encode_batch = wordpiece(TEXTS, 60), Tokenizer.encode_batch
    asked: list[int] = []

    def spy(self: Tokenizer, texts: Sequence[str], **options: Any) -> Any:
        asked.append(sum(map(len, texts)) if len(texts) > 1 else 0)
        return encode_batch(self, texts, **options)

    def encoded() -> list[list[int]]:
        questions = [Question(str(n), "a dog", text) for n, text in enumerate(TEXTS)]
        some = (
            encode_rows([TextRow(text, "a mat") for text in TEXTS], tokenizer, 16),
            encode_sentences([sentence_of(text) for text in TEXTS], tokenizer, 16),
            encode_questions(questions, tokenizer, 32, 8, labelled=False),
        )
        return [example.input_ids.tolist() for data in some for example in data.examples]

    whole = encoded()
    monkeypatch.setattr(Tokenizer, "encode_batch", spy)
    monkeypatch.setattr(module, "CHARACTERS", 40)
    assert encoded() == whole
    assert 0 < max(asked) <= 40
