"""FULL-SENTENCES: segments that go on from one document into the next (RoBERTa, section 4.2).

The documents are one stream, with a place between each two of them for a separator. Every
segment is as many whole sentences of the stream as fit. Stretches of the stream advance
together, one segment a round, so that a plan takes as many rounds as a stretch has segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bertsmith.data.segments import Vocabulary, read_ranges
from bertsmith.data.walk import LONGEST_STRIDE, MIN_TOKENS
from bertsmith.types import IntArray, Segment

if TYPE_CHECKING:
    from bertsmith.text.corpus import Corpus


@dataclass(frozen=True)
class FullSentences:
    """Segments as ranges of the stream of `documents`, the same in every epoch."""

    documents: IntArray  # (m, 2) token ranges of the corpus
    offsets: IntArray  # (m,) where each document begins in the stream
    begin: IntArray  # (k,) stream offsets
    end: IntArray

    def __len__(self) -> int:
        return len(self.begin)

    @cached_property
    def begins(self) -> IntArray:
        """See Segments."""
        document = np.searchsorted(self.offsets, self.begin, side="right") - 1
        begins: IntArray = self.begin - self.offsets[document] + self.documents[document, 0]
        return begins

    @property
    def lengths(self) -> IntArray:
        """(k,) tokens of each segment, special tokens included."""
        return self.end - self.begin + 2

    def read(self, corpus: Corpus, vocabulary: Vocabulary, index: int) -> Segment:
        """[CLS] text [SEP], with a further [SEP] where a document ends inside the text."""
        begin, end = int(self.begin[index]), int(self.end[index])
        first, last = np.searchsorted(self.offsets, [begin, end - 1], side="right") - 1
        ranges = []
        for document in range(int(first), int(last) + 1):
            shift = int(self.documents[document, 0] - self.offsets[document])
            low = max(begin, int(self.offsets[document])) + shift
            ranges.append((low, min(end + shift, int(self.documents[document, 1]))))
        return read_ranges(corpus, vocabulary, ranges)


def plan_full_sentences(corpus: Corpus, ranges: IntArray, max_length: int) -> FullSentences:
    """The documents of `ranges` (m, 2) in segments of at most `max_length` tokens."""
    sentences = np.asarray(corpus.sentence_offsets, dtype=np.int64)
    sizes = ranges[:, 1] - ranges[:, 0]
    ends = np.cumsum(sizes + 1)
    offsets = ends - (sizes + 1)

    def last_end(limit: IntArray) -> IntArray:
        """Where the last sentence ends that ends at or before `limit`; -1 where none does."""
        document = np.searchsorted(offsets, limit, side="right") - 1
        low, high = ranges[document, 0], ranges[document, 1]
        token = limit - offsets[document] + low
        found = sentences[np.searchsorted(sentences, token, side="right") - 1]
        found = np.where(token >= high, high, found)  # a range may end inside a sentence
        inside: IntArray = np.where(found > low, found - low, -1) + offsets[document]
        return inside

    def next_begin(end: IntArray) -> IntArray:
        """Where text goes on after `end`: past the separator where a document ends there."""
        document = np.searchsorted(offsets, end, side="right") - 1
        after: IntArray = end + (end - offsets[document] == sizes[document])
        return after

    stop = np.unique(last_end(np.arange(LONGEST_STRIDE, ends[-1], LONGEST_STRIDE)))
    stop = np.append(stop[(stop > 0) & (stop < ends[-1] - 1)], ends[-1] - 1)
    cursor = np.append(0, next_begin(stop[:-1]))
    begins, finishes = [], []
    while len(cursor):
        limit = np.minimum(cursor + max_length - 2, stop)
        whole = last_end(limit)
        end = np.where(whole - cursor >= MIN_TOKENS, whole, limit)
        begins.append(cursor)
        finishes.append(end)
        cursor = next_begin(end)
        more = stop - cursor >= MIN_TOKENS
        cursor, stop = cursor[more], stop[more]
    begin = np.concatenate(begins)
    order = np.argsort(begin, kind="stable")
    return FullSentences(ranges, offsets, begin[order], np.concatenate(finishes)[order])
