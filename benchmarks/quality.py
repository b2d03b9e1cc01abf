"""The figure that matters: what the same minutes on the same text are worth on GLUE.

    python -m benchmarks.quality CORPUS --glue DIR --out DIR [--minutes N] [--only NAME ...]

Masked-LM training as a user of transformers writes it (benchmarks/their_pretraining.py), and our
recipes `bert`, `electra` and `modern`, all L4 H256 on one corpus, each for the same minutes. First,
with the machine to itself, each in turn trains for RATE_MINUTES, ROUNDS times: the median rate says
how many tokens the minutes hold (DIR/rates.json). Then each trains on that many, which no longer
depends on what else the machine does. Then the same fine-tuning of each, ours, from the folders
they left: SST-2 (one epoch), CoLA, MRPC, STS-B, RTE (three), dev sets, three seeds. Prints the
table, writes DIR/quality.json, the loss-per-minute curves DIR/quality.png and DIR/scores.png. What
is finished is not done again. `--rates` stops after the first of the three. `--quick` is the same
thing for half a minute, on RTE alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.glue_scores import cells, finetune, mean, require_tasks, run
from benchmarks.glue_scores import draw as draw_scores
from benchmarks.heldout import HeldOut
from benchmarks.mistakes import told_in_a_line
from benchmarks.timing import ratio
from bertsmith.errors import ModelError
from bertsmith.markdown import markdown_table
from bertsmith.report.figures import smooth
from bertsmith.report.images import save
from bertsmith.report.log import read_run
from bertsmith.report.style import SERIES, label_lines, new_figure, styled
from bertsmith.text.corpus import Corpus

THEIRS = {"transformers": [], "transformers-tuned": ["--tuned"]}
OURS = ("bert", "electra", "modern")
TASKS = {"SST-2": 1, "CoLA": 3, "MRPC": 3, "STS-B": 3, "RTE": 3}
"""With the epochs of each."""
RUNS = Path(__file__).parents[1] / "runs"
ROUNDS, RATE_MINUTES = 3, 0.5
BAR = 8.0
"""Points of the tasks' mean that the best of ours should be above theirs."""

Curve = tuple[Sequence[float], Sequence[float]]
"""Tokens seen, and the masked-LM loss of training batches then."""


@told_in_a_line()
def main() -> None:
    """Pre-train, fine-tune and print what is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", choices=[*THEIRS, *OURS], default=["transformers", *OURS]
    )
    parser.add_argument("--rates", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    minutes, seeds = (0.5, 1) if arguments.quick else (arguments.minutes, arguments.seeds)
    tasks = {"RTE": 1} if arguments.quick else TASKS
    names, out = arguments.only, arguments.out
    require_tasks(arguments.glue, tasks)
    rates = measure(names, arguments.corpus, out, 0.1 if arguments.quick else RATE_MINUTES)
    if arguments.rates:
        return
    for name in names:
        train(name, arguments.corpus, out / name, tokens=round(60 * minutes * rates[name]))
    heldout = HeldOut(Corpus.open(arguments.corpus))
    results = {
        name: {
            **summary(name, out / name),
            "held out": _held_out(heldout, out / name),
            "scores": finetune(
                out / name / "model", arguments.glue, out / name / "glue", tasks, seeds
            ),
        }
        for name in names
    }
    (out / "quality.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw({name: result["curve"] for name, result in results.items()}, rates, out / "quality")
    draw_scores({name: result["scores"] for name, result in results.items()}, out / "scores")
    head = ["pre-trained by", "tokens", "held-out loss", *tasks, "mean"]
    print(markdown_table(head, [_row(name, result) for name, result in results.items()]))
    means = {name: mean(result["scores"]) for name, result in results.items()}
    theirs = [means[name] for name in THEIRS if name in means]
    ours = [means[name] for name in OURS if name in means]
    if theirs and ours:
        ratio("points_above_transformers", max(ours) - max(theirs), BAR)


def measure(names: list[str], corpus: Path, out: Path, minutes: float) -> dict[str, float]:
    """Each one's tokens a second, the median of as many runs; kept in rates.json."""
    path = out / "rates.json"
    rates: dict[str, float] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    missing = [name for name in names if name not in rates]
    runs: dict[str, list[float]] = {name: [] for name in missing}
    for turn in range(ROUNDS):
        for name in missing:
            folder = out / "rates" / f"{name}-{turn}"
            train(name, corpus, folder, minutes=minutes)
            trained = summary(name, folder)
            runs[name].append(trained["tokens"] / trained["minutes"] / 60)
    rates |= {name: statistics.median(run) for name, run in runs.items()}
    path.write_text(json.dumps(rates, indent=1) + "\n", encoding="utf-8")
    print("tokens a second, alone on the machine:", json.dumps(runs), flush=True)
    return rates


