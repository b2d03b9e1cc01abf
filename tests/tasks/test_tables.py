from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.errors import BertsmithError, DataError
from bertsmith.tasks.tables import Columns, TextRow, open_table, read_table


def read(path: Path, *columns: str | None, header: bool = True) -> list[TextRow]:
    names = dict(zip(("text", "pair", "label"), columns, strict=False))
    return list(open_table(path, Columns(**names, header=header), labelled=True).rows)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text,label", ("text", None, "label")),
        ("id,Sentence,Category", ("Sentence", None, "Category")),
        ("index,sentence1,sentence2,label", ("sentence1", "sentence2", "label")),
        ("index,question,sentence,label", ("question", "sentence", "label")),
        ("premise,hypothesis,gold_label", ("premise", "hypothesis", "gold_label")),
        (
            "id,qid1,qid2,question1,question2,is_duplicate",
            ("question1", "question2", "is_duplicate"),
        ),
        ("Quality,#1 ID,#2 ID,#1 String,#2 String", ("#1 String", "#2 String", "Quality")),
    ],
)
def test_columns_are_guessed_from_the_header(header: str, expected: tuple[str | None, ...]) -> None:
    lines = iter([(1, header), (2, ",".join("x" * (header.count(",") + 1)))])
    columns = read_table(lines, "t.csv", "csv", labelled=True).columns
    assert (columns.text, columns.pair, columns.label) == expected


def test_columns_are_named_or_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b,c\none,two,three\n")
    assert read(path, "b", None, "c") == [TextRow("two", None, "three", 2)]
    assert read(path, "1", "2", "3") == [TextRow("one", "two", "three", 2)]
    rows = read(path, "2", None, "3", header=False)
    assert rows == [TextRow("b", None, "c", 1), TextRow("two", None, "three", 2)]


@pytest.mark.parametrize(
    ("usual", "expected"),
    [
        (Columns("body", None, "topic"), ("body", None, "topic")),
        (Columns("body", "note", "topic"), ("body", "note", "topic")),
        (Columns("body", "gone", "gone"), ("premise", "hypothesis", "label")),
        (Columns(), ("premise", "hypothesis", "label")),
    ],
)
def test_usual_columns_come_before_guesses(
    usual: Columns, expected: tuple[str | None, ...]
) -> None:
    lines = [(1, "premise,hypothesis,body,note,topic,label"), (2, "a,b,c,d,e,f")]
    columns = read_table(iter(lines), "t.csv", "csv", labelled=True, usual=usual).columns
    assert (columns.text, columns.pair, columns.label) == expected
    named = Columns("note")
    columns = read_table(iter(lines), "t", "csv", named, labelled=False, usual=usual).columns
    assert (columns.text, columns.pair, columns.label) == ("note", None, None)


def test_a_tsv_takes_quotes_as_text_and_a_csv_as_quotes(tmp_path: Path) -> None:
    tsv, csv_file = tmp_path / "a.tsv", tmp_path / "a.csv"
    tsv.write_text('text\tlabel\n"unbalanced, he said\tx\n')
    csv_file.write_text('text,label\n"a ""b"", c\nnext line",x\n\nd,y\n')
    assert read(tsv) == [TextRow('"unbalanced, he said', None, "x", 2)]
    assert read(csv_file) == [
        TextRow('a "b", c\nnext line', None, "x", 2),
        TextRow("d", None, "y", 5),
    ]


def test_a_csv_text_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = "a sentence\n" * 100_000
    path.write_text(f'text,label\n"{text}",x\n')
    assert read(path) == [TextRow(text, None, "x", 2)]


def test_other_separators_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufefftext;label\r\nà, b;1\r\n".encode())
    assert read(path) == [TextRow("à, b", None, "1", 2)]


def test_compressed_files(tmp_path: Path) -> None:
    content = b"text\tlabel\na\tb\n"
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(content))
    (tmp_path / "a.tsv.xz").write_bytes(lzma.compress(content))
    for name in ("a.tsv.gz", "a.tsv.xz"):
        assert read(tmp_path / name) == [TextRow("a", None, "b", 2)]


def test_json_labels_may_be_numbers_and_truths(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    records = [{"text": "t", "label": label} for label in ("a", 3, 2.0, True, False)]
    path.write_text("\n\n".join(map(json.dumps, records)))
    assert [row.label for row in read(path)] == ["a", "3", "2", "true", "false"]
    assert [row.line for row in read(path)] == [1, 3, 5, 7, 9]


def test_a_table_to_be_labelled_needs_no_label_and_may_have_empty_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("sentence\tid\n\t1\nb\t2\n")
    assert [row.text for row in open_table(path, labelled=False).rows] == ["", "b"]
    lines = tmp_path / "a.txt"
    lines.write_text("a\n\nb")
    assert [row.text for row in open_table(lines, labelled=False).rows] == ["a", "", "b"]


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff")).filter(
    str.strip
)


