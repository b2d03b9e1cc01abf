"""CoNLL columns and CoNLL-U: ragged, of wrong tags and numbers."""

from __future__ import annotations

import random

from .faults import WHOLE_FILE, Made, breaks, changed, somewhere
from .whole import conll, conllu


@breaks("conll")
def ragged_columns(rng: random.Random, kind: str) -> Made:
    lines = conll(rng)
    place = somewhere(rng, lines, 1)
    return changed(lines, place, rng.choice((f"{lines[place]} O", lines[place].split()[0])))


@breaks("conll")
def no_tags(rng: random.Random, kind: str) -> Made:
    return [line.split(" ")[0] for line in conll(rng)], 1


@breaks("conll")
def strange_tag(rng: random.Random, kind: str) -> Made:
    lines = conll(rng)
    place = somewhere(rng, lines, 2)
    return changed(lines, place, f"word X {rng.choice(('X-PER', 'B-', 'PER', 'b-PER', 'BPER'))}")


@breaks("conll")
def broken_bioes(rng: random.Random, kind: str) -> Made:
    lines = [
        f"w X {tag}" if tag else ""
        for _ in range(rng.randint(2, 6))
        for tag in ("O", "B-PER", "E-PER", "S-LOC", "")
    ]
    place = 5 * rng.randrange(len(lines) // 5)
    wrong, at = rng.choice((("B-PER", 3), ("I-LOC", 3), ("E-PER", 3), ("B-LOC", 2), ("O", 2)))
    found = {"B-PER": 4, "I-LOC": 4, "E-PER": 4, "B-LOC": 3, "O": 3}[wrong]
    lines[place + at] = f"w X {wrong}"
    return lines, place + found


@breaks("conll")
def one_tag(rng: random.Random, kind: str) -> Made:
    return [" ".join([*line.split()[:2], "O"]) if line else "" for line in conll(rng)], WHOLE_FILE


@breaks("conllu")
def ragged_fields(rng: random.Random, kind: str) -> Made:
    lines = conllu(rng)
    place = somewhere(rng, lines)
    return changed(lines, place, rng.choice((f"{lines[place]}\t_", lines[place][:-2])))


@breaks("conllu")
def strange_id(rng: random.Random, kind: str) -> Made:
    lines = conllu(rng)
    place = somewhere(rng, lines)
    fields = lines[place].split("\t")
    return changed(
        lines,
        place,
        "\t".join(
            [
                rng.choice(("x", "0", "99", "1-x", "", "²", "9" * 5000, "1-" + "9" * 5000)),
                *fields[1:],
            ]
        ),
    )


@breaks("conllu")
def no_word_or_tag(rng: random.Random, kind: str) -> Made:
    lines = conllu(rng)
    place = somewhere(rng, lines)
    fields = lines[place].split("\t")
    column, value = rng.choice(((1, ""), (1, " "), (3, "_"), (3, "")))
    fields[column] = value
    return changed(lines, place, "\t".join(fields))
