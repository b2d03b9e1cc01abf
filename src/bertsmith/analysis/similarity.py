"""One word's vectors in many sentences: are its senses apart?

Devlin et al.'s encoder gives a word another vector in every context; the cosine between
them says how alike it takes two uses to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import silhouette_score
from tokenizers import Encoding

from bertsmith.data.pack import collate
from bertsmith.errors import DataError
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.models import model_device
from bertsmith.nn.sentence import mixed_layers
from bertsmith.text.split import split_words
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import BoolArray, Example, FloatArray, IntArray

PERMUTATIONS = 10_000
_PAIRS_AT_ONCE = 1 << 20
"""Pairs of sentences times deals."""


@dataclass(frozen=True)
class Similarity:
    """The cosine matrix of one word in N sentences, ordered so that like stands by like."""

    word: str
    sentences: tuple[str, ...]  # N, in the matrix's order
    matrix: FloatArray  # (N, N)
    order: tuple[int, ...]  # which of the sentences given each one is


@dataclass(frozen=True)
class Separation:
    """How far apart two or more senses are: mean cosines, and how likely chance does as well."""

    within: float  # of two sentences of one sense
    between: float  # of two of different senses
    silhouette: float  # Rousseeuw 1987, of 1 - cosine; -1 to 1, 0 where senses are not apart
    p_value: float  # of a `gap` as large with the senses dealt out at random

    @property
    def gap(self) -> float:
        """`within` less `between`."""
        return self.within - self.between


def word_vectors(
    encoder: Encoder,
    tokenizer: Tokenizer,
    word: str,
    sentences: Sequence[str],
    layers: tuple[int, ...] = (),
) -> FloatArray:
    """(N, D) the vectors of `word`'s first occurrence, its pieces averaged.

    They are the mean of `layers`, 0 being the embeddings' output; none: the last. Raises
    DataError with the first sentence in which `word` does not occur as a whole word, or not
    within what the model reads.
    """
    forms = _forms(tokenizer, word)
    if not forms:
        raise DataError(
            "the vocabulary cannot write this word",
            where=repr(word),
            mend="give another, or a model of its language",
        )
    limit = encoder.config.max_position_embeddings
    vectors = []
    for sentence in sentences:
        encoding = tokenizer.encode(sentence)
        ids, types = encoding.ids, encoding.type_ids
        place = _find(encoding, forms, sentence)
        if place is None:
            raise DataError(f"{word!r} does not occur in it", where=repr(sentence[:60]))
        begin, end = place
        if len(ids) > limit:  # cut, the special token at its end kept
            if end >= limit:
                raise DataError(
                    f"{word!r} ends at token {end}, and the model reads {limit}",
                    where=repr(sentence[:60]),
                    mend="shorten the sentence",
                )
            ids, types = [*ids[: limit - 1], ids[-1]], [*types[: limit - 1], types[-1]]
        example = Example(np.array(ids, np.int64), np.array(types, np.int64))
        with torch.no_grad():
            batch = collate([example], [0]).to(model_device(encoder))
            hidden_TD = mixed_layers(encoder.eval(), batch, layers)
        vectors.append(hidden_TD[begin:end].double().mean(dim=0).cpu().numpy())
    return np.stack(vectors)


def similarity(
    encoder: Encoder,
    tokenizer: Tokenizer,
    word: str,
    sentences: Sequence[str],
    layers: tuple[int, ...] = (),
) -> Similarity:
    """Cosines between the occurrences of `word`, clustered by average linkage.

    Raises DataError as `word_vectors` does, and for fewer than two sentences.
    """
    if len(sentences) < 2:
        raise DataError(
            f"{len(sentences)} sentence with {word!r} has none to be compared with",
            mend="give two or more",
        )
    vectors = word_vectors(encoder, tokenizer, word, sentences, layers)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix = np.clip(unit @ unit.T, -1.0, 1.0)
    order = list(range(len(sentences)))
    if len(sentences) > 2:
        distances = squareform(1.0 - matrix, checks=False)
        order = leaves_list(linkage(distances, "average", optimal_ordering=True)).tolist()
    ordered = tuple(sentences[i] for i in order)
    return Similarity(word, ordered, matrix[np.ix_(order, order)], tuple(order))


def mean_of_pairs(matrix_NN: FloatArray) -> float:
    """The mean cosine of two different ones of N, at least two."""
    return float(matrix_NN[np.triu_indices(len(matrix_NN), 1)].mean())


def separation(
    matrix_NN: FloatArray, senses: Sequence[str], permutations: int = PERMUTATIONS
) -> Separation:
    """How far cosines set `senses` apart, which are those of the matrix' rows.

    The test deals the senses out again `permutations` times, from a fixed seed; the observed
    deal counts as one of them. Raises DataError where there are not two senses, one of them
    of two sentences.
    """
    _, dealt, sizes = np.unique(np.array(senses), return_inverse=True, return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        raise DataError(
            f"{len(sizes)} senses in {len(dealt)} sentences cannot be set apart",
            mend="give two senses with two sentences each, or no senses",
        )
    pairs = np.triu_indices(len(dealt), 1)
    cosines = matrix_NN[pairs]

    def means(dealt_KN: IntArray) -> tuple[FloatArray, FloatArray]:
        """Within and between the senses of K deals."""
        same: BoolArray = dealt_KN[:, pairs[0]] == dealt_KN[:, pairs[1]]
        return same @ cosines / same.sum(axis=1), ~same @ cosines / (~same).sum(axis=1)

    within, between = (float(mean[0]) for mean in means(dealt[None]))
    generator, as_large = np.random.default_rng(0), 1
    rows = max(1, _PAIRS_AT_ONCE // len(cosines))
    for begin in range(0, permutations, rows):
        tiled = np.tile(dealt, (min(rows, permutations - begin), 1))
        other, apart = means(generator.permuted(tiled, axis=1))
        as_large += int((other - apart >= within - between - 1e-12).sum())
    silhouette = float("nan")
    if len(sizes) < len(dealt):
        distances = np.maximum(1.0 - matrix_NN, 0.0)
        np.fill_diagonal(distances, 0.0)
        silhouette = float(silhouette_score(distances, dealt, metric="precomputed"))
    return Separation(within, between, silhouette, as_large / (permutations + 1))


def occurrences(
    texts: Iterable[Sequence[str]], occurs_in: Callable[[str], bool], count: int
) -> list[str]:
    """Up to `count` different sentences that `occurs_in` takes: the first of each text, and where
    these are too few, as of a single book, what follows in the first texts."""
    found: dict[str, None] = {}
    more: dict[str, None] = {}
    for sentences in texts:
        fitting = (sentence for sentence in sentences if occurs_in(sentence))
        if (sentence := next(fitting, None)) is not None:
            found[sentence] = None
        if len(found) >= count:
            break
        more.update(dict.fromkeys(islice(fitting, max(0, 2 * count - len(more)))))
    return list(islice({**found, **more}, count))


def occurs(tokenizer: Tokenizer, word: str, sentence: str) -> bool:
    """Whether `word` stands in `sentence` as a whole word, in tokens of its own."""
    forms = _forms(tokenizer, word)
    return bool(forms) and _find(tokenizer.encode(sentence), forms, sentence) is not None


def _forms(tokenizer: Tokenizer, word: str) -> list[list[int]]:
    """The ids of `word` as at the beginning of a text and as after a space, where that is not the
    same; none where the vocabulary cannot write it."""
    forms: list[list[int]] = []
    for written in (word, f" {word}"):
        ids = tokenizer.encode(written, add_special_tokens=False).ids
        if ids and tokenizer.unk_id not in ids and ids not in forms:
            forms.append(ids)
    return forms


def _find(
    encoding: Encoding, forms: Sequence[Sequence[int]], sentence: str
) -> tuple[int, int] | None:
    """The first tokens of `sentence` that are one of `forms` and a whole word: not the beginning
    of "banker" for "bank"."""
    ids = encoding.ids
    for begin in range(len(ids)):
        for form in forms:
            end = begin + len(form)
            if ids[begin:end] == form and all(
                _is_edge(encoding, at, sentence) for at in (begin, end)
            ):
                return begin, end
    return None


def _is_edge(encoding: Encoding, at: int, sentence: str) -> bool:
    """Whether a word ends before token `at`: for the tokenizer, or for one who reads."""
    words = encoding.word_ids
    if not 0 < at < len(words) or words[at - 1] != words[at] or words[at] is None:
        return True
    place = encoding.offsets[at][0]
    between = sentence[max(0, place - 1) : place + 1]
    return not between.isalnum() or place in {begin for begin, _ in split_words(sentence)}
