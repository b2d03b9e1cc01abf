"""What a masked LM thinks of whole sentences: pseudo-likelihoods, and which of two it prefers.

A sentence is scored by masking each of its tokens in turn (Salazar et al. 2020, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bertsmith.analysis.intervals import wilson
from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.errors import DataError
from bertsmith.nn.models import MaskedLM, model_device
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example, FloatArray

BATCH_TOKENS = 4096
AT_ONCE = 256
"""Sentences whose masked copies are made together."""


@dataclass(frozen=True)
class Likelihoods:
    """Pseudo-log-likelihoods of N sentences, in nats, and how many tokens each was read in."""

    log_likelihoods: FloatArray  # (N,)
    tokens: FloatArray  # (N,) special ones left out
    unknown: FloatArray  # (N,) those of them that stand for what the vocabulary cannot write

    @property
    def perplexities(self) -> FloatArray:
        """(N,) exp(-log-likelihood / tokens)."""
        each: FloatArray = np.exp(-self.log_likelihoods / self.tokens)
        return each

    @property
    def perplexity(self) -> float:
        """Of all sentences as one corpus (equation 4)."""
        return math.exp(-float(self.log_likelihoods.sum() / self.tokens.sum()))


@dataclass(frozen=True)
class Judgement:
    """Of N pairs, how often the right sentence is the more likely one."""

    margins: FloatArray  # (N,) log-likelihood of the right one less that of the wrong one
    accuracy: float  # ties, which are sentences of the same tokens, count half: chance
    low: float  # of a 95 % interval (Wilson 1927)
    high: float


@torch.inference_mode()
def likelihoods(
    model: MaskedLM,
    tokenizer: Tokenizer,
    sentences: Sequence[str],
    on_sentences: Callable[[int], None] = lambda done: None,
) -> Likelihoods:
    """Each token of each of `sentences` given all others of its sentence.

    Sentences of the same tokens are scored once, and so alike to the bit. Raises DataError for a
    sentence without tokens, or with more than the model reads. `model` is in evaluation mode;
    `on_sentences` is told how many are done.
    """
    sums, counts = np.zeros(len(sentences)), np.zeros(len(sentences))
    device, limit = model_device(model), model.encoder.config.max_position_embeddings
    ids = [tuple(tokenizer.encode(sentence).ids) for sentence in sentences]
    unknown = np.array([own.count(tokenizer.unk_id) for own in ids], np.float64)
    known: dict[tuple[int, ...], int] = {}
    first = [known.setdefault(own, row) for row, own in enumerate(ids)]
    asked = list(known.values())
    for begin in range(0, len(asked), AT_ONCE):
        examples: list[Example] = []
        owners: list[int] = []
        for row in asked[begin : begin + AT_ONCE]:
            copies = _masked_copies(tokenizer, sentences[row], limit)
            examples += copies
            owners += [row] * len(copies)
            counts[row] = len(copies)
        for batch in sequential_batches(ListSource(examples), BATCH_TOKENS):
            moved = batch.to(device)
            scores = model.scores(model(moved), moved.targets["mlm_positions"]).float()
            labels = moved.targets["mlm_labels"][:, None]
            own = scores.log_softmax(dim=1).gather(1, labels).squeeze(1).double().cpu().numpy()
            np.add.at(sums, [owners[index] for index in batch.indices], own)
        on_sentences([*asked, len(sentences)][min(begin + AT_ONCE, len(asked))])
    return Likelihoods(sums[first], counts[first], unknown)


def _masked_copies(tokenizer: Tokenizer, sentence: str, limit: int) -> list[Example]:
    encoding = tokenizer.encode(sentence)
    ids = np.array(encoding.ids, np.int64)
    types = np.array(encoding.type_ids, np.int64)
    places = np.flatnonzero(~np.isin(ids, list(tokenizer.special_ids - {tokenizer.unk_id})))
    if not len(places) or len(ids) > limit:
        what = f"has {len(ids)} tokens, and the model reads {limit}" if len(places) else "is empty"
        raise DataError(what, where=repr(sentence[:60]), mend="give a sentence that fits")
    copies = []
    for at in range(len(places)):
        masked = ids.copy()
        masked[places[at]] = tokenizer.mask_id
        copies.append(Example(masked, types, places[at : at + 1], ids[places[at : at + 1]]))
    return copies


def judge(right: Likelihoods, wrong: Likelihoods) -> Judgement:
    """Whether each sentence of `right` is likelier, as a whole, than the same one of `wrong`
    (Salazar et al. 2020, section 4, on BLiMP).

    Both of the same `likelihoods`: what unknown words or normalisation make the same is a tie.
    """
    margins = right.log_likelihoods - wrong.log_likelihoods
    accuracy = float((margins > 0).mean() + (margins == 0).mean() / 2)
    return Judgement(margins, accuracy, *wilson(accuracy, len(margins)))
