"""T5: cut spans out of the text, and let a decoder say them.

Raffel, Shazeer, Roberts, Lee, Narang, Matena, Zhou, Li & Liu: Exploring the Limits of Transfer
Learning with a Unified Text-to-Text Transformer. JMLR 21 (140), 2020.

    tokenizer    Unigram (SentencePiece) of text as it is, </s>, 100 sentinels
    segments     whole sentences of one document
    corruption   15 % of the tokens, in spans of 3 on average, each a sentinel
    model        pre-norm encoder and decoder without biases, RMSNorm, ReLU, relative positions
    loss         cross entropy of what the decoder says: each sentinel and its span
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bertsmith.config import BudgetConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from bertsmith.data.denoise import corrupt_spans
from bertsmith.data.segments import Plan, plan_singles
from bertsmith.errors import CorpusError
from bertsmith.nn.attention import CrossAttention, SelfAttention
from bertsmith.nn.embeddings import RelativePositions
from bertsmith.nn.losses import decoder_loss
from bertsmith.nn.models import EncoderDecoder
from bertsmith.recipes.base import Recipe
from bertsmith.text.corpus import Corpus
from bertsmith.types import Batch, IntArray


def segments(corpus: Corpus, ranges: IntArray, config: DataConfig, seed: int, epoch: int) -> Plan:
    """As many whole sentences of a document as fit."""
    if not corpus.tokenizer().sentinel_ids:
        raise CorpusError(
            "its tokenizer has no <extra_id_0>",
            where=corpus.folder,
            mend="make one with `bertsmith tokenizer train --recipe t5`, and the corpus with it",
        )
    return plan_singles(corpus, ranges, config.max_length, config.short_rate, seed, epoch)


def model(config: ModelConfig) -> EncoderDecoder:
    """Section 2.1, drawn as in the released code."""
    network = EncoderDecoder(config)
    initialise(network)
    return network


@torch.no_grad()
def initialise(network: EncoderDecoder) -> None:
    """Embeddings of deviation 1, matrices of 1 / sqrt(inputs); and since nothing scales the
    scores of attention, queries a further sqrt(head size) smaller."""
    for part in network.modules():
        if isinstance(part, nn.Linear):
            part.weight.normal_(0.0, part.in_features**-0.5)
        elif isinstance(part, nn.Embedding):
            part.weight.normal_(0.0, 1.0)
    for part in network.modules():
        if isinstance(part, SelfAttention):
            part.qkv.weight[: part.qkv.in_features].mul_(part.head_size**-0.5)
        elif isinstance(part, CrossAttention):
            part.q.weight.mul_(part.head_size**-0.5)
        elif isinstance(part, RelativePositions):
            part.table.weight.mul_(network.encoder.config.hidden_size**-0.5)


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Maximum likelihood of the decoder's tokens, each given those before it (section 2.1)."""
    assert isinstance(model, EncoderDecoder)
    named = decoder_loss(model, batch, model(batch))
    return named["decoder_loss"], named


RECIPE = Recipe(
    citation="Raffel et al. 2020, Exploring the Limits of Transfer Learning with a Unified "
    "Text-to-Text Transformer",
    config=RunConfig(
        recipe="t5",
        model=ModelConfig(
            num_decoder_layers=4,
            norm="pre",
            norm_kind="rms",
            embedding_norm=False,
            positions="relative",
            feed_forward="relu",
            bias=False,
            scale_logits=True,
            pooling="mean",
            type_vocab_size=0,
            dropout=0.1,
            attention_dropout=0.1,
            inner_dropout=0.1,
            layer_norm_eps=1e-6,
        ),
        data=DataConfig(short_rate=0.0, mask_rate=0.15, span_mean=3.0),
        optim=OptimConfig(name="adamw", lr=2e-3, beta2=0.999, weight_decay=0.01, warmup=0.1),
        budget=BudgetConfig(minutes=20),
    ),
    tokenizer={
        "kind": "unigram",
        "lowercase": False,
        "strip_accents": False,
        "isolate_chinese": False,
        "special_tokens": "t5",
    },
    segments=segments,
    corrupt=corrupt_spans,
    model=model,
    loss=loss,
)
