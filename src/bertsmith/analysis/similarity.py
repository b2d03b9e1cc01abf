"""One word's vectors in many sentences: are its senses apart?

Devlin et al.'s encoder gives a word another vector in every context; the cosine between
them says how alike it takes two uses to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from bertsmith.data.pack import collate
from bertsmith.errors import DataError
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.models import model_device
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example, FloatArray


@dataclass(frozen=True)
class Similarity:
    """The cosine matrix of one word in N sentences, ordered so that like stands by like."""

    word: str
    sentences: tuple[str, ...]  # N, in the matrix's order
    matrix: FloatArray  # (N, N)


def word_vectors(
    encoder: Encoder, tokenizer: Tokenizer, word: str, sentences: Sequence[str]
) -> FloatArray:
    """(N, D) the last layer's vectors of `word`'s first occurrence, its pieces averaged.

    Raises DataError with the first sentence in which `word` does not occur.
    """
    target = tokenizer.encode(word, add_special_tokens=False).ids
    if not target:
        raise DataError("the word has no tokens", where=repr(word), mend="give a word")
    limit = encoder.config.max_position_embeddings
    vectors = []
    for sentence in sentences:
        encoding = tokenizer.encode(sentence)
        ids, types = encoding.ids[:limit], encoding.type_ids[:limit]
        begin = _find(ids, target)
        if begin is None:
            raise DataError(f"{word!r} does not occur in it", where=repr(sentence[:60]))
        example = Example(np.array(ids, np.int64), np.array(types, np.int64))
        with torch.no_grad():
            hidden_TD = encoder.eval()(collate([example], [0]).to(model_device(encoder)))
        vectors.append(hidden_TD[begin : begin + len(target)].double().mean(dim=0).cpu().numpy())
    return np.stack(vectors)


def similarity(
    encoder: Encoder, tokenizer: Tokenizer, word: str, sentences: Sequence[str]
) -> Similarity:
    """Cosines between the occurrences of `word`, clustered by average linkage."""
    vectors = word_vectors(encoder, tokenizer, word, sentences)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix = np.clip(unit @ unit.T, -1.0, 1.0)
    order = list(range(len(sentences)))
    if len(sentences) > 2:
        distances = squareform(1.0 - matrix, checks=False)
        order = leaves_list(linkage(distances, "average", optimal_ordering=True)).tolist()
    return Similarity(word, tuple(sentences[i] for i in order), matrix[np.ix_(order, order)])


def occurs(tokenizer: Tokenizer, word: str, sentence: str) -> bool:
    """Whether the tokens of `word` stand in the tokens of `sentence`."""
    target = tokenizer.encode(word, add_special_tokens=False).ids
    return bool(target) and _find(tokenizer.encode(sentence).ids, target) is not None


def _find(ids: Sequence[int], target: Sequence[int]) -> int | None:
    length = len(target)
    for begin in range(len(ids) - length + 1):
        if list(ids[begin : begin + length]) == list(target):
            return begin
    return None
