"""RoBERTa: BERT without the pair objective, on full sentences, with longer and better training.

Liu, Ott, Goyal, Du, Joshi, Chen, Levy, Lewis, Zettlemoyer & Stoyanov: RoBERTa: A Robustly
Optimized BERT Pretraining Approach. arXiv:1907.11692, 2019.

    tokenizer    byte-level BPE of text as it is
    segments     full sentences, on from one document into the next
    corruption   as BERT, drawn anew in every epoch ("dynamic masking")
    model        BERT's with one token type and positions that begin after the padding's
    loss         masked LM
"""

from __future__ import annotations

from dataclasses import replace

from bertsmith.config import DataConfig, ModelConfig, OptimConfig
from bertsmith.data.full_sentences import FullSentences, plan_full_sentences
from bertsmith.recipes import bert, modern
from bertsmith.text.corpus import Corpus
from bertsmith.types import IntArray


def segments(
    corpus: Corpus, ranges: IntArray, config: DataConfig, seed: int, epoch: int
) -> FullSentences:
    """FULL-SENTENCES (section 4.2): up to `max_length` tokens, never aimed at fewer."""
    return plan_full_sentences(corpus, ranges, config.max_length)


RECIPE = replace(
    bert.RECIPE,
    citation="Liu et al. 2019, RoBERTa: A Robustly Optimized BERT Pretraining Approach",
    config=bert.RECIPE.config.model_copy(
        update={
            "recipe": "roberta",
            "model": ModelConfig(
                norm="post",
                dropout=0.1,
                attention_dropout=0.1,
                type_vocab_size=1,
                position_offset=2,
                layer_norm_eps=1e-5,
            ),
            "data": DataConfig(
                max_length=512,
                short_rate=0.0,
                mask_rate=0.15,
                mask_token_share=0.8,
                random_token_share=0.1,
            ),
            "optim": OptimConfig(
                name="adamw", lr=6e-4, beta2=0.98, eps=1e-6, weight_decay=0.01, warmup=0.048
            ),
        }
    ),
    tokenizer={
        "kind": "bpe",
        "lowercase": False,
        "strip_accents": False,
        "isolate_chinese": False,
        "special_tokens": "roberta",
    },
    segments=segments,
    model=modern.model,
    loss=modern.loss,
)
