"""ELECTRA's training steps per second, ours against transformers' two networks.

    python -m benchmarks.electra [--quick]

Theirs is the loop that a user writes: ElectraForMaskedLM(..., labels), samples at the masked
positions by torch.multinomial, ElectraForPreTraining(..., labels) on them, the sum of the losses
with the discriminator's times 50, backward, AdamW; the embeddings of both are one module. The
networks are the same in both (ELECTRA-Small's and -Base's widths), and everything else is as in
benchmarks/pretrain.py, whose page of explanations holds here too. First both objectives of small
networks with their weights in both, dropout off, and the same samples, must agree to 1e-4.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

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
from bertsmith.export.huggingface import load_masked_lm, load_replaced_token_detector
from bertsmith.nn.electra import Electra, generator_config
from bertsmith.nn.losses import masked_lm_loss_and_sample
from bertsmith.recipes import electra

SMALL = {"embedding_size": 128, "generator_size": 0.25, "pooler": "gelu"}
BASE = {"embedding_size": 0, "generator_size": 1 / 3, "pooler": "gelu"}
SIZES = tuple(
    Size(bert_config(layers, hidden).model_copy(update=widths), sequences, bar, share_bar, rounds)
    for layers, hidden, widths, sequences, bar, share_bar, rounds in (
        (4, 256, SMALL, 32, 10.0, 0.35, 7),
        (12, 768, BASE, 8, 5.0, 0.50, 5),
    )
)


def our_step(size: Size) -> Step:
    """One step of ours: the recipe's loss."""
    keep_freed_memory()
    torch.manual_seed(0)
    model = Electra(size.model).to(choose_hardware("cpu").dtype).train()
    optimizer = Optimizer(model, OptimConfig())
    batch = collate(make_examples(size.sequences), range(size.sequences))

    def step() -> float:
        loss, _ = electra.loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(1.0)
        return float(loss.detach())

    return step


@dataclass(frozen=True)
class Theirs:
    """transformers' two networks over the same embeddings, in training mode."""

    generator: transformers.ElectraForMaskedLM
    discriminator: transformers.ElectraForPreTraining

    @classmethod
    def build(cls, model: ModelConfig, **changes: Any) -> Theirs:
        """Of the sizes of `model`; `changes` are keys of their configs."""
        torch.manual_seed(0)
        configs = [
            transformers.ElectraConfig(
                vocab_size=model.vocab_size,
                embedding_size=model.embedding_width,
                num_hidden_layers=sizes.num_layers,
                num_attention_heads=sizes.num_heads,
                hidden_size=sizes.hidden_size,
                intermediate_size=sizes.intermediate_size,
                **changes,
            )
            for sizes in (generator_config(model), model)
        ]
        generator = transformers.ElectraForMaskedLM(configs[0]).train()
        discriminator = transformers.ElectraForPreTraining(configs[1]).train()
        generator.electra.embeddings = discriminator.electra.embeddings
        generator.tie_weights()
        return cls(generator, discriminator)

    def parameters(self) -> list[torch.nn.Parameter]:
        """Shared ones once."""
        return list(torch.nn.ModuleList([self.generator, self.discriminator]).parameters())

    def loss(self, inputs: dict[str, Tensor], sampled_M: Tensor | None = None) -> Tensor:
        """The combined objective; `sampled_M` in place of samples of its own."""
        guessed = self.generator(**inputs)
        input_ids, labels = inputs["input_ids"], inputs["labels"]
        masked = labels != -100
        if sampled_M is None:
            with torch.no_grad():
                chances = guessed.logits[masked].float().softmax(dim=-1)
                sampled_M = torch.multinomial(chances, 1).squeeze(1)
        original = torch.where(masked, labels, input_ids)
        corrupted = original.masked_scatter(masked, sampled_M)
        is_replaced = (corrupted != original).long()
        mask = inputs["attention_mask"]
        found = self.discriminator(corrupted, attention_mask=mask, labels=is_replaced)
        total: Tensor = guessed.loss + electra.DISCRIMINATOR_WEIGHT * found.loss
        return total


def their_step(size: Size, autocast: bool) -> Step:
    """One step of transformers'."""
    networks = Theirs.build(size.model)
    inputs = their_inputs(make_examples(size.sequences))
    optimizer = torch.optim.AdamW(networks.parameters(), lr=1e-4)

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = networks.loss(inputs)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def losses() -> tuple[float, float]:
    """Of small networks, ours and theirs: their weights, our samples, no dropout."""
    config = bert_config(2, 128).model_copy(update={**SMALL, "embedding_size": 64})
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    theirs = Theirs.build(config, initializer_range=0.1, **rates)
    ours = Electra(config)
    with tempfile.TemporaryDirectory() as folder:
        theirs.generator.save_pretrained(Path(folder) / "generator")
        theirs.discriminator.save_pretrained(Path(folder) / "discriminator")
        ours.generator = load_masked_lm(Path(folder) / "generator")
        ours.discriminator = load_replaced_token_detector(Path(folder) / "discriminator")
    examples = make_examples(2)
    batch = collate(examples, range(len(examples)))
    with torch.no_grad():
        torch.manual_seed(1)
        loss, _ = electra.loss(ours, batch)
        torch.manual_seed(1)
        _, sampled_M = masked_lm_loss_and_sample(ours.generator, batch, ours.generator(batch))
        return float(loss), float(theirs.loss(their_inputs(examples), sampled_M))


def products(size: Size) -> float:
    """Multiply-adds of one step's forward pass."""
    generator = generator_config(size.model)
    encoders = encoder_products(generator) + encoder_products(size.model)
    head = size.model.hidden_size * (size.model.hidden_size + 1)
    masked = size.sequences * MASKED
    return size.tokens * (encoders + head) + masked * vocabulary_products(generator)


def main() -> None:
    """Measure every size."""
    quick = is_quick(__doc__)
    require_same_losses(*losses())
    for size in SIZES:
        ours, theirs = partial(our_step, size), partial(their_step, size)
        measure("electra", size, ours, theirs, products(size), quick)


if __name__ == "__main__":
    main()
