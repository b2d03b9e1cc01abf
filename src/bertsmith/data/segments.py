"""Documents -> segments: which token ranges make up each input of an epoch.

A plan lists every segment of one epoch as token ranges. It is computed in one vectorised
pass (see `bertsmith.data.walk`), and every choice (a shorter target, where A ends, whether B
is drawn from elsewhere) hashes the token at which the segment begins. So a plan is a pure
function of (corpus, seed, epoch), 10 million segments take seconds, and a segment is read
from disk only when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bertsmith.config import Masking
from bertsmith.data import rng
from bertsmith.data.walk import MIN_TOKENS, Columns, in_blocks, last_within, walk
from bertsmith.errors import CorpusError
from bertsmith.types import NO_PAIR, FloatArray, IntArray, Segment

if TYPE_CHECKING:
    from bertsmith.text.corpus import Corpus
    from bertsmith.text.lexicon import Lexicon
    from bertsmith.text.tokenizer import Tokenizer

FEWEST_FOR_EACH = 10
"""Documents there must be for each one that is held out whole."""
OFFSETS_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What segments and corruption need to know of a tokenizer, and of the corpus it made."""

    size: int
    cls_id: int
    sep_id: int
    mask_id: int
    regular_ids: IntArray  # every id that is no special token
    pad_id: int = 0
    sentinel_ids: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))  # T5's
    frequencies: FloatArray | None = None  # (V,) share of each id among a corpus' tokens
    lexicons: Mapping[Masking, Lexicon] = field(default_factory=dict)  # of phrases, of entities

    @classmethod
    def of(
        cls,
        tokenizer: Tokenizer,
        counts: IntArray | None = None,
        lexicons: Mapping[Masking, Lexicon] | None = None,
    ) -> Vocabulary:
        """The vocabulary of `tokenizer`; `counts` (V,) says how often a corpus has each id."""
        ids = np.arange(tokenizer.vocab_size, dtype=np.int64)
        regular = ids[~np.isin(ids, list(tokenizer.special_ids))]
        return cls(
            tokenizer.vocab_size,
            tokenizer.cls_id,
            tokenizer.sep_id,
            tokenizer.mask_id,
            regular,
            tokenizer.pad_id,
            np.array(tokenizer.sentinel_ids, dtype=np.int64),
            None if counts is None else counts / counts.sum(),
            lexicons or {},
        )


class Segments(Protocol):
    """The segments of one epoch, as a recipe plans them."""

    def __len__(self) -> int: ...

    @property
    def begins(self) -> IntArray:
        """(k,) the token of the corpus that each segment begins with."""

    @property
    def lengths(self) -> IntArray:
        """(k,) tokens of each segment, special tokens included."""

    def read(self, corpus: Corpus, vocabulary: Vocabulary, index: int) -> Segment:
        """Segment `index`, read from disk."""


@dataclass(frozen=True)
class Plan:
    """One epoch's segments, each as token range A and, in a pair, token range B."""

    a_begin: IntArray  # (k,) global token offsets
    a_end: IntArray
    b_begin: IntArray  # (k,) equal to b_end where there is no B
    b_end: IntArray
    pair_label: IntArray  # (k,) as Segment.pair_label

    def __len__(self) -> int:
        return len(self.a_begin)

    @property
    def begins(self) -> IntArray:
        """See Segments."""
        return self.a_begin

    @cached_property
    def lengths(self) -> IntArray:
        """(k,) tokens of each segment, special tokens included."""
        b_tokens = self.b_end - self.b_begin
        return self.a_end - self.a_begin + b_tokens + 2 + (b_tokens > 0)

    def read(self, corpus: Corpus, vocabulary: Vocabulary, index: int) -> Segment:
        """[CLS] A [SEP] or [CLS] A [SEP] B [SEP]."""
        ranges = [(int(self.a_begin[index]), int(self.a_end[index]))]
        if self.b_end[index] > self.b_begin[index]:
            ranges.append((int(self.b_begin[index]), int(self.b_end[index])))
        segment = read_ranges(corpus, vocabulary, ranges)
        a_tokens = 2 + ranges[0][1] - ranges[0][0]
        segment.token_type_ids[a_tokens:] = 1
        return replace(segment, pair_label=int(self.pair_label[index]))


def read_ranges(
    corpus: Corpus, vocabulary: Vocabulary, ranges: Sequence[tuple[int, int]]
) -> Segment:
    """[CLS] and then the tokens of each range, each with a [SEP] after it; all of type 0."""
    length = 1 + sum(end - begin + 1 for begin, end in ranges)
    input_ids = np.full(length, vocabulary.sep_id, dtype=np.int64)
    is_special = np.ones(length, dtype=np.bool_)
    word_starts = np.ones(length, dtype=np.bool_)
    input_ids[0] = vocabulary.cls_id
    at = 1
    for begin, end in ranges:
        here = slice(at, at + end - begin)
        input_ids[here] = corpus.read(begin, end)
        word_starts[here] = corpus.word_starts(begin, end)
        word_starts[at] = True
        is_special[here] = False
        at = here.stop + 1
    return Segment(input_ids, np.zeros(length, dtype=np.int64), is_special, word_starts)


