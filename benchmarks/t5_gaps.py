"""What lets a T5 find its gaps: the recipe `modern_t5`, and the same without its two changes.

    python -m benchmarks.t5_gaps CORPUS --out DIR [--tokens N] [--spans MEAN] [--only ARM ...]

CORPUS has T5's sentinels. Every arm is one network (two layers of 128 on each side), optimizer and
schedule, on the same spans of the same text in the same order; they differ in whether the encoder's
first heads begin at the neighbours and whether the encoder is asked for the gaps, too. On the way
the held-out loss of the decoder at the first token of each span is taken: what it knows of the gap
from the text around it, since it has said nothing of it yet. Beside it stands what those tokens'
frequencies say of them. Not a benchmark of speed; what is finished is not done again. Writes
DIR/ARM.json and DIR/t5_gaps.png. `--quick` is the same thing with 20,000 tokens.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.mistakes import told_in_a_line
from bertsmith.config import ModelConfig, RunConfig, resolve
from bertsmith.data.loader import Cursor
from bertsmith.engine.optim import make_schedule
from bertsmith.engine.train import State, train
from bertsmith.errors import DataError
from bertsmith.files import write_text_atomically
from bertsmith.jobs.progress import Bar
from bertsmith.jobs.setup import Setup, begin, prepare
from bertsmith.markdown import markdown_table
from bertsmith.nn.losses import decoder_loss
from bertsmith.nn.models import EncoderDecoderWithMaskedLM
from bertsmith.recipes import modern_t5, t5
from bertsmith.report.images import save
from bertsmith.report.style import SERIES, label_lines, new_figure, styled
from bertsmith.text.corpus import Corpus
from bertsmith.types import Batch

ARMS = {
    "modern_t5": (True, True),
    "asked alone": (False, True),
    "neighbours alone": (True, False),
    "neither": (False, False),
}
"""With whether the first heads begin at the neighbours, and whether the encoder is asked."""
NETWORK = {
    "model": {
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "hidden_size": 128,
        "intermediate_size": 512,
    },
    "optim": {"batch_tokens": 2048},
}
LOOKS = 12
EVAL_TOKENS = 50_000
QUICK_TOKENS = 20_000


def as_t5_begins(config: ModelConfig) -> EncoderDecoderWithMaskedLM:
    """T5's first weights."""
    network = EncoderDecoderWithMaskedLM(config)
    t5.initialise(network.network)
    return network


