"""What each layer knows: linear probes beside control tasks, and the plane of most variance.

A probe is multinomial logistic regression on frozen vectors, standardised by its training set.
What it gets right may be learnt by the probe itself, so that each task has a control (Hewitt &
Liang 2019): every word type has a label drawn at random, out of the labels' own distribution.
Selectivity is accuracy less that of the control. Sentence length and word content are tasks of
Conneau et al. 2018 (section 2); the control of a sentence is drawn for its first word, which
is our own extension.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.errors import DataError
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.heads import mean_tokens
from bertsmith.nn.models import is_word, model_device, word_counts
from bertsmith.tasks.bootstrap import intervals
from bertsmith.tasks.many_scores import of_means
from bertsmith.tasks.metrics import score_classes
from bertsmith.types import Batch, Example, Float32Array, FloatArray, IntArray

PENALTY = 0.01
"""C of scikit-learn: the smaller, the smaller the weights."""
ITERATIONS = 200
"""Of L-BFGS at most. Where it has not converged, the probe is the one that it has come to."""
BATCH_TOKENS = 4096
LENGTH_BINS = (5, 9, 13, 17, 21, 26, 29)
"""Words at which each of the six classes of length begins, and the end of the last."""
FEWEST = 10
"""Sentences of a class, in both splits together."""
SMALLEST_SPREAD = 1e-6
"""Of a standardised dimension; one that varies less is left as it is."""

Pool = Callable[[Tensor, Batch], tuple[Tensor, Sequence[int]]]
"""(T, D) to the vectors of a batch and how many each of its examples has."""


@dataclass(frozen=True)
class Items:
    """N things to be told: the class of each, the type that a control draws for, its sentence."""

    labels: IntArray  # (N,)
    types: tuple[str, ...]  # N
    sentences: IntArray  # (N,) those of one sentence are drawn together for an interval

    def __len__(self) -> int:
        return len(self.types)


@dataclass(frozen=True)
class Score:
    """Of one task in one layer, on test items. Intervals are of 95 %, over test sentences."""

    accuracy: float
    low: float
    high: float
    macro_f1: float
    control: float  # mean accuracy over the draws of the control task
    selectivity: float
    selectivity_low: float
    selectivity_high: float


def words_told(hidden_TD: Tensor, batch: Batch) -> tuple[Tensor, Sequence[int]]:
    """A word's vector is that of its first piece (BERT, section 5.3)."""
    return hidden_TD[is_word(batch)], word_counts(batch).tolist()


def sentence_means(hidden_TD: Tensor, batch: Batch) -> tuple[Tensor, Sequence[int]]:
    """A sentence's vector is the mean of its tokens."""
    return mean_tokens(hidden_TD, batch.lengths), [1] * len(batch.lengths)


@torch.inference_mode()
def layer_vectors(
    encoder: Encoder,
    examples: Sequence[Example],
    pool: Pool,
    on_examples: Callable[[int], None] = lambda done: None,
) -> Float32Array:
    """(L+1, N, D): what `pool` takes of each layer, in the examples' order; layer 0 is the
    embeddings' output. `on_examples` is told how many are done."""
    parts: list[Float32Array] = [np.zeros((0, 0, 0), np.float32)] * len(examples)
    device, done = model_device(encoder), 0
    encoder.eval()
    for batch in sequential_batches(ListSource(list(examples)), BATCH_TOKENS):
        moved = batch.to(device)
        taken = [pool(state, moved) for state in encoder.hidden_states(moved)]
        stacked = torch.stack([rows for rows, _ in taken]).float().cpu()
        for index, own in zip(
            batch.indices, torch.split(stacked, list(taken[0][1]), dim=1), strict=True
        ):
            parts[index] = own.numpy()
        done += len(batch.indices)
        on_examples(done)
    return np.concatenate(parts, axis=1)


def control_labels(train: Items, test: Items, seed: int) -> tuple[IntArray, IntArray]:
    """A label for each type, drawn out of the training labels (Hewitt & Liang 2019, section 2)."""
    generator = np.random.default_rng(seed)
    types = sorted({*train.types, *test.types})
    drawn = dict(zip(types, generator.choice(train.labels, size=len(types)), strict=True))
    first, second = (np.array([drawn[own] for own in part.types]) for part in (train, test))
    return first, second


