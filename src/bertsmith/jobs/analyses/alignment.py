"""`bertsmith analyze alignment`: are translations alike, in each layer?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.analysis.alignment import alignment
from bertsmith.analysis.occurrences import (
    NONE,
    TokenizedSentence,
    WordTable,
    tokenize,
    unit_means,
)
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.export.sentences import read_sentence_folder
from bertsmith.jobs.analyses.bilingual_text import DIRECTIONS, SIDES, read_sentences, require_texts
from bertsmith.jobs.progress import Bar
from bertsmith.nn.encoder import Encoder
from bertsmith.report import alignment as shown
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.tasks.bilingual import Pairs, read_dictionary, read_parallel
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Example, Float32Array, IntArray

FEWEST_OCCURRENCES = 3
"""Sentences with a word that is asked for."""
FEWEST_PAIRS = 10
"""That a mean over them says anything of."""


def analyze_alignment(
    model: str | Path,
    out: str | Path,
    *,
    dictionary: str | Path | None = None,
    source_texts: Sequence[str] = (),
    target_texts: Sequence[str] = (),
    parallel: str | Path | None = None,
    words: int = 2000,
    occurrences: int = 20,
    sentences: int = 1000,
) -> Path:
    """Retrieval of translations in every layer; see `analysis.alignment`. Returns the page's path.

    Of a `dictionary` the first `words` source words that occur, with their translations, each as
    the mean of up to `occurrences` sentences of monolingual texts; of `parallel` text `sentences`
    pairs, from all over the file, each the mean of its tokens. Raises DataError where they do not
    go with the texts or with the model, ConfigError where there is nothing to do, ModelError.
    """
    require_folder(out)
    if not (dictionary or parallel):
        raise ConfigError("nothing to align", mend="give --dictionary, --parallel or both")
    pairs = None if dictionary is None else read_dictionary(dictionary)
    if pairs is not None:
        require_texts(source_texts, target_texts)
    source = read_sentence_folder(model).source
    tokenizer = load_tokenizer(source)
    texts = None if parallel is None else read_parallel(parallel)
    encoder = load_encoder(source).to(choose_hardware("auto", "float32").device)
    data: dict[str, Any] = {"model": str(model), "rows": [], "words": None, "sentences": None}
    if pairs is not None:
        read = [read_sentences(side) for side in (source_texts, target_texts)]
        found = _aligned_words(encoder, tokenizer, pairs, read, words, occurrences)
        data["words"] = {"dictionary": str(dictionary), "identical": pairs.identical} | found.counts
        data["rows"] += found.rows("words")
    if texts is not None:
        found = _aligned_sentences(encoder, tokenizer, texts, sentences)
        data["sentences"] = {"parallel": str(parallel)} | found.counts
        data["rows"] += found.rows("sentences")
    table = shown.rows(data)
    return write_analysis(Path(out), "alignment", data, shown.COLUMNS, table)


@dataclass(frozen=True)
class _Sides:
    """Units of both languages in every layer, and which of them mean the same."""

    source: Float32Array  # (L+1, N, D)
    target: Float32Array  # (L+1, M, D)
    pairs: IntArray  # (P, 2)
    counts: dict[str, int]

    def rows(self, what: str) -> list[dict[str, Any]]:
        """A record a layer, a direction, and with and without the means of both."""
        return [
            {"what": what, "centred": centred, "layer": layer, "direction": direction}
            | asdict(found)
            for centred in (False, True)
            for layer, sides in enumerate(zip(self.source, self.target, strict=True))
            for direction, found in zip(
                DIRECTIONS,
                alignment(*sides, self.pairs, centred),
                strict=True,
            )
        ]


def _aligned_words(
    encoder: Encoder,
    tokenizer: Tokenizer,
    pairs: Pairs,
    read: Sequence[Sequence[str]],
    words: int,
    occurrences: int,
) -> _Sides:
    limit = encoder.config.max_position_embeddings
    tables = [WordTable(tokenizer, (pair[side] for pair in pairs.pairs)) for side in (0, 1)]
    texts = [
        _Marked.read(*side)
        for side in zip(
            tables, (tokenize(tokenizer, sentences, limit) for sentences in read), strict=True
        )
    ]
    for name, text in zip(SIDES, texts, strict=True):
        if not text.counts.any():
            raise DataError(
                f"none of its {len(pairs.pairs):,} {name} words occurs in the {name} text",
                where=pairs.path,
                mend="give a dictionary of these languages, or swap the texts",
            )
    known = [
        tuple(table.unit_of[word] for table, word in zip(tables, pair, strict=True))
        for pair in pairs.pairs
        if all(word in table.unit_of for table, word in zip(tables, pair, strict=True))
    ]
    found = [
        pair
        for pair in known
        if all(texts[side].counts[pair[side]] >= FEWEST_OCCURRENCES for side in (0, 1))
    ]
    asked = set(islice(dict.fromkeys(source for source, _ in found), words))
    kept = [pair for pair in found if pair[0] in asked]
    counts = {"in_vocabulary": len(known), "occurring": len(found), "pairs": len(kept)}
    _require(kept, pairs.path)
    means, rows = [], []
    for side, (name, text) in enumerate(zip(SIDES, texts, strict=True)):
        units, numbers = np.unique([pair[side] for pair in kept], return_inverse=True)
        examples = text.examples(tokenizer, units, occurrences)
        with Bar(f"{name} words", len(examples)) as bar:
            means.append(unit_means(encoder, examples, len(units), bar.update)[0])
        rows.append(numbers)
    return _Sides(means[0], means[1], np.stack(rows, axis=1), counts)


@dataclass(frozen=True)
class _Marked:
    """Sentences in which the words of a table are found, and in how many each is."""

    sentences: Sequence[TokenizedSentence]
    units: Sequence[IntArray]
    counts: IntArray  # (U,)

    @classmethod
    def read(cls, table: WordTable, sentences: Sequence[TokenizedSentence]) -> _Marked:
        """Find the words of `table`."""
        units = [table.units(sentence) for sentence in sentences]
        each = [np.unique(own[own != NONE]) for own in units]
        counts = np.bincount(np.concatenate([*each, np.zeros(0, np.int64)]), minlength=len(table))
        return cls(sentences, units, counts)

    def examples(self, tokenizer: Tokenizer, chosen: IntArray, most: int) -> list[Example]:
        """Sentences with `chosen` units, now numbered by their place there, each in `most` of them.

        Of one that occurs more often, the first are taken.
        """
        place_of = np.full(len(self.counts) + 1, NONE)  # the last: that of no unit
        place_of[chosen] = np.arange(len(chosen))
        seen = np.zeros(len(chosen), np.int64)
        found = []
        for sentence, own in zip(self.sentences, self.units, strict=True):
            units = place_of[own]
            here = np.unique(units[units != NONE])
            wanted = here[seen[here] < most]
            if len(wanted):
                seen[wanted] += 1
                kept = np.where(np.isin(units, wanted), units, NONE)
                found.append(sentence.example(tokenizer, kept))
        return found


def _aligned_sentences(
    encoder: Encoder,
    tokenizer: Tokenizer,
    texts: Pairs,
    most: int,
) -> _Sides:
    """Sentences that the vocabulary cannot write, or that are shared by pairs, are left out."""
    limit = encoder.config.max_position_embeddings
    written = [tokenize(tokenizer, [pair[side] for pair in texts.pairs], limit) for side in (0, 1)]
    sources, targets = set[bytes](), set[bytes]()
    kept: list[tuple[TokenizedSentence, TokenizedSentence]] = []
    for source, target in zip(*written, strict=True):
        keys = source.ids.tobytes(), target.ids.tobytes()
        is_known = not (tokenizer.unk_id in source.ids or tokenizer.unk_id in target.ids)
        if all(keys) and is_known and keys[0] not in sources and keys[1] not in targets:
            sources.add(keys[0])
            targets.add(keys[1])
            kept.append((source, target))
    _require(kept, texts.path)
    places = np.linspace(0, len(kept), min(most, len(kept)), endpoint=False, dtype=np.int64)
    chosen = [kept[place] for place in places]  # such files are often sorted by length
    means = []
    for side, name in enumerate(SIDES):
        examples = [
            pair[side].example(tokenizer, np.full(len(pair[side].ids), row))
            for row, pair in enumerate(chosen)
        ]
        with Bar(f"{name} sentences", len(examples)) as bar:
            means.append(unit_means(encoder, examples, len(chosen), bar.update)[0])
    rows = np.repeat(np.arange(len(chosen))[:, None], 2, axis=1)
    return _Sides(means[0], means[1], rows, {"in_vocabulary": len(kept), "pairs": len(chosen)})


def _require(pairs: Sequence[object], where: Path) -> None:
    if len(pairs) < FEWEST_PAIRS:
        raise DataError(
            f"{len(pairs)} of its pairs can be asked, both sides being in the vocabulary and, of "
            "words, in the texts",
            where=where,
            mend=f"give {FEWEST_PAIRS} or more in the model's languages, or more text",
        )
