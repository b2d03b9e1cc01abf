"""Segments one after another, in all parts of the text at once.

A segment begins where the one before it ends, so a document is gone through in order; but
documents, and long ones' strides, do not wait for each other. Every round plans the next segment
of all that are not through. Rounds are numpy calls, which let other threads run: the strides are
shared out among the processors.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from bertsmith.text.workers import available_cores
from bertsmith.types import IntArray

LONGEST_STRIDE = 1 << 16
"""Tokens of a document that are planned in one go."""
MIN_TOKENS = 2
"""Shorter left-overs of a document are dropped."""
FEWEST_IN_A_PART = 1 << 10
"""Rows that are worth a thread."""

Columns = tuple[IntArray, ...]
Step = Callable[[IntArray, IntArray, IntArray, IntArray], tuple[Columns, IntArray, IntArray]]
"""(the token that each next segment begins at, a sentence offset up to there, where its stride
ends, the row of `ranges` that it is of) -> what is known of each segment, where the one after it
begins, and a sentence offset up to there. Sentence offsets are given as their index."""


def walk(sentences: IntArray, ranges: IntArray, step: Step) -> Columns:
    """What `step` says of every segment, in the order of the corpus.

    `sentences` are the corpus' sentence offsets, `ranges` (k, 2) the tokens to go through. What
    `step` says of a segment may depend on that segment alone.
    """
    begin, stop, row = _strides(sentences, ranges)
    at = np.searchsorted(sentences, begin, side="right") - 1
    return in_parts(partial(_walk, step), begin, at, stop, row)


def in_parts(function: Callable[..., Columns], *rows: IntArray) -> Columns:
    """`function` of all `rows`, computed for a part of them a processor: row in, row out."""
    count = min(available_cores(), len(rows[0]) // FEWEST_IN_A_PART)
    if count < 2:
        return function(*rows)
    parts = zip(*(np.array_split(each, count) for each in rows), strict=True)
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(lambda part: function(*part), parts))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def last_within(sentences: IntArray, at: IntArray, limit: IntArray) -> IntArray:
    """The last sentence offset up to `limit`, as its index, going on from the index `at`.

    A few steps: a binary search among all sentences would miss the processor's caches.
    """
    at = at.copy()
    going = np.arange(len(at))
    while len(going):
        following = at[going] + 1
        fits = sentences.take(following, mode="clip") <= limit[going]
        going = going[fits & (following < len(sentences))]
        at[going] += 1
    return at


def _walk(step: Step, begin: IntArray, at: IntArray, stop: IntArray, row: IntArray) -> Columns:
    alive = np.flatnonzero(stop - begin >= MIN_TOKENS)
    cursor, sentence = begin[alive], at[alive]
    rounds: list[tuple[IntArray, Columns]] = []
    while len(alive):
        ends = stop[alive]
        columns, cursor, sentence = step(cursor, sentence, ends, row[alive])
        rounds.append((alive, columns))
        more = ends - cursor >= MIN_TOKENS
        alive, cursor, sentence = alive[more], cursor[more], sentence[more]
    counts = np.zeros(len(begin), dtype=np.int64)
    for alive, _ in rounds:
        counts[alive] += 1
    first = np.cumsum(counts) - counts  # of each stride's segments, which come once a round
    nothing = begin[:0]
    width = len(rounds[0][1] if rounds else step(nothing, nothing, nothing, nothing)[0])
    whole = tuple(np.empty(counts.sum(), dtype=np.int64) for _ in range(width))
    for number, (alive, columns) in enumerate(rounds):
        for column, values in zip(whole, columns, strict=True):
            column[first[alive] + number] = values
    return whole


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
