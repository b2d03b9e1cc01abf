"""What a masked LM thinks, on a page: gaps filled, sentences scored, pairs judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from bertsmith.report.page import FigureSection, Heading, Section, Table, Text
from bertsmith.report.style import INK, MUTED, SERIES, new_figure, say_no_data, styled

Data = Mapping[str, Any]
"""What `bertsmith analyze fill` writes as fill.json."""
MOST_ROWS = 20
"""Of a table on the page; the .tsv has them all."""


def figure(data: Data) -> Figure:
    """The margins of the pairs, or the best fillings of the first gap."""
    with styled():
        drawn = new_figure(2.6)
        axes = drawn.add_subplot()
        if data["pairs"]:
            margins = [pair["margin"] for pair in data["pairs"]["rows"]]
            axes.hist(margins, bins=40, color=SERIES[0])
            axes.axvline(0, color=INK, linewidth=1)
            axes.set(xlabel="nats by which the right sentence is the likelier", ylabel="pairs")
        elif data["texts"]:
            guesses = data["texts"][0]["gaps"][0][::-1]
            axes.barh([token for token, _ in guesses], [p for _, p in guesses], color=SERIES[0])
            axes.set(xlabel="probability", title=data["texts"][0]["text"])
        elif data["sentences"]:
            scored = data["sentences"]
            axes.plot([row["perplexity"] for row in scored], range(len(scored)), "o", color=MUTED)
            axes.set(xlabel="pseudo-perplexity", ylabel="sentence")
        else:
            say_no_data(axes)
    return drawn


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    parts: list[Section] = [Heading("What it expects")]
    for text in data["texts"]:
        for number, guesses in enumerate(text["gaps"], 1):
            caption = f"{text['text']} (gap {number} of {len(text['gaps'])})"
            parts.append(Table(("token", "probability"), guesses, caption))
    if data["sentences"]:
        scored = [[row["text"], row["tokens"], row["perplexity"]] for row in data["sentences"]]
        columns = ("sentence", "tokens", "pseudo-perplexity")
        parts.append(Table(columns, scored[:MOST_ROWS], "each token given all others"))
        parts.append(Text(f"Pseudo-perplexity of all of them: {data['perplexity']:.2f}."))
    if data["pairs"]:
        parts += _pairs(data["pairs"])
    elif data["texts"] or data["sentences"]:
        parts.append(FigureSection(figure(data), "The first of them.", "a bar a token"))
    return parts


def _pairs(pairs: Data) -> list[Section]:
    ordered = sorted(pairs["rows"], key=lambda pair: pair["margin"])
    shown = [[pair["right"], pair["wrong"], pair["margin"]] for pair in ordered[: MOST_ROWS // 2]]
    return [
        Text(
            f"Of {len(ordered):,} pairs from {pairs['source']} the right sentence is the likelier "
            f"in {100 * pairs['accuracy']:.1f} % (95 % interval {100 * pairs['low']:.1f} to "
            f"{100 * pairs['high']:.1f}); tossing a coin gives 50."
        ),
        FigureSection(
            figure({"pairs": pairs}),
            "Right of the line the model prefers the right one.",
            "margins",
        ),
        Table(("right", "wrong", "margin in nats"), shown, "where it is most wrong"),
    ]
