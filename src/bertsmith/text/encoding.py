"""Sentences to ids and word starts, at the speed of the words that have not been seen yet.

Text repeats its words, and most tokenizers look at each word by itself: the ids of a sentence
are the ids of its words, one after the other. So each word (between two spaces) is encoded
once and remembered, and a sentence is looked up, not encoded. The few tokenizers that do look
across spaces are used on whole sentences, and so is any where a segmenter says what a word is.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import tokenizers
from tokenizers import AddedToken

from bertsmith.text.segmenter import Segmenter, word_of_character
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import BoolArray, IntArray

MAX_WORDS = 300_000
MAX_TOKENS = 4_000_000
"""What is remembered: beyond either, all is forgotten and learnt anew."""

_SEPARATOR = "\0"
_NOT_IN_TEXT = "\1"
_RUN_CHARS = 10_000

_MARK = "M"
"""Of Unicode's categories the first letter."""
_JOINERS = "\u200c\u200d"
"""Inside of words in Persian, in Sinhala and more."""

_BY_WORD_NORMALIZERS = frozenset(
    ("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents")
)
_SPACE_REMOVERS = frozenset(("BertPreTokenizer", "Whitespace", "WhitespaceSplit"))


@dataclass(frozen=True, slots=True)
class EncodedSentences:
    """Sentences end to end, without special tokens."""

    ids: IntArray  # (T,)
    word_starts: BoolArray  # (T,)
    lengths: IntArray  # (sentences,) tokens of each


class CachedEncoder:
    """Encodes sentences in which words are apart by single spaces, without control characters.

    Special tokens written in the text are text: no sentence holds a special id but [UNK].
    With a `segmenter`, its words are the words; the ids stay as they are.
    """

    def __init__(self, tokenizer: Tokenizer, segmenter: Segmenter | None = None) -> None:
        self._backend = _reading_specials_as_text(tokenizer)
        self.vocab_size = tokenizer.vocab_size
        self._backend.add_tokens([AddedToken(_SEPARATOR, special=False, normalized=False)])
        self._separator_id = self.vocab_size
        table = tokenizer.starts_word()
        self._table = None if table is None else np.append(table, True)
        # In a vocabulary with gaps (a vocab.txt that has a token twice) the library gives the
        # separator an id that is another token's: nothing can be told apart by it.
        separator_id = self._backend.token_to_id(_SEPARATOR)
        self.by_word = encodes_by_word(tokenizer) and separator_id == self.vocab_size
        self._segmenter = segmenter
        self._forget()

    def _forget(self) -> None:
        self._index: dict[str, int] = {}
        self._ids = np.zeros(0, dtype=np.int64)
        self._starts = np.zeros(0, dtype=np.bool_)
        self._begins = np.zeros(0, dtype=np.int64)
        self._lengths = np.zeros(0, dtype=np.int64)

    def encode(self, sentences: Sequence[str]) -> EncodedSentences:
        """Ids and word starts of `sentences`; one without a token has length 0."""
        if self._segmenter is not None:
            return self._encode_segmented(sentences, self._segmenter)
        if not self.by_word:
            return self._encode_whole(sentences)
        words = " ".join(sentences).split(" ")
        words_each = np.fromiter((s.count(" ") + 1 for s in sentences), dtype=np.int64)
        where = self._look_up(words)
        lengths = self._lengths[where]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        source = np.repeat(self._begins[where] - (ends - lengths), lengths) + np.arange(total)
        token_ends = np.concatenate([[0], ends])[np.cumsum(words_each)]
        return EncodedSentences(
            self._ids[source], self._starts[source], np.diff(token_ends, prepend=0)
        )

    def _look_up(self, words: list[str]) -> IntArray:
        """(words,) the place of each word in what is remembered."""
        where = self._places(words)
        missing = np.flatnonzero(where < 0)
        if not len(missing):
            return where
        if len(self._index) > MAX_WORDS or len(self._ids) > MAX_TOKENS:
            self._forget()
            missing = np.arange(len(words))
        self._learn(list(dict.fromkeys(words[place] for place in missing.tolist())))
        return self._places(words)

    def _places(self, words: list[str]) -> IntArray:
        return np.fromiter(map(self._index.get, words, repeat(-1)), np.int64, len(words))

    def _learn(self, words: list[str]) -> None:
        new = self._encode_words(words)
        begins = len(self._ids) + np.cumsum(new.lengths) - new.lengths
        first = len(self._index)
        self._index.update(zip(words, range(first, first + len(words)), strict=True))
        self._ids = np.concatenate([self._ids, new.ids])
        self._starts = np.concatenate([self._starts, new.word_starts])
        self._begins = np.concatenate([self._begins, begins])
        self._lengths = np.concatenate([self._lengths, new.lengths])

    def _encode_words(self, words: list[str]) -> EncodedSentences:
        """Many words as few long texts: half the time of as many short ones."""
        texts = [_SEPARATOR.join(part) for part in _runs(words)]
        found = self._encode_whole(texts)
        is_separator = found.ids == self._separator_id
        # The end of a text separates, too.
        is_end = np.zeros(len(found.ids) + len(texts), dtype=np.bool_)
        place = np.arange(len(found.ids)) + np.repeat(np.arange(len(texts)), found.lengths)
        is_end[place] = is_separator
        is_end[np.cumsum(found.lengths + 1) - 1] = True
        is_token = ~is_end
        lengths = np.diff(np.cumsum(is_token)[is_end], prepend=0)
        kept = ~is_separator
        return EncodedSentences(found.ids[kept], found.word_starts[kept], lengths)

    def _encode_whole(self, texts: Sequence[str]) -> EncodedSentences:
        if self._table is None:
            return self._encode_with_word_ids(texts)
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        ids, lengths = _joined([encoding.ids for encoding in encodings])
        return EncodedSentences(ids, self._table[ids], lengths)

    def _encode_with_word_ids(self, texts: Sequence[str]) -> EncodedSentences:
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        ids, lengths = _joined([encoding.ids for encoding in encodings])
        words = [_words_of(*each) for each in zip(texts, encodings, strict=True)]
        starts = np.diff(_joined(words)[0], prepend=-1) != 0
        begins = np.cumsum(lengths) - lengths
        starts[begins[lengths > 0]] = True
        starts[1:] |= ids[:-1] == self._separator_id
        return EncodedSentences(ids, starts, lengths)

    def _encode_segmented(self, sentences: Sequence[str], segmenter: Segmenter) -> EncodedSentences:
        """A token is in the word that its first character is in."""
        encodings = self._backend.encode_batch(list(sentences), add_special_tokens=False)
        ids, lengths = _joined([encoding.ids for encoding in encodings])
        words = []
        for sentence, encoding in zip(sentences, encodings, strict=True):
            word_of = word_of_character(sentence, segmenter)
            words.append([int(word_of[begin]) for begin, _ in encoding.offsets])
        word_ids, _ = _joined(words)
        starts = np.diff(word_ids, prepend=-1) != 0
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        return EncodedSentences(ids, starts, lengths)


