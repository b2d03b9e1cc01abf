"""What each layer knows, on a page: probes beside their controls, a plane of words, a mix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bertsmith.report.page import FigureSection, Heading, Points, Section, Table, Text
from bertsmith.report.style import (
    MUTED,
    RULE,
    SERIES,
    label_lines,
    new_figure,
    styled,
    whole_numbers,
)

Data = Mapping[str, Any]
"""What `bertsmith analyze layers` writes as layers.json."""
SCORES = (
    *("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "control"),
    *("selectivity", "selectivity_low", "selectivity_high"),
)
ABREAST = 2
"""Panels of a figure."""
OTHERS = "others"
"""What the tags beyond the colours are called."""


def columns(data: Data) -> tuple[str, ...]:
    """Of the table."""
    weight = ("weight",) if data["mix"] else ()
    return ("task", "layer", *SCORES, "majority", *weight) if data["tasks"] else ("layer", *weight)


def rows(data: Data) -> list[list[str | float]]:
    """A row for each task and layer; of a mix, each layer's weight stands beside or alone."""
    weights = [[weight] for weight in data["mix"]["weights"]] if data["mix"] else None
    if weights and not data["tasks"]:
        return [[layer, *weight] for layer, weight in enumerate(weights)]
    return [
        [
            task["task"],
            layer,
            *score.values(),
            task["majority"],
            *(weights[layer] if weights else []),
        ]
        for task in data["tasks"]
        for layer, score in enumerate(task["layers"])
    ]


def figure(data: Data) -> Figure:
    """A panel a task: accuracy by layer with its interval, the control, the majority class."""
    if not data["tasks"]:
        return mix_figure(data["mix"])
    with styled():
        drawn, panels = _panels(len(data["tasks"]), 2.7, 3.3)
        for axes, task in zip(panels, data["tasks"], strict=True):
            _draw_task(axes, task)
        for axes in panels[::ABREAST]:
            axes.set_ylabel("accuracy")
    return drawn


