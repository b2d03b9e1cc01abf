"""Plain numbers in, a matplotlib Figure out.

`records` are the lines of a run's log.jsonl as dicts; those of kind "step" are training,
those of kind "eval" are held out. Values that are missing or not finite are left out.
Losses are in nats per predicted token or pair, x is training tokens unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from bertsmith.report.images import save
from bertsmith.report.matrices import confusion_matrix, similarity_matrix
from bertsmith.report.numbers import compact, scientific
from bertsmith.report.style import (
    MUTED,
    SERIES,
    label_lines,
    new_figure,
    say_no_data,
    styled,
    token_axis,
    whole_numbers,
)

__all__ = [
    "accuracy_curve",
    "confusion_matrix",
    "epoch_curves",
    "learning_curves",
    "learning_rate_curve",
    "loss_curve",
    "save",
    "similarity_matrix",
    "throughput_curve",
]

Floats = npt.NDArray[np.float64]
Record = Mapping[str, Any]

TASK_NAMES = {
    "mlm": "masked LM",
    "nsp": "next sentence",
    "sop": "sentence order",
    "rtd": "replaced token",
    "lm": "language model",
    "ns": "negative sampling",
    "decoder": "decoder",
}
"""Prefix of a loss or accuracy in the log -> its name in a figure."""

MOST_POINTS = 500  # of one line; more are not visible


def series(records: Iterable[Record], kind: str, x: str, y: str) -> tuple[Floats, Floats]:
    """The finite (x, y) of the records of one kind, in order of x."""
    pairs = [
        (float(record[x]), float(record[y]))
        for record in records
        if record.get("kind") == kind and _is_number(record.get(x)) and _is_number(record.get(y))
    ]
    values = np.array(sorted(pairs), dtype=float).reshape(-1, 2)
    return values[:, 0], values[:, 1]


def task_keys(records: Iterable[Record], suffix: str) -> list[str]:
    """Keys such as `mlm_loss` for the suffix `_loss`, masked LM first, then as met."""
    keys = dict.fromkeys(key for record in records for key in record if key.endswith(suffix))
    return sorted(keys, key=lambda key: key != f"mlm{suffix}")


def smooth(values: Floats) -> Floats:
    """Centred Gaussian mean whose width is a hundredth of the series."""
    width = len(values) / 100
    if width < 0.5:
        return values
    reach = int(np.ceil(3 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(values, reach)
    weight = np.pad(np.ones_like(values), reach)
    mean: Floats = np.convolve(padded, kernel, "valid") / np.convolve(weight, kernel, "valid")
    return mean


def loss_curve(records: Sequence[Record], unigram_entropy: float | None) -> Figure:
    """Training and held-out loss over tokens, a panel for each task of the recipe.

    `unigram_entropy` (nats) is the masked LM's loss of guessing by word frequency alone; a
    model below the dashed line has learned from context.
    """
    keys = task_keys(records, "_loss") or ["loss"]
    references = {"mlm_loss": (unigram_entropy, "unigram\nentropy")}
    return _task_panels(records, keys, "_loss", "loss (nats)", references)


def accuracy_curve(records: Sequence[Record]) -> Figure:
    """Training and held-out accuracy over tokens, a panel for each task of the recipe."""
    keys = task_keys(records, "_accuracy") or ["accuracy"]
    references = dict.fromkeys(("nsp_accuracy", "sop_accuracy"), (0.5, "chance"))
    figure = _task_panels(records, keys, "_accuracy", "accuracy", references)
    for axes in figure.axes:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    return figure


def throughput_curve(records: Sequence[Record]) -> Figure:
    """Training tokens per second over minutes of training."""
    with styled():
        figure = new_figure(2.4)
        axes = figure.add_subplot()
        seconds, speed = series(records, "step", "elapsed_s", "tokens_per_second")
        axes.set(xlabel="minutes of training", ylabel="tokens a second")
        if len(speed) == 0:
            say_no_data(axes)
            return figure
        _raw_and_smooth(axes, seconds / 60, speed, SERIES[0])
        axes.set_xlim(0, max(seconds[-1] / 60, 1e-9))
        axes.set_ylim(0, 1.15 * max(np.percentile(speed, 99), 1e-9))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
        median = float(np.median(speed))
        label_lines(axes, [(f"median\n{compact(median)}/s", float(smooth(speed)[-1]), SERIES[0])])
    return figure


def learning_rate_curve(records: Sequence[Record]) -> Figure:
    """Learning rate over tokens, with its peak."""
    with styled():
        figure = new_figure(2.4)
        axes = figure.add_subplot()
        tokens, rate = series(records, "step", "tokens", "learning_rate")
        axes.set(xlabel="training tokens", ylabel="learning rate")
        if len(rate) == 0:
            say_no_data(axes)
            return figure
        x, y = _thin(tokens, rate)
        axes.plot(x, y, color=SERIES[0], marker="o" if len(x) == 1 else "")
        token_axis(axes, tokens[-1])
        axes.set_ylim(0, 1.2 * max(rate.max(), 1e-12))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: scientific(value)))
        peak = int(rate.argmax())
        axes.annotate(
            f"peak {scientific(float(rate[peak]))}",
            xy=(float(tokens[peak]), float(rate[peak])),
            xytext=(5, 5),
            textcoords="offset points",
            ha="left" if tokens[peak] < 0.7 * tokens[-1] else "right",
            color=SERIES[0],
        )
    return figure


def epoch_curves(
    histories: Mapping[str, Sequence[Sequence[Record]]], key: str, name: str = ""
) -> Figure:
    """One value of a fine-tuning history over epochs: a line a seed, a colour a model.

    `histories`: model name -> for every seed, the records of its epochs; `name` is what the
    value `key` is called.
    """
    with styled():
        figure = new_figure(2.6)
        axes = figure.add_subplot()
        axes.set(xlabel="epoch", ylabel=name or key)
        ends = []
        for (name, runs), colour in zip(histories.items(), _cycle(SERIES), strict=False):
            last = []
            for run in runs:
                records = [{**record, "kind": "epoch"} for record in run]
                epochs, values = series(records, "epoch", "epoch", key)
                if len(values):
                    axes.plot(epochs, values, color=colour, marker="o", markersize=3.5, alpha=0.7)
                    last.append(float(values[-1]))
            if last:
                ends.append((name, float(np.median(last)), colour))
        whole_numbers(axes.xaxis)
        if ends:
            label_lines(axes, ends)
        else:
            say_no_data(axes)
    return figure


def learning_curves(
    counts: Sequence[int], scores: Mapping[str, Sequence[Sequence[float]]], metric: str
) -> Figure:
    """Score against the number of labels (log scale): median, range over seeds, every seed.

    `scores`: model name -> for every entry of `counts`, the score of each seed.
    """
    with styled():
        figure = new_figure(3.4)
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set(xlabel="labelled examples", ylabel=metric)
        ends = []
        for (name, per_count), colour in zip(scores.items(), _cycle(SERIES), strict=False):
            kept = [
                (count, [score for score in seeds if np.isfinite(score)])
                for count, seeds in sorted(zip(counts, per_count, strict=True))
            ]
            kept = [(count, seeds) for count, seeds in kept if seeds]
            if not kept:
                continue
            x = [count for count, _ in kept]
            median = [float(np.median(seeds)) for _, seeds in kept]
            low, high = [min(seeds) for _, seeds in kept], [max(seeds) for _, seeds in kept]
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(x, median, color=colour, marker="o" if len(x) == 1 else "")
            for count, seeds in kept:
                axes.plot([count] * len(seeds), seeds, "o", color=colour, markersize=4, alpha=0.6)
            ends.append((f"{name} {median[-1]:.2f}", median[-1], colour))
        if not ends:
            say_no_data(axes)
            return figure
        ticks = sorted(set(counts))
        axes.set_xlim(ticks[0] / 1.12, ticks[-1] * 1.12)
        axes.xaxis.set_major_locator(FixedLocator(_apart_on_log(ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        label_lines(axes, ends)
    return figure


def _task_panels(
    records: Sequence[Record],
    keys: Sequence[str],
    suffix: str,
    unit: str,
    references: Mapping[str, tuple[float | None, str]],
) -> Figure:
    with styled():
        figure = new_figure(1.0 + 2.1 * len(keys))
        panels = figure.subplots(len(keys), 1, sharex=True, squeeze=False)[:, 0]
        last = max((float(record.get("tokens", 0)) for record in records), default=0)
        for axes, key in zip(panels, keys, strict=True):
            prefix = key.removesuffix(suffix)
            axes.set(title=TASK_NAMES.get(prefix, prefix.replace("_", " ")), ylabel=unit)
            _train_and_heldout(axes, records, key, *references.get(key, (None, "")))
            _mark_phases(axes, records)
        token_axis(panels[-1], last)
        panels[-1].set_xlabel("training tokens")
    return figure


def _train_and_heldout(
    axes: Axes, records: Sequence[Record], key: str, reference: float | None, name: str
) -> None:
    ends = []
    tokens, values = series(records, "step", "tokens", key)
    if len(values):
        _raw_and_smooth(axes, tokens, values, SERIES[0])
        ends.append(("training", float(smooth(values)[-1]), SERIES[0]))
    tokens, values = series(records, "eval", "tokens", key)
    if len(values):
        axes.plot(
            tokens, values, color=SERIES[1], marker="o", markersize=4, linewidth=1.2, clip_on=False
        )
        ends.append(("held out", float(values[-1]), SERIES[1]))
    if reference is not None:
        axes.axhline(reference, color=MUTED, linestyle=(0, (5, 3)), linewidth=1.2)
        ends.append((f"{name} {reference:.2f}".replace(" 0.50", ""), reference, MUTED))
    if len(ends) > (reference is not None):
        label_lines(axes, ends)
    else:
        say_no_data(axes)


def _mark_phases(axes: Axes, records: Sequence[Record]) -> None:
    """A line where segments become longer or shorter; losses on both sides do not compare."""
    for record in records:
        if record["kind"] == "phase":
            axes.axvline(record["tokens"], color=MUTED, linewidth=0.8)
            axes.annotate(
                f"length {record['max_length']}",
                xy=(record["tokens"], 1),
                xycoords=("data", "axes fraction"),
                xytext=(-3, -2),
                textcoords="offset points",
                ha="right",
                va="top",
                color=MUTED,
                fontsize=8,
            )


def _raw_and_smooth(axes: Axes, x: Floats, y: Floats, colour: str) -> None:
    raw_x, raw_y = _thin(x, y)
    axes.plot(raw_x, raw_y, color=colour, alpha=0.25, linewidth=0.8)
    smooth_x, smooth_y = _thin(x, smooth(y))
    axes.plot(smooth_x, smooth_y, color=colour, marker="o" if len(x) == 1 else "")


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) <= MOST_POINTS:
        return x, y
    kept = np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int)
    return x[kept], y[kept]


def _apart_on_log(ticks: Sequence[int]) -> list[int]:
    """The ticks whose labels do not touch, the ends first."""
    span = np.log(max(ticks[-1] / ticks[0], 1.0001))
    kept = [ticks[-1]]
    for tick in [ticks[0], *ticks[1:-1]]:
        if all(abs(np.log(tick / other)) / span > 0.11 for other in kept):
            kept.append(tick)
    return sorted(kept)


def _cycle(colours: Sequence[str]) -> Iterable[str]:
    while True:
        yield from colours


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
