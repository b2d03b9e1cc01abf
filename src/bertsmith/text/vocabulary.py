"""A WordPiece vocabulary with words added: which ones a text asks for, and the tokenizer with them.

A word's worth is what it would save: (its pieces - 1) x how often it occurs. A word with unknown
pieces counts as if it were cut into its characters. Words are what the tokenizer's own
normaliser and pre-tokenizer make of the text; those without a letter, such as numbers, those
that occur less than `LEAST_COUNT` times and those too long for any entry are left out.

WordPiece takes the longest piece first, so that a new word is also taken where a longer one
begins with it ("cardio" + "##logy"). A text in which no word begins with a new one keeps its ids.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from bertsmith.errors import DataError, TokenizerError
from bertsmith.text.lines import file_lines
from bertsmith.text.pieces import pieces
from bertsmith.text.tokenizer import Tokenizer

LEAST_COUNT = 5
"""Of a word that is worth an entry."""
_BATCH = 100_000


@dataclass(frozen=True)
class NewWord:
    """A word, its pieces so far, and how often it occurs in the text that was counted."""

    word: str
    pieces: tuple[str, ...]
    piece_ids: tuple[int, ...]
    count: int


@dataclass(frozen=True)
class Cut:
    """How a tokenizer cuts counted words."""

    words: int
    tokens: int
    unknown: int

    @property
    def pieces_per_word(self) -> float:
        """Tokens a word."""
        return self.tokens / max(self.words, 1)


def require_wordpiece(tokenizer: Tokenizer, where: str | Path) -> None:
    """TokenizerError where words cannot be added to `tokenizer` without changing others."""
    kind = tokenizer.description["model"]["type"]
    if kind != "WordPiece":
        raise TokenizerError(
            f"is a {kind} vocabulary, in which a new word would change how others are cut",
            where=where,
            mend="extend a WordPiece vocabulary, such as BERT's",
        )


def count_words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """The words of `texts`, as the tokenizer normalises and separates them."""
    spaced: Counter[str] = Counter()
    counts: Counter[str] = Counter()

    def separate() -> None:
        for written, count in spaced.items():
            for word in words_of(tokenizer, written):
                counts[word] += count
        spaced.clear()

    for text in texts:
        for piece in pieces([text]):
            spaced.update(piece.split())
            if len(spaced) > _BATCH:  # a script without spaces writes nothing twice
                separate()
    separate()
    return counts


def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words that the tokenizer sees in `text`, normalised."""
    backend = tokenizer.backend
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]


def cut(tokenizer: Tokenizer, counts: Counter[str]) -> Cut:
    """How `tokenizer` cuts the words of `counts`."""
    tokens = unknown = 0
    for word, ids in zip(counts, _encode(tokenizer, list(counts)), strict=True):
        tokens += counts[word] * len(ids)
        unknown += counts[word] * (tokenizer.unk_id in ids)
    return Cut(counts.total(), tokens, unknown)


def most_useful(
    tokenizer: Tokenizer, counts: Counter[str], most: int, but: Sequence[str] = ()
) -> list[NewWord]:
    """The `most` words that would save the most tokens, the best first, without those in `but`."""
    left_out, longest = set(but), _longest(tokenizer)
    candidates = sorted(
        word
        for word, count in counts.items()
        if count >= LEAST_COUNT
        and word not in left_out
        and len(word) <= longest
        and any(map(str.isalpha, word))
    )
    found = [word for word in new_words(tokenizer, candidates, counts) if _saved(word)]
    found.sort(key=lambda word: (-_saved(word) * word.count, word.word))
    return found[:most]


def new_words(tokenizer: Tokenizer, words: Sequence[str], counts: Counter[str]) -> list[NewWord]:
    """`words` with their pieces, without those that are one token already."""
    found = []
    for word, ids in zip(words, _encode(tokenizer, words), strict=True):
        if len(ids) > 1 or tokenizer.unk_id in ids:
            found.append(NewWord(word, tuple(tokenizer.tokens(ids)), tuple(ids), counts[word]))
    return found


def _saved(word: NewWord) -> int:
    """Tokens, at each occurrence."""
    is_unknown = len(word.pieces) == 1
    return (len(word.word) if is_unknown else len(word.pieces)) - 1


def _encode(tokenizer: Tokenizer, words: Sequence[str]) -> list[list[int]]:
    ids: list[list[int]] = []
    for begin in range(0, len(words), _BATCH):
        batch = tokenizer.encode_batch(words[begin : begin + _BATCH], add_special_tokens=False)
        ids += [encoding.ids for encoding in batch]
    return ids


def read_words(tokenizer: Tokenizer, path: Path) -> list[str]:
    """The words in `path`, one a line, normalised, each once.

    Raises DataError, with the line, for what the tokenizer does not see as one word.
    """
    if not path.is_file():
        raise DataError("no such file", where=path, mend="give a file of one word a line")
    found: dict[str, None] = {}
    for number, line in file_lines(path):
        words = words_of(tokenizer, line.strip())
        if len(words) > 1:
            raise DataError(
                f"{line.strip()[:60]!r} is {len(words)} words to this tokenizer: "
                f"{' '.join(words)[:60]}",
                where=f"{path}:{number}",
                mend="give one word a line",
            )
        if words:
            _require_short(tokenizer, words[0], f"{path}:{number}")
            found[words[0]] = None
    if not found:
        raise DataError("no word in this file", where=path, mend="give one word a line")
    return list(found)


def _longest(tokenizer: Tokenizer) -> int:
    """Characters; a longer word is unknown, even as an entry of the vocabulary."""
    longest: int = tokenizer.description["model"]["max_input_chars_per_word"]
    return longest


def _require_short(tokenizer: Tokenizer, word: str, where: str) -> None:
    if len(word) > _longest(tokenizer):
        raise DataError(
            f"a word of {len(word)} characters, where the tokenizer reads {_longest(tokenizer)}",
            where=where,
            mend="leave it out",
        )


def with_words(tokenizer: Tokenizer, words: Sequence[str]) -> Tokenizer:
    """`tokenizer` with `words`, all of them new, as entries of its vocabulary after the last."""
    description = json.loads(tokenizer.backend.to_str())
    first = tokenizer.vocab_size
    description["model"]["vocab"] |= {word: first + place for place, word in enumerate(words)}
    backend = tokenizers.Tokenizer.from_str(json.dumps(description))
    extended = Tokenizer(backend, tokenizer.specials)
    assert extended.vocab_size == first + len(words)
    return extended
