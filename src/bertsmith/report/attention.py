"""Where attention heads look, on a page: measures by layer, maps of sentences, pairs followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from bertsmith.report.matrices import attention_map
from bertsmith.report.page import Attention, FigureSection, Heading, Section, Table, Text
from bertsmith.report.style import HEAT, MUTED, SERIES, new_figure, styled, whole_numbers

Data = Mapping[str, Any]
"""What `bertsmith analyze attention` writes as attention.json."""
NAMES = {
    "entropy": "entropy (nats)",
    "distance": "distance (tokens)",
    "first": "to the first token",
    "separator": "to the separator",
    "itself": "to itself",
    "previous": "to the previous token",
    "next": "to the next token",
    "same": "to the same token",
}
"""What the measures are called."""
MOST_PAIRS = 8
"""Heads in a table."""
GAP = 2
"""Cells between the maps of two heads."""
FAINT = 0.06
"""Of a map's ground, so that one sees where it ends."""


def columns(data: Data) -> tuple[str, ...]:
    """Of the table."""
    return ("layer", "head", *data["measures"], *(["pairs"] if data["pairs"] else []))


def rows(data: Data) -> list[list[str | float]]:
    """A row a head, and what attention alike to all tokens would have."""
    made: list[list[str | float]] = []
    for row, layer in enumerate(data["layers"]):
        for column, head in enumerate(data["heads"]):
            own = [_number(each["means"][row][column]) for each in data["measures"].values()]
            if data["pairs"]:
                own.append(data["pairs"]["hits"][row][column])
            made.append([layer, head, *own])
    alike = [_number(each["uniform"]) for each in data["measures"].values()]
    made.append(["alike", "", *alike, *([data["pairs"]["chance"]] if data["pairs"] else [])])
    return made


def figure(data: Data) -> Figure:
    """A panel a measure: a dot a head, the mean of each layer, and attention alike to all."""
    layers = data["layers"]
    with styled():
        drawn = new_figure(4.4, 8.4)
        panels = drawn.subplots(2, 4, sharex=True).ravel()
        for axes, (name, measure) in zip(panels, data["measures"].items(), strict=True):
            values = _array(measure["means"])
            for column in range(values.shape[1]):
                axes.plot(
                    *(layers, values[:, column], "."),
                    **{"color": SERIES[0], "alpha": 0.45, "markersize": 7, "clip_on": False},
                )
            axes.plot(layers, values.mean(axis=1), color=SERIES[0], linewidth=1.2)
            axes.axhline(
                _number(measure["uniform"]), color=MUTED, linewidth=1, linestyle=(0, (4, 3))
            )
            axes.set_title(NAMES[name], fontsize=9, fontweight="normal")
            whole_numbers(axes.xaxis, 6)
            axes.set_ylim(bottom=0)
        for axes in panels[4:]:
            axes.set_xlabel("layer")
    return drawn


def map_figure(data: Data, shown: Data) -> Figure:
    """One sentence: the map of one head, or those of all, a row a layer."""
    maps = _array(shown["values"])
    if maps.shape[:2] == (1, 1):
        name = f"layer {data['layers'][0]}, head {data['heads'][0]}"
        return attention_map(maps[0, 0], shown["tokens"], name)
    return map_grid(maps, data["layers"], data["heads"])


