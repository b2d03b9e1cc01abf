"""Sentences of words to examples: labels on first pieces, long sentences by windows.

A word's label stands at its first piece (BERT, section 5.3). A sentence that does not fit is
read in windows of whole words; each word is told in exactly one of them, and up to a quarter of
a window on either side is context. Windows depend on their sentence alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bertsmith.errors import ConfigError
from bertsmith.tasks.base import Encoded
from bertsmith.tasks.blocks import blocks
from bertsmith.tasks.sentences import Sentence
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example, IntArray

CONTEXT = 4
"""A window's share that is context on one side, at most, and that one word may take: a quarter."""


@dataclass(frozen=True)
class EncodedSentences(Encoded):
    """Windows in the sentences' order, and so outputs in the words'.

    Token targets of an example: "is_word" (n,), 1 at the first piece of each word that is told
    in it, and "tags" (n,), its label there; 0 elsewhere.
    """

    sentences: Sequence[Sentence] = ()
    tags: IntArray | None = None  # (words of all,)

    @property
    def lengths(self) -> IntArray:
        """(sentences,) words of each."""
        return np.array([len(sentence.words) for sentence in self.sentences], dtype=np.int64)


def encode_sentences(
    sentences: Sequence[Sentence],
    tokenizer: Tokenizer,
    max_length: int,
    tags: Sequence[Sequence[int]] | None = None,
) -> EncodedSentences:
    """Windows of at most `max_length` tokens; `tags` are label numbers, one a word.

    A word without a piece of its own, such as a lone control character, is [UNK]; one that
    takes more than a quarter of a window that its sentence does not fit is cut, and that said.
    Raises ConfigError where `max_length` leaves no room for text.
    """
    specials = tokenizer.encode("").ids
    before, after = specials[: len(specials) // 2], specials[len(specials) // 2 :]
    room = max_length - len(specials)
    if room < 2 * CONTEXT:
        raise ConfigError(f"{max_length} tokens hold no text", where="max_length")
    examples: list[Example] = []
    is_truncated: list[bool] = []
    rows: list[int] = []
    for some in blocks([len(sentence.text) for sentence in sentences]):
        for offset, pieces in enumerate(_pieces_of(sentences[some], tokenizer), some.start):
            fits = sum(map(len, pieces)) <= room
            longest = room // CONTEXT
            is_truncated.append(not fits and max(map(len, pieces)) > longest)
            if not fits:
                pieces = [own[:longest] for own in pieces]
            own_tags = None if tags is None else tags[offset]
            for first, begin, end, last in windows([len(own) for own in pieces], room):
                rows.append(end - begin)
                labels = None if own_tags is None else own_tags[begin:end]
                parts = pieces[first:begin], pieces[begin:end], pieces[end:last]
                examples.append(_example(parts, before, after, labels))
    flat = None if tags is None else np.array([t for own in tags for t in own], dtype=np.int64)
    counts = np.array(rows, dtype=np.int64)
    return EncodedSentences(examples, is_truncated, counts, sentences=sentences, tags=flat)


def windows(sizes: Sequence[int], room: int) -> Iterator[tuple[int, int, int, int]]:
    """(first, begin, end, last) words of each window: those from `begin` to `end` are told,
    those before and after them are context.

    `sizes` are the pieces of each word, at most a quarter of `room` unless all fit.
    """
    ends = np.cumsum([0, *sizes])
    total, begin = int(ends[-1]), 0
    while begin < len(sizes):
        reach = room // CONTEXT
        first = int(np.searchsorted(ends, ends[begin] - reach)) if total > room else 0
        left = int(ends[begin] - ends[first])
        if total - ends[begin] + left <= room:
            end = len(sizes)
        else:
            limit = ends[begin] + room - left - reach
            end = int(np.searchsorted(ends, limit, side="right")) - 1
        last = int(np.searchsorted(ends, ends[first] + room, side="right")) - 1
        yield first, begin, end, last
        begin = end


def _pieces_of(sentences: Sequence[Sentence], tokenizer: Tokenizer) -> Iterator[list[list[int]]]:
    """The pieces of each word, at least one, of the words with single spaces between."""
    texts = [" ".join(sentence.words) for sentence in sentences]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    for sentence, encoding in zip(sentences, encodings, strict=True):
        pieces: list[list[int]] = [[] for _ in sentence.words]
        word_ends = np.cumsum([len(word) + 1 for word in sentence.words]) - 1
        last_letters = [end - 1 for _, end in encoding.offsets]
        places = np.searchsorted(word_ends, last_letters, side="right")
        is_space = np.isin(last_letters, word_ends)
        for index, place, space in zip(encoding.ids, places, is_space, strict=True):
            if not space and place < len(pieces):
                pieces[place].append(index)
        yield [own or [tokenizer.unk_id] for own in pieces]


def _example(
    parts: tuple[list[list[int]], list[list[int]], list[list[int]]],
    before: list[int],
    after: list[int],
    labels: Sequence[int] | None,
) -> Example:
    left, own, right = ([index for word in part for index in word] for part in parts)
    input_ids = np.array([*before, *left, *own, *right, *after], dtype=np.int64)
    starts = np.cumsum([0, *(len(word) for word in parts[1])])[:-1] + len(before) + len(left)
    is_word, tags = np.zeros_like(input_ids), np.zeros_like(input_ids)
    is_word[starts] = 1
    targets = {"is_word": is_word}
    if labels is not None:
        tags[starts] = labels
        targets["tags"] = tags
    return Example(input_ids, np.zeros_like(input_ids), token_targets=targets)
