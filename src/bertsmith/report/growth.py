"""What the models of one run knew on its way, on a page: a panel for each thing asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bertsmith.report.page import FigureSection, Heading, Section, Table, Text
from bertsmith.report.style import MUTED, SERIES, WIDTH, label_lines, new_figure, styled, token_axis

Data = Mapping[str, Any]
"""What `bertsmith analyze growth` writes as growth.json."""


@dataclass(frozen=True)
class Panel:
    """Lines by their names in the data, and what each is called; the first may have a band."""

    title: str
    meaning: str
    lines: Mapping[str, str]
    chance: tuple[str | float, str] | None = None  # a name or a level, and what it is called
    in_percent: bool = False

    @property
    def first(self) -> str:
        """The name of the line without which the panel is not drawn."""
        return next(iter(self.lines))


PANELS = (
    Panel(
        "senses apart",
        "a word's mean cosine within a sense less that between senses: of all words the median, "
        "shaded the middle half",
        {"senses": "median word"},
        (0.0, "none"),
    ),
    Panel(
        "neighbours in one head",
        "the most attention that any head gives to the token before, and to the one after",
        {"previous": "before", "next": "after"},
        ("previous_uniform", "alike\nto all"),
        in_percent=True,
    ),
    Panel(
        "pronouns in one head",
        "how often the head that is best on half of the sentences looks rather at what a pronoun "
        "stands for, in the other half",
        {"pronouns": "best head"},
        (0.5, "guessing"),
        in_percent=True,
    ),
    Panel(
        "parts of speech",
        "accuracy of a linear probe for tags, in the best layer and in the embeddings",
        {"tags": "best layer", "tags_embeddings": "embeddings"},
        ("tags_majority", "majority"),
        in_percent=True,
    ),
    Panel(
        "likeness of sentences",
        "Spearman's correlation of cosines with people's ratings, by the mean of the last layer, "
        "the same whitened, and the mean of the embeddings, whitened",
        {
            "likeness": "last layer",
            "likeness_whitened": "whitened",
            "likeness_static": "embeddings,\nwhitened",
        },
    ),
    Panel(
        "the cone",
        "mean cosine of different tokens in different sentences",
        {"cone": "last layer", "cone_embeddings": "embeddings"},
    ),
    Panel(
        "grammar",
        "how often the acceptable one of two neighbours in CoLA is taken for the likelier",
        {"grammar": "right"},
        (0.5, "guessing"),
        in_percent=True,
    ),
)


def figure(data: Data) -> Figure:
    """The loss first, then a panel for all that was asked, in two columns."""
    panels = _asked(data)
    rows = (len(panels) + 2) // 2
    last = max([one["tokens"] for one in (*data["models"], *data["loss"])])
    with styled():
        drawn = new_figure(2.1 * rows, width=2 * WIDTH)
        every = list(drawn.subplots(rows, 2, squeeze=False).flat)
        _loss(every[0], data)
        for axes, panel in zip(every[1:], panels, strict=False):
            _draw(axes, data, panel)
        for axes in every[1 + len(panels) :]:
            axes.remove()
        for axes in every[: 1 + len(panels)]:
            token_axis(axes, last)
            axes.set_xlabel("training tokens")
    return drawn


def _asked(data: Data) -> list[Panel]:
    """Those that every model has answers for."""
    models = data["models"]
    return [one for one in PANELS if all(model.get(one.first) is not None for model in models)]


def _loss(axes: Axes, data: Data) -> None:
    tokens, losses = ([one[name] for one in data["loss"]] for name in ("tokens", "loss"))
    axes.set(title="held-out loss, nats a token")
    if not losses:
        return
    axes.plot(tokens, losses, color=SERIES[0])
    ends = [("held out", losses[-1], SERIES[0])]
    if data["unigram_entropy"] is not None:
        axes.axhline(data["unigram_entropy"], color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
        ends.append(("unigram\nentropy", data["unigram_entropy"], MUTED))
    label_lines(axes, ends)


def _draw(axes: Axes, data: Data, panel: Panel) -> None:
    models = data["models"]
    tokens = [model["tokens"] for model in models]
    axes.set(title=panel.title)
    ends = []
    for (name, label), colour in zip(panel.lines.items(), SERIES, strict=False):
        values = [model.get(name) for model in models]
        if None in values:
            continue
        if f"{name}_low" in models[0]:
            low, high = ([model[f"{name}_{end}"] for model in models] for end in ("low", "high"))
            axes.fill_between(tokens, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(tokens, values, color=colour, marker="o", markersize=3)
        ends.append((label, values[-1], colour))
    if panel.chance:
        level, label = panel.chance
        height = models[-1][level] if isinstance(level, str) else level
        axes.axhline(height, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
        ends.append((label, height, MUTED))
    if panel.in_percent:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))  # whole percents
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    label_lines(axes, ends)


def columns(data: Data) -> tuple[str, ...]:
    """Tokens, and all that was asked."""
    names = dict.fromkeys(name for model in data["models"] for name in model)
    return tuple(name for name in names if name != "name")


def rows(data: Data) -> list[list[Any]]:
    """A row a model, of `columns`."""
    names = columns(data)
    return [
        [float("nan") if model.get(name) is None else model[name] for name in names]
        for model in data["models"]
    ]


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    panels, models = _asked(data), data["models"]
    return [
        Heading("How it came to know"),
        Text(
            f"{len(models):,} models of one {data['recipe']} run were asked the same. Shaded are "
            "95 % intervals over sentences or words where nothing else is said; all is of one run, "
            "and says nothing of another seed."
        ),
        FigureSection(
            figure(data),
            "Each model's own page is in its folder, tokens-N/report.html.",
            "a panel for the loss and for each thing asked, over the training tokens",
        ),
        Table(
            ("tokens", *(panel.title for panel in panels)),
            [[model["tokens"], *(model[panel.first] for panel in panels)] for model in models],
            "the first line of each panel, a model a row",
        ),
        Table(
            ("panel", "what it is"),
            [[panel.title, panel.meaning] for panel in panels],
            "what was asked",
        ),
    ]
