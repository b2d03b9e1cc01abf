"""Anisotropy on a page: cosines of random tokens, frequency, and sentence vectors with cures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bertsmith.report.numbers import compact
from bertsmith.report.page import FigureSection, Heading, Section, Table, Text
from bertsmith.report.style import MUTED, SERIES, new_figure, styled

Data = Mapping[str, Any]
"""What `bertsmith analyze anisotropy` writes as anisotropy.json."""
CURES = ("as they are", "centred", "whitened", "without top", "flow")
COLUMNS = ("pairs", "vectors", *CURES)
FREQUENCY_COLUMNS = ("vectors", "ranks", "mean length", "mean distance to the 5 nearest")


def rows(data: Data, value: str = "spearman") -> list[list[str | float]]:
    """A row for each set and kind of vectors, of COLUMNS: Spearman's correlations, or another
    `value` of the agreements; NaN for a cure that was left out."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for each in data["agreements"]:
        own = found.setdefault((each["set"], each["vectors"]), {})
        own[each["cure"]] = float("nan") if each[value] is None else each[value]
    return [[*key, *(own.get(cure, float("nan")) for cure in CURES)] for key, own in found.items()]


def figure(data: Data) -> Figure:
    """All of it: agreement by set, cosines by layer, frequency."""
    sets = data["sets"]
    heights = [*[2.0] * len(sets), 1.9, 2.1]
    with styled():
        drawn = new_figure(sum(heights))
        parts: Any = drawn.subfigures(len(heights), 1, height_ratios=heights)
        for number, (part, each) in enumerate(zip(parts, sets, strict=False)):
            _draw_agreement(part.subplots(), data, each["name"], legend=number == 0)
        _draw_layers(parts[-2].subplots(), data)
        _draw_frequency(parts[-1], data)
    return drawn


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    parts: list[Section] = [
        Heading("Do all vectors point the same way?"),
        Text(
            "Vectors are anisotropic where those of different words have high cosines: then a "
            "cosine says little about likeness. Below, cosines of sentence vectors are held "
            "against people's ratings (Spearman), and cures are fitted to the same sentences "
            "without their ratings."
        ),
        Table(COLUMNS, _shown(rows(data)), "Spearman's correlation of cosines with ratings"),
        Text(_trust(data)),
    ]
    parts += [
        FigureSection(
            _alone(_draw_agreement, 2.2, data, each["name"]),
            f"{each['name']}: {each['pairs']:,} pairs, {each['sentences']:,} sentences; lines are "
            "95 % intervals.",
            "a dot a cure, a row a kind of vectors",
        )
        for each in data["sets"]
    ]
    parts += [
        Table(COLUMNS, _shown(rows(data, "cosine")), "mean cosine of two different sentences"),
        Text(_layers(data)),
        FigureSection(
            _alone(_draw_layers, 2.2, data),
            "Mean cosine of different tokens in different sentences; 0: the embeddings' output.",
            "a line over the layers",
        ),
        Text(_frequency(data)),
        Table(
            FREQUENCY_COLUMNS,
            [
                [table["name"], f"{part['first']:,} to {part['last']:,}", part["norm"],
                 part["distance"]]
                for table in data["frequency"]
                for part in table["ranges"]
            ],
            "words by frequency, the most frequent first",
        ),
        FigureSection(frequency_figure(data), "As above.", "lengths and distances by frequency"),
    ]  # fmt: skip
    return parts


def frequency_figure(data: Data) -> Figure:
    """Lengths and distances of words by frequency."""
    with styled():
        drawn = new_figure(2.4)
        _draw_frequency(drawn, data)
    return drawn


def _alone(draw: Any, height: float, *arguments: Any) -> Figure:
    with styled():
        drawn = new_figure(height)
        draw(drawn.add_subplot(), *arguments)
    return drawn


def _draw_agreement(axes: Axes, data: Data, name: str, legend: bool = True) -> None:
    own = [each for each in data["agreements"] if each["set"] == name]
    kinds = list(dict.fromkeys(each["vectors"] for each in own))[::-1]
    tried = {each["cure"] for each in data["agreements"]}
    for number, (cure, colour) in enumerate(zip(CURES, (MUTED, *SERIES), strict=False)):
        if cure not in tried:
            continue
        found = [each for each in own if each["cure"] == cure and each["spearman"] is not None]
        found = [each for each in found if each["spearman"] == each["spearman"]]
        places = [kinds.index(each["vectors"]) + 0.3 - 0.15 * number for each in found]
        values = [each["spearman"] for each in found]
        axes.hlines(
            places,
            [each["low"] for each in found],
            [each["high"] for each in found],
            color=colour,
            linewidth=1,
        )
        axes.plot(values, places, "o", color=colour, markersize=3.5, label=cure)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(-0.6, len(kinds) - 0.4)
    axes.grid(axis="x")
    axes.set(xlabel="Spearman", title=name)
    if legend:
        _legend(axes)


