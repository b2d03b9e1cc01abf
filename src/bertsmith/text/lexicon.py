"""Phrases and names out of a user's file, found again in token ids of any script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bertsmith.config import MAX_VOCABULARY
from bertsmith.errors import ConfigError, DataError
from bertsmith.text.lines import HashedFile, decompressed, read_lines
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import BoolArray, IntArray

_ENCODED_AT_ONCE = 100_000
_SIGN = "("
"""Any that tokenizers cut from the word after it."""


class Lexicon:
    """Phrases of two tokens or more, as a tree of their ids.

    One flat table of edges, from a node and an id to a node: some 100 bytes a token of the
    file, and a token of text that begins no phrase costs one look.
    """

    def __init__(self, phrases: Iterable[Sequence[int]], sha256: str = "") -> None:
        """`phrases` are sequences of ids; `sha256` is that of the file that they are out of."""
        self.sha256 = sha256
        self._edges: dict[int, int] = {}  # from node * MAX_VOCABULARY + id
        self._ends: set[int] = set()
        for ids in phrases:
            if len(ids) > 1:
                node = 0
                for index in ids:
                    edge = node * MAX_VOCABULARY + index
                    node = self._edges.setdefault(edge, len(self._edges) + 1)
                self._ends.add(node)

    def __len__(self) -> int:
        return len(self._ends)

    @classmethod
    def load(cls, path: str | Path, tokenizer: Tokenizer) -> Lexicon:
        """The phrases in the file `path`, see `read_phrases`, as `tokenizer` writes them.

        Each is taken as at the beginning of a text, as after a space and as after a sign, such as a
        quote, where those are not the same. Those with an unknown token are left out. Raises
        ConfigError where there is no such file, DataError where it holds no phrase that the
        tokenizer can write.
        """
        texts, sha256 = read_phrases(path)
        found: set[tuple[int, ...]] = set()
        for before in ("", " ", _SIGN):
            sign = tokenizer.encode(before.strip(), add_special_tokens=False).ids
            for begin in range(0, len(texts), _ENCODED_AT_ONCE):
                part = [before + text for text in texts[begin : begin + _ENCODED_AT_ONCE]]
                for encoding in tokenizer.encode_batch(part, add_special_tokens=False):
                    ids = tuple(encoding.ids)
                    if ids[: len(sign)] == tuple(sign):
                        found.add(ids[len(sign) :])
        special = tokenizer.special_ids
        lexicon = cls((ids for ids in found if special.isdisjoint(ids)), sha256)
        if not len(lexicon):
            raise DataError(
                "no phrase of two tokens or more that this tokenizer can write",
                where=path,
                mend="write a phrase a line, as it stands in the text",
            )
        return lexicon

    def inside(self, ids: IntArray, word_starts: BoolArray) -> BoolArray:
        """(n,) whether a token goes on with a phrase that began before it.

        From left to right, the longest phrase of whole words that begins at a word is taken,
        and the next one may begin after it.
        """
        sequence, starts = ids.tolist(), [*word_starts.tolist(), True]
        inside = np.zeros(len(sequence), dtype=np.bool_)
        edges, ends = self._edges, self._ends
        at = 0
        while at < len(sequence):
            end = at + 1
            if starts[at]:
                node, ahead = 0, at
                while ahead < len(sequence):
                    child = edges.get(node * MAX_VOCABULARY + sequence[ahead])
                    if child is None:
                        break
                    node, ahead = child, ahead + 1
                    if starts[ahead] and node in ends:
                        end = ahead
                inside[at + 1 : end] = True
            at = end
        return inside


def read_phrases(path: str | Path) -> tuple[list[str], str]:
    """The first column of each line of a text or TSV file, and the file's SHA-256.

    Also .gz, .xz and .zst. White space is made single spaces, as in a corpus; empty lines are
    passed over.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError("no such file", where=path, mend="give a file with a phrase a line")
    with HashedFile(path) as raw, decompressed(raw, path) as stream:
        columns = (
            " ".join(line.partition("\t")[0].split()) for _, line in read_lines(stream, path)
        )
        texts = [text for text in columns if text]
        return texts, raw.sha256
