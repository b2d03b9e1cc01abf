"""Tables and JSON lines: ragged, of wrong columns, of wrong values."""

from __future__ import annotations

import json
import random

from .faults import HALF, WHOLE_FILE, Made, breaks, changed, somewhere
from .whole import WHOLE, in_lines, numbers, records, sets


@breaks("csv", "tsv", "numbers", "swag")
def ragged(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    place = somewhere(rng, lines, 1)
    separator = "\t" if kind in ("tsv", "numbers") else ","
    cut = lines[place].rpartition(separator)[0]
    return changed(lines, place, rng.choice((f"{lines[place]}{separator}more", cut)))


@breaks("csv", "tsv")
def missing_column(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    return [lines[0].replace(*rng.choice((("text", "x"), ("label", "y")))), *lines[1:]], WHOLE_FILE


@breaks("csv", "tsv", "numbers", "swag")
def long_names(rng: random.Random, kind: str) -> Made:
    head, *rows = WHOLE[kind][2](rng)
    separator = "\t" if "\t" in head else ","
    return [separator.join("n" * 9000 + name for name in head.split(separator)), *rows], WHOLE_FILE


@breaks("csv", "tsv")
def column_twice(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    separator = lines[0][4]
    return [f"{line}{separator}{line.split(separator)[0]}" for line in lines], WHOLE_FILE


@breaks("csv", "tsv")
def no_label(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    place = somewhere(rng, lines, 1)
    return changed(lines, place, lines[place].removesuffix("good").removesuffix("bad"))


@breaks("csv", "tsv")
def no_text(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    return changed(lines, somewhere(rng, lines, 1), f"  {lines[0][4]}good")


@breaks("csv", "tsv")
def one_class(rng: random.Random, kind: str) -> Made:
    return "\n".join(WHOLE[kind][2](rng)).replace("bad", "good"), WHOLE_FILE


@breaks("csv", "tsv")
def header_alone(rng: random.Random, kind: str) -> Made:
    return WHOLE[kind][2](rng)[:1], WHOLE_FILE


@breaks("csv", "tsv")
def every_label_another(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    return [lines[0], *(f"{line}{number}" for number, line in enumerate(lines[1:]))], WHOLE_FILE


@breaks("csv", "swag")
def open_quote(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    place = somewhere(rng, lines, 1)
    return changed(lines, place, f'"{lines[place]}')


@breaks("csv", "swag")
def carriage_return(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    place = somewhere(rng, lines, 1)
    return changed(lines, place, lines[place].replace(",", "\rx,", 1))


@breaks("numbers")
def no_number(rng: random.Random, kind: str) -> Made:
    lines = numbers(rng)
    place = somewhere(rng, lines, 1)
    value = rng.choice(("x", "nan", "-inf", "1e999", "", "1,5", "0x10", "--1", "²"))
    return changed(lines, place, f"{lines[place].rpartition(chr(9))[0]}\t{value}")


@breaks("numbers")
def one_number(rng: random.Random, kind: str) -> Made:
    head, *rows = numbers(rng)
    return [head, *(f"{row.rpartition(chr(9))[0]}\t3.50" for row in rows)], WHOLE_FILE


@breaks("sets")
def no_set(rng: random.Random, kind: str) -> Made:
    values = sets(rng)
    place = rng.randrange(len(values))
    strange = (None, 1.5, {"good": 1}, [["good"]], [None], ["good,bad"], [" "], [{}], [2.5])
    values[place]["labels"] = rng.choice(strange)
    return in_lines(values), place + 1


@breaks("sets")
def one_label(rng: random.Random, kind: str) -> Made:
    return in_lines([one | {"labels": rng.choice(([], ["good"]))} for one in sets(rng)]), WHOLE_FILE


# JSON lines


@breaks("jsonl", "sets", "choices")
def not_json(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    place = somewhere(rng, lines)
    line = lines[place]
    bad = (line[: rng.randrange(1, len(line))], f"{line},", f"{line}{line}", "{'text': 'a'}", "nul")
    return changed(lines, place, rng.choice(bad))


@breaks("jsonl", "sets", "choices")
def no_object(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    return changed(lines, somewhere(rng, lines), rng.choice(('["text"]', "3", '"text"', "null")))


@breaks("jsonl", "sets", "choices")
def long_keys(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    place = somewhere(rng, lines, 1)
    return changed(lines, place, json.dumps({f"{'k' * 9000}{number}": 1 for number in range(20)}))


@breaks("jsonl", "sets", "choices")
def beyond_python(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    value = rng.choice(("9" * 5000, "[" * 100_000, "[" * 50_000 + "]" * 50_000))
    return changed(lines, somewhere(rng, lines), f'{{"text": {value}, "label": "good"}}')


@breaks("jsonl", "choices")
def half_a_pair(rng: random.Random, kind: str) -> Made:
    lines = WHOLE[kind][2](rng)
    place = somewhere(rng, lines)
    keys = ("text", "label", "extra") if kind == "jsonl" else ("question", "context", "extra")
    record = json.loads(lines[place]) | {rng.choice(keys): "HALF here"}
    return changed(lines, place, json.dumps(record).replace("HALF", HALF))


@breaks("jsonl")
def missing_key(rng: random.Random, kind: str) -> Made:
    values = records(rng)
    place = rng.randrange(1, len(values))
    values[place].pop(rng.choice(("text", "label")))
    return in_lines(values), place + 1


@breaks("jsonl")
def wrong_type(rng: random.Random, kind: str) -> Made:
    values = records(rng)
    place = rng.randrange(len(values))
    values[place] |= rng.choice(
        (
            *({"text": value} for value in (None, 3, True, ["a"], {"a": 1}, "", " ")),
            *({"label": value} for value in (None, 2.5, ["a"], {}, "", " \t")),
        )
    )
    return in_lines(values), place + 1
