"""What each choice of the recipe `modern` is worth: one run without it, everything else equal.

    python -m benchmarks.ablation CORPUS --out DIR [--tokens N] [--threads N]

Every run sees the same text in the same order. Since a run that masks more has the harder task,
all models are compared on the same held-out text with 15 % masked. Not a benchmark of speed, so
one thread will do; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.heldout import HeldOut
from benchmarks.mistakes import told_in_a_line
from bertsmith.config import resolve
from bertsmith.jobs.pretrain import pretrain
from bertsmith.markdown import markdown_row, markdown_table
from bertsmith.recipes.base import find
from bertsmith.text.corpus import Corpus

NETWORK = {
    "model": {"num_heads": 2, "hidden_size": 128, "intermediate_size": 344},
    "optim": {"batch_tokens": 2048},
}
WITHOUT: dict[str, dict[str, dict[str, object]]] = {
    "nothing": {},
    'norm = "post"': {"model": {"norm": "post"}},
    "bias = true": {"model": {"bias": True}},
    'feed_forward = "gelu"': {"model": {"feed_forward": "gelu", "intermediate_size": 512}},
    'positions = "learned"': {"model": {"positions": "learned"}},
    "dropout = 0.1": {"model": {"dropout": 0.1, "attention_dropout": 0.1}},
    "mask_rate = 0.15": {"data": {"mask_rate": 0.15}},
    "final_mask_rate = 0.15": {"data": {"final_mask_rate": 0.15}},
    'decay = "linear"': {"optim": {"decay": "linear"}},
    'name = "adamw"': {"optim": {"name": "adamw"}},
}


@told_in_a_line()
def main() -> None:
    """Run what is asked for on the command line and print one line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=3_000_000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    corpus = Corpus.open(arguments.corpus)
    published = find("modern").config
    heldout = HeldOut(corpus)
    print(markdown_table(["changed", "held-out loss", "accuracy"], []), flush=True)
    for number, (name, changes) in enumerate(WITHOUT.items()):
        config = resolve(published, NETWORK, {"budget": {"tokens": arguments.tokens}}, changes)
        run = pretrain(config, corpus, arguments.out / str(number))
        if not run.finished:
            raise SystemExit(run.exit_status)
        loss, accuracy = heldout.loss_and_accuracy(run.model)
        row = [f"`{name}`", f"{loss:.3f}", f"{100 * accuracy:.1f} %"]
        print(markdown_row(row), flush=True)


if __name__ == "__main__":
    main()
