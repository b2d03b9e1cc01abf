"""How translations find each other, on a page: reciprocal ranks by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bertsmith.report.page import FigureSection, Heading, Section, Table, Text
from bertsmith.report.style import MUTED, SERIES, label_lines, new_figure, styled, whole_numbers

Data = Mapping[str, Any]
"""What `bertsmith analyze alignment` writes as alignment.json."""
COLUMNS = (
    *("what", "direction", "centred", "layer", "mrr", "mrr_low", "mrr_high"),
    *("precision", "precision_low", "precision_high", "chance_mrr", "chance_precision"),
    *("queries", "candidates"),
)
_STYLES = {"source to target": "-", "target to source": (0, (4, 2))}


def figure(data: Data) -> Figure:
    """A panel for words and one for sentences: a line a direction, as they are and centred."""
    kinds = list(dict.fromkeys(row["what"] for row in data["rows"]))
    with styled():
        drawn = new_figure(0.5 + 2.4 * len(kinds))
        panels = drawn.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
        for axes, kind in zip(panels, kinds, strict=True):
            _panel(axes, [row for row in data["rows"] if row["what"] == kind])
            axes.set(title=kind, ylabel="mean reciprocal rank")
        panels[-1].set_xlabel("layer (0: embeddings); dashed: target to source")
    return drawn


def _panel(axes: Axes, records: Sequence[Data]) -> None:
    ends = []
    for centred, colour in zip((False, True), SERIES, strict=False):
        for direction, style in _STYLES.items():
            own = [
                row for row in records if (row["centred"], row["direction"]) == (centred, direction)
            ]
            layers = [row["layer"] for row in own]
            low, high = ([row[f"mrr_{end}"] for row in own] for end in ("low", "high"))
            axes.fill_between(layers, low, high, color=colour, alpha=0.12, linewidth=0)
            axes.plot(layers, [row["mrr"] for row in own], color=colour, linestyle=style)
        ends.append(("centred" if centred else "as they are", own[-1]["mrr"], colour))
    by_chance = max(row["chance_mrr"] for row in records)
    axes.axhline(by_chance, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
    axes.set_ylim(bottom=0)
    whole_numbers(axes.xaxis)
    label_lines(axes, [*ends, ("chance", by_chance, MUTED)])


def rows(data: Data) -> list[list[Any]]:
    """A row a layer, a direction, centred and not, of COLUMNS."""
    return [[_shown(row[name]) for name in COLUMNS] for row in data["rows"]]


def _shown(value: Any) -> Any:
    return ("no", "yes")[value] if isinstance(value, bool) else value


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    parts: list[Section] = [Heading("Translations that find each other"), Text(_lead(data))]
    parts.append(
        FigureSection(
            figure(data),
            "Mean reciprocal rank by layer, with 95 % intervals over the queries.",
            "a panel for words and one for sentences, a line a direction",
        )
    )
    columns = ("what", "direction", "centred", "layer", "MRR", "P@1", "MRR, P@1 by chance")
    best = [
        [
            *(_shown(row[name]) for name in ("what", "direction", "centred", "layer")),
            _interval(row, "mrr"),
            _interval(row, "precision"),
            f"{row['chance_mrr']:.4f}, {row['chance_precision']:.4f}",
        ]
        for row in _best(data["rows"])
    ]
    return [
        *parts,
        Table(
            columns,
            best,
            "mean reciprocal rank and precision at 1 in the layer with the best of the "
            "former, with 95 % intervals",
        ),
    ]


def _best(records: Sequence[Data]) -> list[Data]:
    groups: dict[tuple[Any, ...], Data] = {}
    for row in records:
        key = (row["what"], row["direction"], row["centred"])
        if key not in groups or row["mrr"] > groups[key]["mrr"]:
            groups[key] = row
    return list(groups.values())


def _interval(row: Data, name: str) -> str:
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"


def _lead(data: Data) -> str:
    parts = [
        "Each word or sentence of one language asks for its translation among all of the other, by "
        "cosine. The mean reciprocal rank is of the best right answer; chance is that of a random "
        "order. Centred: each language's mean vector is taken from its own."
    ]
    if words := data["words"]:
        parts.append(
            f"Words: {words['pairs']:,} pairs of {words['dictionary']}, each word the mean of its "
            f"occurrences in monolingual text. Left out were {words['identical']:,} pairs that are "
            f"spelt alike; {words['in_vocabulary']:,} are in the vocabulary, and both words of "
            f"{words['occurring']:,} occur."
        )
    if sentences := data["sentences"]:
        parts.append(
            f"Sentences: {sentences['pairs']:,} pairs of {sentences['parallel']}, each the mean of "
            "its tokens."
        )
    parts.append("The best layer of several is a little flattered by being chosen.")
    return " ".join(parts)
