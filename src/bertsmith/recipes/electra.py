"""ELECTRA: find the tokens that a small masked LM has put in place of the text's own.

Clark, Luong, Le & Manning: ELECTRA: Pre-training Text Encoders as Discriminators Rather Than
Generators. ICLR 2020.

    tokenizer    as BERT
    segments     whole sentences of one document, no pairs
    corruption   15 % of the tokens: 85 % [MASK], the rest kept (the released code)
    model        a generator a quarter as wide, and a discriminator over the same embeddings
    loss         masked LM of the generator + 50 x replaced-token detection at every token
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bertsmith.config import BudgetConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from bertsmith.data.corrupt import mask
from bertsmith.nn.electra import Electra, replace_tokens
from bertsmith.nn.losses import (
    masked_lm_loss_and_sample,
    replaced_token_loss,
    replaced_token_scores,
)
from bertsmith.recipes import bert, modern
from bertsmith.recipes.base import Recipe
from bertsmith.types import Batch

DISCRIMINATOR_WEIGHT = 50.0
"""Lambda in section 3.1: the binary loss is much the smaller of the two."""


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Section 3.1. The generator learns from its masked LM alone; samples pass no gradient."""
    assert isinstance(model, Electra)
    hidden_TD = model.generator(batch)
    named, sampled_M = masked_lm_loss_and_sample(model.generator, batch, hidden_TD)
    replaced, is_replaced_T = replace_tokens(batch, sampled_M)
    named |= replaced_token_loss(batch, model.discriminator(replaced), is_replaced_T)
    return named["mlm_loss"] + DISCRIMINATOR_WEIGHT * named["rtd_loss"], named


RECIPE = Recipe(
    citation="Clark et al. 2020, ELECTRA: Pre-training Text Encoders as Discriminators",
    config=RunConfig(
        recipe="electra",
        model=ModelConfig(embedding_size=128, pooler="gelu", generator_size=0.25),
        data=DataConfig(mask_rate=0.15, mask_token_share=0.85, random_token_share=0.0),
        optim=OptimConfig(name="adamw", lr=5e-4, beta2=0.999, weight_decay=0.01, warmup=0.1),
        budget=BudgetConfig(minutes=20),
    ),
    tokenizer=bert.RECIPE.tokenizer,
    segments=modern.segments,
    corrupt=mask,
    model=Electra,
    loss=loss,
    scores=replaced_token_scores,
)
