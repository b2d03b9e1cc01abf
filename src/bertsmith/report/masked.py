"""What a masked LM thinks, on a page: gaps filled, sentences scored, pairs judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from matplotlib.figure import Figure

from bertsmith.report.page import FigureSection, Heading, Section, Table, Text
from bertsmith.report.style import (
    INK,
    MUTED,
    SERIES,
    new_figure,
    say_no_data,
    styled,
    whole_numbers,
)

Data = Mapping[str, Any]
"""What `bertsmith analyze fill` writes as fill.json."""
MOST_ROWS = 20
"""Of a table on the page; the .tsv has them all."""
TITLE = 52
"""Characters of a line over the figure."""


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
            whole_numbers(axes.yaxis, 6)
        elif data["texts"]:
            guesses = data["texts"][0]["gaps"][0][::-1]
            places = range(len(guesses))  # two tokens may read alike
            axes.barh(places, [p for _, p in guesses], color=SERIES[0])
            axes.set_yticks(places, [token for token, _ in guesses])
            lines = wrap(data["texts"][0]["text"], TITLE)
            axes.set(xlabel="probability", title="\n".join(lines))
            drawn.set_figheight(drawn.get_figheight() + 0.17 * max(len(lines) - 1, 0))
        elif data["sentences"]:
            scored = data["sentences"]
            places = range(1, 1 + len(scored))
            axes.plot([row["perplexity"] for row in scored], places, "o", color=MUTED)
            whole_numbers(axes.yaxis)
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
        columns = ("sentence", "tokens", "pseudo-perplexity", "unknown")
        keys = ("text", "tokens", "perplexity", "unknown")
        rows = [[row.get(key, "") for key in keys] for row in data["sentences"][:MOST_ROWS]]
        parts.append(Table(columns, rows, "each token given all others"))
        parts += _unknown(data["sentences"], "sentences")
        parts.append(Text(f"Pseudo-perplexity of all of them: {data['perplexity']:.2f}."))
    if data["pairs"]:
        parts += _pairs(data["pairs"])
    elif data["texts"]:
        parts.append(FigureSection(figure(data), "The first of them.", "a bar a token"))
    elif data["sentences"]:
        caption = "Sentences in their order, the first at the bottom."
        parts.append(FigureSection(figure(data), caption, "a dot a sentence"))
    return parts


def _unknown(rows: Sequence[Data], what: str) -> list[Section]:
    """A warning where the vocabulary cannot write all of them."""
    strange = sum(row.get("unknown", 0) > 0 for row in rows)
    if not strange:
        return []
    return [
        Text(
            f"Warning: {strange:,} of {len(rows):,} {what} have words that the vocabulary cannot "
            "write. In their place the model is asked for the unknown token, as if that were a "
            "word: such a number says little, however good it looks."
        )
    ]


def _pairs(pairs: Data) -> list[Section]:
    ordered = sorted(pairs["rows"], key=lambda pair: pair["margin"])
    keys = ("right", "wrong", "margin", "unknown")
    shown = [[pair.get(key, "") for key in keys] for pair in ordered[: MOST_ROWS // 2]]
    columns = ("right", "wrong", "margin in nats", "unknown")
    ties = [[pair["right"], pair["wrong"]] for pair in pairs["rows"] if pair["margin"] == 0]
    parts = [
        Text(
            f"Of {len(ordered):,} pairs from {pairs['source']} the right sentence is the likelier "
            f"in {100 * pairs['accuracy']:.1f} % (95 % interval {100 * pairs['low']:.1f} to "
            f"{100 * pairs['high']:.1f}); tossing a coin gives 50."
        ),
        *_unknown(pairs["rows"], "pairs"),
        FigureSection(
            figure({"pairs": pairs}),
            "Right of the line the model prefers the right one.",
            "margins",
        ),
        Table(columns, shown, "the smallest margins; below zero the wrong one is preferred"),
    ]
    if ties:
        caption = (
            f"Ties, which count half, as chance has it: {len(ties):,} of the pairs. By unknown "
            "words or normalisation both sentences are the same tokens"
        )
        parts.append(Table(("right", "wrong"), ties[:MOST_ROWS], caption))
    return parts
