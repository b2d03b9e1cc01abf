"""What a search over learning rate, epochs and batch size found: table, figure, page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bertsmith.files import write_text_atomically
from bertsmith.markdown import markdown_table
from bertsmith.report.finetune import finetune_sections
from bertsmith.report.images import save
from bertsmith.report.numbers import duration, scientific
from bertsmith.report.page import Cell, FigureSection, Heading, Note, Table, Text, write_report
from bertsmith.report.scores import read_scores
from bertsmith.report.style import SERIES, label_lines, new_figure, styled
from bertsmith.tasks.metrics import METRIC_NAMES

Found = Mapping[str, Any]
"""search.json."""


def search_table(found: Found) -> Table:
    """A row a point, the best first."""
    names = [METRIC_NAMES[metric] for metric in found["metrics"]]
    rows: list[list[Cell]] = []
    for point in found["points"]:
        row: list[Cell] = [f"{point['lr']:g}", point["epochs"], point["batch_size"]]
        if "diverged" in point:
            rows.append([*row, *["diverged"] * len(names), "all", ""])
            continue
        spreads = [point["scores"][metric] for metric in found["metrics"]]
        row += [f"{s['median']:.3f} ({s['min']:.3f} to {s['max']:.3f})" for s in spreads]
        rows.append([*row, point["failed"], duration(point["seconds"])])
    columns = ("rate", "epochs", "batch", *names, "failed", "time")
    seeds = "one seed" if found["seeds"] == 1 else f"median over {found['seeds']} seeds (range)"
    return Table(columns, rows, f"Every point, the best first; {seeds}.")


def search_figure(found: Found) -> Figure:
    """The median merit over the rate: a panel a batch size, a line a number of epochs; a dot a
    seed."""
    points = [point for point in found["points"] if "merit" in point]
    batches = sorted({point["batch_size"] for point in points})
    epochs = sorted({point["epochs"] for point in points})
    with styled():
        figure = new_figure(0.8 + 2.2 * len(batches))
        panels = figure.subplots(len(batches), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, batch in zip(panels, batches, strict=True):
            axes.set(title=f"batch of {batch}", ylabel=_chosen_by(found), xscale="log")
            ends = []
            for number, count in enumerate(epochs):
                colour = SERIES[number % len(SERIES)]
                own = sorted(
                    (
                        (point["lr"], point["merit"], point["merits"])
                        for point in points
                        if (point["batch_size"], point["epochs"]) == (batch, count)
                    ),
                )
                if not own:
                    continue
                rates, medians, seeds = zip(*own, strict=True)
                axes.plot(rates, medians, color=colour, marker="o")
                for rate, merits in zip(rates, seeds, strict=True):
                    axes.plot([rate] * len(merits), merits, ".", color=colour, alpha=0.5)
                plural = "s" if count > 1 else ""
                ends.append((f"{count} epoch{plural}", medians[-1], colour))
            label_lines(axes, ends)
        ticks = sorted({point["lr"] for point in points})
        panels[-1].set_xlabel("peak learning rate")
        panels[-1].set_xlim(ticks[0] / 1.2, ticks[-1] * 1.2)
        panels[-1].xaxis.set_major_locator(FixedLocator(ticks))
        panels[-1].xaxis.set_minor_locator(NullLocator())
        panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: scientific(value)))
    return figure


def write_search_report(folder: Path, found: Found) -> None:
    """report.html, search.png, search.svg and README.md, beside the best point's scores.json."""
    figure, table = search_figure(found), search_table(found)
    save(figure, folder / "search")
    best = found["points"][0]
    summary, caveat = _summary(found), _caveat(found)
    scores = read_scores(folder / "scores.json")
    drawn = FigureSection(
        figure,
        "Each point: the median over seeds on the line, a dot a seed.",
        f"Line chart of {_chosen_by(found)} over learning rates; {summary}",
    )
    sections = [
        *(table, drawn, Note(caveat), Heading("The best point")),
        Text(f"Its run folder is {best['folder']}, and its best seed's model is in model."),
        *finetune_sections(scores, folder / best["folder"]),
    ]
    write_report(folder / "report.html", f"{found['task']}, searched", summary, sections)
    write_text_atomically(folder / "README.md", _readme(found, table))


def _chosen_by(found: Found) -> str:
    return " and ".join(METRIC_NAMES[metric] for metric in found["chosen_by"])


def _summary(found: Found) -> str:
    best = found["points"][0]
    return (
        f"{_chosen_by(found)} {best['merit']:.3f} with a rate of {best['lr']:g}, "
        f"{best['epochs']} epochs and a batch of {best['batch_size']}: the best of "
        f"{len(found['points'])} points."
    )


def _caveat(found: Found) -> str:
    count, dev = len(found["points"]), found["dev_examples"]
    return (
        f"The best of {count} is chosen by the same {dev:,} dev {found['unit']} that it is scored "
        "on, so that its score is somewhat too high: score it on a test set, with bertsmith "
        "evaluate."
    )


def _readme(found: Found, table: Table) -> str:
    return f"""# A search, {found["task"]}

{_summary(found)} {_caveat(found)}

{markdown_table(table.columns, table.rows)}

- `model/` the best point's best seed, in the Hugging Face format; its `scores.json`,
  `errors.tsv` and what else its task leaves
- `report.html`, `search.png` the same to look at; `search.json` all of it
- `points/` each point's run folder

The same command again goes on where it was interrupted; other values of `--search` add points.
"""
