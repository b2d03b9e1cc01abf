"""Held-out sentences with one word masked, to watch a model learn to fill them in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bertsmith.data import rng
from bertsmith.text.corpus import Corpus
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import IntArray

SHORTEST, LONGEST = 10, 28
"""Tokens of a sample sentence."""
COMMONEST = 150
"""Token ids more frequent than this many others are no test: "the", "of", a comma."""


@dataclass(frozen=True)
class Sample:
    """A text with [MASK], and what stood there, one answer a mask, where it is known."""

    text: str
    answers: tuple[str, ...] = ()


def heldout_samples(
    corpus: Corpus, tokenizer: Tokenizer, ranges: IntArray, longest: int, count: int = 8
) -> list[Sample]:
    """Up to `count` sentences spread over `ranges` (k, 2), each with one whole word masked.

    None is longer than `longest` tokens.
    """
    found = _candidates(corpus, tokenizer, ranges, min(longest, LONGEST))
    return [sample for sample, _ in zip(found, range(count), strict=False)]


def _candidates(
    corpus: Corpus, tokenizer: Tokenizer, ranges: IntArray, longest: int
) -> Iterator[Sample]:
    counts = corpus.unigram_counts()
    common = set(np.argsort(-counts)[:COMMONEST].tolist())
    sentences = np.asarray(corpus.sentence_offsets, dtype=np.int64)
    for document in rng.generator("samples").permutation(len(ranges)):
        begin, end = (int(offset) for offset in ranges[document])
        first, last = np.searchsorted(sentences, [begin, end])
        for sentence in range(int(first), int(last)):
            low, high = int(sentences[sentence]), int(sentences[sentence + 1])
            if SHORTEST <= high - low <= longest:
                sample = _mask_one(corpus, tokenizer, low, high, common)
                if sample is not None:
                    yield sample
                    break


def _mask_one(
    corpus: Corpus, tokenizer: Tokenizer, begin: int, end: int, common: set[int]
) -> Sample | None:
    """The sentence with one of its less common whole words masked; None where it has none."""
    ids = corpus.read(begin, end).tolist()
    if tokenizer.unk_id in ids:
        return None
    starts = [*corpus.word_starts(begin, end).tolist(), True]
    whole_words = [
        at
        for at, token in enumerate(ids)
        if starts[at] and starts[at + 1] and token not in common and tokenizer.text(token).isalpha()
    ]
    if not whole_words:
        return None
    at = whole_words[len(whole_words) // 2]
    masked = [*ids[:at], tokenizer.mask_id, *ids[at + 1 :]]
    # Byte-level decoders put no space before a mask, which is no letter to them.
    mask = tokenizer.specials[-1]
    text = tokenizer.decode(masked, skip_special_tokens=False).replace(mask, f" {mask}")
    return Sample(" ".join(text.split()), (tokenizer.text(ids[at]),))
