"""Anisotropy: how far vectors of different words point the same way, and what it does to cosines.

Measured are the mean cosine of random tokens (Ethayarajh 2019, section 3.4), what a word's
frequency does to its embedding (Li et al. 2020, BERT-flow, section 2.2 and table 1), and how well
cosines of sentence vectors agree with people (Spearman; the same, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr

from bertsmith.analysis.intervals import DEVIATIONS
from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.errors import DataError
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.heads import first_tokens, mean_tokens
from bertsmith.nn.models import model_device
from bertsmith.nn.sentence import normalised
from bertsmith.tasks.sequences import encode_rows
from bertsmith.tasks.tables import TextRow
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Float32Array, FloatArray, IntArray

RANKS = (100, 500, 5_000, 10_000, 30_000)
"""Where ranges of frequency ranks end: those of Li et al.'s table 1, and one more."""
NEIGHBOURS = 5
BATCH_TOKENS = 8192
AT_ONCE = 1024
"""Words whose distances to all others are held at once."""


@dataclass(frozen=True)
class Sentences:
    """N sentences read once: pooled in several ways, and one token of each looked at."""

    vectors: dict[str, Float32Array]  # "[CLS]", "mean", "first-last", "static": (N, D)
    cosines: FloatArray  # (L+1,) of the tokens drawn, after the embeddings and each layer
    drawn: IntArray  # the ids of those tokens, all of them different
    truncated: int


@dataclass(frozen=True)
class RankRange:
    """Words from one frequency rank to another, the most frequent one's being 1."""

    first: int
    last: int
    norm: float  # mean Euclidean length
    distance: float  # mean Euclidean distance to the nearest NEIGHBOURS words


@dataclass(frozen=True)
class FrequencyEffect:
    """Whether frequent words are short vectors, and rare ones far from all others."""

    ranges: tuple[RankRange, ...]
    words: int
    norm_spearman: float  # of frequency and length: negative where frequent words are short
    distance_spearman: float  # of frequency and distance: negative where rare words are sparse
    # both NaN where all words are as frequent


@dataclass(frozen=True)
class Agreement:
    """Spearman's correlation of cosines with people's ratings, and its 95 % interval."""

    spearman: float
    low: float
    high: float


def mean_cosine(vectors_ND: Float32Array) -> float:
    """Of all pairs of different rows, those of length 0 left out; NaN below two.

    The sum over all pairs is the squared length of the sum of the unit vectors.
    """
    unit = normalised(vectors_ND).astype(np.float64)
    return _of_all_pairs(unit.sum(axis=0), int((unit != 0).any(axis=1).sum()))


def _of_all_pairs(sum_D: FloatArray, count: int) -> float:
    if count < 2:
        return float("nan")
    return float((sum_D @ sum_D - count) / (count * (count - 1)))


def draw_tokens(ids: Sequence[Sequence[int]], left_out: frozenset[int]) -> list[int]:
    """For each text the place of one of its `ids`, -1 where it has none, no id drawn twice.

    So no two stand in one text, and none is alike another for being the same word. The seed is
    fixed.
    """
    generator = np.random.default_rng(0)
    taken = set(left_out)
    places = [-1] * len(ids)
    for row in generator.permutation(len(ids)).tolist():
        free = [place for place, index in enumerate(ids[row]) if index not in taken]
        if free:
            places[row] = free[int(generator.integers(len(free)))]
            taken.add(ids[row][places[row]])
    return places


