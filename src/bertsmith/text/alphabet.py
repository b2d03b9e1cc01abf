"""Which characters a WordPiece vocabulary has, and what room they leave for longer pieces.

Large texts have thousands of characters that hardly occur: English Wikipedia quotes most of the
world's scripts. Each would take one or two tokens of the vocabulary, and give nothing back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from bertsmith.types import IntArray

COVERAGE = 0.9999
"""Share of a text's characters that are in the vocabulary where there is better use for the room
(the character coverage of SentencePiece, Kudo & Richardson 2018, whose default is 0.9995): one word
in some two thousand is unknown."""
MOST_OF_A_VOCABULARY = 2 / 3
"""That single characters take, where there is better use for the rest."""
INSIDE = "##"
_AT_ONCE = 1 << 20


class CharacterCounts:
    """Counts the characters of texts as they go by."""

    def __init__(self) -> None:
        self._counts: IntArray = np.zeros(sys.maxunicode + 1, dtype=np.int64)

    def of(self, texts: Iterable[str]) -> Iterator[str]:
        """`texts`, counted. Many at once, since each look at an array has a price."""
        waiting: list[str] = []
        length = 0
        for text in texts:
            waiting.append(text)
            length += len(text)
            if length >= _AT_ONCE:
                self._add("".join(waiting))
                waiting.clear()
                length = 0
            yield text
        self._add("".join(waiting))

    def _add(self, text: str) -> None:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        found = np.bincount(codes)
        self._counts[: len(found)] += found

    def normalised(self, normalise: Callable[[str], str]) -> dict[str, int]:
        """How often each character is in the texts once `normalise` is through with them."""
        counts: dict[str, int] = {}
        for code in np.flatnonzero(self._counts):
            for character in normalise(chr(code)):
                if not character.isspace():
                    counts[character] = counts.get(character, 0) + int(self._counts[code])
        return counts


def choose_pieces(trained: Sequence[str], counts: Mapping[str, int], room: int) -> list[str]:
    """`room` of the pieces that a trainer has found, in its order of merit; all where it has fewer.

    First the characters that occur most, up to COVERAGE and to MOST_OF_A_VOCABULARY, each at a
    word's beginning and inside it; then longer pieces of these; then, where there is room, the
    other characters and what is left.
    """
    forms: dict[str, list[str]] = {}
    longer = []
    for piece in trained:
        if len(bare(piece)) == 1:
            forms.setdefault(bare(piece), []).append(piece)
        else:
            longer.append(piece)
    ranked = sorted(forms, key=lambda character: (-counts.get(character, 0), character))
    wanted, covered = COVERAGE * sum(counts.values()), 0
    chosen: list[str] = []
    kept: set[str] = set()
    for character in ranked:
        if covered >= wanted or len(chosen) + len(forms[character]) > MOST_OF_A_VOCABULARY * room:
            break
        chosen += forms[character]
        kept.add(character)
        covered += counts.get(character, 0)
    spelt = [piece for piece in longer if kept.issuperset(bare(piece))]
    others = [form for character in ranked[len(kept) :] for form in forms[character]]
    rest = [piece for piece in longer if not kept.issuperset(bare(piece))]
    return [*chosen, *spelt, *others, *rest][:room]


def bare(piece: str) -> str:
    """Its characters, wherever it stands in a word."""
    return piece.removeprefix(INSIDE) or piece