@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1))
def test_whatever_a_csv_writer_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([("text", "label"), *rows])
    lines = enumerate(stream.getvalue().replace("\r\n", "\n").split("\n"), 1)
    table = read_table(iter(lines), "t", "csv", labelled=True)
    assert [(row.text, row.label) for row in table.rows] == [(a, b.strip()) for a, b in rows]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", b"", "a.csv: empty"),
        ("a.csv", b"text,label\na,b\nc,d,e\n", "a.csv:3: 3 fields, where the first line has 2"),
        ("a.tsv", b"text\tlabel\na\tb\tc\n", "a.tsv:2: 3 fields"),
        (
            "a.csv",
            b"texts,label\na,b\n",
            "no column looks like the text; there are: 'texts', 'label'",
        ),
        ("a.csv", b"text,label,label\na,b,c\n", "2 columns are named 'label'"),
        ("a.csv", b'text,label\n"a,b\nc,d\n', "a.csv:2: not CSV"),
        (
            "a.csv",
            b'text,label\n"' + (b"a" * 999 + b"\n") * 17_000,
            "a.csv:2: a field of more than 16,777,216 characters; shorten the text",
        ),
        ("a.csv", b"text,label\na,b\n\xff,c\n", "a.csv:3: not UTF-8"),
        ("a.csv", b"text,label\na,\0\n", "a.csv:2: a binary file"),
        ("a.csv", b"text,label\n ,b\n", "a.csv:2: no text in column 'text'"),
        ("a.csv", b"text,label\na,\n", "a.csv:2: no label in column 'label'"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "b", "lab', "a.jsonl:2: not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: not a JSON object"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "a"}\n', "a.jsonl:2: no 'label' in this"),
        ("a.jsonl", b'{"text": 5, "label": 1}\n', "a.jsonl:1: 'text' is no text but 5"),
        ("a.jsonl", b'{"text": "a", "label": [1]}\n', "a.jsonl:1: 'label' is no label but [1]"),
        ("a.jsonl", b'{"text": "\\ud800", "label": 1}\n', "a.jsonl:1: half a surrogate pair"),
        ("a.jsonl", b"\n\n", "a.jsonl: empty"),
        ("a.txt", b"a\n", "a .txt file has no labels"),
        ("a.parquet", b"a\n", "no table has the suffix '.parquet'"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BertsmithError) as caught:
        read(path)
    assert expected in str(caught.value)
    assert caught.value.mend


def test_a_misnamed_column_or_file_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("phrase,label\na,b\n")
    with pytest.raises(BertsmithError, match=r"no column 'phrases'; did you mean 'phrase'\?"):
        read(path, "phrases")
    with pytest.raises(BertsmithError, match=r"no such file; did you mean '.*train\.csv'"):
        read(tmp_path / "trian.csv")
    with pytest.raises(BertsmithError, match="a folder"):
        read(tmp_path)


def test_a_text_a_line_has_no_columns_to_choose(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\nb\n")
    for columns in (Columns(text="2"), Columns(pair="b")):
        with pytest.raises(DataError, match=r"a\.txt: a text a line has no columns; leave out"):
            open_table(path, columns, labelled=False)
    assert [row.text for row in open_table(path, Columns(), labelled=False).rows] == ["a", "b"]


def test_one_column_is_not_two_things(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("title,text,topic\na,b,c\n")
    for columns, what in (
        (Columns(pair="text"), "'text' is the text and the pair"),
        (Columns("2", label="2"), "'text' is the text and the label"),
        (Columns("title", "topic"), "'topic' is the pair and the label"),
    ):
        with pytest.raises(DataError, match=rf"a\.csv: column {what}; name "):
            open_table(path, columns, labelled=True)
    assert read(path, "title", "text")[0][:3] == ("a", "b", "c")


def test_an_endless_line_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b"text,label\n")
        for _ in range(100):
            file.write(b"a" * 2**20)
    tracemalloc.start()
    with pytest.raises(BertsmithError, match=r"a\.csv:2: a line longer than 16 MiB"):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 2**20


@pytest.mark.skipif("BERTSMITH_DATA" not in os.environ, reason="needs $BERTSMITH_DATA")
def test_the_official_files_of_glue() -> None:
    glue = Path(os.environ["BERTSMITH_DATA"]) / "glue"
    assert len(read(glue / "SST-2/train.tsv")) == 67_349
    assert len(read(glue / "SST-2/dev.tsv")) == 872
    cola = read(glue / "CoLA/dev.tsv", "4", None, "2", header=False)
    assert cola[0].text == "The sailors rode the breeze clear of the rocks."
    assert len(cola) == 1043
    for name in ("RTE", "MRPC", "QNLI", "WNLI"):
        rows = read(glue / name / "dev.tsv")
        assert {row.label for row in rows} in ({"0", "1"}, {"entailment", "not_entailment"})
        assert all(row.pair for row in rows)


def test_all_broken_rows_of_a_labelled_file_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\na\tx\n \tx\nb\t\nc\ty\n \ty\n")
    expected = r"a\.tsv:3: no text in column 'text' \(2 more rows are broken, in lines 4, 6\); take"
    with pytest.raises(BertsmithError, match=expected):
        read(path)
    path.write_text("text\tlabel\na\tx\n \tx\nb\t\nc\n \ty\n")
    with pytest.raises(BertsmithError, match=r"a\.tsv:3: no text .* \(1 more rows .* lines 4\)"):
        read(path)
