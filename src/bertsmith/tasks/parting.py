"""Which rows of a labelled file are held out: to be scored on, where no dev set is given, or to
choose a threshold on.

They are told by hashes of what they are, so that they are the same ones whenever they are drawn, in
whatever order the file is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TypeVar

from bertsmith.tasks.findings import Item
from bertsmith.tasks.tables import Labelled

RowT = TypeVar("RowT")

HELD_OUT = 0.2
"""Of all rows, and of each class, to be scored on."""
FEWEST_GROUPS = 10
"""Articles or documents. Of fewer one may be most of a file, and their parts are drawn."""


def held_out(
    items: Sequence[Item], groups: Sequence[Hashable], share: float = HELD_OUT, seed: int = 0
) -> list[int]:
    """The places of those held out: the groups with the smallest hashes with `seed`.

    `groups` names what each item is part of, which is held out as a whole or not at all: a group
    too large for what is still wanted is passed over. Where each item is of one class, and shares
    nothing, `share` is of each class. No label (`Item.counted`) is held out altogether.
    """
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(str(group), []).append(place)
    has_classes = all(len(item.counted) == 1 and not item.shared for item in items)
    classes: dict[str, list[str]] = {}
    for group, places in members.items():
        label = items[places[0]].counted[0] if has_classes else ""
        classes.setdefault(label, []).append(group)

    left = _rows_of_labels(items)
    held: list[int] = []
    for own in classes.values():
        wanted = share * sum(len(members[group]) for group in own)
        taken = 0
        for group in sorted(own, key=lambda name: sha256(f"{seed} {name}".encode()).digest()):
            places = members[group]
            labels = _rows_of_labels([items[place] for place in places])
            fits = taken + len(places) / 2 <= wanted
            if fits and all(left[label] > count for label, count in labels.items()):
                held += places
                taken += len(places)
                left -= labels
    return sorted(held)


def part(
    data: Labelled[RowT], places: Sequence[int], *notes: str
) -> tuple[Labelled[RowT], Labelled[RowT]]:
    """The rows that are left to learn from, with these notes, and those at `places`."""
    held = {*places}
    left = [row for place, row in enumerate(data.rows) if place not in held]
    rows = [data.rows[place] for place in places]
    return (
        replace(data, rows=left, notes=(*data.notes, *notes)),
        replace(data, rows=rows, notes=(), is_held_out=True),
    )


def _rows_of_labels(items: Sequence[Item]) -> Counter[str]:
    """How many rows have each label."""
    return Counter(label for item in items for label in {*item.counted})
