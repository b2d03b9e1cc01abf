"""Texts to be tokenised a block at a time: a token of what a tokenizer gives takes some hundreds of
bytes until it is a number, and of a long text only the beginning may be kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

ROWS = 4096
"""Of a block, at most."""
CHARACTERS = 1 << 21
"""Of a block of more than one text, at most."""


def blocks(lengths: Sequence[int]) -> Iterator[slice]:
    """Which texts each block has, of `lengths` in characters; in their order, all of them."""
    begin = size = 0
    for end, length in enumerate(lengths):
        if end > begin and (size + length > CHARACTERS or end - begin == ROWS):
            yield slice(begin, end)
            begin, size = end, 0
        size += length
    if begin < len(lengths):
        yield slice(begin, len(lengths))