def _panels(count: int, height: float, width: float) -> tuple[Figure, list[Axes]]:
    """So many, each of `height` x `width` inches, ABREAST in a row: more could not be read in the
    page, where a figure is no wider than its text."""
    columns = min(count, ABREAST)
    rows = -(-count // columns)
    drawn = new_figure(height * rows, max(4.4, width * columns))
    every = list(drawn.subplots(rows, columns, squeeze=False).flat)
    for axes in every[count:]:
        axes.remove()
    return drawn, every[:count]


def _draw_task(axes: Axes, task: Data) -> None:
    scores, layers = task["layers"], range(len(task["layers"]))
    values = {name: [score[name] for score in scores] for name in scores[0]}
    axes.fill_between(
        layers, values["low"], values["high"], color=SERIES[0], alpha=0.2, linewidth=0
    )
    axes.plot(layers, values["accuracy"], color=SERIES[0], marker="o", markersize=3.5)
    axes.plot(layers, values["control"], color=SERIES[1], marker="o", markersize=3.5)
    axes.axhline(task["majority"], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlabel="layer", ylim=(0, 1), xlim=(-0.15, len(scores) - 0.85))
    axes.set_title(task["task"])
    whole_numbers(axes.xaxis, 6)
    label_lines(
        axes,
        [
            ("probe", values["accuracy"][-1], SERIES[0]),
            ("control", values["control"][-1], SERIES[1]),
            ("majority", task["majority"], MUTED),
        ],
    )


def colours(plane: Data) -> dict[str, str]:
    """A colour for each of the most frequent tags, and one for the others, where there are any."""
    counts = Counter(point["tag"] for point in plane["points"])
    frequent = counts.most_common(len(SERIES))
    chosen = {tag: colour for (tag, _), colour in zip(frequent, SERIES, strict=False)}
    return {**chosen, OTHERS: MUTED} if len(counts) > len(chosen) else chosen


def plane_figure(plane: Data) -> Figure:
    """The words in the plane of most variance of four layers, coloured by tag."""
    last = len(plane["places"]) - 1
    layers = sorted({0, round(last / 3), round(2 * last / 3), last})
    known = colours(plane)
    tags = np.array(
        [point["tag"] if point["tag"] in known else OTHERS for point in plane["points"]]
    )
    with styled():
        drawn, panels = _panels(len(layers), 2.8, 2.8)
        for axes, layer in zip(panels, layers, strict=True):
            places, shares = np.array(plane["places"][layer]), plane["shares"][layer]
            for tag in sorted(known, key=lambda name: name != OTHERS):  # these below all
                own = places[tags == tag]
                faint = 0.35 if tag == OTHERS else 0.75
                axes.plot(
                    own[:, 0],
                    own[:, 1],
                    ".",
                    color=known[tag],
                    alpha=faint,
                    markersize=4,
                    label=tag,
                )
            axes.set_title(f"layer {layer}: {100 * sum(shares):.0f} % of variance", fontsize=9)
            axes.grid(False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color(RULE)
        drawn.legend(  # named, as matplotlib leaves out labels that begin with _, a tag of its own
            handles=panels[0].get_lines(),
            loc="outside lower center",
            ncols=3,
            frameon=False,
            markerscale=3,
        )
    return drawn


def mix_figure(mix: Data) -> Figure:
    """A bar a layer: its weight in the mix."""
    weights = mix["weights"]
    with styled():
        drawn = new_figure(2.4)
        axes = drawn.add_subplot()
        axes.bar(range(len(weights)), weights, color=SERIES[0], width=0.7)
        axes.axhline(1 / len(weights), color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlabel="layer (0: the embeddings)", ylabel="weight")
        whole_numbers(axes.xaxis, 13)
    return drawn


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    parts: list[Section] = [Heading("What each layer knows")]
    if data["tasks"]:
        parts += _probes(data)
    if data["plane"]:
        parts += _plane(data["plane"])
    if data["mix"]:
        parts += _mix(data["mix"])
    return parts


def left_out(sentences: int) -> str:
    """What is said of test sentences that a probe could know by heart."""
    return f"left out of the test, as the training file has them, too: {sentences:,} sentences"


def _probes(data: Data) -> list[Section]:
    lead = (
        "A linear probe (logistic regression) on frozen vectors: of a word its first piece, of a "
        "sentence the mean of its tokens. Layer 0 is the embeddings' output. In the control task "
        "each word, or each first word of a sentence, has a label drawn at random "
        f"(draws: {data['draws']}); selectivity is accuracy less the control's, and a probe with "
        "little of it may have learnt the words by heart. Intervals (95 %) are over test "
        "sentences, not over models."
    )
    splits = [
        f"{task['task']}: {task['split']}; {task['train']:,} to learn from, {task['test']:,} to be "
        f"told, {len(task['classes'])} classes."
        + (f" {left_out(task['left_out']).capitalize()}." if task.get("left_out") else "")
        for task in data["tasks"]
    ]
    best = []
    for task in data["tasks"]:
        layer = max(range(len(task["layers"])), key=lambda at: task["layers"][at]["accuracy"])
        score = task["layers"][layer]
        interval = f"{score['low']:.3f} to {score['high']:.3f}"
        own = [score[name] for name in ("accuracy", "control", "selectivity")]
        best.append([task["task"], layer, own[0], interval, *own[1:], task["majority"]])
    names = ("task", "best layer", "accuracy", "95 %", "control", "selectivity", "majority class")
    return [
        Text(lead),
        *map(Text, splits),
        Table(names, best, "where each is told best; layers.tsv has all layers"),
        FigureSection(figure(data), "Bands are the intervals.", "probe accuracy by layer"),
    ]


def _plane(plane: Data) -> list[Section]:
    known = colours(plane)
    return [
        Text(
            f"{len(plane['points'])} test words in the two directions in which their vectors vary "
            "most, layer by layer. A plane holds a small part of what a layer knows: tags that lie "
            "over each other here may still be told apart by a probe."
        ),
        Points(
            places=plane["places"],
            labels=[
                f"{point['word']} · {point['tag']} · {point['in']}" for point in plane["points"]
            ],
            groups=[point["tag"] if point["tag"] in known else OTHERS for point in plane["points"]],
            colours=known,
            notes=[f"{100 * sum(shares):.1f} % of variance" for shares in plane["shares"]],
            caption=f"Words by {plane['task']}",
        ),
        FigureSection(plane_figure(plane), "Four of the layers.", "words by tag in a plane"),
    ]


def _mix(mix: Data) -> list[Section]:
    centre = sum(layer * weight for layer, weight in enumerate(mix["weights"]))
    return [
        Text(
            f"The tagger of {mix['labels']} labels in {mix['tagger']} reads a weighted mean of the "
            f"layers (ELMo, section 3.2), times {mix['gamma']:.2f}. The weights' centre of gravity "
            f"(Tenney et al. 2019, section 3) is layer {centre:.2f}; alike, it would be "
            f"{(len(mix['weights']) - 1) / 2:.1f}. Layers differ in the length of their vectors, "
            "so that a small weight may still count for much."
        ),
        FigureSection(mix_figure(mix), "Dashes: all layers alike.", "weights of the layers"),
    ]
