"""Text of any length in small pieces, and a sample that is spread over all of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

PIECE_CHARS = 10_000
_WHITE_SPACE = re.compile(r"[ \t\n]")


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """`texts`, each cut at the first white space after every PIECE_CHARS characters."""
    for text in texts:
        begin = 0
        while begin < len(text):
            space = _WHITE_SPACE.search(text, begin + PIECE_CHARS)
            end = space.end() if space else len(text)
            yield text[begin:end]
            begin = end


class EvenSample:
    """Every k-th piece of what it is given, `max_chars` characters at most.

    k is the smallest power of two that keeps so little; it doubles as the text goes on.
    """

    def __init__(self, max_chars: int) -> None:
        self.texts: list[str] = []
        self._max_chars, self._chars = max_chars, 0
        self._every, self._seen = 1, 0

    def add(self, text: str) -> None:
        """Look at a further text."""
        for piece in pieces([text]):
            if self._seen % self._every == 0:
                self.texts.append(piece)
                self._chars += len(piece)
            self._seen += 1
            while self._chars > self._max_chars and len(self.texts) > 1:
                self.texts = self.texts[::2]
                self._every *= 2
                self._chars = sum(map(len, self.texts))
