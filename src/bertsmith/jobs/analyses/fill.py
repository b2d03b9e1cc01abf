"""`bertsmith analyze fill`: gaps filled, sentences scored, and which of two a model prefers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.analysis.masked import Likelihoods, judge, likelihoods
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import load_tokenizer
from bertsmith.jobs.fill import fill_mask, load_filler
from bertsmith.jobs.progress import Bar
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.tasks.records import open_lines, table_kind
from bertsmith.tasks.tables import Columns, open_table

COLA_FILES = ("train.tsv", "dev.tsv")
"""Of its official folder, that pairs are looked for in."""
OVERLAP = 0.5
"""Of the words of two sentences of CoLA that make a pair, those that both have."""


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
    of their words are taken for pairs. Raises ModelError for a model that fills no masks,
    ConfigError where there is nothing to do, DataError.
    """
    require_folder(out)
    if not (texts or sentences or pairs or cola):
        raise ConfigError(
            "nothing to fill, to score or to judge",
            mend="give --text, --sentence, --pairs or --cola",
        )
    if pairs and cola:
        raise ConfigError("pairs of two kinds", where="--pairs", mend="leave out --cola")
    network = load_filler(model).to(choose_hardware("auto", "float32").device)
    tokenizer = load_tokenizer(model)
    read = _read_pairs(Path(pairs)) if pairs else list(_cola_pairs(Path(cola))) if cola else []
    right, wrong = ([pair[side] for pair in read] for side in (0, 1))
    if cola and not read:
        raise DataError(
            "has no two neighbours of one source, one acceptable and one not, that are alike",
            where=cola,
            mend="give its official files",
        )
    filled = [{"text": text, "gaps": fill_mask(network, tokenizer, text, top)} for text in texts]
    asked = [*sentences, *right, *wrong]
    with Bar("scoring", max(len(asked), 1)) as bar:
        whole = likelihoods(network, tokenizer, asked, bar.update)
    ends = np.cumsum([len(sentences), len(right)])
    values = (whole.log_likelihoods, whole.tokens, whole.unknown)
    parts = (np.split(each, ends) for each in values)
    own, good, bad = (Likelihoods(*part) for part in zip(*parts, strict=True))
    numbers = zip(own.tokens, own.perplexities, own.unknown, strict=True)
    scored = [
        {"text": text, "tokens": int(count), "perplexity": float(value), "unknown": int(unknown)}
        for text, (count, value, unknown) in zip(sentences, numbers, strict=True)
    ]
    data: dict[str, Any] = {"model": str(model), "texts": filled, "sentences": scored}
    data["perplexity"] = own.perplexity if scored else None
    data["pairs"] = None
    table = [list(row.values()) for row in scored]
    columns: tuple[str, ...] = ("sentence", "tokens", "pseudo_perplexity", "unknown")
    if read:
        found = judge(good, bad)
        strange = good.unknown + bad.unknown
        rows = [
            {"right": first, "wrong": second, "margin": float(margin), "unknown": int(unknown)}
            for (first, second), margin, unknown in zip(read, found.margins, strange, strict=True)
        ]
        data["pairs"] = {
            "source": str(pairs or "CoLA"),
            "accuracy": found.accuracy,
            "low": found.low,
            "high": found.high,
            "rows": rows,
        }
        table = [list(row.values()) for row in rows]
        columns = ("right", "wrong", "margin", "unknown")
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
    columns = Columns("right", "wrong")
    if table_kind(path) == "txt":
        mend = "give a .csv, .tsv or .jsonl with the columns right and wrong"
        raise DataError("a .txt has no columns", where=path, mend=mend)
    found: list[tuple[str, str]] = []
    for row in open_table(path, columns, labelled=False).rows:
        found.append((row.text, row.pair or ""))
        for name, sentence in zip(("right", "wrong"), found[-1], strict=True):
            if not sentence.strip():
                raise DataError(
                    f"has no {name} sentence", where=f"{path}:{row.line}", mend="fill it in"
                )
    if not found:
        raise DataError("has no pairs", where=path, mend="give rows of right and wrong")
    return found


def _cola_pairs(folder: Path) -> Iterator[tuple[str, str]]:
    """Neighbours in CoLA's files that make a minimal pair, or nearly: (right, wrong)."""
    for name in COLA_FILES:
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
