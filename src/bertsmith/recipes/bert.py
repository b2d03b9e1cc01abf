"""BERT, as published.

Devlin, Chang, Lee & Toutanova: BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding. NAACL 2019.

    tokenizer    WordPiece, lower-cased, accents stripped (the uncased model)
    segments     sentence pairs, half of them with B from another document
    corruption   15 % of the tokens: 80 % [MASK], 10 % random, 10 % kept
    model        token + segment + learned position embeddings, post-norm encoder
    loss         masked LM + next sentence
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bertsmith.config import BudgetConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from bertsmith.data.corrupt import mask
from bertsmith.data.segments import Plan, plan_next_sentence
from bertsmith.nn.losses import masked_lm_loss, next_sentence_loss
from bertsmith.nn.models import MaskedLM
from bertsmith.recipes.base import Recipe
from bertsmith.text.corpus import Corpus
from bertsmith.types import Batch, IntArray


def segments(corpus: Corpus, ranges: IntArray, config: DataConfig, seed: int, epoch: int) -> Plan:
    """Section 3.1, task 2, and appendix A.2."""
    return plan_next_sentence(corpus, ranges, config.max_length, config.short_rate, seed, epoch)


def model(config: ModelConfig) -> MaskedLM:
    """Section 3 and appendix A.2: encoder, masked-LM head, next-sentence head."""
    return MaskedLM(config, next_sentence=True)


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The sum of the two objectives' means (appendix A.2)."""
    assert isinstance(model, MaskedLM)
    hidden_TD = model(batch)
    named = masked_lm_loss(model, batch, hidden_TD) | next_sentence_loss(model, batch, hidden_TD)
    return named["mlm_loss"] + named["nsp_loss"], named


RECIPE = Recipe(
    citation="Devlin et al. 2019, BERT: Pre-training of Deep Bidirectional Transformers",
    config=RunConfig(
        recipe="bert",
        model=ModelConfig(norm="post", dropout=0.1, attention_dropout=0.1),
        data=DataConfig(mask_rate=0.15, mask_token_share=0.8, random_token_share=0.1),
        optim=OptimConfig(name="adamw", lr=5e-4, beta2=0.999, weight_decay=0.01, warmup=0.1),
        budget=BudgetConfig(minutes=20),
    ),
    tokenizer={"kind": "wordpiece", "lowercase": True, "strip_accents": True},
    segments=segments,
    corrupt=mask,
    model=model,
    loss=loss,
)
