"""Two languages in equal parts: a joint tokenizer, nested corpora, and text that is in none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bertsmith.errors import TokenizerError
from bertsmith.files import write_text_atomically
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.sources import Document, read_documents
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from bertsmith.types import BoolArray, IntArray

TOKENIZER_CHARS = 10_000_000
"""Of each language."""
RATE_CHARS = 400_000
"""Of each language, to measure how many characters a token has."""
HELD_OUT_CHARS = 4_000_000
"""Of each language at most; and at most HELD_OUT_SHARE of it."""
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Language:
    """The documents of one language in a random order, the last of them held out."""

    name: str
    paths: tuple[str, ...]
    order: IntArray  # (documents,)
    chars: IntArray  # (documents,) in the order of the files
    trained_on: int
    """So many, in `order`."""

    @classmethod
    def open(cls, name: str, paths: Sequence[str]) -> Language:
        """Read all of it once."""
        chars = np.array([len(document.text) for document in read_documents(paths)])
        order = np.random.default_rng(0).permutation(len(chars))
        held = min(HELD_OUT_CHARS, HELD_OUT_SHARE * chars.sum())
        from_the_end = np.cumsum(chars[order][::-1])
        count = 1 + int(np.searchsorted(from_the_end, held))
        return cls(name, tuple(paths), order, chars, len(order) - count)

    @property
    def trainable_chars(self) -> int:
        """All that is not held out."""
        return int(self.chars[self.order[: self.trained_on]].sum())

    def documents(self, chars: float) -> Iterator[Document]:
        """Those that make up `chars`, a smaller number's among them, in the order of the files."""
        sums = np.cumsum(self.chars[self.order[: self.trained_on]])
        return self._chosen(self.order[: 1 + int(np.searchsorted(sums, chars))])

    def held_out(self) -> Iterator[Document]:
        """Those that are trained on nowhere."""
        return self._chosen(self.order[self.trained_on :])

    def _chosen(self, places: IntArray) -> Iterator[Document]:
        is_chosen: BoolArray = np.zeros(len(self.chars), np.bool_)
        is_chosen[places] = True
        documents = read_documents(self.paths)
        return (one for one, taken in zip(documents, is_chosen, strict=True) if taken)


def mixed(languages: Sequence[Language], chars: Sequence[float]) -> Iterator[Document]:
    """Documents by turns, so that every part of the text has as large a share of each language."""
    streams = [one.documents(wanted) for one, wanted in zip(languages, chars, strict=True)]
    done = [0.0] * len(streams)
    following = [next(stream, None) for stream in streams]
    while any(following):
        at = min((row for row, one in enumerate(following) if one), key=done.__getitem__)
        document = following[at]
        assert document is not None
        done[at] += len(document.text) / chars[at]
        yield document
        following[at] = next(streams[at], None)


def joint_tokenizer(languages: Sequence[Language], vocab_size: int, folder: Path) -> Tokenizer:
    """WordPiece over as much of each language; Chinese characters are words of their own."""
    try:
        return Tokenizer.load(folder)
    except TokenizerError:
        texts = (one.text for one in mixed(languages, [TOKENIZER_CHARS] * len(languages)))
        tokenizer = train_tokenizer(texts, vocab_size, isolate_chinese=True)
        tokenizer.save(folder)
        return tokenizer


def chars_per_token(language: Language, tokenizer: Tokenizer) -> float:
    """Of the beginning of `language`."""
    chars = tokens = 0
    for document in language.documents(RATE_CHARS):
        chars += len(document.text)
        tokens += len(tokenizer.encode(document.text, add_special_tokens=False).ids)
    return chars / tokens


def balanced_corpus(
    languages: Sequence[Language],
    rates: Sequence[float],
    tokens: float,
    tokenizer: Tokenizer,
    folder: Path,
) -> Corpus:
    """A corpus of about `tokens`, shared equally; one that is there is taken as it is."""
    if (folder / "manifest.json").exists():
        return Corpus.open(folder)
    chars = [rate * tokens / len(languages) for rate in rates]
    return build_corpus(mixed(languages, chars), tokenizer, folder)


def held_out_corpus(language: Language, tokenizer: Tokenizer, folder: Path) -> tuple[Corpus, Path]:
    """What is held out of `language`, as a corpus and as a file."""
    path = folder / f"{language.name}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps({"text": one.text}) + "\n" for one in language.held_out())
        write_text_atomically(path, "".join(lines))
    return build_corpus([path], tokenizer, folder / language.name), path
