"""A sentence of words, with or without a tag for each."""

from __future__ import annotations

from dataclasses import dataclass

from bertsmith.text.split import split_words


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and where they are in `text`; their tags, where they have any."""

    text: str
    words: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]  # (begin, end) of each word
    lines: tuple[int, ...]  # of each word in its file
    tags: tuple[str, ...] = ()
    document: int = 0
    """Which of its file's it is in, counted from 1; 0 where the file marks none before it."""

    @property
    def line(self) -> int:
        """Where the sentence begins."""
        return self.lines[0] if self.lines else 0


def sentence_of(text: str, line: int = 0) -> Sentence:
    """Raw text as a sentence: see `split_words`."""
    offsets = tuple(split_words(text))
    words = tuple(text[begin:end] for begin, end in offsets)
    return Sentence(text, words, offsets, (line,) * len(words))


def spaced(words: tuple[str, ...], spaces: list[bool]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text of words, a space after those that have one, and where each is."""
    parts: list[str] = []
    offsets: list[tuple[int, int]] = []
    at = 0
    for word, space in zip(words, spaces, strict=True):
        offsets.append((at, at + len(word)))
        parts.append(word + " " * space)
        at += len(parts[-1])
    return "".join(parts).rstrip(" "), tuple(offsets)
