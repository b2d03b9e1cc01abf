"""Where attention heads look: maps, what each head does on the whole, and which follow a pair.

Measures are those of Clark et al. 2019 (sections 3.1 to 3.3) and Kovaleva et al. 2019 (section
4.1): attention to [SEP], to the neighbours, to itself, to the same token elsewhere, its distance
and its entropy. Layers and heads are counted from 1, as in those papers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import entr, stdtrit
from torch import Tensor

from bertsmith.analysis.intervals import wilson
from bertsmith.config import ModelConfig
from bertsmith.data.examples import ListSource
from bertsmith.data.loader import sequential_batches
from bertsmith.data.pack import collate
from bertsmith.errors import ConfigError, DataError
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.models import model_device
from bertsmith.text.split import split_words
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Batch, BoolArray, Example, Float32Array, FloatArray, IntArray

BATCH_TOKENS = 4096
MEASURES = ("entropy", "distance", "first", "separator", "itself", "previous", "next", "same")
"""Entropy in nats, distance in tokens; else shares of a token's attention: to the first token
([CLS]), to [SEP], to itself, to its neighbours, to the same token elsewhere in the sentence."""


@dataclass(frozen=True)
class Heads:
    """Some layers and some heads of each, counted from 1."""

    layers: tuple[int, ...]
    heads: tuple[int, ...]

    @classmethod
    def parse(cls, layers: str, heads: str, config: ModelConfig) -> Heads:
        """From "all" or numbers such as "1,3". Raises ConfigError for one that is not there."""
        return cls(
            _parse(layers, config.num_layers, "layers"), _parse(heads, config.num_heads, "heads")
        )

    @property
    def names(self) -> list[str]:
        """LAYER-HEAD of each, layer by layer."""
        return [f"{layer}-{head}" for layer in self.layers for head in self.heads]


@dataclass(frozen=True)
class Maps:
    """Attention probabilities of one sentence: from each token, a row, to all of them."""

    tokens: tuple[str, ...]  # n
    heads: Heads
    values: Float32Array  # (layers, heads, n, n)


@dataclass(frozen=True)
class Summary:
    """What each head does on N sentences, by MEASURES.

    A sentence's value is the mean over its tokens, special ones left out as those that look but
    not as those that are looked at; `means` are over sentences.
    """

    heads: Heads
    means: FloatArray  # (measures, layers, heads); NaN where no sentence has what is measured
    errors: FloatArray  # of the same shape: half of a 95 % interval over sentences (Student's t)
    uniform: FloatArray  # (measures,) what attention alike to all tokens has
    sentences: int


@dataclass(frozen=True)
class Pair:
    """A sentence, and two of its words: the one that should look, and what at.

    `rival` is a third one that it should look at less; none: all words but the source.
    """

    sentence: str
    source: str
    target: str
    rival: str = ""


@dataclass(frozen=True)
class Followed:
    """How N pairs are followed: attention by words, as Clark et al. (section 4.1) make it.

    What goes to a word is the sum over its pieces, what comes from it their mean.
    """

    heads: Heads
    attention: FloatArray  # (N, layers, heads) from source to target
    hits: FloatArray  # (N, layers, heads) 1 where the target gets more than its rivals, else 0
    # where it is level with the most of them, its share of a hit, as chance has it
    chance: FloatArray  # (N,) of a hit, were it and they alike


@dataclass(frozen=True)
class Choice:
    """The head that does best on some of the pairs, and how it does on the others.

    The best of many heads on the pairs that it was chosen by is better than it is.
    """

    head: str
    chosen_by: float  # share of hits in the first half of the pairs
    share: float  # in the second half
    low: float  # of a 95 % interval of `share` (Wilson 1927)
    high: float


def _parse(text: str, count: int, what: str) -> tuple[int, ...]:
    if text == "all":
        return tuple(range(1, count + 1))
    parts = [part.strip() for part in text.split(",")]
    chosen = sorted({int(part) for part in parts if part.isdecimal()})
    if not all(part.isdecimal() for part in parts) or not 1 <= chosen[0] <= chosen[-1] <= count:
        raise ConfigError(
            f"{text!r} names no {what} of this model",
            where=what,
            mend=f'give "all", or numbers from 1 to {count}, such as 1,{count}',
        )
    return tuple(chosen)


def attention_maps(
    encoder: Encoder, tokenizer: Tokenizer, sentence: str, heads: Heads | None = None
) -> Maps:
    """The maps of `heads`, or of all, on one sentence.

    Raises DataError where it is empty or too long.
    """
    heads = heads or Heads.parse("all", "all", encoder.config)
    example = _encode(encoder, tokenizer, sentence)
    tokens = tuple(tokenizer.text(index) for index in example.input_ids)
    return Maps(tokens, heads, np.stack(list(_of_one(encoder, example, heads))))


def summarise(
    encoder: Encoder,
    tokenizer: Tokenizer,
    sentences: Sequence[str],
    heads: Heads,
    on_sentences: Callable[[int], None] = lambda done: None,
) -> Summary:
    """What `heads` do on `sentences`, whose maps are kept no longer than their layer's turn.

    `on_sentences` is told how many are done. Raises DataError for fewer than two sentences, and
    for one that is empty or too long.
    """
    if len(sentences) < 2:
        raise DataError(
            f"{len(sentences)} sentence says little of what heads do", mend="give two or more"
        )
    examples = [_encode(encoder, tokenizer, sentence) for sentence in sentences]
    shape = (len(examples), len(MEASURES), len(heads.layers), len(heads.heads))
    found, uniform = np.empty(shape), np.empty(shape[:2])
    done = 0
    encoder.eval()
    for batch in sequential_batches(ListSource(examples), BATCH_TOKENS):
        moved = batch.to(model_device(encoder))
        for index in batch.indices:
            ids = examples[index].input_ids
            alike = np.full((1, len(ids), len(ids)), 1 / len(ids))
            uniform[index] = _measure(alike, ids, tokenizer)[:, 0]
        with torch.no_grad():
            for place, maps in enumerate(_weights(encoder, moved, heads)):
                for index, probabilities in zip(batch.indices, maps, strict=True):
                    values = probabilities.double().cpu().numpy()
                    ids = examples[index].input_ids
                    found[index, :, place] = _measure(values, ids, tokenizer)
        done += len(batch.indices)
        on_sentences(done)
    means, errors = _means(found)
    return Summary(heads, means, errors, _means(uniform)[0], len(examples))


def _means(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Over the first axis, NaNs left out, and half of their intervals; NaN below one, and two."""
    counts = (~np.isnan(values)).sum(axis=0)
    means = np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
    spreads = np.sqrt(np.nansum((values - means) ** 2, axis=0) / np.maximum(counts - 1, 1))
    wide = np.where(counts > 1, stdtrit(np.maximum(counts - 1, 1), 0.975), np.nan)
    return means, wide * spreads / np.sqrt(np.maximum(counts, 1))


