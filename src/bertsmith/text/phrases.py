"""Phrases of a corpus, found by statistics alone, in any script and in constant memory.

An n-gram of words is a phrase where its words hold together and what is around it is free:

    cohesion   how much more often it occurs than its two parts would by chance, at the split
               that speaks most for chance: normalised pointwise mutual information (Church &
               Hanks 1990; Bouma 2009), ln(c N / (c_left c_right)) / -ln(c / N), at most 1
    freedom    entropy of the word before and of the word after, in bits, the smaller of the
               two (branching entropy, Jin & Tanaka-Ishii 2006)
    burst      residual IDF (Church & Gale 1995), -log2(d / D) + log2(1 - exp(-c / D)): by how
               many bits it is in fewer documents (d of D) than c occurrences strewn at random
               would be. Names and terms are high, turns of phrase low (Yamamoto & Church 2001)

Words are the corpus' own: Chinese characters where no segmenter made them longer. N-grams are
counted from short to long, only where both of their shorter halves are frequent (Agrawal &
Srikant 1994), by 64-bit hashes in a table of limited size that drops what is rarest (Manku &
Motwani 2002). A last pass looks at the neighbours and documents of what holds together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertsmith.errors import CorpusError
from bertsmith.files import write_text_atomically
from bertsmith.text.corpus import Corpus
from bertsmith.text.mixing import GOLDEN_RATIO, Bits, mixed
from bertsmith.types import BoolArray, FloatArray, IntArray

ROOM = 1 << 21
"""N-grams of one length that are counted at a time, 32 bytes each."""
CANDIDATES = 1 << 17
"""Of all lengths, whose neighbours are looked at: 512 bytes each."""
BUCKETS = 64
"""Neighbours are told apart by a hash of 6 bits: no entropy is above 6, and that is free."""
BLOCK_TOKENS = 1 << 20

Progress = Callable[[int, int], None]
"""Told the tokens read so far and in all."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One found phrase; see the top of this file for the measures."""

    text: str
    count: int
    cohesion: float
    freedom: float
    burst: float


@dataclass(frozen=True)
class FoundPhrases:
    """Phrases, the best one first."""

    phrases: Sequence[Phrase]
    min_count: int  # in effect


def write_phrases(path: str | Path, phrases: Sequence[Phrase]) -> None:
    """A TSV without a header: phrase, count, cohesion, freedom, burst."""
    lines = (
        f"{p.text}\t{p.count}\t{p.cohesion:.3f}\t{p.freedom:.2f}\t{p.burst:.2f}\n" for p in phrases
    )
    write_text_atomically(Path(path), "".join(lines))


def find_phrases(
    corpus: Corpus,
    *,
    min_count: int = 10,
    longest: int = 6,
    cohesion: float = 0.4,
    freedom: float = 1.5,
    progress: Progress | None = None,
) -> FoundPhrases:
    """Runs of 2 to `longest` words that occur `min_count` times or more, best first.

    `cohesion` and `freedom` are the least that a phrase must have. Best is the largest product
    of the two. Raises CorpusError where there is none.
    """
    reader = _Reader(corpus, progress, passes=longest + 1)
    tables: list[_Table] = []
    for _ in range(longest):
        table = _Table()
        for block in reader.blocks():
            places, at, keys = _ngrams(block, tables)
            table.add(keys, block.where[at], _chance(places, tables, at))
        min_count = max(min_count, table.error + 1)
        table.keep(table.counts >= min_count)
        tables.append(table)
    words = reader.words // longest  # it has been through so many times
    found = _measured(reader, tables, _candidates(tables, words, cohesion), words)
    phrases = [phrase for phrase in found if phrase.freedom >= freedom]
    if not phrases:
        raise CorpusError(
            f"no run of words that occurs {min_count:,} times or more holds together as a phrase",
            where=corpus.folder,
            mend="give a lower --min-count, --cohesion or --freedom, or more text",
        )
    phrases.sort(key=lambda phrase: (-phrase.cohesion * phrase.freedom, phrase.text))
    return FoundPhrases(phrases, min_count)


