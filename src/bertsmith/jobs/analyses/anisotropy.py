"""`bertsmith analyze anisotropy`: a model and rated pairs of sentences in, one table out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.analysis.anisotropy import (
    agreement,
    draw_tokens,
    frequency_effect,
    mean_cosine,
    read_sentences,
)
from bertsmith.analysis.isotropy import FittedFlow, centring, fit_flow, without_top
from bertsmith.analysis.sentences import whitening
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.export.sentences import read_sentence_folder
from bertsmith.jobs.progress import Bar
from bertsmith.jobs.word_vectors import load_word_vectors
from bertsmith.report import anisotropy as shown
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.tasks.regress import number_text
from bertsmith.tasks.tables import read_labelled, require_pairs
from bertsmith.text.clean import clean_document
from bertsmith.text.encoding import CachedEncoder
from bertsmith.text.sources import expand_paths, read_texts
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Float32Array, FloatArray, IntArray, WordVectors

Map = Callable[[Float32Array], Float32Array]
FITTING: dict[str, Callable[[Float32Array], Map]] = {
    "centred": centring,
    "whitened": whitening,
    "without top": without_top,
    "flow": fit_flow,
}
"""By name, how each cure is fitted; the names are those of `report.anisotropy.CURES`."""
WORD = re.compile(r"\w+|[^\w\s]")
"""Of a sentence whose words are looked up in a table."""
FEWEST_PAIRS = 10


@dataclass(frozen=True)
class PairSet:
    """Rated pairs, as places in `texts`, which are all different."""

    name: str
    texts: list[str]
    first: list[int]
    second: list[int]
    ratings: FloatArray


def analyze_anisotropy(
    model: str | Path,
    out: str | Path,
    *,
    pairs: Sequence[str | Path],
    vectors: str | Path | None = None,
    texts: Sequence[str] = (),
    max_length: int | None = None,
    flow: bool = True,
) -> Path:
    """How far vectors point the same way, and what cures do; see `analysis.anisotropy`.

    `pairs` are tables of two sentences and a rating, such as STS-B's and SICK's; `vectors` a
    word2vec model or file to stand beside the model; `texts` where frequencies are counted, else
    in the pairs; without `flow` the cure that takes longest is left out. Returns the page's path.
    Raises ModelError, ConfigError, DataError.
    """
    require_folder(out)
    if not pairs:
        raise ConfigError("no pairs of sentences", mend="give --pairs")
    folder = read_sentence_folder(model)
    limit = folder.source.config.max_position_embeddings
    length = max_length or folder.max_length
    if length > limit:
        raise ConfigError(
            f"{length} tokens, where the model reads {limit}", where="max_length", mend="take fewer"
        )
    sets = _read_sets([Path(path) for path in pairs])
    table = None if vectors is None else load_word_vectors(vectors)
    tokenizer = load_tokenizer(folder.source)
    device = choose_hardware("auto", "float32").device
    encoder = load_encoder(folder.source).eval().to(device)
    every = list(dict.fromkeys(text for each in sets for text in each.texts))
    counts = _count_in_files(tokenizer, texts) if texts else count_tokens(tokenizer, every)
    with Bar("reading", len(every)) as bar:
        read = read_sentences(encoder, tokenizer, every, length, bar.update)
    _require_tokens(len(read.drawn), sets[0].name)
    embeddings = encoder.embeddings.word.weight.detach().cpu().float().numpy()
    counted = ", ".join(Path(path).name for path in texts) or "the pairs"
    frequency = [_frequency("word embeddings", f"in {counted}", embeddings[: len(counts)], counts)]
    kinds, notes, beside = dict(read.vectors), [], None
    if read.truncated:
        notes.append(f"{read.truncated:,} sentences were cut at {length} tokens.")
    if table is not None:
        kinds["word vectors"], drawn, known = _mean_vectors(table, every)
        _require_tokens(len(drawn), str(vectors), "with a vector ")
        notes.append(f"Of the sentences' words {100 * known:.1f} % have a word vector.")
        beside = {"name": "word vectors", "cosine": mean_cosine(drawn), "tokens": len(drawn)}
        ranks = np.arange(len(table.words), 0, -1)
        frequency.append(_frequency("word vectors", "the file's order", table.vectors, ranks))
    data = {
        "model": str(model),
        "max_length": length,
        "sets": [
            {"name": each.name, "pairs": len(each.first), "sentences": len(each.texts)}
            for each in sets
        ],
        **_cure(sets, every, kinds, shown.CURES if flow else shown.CURES[:-1], notes),
        "layers": read.cosines.tolist(),
        "tokens": len(read.drawn),
        "static_cosine": mean_cosine(embeddings[read.drawn]),
        "word_vectors": beside,
        "frequency": frequency,
        "notes": notes,
    }
    return write_analysis(Path(out), "anisotropy", data, shown.COLUMNS, shown.rows(data))


def _require_tokens(count: int, where: str, which: str = "") -> None:
    if count < 2:
        raise DataError(
            f"the sentences have {count} different words {which}to be compared",
            where=where,
            mend="give text in the model's language",
        )


def _cure(
    sets: Sequence[PairSet],
    texts: Sequence[str],
    kinds: Mapping[str, Float32Array],
    cures: Sequence[str],
    notes: list[str],
) -> dict[str, Any]:
    """How every set agrees with every kind of vectors of `texts` after each cure; and the flows.

    What could not be fitted is told in `notes`.
    """
    places = {text: place for place, text in enumerate(texts)}
    measured: list[dict[str, Any]] = []
    flows: list[dict[str, Any]] = []
    with Bar("fitting", len(sets) * len(kinds) * len(cures)) as bar:
        for each in sets:
            rows = [places[text] for text in each.texts]
            for kind, vectors_ND in kinds.items():
                named = {"set": each.name, "vectors": kind}
                for cure in cures:
                    bar.update(len(measured), f"{each.name}, {kind}: {cure}")
                    fitted = _fit(cure, vectors_ND[rows], notes, f"{each.name}, {kind}")
                    measured.append({**named, "cure": cure, **_score(each, fitted)})
                    if isinstance(fitted.map, FittedFlow):
                        own = fitted.map
                        flows.append({**named, "likelihoods": own.likelihoods, "epoch": own.epoch})
    return {"agreements": measured, "flows": flows}


def _frequency(
    name: str, counted_in: str, vectors_ND: Float32Array, counts_N: IntArray
) -> dict[str, Any]:
    with Bar(f"comparing {name}", len(counts_N)) as bar:
        effect = frequency_effect(vectors_ND, counts_N, bar.update)
    return {"name": name, "counted_in": counted_in, **asdict(effect)}


@dataclass(frozen=True, eq=False)
class _Fitted:
    """The vectors of a set after a cure, None where it could not be fitted."""

    map: Map | None
    vectors: Float32Array | None


def _fit(cure: str, vectors_ND: Float32Array, notes: list[str], where: str) -> _Fitted:
    if cure == shown.CURES[0]:
        return _Fitted(None, vectors_ND)
    try:
        fitted = FITTING[cure](vectors_ND)
    except DataError as error:  # the others can be
        notes.append(f"Not {cure} ({where}): {error.what}.")
        return _Fitted(None, None)
    return _Fitted(fitted, fitted(vectors_ND))


def _score(pairs: PairSet, fitted: _Fitted) -> dict[str, float]:
    if fitted.vectors is None:
        return dict.fromkeys(("spearman", "low", "high", "cosine"), float("nan"))
    found = agreement(fitted.vectors[pairs.first], fitted.vectors[pairs.second], pairs.ratings)
    return {**asdict(found), "cosine": mean_cosine(fitted.vectors)}


def _read_sets(paths: Sequence[Path]) -> list[PairSet]:
    sets: dict[str, PairSet] = {}
    for path in paths:
        try:
            table = read_labelled(path, label_text=number_text)
            require_pairs(table.columns, expected=True, name=str(path), learnt_from="a rating")
        except DataError as error:
            if "-column" not in error.mend:
                raise
            mend = "call its columns sentence1, sentence2 and score"  # no option names them here
            raise DataError(error.what, where=error.where, mend=mend) from None
        if len(table.rows) < FEWEST_PAIRS:
            raise DataError(
                f"{len(table.rows)} pairs are too few", where=path, mend=f"give {FEWEST_PAIRS}"
            )
        sides = [row.text for row in table.rows], [row.pair or "" for row in table.rows]
        texts = list(dict.fromkeys([*sides[0], *sides[1]]))
        places = {text: place for place, text in enumerate(texts)}
        first, second = ([places[text] for text in side] for side in sides)
        name = f"{path.resolve().parent.name}/{path.stem}"
        name = str(path) if name in sets else name
        ratings = np.array([float(row.label) for row in table.rows])
        sets[name] = PairSet(name, texts, first, second, ratings)
    return list(sets.values())


def _count_in_files(tokenizer: Tokenizer, paths: Sequence[str]) -> IntArray:
    total = sum(path.stat().st_size for path in expand_paths(paths))

    def told(bar: Bar) -> Iterator[str]:
        done = 0
        for text in read_texts(paths):
            yield text
            done += len(text)
            bar.update(min(done, total), f"{done / 1e6:,.0f} million characters")

    with Bar("counting", max(total, 1)) as bar:
        return count_tokens(tokenizer, told(bar))


def count_tokens(tokenizer: Tokenizer, texts: Iterable[str]) -> IntArray:
    """(V,) how often each token occurs; special ones never."""
    encoder = CachedEncoder(tokenizer)
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for text in texts:
        sentences = clean_document(text)[0]
        if sentences:
            counts += np.bincount(encoder.encode(sentences).ids, minlength=len(counts))
    counts[list(tokenizer.special_ids)] = 0
    return counts


def _mean_vectors(
    table: WordVectors, texts: Sequence[str]
) -> tuple[Float32Array, Float32Array, float]:
    """The mean vector of each text's words; vectors of different words, one a text; and the share
    of words that have one. A word stands in the table as it is, or in lower case."""
    known = {word: place for place, word in reversed(list(enumerate(table.words)))}
    words = [WORD.findall(text) for text in texts]
    ids = [[known.get(word, known.get(word.lower(), -1)) for word in own] for own in words]
    found = [[index for index in own if index >= 0] for own in ids]
    means = np.zeros((len(texts), table.vectors.shape[1]), np.float32)
    for row, own in enumerate(found):
        if own:
            means[row] = table.vectors[own].mean(axis=0)
    places = draw_tokens(found, frozenset())
    drawn = [own[place] for own, place in zip(found, places, strict=True) if place >= 0]
    share = sum(map(len, found)) / max(sum(map(len, ids)), 1)
    return means, table.vectors[drawn], share
