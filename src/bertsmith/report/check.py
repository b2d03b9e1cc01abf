"""Labelled data before training, as tables for the terminal and for a page.

`sets` are what `bertsmith check data --out` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bertsmith.report.numbers import percent
from bertsmith.report.page import (
    Cell,
    FigureSection,
    Heading,
    Note,
    Section,
    Table,
    Text,
    write_report,
)
from bertsmith.report.style import SERIES, new_figure, styled

Data = Mapping[str, Any]
MOST_LABELS = 12
"""In a cell, or a figure."""
MOST_PLACES = 5
"""Of a finding on the terminal; the page has ten times as many, the JSON all."""
LONGEST_NOTE = 24
"""Characters of a label beside its line."""


def write_check_report(path: Path, sets: Sequence[Data]) -> Path:
    """Write the page at `path`. Returns `path`."""
    sections: list[Section] = []
    for one in sets:
        sections.append(Heading(one["task"] or "files"))
        sections += [Note(error) for error in one["errors"]]
        if one["files"]:
            sections += [counts_table([one]), findings_table([one], 10 * MOST_PLACES)]
            sections += list(_figures(one["files"]))
    return write_report(path, "Labelled data", check_summary(sets), sections or [Text("nothing")])


def check_summary(sets: Sequence[Data]) -> str:
    """One sentence: how much was read, and how many things are to be looked at."""
    files = [file for one in sets for file in one["files"]]
    errors = sum(len(one["errors"]) for one in sets)
    warnings = sum(found["level"] == "warning" for file in files for found in file["findings"])
    rows = sum(file["rows"] for file in files)
    return f"{rows:,} rows of {len(files)} files: {errors} errors, {warnings} warnings."


def counts_table(sets: Sequence[Data]) -> Table:
    """A row a file: what is in it."""
    columns = ["task", "file", "rows", "labels"]
    measured = any(file["tokens"] for one in sets for file in one["files"])
    if measured:
        columns += ["tokens: median", "95 %", "longest", "unknown"]
    rows: list[list[Cell]] = []
    for one in sets:
        for file in one["files"]:
            row: list[Cell] = [one["task"], _name(file), file["rows"], _labels(file)]
            if measured and file["tokens"]:
                tokens = file["tokens"]
                row += [tokens["median"], tokens["most"], tokens["longest"]]
                row.append(f"{100 * tokens['unknown']:.2f} %")
            rows.append(row + [""] * (len(columns) - len(row)))
    return Table(columns, rows, "What is there.")


def findings_table(sets: Sequence[Data], most: int = MOST_PLACES) -> Table:
    """A row for each thing that was found; `most` places each."""
    name = _name if len(sets) == 1 else _long_name
    rows: list[list[Cell]] = [
        [name(file), found["level"], found["count"], found["what"], _places(found, most)]
        for one in sets
        for file in one["files"]
        for found in file["findings"]
    ]
    columns = ("file", "", "how many", "what", "where: lines, or ids")
    return Table(columns, rows, "What is to be looked at." if rows else "Nothing was found.")


def _name(file: Data) -> str:
    return Path(file["file"]).name


def _long_name(file: Data) -> str:
    """With its folder, where files of several tasks have one name."""
    return "/".join(Path(file["file"]).parts[-2:])


def _labels(file: Data) -> str:
    if file["numbers"]:
        return ", ".join(f"{name} {value:g}" for name, value in file["numbers"].items())
    labels, total = file["labels"], sum(file["labels"].values())
    shown = [
        f"{_shortened(label)} {percent(count / total)}"
        for label, count in list(labels.items())[:MOST_LABELS]
    ]
    more = [f"and {len(labels) - MOST_LABELS:,} more"] if len(labels) > MOST_LABELS else []
    return ", ".join([*shown, *more])


def _places(found: Data, most: int) -> str:
    """3, 5; or, of those that belong together, 3 = 17; with what stands there in brackets."""
    groups = found["places"]
    shown = [" = ".join(map(_place, group[:most])) for group in groups[:most]]
    more = f" ... {len(groups) - most:,} more" if len(groups) > most else ""
    apart = "; " if any(len(group) > 1 for group in groups) else ", "
    return apart.join(shown) + more


def _place(place: Data) -> str:
    note = _shortened(place["note"])
    return f"{place['at']} ({note})" if note else str(place["at"])


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_NOTE else text[: LONGEST_NOTE - 1] + "…"


def _figures(files: Sequence[Data]) -> Iterator[FigureSection]:
    labels = list(dict.fromkeys(label for file in files for label in file["labels"]))
    if 1 < len(labels) <= 4 * MOST_LABELS:
        yield FigureSection(_balance(files, labels), "How often each label is there.", "balance")
    if any(file["tokens"] for file in files):
        yield FigureSection(_lengths(files), "Lengths in tokens, and the limit.", "lengths")


def _balance(files: Sequence[Data], labels: Sequence[str]) -> Figure:
    """A dot a label and file: the label's share."""
    shown = [file for file in files if file["labels"]][: len(SERIES)]
    with styled():
        drawn = new_figure(0.8 + 0.22 * len(labels))
        axes = drawn.add_subplot()
        for file, colour in zip(shown, SERIES, strict=False):
            total = sum(file["labels"].values())
            shares = [100 * file["labels"].get(label, 0) / total for label in labels]
            axes.plot(shares, range(len(labels)), "o", color=colour, label=_name(file))
        axes.legend(handles=axes.get_lines(), frameon=False)
        axes.set_yticks(range(len(labels)), [_shortened(label) for label in labels])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("share, %")
    return drawn


def _lengths(files: Sequence[Data]) -> Figure:
    """A line a file: the share of its rows by length."""
    shown = [file for file in files if file["tokens"]][: len(SERIES)]
    sizes = [2**power for power in range(max(len(f["tokens"]["histogram"]) for f in shown))]
    with styled():
        drawn = new_figure(2.6)
        axes = drawn.add_subplot()
        for file, colour in zip(shown, SERIES, strict=False):
            bins = file["tokens"]["histogram"]
            shares = [100 * count / sum(bins) for count in bins]
            axes.plot(sizes[: len(bins)], shares, "o-", color=colour, label=_name(file))
        axes.legend(handles=axes.get_lines(), frameon=False)
        axes.axvline(shown[0]["tokens"]["max_length"], color="0.5", linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xlabel("tokens, up to")
        axes.set_ylabel("share of rows, %")
    return drawn
