"""Word vectors as text: the format of word2vec's released code, which gensim reads and writes.

A line with the number of words and of dimensions, then a line a word: the word and its numbers,
with spaces between. Also as .gz, .xz and .zst when read.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bertsmith.errors import DataError
from bertsmith.files import open_atomically
from bertsmith.text.lines import file_lines
from bertsmith.types import Float32Array, WordVectors

_COUNT = re.compile("[1-9][0-9]{0,17}")


def write_vectors(path: Path, table: WordVectors) -> None:
    """Write `table` whole or not at all; nine digits bring every number back exactly."""
    with open_atomically(path) as file:
        file.write("{} {}\n".format(*table.vectors.shape).encode())
        numbers = " ".join(["%.9g"] * table.vectors.shape[1])
        for word, vector in zip(table.words, table.vectors.tolist(), strict=True):
            file.write(f"{word} {numbers % tuple(vector)}\n".encode())


def read_vectors(path: Path) -> WordVectors:
    """Read a file of word vectors. Of a word that comes twice, the first vector is taken.

    Raises DataError, with file and line, for what is no such file.
    """
    if not path.is_file():
        raise DataError("no such file", where=path, mend="give a model or a file of word vectors")
    found: dict[str, Float32Array] = {}
    lines = file_lines(path)
    count, size = _sizes(next(lines, (1, ""))[1], path)
    read = 0
    for number, line in lines:
        word, vector = _parse(line, size, f"{path}:{number}")
        found.setdefault(word, vector)
        read += 1
    if read != count:
        raise DataError(
            f"{read:,} words, where its first line says {count:,}",
            where=path,
            mend="it is cut; fetch or make it again",
        )
    return WordVectors(tuple(found), np.stack(list(found.values())))


def _sizes(line: str, path: Path) -> tuple[int, int]:
    """Words and dimensions out of the first line."""
    fields = line.split()
    if len(fields) != 2 or not all(_COUNT.fullmatch(field) for field in fields):
        raise DataError(
            f"begins with {line[:40]!r}, not with the numbers of words and of dimensions",
            where=f"{path}:1",
            mend="give word vectors in word2vec's text format",
        )
    return int(fields[0]), int(fields[1])


def _parse(line: str, size: int, where: str) -> tuple[str, Float32Array]:
    """A word, which may hold spaces, and its vector."""
    word, *fields = line.rstrip(" ").rsplit(" ", size)
    try:
        with np.errstate(over="ignore"):  # what fp32 cannot hold is infinite, and refused
            vector = np.array(fields, dtype=np.float32)
    except ValueError:
        vector = np.array([], dtype=np.float32)
    if len(vector) != size or not np.isfinite(vector).all():
        raise DataError(
            f"{line[:40]!r} is not a word and {size} numbers",
            where=where,
            mend="fetch or make the file again",
        )
    return word, vector
