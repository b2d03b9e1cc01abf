"""word2vec: skip-gram with negative sampling. The other architecture is in cbow.py.

Mikolov, Sutskever, Chen, Corrado & Dean: Distributed Representations of Words and Phrases and
their Compositionality. NIPS 2013.

    tokenizer    whole words, lower-cased
    segments     plain runs of a document's words, no special tokens
    corruption   frequent words dropped at random; windows and noise words drawn
    model        two tables
    loss         each word told from noise words by each word of its context
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch import Tensor, nn

from bertsmith.config import BudgetConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from bertsmith.data.segments import Vocabulary
from bertsmith.nn.word2vec import Word2Vec, skip_gram_loss
from bertsmith.recipes.base import Recipe
from bertsmith.text.corpus import Corpus
from bertsmith.types import Batch, Example, FloatArray, IntArray, Segment

NOISE_POWER = 0.75
"""Of the frequencies, for the noise (section 2.2)."""


@dataclass(frozen=True)
class Runs:
    """Runs of tokens of one document each, without special tokens."""

    begins: IntArray  # (k,) global token offsets
    ends: IntArray

    def __len__(self) -> int:
        return len(self.begins)

    @property
    def lengths(self) -> IntArray:
        """(k,) tokens of each run."""
        return self.ends - self.begins

    def read(self, corpus: Corpus, vocabulary: Vocabulary, index: int) -> Segment:
        """Run `index`, read from disk."""
        begin, end = int(self.begins[index]), int(self.ends[index])
        return Segment(
            input_ids=corpus.read(begin, end),
            token_type_ids=np.zeros(end - begin, dtype=np.int64),
            is_special=np.zeros(end - begin, dtype=np.bool_),
            word_starts=corpus.word_starts(begin, end),
        )


def segments(corpus: Corpus, ranges: IntArray, config: DataConfig, seed: int, epoch: int) -> Runs:
    """Each document in runs of `max_length` words; the released code cuts at 1,000."""
    begin, end = ranges.T
    count = -(-(end - begin) // config.max_length)
    row = np.repeat(np.arange(len(ranges)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    begins = begin[row] + number * config.max_length
    return Runs(begins, np.minimum(begins + config.max_length, end[row]))


def corrupt(
    segment: Segment, generator: np.random.Generator, vocabulary: Vocabulary, config: DataConfig
) -> Example:
    """What is left of the words, with a window and noise words for each.

    A word of frequency f above t, `subsample`, is kept with probability sqrt(t / f) (section
    2.3); what the vocabulary does not hold is left out. Windows are drawn from 1 to `window`
    (Mikolov et al. 2013a, section 3.2).
    """
    ids = segment.input_ids
    is_kept = np.isin(ids, vocabulary.regular_ids)
    if config.subsample:
        assert vocabulary.frequencies is not None
        draws = generator.random(len(ids))
        is_kept &= draws**2 * vocabulary.frequencies[ids] < config.subsample
    kept = ids[is_kept]
    draws = generator.random((len(kept), config.negatives))
    targets = {
        "windows": generator.integers(1, config.window, endpoint=True, size=len(kept)),
        "negatives": np.searchsorted(_noise(vocabulary), draws, side="right"),
    }
    return Example(kept, segment.token_type_ids[is_kept], token_targets=targets)


@lru_cache(maxsize=2)
def _noise(vocabulary: Vocabulary) -> FloatArray:
    """(V,) the cumulative distribution of noise words; special tokens are none."""
    assert vocabulary.frequencies is not None
    weights = np.zeros(vocabulary.size)
    regular = vocabulary.regular_ids
    weights[regular] = vocabulary.frequencies[regular] ** NOISE_POWER
    cumulative = np.cumsum(weights)
    shares: FloatArray = cumulative / cumulative[-1]
    return shares


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Skip-gram's."""
    assert isinstance(model, Word2Vec)
    named = skip_gram_loss(model, batch)
    return named["ns_loss"], named


RECIPE = Recipe(
    citation="Mikolov et al. 2013, Distributed Representations of Words and Phrases",
    config=RunConfig(
        recipe="word2vec",
        # A copy of the tables in bfloat16 would be rounded anew at every step.
        precision="float32",
        model=ModelConfig(
            num_layers=1, num_heads=1, hidden_size=100, max_position_embeddings=1000, dropout=0.0
        ),
        data=DataConfig(max_length=1000, short_rate=0.0, window=5, negatives=5, subsample=1e-4),
        optim=OptimConfig(
            name="adamw",
            lr=2.5e-3,
            eps=1e-12,  # a word's gradient is a mean over the whole batch's pairs
            weight_decay=0.0,
            batch_tokens=8192,
            warmup=0.0,
        ),
        budget=BudgetConfig(minutes=5),
    ),
    tokenizer={"kind": "words", "lowercase": True, "strip_accents": False},
    segments=segments,
    corrupt=corrupt,
    model=Word2Vec,
    loss=loss,
)
