"""Where the words of a list stand in running text, and the mean of what a model makes of them.

A word's vector is the mean over its occurrences (Liu et al. 2020, arXiv:2004.09205), and so is a
sentence's over its tokens, and a language's over all: a unit, and which tokens are of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.models import model_device
from bertsmith.text.encoding import CachedEncoder
from bertsmith.text.lexicon import Lexicon
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import BoolArray, Example, Float32Array, IntArray

BATCH_TOKENS = 4096
NONE = -1
"""The unit of a token that is of none."""


@dataclass(frozen=True)
class TokenizedSentence:
    """A sentence without special tokens, and where its words begin."""

    ids: IntArray  # (n,)
    word_starts: BoolArray  # (n,)

    def example(self, tokenizer: Tokenizer, units: IntArray) -> Example:
        """Model input, between [CLS] and [SEP]; `units` (n,) say what each token is of."""
        ids = np.concatenate([[tokenizer.cls_id], self.ids, [tokenizer.sep_id]])
        targets = {"unit": np.concatenate([[NONE], units, [NONE]])}
        return Example(ids, np.zeros_like(ids), token_targets=targets)


def tokenize(tokenizer: Tokenizer, sentences: Sequence[str], limit: int) -> list[TokenizedSentence]:
    """Each of `sentences`, cut to the `limit` that a model reads, special tokens included.

    No word is cut in two, if it is not the only one: what is left of it could be another.
    """
    encoded = CachedEncoder(tokenizer).encode(sentences)
    found = []
    for begin, end in pairwise(np.concatenate([[0], np.cumsum(encoded.lengths)]).tolist()):
        last = begin + limit - 2
        if last < end:
            starts = np.flatnonzero(encoded.word_starts[begin : last + 1])
            end = begin + int(starts[-1]) if starts[-1:].any() else last
        found.append(TokenizedSentence(encoded.ids[begin:end], encoded.word_starts[begin:end]))
    return found


class WordTable:
    """Words as a tokenizer writes them, found again in its tokens.

    Words that it writes alike are one unit. Those with an unknown token are left out.
    """

    def __init__(self, tokenizer: Tokenizer, words: Iterable[str]) -> None:
        self.unit_of: dict[str, int] = {}
        self.words: list[str] = []
        """By unit, the first that is written so."""
        self.tokens: list[frozenset[int]] = []
        """By unit, the ids that it is written in."""
        self._units: dict[tuple[int, ...], int] = {}
        given = list(dict.fromkeys(words))
        forms = [
            tokenizer.encode_batch(written, add_special_tokens=False)
            for written in (given, [f" {word}" for word in given])
        ]
        for word, *encodings in zip(given, *forms, strict=True):
            written = [tuple(encoding.ids) for encoding in encodings]
            if all(ids and tokenizer.special_ids.isdisjoint(ids) for ids in written):
                unit = self._units.get(written[0], len(self.words))
                if unit == len(self.words):
                    self.words.append(word)
                    self.tokens.append(frozenset(index for ids in written for index in ids))
                self.unit_of[word] = unit
                for ids in written:
                    self._units.setdefault(ids, unit)
        self._lexicon = Lexicon(self._units)

    def __len__(self) -> int:
        """Units."""
        return len(self.words)

    def units(self, sentence: TokenizedSentence) -> IntArray:
        """(n,) the unit that each token is of: whole words, the longest run of them first."""
        inside = self._lexicon.inside(sentence.ids, sentence.word_starts)
        begins = np.flatnonzero(sentence.word_starts & ~inside)
        found = np.full(len(sentence.ids), NONE)
        sequence = sentence.ids.tolist()
        for begin, end in pairwise([*begins.tolist(), len(sequence)]):
            found[begin:end] = self._units.get(tuple(sequence[begin:end]), NONE)
        return found


@torch.inference_mode()
def unit_means(
    encoder: Encoder,
    examples: Sequence[Example],
    units: int,
    on_examples: Callable[[int], None] = lambda done: None,
) -> tuple[Float32Array, IntArray]:
    """(L+1, U, D) the mean vector of each unit's tokens in every layer, and (U,) how many they are.

    Layer 0 is the embeddings' output. A unit without tokens gets zeros. `encoder` is in evaluation
    mode; `on_examples` is told how many are done.
    """
    device, config = model_device(encoder), encoder.config
    shape = (config.num_layers + 1, units, config.hidden_size)
    sums_LUD = torch.zeros(shape, dtype=torch.float64, device=device)
    counts_U = torch.zeros(units, dtype=torch.int64, device=device)
    done = 0
    for batch in sequential_batches(ListSource(list(examples)), BATCH_TOKENS):
        moved = batch.to(device)
        unit_T = moved.targets["unit"]
        is_any = unit_T != NONE
        counts_U += torch.bincount(unit_T[is_any], minlength=units)
        for layer, hidden_TD in enumerate(encoder.hidden_states(moved)):
            sums_LUD[layer].index_add_(0, unit_T[is_any], hidden_TD[is_any].double())
        done += batch.num_sequences
        on_examples(done)
    means_LUD = sums_LUD / counts_U.clamp(min=1)[:, None]
    return means_LUD.float().cpu().numpy(), counts_U.cpu().numpy()
