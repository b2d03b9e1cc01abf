"""What can be the matter with labelled data, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

Level = Literal["note", "warning"]
"""A warning costs scores, or makes them say more than is true; a note is to be known."""


class Place(NamedTuple):
    """A line of the file, or an id where the format has such; `note` says what stands there."""

    at: int | str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A row, as one is compared with others."""

    at: int | str
    """Its line, or id."""
    text: tuple[str, ...]
    """What the model reads, in parts."""
    right: frozenset[str] = frozenset()
    """What is right of it: its label, or each of several answers; empty: it is not said."""
    counted: tuple[str, ...] = ()
    """What there is a balance of: its class, its labels, the types of its spans."""
    shared: str = ""
    """A text that it shares with other rows, such as the context of several questions."""

    @property
    def key(self) -> bytes:
        """The same for texts that differ in white space alone."""
        return key_of(self.text)

    @property
    def label(self) -> str:
        """What is right of it, in words."""
        return " | ".join(sorted(self.right))

    def contradicts(self, other: Item) -> bool:
        """Whether nothing is right of both."""
        return bool(self.right and other.right) and self.right.isdisjoint(other.right)


@dataclass(frozen=True)
class Finding:
    """One thing that is the matter with some rows of a file."""

    kind: str
    """For programs: "duplicates"."""
    level: Level
    what: str
    """For people, to go after the number of rows."""
    places: tuple[tuple[Place, ...], ...]
    """Each of them one place, or several that belong together."""
    count: int
    """Rows, or what else `what` speaks of."""


def key_of(text: Iterable[str]) -> bytes:
    """The same for texts, in parts, that differ in white space alone."""
    whole = "\x1f".join(" ".join(part.split()) for part in text)
    return blake2b(whole.encode("utf-8"), digest_size=16).digest()


def single(kind: str, level: Level, what: str, places: Iterable[Place]) -> list[Finding]:
    """A finding with a place each time; none where there are no places."""
    found = tuple((place,) for place in places)
    return [Finding(kind, level, what, found, len(found))] if found else []


def told_of_known(known: int, dev: int, unit: str) -> list[str]:
    """What is to be said where `known` of `dev` dev rows are training rows, too."""
    if not known:
        return []
    return [f"{known:,} of the {dev:,} dev {unit} are training {unit}, too, and no test."]
