"""Sequences of symbols that are no language, read with a language model's vocabulary.

A symbol is a base of DNA, an amino acid, a note, or whatever stands between spaces. Each stands
for a word of the vocabulary that is drawn at random (Kao & Lee 2021, "Is BERT a
Cross-Disciplinary Knowledge Learner?"), or for a new entry behind the last.

The tokenizer that comes of it has the vocabulary it is made from, with the symbols in place of
those words, and is a tokenizer like any other, in transformers too. All other entries are called
`word NAME` in it, which no symbol can be, so that an unknown symbol is unknown, and not read as the
letter that a language has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

import numpy as np
import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers

from bertsmith.errors import ConfigError
from bertsmith.text.tokenizer import Tokenizer

Alphabet = Literal["letters", "notes", "words"]

_NOTES = (
    r'"[^"\s]*"',  # a chord
    r"[_=^]*[A-Ga-gxz][,']*\d*/*\d*",  # a note or a rest: accidental, pitch, octave, length
    r"\(\d",  # a tuplet
    r":*\|+[:\]\d]*|::|\[\d",  # a bar line, a repeat, an ending
    r"\S",
)
PATTERNS: dict[Alphabet, str] = {
    "letters": r"\S",
    "notes": "|".join(_NOTES),
    "words": r"\S+",
}
"""What a symbol is: a character, upper or lower case alike (DNA, protein); a note, chord or bar
line of ABC notation (its standard 2.1, section 4); what stands between spaces."""


def symbols_of(text: str, alphabet: Alphabet) -> list[str]:
    """The symbols of one sequence, in order."""
    return re.findall(PATTERNS[alphabet], text.lower() if alphabet == "letters" else text)


def count_symbols(texts: Iterable[str], alphabet: Alphabet) -> Counter[str]:
    """How often each symbol occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(symbols_of(text, alphabet))
    return counts


def symbol_tokenizer(
    own: Tokenizer, symbols: Collection[str], alphabet: Alphabet, *, new: bool, seed: int
) -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer of `symbols`, and what each of them stands for; all others are unknown.

    It has the special tokens and the ids of `own`. A symbol has the id of a word that is drawn
    by `seed`, or, where they are `new`, one after the last, and stands for nothing. Raises
    ConfigError where there are more symbols than words.
    """
    specials = own.tokens(own.special_ids)
    ordered = sorted({*symbols} - {*specials})
    entries = own.tokens(range(own.vocab_size))
    names = [
        name if name in specials else f"word {name or index}" for index, name in enumerate(entries)
    ]
    if new:
        places = list(range(len(names), len(names) + len(ordered)))
        names += [""] * len(ordered)
    else:
        words = _words(own)
        if len(words) < len(ordered):
            raise ConfigError(
                f"{len(ordered):,} symbols, and {len(words):,} words that they could stand for",
                where="symbols",
                mend="give --new-embeddings, or a model with a larger vocabulary",
            )
        draw = np.random.default_rng(seed).choice(len(words), len(ordered), replace=False)
        places = [words[index] for index in draw]
    meanings = {}
    for symbol, place in zip(ordered, places, strict=True):
        names[place] = symbol
        meanings[symbol] = "" if new else own.text(place)
    return Tokenizer(_backend(own, names, alphabet), own.specials), meanings


def _words(own: Tokenizer) -> list[int]:
    """The ids of whole words: of letters alone, and, as far as that is known, not inside one."""
    starts = own.starts_word()
    return [
        index
        for index in range(own.vocab_size)
        if (starts is None or starts[index])
        and index not in own.special_ids
        and own.text(index).isalpha()
    ]


def _backend(own: Tokenizer, names: Sequence[str], alphabet: Alphabet) -> tokenizers.Tokenizer:
    vocabulary = {name: index for index, name in enumerate(names)}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=own.specials[1]))
    if alphabet == "letters":
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERNS[alphabet]), "removed", invert=True)
    backend.post_processor = own.backend.post_processor
    added = own.backend.get_added_tokens_decoder().values()
    backend.add_special_tokens([token for token in added if token.special])
    return backend
