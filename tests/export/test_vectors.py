"""word2vec's text format: written exactly, read as others write it, refused where it is broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from bertsmith.errors import DataError
from bertsmith.export.vectors import read_vectors, write_vectors
from bertsmith.types import WordVectors


def test_a_round_trip_is_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((50, 7)) * 10.0 ** rng.integers(-30, 30, (50, 7))
    words = (*(f"word{index}" for index in range(48)), "été", "猫")
    path = tmp_path / "vectors.txt"
    write_vectors(path, WordVectors(words, numbers.astype(np.float32)))
    assert path.read_text("utf-8").splitlines()[0] == "50 7"
    table = read_vectors(path)
    assert table.words == words
    assert np.array_equal(table.vectors, numbers.astype(np.float32))
    packed = tmp_path / "vectors.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert np.array_equal(read_vectors(packed).vectors, table.vectors)


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    """The released code ends each line with a space; words may hold spaces, or come twice."""
    path = tmp_path / "theirs.txt"
    path.write_text("4 2\n</s> 0.1 -2e-1 \nnew york 1 2 \na 3 4 \na 5 6 \n")
    table = read_vectors(path)
    assert table.words == ("</s>", "new york", "a")
    np.testing.assert_allclose(table.vectors, [[0.1, -0.2], [1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "v.txt:1: begins with ''"),
        ("the 0.1 0.2\n", "v.txt:1: begins with 'the 0.1 0.2'"),
        ("0 2\n", "v.txt:1: begins with '0 2'"),
        ("2 2\na 1 2\n", "v.txt: 1 words, where its first line says 2"),
        ("1 2\na 1 2\nb 1 2\n", "v.txt: 2 words"),
        ("1 2\na 1\n", "v.txt:2: 'a 1' is not a word and 2 numbers"),
        ("1 2\na 1 x\n", "v.txt:2: 'a 1 x' is not"),
        ("1 2\na 1 nan\n", "v.txt:2: 'a 1 nan' is not"),
        ("99999999999 99999999999\na 1\n", "v.txt:2: 'a 1' is not"),
        ("1 99999999999\na x\n", "v.txt:2: 'a x' is not"),
        ("1 2\na 1 1e39\n", "v.txt:2: 'a 1 1e39' is not"),
        (f"1 {10**20}\na 1\n", "v.txt:1: begins with '1 1000"),
        (f"1 {'9' * 5000}\na 1\n", "v.txt:1: begins with '1 9999"),
    ],
)
def test_what_is_no_such_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_vectors(path)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_vectors(tmp_path / "none.txt")
