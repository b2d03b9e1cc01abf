"""The figure that matters: what the same minutes on the same text are worth on GLUE.

    python -m benchmarks.quality CORPUS --glue DIR --out DIR [--minutes N] [--only NAME ...]

One after the other, each alone on the machine and for the same minutes: masked-LM training as a
user of transformers writes it (benchmarks/their_pretraining.py), and our recipes `bert`, `electra`
and `modern`, all L4 H256 on one corpus. Then the same fine-tuning of each, ours, from the folders
they left: SST-2 (one epoch), CoLA, MRPC, STS-B, RTE (three), dev sets, three seeds. Prints the
table, writes DIR/quality.json and the loss-per-minute curves DIR/quality.png. What is finished is
not done again. `--quick` is the same thing for half a minute, on RTE alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.heldout import HeldOut
from benchmarks.timing import ratio
from bertsmith.errors import ModelError
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
BAR = 8.0
"""Points of the tasks' mean that the best of ours should be above theirs."""

Curve = tuple[list[float], list[float]]
"""Minutes, and the masked-LM loss of training batches then."""


def main() -> None:
    """Pre-train, fine-tune and print what is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["transformers", *OURS])
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    minutes, seeds = (0.5, 1) if arguments.quick else (arguments.minutes, arguments.seeds)
    tasks = {"RTE": 1} if arguments.quick else TASKS
    names, out = arguments.only, arguments.out
    for name in names:
        pretrain(name, arguments.corpus, out / name, minutes)
    heldout = HeldOut(Corpus.open(arguments.corpus))
    results = {
        name: {
            **summary(name, out / name),
            "held out": _held_out(heldout, out / name),
            "scores": finetune(out / name, arguments.glue, tasks, seeds),
        }
        for name in names
    }
    (out / "quality.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw({name: result["curve"] for name, result in results.items()}, out / "quality")
    print(table(results, list(tasks)))
    means = {name: _mean(result["scores"]) for name, result in results.items()}
    theirs = [means[name] for name in THEIRS if name in means]
    ours = [means[name] for name in OURS if name in means]
    if theirs and ours:
        ratio("points_above_transformers", max(ours) - max(theirs), BAR)


def pretrain(name: str, corpus: Path, folder: Path, minutes: float) -> None:
    """Leave `folder`/model, unless it is there."""
    if (folder / "model").exists():
        return
    if name in THEIRS:
        command = ["benchmarks.their_pretraining", str(corpus), "--minutes", str(minutes)]
        _run(*command, "--out", str(folder), *THEIRS[name])
    else:
        _run(
            *("bertsmith", "pretrain", str(RUNS / f"{name}-mini.toml"), "--corpus", str(corpus)),
            *("--out", str(folder), "--set", f"budget.minutes={minutes}"),
        )


def finetune(
    folder: Path, glue: Path, tasks: dict[str, int], seeds: int
) -> dict[str, dict[str, float]]:
    """Each task's median, lowest and highest score over the seeds."""
    scores: dict[str, dict[str, float]] = {}
    for task, epochs in tasks.items():
        out = folder / "glue" / task
        _run(
            *("bertsmith", "glue", "--data", str(glue), "--model", str(folder / "model")),
            *("--out", str(out), "--tasks", task, "--epochs", str(epochs)),
            *("--seeds", str(seeds)),
        )
        found = json.loads((out / "glue.json").read_text("utf-8"))
        scores[task] = found["tasks"][task]["scores"]["pretrained"]["score"]
    return scores


def summary(name: str, folder: Path) -> dict[str, Any]:
    """Tokens, minutes and the loss curve of a pre-training."""
    if name in THEIRS:
        run = json.loads((folder / "run.json").read_text("utf-8"))
        minutes = [seconds / 60 for seconds, _ in run["losses"]]
        curve: Curve = (minutes, [loss for _, loss in run["losses"]])
        return {"tokens": run["tokens"], "minutes": run["seconds"] / 60, "curve": curve}
    log = read_run(folder / "log.jsonl")
    steps = log.of("step")
    curve = ([step["elapsed_s"] / 60 for step in steps], [step["mlm_loss"] for step in steps])
    return {"tokens": steps[-1]["tokens"], "minutes": curve[0][-1], "curve": curve}


def draw(curves: dict[str, Curve], path: Path) -> None:
    """The masked-LM loss of training batches over time (of ELECTRA's generator), as PNG and SVG."""
    with styled():
        figure = new_figure(3.4)
        axes = figure.add_subplot()
        axes.set(xlabel="minutes", ylabel="masked-LM loss (nats)")
        ends = []
        for (name, (minutes, losses)), colour in zip(curves.items(), SERIES, strict=False):
            y = smooth(np.asarray(losses))
            axes.plot(minutes, y, color=colour)
            ends.append((f"{name} {y[-1]:.2f}", float(y[-1]), colour))
        label_lines(axes, ends)
        save(figure, path)


def table(results: dict[str, dict[str, Any]], tasks: list[str]) -> str:
    """As docs/results.md has it."""
    head = ["pre-trained by", "tokens", "minutes", "held-out loss", *tasks, "mean"]
    lines = [head, ["---"] * len(head)]
    for name, result in results.items():
        loss = "" if result["held out"] is None else f"{result['held out'][0]:.2f}"
        cells = [
            f"{100 * score['median']:.1f} ({100 * score['min']:.1f} to {100 * score['max']:.1f})"
            for score in (result["scores"][task] for task in tasks)
        ]
        amounts = [f"{result['tokens'] / 1e6:.1f} million", f"{result['minutes']:.1f}", loss]
        lines.append([name, *amounts, *cells, f"{_mean(result['scores']):.1f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _held_out(heldout: HeldOut, folder: Path) -> tuple[float, float] | None:
    """None for a model without a masked-LM head, such as ELECTRA's."""
    try:
        return heldout.loss_and_accuracy(folder / "model")
    except ModelError:
        return None


def _mean(scores: dict[str, dict[str, float]]) -> float:
    return 100 * statistics.mean(score["median"] for score in scores.values())


def _run(*arguments: str) -> None:
    print("$ python -m", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", *arguments], check=True)


if __name__ == "__main__":
    main()