def follow(encoder: Encoder, tokenizer: Tokenizer, pairs: Sequence[Pair], heads: Heads) -> Followed:
    """How far each of `heads` looks from each pair's source at its target.

    The first place of each word in its sentence counts. Raises DataError for a word that does not
    occur, and where there is no rival.
    """
    attention, hits, chance = [], [], []
    for pair in pairs:
        example = _encode(encoder, tokenizer, pair.sentence)
        words, owner, (source, target, *other) = _words_of(pair, tokenizer)
        every = other if pair.rival else range(len(words))
        rivals = [word for word in every if word not in (source, target)]
        if source == target or not rivals:
            raise DataError(
                f"{pair.source!r} and {pair.target!r} leave nothing to choose from",
                where=repr(pair.sentence[:60]),
                mend="give two different words of three or more",
            )
        if not (owner == source).any():
            raise DataError("the model has no token of it", where=repr(words[source]))
        rows = []
        for maps in _of_one(encoder, example, heads):
            own = maps[:, owner == source].mean(axis=1)
            rows.append([own[:, owner == word].sum(axis=1) for word in range(len(words))])
        seen = np.array(rows, dtype=np.float64).transpose(0, 2, 1)  # (layers, heads, words)
        attention.append(seen[:, :, target])
        hits.append(_hits(seen[:, :, target], seen[:, :, rivals]))
        chance.append(1 / (len(rivals) + 1))
    return Followed(heads, np.array(attention), np.array(hits), np.array(chance))


def _hits(target_LH: FloatArray, rivals_LHR: FloatArray) -> FloatArray:
    most_LH = rivals_LHR.max(axis=2)
    level_LH = (rivals_LHR == most_LH[..., None]).sum(axis=2)
    hits: FloatArray = np.where(
        target_LH == most_LH, 1 / (1 + level_LH), np.where(target_LH > most_LH, 1.0, 0.0)
    )
    return hits


