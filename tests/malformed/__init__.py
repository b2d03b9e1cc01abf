"""Files that are not what they should be: a thousand of them, the same every time.

A whole file of each format is drawn, then one thing in it is broken, at a known place.
"""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import reading, sentences, tables  # noqa: F401  (they note what they break)
from .faults import ANSWERS, MAKERS
from .whole import WHOLE, letters


@dataclass(frozen=True)
class Case:
    """One broken file, and those beside it."""

    name: str
    task: str
    kind: str
    """What is wrong with it."""
    content: bytes
    place: str
    """A pattern for what the error line begins with, the folder left out."""
    beside: dict[str, bytes] = field(default_factory=dict)


def malformed(count: int = 1000, seed: int = 0) -> Iterator[Case]:
    """`count` broken files, all kinds in turn."""
    for index in range(count):
        kind, what, maker = MAKERS[index % len(MAKERS)]
        rng = random.Random(f"{seed} {index}")
        made, where = maker(rng, kind)
        suffix, task, _ = WHOLE[kind]
        content = made if isinstance(made, bytes) else _joined(rng, made)
        stem = f"{index:04}-{kind}-{what}"
        name, pattern = (
            f"{stem}.{suffix}{'.gz' * (what == 'damaged_gz')}",
            f":{where}: " if isinstance(where, int) else where,
        )
        place, beside = name, {}
        if kind == "mctest":
            answers, found = _answers(rng, content, where == ANSWERS)
            if answers is not None:
                beside[f"{stem}.ans"] = answers
            if where == ANSWERS:
                place, pattern = name if answers is None else f"{stem}.ans", found
        yield Case(name, task, what, content, re.escape(place) + pattern, beside)


def _joined(rng: random.Random, made: str | list[str]) -> bytes:
    if isinstance(made, str):
        return made.encode("utf-8")
    return (rng.choice(("\n", "\r\n")).join(made) + "\n").encode("utf-8")


def _answers(rng: random.Random, stories: bytes, broken: bool) -> tuple[bytes | None, str]:
    """The letters that go with stories, and a pattern for where they are broken."""
    lines = [line.encode() + b"\n" for line in letters(rng, max(1, stories.count(b"\n")))]
    place = rng.randrange(len(lines))
    match rng.choice(("gone", "short", "long", "wrong", "few", "bytes")) if broken else "":
        case "gone":
            return None, r": no \S+\.ans beside it"
        case "short":
            return b"".join(lines[:-1]), ": ends before the story"
        case "long":
            return b"".join(lines + lines[:1]), f":{len(lines) + 1}: "
        case "wrong":
            lines[place] = b"A\tB\tC\tE\n"
        case "few":
            lines[place] = b"A\tB\n"
        case "bytes":
            lines[place] = b"A\tB\tC\t\xff\n"
    return b"".join(lines), f":{place + 1}: "


def odd(rng: random.Random, kind: str) -> Iterator[tuple[str, str, bytes, bytes]]:
    """Whole files that look strange: (what, suffix, the strange file, the plain one)."""
    suffix, _, draw = WHOLE[kind]
    lines = draw(rng)
    plain = ("\n".join(lines) + "\n").encode()
    yield "byte order mark", suffix, b"\xef\xbb\xbf" + plain, plain
    yield "returns", suffix, plain.replace(b"\n", b"\r\n"), plain
    yield "no last line end", suffix, plain.rstrip(b"\n"), plain
    yield "empty lines after", suffix, plain + b"\n\n", plain
    if kind != "mctest":
        yield "compressed", f"{suffix}.gz", gzip.compress(plain), plain
