"""CoNLL-U (universaldependencies.org/format): the syntactic words, and where they are in the text.

Words of one token (1-2) are looked for in it; empty nodes (8.1) are left out. The text is that
of the comment, or, where there is none, the words with spaces but for SpaceAfter=No. A comment
`newdoc` begins a document.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from bertsmith.errors import DataError
from bertsmith.tasks.records import Lines
from bertsmith.tasks.sentences import Sentence, spaced
from bertsmith.tasks.tables import Columns

FIELDS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
NO_TAG = "_"


def read_conllu(lines: Lines, columns: Columns, name: str) -> Iterator[Sentence]:
    """The sentences, with the words and tags of `columns`, names of FIELDS. Raises DataError."""
    assert columns.text is not None
    word = FIELDS.index(columns.text)
    tag = FIELDS.index(columns.label) if columns.label else None
    block, document = _Block(), 0
    for number, line in chain(lines, [(0, "")]):
        where = f"{name}:{number}"
        if not line.strip():
            if block.rows:
                yield block.sentence(word, tag, document)
            block = _Block()
        elif line.startswith("#"):
            key, _, value = line[1:].partition("=")
            if key.strip() == "text":
                block.text = value.strip()
            document += line[1:].split()[:1] == ["newdoc"]
        else:
            fields = line.split("\t")
            if len(fields) != len(FIELDS):
                raise DataError(
                    f"{len(fields)} fields, where CoNLL-U has {len(FIELDS)}",
                    where=where,
                    mend="put tabs between the fields, _ where one is empty",
                )
            block.add(number, fields, word, tag, where)


class _Block:
    """One sentence of CoNLL-U while it is read."""

    def __init__(self) -> None:
        self.text = ""
        self.rows: list[tuple[int, list[str]]] = []
        self._tokens: dict[int, tuple[int, str]] = {}  # a word's row -> its token's last id, form
        self._spaces: dict[int, bool] = {}
        self._inside = 0  # the last word's id of the token that is being read

    def add(self, number: int, fields: list[str], word: int, tag: int | None, where: str) -> None:
        if "." in fields[0]:
            return
        has_space = "SpaceAfter=No" not in fields[-1].split("|")
        begin, _, end = fields[0].partition("-")
        if not _is_number(begin) or (end and not _is_number(end)):
            raise DataError(
                f"the ID {fields[0]!r:.40} is no number", where=where, mend="count words from 1"
            )
        if end:
            self._tokens[len(self.rows)] = (int(end), fields[FIELDS.index("form")])
            self._spaces[int(end)] = has_space
            self._inside = int(end)
            return
        if int(begin) != len(self.rows) + 1:
            raise DataError(
                f"word {len(self.rows) + 1} has the ID {begin}",
                where=where,
                mend="count words from 1, and put an empty line after each sentence",
            )
        if not fields[word].strip():
            raise DataError("no word", where=where, mend="write one, or take the line out")
        if tag is not None and fields[tag] in (NO_TAG, ""):
            raise DataError(
                f"no tag in {FIELDS[tag]}",
                where=where,
                mend="tag the word, or name another column with --label-column",
            )
        self._spaces.setdefault(int(begin), has_space and int(begin) > self._inside)
        self.rows.append((number, fields))

    def sentence(self, word: int, tag: int | None, document: int) -> Sentence:
        words = tuple(fields[word] for _, fields in self.rows)
        tags = () if tag is None else tuple(fields[tag] for _, fields in self.rows)
        surface = self._surface(words)
        text, places = spaced(
            tuple(form for form, _, _ in surface), [space for _, _, space in surface]
        )
        offsets: list[tuple[int, int]] = []
        for (form, own, _), (begin, end) in zip(surface, places, strict=True):
            offsets += [(begin, end)] if len(own) == 1 else _inside(form, own, begin, end)
        if self.text and text != self.text:
            text, offsets = _aligned(self.text, text, offsets)
        lines = tuple(n for n, _ in self.rows)
        return Sentence(text, words, tuple(offsets), lines, tags, document)

    def _surface(self, words: tuple[str, ...]) -> list[tuple[str, tuple[str, ...], bool]]:
        """Tokens: as they read, their words, and whether a space follows."""
        surface = []
        at = 0
        while at < len(words):
            end, form = self._tokens.get(at, (at + 1, words[at]))
            end = min(max(end, at + 1), len(words))
            surface.append((form, words[at:end], self._spaces.get(end, True)))
            at = end
        return surface


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _inside(form: str, words: tuple[str, ...], begin: int, end: int) -> list[tuple[int, int]]:
    """Where the words of one token are in it; the whole of it for one that is not to be found."""
    offsets = []
    at = 0
    for word in words:
        place = form.lower().find(word.lower(), at)
        if place < 0 or len(form.lower()) != len(form):
            offsets.append((begin, end))
        else:
            offsets.append((begin + place, begin + place + len(word)))
            at = place + len(word)
    return offsets


def _aligned(
    text: str, own: str, offsets: list[tuple[int, int]]
) -> tuple[str, list[tuple[int, int]]]:
    """`offsets` into `own` as offsets into `text`, which differs in spaces alone; else as given."""
    letters, mine = _letters(text), _letters(own)
    if [text[i] for i in letters] != [own[i] for i in mine]:
        return own, offsets
    place = dict(zip(mine, letters, strict=True))
    moved = [
        (place[begin], place[end - 1] + 1) if begin in place and end - 1 in place else None
        for begin, end in offsets
    ]
    if None in moved:
        return own, offsets
    return text, [pair for pair in moved if pair is not None]


def _letters(text: str) -> list[int]:
    return [i for i, letter in enumerate(text) if not letter.isspace()]