def best_head(followed: Followed) -> Choice:
    """The head with most hits in the first half of the pairs, tried on the second half."""
    half = len(followed.hits) // 2
    first, second = (part.mean(axis=0).ravel() for part in np.split(followed.hits, [half]))
    best = int(first.argmax())
    share = float(second[best])
    interval = wilson(share, len(followed.hits) - half)
    return Choice(followed.heads.names[best], float(first[best]), share, *interval)


def _run(word: str, sentence: str, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The first and the last of the words in a row that are `word`: of Chinese, each character is
    one."""
    folded = word.casefold()
    for first, (begin, _) in enumerate(spans):
        for last in range(first, len(spans)):
            written = sentence[begin : spans[last][1]].casefold()
            if written == folded:
                return first, last
            if not folded.startswith(written):
                break
    raise DataError(
        f"{word!r} is no word of it",
        where=repr(sentence[:60]),
        mend=f"choose from {', '.join(sentence[begin:end] for begin, end in spans[:12])}",
    )


def _words_of(pair: Pair, tokenizer: Tokenizer) -> tuple[list[str], IntArray, list[int]]:
    """The words of a sentence, for each token the one that it belongs to, -1: none, and the places
    of source, target and rival, each of which is one word."""
    sentence, spans = pair.sentence, split_words(pair.sentence)
    asked = [word for word in (pair.source, pair.target, pair.rival) if word]
    runs = [_run(word, sentence, spans) for word in asked]
    inside = {place for first, last in runs for place in range(first + 1, last + 1)}
    joined: list[tuple[int, int]] = []
    number_of = []
    for place, (begin, end) in enumerate(spans):
        if place in inside:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((begin, end))
        number_of.append(len(joined) - 1)
    encoding = tokenizer.encode(sentence)
    owner = np.full(len(encoding.ids), -1, dtype=np.int64)
    starts = np.array([begin for begin, _ in joined], dtype=np.int64)
    for token, (begin, end) in enumerate(encoding.offsets):
        if end > begin:
            owner[token] = np.searchsorted(starts, end - 1, side="right") - 1
    words = [sentence[begin:end] for begin, end in joined]
    return words, owner, [number_of[first] for first, _ in runs]


def _encode(encoder: Encoder, tokenizer: Tokenizer, sentence: str) -> Example:
    encoding = tokenizer.encode(sentence)
    limit = encoder.config.max_position_embeddings
    is_empty = set(encoding.ids) <= tokenizer.special_ids - {tokenizer.unk_id}
    if is_empty or len(encoding.ids) > limit:
        count = len(encoding.ids)
        raise DataError(
            "is empty" if is_empty else f"has {count} tokens, and the model reads {limit}",
            where=repr(sentence[:60]),
            mend="give a sentence that fits",
        )
    return Example(np.array(encoding.ids, np.int64), np.array(encoding.type_ids, np.int64))


@torch.no_grad()
def _of_one(encoder: Encoder, example: Example, heads: Heads) -> Iterator[Float32Array]:
    """(heads, n, n) for each layer."""
    batch = collate([example], [0]).to(model_device(encoder))
    for (probabilities,) in _weights(encoder.eval(), batch, heads):
        yield probabilities.float().cpu().numpy()


def _weights(encoder: Encoder, batch: Batch, heads: Heads) -> Iterator[list[Tensor]]:
    layers, own = ([number - 1 for number in part] for part in (heads.layers, heads.heads))
    return encoder.attention_weights(batch, layers, own)


def _measure(maps_Hnn: FloatArray, ids: IntArray, tokenizer: Tokenizer) -> FloatArray:
    """(measures, H) of one sentence."""
    special = np.isin(ids, list(tokenizer.special_ids - {tokenizer.unk_id}))
    looking, places = np.flatnonzero(~special), np.arange(len(ids))
    own = maps_Hnn[:, looking]  # (H, looking, n)
    offsets = places - looking[:, None]
    is_same = (ids == ids[looking, None]) & (offsets != 0)

    def share(mask: BoolArray) -> FloatArray:
        """The mean over tokens that have such a place, NaN where none has."""
        having = mask.any(axis=1)
        total = (own * mask).sum(axis=2)[:, having]
        return total.mean(axis=1) if having.any() else np.full(len(own), np.nan)

    ends = [ids == index for index in (tokenizer.cls_id, tokenizer.sep_id)]
    first, separator = (np.broadcast_to(end, offsets.shape) for end in ends)
    masks = (first, separator, offsets == 0, offsets == -1, offsets == 1, is_same)
    return np.stack(
        [
            entr(own).sum(axis=2).mean(axis=1),
            (own * np.abs(offsets)).sum(axis=2).mean(axis=1),
            *(share(mask) for mask in masks),
        ]
    )
