"""What is held out of a labelled file where no dev set is given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.errors import DataError
from bertsmith.tasks import choice, classify, multilabel, qa, regress, tagging
from bertsmith.tasks.base import Task
from bertsmith.tasks.findings import Item
from bertsmith.tasks.parting import HELD_OUT, held_out
from bertsmith.tasks.tables import Labelled


def parted(
    task: Task[Any, Any], path: Path, content: str
) -> tuple[Labelled[Any], Labelled[Any], Labelled[Any]]:
    """All of it, and its two parts."""
    path.write_text(content, encoding="utf-8")
    whole = task.read(path)
    train, dev = task.parted(whole, None)
    assert len(train.rows) + len(dev.rows) == len(whole.rows)
    assert (train.is_held_out, dev.is_held_out, dev.path) == (False, True, path)
    assert f"{len(dev.rows)} of {len(whole.rows)} {task.unit} are held out" in train.notes[-1]
    return whole, train, dev


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.lists(st.sampled_from("abcd"), max_size=3)), max_size=80
    ),
    st.integers(0, 3),
)
def test_groups_are_whole_labels_are_left_and_the_order_is_no_matter(
    rows: list[tuple[int, list[str]]], seed: int
) -> None:
    items = [Item(at, (str(at),), counted=tuple(labels)) for at, (_, labels) in enumerate(rows)]
    groups = [group for group, _ in rows]
    held = held_out(items, groups, seed=seed)
    assert not {groups[place] for place in held} & {
        group for place, group in enumerate(groups) if place not in held
    }
    left = {label for item in items if item.at not in held for label in item.counted}
    assert left == {label for item in items for label in item.counted}
    if len(set(groups)) == len(groups) and not any(labels for _, labels in rows):
        assert len(held) == round(HELD_OUT * len(rows))
        backwards = held_out(items[::-1], groups[::-1], seed=seed)
        assert {groups[::-1][place] for place in backwards} == {groups[place] for place in held}


def test_classes_are_parted_alike_and_a_text_is_on_one_side(tmp_path: Path) -> None:
    lines = [f"text {n}\t{'rare' if n % 10 == 0 else 'common'}\n" for n in range(100)]
    twice = [line.replace("text ", "text  ") for line in lines]  # a space makes no other text
    rows = "text\tlabel\n" + "".join([*lines, *twice, "once\tlonely\n"])
    _, train, dev = parted(classify.TASK, tmp_path / "rows.tsv", rows)
    assert Counter(row.label for row in dev.rows) == {"common": 36, "rare": 4}
    keys = [{item.key for item in classify.TASK.items(side.rows)} for side in (train, dev)]
    assert not keys[0] & keys[1]
    names = classify.TASK.output_names(train)
    assert names == ["common", "lonely", "rare"]
    assert classify.TASK.truths(dev, names, "")
    backwards = "text\tlabel\n" + "".join([*lines, *twice, "once\tlonely\n"][::-1])
    other = parted(classify.TASK, tmp_path / "backwards.tsv", backwards)[2]
    assert {row.text for row in other.rows} == {row.text for row in dev.rows}


def test_numbers_and_sets_of_labels_are_parted(tmp_path: Path) -> None:
    numbers = "text\tlabel\n" + "".join(f"text {n}\t{n / 7:.2f}\n" for n in range(50))
    assert len(parted(regress.TASK, tmp_path / "numbers.tsv", numbers)[2].rows) == 10
    sets = "text\tlabel\n" + "".join(f"text {n}\t{'a,b' if n % 2 else ''}\n" for n in range(49))
    sets += "the only one\ta,c\n"
    _, train, dev = parted(multilabel.TASK, tmp_path / "sets.tsv", sets)
    assert len(dev.rows) == 10
    assert multilabel.TASK.output_names(train) == ["a", "b", "c"]


@pytest.mark.parametrize("marks", [True, False])
def test_documents_are_held_out_whole_where_there_are_ten(marks: bool, tmp_path: Path) -> None:
    mark = "-DOCSTART- -X- O O\n\n" if marks else ""
    text = "".join(
        mark + "".join(f"Ann{d} NNP I-NP B-PER\nran{s} VBD I-VP O\n\n" for s in range(5))
        for d in range(20)
    )
    _, train, dev = parted(tagging.TASK, tmp_path / "rows.conll", text)
    assert len(dev.rows) == 20
    both = {row.words[0] for row in train.rows} & {row.words[0] for row in dev.rows}
    assert bool(both) is not marks


def questions(articles: int, write: Callable[[int, int], dict[str, Any]]) -> str:
    return "".join(json.dumps(write(a, q)) + "\n" for a in range(articles) for q in range(5))


@pytest.mark.parametrize(
    ("articles", "shared"), [(20, {"title", "context"}), (8, {"context"}), (1, set())]
)
def test_what_asks_about_one_text_is_on_one_side(
    articles: int, shared: set[str], tmp_path: Path
) -> None:
    """Articles, where there are ten of them, else texts, else questions."""

    def ask(article: int, number: int) -> dict[str, Any]:
        text = f"Text {number if articles > 1 else 0} of article {article} says yes."
        answers = {"text": ["yes"], "answer_start": [text.index("yes")]}
        title, question = f"Article {article}", f"What about {number}?"
        return {"title": title, "context": text, "question": question, "answers": answers}

    lines = questions(articles, ask)
    _, train, dev = parted(qa.TASK, tmp_path / "rows.jsonl", lines)
    assert len(dev.rows) == articles

    def on_both(of: Callable[[Any], str]) -> bool:
        return bool({of(row) for row in train.rows} & {of(row) for row in dev.rows})

    assert on_both(lambda row: row.article) is ("title" not in shared)
    assert on_both(lambda row: row.context) is ("context" not in shared)


def test_a_story_is_on_one_side_with_all_its_questions(tmp_path: Path) -> None:
    def ask(story: int, number: int) -> dict[str, Any]:
        options = [f"{story} {number}", "no", "yes"]
        return {
            "context": f"Story {story}.",
            "question": "?",
            "options": options,
            "label": number % 3,
        }

    _, train, dev = parted(choice.TASK, tmp_path / "rows.jsonl", questions(20, ask))
    assert len(dev.rows) == 20
    assert not {row.context for row in train.rows} & {row.context for row in dev.rows}


@pytest.mark.parametrize(
    "rows",
    [["one\ta\n", "two\tb\n"], ["same\ta\n"] * 20],
    ids=["two rows", "one text"],
)
def test_what_cannot_be_parted_is_told(rows: Sequence[str], tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("text\tlabel\n" + "".join(rows))
    with pytest.raises(DataError, match="too few, or too much alike, to hold any out; give some"):
        classify.TASK.parted(classify.TASK.read(path), None)
