"""A set of document hashes that lives in a file, for corpora of any size.

Open addressing with linear probing over 128-bit BLAKE2b hashes, at most half full; the file
is mapped into memory, so the system keeps of it what fits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bertsmith.types import BoolArray, IntArray

HashArray = npt.NDArray[np.uint64]
"""(documents, 2): a 128-bit hash a row, never all zero."""

_FIRST_CAPACITY = 2**16
GROWN = ".grown"
"""The suffix of the larger table while the set grows."""


def hash_texts(texts: Sequence[str]) -> HashArray:
    """(len(texts), 2) the hash of each text."""
    digests = (hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest() for text in texts)
    hashes = np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, 2).copy()
    hashes[:, 1] |= np.uint64(1)
    return hashes


class HashSet:
    """Hashes seen so far, in the file `path`, which `close` removes."""

    def __init__(self, path: Path, capacity: int = _FIRST_CAPACITY) -> None:
        """`capacity`: a power of two; it doubles as needed."""
        self._path = path
        self._count = 0
        self._table = _new_table(path, capacity)

    def add(self, hashes: HashArray) -> BoolArray:
        """Insert rows; (n,) True where a row was new, False for each later copy."""
        while 2 * (self._count + len(hashes)) > len(self._table):
            self._grow()
        new = self._insert(hashes)
        self._count += int(new.sum())
        return new

    def close(self) -> None:
        """Forget everything and remove the file."""
        self._path.unlink(missing_ok=True)

    def _insert(self, hashes: HashArray) -> BoolArray:
        new = np.zeros(len(hashes), dtype=np.bool_)
        mask = np.uint64(len(self._table) - 1)
        pending = _first_of_each(hashes)
        slots = hashes[pending, 0] & mask
        while len(pending):
            held = self._table[slots]
            empty = held[:, 1] == 0
            # Of several that want the same empty slot the first takes it.
            wanting = np.flatnonzero(empty)
            _, first = np.unique(slots[wanting], return_index=True)
            taking = wanting[first]
            self._table[slots[taking]] = hashes[pending[taking]]
            new[pending[taking]] = True
            done = (held == hashes[pending]).all(axis=1)
            done[taking] = True
            # A loser of a slot looks at it again: it is not empty any more.
            step = np.where(empty, np.uint64(0), np.uint64(1))
            pending, slots = pending[~done], ((slots + step) & mask)[~done]
        return new

    def _grow(self) -> None:
        old, path = self._table, self._path.with_suffix(GROWN)
        try:
            self._table = _new_table(path, 2 * len(old))
            for begin in range(0, len(old), _FIRST_CAPACITY):
                part = np.asarray(old[begin : begin + _FIRST_CAPACITY])
                self._insert(part[part[:, 1] != 0])
            path.replace(self._path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _new_table(path: Path, capacity: int) -> np.memmap[tuple[int, ...], np.dtype[np.uint64]]:
    """Zeros; the space is reserved first, since a full disk under a mapping kills the process."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, capacity * 16)
        else:
            file.truncate(capacity * 16)
    return np.memmap(path, dtype=np.uint64, mode="r+", shape=(capacity, 2))


def _first_of_each(hashes: HashArray) -> IntArray:
    """The rows at which each different hash is first, ascending."""
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    ordered = hashes[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return np.sort(order[is_first])
