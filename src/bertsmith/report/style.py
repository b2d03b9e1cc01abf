"""The one look of every figure: few colours, thin rules, labels beside the lines.

Every colour is a pair (on light paper, on dark paper). Figures are drawn in the light ones;
an SVG inlined in a page has them replaced by CSS variables of the same names, so that it
follows the reader's light or dark mode. Hues are those of Okabe & Ito (2008), which people
with colour-blindness can tell apart, darkened or lightened until they can be read as text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bertsmith.report.numbers import compact

COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#15191e"),
    "ink": ("#1c2228", "#e7eaed"),
    "muted": ("#59636e", "#9ba6b2"),
    "rule": ("#d8dee4", "#363e47"),
    "heat": ("#004f86", "#7cc0f5"),
    "blue": ("#0067a5", "#62b3f2"),
    "orange": ("#b84a00", "#ff9a5c"),
    "green": ("#007553", "#45cfa5"),
    "purple": ("#9b3a78", "#e79bc9"),
    "brown": ("#7d5700", "#e3b23c"),
}
"""Name -> (colour on light paper, colour on dark paper)."""

PAPER, INK, MUTED, RULE, HEAT = (
    COLOURS[name][0] for name in ("paper", "ink", "muted", "rule", "heat")
)
SERIES = tuple(COLOURS[name][0] for name in ("blue", "orange", "green", "purple", "brown"))
"""Colours of lines, in order of use."""

CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "SimHei",
    "Arial Unicode MS",
)
"""With the characters that matplotlib's own font lacks; the first that is installed is used."""

STRONG = 0.66
"""Cells filled with more than this share of HEAT carry their text in the paper's colour."""

FONT_SIZE = 10.0  # points
WIDTH = 5.0  # inches: about a phone's width, and half a laptop's

_RC: Any = {
    "font.size": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,  # a corpus may hold dollar signs
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": FONT_SIZE - 1,
    "ytick.labelsize": FONT_SIZE - 1,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",  # real text: small, searchable, in the reader's own font
    "svg.hashsalt": "bertsmith",
}


@contextmanager
def styled() -> Iterator[None]:
    """The look, for the time of drawing or saving; the caller's own settings come back.

    And no complaint about fonts: a Chinese one may have no light weight, and in a page the text
    is set in the reader's own.
    """
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with matplotlib.rc_context({**_RC, "font.family": _fonts()}):
            yield
    finally:
        logger.setLevel(level)


@cache
def _fonts() -> list[str]:
    """Matplotlib's own, and one for Chinese where there is any."""
    installed = set(font_manager.get_font_names())
    return ["sans-serif", *[name for name in CHINESE_FONTS if name in installed][:1]]


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of `width` x `height` inches whose parts make room for each other."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="none")


def token_axis(axes: Axes, last: float) -> None:
    """x from 0 to `last` tokens, with compact numbers."""
    axes.set_xlim(0, last if last > 0 else 1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))


def whole_numbers(axis: Axis, most: int = 10) -> None:
    """Ticks at whole numbers alone, be it a single one: there is no layer 0.5, no epoch 1.05."""
    axis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))


def say_no_data(axes: Axes, text: str = "nothing measured yet") -> None:
    """An honest empty panel."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_yticks([])


def spread_apart(positions: Sequence[float], heights: Sequence[float]) -> list[float]:
    """`positions` of boxes of these `heights`, moved as little as needed not to overlap.

    Least squares under the order of the positions: isotonic regression by pooling.
    """
    order = np.argsort(positions, kind="stable")
    tall = np.asarray(heights, dtype=float)[order]
    stacked = np.cumsum(tall) - tall / 2  # centres, were the boxes piled without gaps
    blocks: list[tuple[float, int]] = []  # (mean, size)
    for value in np.asarray(positions, dtype=float)[order] - stacked:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    result = np.empty(len(positions))
    result[order] = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks]) + stacked
    return [float(position) for position in result]


def label_lines(axes: Axes, labels: Sequence[tuple[str, float, str]]) -> None:
    """Write each (text, y at the right edge, colour) beside its line, none over another.

    Call it last: it reads the limits of y.
    """
    low, high = axes.get_ylim()
    line = 1.2 * FONT_SIZE / 72 / _height(axes)
    wanted = [(y - low) / (high - low) for _, y, _ in labels]
    heights = [line * (1 + text.count("\n")) for text, _, _ in labels]
    for (text, _, colour), y in zip(labels, spread_apart(wanted, heights), strict=True):
        axes.annotate(
            text,
            xy=(1, y),
            xycoords="axes fraction",
            xytext=(7, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def _height(axes: Axes) -> float:
    """Inches, before the layout has made room for labels: about three quarters of its share."""
    grid = axes.get_gridspec()
    figure = axes.get_figure(root=True)
    assert figure is not None
    return 0.75 * float(figure.get_figheight()) / (grid.nrows if grid is not None else 1)
