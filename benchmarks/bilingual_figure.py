"""What comes with data, over training: loss, alignment and translation, a line a size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from bertsmith.report.numbers import compact
from bertsmith.report.style import MUTED, SERIES, label_lines, new_figure, styled, token_axis

Rows = Sequence[Mapping[str, Any]]
_PANELS = (
    ("nats a masked token, English", "loss_english", ""),
    ("nats a masked token, Chinese", "loss_chinese", ""),
    ("words: mean reciprocal rank, centred", "words_centred", "words_chance"),
    ("sentences: mean reciprocal rank, centred", "sentences_centred", "sentences_chance"),
    ("dictionary hits (dotted: the answers dealt at random)", "hits", "dealt"),
)


def draw(rows: Rows) -> Figure:
    """A panel for each thing that is followed, a line for each amount of text."""
    sizes = dict.fromkeys(row["data"] for row in rows)
    with styled():
        drawn = new_figure(1.9 * len(_PANELS))
        panels = drawn.subplots(len(_PANELS), 1, sharex=True)
        for axes, (title, name, baseline) in zip(panels, _PANELS, strict=True):
            ends = []
            for size, colour in zip(sizes, SERIES, strict=False):
                own = [row for row in rows if row["data"] == size]
                tokens, values = ([row[key] for row in own] for key in ("tokens", name))
                axes.plot(tokens, values, color=colour, marker="o", markersize=3)
                text = f"{size}: {compact(own[0]['text'])}" if axes is panels[0] else size
                ends.append((text, values[-1], colour))
                if baseline:
                    level = [row[baseline] for row in own]
                    shade = MUTED if baseline.endswith("chance") else colour
                    axes.plot(tokens, level, color=shade, linestyle=(0, (1, 2)), linewidth=1)
            if baseline:
                axes.set_ylim(bottom=0)
                if baseline.endswith("chance"):
                    ends.append(("chance", max(row[baseline] for row in rows), MUTED))
            axes.set(title=title)
            label_lines(axes, ends)
        token_axis(panels[-1], max(row["tokens"] for row in rows))
        panels[-1].set_xlabel("training tokens")
    return drawn
