"""The fast profile: what makes a small budget go far.

Pre-norm (Xiong et al. 2020), no biases, GeGLU (Shazeer 2020) and rotary positions (Su et al.
2021), the encoder of ModernBERT (Warner et al. 2024) with global attention throughout; no
dropout while pre-training (Geiping & Goldstein 2023, Cramming); 30 % masked (Wettig et al. 2023);
Muon on the hidden matrices and AdamW on the rest (Jordan et al. 2024), at rates that rise, hold and
then fall (Hu et al. 2024). Without an objective on pairs nothing is read from
[CLS] while pre-training, so classifiers see the mean of the tokens.

    tokenizer    as BERT
    segments     whole sentences of one document, no pairs
    corruption   as BERT, 30 % of the tokens
    model        ModernBERT's encoder, masked-LM head
    loss         masked LM
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bertsmith.config import BudgetConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from bertsmith.data.corrupt import mask
from bertsmith.data.segments import Plan, plan_singles
from bertsmith.nn.losses import masked_lm_loss
from bertsmith.nn.models import MaskedLM
from bertsmith.recipes import bert
from bertsmith.recipes.base import Recipe
from bertsmith.text.corpus import Corpus
from bertsmith.types import Batch, IntArray


def segments(corpus: Corpus, ranges: IntArray, config: DataConfig, seed: int, epoch: int) -> Plan:
    """As many whole sentences of a document as fit."""
    return plan_singles(corpus, ranges, config.max_length, config.short_rate, seed, epoch)


def model(config: ModelConfig) -> MaskedLM:
    """Encoder and masked-LM head."""
    return MaskedLM(config, next_sentence=False)


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Masked LM alone."""
    assert isinstance(model, MaskedLM)
    named = masked_lm_loss(model, batch, model(batch))
    return named["mlm_loss"], named


RECIPE = Recipe(
    citation="Warner et al. 2024, ModernBERT; Geiping & Goldstein 2023, Cramming; "
    "Jordan et al. 2024, Muon",
    config=RunConfig(
        recipe="modern",
        model=ModelConfig(
            norm="pre",
            positions="rotary",
            feed_forward="geglu",
            intermediate_size=688,
            bias=False,
            pooling="mean",
            type_vocab_size=0,
            dropout=0.0,
            attention_dropout=0.0,
            layer_norm_eps=1e-5,
        ),
        data=DataConfig(short_rate=0.0, mask_rate=0.3),
        optim=OptimConfig(
            name="muon",
            lr=2e-3,
            muon_lr=0.02,
            beta2=0.98,
            weight_decay=0.1,
            warmup=0.05,
            decay="stable",
        ),
        budget=BudgetConfig(minutes=5),
    ),
    tokenizer=bert.RECIPE.tokenizer,
    segments=segments,
    corrupt=mask,
    model=model,
    loss=loss,
)
