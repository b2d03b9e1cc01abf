"""Sentence vectors: made in batches without padding, and whitened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.errors import DataError
from bertsmith.nn.models import model_device
from bertsmith.nn.sentence import Projection, SentenceEncoder
from bertsmith.tasks.base import Encoded
from bertsmith.tasks.sequences import encode_rows
from bertsmith.tasks.tables import TextRow
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Float32Array, IntArray

BLOCK_TEXTS = 16_384
"""Sorted by length together; the next block is tokenised while one is computed."""
BATCH_TOKENS = 8192
SMALLEST_VARIANCE = 1e-9
"""As a share of the largest; directions with less have nothing to be divided by."""
ROUNDINGS = 10
"""Of the largest number, in fp32: what varies by less is mostly rounding."""


@dataclass(frozen=True)
class SentenceVectors:
    """A vector a text, in the texts' order, and how many texts were too long to be read whole."""

    vectors: Float32Array  # (N, D)
    truncated: int


def sentence_vectors(
    network: SentenceEncoder,
    tokenizer: Tokenizer,
    texts: Iterable[str],
    max_length: int,
    on_texts: Callable[[int], None] = lambda done: None,
) -> SentenceVectors:
    """A vector for each of `texts`, of which `max_length` tokens are read, special ones included.

    Texts of similar length are taken together, which changes a vector by no more than rounding;
    a text that comes again in a block is computed once. `on_texts` is told how many are done.
    `network` is in evaluation mode.
    """
    parts = [np.zeros((0, network.encoder.config.hidden_size), np.float32)]
    done = truncated = 0
    for encoded, places in _encoded_ahead(texts, tokenizer, max_length):
        part = np.empty((len(encoded.examples), parts[0].shape[1]), np.float32)
        times = np.bincount(places)
        for indices, vectors in _vectors(network, encoded):
            part[list(indices)] = vectors
            done += int(times[list(indices)].sum())
            on_texts(done)
        parts.append(part[places])
        truncated += int(np.array(encoded.is_truncated)[places].sum())
    return SentenceVectors(np.concatenate(parts), truncated)


def _encoded_ahead(
    texts: Iterable[str], tokenizer: Tokenizer, max_length: int
) -> Iterator[tuple[Encoded, IntArray]]:
    """Blocks of different texts as model inputs, each tokenised while the one before is computed;
    and which of them each text of the block is."""
    left = iter(texts)

    def encode() -> tuple[Encoded, IntArray]:
        block = list(islice(left, BLOCK_TEXTS))
        first = {text: place for place, text in enumerate(dict.fromkeys(block))}
        encoded = encode_rows([TextRow(text) for text in first], tokenizer, max_length)
        return encoded, np.array([first[text] for text in block], np.int64)

    with ThreadPoolExecutor(1) as ahead:
        pending = ahead.submit(encode)
        while len((found := pending.result())[1]):
            pending = ahead.submit(encode)
            yield found


@torch.inference_mode()
def _vectors(
    network: SentenceEncoder, encoded: Encoded
) -> Iterator[tuple[Sequence[int], Float32Array]]:
    device = model_device(network)
    for batch in sequential_batches(ListSource(encoded.examples), BATCH_TOKENS):
        yield batch.indices, network(batch.to(device)).cpu().numpy()


def whitening(vectors_ND: Float32Array, dimensions: int | None = None) -> Projection:
    """The map that gives these vectors mean 0 and covariance 1 (Su et al. 2021, section 3).

    It keeps the `dimensions` of most variance; None: all in which they vary. Raises DataError
    where they are too few: whitened by as few as D texts, all of them are equally far apart.
    """
    count, size = vectors_ND.shape
    mean_D = vectors_ND.mean(axis=0, dtype=np.float64)
    centred_ND = vectors_ND - mean_D
    _, variances, directions = np.linalg.svd(centred_ND.T @ centred_ND / count, hermitian=True)
    rounding = ROUNDINGS * np.finfo(np.float32).eps * np.abs(vectors_ND).max(initial=0.0)
    least = max(SMALLEST_VARIANCE * variances[0], rounding**2)
    rank = int((variances > least).sum())
    wanted = dimensions or rank
    if wanted > rank or count <= min(dimensions or size, size):
        raise DataError(
            f"{count:,} texts, which vary in {rank} directions, are too few to whiten {wanted}",
            mend="give more texts, or keep fewer dimensions",
        )
    kernel_ED = directions[:wanted] / np.sqrt(variances[:wanted, None])
    return Projection(kernel_ED.astype(np.float32), (-kernel_ED @ mean_D).astype(np.float32))
