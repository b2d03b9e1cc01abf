"""Questions: SQuAD's, and those with options."""

from __future__ import annotations

import json
import random

from .faults import ANSWERS, HALF, WHOLE_FILE, Made, breaks, changed, somewhere
from .whole import choices, in_lines, mctest, questions, swag


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
    return json.dumps(value), rf": .*\.answers\[0\] \(id {asked['id']}\): "


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
    return json.dumps(value), r": data\[1\]\..*: two questions have the id 'q0-0'"


@breaks("squad")
def answers_nowhere(rng: random.Random, kind: str) -> Made:
    value = questions(rng)
    for paragraph in value["data"][0]["paragraphs"]:
        for asked in paragraph["qas"]:
            asked["answers"][0]["text"] = "nowhere"
    return json.dumps(value), r": no question to learn from; \d+ questions refused.*: q0-0"


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
