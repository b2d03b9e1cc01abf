from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from bertsmith.data.loader import Loader, sequential_batches
from bertsmith.errors import DataError
from bertsmith.tasks.choice import TASK
from bertsmith.tasks.choice_files import Choice, read_choices
from bertsmith.tasks.guess import guess
from wordpieces import wordpiece

SWAG = (
    ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label"
)
STORY = ["m.0", "Author: 1", "He ran.\\newlineIt rained.", "one: What fell?", "rain", "snow"]
STORY += ["sun", "he", "multiple: Who ran?", "he", "she", "it", "rain"]
STORY += ["Why?", "a", "b", "c", "d", "multiple: How?", "e", "f", "g", "h"]


def read(path: Path, labelled: bool = True) -> list[Choice]:
    return list(read_choices(path, labelled=labelled))


def write_mctest(folder: Path, answers: str = "A\tB\tC\tD\n") -> Path:
    (folder / "m.tsv").write_text("\t".join(STORY) + "\n")
    (folder / "m.ans").write_text(answers)
    return folder / "m.tsv"


def test_swag_mctest_and_json_lines(tmp_path: Path) -> None:
    swag = tmp_path / "s.csv"
    swag.write_text(f'{SWAG}\n0,v,1,x,"A man, old.",He,gold,a,b,c,d,2\n')
    assert read(swag) == [Choice("A man, old.", "He", ("a", "b", "c", "d"), 2, line=2)]
    swag.write_text("label,ending1,ending0,sent1,sent2\n0,0,1,What is one more than none?,It is\n")
    assert read(swag)[0].options == ("1", "0")  # by their numbers; the label is no option's text
    assert read(swag)[0].right == 0
    first, second, third, fourth = read(write_mctest(tmp_path))
    assert first == Choice(
        "He ran.\nIt rained.", "What fell?", ("rain", "snow", "sun", "he"), 0, "one", 1
    )
    assert (second.right, third.right, fourth.right) == (1, 2, 3)
    assert (second.kind, third.kind, third.question) == ("multiple", "", "Why?")
    lines = tmp_path / "j.jsonl"
    rows = [
        {"question": "q", "options": ["a", "b", "c"], "label": "c"},
        {"context": "x", "question": "q", "options": ["a", "b"], "label": 0},
    ]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(choice.right, choice.context) for choice in read(lines)] == [(2, ""), (0, "x")]
    assert read(lines, labelled=False)[0].right is None
    packed = tmp_path / "m.tsv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "m.tsv").read_bytes()))
    assert read(packed) == [first, second, third, fourth]
    assert guess(packed) is TASK
    (tmp_path / "m.ans").unlink()
    assert len(read(tmp_path / "m.tsv", labelled=False)) == 4
    with pytest.raises(DataError, match=r"m\.tsv: no m\.ans beside it"):
        read(tmp_path / "m.tsv")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "sent1,sent2,label\n", "no columns ending0"),
        (
            "a.csv",
            "sent1,sent2,ending0,ending1,ending1,label\na,b,c,d,e,0\n",
            "2 columns are named 'ending1'",
        ),
        ("a.csv", "a,ending0,ending1\n", "no column 'sent1', 'sent2', 'label'"),
        (
            "a.csv",
            f"{SWAG}\n0,v,1,x,s,t,g,a,b,c,d,4\n",
            r"a\.csv:2: the label '4' is none of the 4",
        ),
        ("a.csv", "", "empty"),
        ("a.csv", f"{SWAG}\n", "no questions"),
        ("a.tsv", "a\tb\n", r"a\.tsv:1: 2 fields, where MCTest has 23"),
        ("a.txt", "x", r"a \.txt file has no options"),
        ("a.jsonl", "{}", r"a\.jsonl:1: no 'options'"),
        ("a.jsonl", '{"options": "ab", "question": "q"}', "options is no list of texts"),
        ("a.jsonl", '{"options": ["a"], "question": "q", "label": 0}', "1 options"),
        ("a.jsonl", '{"options": ["a", "b"], "question": 3}', "question or context is no text"),
        ("a.jsonl", '{"options": ["a", "b"], "question": "q"}', "no 'label'"),
        ("a.jsonl", '{"options": ["a", "\\ud800"], "question": "q", "label": 0}', "surrogate"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "a.ans").write_text("A\tB\tC\tD\n")
    with pytest.raises(DataError, match=expected):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("", r"m\.ans: ends before the story in .*m\.tsv:1"),
        ("A\tB\tC\n", r"m\.ans:1: no four letters of A to D"),
        ("A\tB\tC\tE\n", "no four letters"),
        ("A\tB\tC\tD\n" * 2, r"m\.ans:2: more answers than stories"),
    ],
)
def test_answers_that_do_not_fit_their_stories(tmp_path: Path, answers: str, expected: str) -> None:
    path = write_mctest(tmp_path, answers)
    with pytest.raises(DataError, match=expected):
        read(path)


def test_options_share_a_batch_and_are_chosen_among_each_other() -> None:
    tokenizer = wordpiece(["a b c d story q"], 40)
    choices = [
        Choice("story " * (number % 5), "q", ("a", "b b b", "c")[: 2 + number % 2], number % 2)
        for number in range(20)
    ]
    data = TASK.encode(choices, tokenizer, 32, choices)
    assert len(data.examples) == 50
    assert data.groups is not None
    owners = np.repeat(np.arange(20), np.diff(data.groups))
    loader = Loader(data.source, 64 * 4, seed=0, batch_sequences=4)
    seen: list[int] = []
    for _, (_, [batch]) in zip(range(5), loader.stream(), strict=False):
        drawn = [int(owners[index]) for index in batch.indices]
        assert all((owners == owner).sum() == drawn.count(owner) for owner in drawn)
        seen += drawn
    assert sorted(seen) == owners.tolist()
    everything = [index for batch in sequential_batches(data.source, 40) for index in batch.indices]
    assert sorted(everything) == list(range(50))
    outputs = -np.arange(50.0)[:, None]
    metrics = TASK.assess(None, data, outputs)  # type: ignore[arg-type]
    assert metrics.accuracy == pytest.approx(0.5)  # the first option, of two, is right
    (first, *_) = TASK.predictions(None, choices, data, outputs, ())  # type: ignore[arg-type]
    assert json.loads(first.to_json()) == {
        "question": "q",
        "answer": "a",
        "label": 0,
        "scores": pytest.approx([0.731059, 0.268941]),
    }


def test_what_does_not_fit_is_counted_by_question() -> None:
    tokenizer = wordpiece(["a b c d story q"], 40)
    choices = [Choice("story " * 40, "q", ("a", "b"), 0), Choice("story", "q", ("a", "b"), 1)]
    assert TASK.encode(choices, tokenizer, 24).is_truncated == [True, False]
