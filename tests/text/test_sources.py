"""Documents out of files: layouts, compressions, and what is refused."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import sys
from pathlib import Path

import pytest
import zstandard

from bertsmith.errors import ConfigError, DataError
from bertsmith.text.docstrings import _docs_in, docstrings
from bertsmith.text.lines import MAX_LINE_BYTES
from bertsmith.text.sources import (
    DocumentReader,
    expand_paths,
    guess_layout,
    python_docs,
    read_documents,
)


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def texts(*paths: Path, layout: str = "auto") -> list[str]:
    return [doc.text.strip() for doc in read_documents(paths, layout)]  # type: ignore[arg-type]


def test_layouts_cut_a_text_file_into_documents(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "One.\nTwo.\n\n\nThree.\nFour.\n")
    assert texts(path, layout="file") == ["One.\nTwo.\n\n\nThree.\nFour."]
    assert texts(path, layout="blank") == ["One.\nTwo.", "Three.\nFour."]
    lines = list(read_documents([path], "lines"))
    assert [doc.line_is_sentence for doc in lines] == [True, True]


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("One is here.\nTwo is here.\nThree is.\n\nFour.\nFive.\nSix.\n", "lines"),
        (("A paragraph a line. It holds more. " * 9 + "\n") * 9, "file"),
        ((("A paragraph a line. It holds more. " * 9 + "\n") * 4 + "\n") * 3, "blank"),
        (("A paragraph of prose. " * 20 + "\n\n") * 5, "blank"),
        ("roses are red\nviolets are blue\n\nand so on\nit goes\n", "file"),
        ("one long paragraph without an end", "file"),
    ],
)
def test_auto_guesses_the_layout(text: str, layout: str) -> None:
    assert guess_layout(text.splitlines()) == layout


def test_every_compression_gives_the_same(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"title": "é", "text": f"Text {i}."}) + "\n" for i in range(999))
    raw = lines.encode()
    paths = [
        write(tmp_path / "a.jsonl", raw),
        write(tmp_path / "a.jsonl.gz", gzip.compress(raw)),
        write(tmp_path / "a.jsonl.xz", lzma.compress(raw)),
        write(
            tmp_path / "a.jsonl.zst", zstandard.compress(raw[:500]) + zstandard.compress(raw[500:])
        ),
    ]
    expected = [f"Text {i}." for i in range(999)]
    assert [texts(path) for path in paths] == [expected] * 4
    assert next(read_documents(paths)).title == "é"


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_a_cut_archive_is_named(tmp_path: Path, suffix: str) -> None:
    compress = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}[suffix]
    whole = compress(os.urandom(30_000).hex().encode())
    for kept in (len(whole) // 2, len(whole) - 3):
        path = write(tmp_path / f"a.txt{suffix}", whole[:kept])
        with pytest.raises(DataError, match="cut or damaged"):
            texts(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "no text"),
        ("a.txt", b"\n \n", "no text"),
        ("a.txt", b"ok\nbinary \0\n", r"a\.txt:2: a binary file"),
        ("a.txt", b"ok\nfine\nl\xe9on\n", r"a\.txt:3: not UTF-8 \(byte 2 .* 0xe9"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"title": "b"}\n', r"a\.jsonl:2: no \"text\".*'title'"),
        ("a.jsonl", b'{"%s": 1}' % (b"k" * 9999), r"this record; it has 'k{37}\.{3}'; "),
        ("a.jsonl", b'{"text": null}\n', r'the "text" of this record is null, no string; write'),
        ("a.jsonl", b'["text"]\n', r"a\.jsonl:1: no \"text\""),
        ("a.jsonl", b'{"text": "\\ud800 half"}\n', r"a\.jsonl:1: half a surrogate"),
        ("a.txt", b"x" * (MAX_LINE_BYTES + 1), r"a\.txt:1: a line longer than 16 MiB"),
        ("a.gz", b"no archive", r"a\.gz:1: the compressed file"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as caught:
        texts(path)
    assert "\n" not in str(caught.value)


def test_a_long_window_is_not_damage(tmp_path: Path) -> None:
    """Large public sets are compressed so, and zstd itself refuses them without --long."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=28, enable_ldm=True)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path = write(tmp_path / "a.txt.zst", stream.compress(b"Some text.\n") + stream.flush())
    with pytest.raises(DataError, match="window of more than 128 MiB; unpack it"):
        texts(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"is no regular file.*; write it to a file first"):
        expand_paths([tmp_path / "pipe"])


def test_a_json_line_may_be_some_megabytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "word " * 1_000_000}))
    assert len(texts(path)[0]) == 4_999_999


def test_folders_globs_and_files_come_sorted_and_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = ["b.txt", "a.jsonl", "in/c.txt.gz", "note.md"]
    paths = [write(tmp_path / name, "x") for name in names]
    assert expand_paths([tmp_path]) == sorted(paths[:3])
    assert expand_paths([str(tmp_path / "*.txt"), paths[0]]) == [paths[0]]
    assert expand_paths([str(tmp_path / "**" / "*.gz")]) == [paths[2]]


def test_a_missing_path_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "wikipedia.txt", "x")
    with pytest.raises(DataError, match=r"did you mean '.*wikipedia\.txt'"):
        expand_paths([tmp_path / "wikpedia.txt"])
    with pytest.raises(DataError, match="no folder"):
        expand_paths([tmp_path / "none" / "a.txt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.txt or \.jsonl"):
        expand_paths([tmp_path / "empty"])


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="from 3.13 on this is a pattern")
def test_a_mistyped_pattern_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not a pattern for files \(Invalid pattern"):
        expand_paths([tmp_path / "**.txt"])


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no layout"):
        DocumentReader([write(tmp_path / "a.txt", "x")], "pages")  # type: ignore[arg-type]


def test_the_reader_says_what_it_has_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "Some text.\n")
    reader = DocumentReader([path])
    assert len(list(reader)) == len(list(reader)) == 1
    assert reader.bytes_read == reader.total_bytes == path.stat().st_size
    assert [summary.documents for summary in reader.summaries] == [1]


def test_empty_files_among_others_are_told_of(tmp_path: Path) -> None:
    for name, text in (("a.txt", ""), ("b.txt", "One line of it.\n"), ("c.jsonl", "\n")):
        (tmp_path / name).write_text(text)
    reader = DocumentReader([tmp_path])
    assert [document.text for document in reader] == ["One line of it.\n"]
    assert [summary.documents for summary in reader.summaries] == [0, 1, 0]
    (tmp_path / "b.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"a\.txt: no text, nor in any other; name files"):
        list(reader)


def test_docstrings_that_are_added_by_a_call(tmp_path: Path) -> None:
    text = "What it does, in so many words. " * 4
    (tmp_path / "docs.py").write_text(
        f"add_docstr(torch.sum, {text!r})\nadd_newdoc('numpy', 'mean', {text!r})\n"
        "add_docstr(**all)\n"
    )
    found = [*_docs_in(tmp_path / "docs.py", "docs")]
    assert found == [("torch.sum", text.strip()), ("numpy.mean", text.strip())]


def test_python_documents_itself() -> None:
    documents = python_docs()
    some = [next(documents) for _ in range(300)]
    assert {doc.label for doc in some} == {"python"}
    assert len({doc.text for doc in some}) == 300
    assert min(len(doc.text) for doc in some) >= 100
    again = docstrings()
    assert [next(again)[2] for _ in range(300)] == [doc.text for doc in some]