def _draw_layers(axes: Axes, data: Data) -> None:
    cosines = data["layers"]
    axes.plot(range(len(cosines)), cosines, "o-", color=SERIES[0], markersize=4, label="the model")
    references = [("word embeddings", data["static_cosine"])]
    if data["word_vectors"]:
        references.append((data["word_vectors"]["name"], data["word_vectors"]["cosine"]))
    for (name, value), colour in zip(references, SERIES[1:], strict=False):
        axes.axhline(value, color=colour, linestyle="--", linewidth=1.2, label=name)
    axes.set_xticks(range(len(cosines)))
    highest = max([*cosines, *(value for _, value in references)])
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), max(0.1, 1.08 * highest))
    axes.set(xlabel="layer", title="mean cosine of different tokens")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Right of the panel."""
    axes.legend(
        frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, handlelength=1
    )


def _draw_frequency(part: Figure | SubFigure, data: Data) -> None:
    both: Any = part.subplots(1, 2)
    for axes, (value, title) in zip(
        both, (("norm", "length"), ("distance", "distance")), strict=True
    ):
        for table, colour in zip(data["frequency"], SERIES, strict=False):
            ranks = [(each["first"] * each["last"]) ** 0.5 for each in table["ranges"]]
            values = [each[value] / table["ranges"][0][value] for each in table["ranges"]]
            axes.plot(ranks, values, "o-", color=colour, markersize=4, label=table["name"])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rank, _: compact(rank)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(title=title, xlabel="frequency rank")
    both[0].set_ylabel("first range: 1")
    handles, labels = both[0].get_legend_handles_labels()
    part.legend(handles, labels, frameon=False, loc="outside upper center", ncols=2)


def _shown(table: list[list[str | float]]) -> list[list[str | float]]:
    """With a dash where nothing was measured, and no negative zero."""
    return [[_cell(value) for value in row] for row in table]


def _cell(value: str | float) -> str | float:
    if isinstance(value, str):
        return value
    return "–" if value != value else round(value, 3) + 0.0


def _two(value: float | None) -> str:
    return "not defined, all being as frequent" if value is None else f"{value:.2f}"


def _trust(data: Data) -> str:
    widths = [each["high"] - each["low"] for each in data["agreements"] if each["high"] is not None]
    if not widths:  # NaN is null in JSON
        return " ".join(["All ratings are the same: no correlation is defined.", *data["notes"]])
    text = (
        f"95 % intervals are up to {max(widths):.3f} wide; two cures are compared on the same "
        "pairs, so that smaller differences may be real, and the intervals do not say which. The "
        "cures were fitted to the very sentences that are scored."
    )
    gains = [each["likelihoods"][each["epoch"]] - each["likelihoods"][0] for each in data["flows"]]
    if gains:
        text += (
            " A flow keeps the state that held-out sentences are likeliest under, of up to twenty "
            "epochs."
            f" Over a normal distribution in each dimension for itself, flows gained "
            f"{min(gains):.2f} to {max(gains):.2f} nats a dimension there."
        )
    return " ".join([text, *data["notes"]])


def _layers(data: Data) -> str:
    text = (
        f"{data['tokens']:,} different tokens, each of another sentence: the mean cosine of all "
        f"pairs is {data['layers'][0]:.3f} in the embeddings' output, {data['layers'][-1]:.3f} in "
        f"the last layer, and {data['static_cosine']:.3f} in the embedding table itself."
    )
    if data["word_vectors"]:
        own = data["word_vectors"]
        text += f" {own['tokens']:,} words of {own['name']}: {own['cosine']:.3f}."
    return text


def _frequency(data: Data) -> str:
    told = [
        f"{table['name']} ({table['words']:,} words, frequency: {table['counted_in']}): with "
        f"length {_two(table['norm_spearman'])}, with distance {_two(table['distance_spearman'])}"
        for table in data["frequency"]
    ]
    return (
        "If frequent words lie near the origin and rare ones are sparse, frequency goes against "
        f"length and against distance. Spearman's correlation of frequency, {'; '.join(told)}."
    )
