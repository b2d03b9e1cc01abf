"""A segmenter of one's own: any Python function that cuts a sentence into its words.

Chinese, Japanese and Thai write no spaces, so a tokenizer knows characters there and no words.
A segmenter (jieba's `lcut`, for example) tells a corpus where words begin. It changes no token:
at inference none is needed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from bertsmith.errors import ConfigError, DataError
from bertsmith.types import IntArray

Segmenter = Callable[[str], Iterable[str]]
"""A sentence -> its words in their order; spaces may be left out or be words."""


def load_segmenter(name: str) -> Segmenter:
    """The function that MODULE:FUNCTION names, such as jieba:lcut.

    Modules in the current folder are found, too. Raises ConfigError where there is none.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ConfigError(
            f"{name!r} is not MODULE:FUNCTION", where="segmenter", mend="write, say, jieba:lcut"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # of someone else's module: whatever it may raise
        raise ConfigError(
            f"cannot import {module_name} ({error})",
            where="segmenter",
            mend=f"install {module_name.partition('.')[0]}, or name another module",
        ) from None
    function = getattr(module, attribute, None)
    if not callable(function):
        raise ConfigError(
            f"the module {module_name} has no function {attribute}",
            where="segmenter",
            mend="name one that takes a sentence and returns its words",
        )
    segmenter: Segmenter = function
    return segmenter


def word_of_character(sentence: str, segmenter: Segmenter) -> IntArray:
    """(characters,) the number of the word that each character of `sentence` is in, from 0.

    Spaces belong to the word after them. Raises DataError where the segmenter fails, or where
    what it returns does not spell the sentence.
    """
    try:
        words = [word.strip() for word in segmenter(sentence)]
    except Exception as error:  # of someone else's function: whatever it may raise
        raise DataError(
            f"the segmenter failed ({type(error).__name__}: {error}) on {_shown(sentence)}",
            mend="mend it, or name another",
        ) from None
    ends: list[int] = []
    at = 0
    for word in filter(None, words):
        while at < len(sentence) and sentence[at].isspace():
            at += 1
        if not sentence.startswith(word, at):
            raise _not_its_words(word, sentence[at:])
        at += len(word)
        ends.append(at)
    if sentence[at:].strip():
        raise _not_its_words("", sentence[at:])
    begins = np.zeros(len(sentence), dtype=np.int64)
    begins[ends[:-1]] = 1
    return np.cumsum(begins)


def _not_its_words(word: str, rest: str) -> DataError:
    return DataError(
        f"the segmenter gave {_shown(word)} where the sentence goes on {_shown(rest)}",
        mend="a segmenter has to return the sentence's own words in their order",
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + " ...")
