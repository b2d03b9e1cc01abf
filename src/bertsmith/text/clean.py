"""Documents to sentences: control characters and runaway lines out, one rule-based splitter.

The splitter knows the sentence ends of the scripts that have them (Latin, Greek and Cyrillic
full stops with their abbreviations, Chinese and Japanese, Arabic and Urdu, Devanagari,
Ethiopic). It needs no model and passes some 50 MB of prose a second.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_LINE_COPIES = 10
"""A line may occur this often in one document; further copies are runaway."""
MAX_LINES_IN_A_ROW = 2
"""So many equal lines may follow each other; further copies are runaway."""

# C0 and C1 controls but for the white space among them, and the replacement character.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufffd\ufeff]")
_RULE = re.compile(r"[-=_*~#+.^`|: ]{3,}")
_BULLET = re.compile(r"(?:[-*+•·>]|\(?\w{1,3}[.)])\s|>>>|\.\.\. |\.\. |@|:")
_WRAP_WIDTHS = range(40, 121)

_ODD_SPACES = "\t\r\x0b\x0c\x1c\x1d\x1e\x1f"
_CLOSE = "\"'”’»›)\\]}」』”’）】》〉"
_END = ".!?…"
_END_WITHOUT_SPACE = "؟۔।॥።፧。！？｡"
# Each begins with a set of characters, which is what makes the search for it fast.
# What begins inside a run of stops has ended with the run: looking there, too, would make a line of
# exclamation marks take the square of its length.
_ASCII_SENTENCE_END = re.compile(r"[.!?](?<![.!?]{2})[.!?]*+[\"')\]}]*+ (?=[^a-z ])")
_SENTENCE_END = re.compile(
    rf"[{_END}{_END_WITHOUT_SPACE}]"
    rf"(?:(?<=[{_END}])(?<![{_END}]{{2}})[{_END}]*+[{_CLOSE}]*+ (?=[^a-z ])"
    rf"|(?<![{_END}])[{_END_WITHOUT_SPACE}]*[{_CLOSE}]* ?)"
)
_ABBREVIATION_LIST = """
    adm al approx apr art aug bros ca capt cf ch cie co col comdr corp cpl dec dept dr ed eds
    e.g eg eq eqs esp est etc ex feb fig figs fr ft gen gov hon i.e ie inc jan jr jun jul lt ltd
    maj mar messrs mlle mm mme mr mrs ms mt no nos nov oct op p pp prof pt pvt ref refs rep rev
    sec sen sep sept sgt sr st str supt tel univ v viz vol vols vs
    bzw d.h evtl ggf nr sog u.a usw vgl z.b
    т.е т.д т.п г ул им др
"""
_ABBREVIATIONS = frozenset(_ABBREVIATION_LIST.split())


@dataclass
class Removed:
    """What cleaning took away: counts over one or many documents."""

    repeated_lines: int = 0
    control_characters: int = 0

    def add(self, other: Removed) -> None:
        """Count `other` in."""
        self.repeated_lines += other.repeated_lines
        self.control_characters += other.control_characters


def clean_document(text: str, *, line_is_sentence: bool = False) -> tuple[list[str], Removed]:
    """The sentences of one document, white space made single spaces, and what was removed.

    Lines that a wrapped paragraph was broken into are joined again; any other line break,
    and every blank line, ends a sentence. With `line_is_sentence` each line is one.
    """
    removed = Removed()
    text, removed.control_characters = _CONTROL.subn("", text)
    lines = text.splitlines()
    kept = drop_repeated_lines(lines)
    removed.repeated_lines = len(lines) - len(kept)
    paragraphs = kept if line_is_sentence else unwrap(kept)
    spaces_are_plain = not any(space in text for space in _ODD_SPACES)
    clean = (_single_spaces(paragraph, spaces_are_plain) for paragraph in paragraphs)
    if line_is_sentence:
        return [sentence for sentence in clean if sentence], removed
    return [sentence for paragraph in clean for sentence in _split(paragraph)], removed


def _single_spaces(paragraph: str, spaces_are_plain: bool) -> str:
    if spaces_are_plain and "  " not in paragraph and paragraph.isascii():
        return paragraph.strip()
    return " ".join(paragraph.split())


def drop_repeated_lines(lines: list[str]) -> list[str]:
    """`lines` without runaway copies; blank lines do not count."""
    if len(set(lines)) + MAX_LINES_IN_A_ROW > len(lines):
        return lines
    copies: Counter[str] = Counter()
    kept: list[str] = []
    previous, in_a_row = "", 0
    for line in lines:
        content = line.strip()
        if content:
            in_a_row = in_a_row + 1 if content == previous else 1
            previous = content
            copies[content] += 1
            if in_a_row > MAX_LINES_IN_A_ROW or copies[content] > MAX_LINE_COPIES:
                continue
        kept.append(line)
    return kept


def unwrap(lines: Iterable[str]) -> Iterator[str]:
    """Paragraphs: a line goes on into the next where the next one's first word did not fit."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line and not line.isspace():
            block.append(line)
        elif block:
            yield from _unwrap_block(block)
            block = []


def _unwrap_block(block: list[str]) -> Iterator[str]:
    width = max(map(len, block))
    wrapped = width in _WRAP_WIDTHS
    paragraph: list[str] = []
    room = 0
    for line in block:
        content = line.strip()
        is_rule = _RULE.fullmatch(content)
        first_word = content.partition(" ")[0]
        if paragraph and (
            is_rule or not wrapped or len(first_word) < room or _BULLET.match(content)
        ):
            yield " ".join(paragraph)
            paragraph = []
        if not is_rule:
            paragraph.append(content)
        room = int(0.9 * width) - len(line.rstrip()) - 1
    if paragraph:
        yield " ".join(paragraph)


def split_sentences(text: str) -> list[str]:
    """The sentences of one paragraph; line breaks count as spaces."""
    return _split(" ".join(text.split()))


def _split(paragraph: str) -> list[str]:
    sentences: list[str] = []
    begin = 0
    pattern = _ASCII_SENTENCE_END if paragraph.isascii() else _SENTENCE_END
    for match in pattern.finditer(paragraph):
        end = match.end()
        if _goes_on(paragraph, begin, match.start(), end):
            continue
        sentences.append(paragraph[begin:end].rstrip())
        begin = end
    if begin < len(paragraph):
        sentences.append(paragraph[begin:])
    return sentences


def _goes_on(paragraph: str, begin: int, stop: int, end: int) -> bool:
    """Whether what looks like a sentence's end at `stop` is none; the next begins at `end`."""
    if end < len(paragraph) and paragraph[end].islower():
        return True
    if paragraph[stop] != "." or paragraph[stop + 1] == ".":
        return False
    word = paragraph[max(paragraph.rfind(" ", begin, stop) + 1, begin) : stop].lstrip("([\"'“‘«")
    if word.isdigit():  # the number of a list's item
        return paragraph[begin:stop].strip() == word
    if word.lower() in _ABBREVIATIONS:
        return True
    return all(len(part) == 1 and part.isalpha() for part in word.split("."))
