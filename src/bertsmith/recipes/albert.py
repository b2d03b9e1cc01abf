"""ALBERT: one layer's parameters for all layers, narrow embeddings, sentences in order.

Lan, Chen, Goodman, Gimpel, Sharma & Soricut: ALBERT: A Lite BERT for Self-supervised Learning
of Language Representations. ICLR 2020.

    tokenizer    Unigram (SentencePiece), lower-cased, accents stripped
    segments     two consecutive segments of one document, swapped half of the time
    corruption   15 % of the tokens, in runs of one to three words; 80/10/10 as BERT
    model        embeddings of 128 projected to the hidden size, every layer the same one
    loss         masked LM + sentence order
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bertsmith.config import BudgetConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from bertsmith.data.corrupt import mask
from bertsmith.data.segments import Plan, plan_sentence_order
from bertsmith.nn.losses import masked_lm_loss, sentence_order_loss
from bertsmith.nn.models import MaskedLM
from bertsmith.recipes.base import Recipe
from bertsmith.text.corpus import Corpus
from bertsmith.types import Batch, IntArray


def segments(corpus: Corpus, ranges: IntArray, config: DataConfig, seed: int, epoch: int) -> Plan:
    """Section 3.1, "Inter-sentence coherence loss"."""
    return plan_sentence_order(corpus, ranges, config.max_length, config.short_rate, seed, epoch)


def model(config: ModelConfig) -> MaskedLM:
    """Section 3.1: encoder, masked-LM head, sentence-order head."""
    return MaskedLM(config, next_sentence=False, sentence_order=True)


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The sum of the two objectives' means."""
    assert isinstance(model, MaskedLM)
    hidden_TD = model(batch)
    named = masked_lm_loss(model, batch, hidden_TD) | sentence_order_loss(model, batch, hidden_TD)
    return named["mlm_loss"] + named["sop_loss"], named


RECIPE = Recipe(
    citation="Lan et al. 2020, ALBERT: A Lite BERT for Self-supervised Learning",
    config=RunConfig(
        recipe="albert",
        model=ModelConfig(
            norm="post",
            feed_forward="gelu_tanh",
            embedding_size=128,
            share="all",
            dropout=0.0,
            attention_dropout=0.0,
        ),
        data=DataConfig(
            masking="ngram",
            span_max=3,
            mask_rate=0.15,
            mask_token_share=0.8,
            random_token_share=0.1,
        ),
        optim=OptimConfig(name="adamw", lr=5e-4, beta2=0.999, weight_decay=0.01, warmup=0.1),
        budget=BudgetConfig(minutes=20),
    ),
    tokenizer={"kind": "unigram", "lowercase": True, "strip_accents": True},
    segments=segments,
    corrupt=mask,
    model=model,
    loss=loss,
)
