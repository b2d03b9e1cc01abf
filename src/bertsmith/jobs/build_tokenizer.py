"""Text files to a tokenizer folder, and what the tokenizer makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bertsmith.errors import TokenizerError
from bertsmith.files import check_replaceable, replace_folder
from bertsmith.recipes.base import find
from bertsmith.text.manifest import MANIFEST
from bertsmith.text.pieces import EvenSample
from bertsmith.text.record_files import TEXT
from bertsmith.text.report import SAMPLE_CHARS, TokenizerReport, tokenizer_report
from bertsmith.text.shards import PROGRESS
from bertsmith.text.sources import Layout, read_texts
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_files import TOKENIZER_JSON
from bertsmith.text.tokenizer_training import train_tokenizer


def build_tokenizer(
    texts: Sequence[str],
    vocab_size: int,
    out: Path,
    *,
    recipe: str = "",
    choices: Mapping[str, Any],
    layout: Layout = "auto",
    text_column: str = TEXT,
    progress: Callable[[int, int], None],
    now: Callable[[str], None],
) -> TokenizerReport:
    """Train on the files `texts`, save into the folder `out`, and report.

    `choices` are arguments of `train_tokenizer`, laid over those that `recipe` asks for.
    `progress` is told the bytes read and in all, `now` what is done after that. The folder is
    written whole or not at all; an older tokenizer there is replaced. Raises TokenizerError
    where `out` holds something else, or the tokenizer of a model or a corpus.
    """
    choices = {**(find(recipe).tokenizer if recipe else {}), **choices}
    check_replaceable(out, TOKENIZER_JSON, TokenizerError)
    _refuse_one_in_use(out)
    sample = EvenSample(SAMPLE_CHARS)

    def read() -> Iterator[str]:
        for text in read_texts(texts, layout, progress, text_column):
            sample.add(text)
            yield text
        now("learning the vocabulary")

    tokenizer = train_tokenizer(read(), vocab_size, **choices)
    with replace_folder(out, TOKENIZER_JSON, TokenizerError) as temporary:
        tokenizer.save(temporary)
    now("encoding a sample")
    return tokenizer_report(tokenizer, sample.texts)


def report_tokenizer(
    folder: Path,
    texts: Sequence[str],
    layout: Layout,
    progress: Callable[[int, int], None],
    text_column: str = TEXT,
) -> TokenizerReport:
    """What the tokenizer in `folder` makes of the files `texts`."""
    found = read_texts(texts, layout, progress, text_column)
    return tokenizer_report(Tokenizer.load(folder), found)


def _refuse_one_in_use(out: Path) -> None:
    """TokenizerError where `out` is the folder of a model, or a corpus's tokenizer."""
    out = out.resolve()
    if not (out / TOKENIZER_JSON).exists():
        return
    if (out / "config.json").exists():
        owner = "model"
    elif any((out.parent / name).exists() for name in (MANIFEST, PROGRESS)):
        owner = "corpus"
    else:
        return
    raise TokenizerError(
        f"would replace the tokenizer of a {owner}", where=out, mend="choose another folder"
    )
