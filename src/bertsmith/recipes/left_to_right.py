"""BERT's own left-to-right baseline: a language model, directly comparable to GPT.

Devlin, Chang, Lee & Toutanova: BERT. NAACL 2019, section 5.1, "LTR & No NSP"; the objective of
Radford et al. 2018 (GPT) with BERT's data and input.

    tokenizer    as BERT
    segments     whole sentences of one document, no pairs
    corruption   none: every token is predicted from those before it
    model        BERT's encoder with causal attention, and its head over the vocabulary
    loss         next token
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bertsmith.data.corrupt import predict_next
from bertsmith.nn.losses import next_token_loss
from bertsmith.nn.models import MaskedLM
from bertsmith.recipes import bert, modern
from bertsmith.recipes.base import Recipe
from bertsmith.types import Batch


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The next token alone."""
    assert isinstance(model, MaskedLM)
    named = next_token_loss(model, batch, model(batch))
    return named["lm_loss"], named


RECIPE = Recipe(
    citation="Devlin et al. 2019, BERT, section 5.1; Radford et al. 2018, GPT",
    config=bert.RECIPE.config.model_copy(
        update={
            "recipe": "left_to_right",
            # [CLS] comes first and so sees nothing.
            "model": bert.RECIPE.config.model.model_copy(
                update={"causal": True, "pooling": "mean"}
            ),
        }
    ),
    tokenizer=bert.RECIPE.tokenizer,
    segments=modern.segments,
    corrupt=predict_next,
    model=modern.model,
    loss=loss,
)