def predict(train_ND: Float32Array, labels_N: IntArray, test_MD: Float32Array) -> IntArray:
    """(M,) labels, by logistic regression on vectors standardised as those of training are."""
    if len(np.unique(labels_N)) < 2:
        return np.full(len(test_MD), labels_N[0])
    mean, spread = train_ND.mean(axis=0), train_ND.std(axis=0)
    scale = np.where(spread > SMALLEST_SPREAD, spread, 1)
    probe = LogisticRegression(C=PENALTY, max_iter=ITERATIONS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit((train_ND - mean) / scale, labels_N)
    predicted: IntArray = probe.predict((test_MD - mean) / scale)
    return predicted


def score_layer(
    train_ND: Float32Array,
    train: Items,
    test_MD: Float32Array,
    test: Items,
    num_classes: int,
    draws: int,
) -> Score:
    """A probe and `draws` controls on the vectors of one layer."""
    predicted = predict(train_ND, train.labels, test_MD)
    right = (predicted == test.labels).astype(np.float64)
    controls = []
    for seed in range(draws):
        known, unknown = control_labels(train, test, seed)
        controls.append(predict(train_ND, known, test_MD) == unknown)
    control = np.mean(controls, axis=0)
    metrics = score_classes(test.labels, predicted, num_classes)
    ends = mean_intervals({"accuracy": right, "selectivity": right - control}, test.sentences)
    return Score(
        accuracy=metrics.accuracy,
        low=ends["accuracy"][0],
        high=ends["accuracy"][1],
        macro_f1=metrics.macro_f1,
        control=float(control.mean()),
        selectivity=float((right - control).mean()),
        selectivity_low=ends["selectivity"][0],
        selectivity_high=ends["selectivity"][1],
    )


def mean_intervals(values: Mapping[str, FloatArray], groups_N: IntArray) -> dict[str, list[float]]:
    """95 % intervals of the means of each of `values` (N,), whose groups are drawn anew."""
    return intervals(of_means(values, groups_N.tolist()), list(values))


def majority(train: Items, test: Items) -> float:
    """The accuracy of the training items' most frequent class."""
    return float((test.labels == np.bincount(train.labels).argmax()).mean())


def principal_plane(vectors_ND: Float32Array) -> tuple[FloatArray, FloatArray]:
    """(N, 2) places in the plane of most variance, and the share of each of its two directions.

    Signs are such that the farthest point of each direction is positive.
    """
    centred = vectors_ND.astype(np.float64) - vectors_ND.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    places = left[:, :2] * values[:2]
    farthest = places[np.abs(places).argmax(axis=0), [0, 1]]
    shares: FloatArray = values[:2] ** 2 / max(float((values**2).sum()), 1e-12)
    return places * np.where(farthest < 0, -1.0, 1.0), shares


def by_length(sentences: Sequence[Sequence[str]], count: int) -> tuple[list[int], IntArray]:
    """Which sentences of words to take, and the bin of each: `count` in all, the bins alike, in
    any part of them too.

    Raises DataError where a bin has fewer than ten.
    """
    bins: list[list[int]] = [[] for _ in pairwise(LENGTH_BINS)]
    for place, words in enumerate(sentences):
        number = int(np.searchsorted(LENGTH_BINS, len(words), side="right")) - 1
        if 0 <= number < len(bins):
            bins[number].append(place)
    return _level(bins, count, "sentences of each length, 5 to 28 words")


def by_content(
    sentences: Sequence[Sequence[str]], count: int, num_words: int
) -> tuple[list[int], IntArray, list[str]]:
    """Sentences that have exactly one of `num_words` words, which of them, and the words.

    The words are the rarest ones with enough sentences for `count` in all. Raises DataError
    where there are fewer than ten sentences for each.
    """
    folded = [{word.casefold() for word in words if word.isalpha()} for words in sentences]
    frequency = Counter(word for words in folded for word in words)
    enough = 1.5 * count / num_words
    rare = sorted((own, word) for word, own in frequency.items() if own >= enough)
    others = sorted((-own, word) for word, own in frequency.items() if own < enough)
    known = [word for _, word in (*rare, *others)]
    chosen = {word: number for number, word in enumerate(known[:num_words])}
    classes: list[list[int]] = [[] for _ in chosen]
    for place, words in enumerate(folded):
        found = words & chosen.keys()
        if len(found) == 1:
            classes[chosen[found.pop()]].append(place)
    taken, labels = _level(classes, count, f"sentences with one of {num_words} words")
    return taken, labels, list(chosen)


def _level(classes: Sequence[Sequence[int]], count: int, what: str) -> tuple[list[int], IntArray]:
    """As many of each class, `count` in all at most: the places, and their classes.

    One of each class comes after the other, so that a part of them has all classes alike.
    """
    most = count // max(len(classes), 1)
    if most < FEWEST:
        raise DataError(
            f"{count:,} {what}, training and test together, are fewer than {FEWEST} of each",
            mend="ask for more (--sentences)",
        )
    each = min(most, *map(len, classes)) if len(classes) > 1 else 0
    if each < FEWEST:
        fewest = min(map(len, classes), default=0)
        raise DataError(f"too few {what}: {fewest} of the rarest", mend="give more text")
    pairs = [(own[rank], label) for rank in range(each) for label, own in enumerate(classes)]
    return [place for place, _ in pairs], np.array([label for _, label in pairs], dtype=np.int64)
