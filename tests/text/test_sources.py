"""Documents out of files: layouts, compressions, and what is refused."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import zstandard

from bertsmith.errors import ConfigError, DataError
from bertsmith.text import json_values, lines
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
        ("a.ndjson", b'{"text": "a"}\n7\n', r'a\.ndjson:2: no "text" in this record; write'),
        ("a.json", b'[{"text": "a"}', r"a\.json:1: not JSON \(it ends after record 1 of the array"),
        ("a.json", b'[{"text": "a"}\n{"text"', r"a\.json:2: not JSON \('{' after record 1 of"),
        ("a.json", b'["a"]\n["b"]', r"a\.json:2: not JSON \(more text after the end"),
        ("a.json", b'["a",\n\n]', r"a\.json:3: record 2 is not JSON \(Expecting value\); write"),
        ("a.json", b'["a",\n\n"b', r"a\.json:3: record 2 is not JSON \(Unterminated"),
        ("a.json", b'["a",\n"l\xe9on"]', r"a\.json:2: not UTF-8 \(0xe9\); turn"),
        ("a.json", b'["a",\n"\0"]', r"a\.json:2: a binary file"),
        (
            "a.json",
            b'{"data":\n[]}',
            r"a\.json:1: no \"text\" in record 1; it has 'data'; .* leave",
        ),
        ("a.json", b'["a",\n{"text": 1}]', r'a\.json:2: the "text" of record 2 is 1, no string'),
        ("a.json", b'["a", "\\ud800 half"]', r"a\.json:1: half a surrogate"),
        ("a.json", b"[" * 99_999, r"a\.json:1: record 1 is not JSON \(.*recursion"),
        (
            "a.json.gz",
            gzip.compress(b'["a"]', mtime=0)[:-4],
            r"a\.json\.gz:1: the compressed file is cut",
        ),
        ("a.csv", b"a,Text\n", r"a\.csv:1: no column \"text\"; there are: 'a', 'Text'; wri"),
        ("a.csv", b"text,text\n", r'a\.csv:1: 2 columns are named "text"; rename'),
        ("a.csv", b"text,n\na,1\nb, c,2\n", r"a\.csv:3: 3 fields, where the first line has 2; p"),
        ("a.csv", b'text,n\na,1\n"b,2\n', r"a\.csv:3: not CSV \(unexpected end of data\); close"),
        ("a.tsv", b"text\tn\na\tb\tc\n", r"a\.tsv:2: 3 fields, .*; take tabs out"),
        ("a.parquet.gz", b"", r"a\.parquet\.gz: a \.parquet is compressed inside.*; unpack it"),
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


ROWS = [{"text": "One, of more.\nTwo.", "title": "a"}, {"text": " "}, {"text": 'A "third" é'}]
AS_FILES = {
    "a.jsonl": "\n".join(json.dumps(row) for row in ROWS),
    "a.ndjson": '"One, of more.\\nTwo."\n\n' + json.dumps(ROWS[2]),
    "a.json": json.dumps(ROWS),
    "b.json": json.dumps(ROWS, indent=2, ensure_ascii=False) + "\n",
    "c.json": "\n".join(json.dumps(row) for row in ROWS),
    "d.json": "\ufeff" + "".join(json.dumps(row, indent=1) for row in ROWS),
    "e.json": json.dumps([row["text"] for row in ROWS]),
    "a.csv": 'title,text\na,"One, of more.\nTwo."\n, \n,"A ""third"" é"\n',
    "b.csv": '\ufefftext;n\r\n"One, of more.\r\nTwo.";1\r\n"A ""third"" é";2\r\n',
}


@pytest.mark.parametrize("name", AS_FILES)
def test_records_are_documents_however_they_are_written(tmp_path: Path, name: str) -> None:
    raw = AS_FILES[name].encode()
    paths = [write(tmp_path / name, raw), write(tmp_path / f"{name}.gz", gzip.compress(raw))]
    assert [texts(path) for path in paths] == [["One, of more.\nTwo.", 'A "third" é']] * 2
    assert DocumentReader([tmp_path]).paths == paths


@pytest.mark.parametrize("name", [*AS_FILES, "a.tsv"])
def test_the_text_may_have_another_name(tmp_path: Path, name: str) -> None:
    content = AS_FILES.get(name, "title\ttext\na\tOne.\n").replace("text", "body")
    path = write(tmp_path / name, content.encode())
    expected = ["One."] if name == "a.tsv" else ["One, of more.\nTwo.", 'A "third" é']
    found = list(read_documents([path], text_column="body"))
    assert [document.text for document in found] == expected
    if name in ("a.csv", "a.json", "a.tsv"):
        assert found[0].title == "a"
        with pytest.raises(DataError, match=r"no .*\"bdy\".*'body'.*; give another name"):
            list(read_documents([path], text_column="bdy"))


def test_quotes_are_text_in_a_tsv(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv.zst", zstandard.compress(b'n\ttext\n1\tSay "so\n2\t\n'))
    reader = DocumentReader([path])
    assert [document.text for document in reader] == ['Say "so']
    assert [(one.layout, one.documents) for one in reader.summaries] == [("tsv", 1)]


@pytest.mark.parametrize("block", [1, 2, 7, 64])
def test_json_does_not_depend_on_where_it_is_cut_for_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """A one-line array of records longer than what is read at once."""
    monkeypatch.setattr(lines, "_READ_BYTES", block)
    rows = [{"text": f"Text \u2028 {i} \ufeff \\ 😀", "n": -1.5e10} for i in range(30)]
    for ascii_only in (True, False):
        path = write(tmp_path / "a.json", json.dumps(rows, ensure_ascii=ascii_only))
        assert texts(path) == [row["text"] for row in rows]


def test_a_long_value_is_refused_and_a_long_file_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "_READ_BYTES", 32)
    monkeypatch.setattr(json_values, "MOST_CHARS", 100)
    most = json.dumps({"text": "x" * 88})
    assert texts(write(tmp_path / "a.json", f"[{', '.join([most] * 9)}]")) == ["x" * 88] * 9
    for longer in (json.dumps({"text": "x" * 89}), '{"text": "' + "x" * 200):
        with pytest.raises(DataError, match=r"a\.json:2: record 2 is longer than"):
            texts(write(tmp_path / "a.json", f"[{most},\n{longer}"))


def test_what_is_wrong_early_in_a_long_file_is_told_there(tmp_path: Path) -> None:
    """Not after it has been read to the longest record there may be."""
    rest = ", " + json.dumps({"text": "x" * 2**19}) + "]"
    for wrong in ("{'text': 1}", '{"text": "a" "b"}', '{"text": "\\q"}'):
        path = write(tmp_path / "a.json", f'[{{"text": "a"}},\n{wrong}{rest}')
        reader = DocumentReader([path])
        with pytest.raises(DataError, match=r"a\.json:2: record 2 is not JSON \("):
            list(reader)
        assert reader.bytes_read < 2**19


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
    with pytest.raises(DataError, match=r"no \.txt, \.jsonl, .* or \.parquet file"):
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


needs_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed")


def parquet(path: Path, columns: dict[str, list[object]], rows: int = 1000) -> Path:
    import pyarrow
    from pyarrow.parquet import write_table

    write_table(pyarrow.table(columns), path, row_group_size=rows)
    return path


@needs_pyarrow
def test_rows_of_parquet_are_documents(tmp_path: Path) -> None:
    given = [f"Text {i}." for i in range(150)]
    path = parquet(tmp_path / "a.parquet", {"n": [*range(150)], "text": [*given]}, 40)
    reader = DocumentReader([tmp_path])
    assert [document.text for document in reader] == given
    size = path.stat().st_size
    assert reader.bytes_read == size
    assert [(one.layout, one.documents, one.size) for one in reader.summaries] == [
        ("parquet", 150, size)
    ]
    assert reader.summaries[0].sha256 == lines.file_sha256(path)
    path = parquet(path, {"title": ["a", "b"], "text": [1, 2], "body": ["One.", "Two."]})
    found = [(document.text, document.title) for document in read_documents([path], "auto", "body")]
    assert found == [("One.", "a"), ("Two.", "b")]


@needs_pyarrow
def test_parquet_without_texts_is_refused_in_one_line(tmp_path: Path) -> None:
    for columns, message in (
        ({"n": [1]}, r"a\.parquet: no column \"text\"; there are: 'n'; write"),
        ({"text": [1]}, 'a.parquet: the column "text" holds int64, no strings; write'),
        ({"text": ["a", None]}, 'a.parquet: the "text" of row 2 is null, no string; leave'),
    ):
        path = parquet(tmp_path / "a.parquet", columns)
        with pytest.raises(DataError, match=message):
            texts(path)
    whole = path.read_bytes()
    for content in (b"", b"no table", whole[:-9], whole[:20] + b"\xff" * 20 + whole[40:]):
        with pytest.raises(DataError, match=r"a\.parquet: no \.parquet, or a damaged one \("):
            texts(write(path, content))


def test_what_reads_parquet_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = write(tmp_path / "a.parquet", "")
    with pytest.raises(ConfigError, match=r"pyarrow, which reads it, is not inst.*; pip install"):
        DocumentReader([path])


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


def test_a_folder_that_may_not_be_read_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "private").mkdir()
    kept = write(tmp_path / "a.txt", "A text.")
    assert expand_paths([tmp_path]) == [kept]
    scandir = os.scandir

    def refusing(path: str | Path) -> object:
        if Path(path).name == "private":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PermissionError, match="private"):
        expand_paths([tmp_path])


def test_an_empty_name_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.txt", "A text.")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="an empty name"):
        expand_paths([""])
    assert expand_paths(["."]) == [Path("a.txt")]
