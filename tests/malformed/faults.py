"""What breaks a file is noted here, by its format; and what breaks any."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

from .whole import WHOLE

HALF = "\\ud83d"
"""Of a surrogate pair, as JSON spells it."""

Content = str | bytes
Made = tuple[Content | list[str], str | int]
"""A file, and where it is broken: a line, or a pattern of what the error says after its name."""
WHOLE_FILE = r"(:\d+)?: "
ANSWERS = "answers"
"""The file beside it is broken."""

Maker = Callable[[random.Random, str], Made]
MAKERS: list[tuple[str, str, Maker]] = []
"""(format, what is wrong, what makes it): of a generator and the format."""


def breaks(*formats: str) -> Callable[[Maker], Maker]:
    """Note a maker under its name, for each format."""

    def note(maker: Maker) -> Maker:
        MAKERS.extend((kind, maker.__name__, maker) for kind in formats or WHOLE)
        return maker

    return note


def somewhere(rng: random.Random, lines: list[str], first: int = 0) -> int:
    """A line that is not empty."""
    return rng.choice([place for place in range(first, len(lines)) if lines[place].strip()])


def with_bytes(rng: random.Random, kind: str, strange: bytes) -> Made:
    lines = WHOLE[kind][2](rng)
    place = somewhere(rng, lines)
    raw = [line.encode() for line in lines]
    at = rng.choice([i for i in range(len(raw[place]) + 1) if raw[place][i : i + 1] < b"\x80"])
    raw[place] = raw[place][:at] + strange + raw[place][at:]
    return b"\n".join(raw) + b"\n", place + 1


def changed(lines: list[str], place: int, line: str) -> Made:
    lines[place] = line
    return lines, place + 1


# Any format


@breaks()
def not_utf8(rng: random.Random, kind: str) -> Made:
    return with_bytes(
        rng, kind, rng.choice((b"\xff", b"\xe9 ", b"\xc3(", b"\xed\xa0\x80", b"\x80"))
    )


@breaks()
def nul(rng: random.Random, kind: str) -> Made:
    return with_bytes(rng, kind, b"\0")


@breaks()
def empty(rng: random.Random, kind: str) -> Made:
    return rng.choice(("", "\n", "\n\n \n", "\ufeff", "\r\n")), WHOLE_FILE


@breaks()
def utf16(rng: random.Random, kind: str) -> Made:
    return "\n".join(WHOLE[kind][2](rng)).encode("utf-16"), 1


@breaks(*(kind for kind in WHOLE if kind != "mctest"))
def damaged_gz(rng: random.Random, kind: str) -> Made:
    """Cut, or with a checksum that does not fit."""
    packed = gzip.compress("\n".join(WHOLE[kind][2](rng)).encode(), mtime=0)
    cut_off = packed[: rng.randrange(1, len(packed) - 1)]
    other = packed[:-8] + bytes(255 - byte for byte in packed[-8:])
    return rng.choice((cut_off, other)), r"(:\d+)?: the compressed file is cut or damaged"
