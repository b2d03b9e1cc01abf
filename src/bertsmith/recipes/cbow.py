"""word2vec's other architecture: a word predicted from the mean of its context.

Mikolov, Chen, Corrado & Dean: Efficient Estimation of Word Representations in Vector Space. ICLR
2013 (workshop). With negative sampling, as in the released code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from bertsmith.nn.word2vec import Word2Vec, cbow_loss
from bertsmith.recipes import word2vec
from bertsmith.types import Batch


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """CBOW's."""
    assert isinstance(model, Word2Vec)
    named = cbow_loss(model, batch)
    return named["ns_loss"], named


RECIPE = replace(
    word2vec.RECIPE,
    citation="Mikolov et al. 2013, Efficient Estimation of Word Representations",
    config=word2vec.RECIPE.config.model_copy(update={"recipe": "cbow"}),
    loss=loss,
)
