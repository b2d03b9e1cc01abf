"""Training steps, ours beside transformers': the same text, and how the two are compared."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks.timing import Step, interleave, matmul_rate, processes, ratio
from bertsmith.config import ModelConfig
from bertsmith.engine.precision import bfloat16_instructions, choose_hardware
from bertsmith.types import Example

LENGTH, VOCABULARY, MASK_ID = 128, 30_522, 103
MASKED = round(0.15 * LENGTH)
MODES = {False: "fp32", True: "bf16 autocast"}
MOST_DIFFERENCE = 1e-4
"""Between the losses of the two networks, in nats."""


@dataclass(frozen=True)
class Size:
    """One network, its step, and what is asked of it."""

    model: ModelConfig
    sequences: int
    bar: float
    share_bar: float
    rounds: int

    @property
    def name(self) -> str:
        """As L4_H256."""
        return f"L{self.model.num_layers}_H{self.model.hidden_size}"

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.sequences * LENGTH


def bert_config(num_layers: int, hidden_size: int) -> ModelConfig:
    """BERT of this size, heads of 64."""
    return ModelConfig(
        vocab_size=VOCABULARY,
        num_layers=num_layers,
        num_heads=hidden_size // 64,
        hidden_size=hidden_size,
        intermediate_size=4 * hidden_size,
    )


def make_examples(sequences: int) -> list[Example]:
    """Sequences whose token frequencies fall as 1/rank, 15 % masked."""
    generator = np.random.default_rng(0)
    weights = 1.0 / np.arange(1, VOCABULARY - 1000 + 1)
    examples = []
    for _ in range(sequences):
        ids = 1000 + generator.choice(len(weights), LENGTH, p=weights / weights.sum())
        positions = np.sort(generator.permutation(LENGTH)[:MASKED])
        labels = ids[positions]
        ids[positions] = MASK_ID
        examples.append(Example(ids, np.zeros(LENGTH, np.int64), positions, labels))
    return examples


def their_inputs(examples: list[Example]) -> dict[str, torch.Tensor]:
    """The examples as transformers' models take them."""
    input_ids = torch.from_numpy(np.stack([example.input_ids for example in examples]))
    labels = torch.full_like(input_ids, -100)
    for row, example in zip(labels, examples, strict=True):
        assert example.mlm_positions is not None
        assert example.mlm_labels is not None
        row[torch.from_numpy(example.mlm_positions)] = torch.from_numpy(example.mlm_labels)
    attention_mask = torch.ones_like(input_ids)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


def encoder_products(config: ModelConfig) -> int:
    """Multiply-adds of one token through an encoder."""
    hidden = config.hidden_size
    layer = 4 * hidden**2 + 2 * hidden * config.intermediate_size + 2 * LENGTH * hidden
    return config.num_layers * layer + config.embedding_size * hidden


def vocabulary_products(config: ModelConfig) -> int:
    """Multiply-adds of one masked token through the transform and the vocabulary."""
    return config.embedding_width * (config.hidden_size + config.vocab_size)


def require_same_losses(ours: float, theirs: float) -> None:
    """End the benchmark where the two networks do not compute the same."""
    if not abs(ours - theirs) <= MOST_DIFFERENCE:
        raise SystemExit(f"the networks differ: our loss is {ours:.6f}, theirs {theirs:.6f}")
    print(f"with the same weights our loss is {ours:.5f}, theirs {theirs:.5f}")


def measure(
    what: str,
    size: Size,
    ours: Callable[[], Step],
    theirs: Callable[[bool], Step],
    products: float,
    quick: bool,
) -> None:
    """Print one size's lines.

    `theirs` is told whether to compute under bf16 autocast; it and `ours` are called in
    processes of their own. `products` are the multiply-adds of a forward pass.
    """
    hardware = choose_hardware("cpu")
    fast = bfloat16_instructions() is not None
    makers: dict[str, Callable[[], Step]] = {
        "ours": ours,
        f"theirs {MODES[fast]}": partial(theirs, fast),
    }
    slower: dict[str, Callable[[], Step]] = {f"theirs {MODES[not fast]}": partial(theirs, not fast)}
    peak = matmul_rate(hardware.dtype)
    with processes(makers) as steps:
        seconds = interleave(steps, 3 if quick else size.rounds)
    if not quick:
        with processes(slower) as steps:
            seconds |= interleave(steps, rounds=1)
    peak = max(peak, matmul_rate(hardware.dtype))
    for name, value in seconds.items():
        print(f"{size.name}: {name}: {size.tokens / value:,.0f} tokens/s")
    best = min(value for name, value in seconds.items() if name != "ours")
    rate = 6.0 * products / seconds["ours"]  # two FLOPs each, and backward is two forwards
    print(
        f"{size.name}: {rate / 1e9:,.0f} model GFLOP/s of {peak / 1e9:,.0f} in "
        f"{hardware.precision} ({hardware.reason})"
    )
    ratio(f"{what}_{size.name}_vs_transformers", best / seconds["ours"], size.bar)
    share = f"{what}_{size.name}_share_of_{hardware.precision}_matmul_rate"
    ratio(share, rate / peak, size.share_bar)


def is_quick(description: str | None) -> bool:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under a minute: fewer rounds")
    return bool(parser.parse_args().quick)