def unasked(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """T5's loss alone."""
    assert isinstance(model, EncoderDecoderWithMaskedLM)
    _, said_TD = model(batch)
    named = decoder_loss(model, batch, said_TD)
    return named["decoder_loss"], named


def setup_of(arm: str, config: RunConfig, corpus: Corpus) -> Setup:
    """One of ARMS."""
    neighbours, asked = ARMS[arm]
    setup = prepare(config, corpus)
    recipe = replace(
        setup.recipe,
        model=modern_t5.model if neighbours else as_t5_begins,
        loss=modern_t5.loss if asked else unasked,
    )
    return replace(setup, recipe=recipe)


@torch.no_grad()
def first_tokens(model: nn.Module, setup: Setup, batches: Sequence[Batch]) -> float:
    """Mean loss (nats) of what the decoder says right after each sentinel."""
    assert isinstance(model, EncoderDecoderWithMaskedLM)
    sentinels = torch.tensor(setup.tokenizer.sentinel_ids)
    sums, count = 0.0, 0
    model.eval()
    for batch in batches:
        assert batch.decoder is not None
        _, said_TD = model(batch)
        after = torch.isin(batch.decoder.input_ids, sentinels)
        logits = said_TD[after] @ model.embedding.t()
        labels = batch.decoder.targets["decoder_labels"][after]
        sums += float(functional.cross_entropy(logits.float(), labels, reduction="sum"))
        count += len(labels)
    model.train()
    return sums / count


def heldout_of(config: RunConfig, corpus: Corpus) -> list[Batch]:
    """The same for every arm, and as much whatever the budget."""
    enough = resolve(config, {"budget": {"tokens": 1000 * EVAL_TOKENS}})
    return prepare(enough, corpus).heldout_batches()


def by_frequency(batches: Sequence[Batch], corpus: Corpus) -> float:
    """What the first tokens of the held-out spans cost by the corpus' frequencies (nats)."""
    labels = torch.cat([batch.targets["mlm_labels"] for batch in batches]).numpy()
    counts = corpus.unigram_counts().astype(np.float64)
    return float(-np.log(counts[labels] / counts.sum()).mean())


def run(
    arm: str, config: RunConfig, corpus: Corpus, batches: Sequence[Batch]
) -> list[tuple[int, float]]:
    """Train one of ARMS: (tokens read, loss at the first tokens of `batches`), LOOKS times."""
    setup, model, optimizer = begin(setup_of(arm, config, corpus))
    assert config.budget.tokens is not None
    looks: list[tuple[int, float]] = []
    stream = setup.loader().stream(Cursor())
    schedule, state = make_schedule(config.optim), State(Cursor())
    with Bar(arm, config.budget.tokens) as bar:
        for step in train(
            model, setup.recipe.loss, stream, optimizer, schedule, setup.length, state, config.seed
        ):
            tokens = step.state.tokens
            if tokens >= (len(looks) + 1) * config.budget.tokens / LOOKS:
                looks.append((tokens, first_tokens(model, setup, batches)))
            bar.update(tokens, f"first tokens {looks[-1][1]:.2f}" if looks else "")
    stream.close()
    return looks


def kept_of(path: Path, settings: Mapping[str, float]) -> dict[str, Any]:
    """A finished arm. DataError where it is none, or was run with other settings."""
    try:
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        same = settings.items() <= kept.items()
    except (ValueError, AttributeError):
        raise DataError("is no arm's result", where=path, mend="remove it") from None
    if not same:
        mend = "give the same --tokens and --spans, or another --out"
        raise DataError("is of another run", where=path, mend=mend)
    return kept


def draw(found: Mapping[str, Sequence[tuple[int, float]]], frequency: float, path: Path) -> None:
    """The loss of each arm over its tokens, as PNG and SVG."""
    with styled():
        figure = new_figure(3.0)
        axes = figure.add_subplot()
        axes.set(xlabel="million tokens", ylabel="first token of a span (nats)")
        ends = []
        for (arm, looks), colour in zip(found.items(), SERIES, strict=False):
            axes.plot(
                [tokens / 1e6 for tokens, _ in looks], [loss for _, loss in looks], color=colour
            )
            ends.append((f"{arm} {looks[-1][1]:.2f}", looks[-1][1], colour))
        axes.axhline(frequency, color="grey", linestyle="dotted")
        ends.append((f"by frequency {frequency:.2f}", frequency, "grey"))
        label_lines(axes, ends)
        save(figure, path)


@told_in_a_line()
def main() -> None:
    """Run what is asked for on the command line, print the table and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=2_000_000)
    parser.add_argument("--spans", type=float, default=3.0, help="tokens in one, on average")
    parser.add_argument("--only", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    corpus = Corpus.open(arguments.corpus)
    config = resolve(
        modern_t5.RECIPE.config,
        NETWORK,
        {
            "data": {"max_length": 64, "span_mean": arguments.spans},
            "budget": {"tokens": QUICK_TOKENS if arguments.quick else arguments.tokens},
            "log": {"eval_tokens": EVAL_TOKENS},
        },
    )
    batches = heldout_of(config, corpus)
    arguments.out.mkdir(parents=True, exist_ok=True)
    frequency = by_frequency(batches, corpus)
    settings = {"tokens": config.budget.tokens, "spans": arguments.spans}
    found: dict[str, list[tuple[int, float]]] = {}
    for arm in ARMS:
        path = arguments.out / f"{arm.replace(' ', '_')}.json"
        if path.exists():
            kept = kept_of(path, settings)
        elif arm in arguments.only:
            kept = {**settings, "looks": run(arm, config, corpus, batches)}
            write_text_atomically(path, json.dumps(kept) + "\n")
        else:
            continue
        found[arm] = kept["looks"]
    draw(found, frequency, arguments.out / "t5_gaps")
    rows = [[arm, f"{looks[-1][1]:.2f}"] for arm, looks in found.items()]
    print(markdown_table(["", "first tokens"], [*rows, ["by frequency", f"{frequency:.2f}"]]))


if __name__ == "__main__":
    main()
