"""Raw text to words with their places, for models that tag words.

A word is a run of letters, digits, marks and underscores, with single `.,:/&@-` inside it
(U.S, 3.50, all-rounder), or an invisible joiner such as Persian's; an apostrophe opens a new one
(Britain 's). Every other sign is a word, equal ones in a row are one (...). Where a script puts no
spaces between words, each of its characters is a word.
"""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE_JOINERS = "\u00ad\u200c\u200d\u2060"
"""Soft hyphen, zero-width non-joiner and joiner (in Persian, Sinhala and more), word joiner."""
_JOINERS = frozenset(".,:/&@-\u2010\u2011\u00b7" + _INVISIBLE_JOINERS)
_APOSTROPHES = frozenset("'\u2019")
_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.){2,}")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters."""


def split_words(text: str) -> list[tuple[int, int]]:
    """(begin, end) of every word, in order.

    Spaces are in none, and of control characters only the joiners inside a word are in one.
    """
    words: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        if text[at].isspace() or unicodedata.category(text[at]) in ("Cc", "Cf"):
            at += 1
            continue
        end = _end(text, at)
        words.append((at, end))
        at = end
    return words


def _end(text: str, at: int) -> int:
    """Where the word that begins at `at` ends."""
    first = text[at]
    abbreviation = _ABBREVIATION.match(text, at)
    if abbreviation is not None:
        end = abbreviation.end()
        if end == len(text) or not _is_inside(text[end]):
            return end
    end = at + 1
    if _UNSPACED.match(first):
        while end < len(text) and _is_mark(text[end]):
            end += 1
        return end
    if first in _APOSTROPHES and end < len(text) and _is_inside(text[end]):
        return _run(text, end)
    if _is_inside(first):
        return _run(text, at)
    while end < len(text) and (text[end] == first or _is_mark(text[end])):
        end += 1
    return end


def _run(text: str, end: int) -> int:
    while end < len(text):
        if not _is_inside(text[end]) and not (
            text[end] in _JOINERS and end + 1 < len(text) and _is_inside(text[end + 1])
        ):
            break
        end += 1
    return end


def _is_inside(letter: str) -> bool:
    if _UNSPACED.match(letter):
        return False
    return letter.isalnum() or letter == "_" or _is_mark(letter)


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("M")