def map_grid(
    maps_LHnn: npt.NDArray[np.float64], layers: Sequence[int], heads: Sequence[int]
) -> Figure:
    """Every map, small. Shade is the root of the share, so that weak attention is seen too."""
    rows, columns, size, _ = maps_LHnn.shape
    step = size + GAP
    image = np.zeros((rows * step - GAP, columns * step - GAP, 4))
    image[..., :3] = to_rgba(HEAT)[:3]
    for row, column in np.ndindex(rows, columns):
        place = np.s_[row * step : row * step + size, column * step : column * step + size, 3]
        image[place] = FAINT + (1 - FAINT) * np.sqrt(np.clip(maps_LHnn[row, column], 0, 1))
    cell = min(0.75, 8.0 / columns)
    with styled():
        drawn = new_figure(0.5 + cell * rows, 0.6 + cell * columns)
        axes = drawn.add_subplot()
        axes.imshow(image, interpolation="nearest")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        centre = (size - 1) / 2
        axes.set_yticks(np.arange(rows) * step + centre, list(map(str, layers)))
        axes.set_xticks(np.arange(columns) * step + centre, list(map(str, heads)))
        axes.tick_params(length=0)
        axes.set(xlabel="head", ylabel="layer")
    return drawn


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    parts: list[Section] = [
        Heading("Where heads look"),
        Text(
            f"Means over {data['sentences']:,} sentences from {data['source']}, special tokens "
            "left out as those that look but not as those that are looked at. Layers and heads "
            "are counted from 1. Attention alike to all tokens of the same sentences is there to "
            "compare; the same token is one elsewhere in the sentence. What a head looks at need "
            "not be what it uses."
        ),
        Table(
            ("measure", "alike to all", "least", "head", "most", "head", "± (95 %)"),
            [_extremes(data, name) for name in data["measures"]],
            "each measure's extremes; the last column is half of an interval over sentences",
        ),
        FigureSection(
            figure(data),
            "A dot a head; the line is their mean, dashes are attention alike to all tokens.",
            "what heads look at, by layer",
        ),
    ]
    for shown in data["maps"]:
        grids = {
            NAMES[name]: [[_number(value) for value in row] for row in measure["means"]]
            for name, measure in data["measures"].items()
        }
        parts.append(
            Attention(
                tokens=shown["tokens"],
                layers=data["layers"],
                heads=data["heads"],
                maps=shown["values"],
                measures=grids,
                caption=shown["sentence"],
            )
        )
        parts.append(
            FigureSection(
                map_figure(data, shown),
                "Rows look, columns are looked at. "
                + (
                    "Numbers are per cent of a row's attention."
                    if len(data["layers"]) == len(data["heads"]) == 1
                    else "Shade is the root of the share of attention."
                ),
                f"attention in: {shown['sentence']}",
            )
        )
    return parts + (_pairs(data) if data["pairs"] else [])


def _extremes(data: Data, name: str) -> list[str | float]:
    measure = data["measures"][name]
    means, errors = _array(measure["means"]), _array(measure["errors"])
    if np.isnan(means).all():
        return [NAMES[name], "–", "–", "–", "–", "–", "–"]
    low, high = np.nanargmin(means), np.nanargmax(means)
    names = [f"{layer}-{head}" for layer in data["layers"] for head in data["heads"]]
    return [
        NAMES[name],
        _number(measure["uniform"]),
        float(means.flat[low]),
        names[low],
        float(means.flat[high]),
        names[high],
        "–" if np.isnan(errors.flat[high]) else float(errors.flat[high]),
    ]


def _pairs(data: Data) -> list[Section]:
    pairs = data["pairs"]
    hits, attention = _array(pairs["hits"]), _array(pairs["attention"])
    names = [f"{layer}-{head}" for layer in data["layers"] for head in data["heads"]]
    order = np.lexsort((-attention.ravel(), -hits.ravel()))[:MOST_PAIRS]
    found = [[names[at], float(hits.flat[at]), float(attention.flat[at])] for at in order]
    one = pairs["rows"][0]
    what = (
        f"from {one['from']!r} to {one['to']!r} in {one['sentence']!r}"
        if pairs["count"] == 1
        else f"{pairs['count']} pairs from {pairs['source']}"
    )
    parts: list[Section] = [
        Text(
            f"Heads that follow {what}. A hit: the word gets more attention than its rivals, or "
            "its share of one where they are level; of attention alike to all, "
            f"{pairs['chance']:.2f} would be hits."
        ),
        Table(("head", "hits", "attention"), found, "most hits"),
    ]
    best = pairs["best"]
    if best:
        parts.append(
            Text(
                f"Chosen by the first half of the pairs, head {best['head']} has "
                f"{best['chosen_by']:.2f} hits there and {best['share']:.2f} in the second half "
                f"(95 % interval {best['low']:.2f} to {best['high']:.2f}). The best of "
                f"{len(names)} heads is better on the pairs that it was chosen by than it is."
            )
        )
    return parts


def _array(values: Any) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _number(value: float | None) -> float:
    """JSON has null for NaN."""
    return float("nan") if value is None else float(value)
