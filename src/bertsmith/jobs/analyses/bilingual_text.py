"""Sentences of two languages out of files, as the instruments that compare languages read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from bertsmith.errors import ConfigError
from bertsmith.text.clean import clean_document
from bertsmith.text.sources import Document, expand_paths, read_documents

SIDES = ("source", "target")
DIRECTIONS = ("source to target", "target to source")
SENTENCES = 20_000
"""That are looked through."""
PER_DOCUMENT = 20
"""Sentences that each document gives before any gives more."""
SHORTEST, LONGEST = 6, 300
"""Characters of a sentence."""


def require_texts(source_texts: Sequence[str], target_texts: Sequence[str]) -> None:
    """Raise ConfigError where one language has no text."""
    for side, texts in zip(SIDES, (source_texts, target_texts), strict=True):
        if not texts:
            raise ConfigError(
                f"no text in the {side} language", mend=f"give --{side}-text, monolingual text"
            )


def read_sentences(texts: Sequence[str], count: int = SENTENCES) -> list[str]:
    """Up to `count` different sentences out of files, the files' documents by turns.

    Raises DataError for what cannot be read.
    """
    found: dict[str, None] = {}
    left: list[list[str]] = []
    for document in _by_turns(texts):
        sentences, _ = clean_document(document.text, line_is_sentence=document.line_is_sentence)
        fitting = [s for s in sentences if SHORTEST <= len(s) <= LONGEST]
        found.update(dict.fromkeys(fitting[:PER_DOCUMENT]))
        left.append(fitting[PER_DOCUMENT:])
        if len(found) >= count:
            break
    for sentences in left:
        if len(found) >= count:
            break
        found.update(dict.fromkeys(sentences))
    return list(islice(found, count))


def _by_turns(texts: Sequence[str]) -> Iterator[Document]:
    """A document of each file, then another of each, until all have ended."""
    readers = [iter(read_documents([path])) for path in expand_paths(texts)]
    while readers:
        for reader in list(readers):
            document = next(reader, None)
            if document is None:
                readers.remove(reader)
            else:
                yield document
