"""The vector between two languages: added on the way up, it changes the language that comes out.

It is the difference of the mean vectors of two languages' tokens in a layer. Tokens of one language
with it, read by the masked-LM head, come out as tokens of the other (Liu et al. 2020,
arXiv:2004.09205). Whether they are translations is asked of a dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bertsmith.analysis.occurrences import NONE, TokenizedSentence
from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.nn.models import MaskedLM, model_device
from bertsmith.tasks.bootstrap import interval_of_ratio
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import BoolArray, Float32Array, FloatArray, IntArray

SOURCE, TARGET = 0, 1
LEANING = 0.9
"""A token is of the language that has so much of its use, both having as much text."""
BATCH_TOKENS = 1024


@dataclass(frozen=True)
class Shift:
    """A vector that is added to what a layer makes of every token but the special ones."""

    layer: int  # 0: the embeddings' output
    vector: Float32Array  # (D,)


@dataclass(frozen=True)
class Rates:
    """What came out for the tokens of some sentences, with 95 % intervals over the sentences."""

    tokens: int
    """Of the source language."""
    turned: float
    """The share of them for which one of the target language came out."""
    turned_low: float
    turned_high: float
    asked: int
    """Tokens of words that the dictionary has."""
    hits: float
    """The share of them for which a token of a translation came out."""
    hits_low: float
    hits_high: float
    dealt: float
    """The share of hits were what came out for these tokens dealt out to them at random."""


@dataclass(frozen=True)
class Identified:
    """How often the language is told from one token's vector; 0.5 by guessing."""

    probe: float  # by a linear probe
    along: float  # by the difference of the languages' means alone


def leanings(
    source: Sequence[TokenizedSentence], target: Sequence[TokenizedSentence], vocab_size: int
) -> IntArray:
    """(V,) SOURCE, TARGET or NONE: which language each token is of, by its use in both."""
    shares_2V = np.stack([_shares(sentences, vocab_size) for sentences in (source, target)])
    of_target_V = shares_2V[TARGET] / np.maximum(shares_2V.sum(axis=0), 1e-12)
    is_used_V = shares_2V.sum(axis=0) > 0
    leaning_V = np.where(of_target_V >= LEANING, TARGET, NONE)
    return np.where(is_used_V & (of_target_V <= 1 - LEANING), SOURCE, leaning_V)


def _shares(sentences: Sequence[TokenizedSentence], vocab_size: int) -> FloatArray:
    ids = np.concatenate([sentence.ids for sentence in sentences])
    shares: FloatArray = np.bincount(ids, minlength=vocab_size) / len(ids)
    return shares


@torch.inference_mode()
def shifted_outputs(
    model: MaskedLM,
    tokenizer: Tokenizer,
    sentences: Sequence[TokenizedSentence],
    shifts: Sequence[Shift],
    on_sentences: Callable[[int], None] = lambda done: None,
) -> list[list[IntArray]]:
    """For each shift and each sentence, (n,) the likeliest token at each of its places.

    Nothing is masked. `model` is in evaluation mode; `on_sentences` is told how many are done.
    """
    device = model_device(model)
    examples = [sentence.example(tokenizer, np.zeros_like(sentence.ids)) for sentence in sentences]
    vectors = [torch.from_numpy(shift.vector).to(device) for shift in shifts]
    found: list[list[IntArray]] = [[np.zeros(0, np.int64)] * len(sentences) for _ in shifts]
    done = 0
    for batch in sequential_batches(ListSource(examples), BATCH_TOKENS):
        moved = batch.to(device)
        is_regular_T = moved.targets["unit"] != NONE
        places = is_regular_T.nonzero().squeeze(1)
        ends = np.cumsum(np.array(batch.lengths) - 2)[:-1]
        states = list(model.encoder.hidden_states(moved))
        for number, (shift, vector_D) in enumerate(zip(shifts, vectors, strict=True)):
            shifted_TD = states[shift.layer] + is_regular_T[:, None] * vector_D
            (*_, last_TD) = (shifted_TD, *model.encoder.continued(moved, shifted_TD, shift.layer))
            best = model.scores(last_TD, places).argmax(dim=1).cpu().numpy()
            for index, ids in zip(batch.indices, np.split(best, ends), strict=True):
                found[number][index] = ids
        done += batch.num_sequences
        on_sentences(done)
    return found


Answers = Sequence[frozenset[int] | None]
"""For each token of a sentence the tokens of its word's translations; None: it is not asked."""


def rates(
    outputs: Sequence[IntArray],
    sentences: Sequence[TokenizedSentence],
    answers: Sequence[Answers],
    leaning_V: IntArray,
) -> Rates:
    """What came out for `sentences`, held against `answers` and the languages of tokens."""
    counts = np.zeros((len(sentences), 4), np.int64)  # of the source, turned, asked, hits
    asked: list[frozenset[int]] = []
    said: Counter[int] = Counter()
    for row, (ids, sentence, right) in enumerate(zip(outputs, sentences, answers, strict=True)):
        is_source = leaning_V[sentence.ids] == SOURCE
        counts[row, :2] = is_source.sum(), (is_source & (leaning_V[ids] == TARGET)).sum()
        for token, answer in zip(ids.tolist(), right, strict=True):
            if answer is not None:
                asked.append(answer)
                said[token] += 1
                counts[row, 2:] += 1, token in answer
    tokens, turned, all_asked, hits = counts.sum(axis=0).tolist()
    dealt = sum(said[token] for answer in asked for token in answer)
    return Rates(
        tokens,
        turned / max(tokens, 1),
        *interval_of_ratio(counts[:, 1], counts[:, 0]),
        all_asked,
        hits / max(all_asked, 1),
        *interval_of_ratio(counts[:, 3], counts[:, 2]),
        dealt / max(all_asked, 1) ** 2,
    )


def identified(
    states_LND: Float32Array, is_target_N: BoolArray, is_train_N: BoolArray
) -> list[Identified]:
    """For each layer, how well the language is told of tokens that are not `is_train_N`.

    Balanced accuracies. Tokens for training and for the test should be of different entries of
    the vocabulary and out of different sentences: what is asked is whether all vectors of a
    language have something in common.
    """
    found = []
    train, test = is_train_N, ~is_train_N
    for states_ND in states_LND:
        probe = make_pipeline(StandardScaler(), RidgeClassifier(class_weight="balanced"))
        probe.fit(states_ND[train], is_target_N[train])
        means = [states_ND[train & (is_target_N == side)].mean(axis=0) for side in (False, True)]
        along_N = (states_ND - (means[0] + means[1]) / 2) @ (means[1] - means[0]) > 0
        said = (probe.predict(states_ND[test]), along_N[test])
        found.append(
            Identified(*(float(balanced_accuracy_score(is_target_N[test], s)) for s in said))
        )
    return found
