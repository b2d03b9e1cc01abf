"""Masked-LM training steps per second, ours against transformers' BertForMaskedLM.

    python -m benchmarks.pretrain [--quick]

The same network (vocabulary 30,522), the same sequences of 128 tokens without any padding,
the same masks, dropout 0.1, AdamW. First a small one with their weights in both, dropout off:
the losses must agree to 1e-4, or nothing is timed. Theirs is a plain loop: model(..., labels),
backward, AdamW, in fp32 and under bf16 autocast, and the better of the two counts. (The one that
this processor is slow in is timed once, and not at all with --quick.) Ours runs in the type
that `bertsmith pretrain` chooses on this machine, gradient clipping included. Each runs in a
process of its own; steps are interleaved; figures are medians.

Also printed: model FLOP/s (forward and backward products of the encoder and of the masked
rows of the vocabulary head; no recomputation, nothing for padding) as a share of this
machine's matrix-product rate in the type that we run in, the better of those measured before and
after the steps.
"""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

import torch
import transformers

from benchmarks.steps import (
    MASKED,
    Size,
    bert_config,
    encoder_products,
    is_quick,
    make_examples,
    measure,
    require_same_losses,
    their_inputs,
    vocabulary_products,
)
from benchmarks.timing import Step
from bertsmith.config import ModelConfig, OptimConfig
from bertsmith.data.pack import collate
from bertsmith.engine.memory import keep_freed_memory
from bertsmith.engine.optim import Optimizer
from bertsmith.engine.precision import choose_hardware
from bertsmith.export.huggingface import load_masked_lm
from bertsmith.nn.losses import masked_lm_loss
from bertsmith.nn.models import MaskedLM

SIZES = (
    Size(bert_config(4, 256), sequences=32, bar=8.0, share_bar=0.35, rounds=7),
    Size(bert_config(12, 768), sequences=8, bar=4.0, share_bar=0.50, rounds=5),
)


def our_step(size: Size) -> Step:
    """One step of ours."""
    keep_freed_memory()
    torch.manual_seed(0)
    model = MaskedLM(size.model, next_sentence=False).to(choose_hardware("cpu").dtype).train()
    optimizer = Optimizer(model, OptimConfig())
    batch = collate(make_examples(size.sequences), range(size.sequences))

    def step() -> float:
        loss = masked_lm_loss(model, batch, model(batch))["mlm_loss"]
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(1.0)
        return float(loss.detach())

    return step


def their_model(model: ModelConfig, **changes: Any) -> transformers.BertForMaskedLM:
    """transformers' network, in training mode; `changes` are keys of its config."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=model.vocab_size,
        num_hidden_layers=model.num_layers,
        num_attention_heads=model.num_heads,
        hidden_size=model.hidden_size,
        intermediate_size=model.intermediate_size,
        **changes,
    )
    network = transformers.BertForMaskedLM(config)
    network.train()
    return network


def their_step(size: Size, autocast: bool) -> Step:
    """One step of transformers'."""
    model, inputs = their_model(size.model), their_inputs(make_examples(size.sequences))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def losses() -> tuple[float, float]:
    """Of a small network, ours and theirs: their weights, drawn large, and no dropout."""
    examples = make_examples(2)
    theirs = their_model(
        bert_config(2, 128),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load_masked_lm(folder).train()
    batch = collate(examples, range(len(examples)))
    with torch.no_grad():
        loss = masked_lm_loss(ours, batch, ours(batch))["mlm_loss"]
        return float(loss), float(theirs(**their_inputs(examples)).loss)


def products(size: Size) -> float:
    """Multiply-adds of one step's forward pass."""
    masked = size.sequences * MASKED
    return size.tokens * encoder_products(size.model) + masked * vocabulary_products(size.model)


def main() -> None:
    """Measure every size."""
    quick = is_quick(__doc__)
    require_same_losses(*losses())
    for size in SIZES:
        ours, theirs = partial(our_step, size), partial(their_step, size)
        measure("pretrain", size, ours, theirs, products(size), quick)


if __name__ == "__main__":
    main()
