"""JSON values out of a file one at a time, in bounded memory, however its lines are broken.

A file is an array of values, or values one after another, such as one a line. Of each no more is
held than the value itself, MOST_CHARS at most, and what has been read past it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from bertsmith.errors import DataError
from bertsmith.text.lines import read_blocks

MOST_CHARS = 16 * 2**20
"""Of a value."""
_LONGEST_WORD = 16
"""More than the characters of a word of JSON's, or of an escape: -Infinity, \\ud83d\\ude00."""
_SPACES = re.compile(r"[ \t\n\r]*")
_MEND = 'write [{"text": "..."}, ...], or such objects one after another'


class JsonValue(NamedTuple):
    """A value, the line it begins at, and which of the file's it is, from 1."""

    line: int
    number: int
    value: Any


def json_values(stream: BinaryIO, path: Path) -> Iterator[JsonValue]:
    """The values in `stream`; `path` is what errors call it.

    Raises DataError for what is no JSON, cut, or a value that is too long.
    """
    text = _Text(stream, path)
    if text.next_character() != "[":
        number = 0
        while text.next_character():
            number += 1
            yield text.take(number)
        return
    text.step()
    number = 0
    while number or text.next_character() != "]":
        number += 1
        yield text.take(number)
        match text.next_character():
            case ",":
                text.step()
                text.next_character()
            case "]":
                break
            case character:
                what = f"{character!r} after record" if character else "it ends after record"
                raise text.error(f"not JSON ({what} {number:,} of the array)")
    text.step()
    if text.next_character():
        raise text.error("not JSON (more text after the end of the array)")


class _Text:
    """The text of a stream, from the place that has been come to."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._blocks, self._path = read_blocks(stream, path), path
        self._held, self._at, self._line = "", 0, 1
        self._decode = json.JSONDecoder().raw_decode

    def next_character(self) -> str:
        """The one that follows, spaces passed over; "" at the end."""
        while True:
            spaces = _SPACES.match(self._held, self._at)
            assert spaces is not None
            self._go_to(spaces.end())
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._read():
                return ""

    def step(self) -> None:
        """Go past one character that is no line's end."""
        self._at += 1

    def take(self, number: int) -> JsonValue:
        """The value that begins here, record `number` of the file; goes past it."""
        while True:
            error = None
            try:
                value, end = self._decode(self._held, self._at)
            except json.JSONDecodeError as caught:
                error, end = caught, len(self._held)
            except (ValueError, RecursionError) as caught:
                raise self.error(f"record {number:,} is not JSON ({caught})") from None
            may_go_on = _is_of_the_end(error, end) if error else end == len(self._held)
            if may_go_on and end - self._at <= MOST_CHARS and self._read():
                continue
            if end - self._at > MOST_CHARS and (may_go_on or not error):
                what = f"record {number:,} is longer than {MOST_CHARS // 2**20} MiB"
                raise self.error(what, "cut it into several, or close its quotes and brackets")
            if error:
                line = self._line + self._held.count("\n", self._at, error.pos)
                raise self.error(f"record {number:,} is not JSON ({error.msg})", line=line)
            found = JsonValue(self._line, number, value)
            self._go_to(end)
            return found

    def error(self, what: str, mend: str = _MEND, line: int = 0) -> DataError:
        """One that names the file and the line, by default that which has been come to."""
        return DataError(what, where=f"{self._path}:{line or self._line}", mend=mend)

    def _go_to(self, place: int) -> None:
        self._line += self._held.count("\n", self._at, place)
        self._at = place

    def _read(self) -> bool:
        """Read on, as much again as is held, so that a long value is not parsed too often."""
        rest, more = self._held[self._at :], []
        wanted = max(1, len(rest))
        for block in self._blocks:
            more.append(block)
            wanted -= len(block)
            if wanted <= 0:
                break
        if more:
            self._held, self._at = rest + "".join(more), 0
        return bool(more)


def _is_of_the_end(error: json.JSONDecodeError, length: int) -> bool:
    """Whether more text after the `length` characters might mend it."""
    return error.pos + _LONGEST_WORD >= length or error.msg.startswith("Unterminated string")
