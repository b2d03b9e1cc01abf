"""Heat maps: classes taken for others, one word in N contexts, attention of one head."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from math import cos, pi

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from bertsmith.report.style import FONT_SIZE, HEAT, INK, PAPER, STRONG, styled

MOST_CLASSES_WITH_TEXT = 20
MOST_RULED = 40
CELL = 0.38  # inches
LARGEST_SIDE = 6.0  # inches, of all cells


def confusion_matrix(matrix: npt.ArrayLike, labels: Sequence[str], title: str = "") -> Figure:
    """Rows are the true class, columns the predicted one; colour is the share of the row.

    Cells carry the counts where there are at most 20 classes; no count is left blank.
    """
    counts = np.asarray(matrix, dtype=float)
    shares = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    texts = [[f"{count:.0f}" if count else "" for count in row] for row in counts]
    names = [_shorten(label, 22) for label in labels]
    return _heat_map(shares, texts, names, names, title, ("true", "predicted"))


def similarity_matrix(matrix: npt.ArrayLike, labels: Sequence[str], title: str = "") -> Figure:
    """(N, N) cosine similarities of one word in N contexts; `labels` are the contexts.

    Colour runs from the smallest value to 1; rows carry the contexts, columns their numbers.
    """
    values = np.asarray(matrix, dtype=float)
    low = float(values.min(initial=1.0))
    texts = [[f"{value:.2f}".replace("0.", ".") for value in row] for row in values]
    rows = [f"{_shorten(label, 36)}\u2002{number}" for number, label in enumerate(labels, 1)]
    columns = [str(number) for number in range(1, len(labels) + 1)]
    return _heat_map((values - low) / max(1 - low, 1e-9), texts, rows, columns, title, ("", ""))


def attention_map(matrix: npt.ArrayLike, tokens: Sequence[str], title: str = "") -> Figure:
    """(n, n) shares of attention, from each token, a row, to all; cells carry per cent."""
    shares = np.asarray(matrix, dtype=float)
    texts = [[f"{100 * share:.0f}" if share >= 0.005 else "" for share in row] for row in shares]
    names = [_shorten(token, 22) for token in tokens]
    return _heat_map(shares, texts, names, names, title, ("from", "to"))


def _heat_map(
    shades: npt.NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    names: tuple[str, str],
) -> Figure:
    """Square cells filled with `shades` (0 to 1) of HEAT, so that any paper shows through.

    The cells have a fixed size and the figure grows with its labels. `names` are those of
    the rows and of the columns.
    """
    size = len(rows)
    if shades.shape != (size, size):
        raise ValueError(f"a matrix of shape {shades.shape} does not fit {size} labels")
    shades = np.nan_to_num(np.clip(shades, 0, 1))
    cell = min(CELL, LARGEST_SIDE / max(size, 1))
    tick_size = min(9.0, 0.75 * cell * 72)
    tilted = max(map(len, columns), default=0) > 3
    drop = _width(columns, tick_size) * cos(pi / 4) if tilted else tick_size / 72
    left = _width(rows, tick_size) + 0.15 + (0.3 if names[0] else 0)
    bottom = drop + 0.2 + (0.25 if names[1] else 0)
    side, top = cell * size, 0.3 if title else 0.05
    right = max(0.1, 1.15 * _width([title], FONT_SIZE) - side)  # the title is bold
    width, height = left + side + right, bottom + side + top
    with styled():
        figure = Figure(figsize=(width, height), facecolor="none")
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), title=title)
        longest = max((len(text) for row in texts for text in row), default=0)
        font_size = min(9.0, 1.5 * cell * 72 / max(longest, 3))
        edges = np.arange(size + 1) - 0.5
        fill = np.broadcast_to(to_rgba(HEAT), (size, size, 4)).copy()
        fill[..., 3] = shades
        ruled = size <= MOST_RULED  # more are an image: each cell alone would be megabytes of SVG
        width_of_rule = 1.2 if ruled else 0
        axes.pcolormesh(
            edges, edges, fill, edgecolor=PAPER, linewidth=width_of_rule, rasterized=not ruled
        )
        if size <= MOST_CLASSES_WITH_TEXT:
            for row, column in np.ndindex(size, size):
                axes.text(
                    column,
                    row,
                    texts[row][column],
                    ha="center",
                    va="center",
                    color=PAPER if shades[row, column] > STRONG else INK,
                    fontsize=font_size,
                )
        axes.set_yticks(range(size), rows, fontsize=tick_size)
        axes.set_xticks(range(size), columns, fontsize=tick_size)
        if tilted:
            axes.tick_params(axis="x", labelrotation=45)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        axes.tick_params(length=0)
        axes.set_ylabel(names[0])
        axes.set_xlabel(names[1])
        axes.yaxis.set_label_coords((0.2 - left) / max(side, cell), 0.5)
    return figure


def _width(labels: Sequence[str], font_size: float) -> float:
    """Inches of the longest label, on the large side: the reader's font is not known."""
    ems = (sum(_em(letter) for letter in label) for label in labels)
    return max(ems, default=0.0) * font_size / 72


def _em(letter: str) -> float:
    return 1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.56


def _shorten(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
