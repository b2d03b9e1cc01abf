"""`bertsmith analyze attention`: a model and sentences in, what its heads look at out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.analysis import attention as heads_of
from bertsmith.analysis.attention import MEASURES, Heads, Maps, Pair
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.export.sentences import read_sentence_folder
from bertsmith.jobs.analyses.similarity import SETS
from bertsmith.jobs.progress import Bar
from bertsmith.report import attention as shown
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.report.images import save
from bertsmith.tasks.records import open_lines, read_records, table_kind

PRONOUNS = Path(heads_of.__file__).with_name("pronouns") / "english.tsv"
"""Pronouns, what each stands for, and what else it might: 60 sentences, half of each order."""
LONGEST_MAP = 64
"""Tokens of a sentence whose maps are drawn."""
FEWEST_PAIRS = 10
"""Of which a head is chosen by one half and tried on the other."""
DIGITS = 4


def analyze_attention(
    model: str | Path,
    out: str | Path,
    *,
    texts: Sequence[str] = (),
    sentences: str | Path | None = None,
    layers: str = "all",
    heads: str = "all",
    pair: tuple[str, str] | None = None,
    pairs: str | Path | None = None,
) -> Path:
    """What heads look at; see `analysis.attention`. Returns the page's path.

    Maps are of `texts`, or of the first of `sentences` that is short enough; measures are over
    `sentences`: lines of a .txt, or a table's column of that name; None: the 200 that come with
    this. `pair` are two words in each of `texts`, `pairs` a table of sentence, from, to and perhaps
    rival. Raises DataError, ConfigError for a layer or a head that is not there, ModelError.
    """
    require_folder(out)
    if pair and (pairs or not texts):
        raise ConfigError(
            "a pair is of words in a text", where="--pair", mend="give --text, or --pairs alone"
        )
    source = read_sentence_folder(model).source
    chosen = Heads.parse(layers, heads, source.config)
    tokenizer = load_tokenizer(source)
    path = Path(sentences or SETS / "english.tsv")
    read = _read_sentences(path)
    fitting = (text for text in read if len(tokenizer.encode(text).ids) <= LONGEST_MAP)
    drawn = list(texts) or list(islice(fitting, 1)) or read[:1]
    for text in drawn:
        if (count := len(tokenizer.encode(text).ids)) > LONGEST_MAP:
            raise DataError(
                f"has {count} tokens, and a map shows {LONGEST_MAP}",
                where=repr(text[:60]),
                mend="shorten it, or give a shorter one with --text",
            )
    wanted = [Pair(text, *pair) for text in texts] if pair else _read_pairs(pairs) if pairs else []
    encoder = load_encoder(source).to(choose_hardware("auto", "float32").device)
    followed = heads_of.follow(encoder, tokenizer, wanted, chosen) if wanted else None
    maps = [heads_of.attention_maps(encoder, tokenizer, text, chosen) for text in drawn]
    with Bar("reading", len(read)) as bar:
        summary = heads_of.summarise(encoder, tokenizer, read, chosen, bar.update)
    data: dict[str, Any] = {
        "model": str(model),
        "layers": list(chosen.layers),
        "heads": list(chosen.heads),
        "sentences": summary.sentences,
        "source": _name(path, SETS / "english.tsv"),
        "measures": {
            name: {
                "means": summary.means[number].tolist(),
                "errors": summary.errors[number].tolist(),
                "uniform": float(summary.uniform[number]),
            }
            for number, name in enumerate(MEASURES)
        },
        "maps": [_record(text, each) for text, each in zip(drawn, maps, strict=True)],
        "pairs": None if followed is None else _followed(followed, wanted, pairs),
    }
    page = write_analysis(Path(out), "attention", data, shown.columns(data), shown.rows(data))
    save(shown.map_figure(data, data["maps"][0]), Path(out) / "attention-maps")
    return page


def _record(sentence: str, maps: Maps) -> dict[str, Any]:
    values = np.round(maps.values.astype(np.float64), DIGITS).tolist()
    return {"sentence": sentence, "tokens": list(maps.tokens), "values": values}


def _followed(
    followed: heads_of.Followed, pairs: Sequence[Pair], source: str | Path | None
) -> dict[str, Any]:
    return {
        "source": _name(source, PRONOUNS) if source else "the texts given",
        "count": len(pairs),
        "chance": float(followed.chance.mean()),
        "hits": followed.hits.mean(axis=0).tolist(),
        "attention": followed.attention.mean(axis=0).tolist(),
        "best": asdict(heads_of.best_head(followed)) if len(pairs) >= FEWEST_PAIRS else None,
        "rows": [
            {"sentence": own.sentence, "from": own.source, "to": own.target, "rival": own.rival}
            for own in pairs
        ],
    }


def _name(path: str | Path, own: Path) -> str:
    return "the set that comes with this" if path == own else Path(path).name


def _read_sentences(path: Path) -> list[str]:
    if table_kind(path) == "txt":
        return [line for _, line in open_lines(path) if line.strip()]
    return [own["sentence"] for own in _read_columns(path, ("sentence",))]


def _read_pairs(path: str | Path) -> list[Pair]:
    found = _read_columns(Path(path), ("sentence", "from", "to"))
    return [Pair(own["sentence"], own["from"], own["to"], own.get("rival", "")) for own in found]


def _read_columns(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table, none of which lacks what is needed. Raises DataError."""
    names, records = read_records(open_lines(path), str(path), table_kind(path), header=True)
    missing = [name for name in needed if name not in names]
    if missing:
        raise DataError(
            f"has no column {missing[0]!r}", where=path, mend=f"give {', '.join(needed)}"
        )
    rows = []
    for line, record in records:
        own = {name: str(value or "") for name, value in record.items()}
        empty = [name for name in needed if not own.get(name, "").strip()]
        if empty:
            raise DataError(f"has no {empty[0]}", where=f"{path}:{line}", mend="fill it in")
        rows.append(own)
    if not rows:
        raise DataError("has no rows", where=path, mend="give two or more")
    return rows