def _words_of(text: str, encoding: tokenizers.Encoding) -> list[int]:
    """The word that each token is in.

    Byte-level pre-tokenizers cut between a letter and its mark, of which Devanagari or vowelled
    Arabic writes one with nearly every letter: there the word goes on. A sign that they do not cut
    from the mark before it goes with its word.
    """
    cut = [-1 if index is None else index for index in encoding.word_ids]
    if text.isascii():
        return cut
    words: list[int] = []
    before = -1
    for index, (begin, _) in zip(cut, encoding.offsets, strict=True):
        goes_on = bool(words) and (index == before or (begin > 0 and _is_inside(text, begin)))
        words.append(words[-1] if goes_on else index)
        before = index
    return words


def _is_inside(text: str, at: int) -> bool:
    """Whether a letter and a mark, or an invisible joiner, meet at `at`."""
    kinds = {_MARK if c in _JOINERS else unicodedata.category(c)[0] for c in text[at - 1 : at + 1]}
    return kinds <= {_MARK, "L"} and _MARK in kinds


def _reading_specials_as_text(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """A copy with the same ids that finds no special token in a text.

    Some models look for all their entries there, Unigram for one, so special ones have other names.
    """
    description = json.loads(tokenizer.backend.to_str())
    model, added = description["model"], description["added_tokens"]
    special = {token["content"] for token in added if token["special"]}
    names = {token: _NOT_IN_TEXT + token for token in special - {model.get("unk_token")}}
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(token, token): index for token, index in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
    for token in added:
        token["content"] = names.get(token["content"], token["content"])
    backend = tokenizers.Tokenizer.from_str(json.dumps(description))
    backend.encode_special_tokens = True
    return backend


def _runs(words: list[str]) -> Iterator[list[str]]:
    """Parts of `words` of some ten thousand characters."""
    begin = size = 0
    for end, word in enumerate(words, start=1):
        size += len(word) + 1
        if size >= _RUN_CHARS or end == len(words):
            yield words[begin:end]
            begin, size = end, 0


def _joined(rows: list[list[int]]) -> tuple[IntArray, IntArray]:
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum())), lengths


def encodes_by_word(tokenizer: Tokenizer) -> bool:
    """Whether a sentence's ids are those of its space-separated words, one after the other.

    So it is where the first thing that is done to normalised text is to throw spaces away, or
    where every word, the first too, has its one space before it (RoBERTa's, with a prefix). There
    an added token in the text would leave the space before it alone.
    """
    added = tokenizer.description["added_tokens"]
    normalizers = _parts(tokenizer.description["normalizer"], "normalizers")
    first, *further = _parts(tokenizer.description["pre_tokenizer"], "pretokenizers") or [{}]
    keeps_spaces = (
        first.get("type") == "ByteLevel"
        and first["add_prefix_space"]
        and first["use_regex"]
        and not normalizers
        and all(token["special"] for token in added)
    )
    return (
        all(step["type"] in _BY_WORD_NORMALIZERS for step in normalizers)
        and (keeps_spaces or first.get("type") in _SPACE_REMOVERS)
        and not any(step.get("prepend_scheme") == "first" for step in further)
        and not any(" " in token["content"] for token in added)
    )


def _parts(step: dict[str, Any] | None, inside: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    return list(step[inside]) if step["type"] == "Sequence" else [step]
