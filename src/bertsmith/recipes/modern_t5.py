"""T5 for small budgets: its encoder begins at the neighbours, and is asked for the gaps, too.

No paper of its own. T5's network, which transformers reads (Raffel et al. 2020); the encoder's
masked LM beside the decoder's loss is PEGASUS' (Zhang, Zhao, Saleh & Liu 2020, section 3.2).

    tokenizer    as T5
    segments     as T5
    corruption   as T5, where each sentinel is a mask, too: of the first token of its span
    model        T5, some of whose heads look at the neighbours at first; a masked-LM head
    loss         T5's + masked LM of the encoder
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.data.denoise import corrupt_spans_and_mask
from bertsmith.nn.embeddings import RelativePositions, bucket_of
from bertsmith.nn.losses import decoder_loss, masked_lm_loss
from bertsmith.nn.models import EncoderDecoderWithMaskedLM
from bertsmith.recipes import modern, t5
from bertsmith.recipes.base import Recipe
from bertsmith.types import Batch

NEIGHBOURS = ((-1,), (1,), (-3, -2, -1), (1, 2, 3))
"""Offsets that the first heads look at: the token before, the one behind, and three of each."""
PREFERENCE = 5.0
"""Added to their scores: e^5 times the weight of a token elsewhere."""


def model(config: ModelConfig) -> EncoderDecoderWithMaskedLM:
    """T5's first weights, but for the encoder's table of distances.

    A gap says nothing, and all distances are alike at first, so that T5's encoder has to find its
    neighbours while its decoder has yet to find the gap.
    """
    network = EncoderDecoderWithMaskedLM(config)
    t5.initialise(network.network)
    positions = network.network.encoder.relative
    if positions is not None:
        prefer_neighbours(positions)
    return network


@torch.no_grad()
def prefer_neighbours(positions: RelativePositions) -> None:
    """Let the first heads, as many as there are, begin at NEIGHBOURS."""
    table = positions.table.weight
    for head, offsets in enumerate(NEIGHBOURS[: table.shape[1]]):
        buckets = bucket_of(
            torch.tensor(offsets, device=table.device),
            len(table),
            positions.furthest,
            positions.bidirectional,
        )
        table[buckets, head] += PREFERENCE


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """What the decoder says, and what the encoder knows of the gaps, with equal weights."""
    assert isinstance(model, EncoderDecoderWithMaskedLM)
    source_TD, said_TD = model(batch)
    named = decoder_loss(model, batch, said_TD) | masked_lm_loss(model, batch, source_TD)
    return named["decoder_loss"] + named["mlm_loss"], named


RECIPE = Recipe(
    citation="Raffel et al. 2020, T5; Zhang et al. 2020, PEGASUS; Jordan et al. 2024, Muon",
    config=t5.RECIPE.config.model_copy(
        update={
            "recipe": "modern_t5",
            "model": t5.RECIPE.config.model.model_copy(
                update={"dropout": 0.0, "attention_dropout": 0.0, "inner_dropout": 0.0}
            ),
            "optim": modern.RECIPE.config.optim.model_copy(
                update={"lr": 1e-2, "muon_lr": 0.01, "weight_decay": 0.01}
            ),
        }
    ),
    tokenizer=t5.RECIPE.tokenizer,
    segments=t5.segments,
    corrupt=corrupt_spans_and_mask,
    model=model,
    loss=loss,
)
