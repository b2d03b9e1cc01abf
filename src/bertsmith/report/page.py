"""A report page: typed sections in, one self-contained HTML file out.

The page opens offline and asks for nothing from anywhere; its own content security policy
forbids it. Every string is escaped. Sections are plain frozen values:

    Heading Text Note Code     words
    KeyValues Table            numbers
    FigureSection              a matplotlib figure; neighbours stand side by side
    Fills                      masked words filled in as training went on
    Passage                    text in tokens, some of them to be predicted
    Matrix                     similarities, with both contexts shown under the pointer
    Attention                  heads to choose from, and where each token of a sentence looks
    Points                     words in a plane, layer by layer
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import isnan
from pathlib import Path
from typing import Literal

import jinja2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from bertsmith import __version__
from bertsmith.files import write_atomically
from bertsmith.report.images import inline_html
from bertsmith.report.style import COLOURS, STRONG

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Heading:
    """Starts a part of the page; listed in its contents."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """One paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph that must not be overlooked: a warning, a limit."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Text as typed: commands, a config. With a `title` it is folded away under it."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Names and values. `prominent` sets them as large tiles, for a few final numbers."""

    items: Mapping[str, Cell]
    prominent: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; numbers are set flush right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str


@dataclass(frozen=True, slots=True)
class FigureSection:
    """A figure with its caption; `alt` says in words what it shows."""

    figure: Figure
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class FillRow:
    """One [MASK] of one sentence, and its predictions at every moment of the table.

    `predictions` has one entry a moment: (token, probability), best first; empty where it
    was not measured. `answer` is the right word, or "". `title` stands above the sentence.
    """

    before: str
    after: str
    answer: str
    predictions: Sequence[Sequence[tuple[str, float]]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Fills:
    """Masked words filled in as training went on: a row a mask, a column a moment.

    `absent` stands where there is no answer.
    """

    moments: Sequence[str]
    rows: Sequence[FillRow]
    caption: str
    absent: str = "[MASK]"


Fate = Literal["plain", "special", "masked", "random", "kept"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token as a model sees it; `original` is what stood there, where that is asked for."""

    text: str
    fate: Fate = "plain"
    original: str = ""
    starts_word: bool = True


@dataclass(frozen=True, slots=True)
class Passage:
    """A corrupted text, in lines of tokens, under its caption."""

    caption: str
    lines: Sequence[Sequence[Token]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """(N, N) cosine similarities of N contexts; `word` is set in bold in each of them."""

    values: Sequence[Sequence[float]]
    labels: Sequence[str]
    caption: str
    word: str = ""
    lowest: float = field(init=False)

    def __post_init__(self) -> None:
        if any(len(row) != len(self.labels) for row in [self.values, *self.values]):
            raise ValueError(f"the matrix does not fit {len(self.labels)} labels")
        lowest = min((float(value) for row in self.values for value in row), default=0.0)
        object.__setattr__(self, "lowest", lowest)

    def shade(self, value: float) -> float:
        """Where `value` lies between the smallest of the matrix, 0, and one, 1."""
        return max(0.0, min(1.0, (value - self.lowest) / max(1 - self.lowest, 1e-9)))


@dataclass(frozen=True, slots=True)
class Attention:
    """A sentence of n tokens as some heads see it: a grid of heads, and the map of one of them.

    `maps` (layers, heads, n, n) are shares; the grid shows one of `measures`, (layers, heads) each.
    """

    tokens: Sequence[str]
    layers: Sequence[int]
    heads: Sequence[int]
    maps: npt.ArrayLike
    measures: Mapping[str, Sequence[Sequence[float]]]
    caption: str

    @property
    def payload(self) -> dict[str, object]:
        """What the page's script reads. A share is a byte, 255 for all of a token's attention."""
        shares = (np.clip(np.asarray(self.maps, dtype=float), 0, 1) * 255).round()
        measures = [
            (name, [[None if isnan(value) else round(value, 4) for value in row] for row in values])
            for name, values in self.measures.items()
        ]
        return {
            "tokens": list(self.tokens),
            "layers": list(self.layers),
            "heads": list(self.heads),
            "maps": base64.b64encode(shares.astype(np.uint8).tobytes()).decode(),
            "measures": measures,
        }


@dataclass(frozen=True, slots=True)
class Points:
    """N labelled points in the plane, in each of some layers; `groups` have the colours.

    `places` is (layers, N, 2); `notes` say something of each layer. `colours` are of style.COLOURS.
    """

    places: Sequence[Sequence[Sequence[float]]]
    labels: Sequence[str]
    groups: Sequence[str]
    colours: Mapping[str, str]
    notes: Sequence[str]
    caption: str

    @property
    def payload(self) -> dict[str, object]:
        """What the page's script reads; a colour is its name, so that it follows the page's."""
        names = {light: name for name, (light, _) in COLOURS.items()}
        return {
            "places": self.places,
            "labels": list(self.labels),
            "groups": list(self.groups),
            "colours": [(group, names[colour]) for group, colour in self.colours.items()],
            "notes": list(self.notes),
        }


Section = (
    Heading
    | Text
    | Note
    | Code
    | KeyValues
    | Table
    | FigureSection
    | Fills
    | Passage
    | Matrix
    | Attention
    | Points
)


def write_report(path: Path, title: str, summary: str, sections: Sequence[Section]) -> Path:
    """Write the page to `path`, whole or not at all. Returns `path`. Raises OSError."""
    write_atomically(path, render(title, summary, sections).encode())
    return path


def render(title: str, summary: str, sections: Sequence[Section]) -> str:
    """The page as HTML text."""
    groups = [
        (kind, list(group)) for kind, group in groupby(sections, lambda part: type(part).__name__)
    ]
    headings = [part.text for part in sections if isinstance(part, Heading)]
    template = _environment().get_template("report.html")
    return template.render(
        title=title,
        summary=summary,
        groups=groups,
        headings=headings,
        colours=COLOURS,
        version=__version__,
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=_cell, highlight=_highlight)
    environment.tests["correct"] = _is_answer
    environment.globals.update(inline=_inline, STRONG=STRONG)
    return environment


def _inline(section: FigureSection, number: int) -> Markup:
    return Markup(inline_html(section.figure, section.alt, f"figure{number}"))


def _cell(value: Cell) -> str:
    if isinstance(value, float):
        is_tiny = 1e-9 < abs(value) < 0.0005  # 0.000 would say that it is nothing
        return f"{value:.1g}" if is_tiny else f"{round(value, 3) + 0.0:.3f}"  # no -0.000
    return f"{value:,}" if isinstance(value, int) else value


def _highlight(label: str, word: str) -> Markup:
    whole, part = rf"\b{re.escape(word)}\b", re.escape(word)  # \b fails in unspaced scripts
    found = re.search(whole, label, re.IGNORECASE) or re.search(part, label, re.IGNORECASE)
    if not word or found is None:
        return escape(label)
    before, after = label[: found.start()], label[found.end() :]
    return Markup("{}<b>{}</b>{}").format(before, found.group(), after)


def _is_answer(token: str, answer: str) -> bool:
    return bool(answer) and token.casefold() == answer.casefold()