def train(name: str, corpus: Path, folder: Path, **budget: float) -> None:
    """Leave `folder`/model, unless it is there; the budget is `minutes` or `tokens`."""
    if (folder / "model").exists():
        return
    ((unit, amount),) = budget.items()
    if name in THEIRS:
        measured = folder.parent / "rates" / f"{name}-0" / "run.json"
        precision = json.loads(measured.read_text("utf-8"))["precision"] if unit == "tokens" else ""
        run(
            *("benchmarks.their_pretraining", str(corpus), "--out", str(folder)),
            *(f"--{unit}", str(amount), *THEIRS[name]),
            *(("--precision", precision) if precision else ()),
        )
    else:
        run(
            *("bertsmith", "pretrain", str(RUNS / f"{name}-mini.toml"), "--corpus", str(corpus)),
            *("--out", str(folder), "--set", f"budget.{unit}={amount}"),
        )


def summary(name: str, folder: Path) -> dict[str, Any]:
    """Tokens, minutes and the loss curve of a pre-training."""
    if name in THEIRS:
        run = json.loads((folder / "run.json").read_text("utf-8"))
        tokens, losses = zip(*run["losses"], strict=True)
        return {
            "tokens": run["tokens"],
            "minutes": run["seconds"] / 60,
            "curve": (tokens, losses),
        }
    steps = read_run(folder / "log.jsonl").of("step")
    return {
        "tokens": steps[-1]["tokens"],
        "minutes": steps[-1]["elapsed_s"] / 60,
        "curve": ([step["tokens"] for step in steps], [step["mlm_loss"] for step in steps]),
    }


def draw(curves: dict[str, Curve], rates: dict[str, float], path: Path) -> None:
    """The masked-LM loss of training batches over time (of ELECTRA's generator), as PNG and SVG.

    The time is what the tokens take with the machine to itself.
    """
    with styled():
        figure = new_figure(3.4)
        axes = figure.add_subplot()
        axes.set(xlabel="minutes", ylabel="masked-LM loss (nats)")
        ends = []
        for (name, (tokens, losses)), colour in zip(curves.items(), SERIES, strict=False):
            y = smooth(np.asarray(losses))
            axes.plot(np.asarray(tokens) / rates[name] / 60, y, color=colour)
            ends.append((f"{name} {y[-1]:.2f}", float(y[-1]), colour))
        label_lines(axes, ends)
        save(figure, path)


def _row(name: str, result: dict[str, Any]) -> list[str]:
    loss = "" if result["held out"] is None else f"{result['held out'][0]:.2f}"
    return [name, f"{result['tokens'] / 1e6:.1f} million", loss, *cells(result["scores"])]


def _held_out(heldout: HeldOut, folder: Path) -> tuple[float, float] | None:
    """None for a model without a masked-LM head, such as ELECTRA's."""
    try:
        return heldout.loss_and_accuracy(folder / "model")
    except ModelError:
        return None


if __name__ == "__main__":
    main()
