from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.errors import ConfigError
from bertsmith.tasks.sentences import sentence_of
from bertsmith.tasks.windows import CONTEXT, encode_sentences, windows
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from wordpieces import wordpiece

WORDS = "the cat sat on the mat and the dog ran after a cat in the rain was it so"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return wordpiece([WORDS], 48)


@given(st.lists(st.integers(1, 5), max_size=80), st.integers(20, 60))
def test_every_word_is_told_once_in_a_window_that_fits(sizes: list[int], room: int) -> None:
    told: list[int] = []
    found = list(windows(sizes, room))
    for number, (first, begin, end, last) in enumerate(found):
        assert 0 <= first <= begin < end <= last <= len(sizes)
        assert sum(sizes[first:last]) <= room
        told += range(begin, end)
        if number:
            context = sum(sizes[first:begin])
            assert room // CONTEXT - 5 < context <= room // CONTEXT or first == 0
        if number + 1 < len(found):
            assert sum(sizes[end:last]) > room // CONTEXT - 5 or last == len(sizes)
    assert told == list(range(len(sizes)))
    assert len(found) == (sum(sizes) > 0) if sum(sizes) <= room else len(found) > 1


@given(st.lists(st.sampled_from(WORDS.split()), max_size=60), st.integers(26, 40))
def test_labels_stand_at_first_pieces(
    tokenizer: Tokenizer, words: list[str], max_length: int
) -> None:
    some = [sentence_of(" ".join(words)), sentence_of("the dog")]
    tags = [[place % 3 for place in range(len(words))], [1, 2]]
    data = encode_sentences(some, tokenizer, max_length, tags)
    assert data.output_rows is not None
    assert data.tags is not None
    assert int(data.output_rows.sum()) == len(words) + 2 == len(data.tags)
    assert data.truncated == 0
    firsts, labels = [], []
    for example, count in zip(data.examples, data.output_rows, strict=True):
        assert len(example.input_ids) <= max_length
        assert (example.input_ids[0], example.input_ids[-1]) == (tokenizer.cls_id, tokenizer.sep_id)
        told = example.token_targets["is_word"] > 0
        assert told.sum() == count
        firsts += example.input_ids[told].tolist()
        labels += example.token_targets["tags"][told].tolist()
    assert labels == data.tags.tolist() == [tag for own in tags for tag in own]
    assert firsts == [tokenizer.encode(word).ids[1] for word in [*words, "the", "dog"]]


def test_words_without_pieces_and_words_too_long(tokenizer: Tokenizer) -> None:
    odd = sentence_of("the cat")
    odd = type(odd)("the \u200b cat", ("the", "\u200b", "cat"), ((0, 3), (4, 5), (6, 9)), (1, 2, 3))
    (example,) = encode_sentences([odd], tokenizer, 16).examples
    told = example.input_ids[example.token_targets["is_word"] > 0]
    assert told[1] == tokenizer.unk_id
    assert "tags" not in example.token_targets
    letters = train_tokenizer([WORDS] * 5, 60, "characters")
    long = "catdogsatmatranrain" * 2
    data = encode_sentences([sentence_of(f"the {long} cat"), sentence_of(long)], letters, 24)
    assert data.truncated == 2
    assert np.array_equal(data.lengths, [3, 1])
    with pytest.raises(ConfigError, match="max_length: 9 tokens hold no text"):
        encode_sentences([odd], tokenizer, 9)