class _Table:
    """Counts of n-grams of one length by their hash, with where each occurred first.

    Where there are too many, the rarest are dropped; a count is then too low by `error` at most.
    """

    def __init__(self) -> None:
        self.keys = np.zeros(0, np.uint64)  # ascending
        self.counts = np.zeros(0, np.int64)
        self.where = np.zeros(0, np.int64)  # token of the corpus
        self.chance = np.zeros(0, np.float64)  # the largest c_left c_right
        self.error = 0

    def add(self, keys: Bits, where: IntArray, chance: FloatArray) -> None:
        """Count `keys`, which occur at `where`."""
        new, first, counts = np.unique(keys, return_index=True, return_counts=True)
        place = self.find(new)
        self.counts[place[place >= 0]] += counts[place >= 0]
        is_new = place < 0
        at = np.searchsorted(self.keys, new[is_new])
        self.counts = np.insert(self.counts, at, counts[is_new])
        self.where = np.insert(self.where, at, where[first[is_new]])
        self.chance = np.insert(self.chance, at, chance[first[is_new]])
        self.keys = np.insert(self.keys, at, new[is_new])
        if len(self.keys) > ROOM:
            rarest = int(np.partition(self.counts, -ROOM // 2)[-ROOM // 2])
            self.keep(self.counts > rarest)
            self.error += rarest

    def keep(self, kept: BoolArray) -> None:
        """Drop all others."""
        self.keys, self.counts = self.keys[kept], self.counts[kept]
        self.where, self.chance = self.where[kept], self.chance[kept]

    def find(self, keys: Bits) -> IntArray:
        """The row of each of `keys`, -1 where it has none."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)

    def cohesion(self, words: int) -> FloatArray:
        """Of every row, in a corpus of so many `words`."""
        counts = self.counts.astype(np.float64)
        measured: FloatArray = np.log(counts * words / self.chance) / -np.log(counts / words)
        return measured


@dataclass(frozen=True, slots=True)
class _Block:
    """Some whole sentences of a corpus, by words."""

    words: Bits  # (W,) a hash of each
    usable: BoolArray  # (W,) whether it has a letter, and no unknown token
    run: IntArray  # (W,) one number for usable words in a row
    where: IntArray  # (W,) the token that it begins with
    document: IntArray  # (W,)


class _Reader:
    """Goes through a corpus, several times."""

    def __init__(self, corpus: Corpus, progress: Progress | None, passes: int) -> None:
        self.corpus, self.tokenizer = corpus, corpus.tokenizer()
        self.words = 0  # usable ones in all passes so far
        self._progress, self._read = progress, 0
        self._total = passes * corpus.num_tokens
        texts = [self.tokenizer.text(index) for index in range(self.tokenizer.vocab_size)]
        # Of a letter's bytes alone nothing can be said, so they may be one.
        self._letters = np.array([any(c.isalpha() or c == "\ufffd" for c in t) for t in texts])
        self._special = np.zeros(len(texts), dtype=np.bool_)
        self._special[list(self.tokenizer.special_ids)] = True

    def blocks(self) -> Iterator[_Block]:
        """The whole corpus, about BLOCK_TOKENS at a time."""
        offsets = self.corpus.sentence_offsets
        first = 0
        while first < len(offsets) - 1:
            limit = int(offsets[first]) + BLOCK_TOKENS
            last = max(first + 1, int(np.searchsorted(offsets, limit, side="right")) - 1)
            block = self._block(np.asarray(offsets[first : last + 1], dtype=np.int64))
            yield block
            self.words += int(block.usable.sum())
            self._read += int(offsets[last] - offsets[first])
            if self._progress:
                self._progress(self._read, self._total)
            first = last

    def _block(self, offsets: IntArray) -> _Block:
        begin, end = int(offsets[0]), int(offsets[-1])
        ids = self.corpus.read(begin, end)
        starts = self.corpus.word_starts(begin, end).copy()
        sentences = offsets[:-1][np.diff(offsets) > 0] - begin
        starts[sentences] = True
        begins = np.flatnonzero(starts)
        place = np.arange(len(ids)) - np.repeat(begins, np.diff(begins, append=len(ids)))
        hashes = mixed((ids + (place << 32)).astype(np.uint64))
        is_first = np.zeros(len(ids), dtype=np.bool_)
        is_first[sentences] = True
        usable = np.logical_or.reduceat(self._letters[ids], begins)
        usable &= ~np.logical_or.reduceat(self._special[ids], begins)
        changes = is_first[begins]
        changes[1:] |= usable[1:] != usable[:-1]
        where = begin + begins
        documents = np.searchsorted(self.corpus.document_offsets, where, side="right") - 1
        hashed = np.add.reduceat(hashes, begins)
        return _Block(hashed, usable, np.cumsum(changes), where, documents)

    def texts(self, where: IntArray, lengths: IntArray) -> list[str]:
        """The n-grams of `lengths` words at the tokens `where`; empty where the tokenizer does
        not make the same tokens of a text alone.
        """
        ids = [self._ids(int(at), int(n)) for at, n in zip(where, lengths, strict=True)]
        spaced = [self.tokenizer.decode(one) for one in ids]
        chosen = [""] * len(ids)
        for texts in (spaced, ["".join(text.split()) for text in spaced]):
            encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
            for index, encoding in enumerate(encodings):
                if encoding.ids == ids[index]:
                    chosen[index] = texts[index]
        return chosen

    def _ids(self, begin: int, words: int) -> list[int]:
        """Those of so many words from the token `begin` on."""
        width = 8 * words
        while True:
            end = min(begin + width, self.corpus.num_tokens)
            bounds = np.append(np.flatnonzero(self.corpus.word_starts(begin, end)), end - begin)
            if len(bounds) > words + 1 or end == self.corpus.num_tokens:
                return [int(index) for index in self.corpus.read(begin, begin + int(bounds[words]))]
            width *= 2


def _ngrams(block: _Block, tables: Sequence[_Table]) -> tuple[list[IntArray], IntArray, Bits]:
    """For each table the row of the n-gram at each word (W,), -1 where it is not frequent; and
    the words and keys of the n-grams one longer, both of whose halves are frequent.
    """
    size = len(block.words)
    places: list[IntArray] = []
    at = np.flatnonzero(block.usable)
    keys = block.words[at]
    for length, table in enumerate(tables, start=1):
        place = np.full(size, -1, np.int64)
        place[at] = table.find(keys)
        places.append(place)
        key_of = np.zeros(size, np.uint64)
        key_of[at] = keys
        stop = max(size - length, 0)
        frequent = place >= 0
        both = frequent[:stop] & frequent[1 : stop + 1]
        at = np.flatnonzero(both & (block.run[:stop] == block.run[length:]))
        keys = mixed(key_of[at] * GOLDEN_RATIO + block.words[at + length])
    return places, at, keys


def _chance(places: Sequence[IntArray], tables: Sequence[_Table], at: IntArray) -> FloatArray:
    """The largest product of counts over the ways to cut the n-grams at the words `at` in two."""
    length = len(tables) + 1
    largest = np.zeros(len(at), np.float64)
    for cut in range(1, length):
        left = tables[cut - 1].counts[places[cut - 1][at]].astype(np.float64)
        right = tables[length - cut - 1].counts[places[length - cut - 1][at + cut]]
        largest = np.maximum(largest, left * right)
    return largest


def _candidates(tables: Sequence[_Table], words: int, cohesion: float) -> list[IntArray]:
    """For each row of each table its number among the candidates, or -1."""
    holds = [np.zeros(len(tables[0].keys), np.bool_)]  # words are no phrases
    holds += [table.cohesion(words) >= cohesion for table in tables[1:]]
    counts = np.concatenate([t.counts[h] for t, h in zip(tables, holds, strict=True)])
    if len(counts) > CANDIDATES:
        least = int(np.partition(counts, -CANDIDATES)[-CANDIDATES])
        holds = [h & (t.counts > least) for t, h in zip(tables, holds, strict=True)]
    numbers = []
    first = 0
    for held in holds:
        numbers.append(np.where(held, first + np.cumsum(held) - 1, -1))
        first += int(held.sum())
    return numbers


def _measured(
    reader: _Reader, tables: Sequence[_Table], numbers: Sequence[IntArray], words: int
) -> list[Phrase]:
    """The candidates, with what one more pass says of them."""
    size = sum(int((number >= 0).sum()) for number in numbers)
    around = np.zeros((2, size, BUCKETS), np.int32)
    counts, documents, last = (np.zeros(size, np.int64) for _ in range(3))
    last -= 1
    for block in reader.blocks():
        before, after = _neighbours(block)
        places, _, _ = _ngrams(block, tables)
        for length, (place, number) in enumerate(zip(places, numbers, strict=True), start=1):
            at = np.flatnonzero(place >= 0)
            found = number[place[at]]
            at, found = at[found >= 0], found[found >= 0]
            counts += np.bincount(found, minlength=size)
            for side, bucket in ((0, before[at]), (1, after[at + length - 1])):
                cell, times = np.unique(found * BUCKETS + bucket, return_counts=True)
                around[side].reshape(-1)[cell] += times.astype(np.int32)
            pair = np.unique(found * (1 << 32) + block.document[at])
            which, document = pair >> 32, pair & 0xFFFFFFFF
            new = document != last[which]
            documents += np.bincount(which[new], minlength=size)
            last[which] = document  # the largest of each comes last
    freedom = np.minimum(_entropy(around[0]), _entropy(around[1]))
    del around
    cohesion = np.zeros(size)
    where, lengths = np.zeros((2, size), np.int64)
    for length, (table, number) in enumerate(zip(tables[1:], numbers[1:], strict=True), start=2):
        held = number >= 0
        cohesion[number[held]] = table.cohesion(words)[held]
        where[number[held]], lengths[number[held]] = table.where[held], length
    total = reader.corpus.num_documents
    burst = np.log2(-np.expm1(-counts / total)) - np.log2(documents / total)
    texts = reader.texts(where, lengths)
    columns = (texts, counts.tolist(), cohesion.tolist(), freedom.tolist(), burst.tolist())
    return [Phrase(*row) for row in zip(*columns, strict=True) if row[0]]


def _neighbours(block: _Block) -> tuple[IntArray, IntArray]:
    """(W,) the bucket of the word before and of the word after each; at the end of a run, where
    anything might stand, any one of them.
    """
    bucket = (block.words >> np.uint64(40)).astype(np.int64) % BUCKETS
    anything = (mixed(block.where.astype(np.uint64)) >> np.uint64(40)).astype(np.int64) % BUCKETS
    same = block.run[1:] == block.run[:-1]
    before, after = anything.copy(), anything.copy()
    before[1:][same] = bucket[:-1][same]
    after[:-1][same] = bucket[1:][same]
    return before, after


def _entropy(counts: npt.NDArray[Any]) -> FloatArray:
    """Of each row of counts, in bits."""
    entropies = np.zeros(len(counts))
    for begin in range(0, len(counts), 4096):
        part = counts[begin : begin + 4096].astype(np.float64)
        shares = part / np.maximum(part.sum(axis=1, keepdims=True), 1.0)
        logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
        entropies[begin : begin + 4096] = -(shares * logs).sum(axis=1)
    return entropies
