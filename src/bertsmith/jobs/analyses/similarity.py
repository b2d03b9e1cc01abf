"""`bertsmith analyze similarity`: a model, a word and sentences with it in, their cosines out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bertsmith.analysis import similarity as words
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.export.sentences import read_sentence_folder
from bertsmith.jobs.progress import Bar
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.sentence import parse_layers
from bertsmith.report import similarity as shown
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.tasks.records import open_lines, read_records, table_kind
from bertsmith.text.clean import clean_document
from bertsmith.text.sources import read_documents
from bertsmith.text.tokenizer import Tokenizer

SETS = Path(words.__file__).with_name("senses")
"""Ambiguous words with sentences in two senses each: english.tsv and chinese.tsv."""
CONTEXTS = 10
LONGEST = 300
"""Characters of a sentence that is taken out of a text."""


@dataclass(frozen=True)
class Contexts:
    """A word, sentences with it, and the sense in each, where it is known."""

    word: str
    sentences: list[str] = field(default_factory=list)
    senses: list[str] = field(default_factory=list)


def analyze_similarity(
    model: str | Path,
    out: str | Path,
    *,
    word: str | None = None,
    sentences: str | Path | None = None,
    texts: Sequence[str] = (),
    layers: str = "last",
) -> Path:
    """Cosines of words in sentences; see `analysis.similarity`. Returns the page's path.

    The sentences are those of a table (columns sentence, and perhaps sense and word), those found
    in `texts` for `word`, or else the English set that comes with this. Raises DataError for a
    word that does not occur, or only once; ModelError, ConfigError.
    """
    require_folder(out)
    source = read_sentence_folder(model).source
    tokenizer, chosen = load_tokenizer(source), parse_layers(layers, source.config.num_layers)
    if texts and word is None:
        raise ConfigError("which word?", where="--text", mend="name it with --word")
    found = (
        [_find(texts, word, tokenizer)]
        if texts and word is not None
        else _read_contexts(Path(sentences or SETS / "english.tsv"), word)
    )
    encoder = load_encoder(source).to(choose_hardware("auto", "float32").device)
    measured = []
    with Bar("comparing", len(found)) as bar:
        for number, contexts in enumerate(found, 1):
            measured.append(_measure(encoder, tokenizer, contexts, chosen))
            bar.update(number, contexts.word)
    data = {"model": str(model), "layers": layers, "words": measured}
    return write_analysis(Path(out), "similarity", data, shown.COLUMNS, shown.rows(data))


def _measure(
    encoder: Encoder, tokenizer: Tokenizer, contexts: Contexts, layers: tuple[int, ...]
) -> dict[str, Any]:
    found = words.similarity(encoder, tokenizer, contexts.word, contexts.sentences, layers)
    record: dict[str, Any] = {
        "word": contexts.word,
        "sentences": list(found.sentences),
        "matrix": found.matrix.tolist(),
    }
    static = words.similarity(encoder, tokenizer, contexts.word, contexts.sentences, (0,))
    record["mean"] = words.mean_of_pairs(found.matrix)
    record["static_mean"] = words.mean_of_pairs(static.matrix)
    if contexts.senses:
        for name, each in (("separation", found), ("baseline", static)):
            senses = [contexts.senses[index] for index in each.order]
            record[name] = asdict(words.separation(each.matrix, senses))
        record["senses"] = [contexts.senses[index] for index in found.order]
    return record


def _read_contexts(path: Path, word: str | None) -> list[Contexts]:
    """The words of a table, or the one that is asked for. Raises DataError."""
    kind = table_kind(path)
    if kind == "txt":
        if word is None:
            raise ConfigError("which word?", where=path, mend="name it with --word")
        lines = [line for _, line in open_lines(path) if line.strip()]
        return [Contexts(word, lines)]
    names, records = read_records(open_lines(path), str(path), kind, header=True)
    missing = {"sentence", *(() if word else ("word",))} - {*names}
    if missing:
        raise DataError(
            f"has no column {min(missing)!r}",
            where=path,
            mend="give columns sentence, and word where --word names none, and perhaps sense",
        )
    found: dict[str, Contexts] = {}
    for line, record in records:
        fields = {name: str(record.get(name) or "") for name in ("word", "sentence", "sense")}
        own = fields["word"] or word or ""
        if word not in (None, own):
            continue
        if not fields["sentence"] or ("sense" in names and not fields["sense"]):
            raise DataError(
                "has no sentence or no sense", where=f"{path}:{line}", mend="fill it in"
            )
        contexts = found.setdefault(own, Contexts(own))
        contexts.sentences.append(fields["sentence"])
        if fields["sense"]:
            contexts.senses.append(fields["sense"])
    if not found:
        what = f"has no sentence for {word!r}" if word else "has no sentences"
        mend = "give --sentences or --text with it" if path.parent == SETS else "give two or more"
        raise DataError(what, where=path, mend=mend)
    return list(found.values())


def _find(texts: Sequence[str], word: str, tokenizer: Tokenizer) -> Contexts:
    """Sentences with `word` out of files, one a document where there are enough of these."""
    documents = (clean_document(document.text)[0] for document in read_documents(texts))
    found = words.occurrences(
        documents,
        lambda sentence: (
            len(sentence) <= LONGEST
            and word.lower() in sentence.lower()
            and words.occurs(tokenizer, word, sentence)
        ),
        CONTEXTS,
    )
    if len(found) < 2:
        raise DataError(
            f"{word!r} occurs in {len(found)} of the sentences of {LONGEST} characters at most",
            where=", ".join(map(str, texts)),
            mend="give a word that occurs in two or more",
        )
    return Contexts(word, found)
