"""Whole files of each format, drawn."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

WORDS = (
    "river",
    "Haus",
    "café",
    "水",
    "ein",
    "two",
    "Ωmega",
    "naïve",
    "🙂",
    "it's",
    "3.5",
    "the",
    "a\u00a0b",
    "x\u2028y",
)


def words(rng: random.Random, least: int = 2, most: int = 9) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def table(rng: random.Random, separator: str) -> list[str]:
    lines = [f"text{separator}label"]
    for number in range(rng.randint(6, 30)):
        lines.append(f"{words(rng)}{separator}{('good', 'bad')[number % 2]}")
    return lines


def records(rng: random.Random) -> list[dict[str, Any]]:
    return [
        {"text": words(rng), "label": ("good", "bad")[number % 2]}
        for number in range(rng.randint(6, 30))
    ]


def numbers(rng: random.Random) -> list[str]:
    rows = [f"{words(rng)}\t{words(rng)}\t{place / 4}" for place in range(rng.randint(4, 12))]
    return ["sentence1\tsentence2\tscore", *rows]


def sets(rng: random.Random) -> list[dict[str, Any]]:
    return [
        {"text": words(rng), "labels": ["good", "long", "new"][: place % 4]}
        for place in range(rng.randint(6, 12))
    ]


def questions(rng: random.Random) -> dict[str, Any]:
    """SQuAD's, every answer in its place."""
    paragraphs = []
    for number in range(rng.randint(2, 4)):
        context = words(rng, 12, 30)
        qas = []
        for each in range(rng.randint(1, 3)):
            answer = rng.choice(context.split())
            answers = [{"text": answer, "answer_start": context.index(answer)}]
            qas.append({"id": f"q{number}-{each}", "question": words(rng), "answers": answers})
        paragraphs.append({"context": context, "qas": qas})
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}


def choices(rng: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "question": f"{words(rng)}?",
            "options": [f"{letter} {words(rng)}" for letter in "abcd"[: rng.randint(2, 4)]],
            "context": words(rng),
            "label": rng.randint(0, 1),
        }
        for _ in range(rng.randint(4, 12))
    ]


def tagged(rng: random.Random, columns: Callable[[str, str], str]) -> list[str]:
    """Sentences of IOB2, a word a line and an empty line after each."""
    lines = []
    for number in range(rng.randint(4, 9)):
        inside = ""
        for place in range(rng.randint(2, 8)):
            word = rng.choice(WORDS)
            if number < 2 and place < 2:
                tag = ("B-PER", "O")[place]
            elif inside and rng.random() < 0.4:
                tag = f"I-{inside}"
            else:
                tag = rng.choice(("O", "O", "B-PER", "B-LOC"))
            inside = tag[2:]
            lines.append(columns(word, tag))
        lines.append("")
    return lines


def conll(rng: random.Random) -> list[str]:
    return tagged(rng, lambda word, tag: f"{word} X {tag}")


def conllu(rng: random.Random) -> list[str]:
    lines, number = [], 0
    for line in tagged(rng, lambda word, tag: f"{word}\t{('NOUN', 'VERB')[tag == 'O']}"):
        number = number + 1 if line else 0
        word, _, tag = line.partition("\t")
        lines.append(f"{number}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_" if line else "")
    return lines


def swag(rng: random.Random) -> list[str]:
    rows = [
        f"{words(rng)},{words(rng)},{words(rng)},{words(rng)},{words(rng)},{words(rng)},"
        f"{rng.randint(0, 3)}"
        for _ in range(rng.randint(4, 12))
    ]
    return ["sent1,sent2,ending0,ending1,ending2,ending3,label", *rows]


def mctest(rng: random.Random) -> list[str]:
    return [
        "\t".join(
            [f"mc.{number}", "Author: x", words(rng)]
            + [
                part
                for _ in range(4)
                for part in [f"one: {words(rng)}?", *(f"{x} {words(rng)}" for x in "abcd")]
            ]
        )
        for number in range(rng.randint(3, 8))
    ]


def letters(rng: random.Random, stories: int) -> list[str]:
    return ["\t".join(rng.choice("ABCD") for _ in range(4)) for _ in range(stories)]


def in_lines(values: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(value, ensure_ascii=False) for value in values]


WHOLE: dict[str, tuple[str, str, Callable[[random.Random], list[str]]]] = {
    "csv": ("csv", "classify", lambda rng: table(rng, ",")),
    "tsv": ("tsv", "classify", lambda rng: table(rng, "\t")),
    "jsonl": ("jsonl", "classify", lambda rng: in_lines(records(rng))),
    "numbers": ("tsv", "regress", lambda rng: numbers(rng)),
    "sets": ("jsonl", "multilabel", lambda rng: in_lines(sets(rng))),
    "conll": ("conll", "tag", conll),
    "conllu": ("conllu", "tag", conllu),
    "squad": ("json", "qa", lambda rng: json.dumps(questions(rng), indent=1).split("\n")),
    "choices": ("jsonl", "choice", lambda rng: in_lines(choices(rng))),
    "swag": ("csv", "choice", swag),
    "mctest": ("tsv", "choice", mctest),
}
"""Format -> suffix, task, and its lines."""
