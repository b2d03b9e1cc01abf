"""Fine-tuning from a pre-trained start and from a random one, on a page: curves and surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from bertsmith.report.figures import smooth
from bertsmith.report.finetune import INIT_NAMES
from bertsmith.report.page import FigureSection, Heading, Section, Table, Text
from bertsmith.report.style import (
    HEAT,
    INK,
    MUTED,
    SERIES,
    WIDTH,
    label_lines,
    new_figure,
    styled,
    whole_numbers,
)
from bertsmith.tasks.metrics import METRIC_NAMES

Data = Mapping[str, Any]
"""What `bertsmith analyze curve` writes as curve.json."""
COLUMNS = (
    "weights at the start",
    "runs",
    "failed",
    "score",
    "lowest",
    "highest",
    "held-out loss",
    "distance",
    "loss at the start",
    "loss at the end",
)
LEVELS = 10
"""Steps of colour of a surface."""
DARKEST = 0.6
"""Share of the colour that still lets words be read on it."""
ABOVE = 1.3
"""What is above so many times the larger loss at a start has the darkest of them."""

Floats = npt.NDArray[np.float64]


def figure(data: Data) -> Figure:
    """All of it in one: curves above, lines and planes below, where there are."""
    with styled():
        heights = [2.5, 2.3, 3.8] if data["surfaces"] else [2.8]
        drawn = new_figure(sum(heights), width=2 * WIDTH)
        rows = drawn.subplots(len(heights), 2, squeeze=False, height_ratios=heights)
        _losses(rows[0, 0], data)
        _scores(rows[0, 1], data)
        if data["surfaces"]:
            grid = rows[1, 0].get_gridspec()
            for axes in rows[1]:
                axes.remove()
            _lines(drawn.add_subplot(grid[1, :]), data)
            _planes(rows[2], data)
    return drawn


def rows(data: Data) -> list[list[Any]]:
    """A row for each initialisation, of COLUMNS."""
    table = []
    for init, runs in data["curves"].items():
        spread = data["summary"][init]
        surface = data["surfaces"].get(init, {})
        table.append(
            [
                INIT_NAMES[init],
                len(runs),
                sum(run["failed"] for run in runs),
                *(spread[name] for name in ("median", "min", "max")),
                float(np.median([run["dev_loss"][-1] for run in runs])),
                *(surface.get(name, "") for name in ("distance", "start_loss", "end_loss")),
            ]
        )
    return table


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    metric = METRIC_NAMES[data["metric"]]
    parts: list[Section] = [
        Heading("Pre-trained against random weights"),
        Text(
            f"Fine-tuning on {data['task']}: {data['train_examples']:,} examples to learn from, "
            f"{data['dev_examples']:,} to be scored on; lines are medians over seeds, bands go "
            "from the lowest to the highest seed. Both starts see the same examples in the same "
            "order."
        ),
        Table(COLUMNS, rows(data), f"{data['run']}; the score is {metric}"),
    ]
    for draw, caption in ((_losses, "Loss of training batches."), (_scores, "Held out.")):
        with styled():
            drawn = new_figure(2.8)
            draw(drawn.add_subplot(), data)
        parts.append(FigureSection(drawn, caption, f"{caption} by start"))
    if data["surfaces"]:
        parts += _surface_sections(data)
    return parts


def _surface_sections(data: Data) -> list[Section]:
    with styled():
        lines, planes = new_figure(2.8), new_figure(3.8, width=1.5 * WIDTH)
        _lines(lines.add_subplot(), data)
        _planes(planes.subplots(1, 2), data)
    return [
        Text(
            f"The training loss on {data['surface_examples']:,} examples, with nothing dropped, at "
            "weights that were never trained (Hao et al. 2019): on the line from the start to the "
            "end of one seed."
        ),
        FigureSection(lines, "0 is the start, 1 the end.", "loss along a line, by start"),
        Text(
            "And on the plane through the start and two ends, reached with the examples in two "
            "orders. Distances are Euclidean, in the space of all weights. A plane is two of "
            "millions of directions: that a valley looks wide or narrow in it says something of "
            "these two alone, and it is of one seed."
        ),
        FigureSection(planes, "The darker, the larger the loss.", "loss on a plane, by start"),
    ]


def _losses(axes: Axes, data: Data) -> None:
    axes.set(xlabel="optimizer steps", ylabel="training loss")
    _bands(axes, data, "steps", "loss", smoothed=True)


def _scores(axes: Axes, data: Data) -> None:
    axes.set(xlabel="epoch", ylabel=METRIC_NAMES[data["metric"]])
    whole_numbers(axes.xaxis)
    _bands(axes, data, "epochs", "scores", smoothed=False)


def _bands(axes: Axes, data: Data, x: str, y: str, *, smoothed: bool) -> None:
    """Median, least and greatest over seeds, at the places that all of them have."""
    ends = []
    for (init, runs), colour in zip(data["curves"].items(), SERIES, strict=False):
        common = sorted(set.intersection(*({*run[x]} for run in runs)))
        if not common:
            continue
        found = []
        for run in runs:
            values = np.array(run[y], dtype=float)
            at = dict(zip(run[x], smooth(values) if smoothed else values, strict=True))
            found.append([at[place] for place in common])
        median = np.median(found, axis=0)
        axes.fill_between(
            common, np.min(found, axis=0), np.max(found, axis=0), color=colour, alpha=0.2, lw=0
        )
        axes.plot(common, median, color=colour, marker="" if smoothed else "o", markersize=3.5)
        ends.append((INIT_NAMES[init], float(median[-1]), colour))
    label_lines(axes, ends)


def _lines(axes: Axes, data: Data) -> None:
    axes.set(xlabel="share of the way from start to end", ylabel="training loss")
    axes.xaxis.set_major_locator(MultipleLocator(0.5))
    ends = []
    for (init, surface), colour in zip(data["surfaces"].items(), SERIES, strict=False):
        axes.plot(surface["alphas"], surface["line"], color=colour)
        axes.plot(
            [0, 1], [surface["start_loss"], surface["end_loss"]], "o", color=colour, markersize=5
        )
        ends.append((INIT_NAMES[init], float(surface["line"][-1]), colour))
    label_lines(axes, ends)


def _planes(panels: Sequence[Axes], data: Data) -> None:
    """One panel a start, in the same colours."""
    surfaces = data["surfaces"]
    low = min(np.min(surface["plane"]) for surface in surfaces.values())
    high = ABOVE * max(surface["start_loss"] for surface in surfaces.values())
    levels = np.linspace(low, max(high, low + 1e-6), LEVELS)
    shades = [to_rgba(HEAT, share) for share in np.linspace(0.0, DARKEST, LEVELS)]
    for axes, (init, surface), colour in zip(panels, surfaces.items(), SERIES, strict=False):
        x, y, losses = (np.array(surface[name]) for name in ("x", "y", "plane"))
        axes.contourf(x, y, losses, levels=levels, colors=shades, extend="max")
        lines = axes.contour(x, y, losses, levels=levels[1:], colors=[MUTED], linewidths=0.5)
        axes.clabel(lines, levels[1::2], fmt="%.2g", fontsize=7)
        _mark(axes, np.array(surface["points"]), colour)
        axes.set_aspect("equal")
        axes.grid(False)
        axes.set(
            title=INIT_NAMES[init], xlabel="distance towards the end", ylabel="distance across"
        )


def _mark(axes: Axes, points: Floats, colour: str) -> None:
    for end in points[1:]:
        axes.plot(*zip(points[0], end, strict=True), color=colour, linewidth=1, linestyle=":")
    for name, point in zip(("start", "end", "end,\nanother order"), points, strict=True):
        axes.plot(*point, "o", color=colour, markersize=5)
        axes.annotate(
            name, point, xytext=(0, 6), textcoords="offset points", ha="center", color=INK
        )
