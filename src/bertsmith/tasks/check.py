"""What is wrong with labelled data, found before anything is trained: pure functions of rows.

    rows --Task.items--> Items --repeats, overlap, balance--> Findings
    rows --Task.oddities--> Findings of their family's own: tags, spans, options
    rows + tokenizer --measure--> lengths in tokens, and Findings on what does not fit

Texts are the same where they differ in white space at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, takewhile
from typing import Any

import numpy as np

from bertsmith.tasks.base import Task
from bertsmith.tasks.findings import Finding, Item, Place, key_of, single
from bertsmith.tasks.tables import Labelled
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import IntArray

FEW = 5
"""Examples of a class, below which it can hardly be learnt."""
BLOCK = 2048
"""Rows encoded at a time."""
WHOLE = 1 << 30
"""Tokens that any text fits in."""
MANY_UNKNOWN = 0.01
"""Share of unknown tokens from which the tokenizer does not suit the text."""


def repeats(items: Sequence[Item]) -> list[Finding]:
    """Rows that are there twice, and texts with labels that contradict each other."""
    groups: dict[bytes, list[Item]] = {}
    for item in items:
        groups.setdefault(item.key, []).append(item)
    same, other = [], []
    for group in groups.values():
        alike: dict[frozenset[str], list[Item]] = {}
        for item in group:
            alike.setdefault(item.right, []).append(item)
        if _contradict([own[0] for own in alike.values()]):
            labels = _without_beginning([item.label for item in group])
            other.append(tuple(Place(i.at, x) for i, x in zip(group, labels, strict=True)))
            parts = list(alike.values())
        else:
            parts = [group]
        same += [tuple(Place(item.at) for item in part) for part in parts if len(part) > 1]
    found = []
    if same:
        extra = sum(len(group) - 1 for group in same)
        what = "repeat another row, label and all"
        found.append(Finding("duplicates", "warning", what, tuple(same), extra))
    if other:
        what = "texts have labels that contradict each other"
        found.append(Finding("conflicts", "warning", what, tuple(other), len(other)))
    return found


def _contradict(items: Sequence[Item]) -> bool:
    """Whether any two of them, of different labels, do. What all have in common is looked for
    first, so that as many answers as one likes are no matter."""
    labels = [item.right for item in items if item.right]
    if len(labels) < 2 or frozenset.intersection(*labels):
        return False
    return any(a.contradicts(b) for a, b in combinations(items, 2))


def _without_beginning(labels: Sequence[str]) -> list[str]:
    """Tags without those that all begin with; other labels as they are."""
    words = [label.split(" ") for label in labels]
    if len({len(own) for own in words}) > 1:
        return [*labels]
    same = sum(1 for _ in takewhile(lambda at: len({*at}) == 1, zip(*words, strict=False)))
    return [" ".join(["…", *own[same:]] if same else own) for own in words]


def overlap(items: Sequence[Item], others: Sequence[Item], name: str) -> list[Finding]:
    """Rows of `items` whose text, or what they share with others, `others` of file `name` have."""
    there: dict[bytes, Item] = {}
    for item in others:
        there.setdefault(item.key, item)
    pairs = [(item, there[key]) for item in items if (key := item.key) in there]
    found = []
    if pairs:
        differ = sum(a.contradicts(b) for a, b in pairs)
        but = f", {differ:,} of them with another label" if differ else ""
        places = tuple((Place(a.at), Place(b.at)) for a, b in pairs)
        what = f"are in {name}, too (here = there){but}"
        found.append(Finding("overlap", "warning", what, places, len(pairs)))
    known = {key_of((item.shared,)) for item in others if item.shared}
    seen = {id(item) for item, _ in pairs}
    found += single(
        "shared texts",
        "warning",
        f"ask about a text that {name} has, too",
        (
            Place(item.at)
            for item in items
            if item.shared and id(item) not in seen and key_of((item.shared,)) in known
        ),
    )
    return found


def count_known(items: Sequence[Item], others: Sequence[Item]) -> int:
    """How many of `items` have a text that one of `others` has, too."""
    there = {item.key for item in others}
    return sum(item.key in there for item in items)


def balance(items: Sequence[Item]) -> Counter[str]:
    """How often each label is there."""
    return Counter(label for item in items for label in item.counted)


def rare(items: Sequence[Item]) -> list[Finding]:
    """Labels with fewer than FEW examples, by their rows."""
    few = {label for label, count in balance(items).items() if count < FEW}
    places = (Place(item.at, label) for item in items for label in item.counted if label in few)
    found = single("rare labels", "note", "", places)
    what = f"labels have fewer than {FEW} examples"
    return [Finding(one.kind, one.level, what, one.places, len(few)) for one in found]


@dataclass(frozen=True)
class Lengths:
    """Rows in tokens, special ones included."""

    tokens: IntArray  # (rows,)
    max_length: int
    unknown: float
    """Share of the tokens that stand for what the vocabulary cannot write."""


def measure(
    task: Task[Any, Any],
    data: Labelled[Any],
    items: Sequence[Item],
    tokenizer: Tokenizer,
    max_length: int,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> tuple[Lengths, list[Finding]]:
    """How long rows are, and which do not fit `max_length` or cannot be written.

    `on_rows` is told how many rows are done. Raises ConfigError where `max_length` leaves no
    room for text.
    """
    tokens: list[int] = []
    unknown: list[int] = []
    total = 0  # of all options, where `tokens` has the longest
    is_cut: list[bool] = []  # whatever the limit is, such as a long question
    for begin in range(0, len(data.rows), BLOCK):
        block = task.encode(data.rows[begin : begin + BLOCK], tokenizer, WHOLE)
        sizes = [len(example.input_ids) for example in block.examples]
        strange = [int((example.input_ids == tokenizer.unk_id).sum()) for example in block.examples]
        bounds = range(len(sizes) + 1) if block.groups is None else block.groups.tolist()
        is_cut += block.is_truncated
        total += sum(sizes)
        tokens += [max(sizes[a:b]) for a, b in pairwise(bounds)]
        unknown += [sum(strange[a:b]) for a, b in pairwise(bounds)]
        on_rows(len(tokens))
    long = [row for row, count in enumerate(tokens) if count > max_length]
    near = [row for row, count in enumerate(tokens) if 2 * count > max_length]
    # a question that is longer than half of them is cut though all of it would fit
    cut = task.encode([data.rows[row] for row in near], tokenizer, max_length).is_truncated
    for row, own in zip(near, cut, strict=True):
        is_cut[row] |= own
    places = [Place(item.at, f"{n} tokens") for item, n in zip(items, tokens, strict=True)]
    share = sum(unknown) / max(1, total)
    lost = (place for place, own in zip(places, is_cut, strict=True) if own)
    read = (places[row] for row in long if not is_cut[row])
    strange_rows = (Place(items[row].at) for row, count in enumerate(unknown) if count)
    findings = [
        *single("too long", "warning", f"are shortened {task.shortening(max_length)}", lost),
        *single("windows", "note", f"are read in windows of {max_length} tokens", read),
        *single(
            "unknown tokens",
            "warning" if share >= MANY_UNKNOWN else "note",
            f"hold what the vocabulary cannot write, {share:.2%} of all tokens",
            strange_rows,
        ),
    ]
    return Lengths(np.array(tokens, dtype=np.int64), max_length, share), findings
