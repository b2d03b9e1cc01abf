"""Segments one after another, in all parts of the text at once.

A segment begins where the one before it ends, so a document is gone through in order; but
documents, and long ones' strides, do not wait for each other. Every round plans the next segment
of all that are not through. Rounds are numpy calls, which let other threads run: the strides are
shared out among the processors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np

from bertsmith.text.workers import available_cores
from bertsmith.types import IntArray

LONGEST_STRIDE = 1 << 16
"""Tokens of a document that are planned in one go."""
MIN_TOKENS = 2
"""Shorter left-overs of a document are dropped."""
FEWEST_IN_A_PART = 1 << 10
"""Rows that are worth a thread."""
BLOCK = 1 << 16
"""Rows that several columns of stay in a processor's cache."""

Columns = tuple[IntArray, ...]
Step = Callable[[IntArray, IntArray, IntArray, IntArray], tuple[Columns, IntArray, IntArray]]
"""(the token that each next segment begins at, a sentence offset up to there, where its stride
ends, the row of `ranges` that it is of) -> what is known of each segment, where the one after it
begins, and a sentence offset up to there. Sentence offsets are given as their index."""
Round = tuple[IntArray, Columns]
"""Which strides had one more segment, and what is known of it."""

Part = TypeVar("Part")
Found = TypeVar("Found")


def walk(sentences: IntArray, ranges: IntArray, step: Step) -> Columns:
    """What `step` says of every segment, in the order of the corpus.

    `sentences` are the corpus' sentence offsets, `ranges` (k, 2) the tokens to go through. What
    `step` says of a segment may depend on that segment alone.
    """
    begin, stop, row = _strides(sentences, ranges)
    at = np.searchsorted(sentences, begin, side="right") - 1
    counts = np.zeros(len(begin), dtype=np.int64)

    def find(part: slice) -> list[Round]:
        rounds = _rounds(step, begin[part], at[part], stop[part], row[part])
        for alive, _ in rounds:
            counts[part][alive] += 1
        return rounds

    parts = _parts(len(begin), available_cores())
    found = in_threads(find, parts)
    firsts = np.cumsum(counts) - counts  # of each stride's segments, which come once a round
    whole = tuple(np.empty(counts.sum(), dtype=np.int64) for _ in found[0][0][1])

    def gather(part: slice, rounds: list[Round]) -> None:
        first = firsts[part]
        for number, (alive, columns) in enumerate(rounds):
            for column, values in zip(whole, columns, strict=True):
                column[first[alive] + number] = values

    in_threads(lambda place: gather(parts[place], found[place]), range(len(parts)))
    return whole


def in_blocks(function: Callable[[IntArray], Columns], rows: IntArray) -> Columns:
    """`function` of `rows`, computed for as many at once as caches hold: row in, row out."""
    blocks = _parts(len(rows), -(-len(rows) // BLOCK))
    found = in_threads(lambda block: function(rows[block]), blocks)
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def in_threads(function: Callable[[Part], Found], parts: Sequence[Part]) -> list[Found]:
    """`function` of each of `parts`, in a thread a processor."""
    threads = min(available_cores(), len(parts))
    if threads == 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))


def _parts(rows: int, most: int) -> list[slice]:
    """Neighbouring rows, in `most` parts unless they are few."""
    count = max(1, min(most, rows // FEWEST_IN_A_PART))
    bounds = np.linspace(0, rows, count + 1).astype(int).tolist()
    return [slice(*each) for each in pairwise(bounds)]


def last_within(sentences: IntArray, at: IntArray, limit: IntArray) -> IntArray:
    """The last sentence offset up to `limit`, as its index, going on from the index `at`.

    A few steps: a binary search among all sentences would miss the processor's caches.
    """
    last, going, here = at.copy(), np.arange(len(at)), at
    while len(going):
        here = here + 1
        fits = sentences.take(here, mode="clip") <= limit
        more = np.flatnonzero(fits & (here < len(sentences)))
        going, here, limit = going.take(more), here.take(more), limit.take(more)
        last[going] = here
    return last


def _rounds(
    step: Step, begin: IntArray, at: IntArray, stop: IntArray, row: IntArray
) -> list[Round]:
    """At least one, which may be of no stride."""
    alive = np.flatnonzero(stop - begin >= MIN_TOKENS)
    cursor, sentence = begin[alive], at[alive]
    rounds: list[Round] = []
    while len(alive) or not rounds:
        ends = stop[alive]
        columns, cursor, sentence = step(cursor, sentence, ends, row[alive])
        rounds.append((alive, columns))
        more = ends - cursor >= MIN_TOKENS
        alive, cursor, sentence = alive[more], cursor[more], sentence[more]
    return rounds


def _strides(sentences: IntArray, ranges: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Begins and ends of LONGEST_STRIDE tokens or so, and the row of `ranges` each is of.

    There are as many rounds as one stride has segments, however long the longest document is.
    """
    begin, end = ranges.T
    count = -(-(end - begin) // LONGEST_STRIDE)
    row = np.repeat(np.arange(len(ranges)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    wanted = begin[row] + number * LONGEST_STRIDE
    at = sentences[np.searchsorted(sentences, wanted, side="right") - 1]
    starts = np.where((number > 0) & (at > begin[row]), at, wanted)
    is_last = number == count[row] - 1
    stops = np.where(is_last, end[row], np.roll(starts, -1))
    return starts, stops, row
