from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bertsmith.report import figures
from bertsmith.report.page import (
    Attention,
    Code,
    FigureSection,
    FillRow,
    Fills,
    Heading,
    KeyValues,
    Matrix,
    Note,
    Passage,
    Points,
    Section,
    Table,
    Text,
    Token,
    render,
    write_report,
)
from bertsmith.report.style import MUTED, SERIES

HOSTILE = '<script>alert("x")</script>&amp;{{ 7 * 7 }}'


def every_section(word: str = "default") -> list[Section]:
    figure = figures.learning_curves([10, 100], {word: [[0.1], [0.2]]}, word)
    return [
        Heading(word),
        Text(word),
        Note(word),
        Code(word),
        Code(word, title=word),
        KeyValues({word: word, "count": 12345}, prominent=True),
        KeyValues({word: 0.5}),
        Table((word, "score"), [(word, 0.25), ("b", 1200)], word),
        FigureSection(figure, word, word),
        FigureSection(figure, word, word),
        Fills(
            ["10 tokens", "20 tokens"],
            [FillRow(f"{word} ", " end", word, [[], [(word, 0.31), ("other", 0.05)]])],
            word,
        ),
        Passage(word, [[Token("[CLS]", "special"), Token("[MASK]", "masked", word), Token(word)]]),
        Matrix([[1.0, 0.25], [0.25, 1.0]], [f"the {word} one", "two"], word, word),
        Attention(
            tokens=[word, "b"],
            layers=[1],
            heads=[2, 3],
            maps=[[[[0.75, 0.25], [1.0, 0.0]], [[0.0, 1.0], [0.5, 0.5]]]],
            measures={word: [[0.5, float("nan")]], "other": [[0.25, 0.75]]},
            caption=word,
        ),
        Points(
            places=[[[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [2.0, 3.0]]],
            labels=[f"{word} one", "two"],
            groups=[word, "others"],
            colours={word: SERIES[0], "others": MUTED},
            notes=["first", "second"],
            caption=word,
        ),
    ]


class Outline(HTMLParser):
    """Tags, ids, and whether what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_ids_are_unique() -> None:
    outline = Outline(render("title", "summary", every_section()))
    assert outline.open == []
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    names = [tag for tag, _ in outline.tags]
    assert names.count("caption") == names.count("table") == 4
    labelled = [a for tag, a in outline.tags if tag == "svg"]
    assert all(a["aria-label"] == "default" and a["role"] == "img" for a in labelled)


def test_headings_make_the_contents_and_same_names_get_their_own_anchor() -> None:
    parts = [Heading("A b"), Heading("A b"), Heading("C")]
    html = render("t", "s", parts)
    assert re.findall(r'<h2 id="([^"]+)"', html) == re.findall(r'<a href="#([^"]+)"', html)
    assert len(set(re.findall(r'<h2 id="([^"]+)"', html))) == 3


def test_nothing_is_asked_from_the_network() -> None:
    html = render("title", "summary", every_section())
    assert re.findall(r'(?:src|href)="(?!#|data:)', html) == []
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_hostile_text_stays_text() -> None:
    html = render(HOSTILE, HOSTILE, every_section(HOSTILE))
    assert html.count("<script>") == 1
    assert "alert(" in html
    assert ">49<" not in html
    Outline(html)


def test_cells_of_a_table_of_fills() -> None:
    rows = [
        FillRow("paris is the ", " of france", "Capital", [[("the", 0.2)], [("capital", 0.31)]])
    ]
    html = render("t", "s", [Fills(["1k tokens", "2k tokens"], rows, "Filled in.")])
    assert "paris is the <mark>Capital</mark> of france" in html
    assert html.count('class="right"') == 1
    assert html.count("✓") == 1
    assert "31 %" in html


def test_matrix_marks_the_word_and_shades_from_the_smallest() -> None:
    matrix = Matrix([[1.0, 0.2], [0.2, 1.0]], ["the Axis of x", "没有轴的"], "c", "axis")
    html = render("t", "s", [matrix])
    assert "the <b>Axis</b> of x" in html
    assert [matrix.shade(v) for v in (0.2, 1.0)] == [0.0, 1.0]
    assert "没有<b>轴</b>的" in render("t", "s", [Matrix([[1.0]], ["没有轴的"], "c", "轴")])
    with pytest.raises(ValueError, match="does not fit"):
        Matrix([[1.0, 0.2]], ["a", "b"], "c")


def test_an_empty_page_and_an_empty_table() -> None:
    Outline(render("t", "s", []))
    Outline(render("t", "s", [Table(("a", "b"), [], "nothing"), KeyValues({})]))


def test_a_tiny_number_is_not_nothing() -> None:
    values = {0.0001: "0.0001", 0.0: "0.000", -2e-8: "-2e-08", 0.00051: "0.001", -1e-16: "0.000"}
    for value, shown in values.items():
        html = render("t", "s", [Table(("what", "p"), [("a", value)], "c")])
        assert f'<td class="number">{shown}</td>' in html


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", "t", "s", every_section())
    assert path.read_text("utf-8").rstrip().endswith("</html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert path.stat().st_size < 200_000


def test_the_package_is_light() -> None:
    code = "import sys, bertsmith.report; print('matplotlib' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
