"""What the vector between two languages does, on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bertsmith.report.page import FigureSection, Heading, Section, Table, Text
from bertsmith.report.style import MUTED, SERIES, label_lines, new_figure, styled, whole_numbers

Data = Mapping[str, Any]
"""What `bertsmith analyze language` writes as language.json."""
COLUMNS = (
    *("layer", "factor", "norm", "turned", "turned_low", "turned_high", "turned_random"),
    *("hits", "hits_low", "hits_high", "hits_random", "hits_dealt", "probe", "along"),
)


PAGE_COLUMNS = (
    *("layer", "factor", "norm", "turned", "random: turned"),
    *("hits", "random: hits", "dealt", "probe", "along"),
)


def figure(data: Data) -> Figure:
    """Three panels by layer: what turned, what was hit, and whether the language can be told."""
    layers = data["layers"]
    plain = data["unshifted"]
    with styled():
        drawn = new_figure(6.6)
        panels = drawn.subplots(3, 1, sharex=True)
        vectors = (("language", "language vector"), ("random", "random vector"))
        titles = {"turned": "tokens turned into the other language", "hits": "dictionary hits"}
        for axes, (name, title) in zip(panels, titles.items(), strict=False):
            ends = []
            for (kind, label), colour in zip(vectors, SERIES, strict=False):
                ends.append(_line(axes, layers, kind, name, label, colour))
            if name == "hits":
                dealt = [row["language"]["dealt"] for row in layers]
                axes.plot(_numbers(layers), dealt, color=SERIES[2])
                ends.append(("the same,\ndealt at random", dealt[-1], SERIES[2]))
            axes.axhline(plain[name], color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
            axes.set(title=title)
            _finish(axes, [*ends, ("no vector", plain[name], MUTED)])
        ends = []
        kinds = (("probe", "linear probe"), ("along", "language vector"))
        for (name, label), colour in zip(kinds, (SERIES[3], SERIES[0]), strict=True):
            values = [row[name] for row in layers]
            panels[2].plot(_numbers(layers), values, color=colour)
            ends.append((label, values[-1], colour))
        panels[2].axhline(0.5, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
        panels[2].set(title="language told from one token", xlabel="layer (0: embeddings)")
        _finish(panels[2], [*ends, ("guessing", 0.5, MUTED)])
    return drawn


def _line(
    axes: Axes, layers: Sequence[Data], kind: str, name: str, label: str, colour: str
) -> tuple[str, float, str]:
    values = [row[kind][name] for row in layers]
    low, high = ([row[kind][f"{name}_{end}"] for row in layers] for end in ("low", "high"))
    axes.fill_between(_numbers(layers), low, high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(_numbers(layers), values, color=colour)
    return label, values[-1], colour


def _numbers(layers: Sequence[Data]) -> list[int]:
    return [row["layer"] for row in layers]


def _finish(axes: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    whole_numbers(axes.xaxis)
    label_lines(axes, ends)


def rows(data: Data) -> list[list[Any]]:
    """A row a layer, of COLUMNS."""
    return [
        [
            *(row[name] for name in ("layer", "factor", "norm")),
            *(row["language"][name] for name in ("turned", "turned_low", "turned_high")),
            row["random"]["turned"],
            *(row["language"][name] for name in ("hits", "hits_low", "hits_high")),
            *(row["random"]["hits"], row["language"]["dealt"]),
            *(row["probe"], row["along"]),
        ]
        for row in data["layers"]
    ]


def _row(row: Data) -> list[Any]:
    """Of PAGE_COLUMNS."""
    language, random = row["language"], row["random"]
    turned, hits = (
        f"{language[name]:.3f} ({language[f'{name}_low']:.3f} to {language[f'{name}_high']:.3f})"
        for name in ("turned", "hits")
    )
    return [
        *(row[name] for name in ("layer", "factor", "norm")),
        *(turned, random["turned"], hits, random["hits"], language["dealt"]),
        *(row["probe"], row["along"]),
    ]


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    best = data["layers"][data["best"]]
    said = best["language"]
    return [
        Heading("The vector between two languages"),
        Text(
            "The difference of two languages' mean token vectors is added, times a factor, to all "
            "of a sentence's tokens in one layer, and the masked-LM head says what they have "
            "become. Nothing is masked. A hit is a token that a translation of the word is "
            f"written in, by {data['dictionary']}. The factor of each layer was chosen by hits on "
            f"as many other sentences; the numbers are of {data['sentences']:,} that had no say."
        ),
        Text(
            f"In layer {best['layer']}, times {best['factor']:g}, {_percent(said['turned'])} of "
            f"{said['tokens']:,} tokens turn into the other language (95 % interval "
            f"{_percent(said['turned_low'])} to {_percent(said['turned_high'])}; a random vector "
            f"as long: {_percent(best['random']['turned'])}), and {_percent(said['hits'])} of "
            f"{said['asked']:,} are hits ({_percent(said['hits_low'])} to "
            f"{_percent(said['hits_high'])}; random: {_percent(best['random']['hits'])}). The same "
            f"tokens dealt out at random would hit {_percent(said['dealt'])}: only what is above "
            "that is translation."
        ),
        FigureSection(
            figure(data), "By layer, with 95 % intervals over the sentences.", "three panels"
        ),
        Table(
            ("sentence", "with the language vector", "with a random one"),
            data["table"],
            f"what comes out of layer {best['layer']}, times {best['factor']:g}",
        ),
        Table(
            PAGE_COLUMNS,
            [_row(row) for row in data["layers"]],
            "shares of tokens, with 95 % intervals; the last two columns are balanced accuracies "
            "on tokens that no probe has seen",
        ),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