@torch.no_grad()
def read_sentences(
    encoder: Encoder,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    max_length: int,
    on_texts: Callable[[int], None] = lambda done: None,
) -> Sentences:
    """Vectors of `texts` by every pooling, and the mean cosine of their tokens by layer.

    "first-last" is the mean of layers 1 and L, "static" that of the word embeddings as they
    stand in the table, special tokens left out; [CLS] and the mean of all tokens, special ones
    included, are of the last layer. `encoder` is in evaluation mode.
    """
    encoded = encode_rows([TextRow(text) for text in texts], tokenizer, max_length)
    ids = [example.input_ids.tolist() for example in encoded.examples]
    specials = tokenizer.special_ids - {tokenizer.unk_id}
    places = draw_tokens(ids, tokenizer.special_ids)
    layers, device = encoder.config.num_layers, model_device(encoder)
    table_VD = encoder.embeddings.word.weight.float()
    special_ids = torch.tensor(sorted(specials), device=device)
    sizes = {"[CLS]": 0, "mean": 0, "first-last": 0} | {"static": table_VD.shape[1]}
    vectors: dict[str, Float32Array] = {
        name: np.zeros((len(texts), size or encoder.config.hidden_size), np.float32)
        for name, size in sizes.items()
    }
    sums_LD = np.zeros((layers + 1, encoder.config.hidden_size))
    done = 0
    for batch in sequential_batches(ListSource(encoded.examples), BATCH_TOKENS):
        rows, moved = list(batch.indices), batch.to(device)
        starts = batch.cu_seqlens[:-1]
        at = [int(start) + places[row] for start, row in zip(starts, rows, strict=True)]
        chosen = torch.tensor(
            [a for a, row in zip(at, rows, strict=True) if places[row] >= 0], dtype=torch.int64
        )
        first_BD = None
        for layer, state_TD in enumerate(encoder.hidden_states(moved)):
            hidden_TD = state_TD.float()
            unit = normalised(hidden_TD[chosen.to(device)].cpu().numpy())
            sums_LD[layer] += unit.sum(axis=0, dtype=np.float64)
            if layer == 1:
                first_BD = mean_tokens(hidden_TD, batch.lengths)
        mean_BD = mean_tokens(hidden_TD, batch.lengths)
        both_BD = mean_BD if first_BD is None else (first_BD + mean_BD) / 2
        is_word_T1 = (~torch.isin(moved.input_ids, special_ids))[:, None].float()
        static_BD = mean_tokens(table_VD[moved.input_ids] * is_word_T1, batch.lengths)
        shares_B1 = mean_tokens(is_word_T1, batch.lengths)
        static_BD = torch.where(shares_B1 > 0, static_BD / shares_B1, 0.0)
        found = (first_tokens(hidden_TD, batch.lengths), mean_BD, both_BD, static_BD)
        for name, part in zip(sizes, found, strict=True):
            vectors[name][rows] = part.cpu().numpy()
        done += len(rows)
        on_texts(done)
    drawn = [own[place] for own, place in zip(ids, places, strict=True) if place >= 0]
    cosines = np.array([_of_all_pairs(sum_D, len(drawn)) for sum_D in sums_LD])
    return Sentences(vectors, cosines, np.array(drawn, np.int64), encoded.truncated)


@torch.no_grad()
def frequency_effect(
    vectors_ND: Float32Array,
    counts_N: IntArray,
    on_words: Callable[[int], None] = lambda done: None,
) -> FrequencyEffect:
    """Lengths, and distances to the nearest others, of words that occur `counts_N` times.

    Of words that do occur, the 30,000 most frequent; `on_words` is told how many are done. Raises
    DataError where they are no more than NEIGHBOURS.
    """
    order = np.argsort(-counts_N, kind="stable")[: int((counts_N > 0).sum())][: RANKS[-1]]
    if len(order) <= NEIGHBOURS:
        raise DataError(f"{len(order)} words are too few to be compared", mend="give more text")
    words = torch.from_numpy(vectors_ND[order])
    norms, distances = words.norm(dim=1).numpy(), _neighbour_distances(words, on_words)
    ranges, first = [], 0
    for last in RANKS:
        part = slice(first, min(last, len(order)))
        if first < len(order):
            means = (float(values[part].mean(dtype=np.float64)) for values in (norms, distances))
            ranges.append(RankRange(first + 1, part.stop, *means))
        first = last
    counts = counts_N[order]
    both = [float("nan")] * 2
    if np.ptp(counts):
        both = [float(spearmanr(counts, values).statistic) for values in (norms, distances)]
    return FrequencyEffect(tuple(ranges), len(order), *both)


def _neighbour_distances(words_ND: torch.Tensor, on_words: Callable[[int], None]) -> Float32Array:
    """(N,) mean distance to the NEIGHBOURS nearest other rows."""
    squares_N = words_ND.square().sum(dim=1)
    found = []
    for begin in range(0, len(words_ND), AT_ONCE):
        part = words_ND[begin : begin + AT_ONCE]
        distances = squares_N - 2 * part @ words_ND.T + squares_N[begin : begin + AT_ONCE, None]
        distances.diagonal(begin).fill_(torch.inf)
        nearest = distances.topk(NEIGHBOURS, dim=1, largest=False).values
        found.append(nearest.clamp(min=0).sqrt().mean(dim=1))
        on_words(begin + len(part))
    each: Float32Array = torch.cat(found).numpy()
    return each


def agreement(first_ND: Float32Array, second_ND: Float32Array, ratings_N: FloatArray) -> Agreement:
    """Spearman's correlation of the rows' cosines with `ratings_N`, ties by their mean rank.

    The interval is Bonett & Wright's (2000), by Fisher's z. All NaN below four pairs, or where
    either side is constant.
    """
    cosines = (normalised(first_ND).astype(np.float64) * normalised(second_ND)).sum(axis=1)
    if len(ratings_N) < 4 or np.ptp(cosines) == 0 or np.ptp(ratings_N) == 0:
        return Agreement(*[float("nan")] * 3)
    found = float(spearmanr(cosines, ratings_N).statistic)
    z = np.arctanh(np.clip(found, -1 + 1e-12, 1 - 1e-12))
    half = DEVIATIONS * np.sqrt((1 + found**2 / 2) / (len(ratings_N) - 3))
    return Agreement(found, float(np.tanh(z - half)), float(np.tanh(z + half)))