def split_documents(corpus: Corpus, heldout_share: float) -> tuple[IntArray, IntArray]:
    """Token ranges (k, 2) for training and for evaluation; neither depends on a run's seed.

    Whole documents are held out where there are enough of them, at least two; else the last
    sentences of every document. What would be most of the text, or of a document, is not: then
    the end of every document is, or of this one. Raises CorpusError where either part would be
    empty, or where the offsets of documents or sentences are damaged: nothing is planned from
    those.
    """
    _check_offsets(corpus)
    offsets = np.asarray(corpus.document_offsets, dtype=np.int64)
    documents = np.stack([offsets[:-1], offsets[1:]], axis=1)
    count = max(2, round(len(documents) * heldout_share))
    draws = rng.uniform(rng.key("heldout"), np.arange(len(documents)))
    chosen = np.zeros(len(documents), dtype=np.bool_)
    chosen[np.argsort(draws, kind="stable")[:count]] = True
    train, heldout = documents[~chosen], documents[chosen]
    if len(documents) < FEWEST_FOR_EACH * count or _tokens(heldout) > _tokens(train):
        sentences = np.asarray(corpus.sentence_offsets, dtype=np.int64)
        begin, end = documents.T
        least = np.clip((end - begin) // 2, 1, MIN_TOKENS)
        wanted = end - np.maximum(least, ((end - begin) * heldout_share).astype(np.int64))
        cut = sentences[np.searchsorted(sentences, wanted, side="right") - 1]
        cut = np.where(2 * (cut - begin) >= end - begin, cut, wanted)
        train = np.stack([begin, cut], axis=1)[cut > begin]
        heldout = np.stack([cut, end], axis=1)
    if len(train) == 0 or len(heldout) == 0:
        raise CorpusError(
            f"{len(documents)} document(s) of {offsets[-1]:,} tokens leave nothing to hold out",
            where=getattr(corpus, "folder", ""),
            mend="build the corpus from more text",
        )
    return train, heldout


def _tokens(ranges: IntArray) -> int:
    return int((ranges[:, 1] - ranges[:, 0]).sum())


def _check_offsets(corpus: Corpus) -> None:
    """Raise CorpusError unless sentences and documents go from token 0 to the last, in order."""
    for name in ("sentence_offsets", "document_offsets"):
        offsets: IntArray = getattr(corpus, name)
        whole = len(offsets) > 1 and offsets[0] == 0 and offsets[-1] == corpus.num_tokens
        for begin in range(0, len(offsets), OFFSETS_AT_ONCE):
            block = offsets[begin : begin + OFFSETS_AT_ONCE + 1]
            whole = whole and bool((block[1:] >= block[:-1]).all())
            if not whole:
                raise CorpusError(
                    f"{name} are damaged",
                    where=getattr(corpus, "folder", ""),
                    mend="build the corpus again, in a new folder",
                )


def plan_singles(
    corpus: Corpus, ranges: IntArray, max_length: int, short_rate: float, seed: int, epoch: int
) -> Plan:
    """Each segment is as many whole sentences of one document as fit; none is a pair."""
    sentences = np.asarray(corpus.sentence_offsets, dtype=np.int64)
    draw = _Draws(seed, epoch)

    def step(
        cursor: IntArray, at: IntArray, stop: IntArray, row: IntArray
    ) -> tuple[Columns, IntArray, IntArray]:
        room = _room(draw, cursor, max_length - 2, short_rate)
        end, last = _fill(sentences, cursor, at, room, stop)
        return (cursor, end), end, last

    begin, end = walk(sentences, ranges, step)
    nothing = np.zeros_like(begin)
    return Plan(begin, end, nothing, nothing, np.full_like(begin, NO_PAIR))


def plan_next_sentence(
    corpus: Corpus, ranges: IntArray, max_length: int, short_rate: float, seed: int, epoch: int
) -> Plan:
    """Pairs for next-sentence prediction (BERT, section 3.1 and appendix A.2).

    A chunk of whole sentences is cut in two at a sentence boundary (in the middle, where it
    is one sentence). With probability one half B is the rest of the chunk, label 0;
    otherwise B is taken from another document, label 1, and the rest of the chunk is not
    lost: the next segment of the document begins there. Raises CorpusError where there is
    no other document.
    """
    if len(ranges) < 2:
        raise CorpusError(
            "next-sentence prediction needs at least two documents",
            where=getattr(corpus, "folder", ""),
            mend="build the corpus from more documents, or use a recipe without sentence pairs",
        )
    sentences = np.asarray(corpus.sentence_offsets, dtype=np.int64)
    draw, room = _Draws(seed, epoch), max_length - 3

    def step(
        cursor: IntArray, at: IntArray, stop: IntArray, row: IntArray
    ) -> tuple[Columns, IntArray, IntArray]:
        asked = _room(draw, cursor, room, short_rate)
        end, last = _fill(sentences, cursor, at, asked, stop)
        middle = _cut(sentences, cursor, at, end, last, draw("cut", cursor))
        label = (draw("pair", cursor) < 0.5).astype(np.int64)  # 1: B is from elsewhere
        following = np.where(label, middle, end)
        return (cursor, middle, end, label, row), following, np.where(label, at, last)

    a_begin, a_end, b_end, label, row = walk(sentences, ranges, step)
    elsewhere = _elsewhere(sentences, ranges, draw)

    def other(index: IntArray) -> Columns:
        begin = a_begin[index]
        left = _room(draw, begin, room, short_rate) - (a_end[index] - begin)
        return elsewhere(row[index], left, begin)

    b_begin, random = a_end.copy(), np.flatnonzero(label)
    b_begin[random], b_end[random] = in_blocks(other, random)
    return Plan(a_begin, a_end, b_begin, b_end, label)


def plan_sentence_order(
    corpus: Corpus, ranges: IntArray, max_length: int, short_rate: float, seed: int, epoch: int
) -> Plan:
    """Pairs for sentence-order prediction (ALBERT, section 3.1).

    A chunk of whole sentences is cut in two at a sentence boundary (in the middle, where it
    is one sentence). With probability one half A and B change places, label 1.
    """
    sentences = np.asarray(corpus.sentence_offsets, dtype=np.int64)
    draw = _Draws(seed, epoch)

    def step(
        cursor: IntArray, at: IntArray, stop: IntArray, row: IntArray
    ) -> tuple[Columns, IntArray, IntArray]:
        room = _room(draw, cursor, max_length - 3, short_rate)
        end, last = _fill(sentences, cursor, at, room, stop)
        middle = _cut(sentences, cursor, at, end, last, draw("cut", cursor))
        is_swapped = draw("pair", cursor) < 0.5
        a_begin, a_end = np.where(is_swapped, (middle, end), (cursor, middle))
        b_begin, b_end = np.where(is_swapped, (cursor, middle), (middle, end))
        return (a_begin, a_end, b_begin, b_end, is_swapped.astype(np.int64)), end, last

    return Plan(*walk(sentences, ranges, step))


class _Draws:
    """Uniform draws for the segment that begins at a token, one independent set a purpose."""

    def __init__(self, seed: int, epoch: int) -> None:
        self._parts = ("segments", seed, epoch)

    def __call__(self, purpose: str, cursor: IntArray) -> FloatArray:
        return rng.uniform(rng.key(*self._parts, purpose), cursor)


def _room(draw: _Draws, cursor: IntArray, room: int, short_rate: float) -> IntArray:
    """Tokens for text in each segment: `room`, or for some a random smaller number."""
    rooms = np.full(len(cursor), room, dtype=np.int64)
    if short_rate > 0.0:
        short = np.flatnonzero(draw("short", cursor) < short_rate)
        lengths = draw("length", cursor[short]) * (room - MIN_TOKENS + 1)
        rooms[short] = MIN_TOKENS + lengths.astype(np.int64)
    return rooms


def _fill(
    sentences: IntArray, begin: IntArray, at: IntArray, room: IntArray, stop: IntArray
) -> tuple[IntArray, IntArray]:
    """End of the last whole sentence that fits, mid-sentence where not even one does; and the
    last sentence offset up to there.
    """
    limit = np.minimum(begin + room, stop)
    last = last_within(sentences, at, limit)
    boundary = sentences[last]
    return np.where(boundary - begin >= MIN_TOKENS, boundary, limit), last


def _cut(
    sentences: IntArray,
    begin: IntArray,
    at: IntArray,
    end: IntArray,
    last: IntArray,
    chance: FloatArray,
) -> IntArray:
    """A sentence boundary inside (begin, end), at random; without one, about the middle."""
    first = last_within(sentences, at, begin) + 1
    count = last + (sentences[last] < end) - first
    boundary = sentences.take(first + (chance * count).astype(np.int64), mode="clip")
    inside = begin + np.clip(((end - begin) * (0.25 + 0.5 * chance)).astype(np.int64), 1, None)
    cut: IntArray = np.where(count > 0, boundary, np.minimum(inside, end - 1))
    return cut


def _elsewhere(
    sentences: IntArray, ranges: IntArray, draw: _Draws
) -> Callable[[IntArray, IntArray, IntArray], Columns]:
    """(own row of `ranges`, room, cursor) -> a run of sentences of a random other document."""
    begins = ranges[:, 0]
    firsts = np.searchsorted(sentences, begins, side="left")
    counts = np.searchsorted(sentences, ranges[:, 1], side="left") - firsts
    # In the held-out end of a sentence none begins: it is taken from where it is cut.
    firsts = np.where(counts > 0, firsts, np.searchsorted(sentences, begins, side="right") - 1)

    def choose(row: IntArray, room: IntArray, cursor: IntArray) -> Columns:
        other = (draw("document", cursor) * (len(ranges) - 1)).astype(np.int64)
        other += other >= row
        first = firsts[other] + (draw("sentence", cursor) * counts[other]).astype(np.int64)
        begin = np.maximum(sentences[first], begins[other])
        limit = np.minimum(begin + room, ranges[other, 1])
        boundary = sentences[last_within(sentences, first, limit)]
        return begin, np.where(boundary > begin, boundary, limit)

    return choose
