"""The instruments of `bertsmith analyze`: a model and text in, data, figures and a page out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bertsmith.analysis import similarity as words
from bertsmith.analysis.masked import judge, likelihoods
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import load_encoder, load_masked_lm, load_tokenizer
from bertsmith.export.sentences import read_sentence_folder
from bertsmith.jobs.fill import fill_mask
from bertsmith.jobs.progress import Bar
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.sentence import parse_layers
from bertsmith.report import similarity as shown
from bertsmith.report.analyses import write_analysis
from bertsmith.tasks.records import open_lines, read_records, table_kind
from bertsmith.tasks.tables import Columns, open_table
from bertsmith.text.clean import clean_document
from bertsmith.text.sources import read_documents
from bertsmith.text.tokenizer import Tokenizer

SETS = Path(words.__file__).with_name("senses")
"""Ambiguous words with sentences in two senses each: english.tsv and chinese.tsv."""
CONTEXTS = 10
LONGEST = 300
"""Characters of a sentence that is taken out of a text."""
OVERLAP = 0.5
"""Of the words of two sentences of CoLA that make a pair, those that both have."""


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
    if contexts.senses:
        static = words.similarity(encoder, tokenizer, contexts.word, contexts.sentences, (0,))
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
        raise DataError(what, where=path, mend="give two or more")
    return list(found.values())


def _find(texts: Sequence[str], word: str, tokenizer: Tokenizer) -> Contexts:
    """Sentences with `word` out of files, one a document."""
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
            f"{word!r} occurs in {len(found)} of the documents",
            where=", ".join(map(str, texts)),
            mend="give a word that occurs in two or more",
        )
    return Contexts(word, found)


def analyze_fill(
    model: str | Path,
    out: str | Path,
    *,
    texts: Sequence[str] = (),
    sentences: Sequence[str] = (),
    pairs: str | Path | None = None,
    cola: str | Path | None = None,
    top: int = 5,
) -> Path:
    """Gaps of `texts` filled, `sentences` scored, pairs judged. Returns the page's path.

    `pairs` is a table with the columns right and wrong; `cola` a folder with CoLA's official
    files, whose neighbouring sentences of one source, one acceptable and one not, that share half
    of their words are taken for pairs. Raises ModelError for a model without a masked-LM head,
    ConfigError where there is nothing to do, DataError.
    """
    if not (texts or sentences or pairs or cola):
        raise ConfigError(
            "nothing to fill, to score or to judge",
            mend="give --text, --sentence, --pairs or --cola",
        )
    if pairs and cola:
        raise ConfigError("pairs of two kinds", where="--pairs", mend="leave out --cola")
    network = load_masked_lm(model).to(choose_hardware("auto", "float32").device)
    tokenizer = load_tokenizer(model)
    read = _read_pairs(Path(pairs)) if pairs else list(_cola_pairs(Path(cola))) if cola else []
    right, wrong = ([pair[side] for pair in read] for side in (0, 1))
    filled = [{"text": text, "gaps": fill_mask(network, tokenizer, text, top)} for text in texts]
    asked = [*sentences, *right, *wrong]
    with Bar("scoring", max(len(asked), 1)) as bar:
        own, good, bad = (
            likelihoods(network, tokenizer, part, bar.update)
            for part in (list(sentences), right, wrong)
        )
    scored = [
        {"text": text, "tokens": int(count), "perplexity": float(value)}
        for text, count, value in zip(sentences, own.tokens, own.perplexities, strict=True)
    ]
    data: dict[str, Any] = {"model": str(model), "texts": filled, "sentences": scored}
    data["perplexity"] = own.perplexity if scored else None
    data["pairs"] = None
    table = [[row["text"], row["tokens"], row["perplexity"]] for row in scored]
    columns: tuple[str, ...] = ("sentence", "tokens", "pseudo_perplexity")
    if read:
        found = judge(good, bad)
        rows = [
            {"right": first, "wrong": second, "margin": float(margin)}
            for (first, second), margin in zip(read, found.margins, strict=True)
        ]
        data["pairs"] = {
            "source": str(pairs or "CoLA"),
            "accuracy": found.accuracy,
            "low": found.low,
            "high": found.high,
            "rows": rows,
        }
        table, columns = [list(row.values()) for row in rows], ("right", "wrong", "margin")
    elif filled and not scored:
        columns = ("text", "gap", "token", "probability")
        table = [
            [text, gap, token, probability]
            for text, row in zip(texts, filled, strict=True)
            for gap, guesses in enumerate(row["gaps"], 1)
            for token, probability in guesses
        ]
    return write_analysis(Path(out), "fill", data, columns, table)


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    table = open_table(path, Columns("right", "wrong"), labelled=False)
    found = [(row.text, row.pair or "") for row in table.rows]
    if not found:
        raise DataError("has no pairs", where=path, mend="give rows of right and wrong")
    return found


def _cola_pairs(folder: Path) -> Iterator[tuple[str, str]]:
    """Neighbours in CoLA's files that make a minimal pair, or nearly: (right, wrong)."""
    for name in ("train.tsv", "dev.tsv"):
        before: list[str] = []
        for _, line in open_lines(folder / name):
            fields = line.split("\t")
            if len(fields) != 4:
                raise DataError(
                    "is not CoLA's", where=folder / name, mend="give its official files"
                )
            if before and fields[0] == before[0] and fields[1] != before[1]:
                first, second = ({*row[3].lower().split()} for row in (before, fields))
                if len(first & second) >= OVERLAP * len(first | second):
                    ordered = sorted((before, fields), key=lambda row: row[1] != "1")
                    yield ordered[0][3], ordered[1][3]
            before = fields
