"""`bertsmith analyze language`: the vector between two languages, and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.analysis.language import (
    SOURCE,
    TARGET,
    Answers,
    Identified,
    Rates,
    Shift,
    identified,
    leanings,
    rates,
    shifted_outputs,
)
from bertsmith.analysis.occurrences import (
    NONE,
    TokenizedSentence,
    WordTable,
    tokenize,
    unit_means,
)
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import DataError
from bertsmith.export.huggingface import load_tokenizer
from bertsmith.jobs.analyses.bilingual_text import read_sentences, require_texts
from bertsmith.jobs.fill import load_filler
from bertsmith.jobs.progress import Bar
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.models import MaskedLM
from bertsmith.report import language as shown
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.tasks.bilingual import Pairs, read_dictionary
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Float32Array, IntArray

FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
RANDOM_VECTORS = 3
"""Of each layer, to compare with."""
MEAN_SENTENCES = 2000
"""Of each language, for its mean vector."""
PROBE_TOKENS = 2000
"""Of each language, half of them for training."""
FEWEST_SENTENCES = 4
SHOWN = 12
"""Sentences in the table of translations."""


def analyze_language(
    model: str | Path,
    out: str | Path,
    *,
    dictionary: str | Path,
    source_texts: Sequence[str],
    target_texts: Sequence[str],
    sentences: int = 200,
    factors: Sequence[float] = FACTORS,
) -> Path:
    """Tokens of the source language turned into the target's; see `analysis.language`.

    In each layer one of `factors` is chosen on half of `sentences`, by hits of the dictionary, and
    measured on the other half. Returns the page's path. Raises ModelError for a model that fills no
    masks, DataError where the dictionary does not go with the texts, ConfigError.
    """
    require_folder(out)
    require_texts(source_texts, target_texts)
    pairs = read_dictionary(dictionary)
    network = load_filler(model).to(choose_hardware("auto", "float32").device)
    tokenizer, limit = load_tokenizer(model), network.encoder.config.max_position_embeddings
    source, target = (
        [s for s in tokenize(tokenizer, read_sentences(texts), limit) if len(s.ids)]
        for texts in (source_texts, target_texts)
    )
    leaning_V = leanings(source, target, network.encoder.config.vocab_size)
    asked, rest = _ask(tokenizer, pairs, source, leaning_V, sentences)
    if len(asked) < FEWEST_SENTENCES or not rest:
        raise DataError(
            f"{len(asked)} sentences of the source text have a word of it that has a translation "
            "in tokens of the target text",
            where=dictionary,
            mend="give a dictionary of these languages, or swap the texts",
        )
    means_L2D = _means(network.encoder, tokenizer, rest, target)
    vectors_LD = means_L2D[:, TARGET] - means_L2D[:, SOURCE]
    translator = _Translator(network, tokenizer, leaning_V)
    measured = _measure(translator, asked, vectors_LD, factors)
    told = _identify(network.encoder, tokenizer, rest, target)
    for row, one in zip(measured["layers"], told, strict=True):
        row |= asdict(one)
    data = {
        "model": str(model),
        "dictionary": str(dictionary),
        "source_sentences": len(source),
        "target_sentences": len(target),
        **measured,
    }
    return write_analysis(Path(out), "language", data, shown.COLUMNS, shown.rows(data))


@dataclass(frozen=True)
class _Asked:
    """A sentence, and the tokens that would translate each of its tokens."""

    sentence: TokenizedSentence
    answers: Answers


def _ask(
    tokenizer: Tokenizer,
    pairs: Pairs,
    source: Sequence[TokenizedSentence],
    leaning_V: IntArray,
    most: int,
) -> tuple[list[_Asked], list[TokenizedSentence]]:
    """Up to `most` sentences with words that have a translation, out of all of `source`, and the
    others."""
    table, other = (WordTable(tokenizer, (pair[side] for pair in pairs.pairs)) for side in (0, 1))
    found: dict[int, set[int]] = {}
    for one, translation in pairs.pairs:
        if one in table.unit_of and translation in other.unit_of:
            tokens = other.tokens[other.unit_of[translation]]
            own = {index for index in tokens if leaning_V[index] == TARGET}
            found.setdefault(table.unit_of[one], set()).update(own)
    right = {unit: frozenset(tokens) for unit, tokens in found.items() if tokens}
    asked = {}
    for row, sentence in enumerate(source):
        answers = [right.get(unit) for unit in table.units(sentence).tolist()]
        if any(answers):
            asked[row] = _Asked(sentence, answers)
    taken = list(asked)[:: max(1, len(asked) // most)][:most]
    rest = set(range(len(source))) - set(taken)
    return [asked[row] for row in taken], [source[row] for row in sorted(rest)]


def _means(
    encoder: Encoder,
    tokenizer: Tokenizer,
    source: Sequence[TokenizedSentence],
    target: Sequence[TokenizedSentence],
) -> Float32Array:
    """(L+1, 2, D) of all tokens of each language but the special ones."""
    examples = [
        sentence.example(tokenizer, np.full(len(sentence.ids), side))
        for side, sentences in ((SOURCE, source), (TARGET, target))
        for sentence in sentences[:MEAN_SENTENCES]
    ]
    with Bar("mean vectors", len(examples)) as bar:
        return unit_means(encoder, examples, 2, bar.update)[0]


@dataclass(frozen=True)
class _Translator:
    """A model, and what is needed to judge what comes out of it."""

    network: MaskedLM
    tokenizer: Tokenizer
    leaning: IntArray  # (V,)

    def outputs(
        self, sentences: Sequence[_Asked], shifts: Sequence[Shift], what: str
    ) -> list[list[IntArray]]:
        """What comes out of each shift for each sentence."""
        own = [one.sentence for one in sentences]
        with Bar(what, len(sentences)) as bar:
            return shifted_outputs(self.network, self.tokenizer, own, shifts, bar.update)

    def rates(self, outputs: Sequence[IntArray], sentences: Sequence[_Asked]) -> Rates:
        """How good `outputs` are."""
        own, answers = [one.sentence for one in sentences], [one.answers for one in sentences]
        return rates(outputs, own, answers, self.leaning)


def _measure(
    translator: _Translator,
    asked: Sequence[_Asked],
    vectors_LD: Float32Array,
    factors: Sequence[float],
) -> dict[str, Any]:
    """A factor for each layer on every other sentence, what it does on the rest, and a table."""
    first, second = asked[::2], asked[1::2]
    tried = _try_factors(translator, first, vectors_LD, factors)
    best = [max(own, key=lambda row: (row["hits"], -row["factor"])) for own in tried]
    chosen = [
        Shift(layer, np.float32(row["factor"]) * vectors_LD[layer])
        for layer, row in enumerate(best)
    ]
    generator = np.random.default_rng(0)
    random = [_random(shift, generator) for shift in chosen for _ in range(RANDOM_VECTORS)]
    unchanged = Shift(0, np.zeros_like(vectors_LD[0]))
    outputs = translator.outputs(second, [unchanged, *chosen, *random], "translating")
    plain, *shifted = outputs
    shifted, dealt = shifted[: len(chosen)], shifted[len(chosen) :]
    layers = []
    for layer, row in enumerate(best):
        own = dealt[layer * RANDOM_VECTORS :][:RANDOM_VECTORS]
        layers.append(
            {
                "layer": layer,
                "factor": row["factor"],
                "norm": float(np.linalg.norm(chosen[layer].vector)),
                "language": asdict(translator.rates(shifted[layer], second)),
                "random": asdict(translator.rates(*_together(own, second))),
            }
        )
    shown_layer = max(best, key=lambda row: row["hits"])["layer"]
    decode = translator.tokenizer.decode
    table = [
        [
            decode(ids)
            for ids in (
                one.sentence.ids,
                shifted[shown_layer][row],
                dealt[shown_layer * RANDOM_VECTORS][row],
            )
        ]
        for row, one in enumerate(second[:SHOWN])
    ]
    return {
        "sentences": len(second),
        "unshifted": asdict(translator.rates(plain, second)),
        "layers": layers,
        "best": shown_layer,
        "grid": [row for own in tried for row in own],
        "table": table,
    }


def _together(
    outputs: Sequence[Sequence[IntArray]], asked: Sequence[_Asked]
) -> tuple[list[IntArray], list[_Asked]]:
    """What several shifts make of each sentence, one after the other, as of one sentence: so that
    an interval draws sentences, and does not take one for several."""
    count = len(outputs)
    joined = [np.concatenate(own) for own in zip(*outputs, strict=True)]
    long = []
    for one in asked:
        ids, starts = [one.sentence.ids] * count, [one.sentence.word_starts] * count
        sentence = TokenizedSentence(np.concatenate(ids), np.concatenate(starts))
        long.append(_Asked(sentence, [*one.answers] * count))
    return joined, long


def _try_factors(
    translator: _Translator,
    sentences: Sequence[_Asked],
    vectors_LD: Float32Array,
    factors: Sequence[float],
) -> list[list[dict[str, Any]]]:
    """For each layer, for each of `factors`, what comes out."""
    places = [(layer, factor) for layer in range(len(vectors_LD)) for factor in factors]
    shifts = [Shift(layer, np.float32(factor) * vectors_LD[layer]) for layer, factor in places]
    found: list[list[dict[str, Any]]] = [[] for _ in vectors_LD]
    outputs = translator.outputs(sentences, shifts, "choosing factors")
    for (layer, factor), own in zip(places, outputs, strict=True):
        one = translator.rates(own, sentences)
        row = {"layer": layer, "factor": factor, "turned": one.turned, "hits": one.hits}
        found[layer].append(row | {"dealt": one.dealt})
    return found


def _random(shift: Shift, generator: np.random.Generator) -> Shift:
    """A vector of the same norm in a random direction, at the same layer."""
    drawn = generator.standard_normal(len(shift.vector)).astype(np.float32)
    return Shift(shift.layer, drawn * np.linalg.norm(shift.vector) / np.linalg.norm(drawn))


def _identify(
    encoder: Encoder,
    tokenizer: Tokenizer,
    source: Sequence[TokenizedSentence],
    target: Sequence[TokenizedSentence],
) -> list[Identified]:
    """Of PROBE_TOKENS of each language.

    One half of the vocabulary in every other sentence is for training, the other half in the rest
    for the test: vectors of one sentence are alike, so that a probe that has seen its sentences
    would tell their language without knowing any.
    """
    generator = np.random.default_rng(0)
    is_train_V = generator.permutation(encoder.config.vocab_size) % 2 == 0
    examples, is_target, ids = [], list[bool](), list[IntArray]()
    for side, sentences in ((False, source), (True, target)):
        few = sentences[:MEAN_SENTENCES]
        bounds = np.cumsum([0, *(len(sentence.ids) for sentence in few)])
        own_ids = np.concatenate([sentence.ids for sentence in few])
        is_even = np.repeat(np.arange(len(few)) % 2 == 0, np.diff(bounds))
        eligible = np.flatnonzero(is_train_V[own_ids] == is_even)
        count = min(PROBE_TOKENS, len(eligible))
        units = np.full(bounds[-1], NONE)
        taken = np.sort(generator.choice(eligible, count, replace=False))
        units[taken] = len(is_target) + np.arange(count)
        is_target += [side] * count
        ids.append(own_ids[taken])
        for row, sentence in enumerate(few):
            own = units[bounds[row] : bounds[row + 1]]
            if (own != NONE).any():
                examples.append(sentence.example(tokenizer, own))
    sides, is_train = np.array(is_target), is_train_V[np.concatenate(ids)]
    if len(np.unique(np.stack([sides, is_train]), axis=1).T) < 4:
        raise DataError(
            "too few different tokens in a text to tell its language by", mend="give more text"
        )
    with Bar("telling languages", len(examples)) as bar:
        states_LND, _ = unit_means(encoder, examples, len(is_target), bar.update)
    return identified(states_LND, sides, is_train)
