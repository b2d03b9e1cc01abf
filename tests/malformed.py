"""Files that are not what they should be: a thousand of them, the same every time.

A whole file of each format is drawn, then one thing in it is broken, at a known place.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
HALF = "\\ud83d"
"""Of a surrogate pair, as JSON spells it."""

Content = str | bytes
Made = tuple[Content | list[str], str | int]
"""A file, and where it is broken: a line, or a pattern of what the error says after its name."""
WHOLE_FILE = r"(:\d+)?: "
ANSWERS = "answers"
"""The file beside it is broken."""


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


# Tables


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


# Words


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


# Questions


@breaks("squad")
def cut(rng: random.Random, kind: str) -> Made:
    text = json.dumps(questions(rng), indent=1)
    end = rng.randrange(2, len(text) - 2)
    return text[:end], r":\d+: not JSON"


@breaks("squad")
def nested(rng: random.Random, kind: str) -> Made:
    return '{"data": ' + rng.choice(("[", '{"a":', "[[{")) * 100_000, r".*: not JSON"


@breaks("squad")
def another_shape(rng: random.Random, kind: str) -> Made:
    shapes = ([], {}, 3, "a", None, {"data": {}}, {"data": []}, {"data": [3]}, {"data": [{}]})
    return json.dumps(rng.choice(shapes)), WHOLE_FILE


@breaks("squad")
def wrong_in_a_paragraph(rng: random.Random, kind: str) -> Made:
    value = questions(rng)
    paragraphs = value["data"][0]["paragraphs"]
    place = rng.randrange(len(paragraphs))
    key = rng.choice(("context", "qas"))
    paragraphs[place][key] = rng.choice((None, 3, {"a": 1}, True))
    if rng.random() < 0.3:
        del paragraphs[place][key]
    if rng.random() < 0.2:
        paragraphs[place] = rng.choice((None, [], "a", 1.5))
    return json.dumps(value), rf": data\[0\]\.paragraphs\[{place}\]"


@breaks("squad")
def wrong_in_a_question(rng: random.Random, kind: str) -> Made:
    value = questions(rng)
    paragraphs = value["data"][0]["paragraphs"]
    place = rng.randrange(len(paragraphs))
    number = rng.randrange(len(paragraphs[place]["qas"]))
    asked = paragraphs[place]["qas"][number]
    where = rf": .*data\[0\]\.paragraphs\[{place}\]\.qas\[{number}\]"
    if rng.random() < 0.2:
        del asked[rng.choice(("id", "question", "answers"))]
        return json.dumps(value), where
    asked |= rng.choice(
        (
            *({"id": strange} for strange in (None, True, "", 1.5, ["a"])),
            *({"question": strange} for strange in (None, 3, "", " ", ["a"])),
            {"id": "i" * 9000, "question": ""},
            *({"answers": strange} for strange in (None, "a", 3, [3], [None], {}, {"text": "a"})),
            {"is_impossible": "no"},
            {"is_impossible": 1},
            {"is_impossible": False, "answers": []},
        )
    )
    return json.dumps(value), where


@breaks("squad")
def wrong_in_an_answer(rng: random.Random, kind: str) -> Made:
    value = questions(rng)
    paragraphs = value["data"][0]["paragraphs"]
    place = rng.randrange(len(paragraphs))
    number = rng.randrange(len(paragraphs[place]["qas"]))
    asked = paragraphs[place]["qas"][number]
    asked["answers"][0] |= rng.choice(
        (
            *({"text": strange} for strange in (None, 3, "", " \n", ["a"])),
            *({"answer_start": strange} for strange in (None, "3", 2.5, True, [1])),
        )
    )
    return json.dumps(value), rf": .*\(id {asked['id']}\): answers\[0\]"


@breaks("squad")
def half_a_pair_in_a_question(rng: random.Random, kind: str) -> Made:
    value = questions(rng)
    paragraph = rng.choice(value["data"][0]["paragraphs"])
    asked = rng.choice(paragraph["qas"])
    which = rng.choice(("context", "question", "id", "answer"))
    if which == "answer":
        asked["answers"][0]["text"] = "HALF"
    else:
        (paragraph if which == "context" else asked)[which] += "HALF"
    return json.dumps(value).replace("HALF", HALF), r": half a surrogate pair .* data\[0\]"


@breaks("squad")
def one_id_twice(rng: random.Random, kind: str) -> Made:
    value = questions(rng)
    value["data"].append(value["data"][0])
    return json.dumps(value), r": two questions have the id 'q0-0'"


@breaks("squad")
def answers_nowhere(rng: random.Random, kind: str) -> Made:
    value = questions(rng)
    for paragraph in value["data"][0]["paragraphs"]:
        for asked in paragraph["qas"]:
            asked["answers"][0]["text"] = "nowhere"
    return json.dumps(value), r": no question to learn from; \d+ questions refused.*: q0-0"


# Choices


@breaks("choices")
def wrong_choice(rng: random.Random, kind: str) -> Made:
    values = choices(rng)
    place = rng.randrange(len(values))
    values[place] |= rng.choice(
        (
            *({"options": strange} for strange in (None, "ab", [], ["a"], ["a", 3], {"a": "b"})),
            {"options": ["", " "]},
            *({"label": x} for x in (None, 4, -1, True, 0.5, "E", "", [0], "²", "9" * 5000)),
            *({"question": strange} for strange in (None, 3, ["a"])),
            *({"context": strange} for strange in (None, 3, ["a"])),
        )
    )
    if rng.random() < 0.2:
        values[place].pop(rng.choice(("options", "label", "question")))
    return in_lines(values), place + 1


@breaks("swag")
def wrong_ending(rng: random.Random, kind: str) -> Made:
    lines = swag(rng)
    place = somewhere(rng, lines, 1)
    return changed(lines, place, lines[place][:-1] + rng.choice(("4", "-1", "x", "", "1.0", "²")))


@breaks("swag")
def missing_endings(rng: random.Random, kind: str) -> Made:
    lines = swag(rng)
    old, new = rng.choice((("sent1", "s"), ("label", "x"), ("ending", "end"), ("sent2", "sent1")))
    return [lines[0].replace(old, new), *lines[1:]], WHOLE_FILE


@breaks("mctest")
def wrong_story(rng: random.Random, kind: str) -> Made:
    lines = mctest(rng)
    place = somewhere(rng, lines)
    return changed(
        lines, place, rng.choice((f"{lines[place]}\tmore", lines[place].rpartition("\t")[0]))
    )


@breaks("mctest")
def wrong_letters(rng: random.Random, kind: str) -> Made:
    """Those are in the file beside it."""
    return mctest(rng), ANSWERS


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
                place, pattern = f"{stem}.ans", found
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
            return None, ": no such file"
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
