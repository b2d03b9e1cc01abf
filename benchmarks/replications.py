"""What the papers found, asked again of a small network.

    python -m benchmarks.replications CORPUS --glue DIR --out DIR [--tokens N] [--only ARM ...]

Every arm is the encoder, optimizer and schedule of the recipe `modern` at one size (L4 H128 where
the arm says nothing else), on as many tokens of the same corpus with the same seed; only what the
arm names differs. Classifiers see the mean of the tokens; they have three seeds, on SST-2 one.
Answered are:

- BERT's Table 5: next-sentence prediction, none, and left to right, on SST-2, MRPC, RTE, STS-B.
- ALBERT's section 4.6: what a model of either pair objective says to the other's pairs.
- Whole words masked against tokens.
- The size of the network at equal tokens.

Not a benchmark of speed, so one thread will do; what is finished is not done again. Prints the
tables and writes DIR/replications.json, the scores as DIR/replications.png, and of the sizes the
held-out loss on the way as DIR/sizes.png.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.glue_scores import cells, draw, finetune, require_tasks
from benchmarks.heldout import HeldOut
from benchmarks.mistakes import told_in_a_line
from bertsmith.config import RunConfig, resolve
from bertsmith.engine.log import read_log
from bertsmith.export.networks import load_masked_lm
from bertsmith.jobs.pretrain import pretrain
from bertsmith.jobs.setup import prepare
from bertsmith.markdown import markdown_table
from bertsmith.recipes.base import find
from bertsmith.report.images import save
from bertsmith.report.style import SERIES, label_lines, new_figure, styled
from bertsmith.text.corpus import Corpus

TASKS = {"SST-2": 1, "MRPC": 3, "RTE": 3, "STS-B": 3}
"""With the epochs of each."""
SMALL = {"num_layers": 4, "num_heads": 2, "hidden_size": 128, "intermediate_size": 344}
Changes = dict[str, dict[str, Any]]
ARMS: dict[str, tuple[str, Changes]] = {
    "no next sentence": ("modern", {}),
    "next sentence": ("bert", {}),
    "left to right": ("left_to_right", {"model": {"causal": True}}),
    "sentence order": ("albert", {}),
    "whole words": ("modern", {"data": {"masking": "word"}}),
    "L2 H128": ("modern", {"model": {"num_layers": 2}}),
    "L4 H256": (
        "modern",
        {"model": {"num_heads": 4, "hidden_size": 256, "intermediate_size": 688}},
    ),
    "L4 H512": (
        "modern",
        {"model": {"num_heads": 8, "hidden_size": 512, "intermediate_size": 1368}},
    ),
}
"""Of each the recipe whose segments, corruption and loss it takes, and what else differs."""
SIZES = {
    "L2 H128": "L2 H128",
    "no next sentence": "L4 H128",
    "L4 H256": "L4 H256",
    "L4 H512": "L4 H512",
}
"""The arms that differ in nothing but their size, and what it is."""
PAIRS = ("next sentence", "sentence order")
"""The arms with a pair head."""


@told_in_a_line()
def main() -> None:
    """Train and fine-tune what is asked for on the command line, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    corpus, out = Corpus.open(arguments.corpus), arguments.out
    require_tasks(arguments.glue, TASKS)
    heldout, results = HeldOut(corpus), {}
    for arm in arguments.only:
        folder = folder_of(arm, out)
        run = pretrain(config_of(arm, arguments.tokens), corpus, folder)
        if not run.finished:
            raise SystemExit(run.exit_status)
        result: dict[str, Any] = {"masked words": None}
        if arm != "left to right":  # which has no [MASK] to read
            result["masked words"] = heldout.loss_and_accuracy(run.model)
        if arm in PAIRS:
            result["pairs"] = {
                other: pair_accuracy(run.model, arm, other, arguments.tokens, corpus)
                for other in PAIRS
            }
        result["scores"] = finetune(run.model, arguments.glue, folder / "glue", TASKS)
        results[arm] = result
    (out / "replications.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw({arm: result["scores"] for arm, result in results.items()}, out / "replications")
    draw_sizes(out, [arm for arm in SIZES if arm in results])
    head = ["pre-trained with", "masked words, loss", "accuracy", *TASKS, "mean"]
    print(markdown_table(head, [_row(arm, result) for arm, result in results.items()]))
    pairs = {arm: result["pairs"] for arm, result in results.items() if "pairs" in result}
    rows = [[arm, *(f"{100 * found[o]:.1f} %" for o in PAIRS)] for arm, found in pairs.items()]
    print(markdown_table(["pre-trained with", *(f"{other} right" for other in PAIRS)], rows))


def folder_of(arm: str, out: Path) -> Path:
    """An arm's run."""
    return out / arm.replace(" ", "-")


def draw_sizes(out: Path, arms: Sequence[str]) -> None:
    """The masked-LM loss of each run's held-out text over its tokens, as PNG and SVG."""
    if len(arms) < 2:
        return
    with styled():
        figure = new_figure(3.0)
        axes = figure.add_subplot()
        axes.set(xlabel="million tokens", ylabel="held-out masked-LM loss (nats)")
        ends = []
        for arm, colour in zip(arms, SERIES, strict=False):
            log = read_log(folder_of(arm, out) / "log.jsonl")
            looks = [record for record in log if record.get("kind") == "eval"]
            losses = [look["mlm_loss"] for look in looks]
            axes.plot([look["tokens"] / 1e6 for look in looks], losses, color=colour)
            ends.append((f"{SIZES[arm]} {losses[-1]:.2f}", losses[-1], colour))
        label_lines(axes, ends)
        save(figure, out / "sizes")


def config_of(arm: str, tokens: int) -> RunConfig:
    """The run of one of ARMS."""
    recipe, changes = ARMS[arm]
    modern = find("modern").config
    shared = {
        "model": modern.model.model_dump() | SMALL | {"type_vocab_size": 2},
        "data": modern.data.model_dump(),
        "optim": modern.optim.model_dump() | {"batch_tokens": 2048},
        "budget": {"tokens": tokens},
        "log": {"models": 16},  # for `bertsmith analyze growth`
    }
    return resolve(find(recipe).config, shared, changes)


@torch.no_grad()
def pair_accuracy(model: Path, arm: str, other: str, tokens: int, corpus: Corpus) -> float:
    """Of the pair head of `arm` on held-out pairs of `other`, with nothing masked.

    Index 0 means "B follows A" to both.
    """
    network = load_masked_lm(model)
    head = network.next_sentence_head or network.sentence_order_head
    assert head is not None, f"{arm} trains no pair head"
    setup = prepare(resolve(config_of(other, tokens), {"data": {"mask_rate": 1e-6}}), corpus)
    right: list[torch.Tensor] = []
    for batch in setup.heldout_batches():
        scores = head(network(batch), batch.lengths)
        right.append(scores.argmax(dim=1) == batch.targets["labels"])
    return float(torch.cat(right).double().mean())


def _row(arm: str, result: dict[str, Any]) -> list[str]:
    found: Sequence[float] | None = result["masked words"]
    words = ["", ""] if found is None else [f"{found[0]:.2f}", f"{100 * found[1]:.1f} %"]
    return [arm, *words, *cells(result["scores"])]


if __name__ == "__main__":
    main()
