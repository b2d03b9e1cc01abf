from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bertsmith.errors import DataError
from bertsmith.tasks import choice, classify, multilabel, qa, regress, tagging
from bertsmith.tasks.check import balance, measure, overlap, rare, repeats
from bertsmith.tasks.findings import Finding, Item, Place
from bertsmith.tasks.guess import guess
from bertsmith.tasks.tables import Columns, Labelled
from wordpieces import wordpiece

from .squad_files import RIVER, asked, write_squad


def lines(finding: Finding) -> list[list[int | str]]:
    return [[place.at for place in group] for group in finding.places]


def item(at: int, text: str, label: str = "", shared: str = "") -> Item:
    right = frozenset(label.split("|") if label else ())
    return Item(at, (text,), right, tuple(right), shared)


def test_rows_that_are_there_twice_and_labels_that_contradict() -> None:
    items = [
        item(2, "a b", "x"),
        item(3, "c", "x"),
        item(4, " a  b", "x"),
        item(5, "c", "y"),
        item(6, "c", "x"),
        item(7, "A b", "x"),
        item(8, "a\tb", "x"),
    ]
    duplicates, conflicts = repeats(items)
    assert (duplicates.kind, duplicates.level, duplicates.count) == ("duplicates", "warning", 3)
    assert lines(duplicates) == [[2, 4, 8], [3, 6]]
    assert (conflicts.kind, conflicts.count) == ("conflicts", 1)
    assert conflicts.places == ((Place(3, "x"), Place(5, "y"), Place(6, "x")),)
    assert repeats(items[:2]) == []


def test_many_labels_of_one_text_take_no_longer_than_as_many_texts() -> None:
    class Label(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Label.compared += 1
            return str.__eq__(self, other)  # type: ignore[arg-type]

        __hash__ = str.__hash__

    count = 300
    items = [Item(at, ("a",), frozenset({Label(at)})) for at in range(count)]
    items.append(Item(count, ("a",), frozenset({Label(7)})))
    duplicates, conflicts = repeats(items)
    assert (lines(duplicates), conflicts.count) == ([[7, count]], 1)
    assert Label.compared < 10 * count
    Label.compared = 0
    some = [Item(at, ("a",), frozenset({Label("x"), Label(at)})) for at in range(count)]
    (only,) = repeats(some)
    assert (only.kind, only.count) == ("duplicates", count - 1)
    assert Label.compared < 10 * count


def test_no_label_at_all_is_one_that_others_contradict(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\na\tx\na\t\na\t \nb\t\nb\t\nc\ty\n")
    rows = multilabel.TASK.read(path).rows
    duplicates, conflicts = repeats(multilabel.TASK.items(rows))
    assert (lines(duplicates), lines(conflicts)) == ([[3, 4], [5, 6]], [[2, 3, 4]])
    assert conflicts.places[0][1] == Place(3, "no label")


def test_parts_of_a_pair_are_not_mixed_up() -> None:
    items = [Item(1, ("a", "b c")), Item(2, ("a b", "c")), Item(3, ("a", "b  c"))]
    (found,) = repeats(items)
    assert lines(found) == [[1, 3]]


def test_several_answers_contradict_others_where_none_is_the_same() -> None:
    items = [item(1, "a", "x|y"), item(2, "a", "y|z"), item(3, "b", "x|y"), item(4, "b", "z")]
    duplicates, conflicts = repeats(items)
    assert (lines(duplicates), lines(conflicts)) == ([[1, 2]], [[3, 4]])
    assert conflicts.places[0] == (Place(3, "x | y"), Place(4, "z"))


def test_contradicting_tags_are_shown_from_where_they_differ() -> None:
    items = [item(1, "a", "O O B-X"), item(4, "a", "O O O"), item(9, "a", "O O B-X")]
    _, conflicts = repeats(items)
    assert conflicts.places == ((Place(1, "… B-X"), Place(4, "… O"), Place(9, "… B-X")),)


def test_rows_that_two_files_share() -> None:
    train = [item(2, "a", "x"), item(3, "b", "y", "text"), item(4, "a", "x")]
    dev = [
        item(2, "b", "x", "text"),
        item(3, "c", "x"),
        item(4, "a", "x"),
        item(5, "d", "", "text "),
    ]
    rows, texts = overlap(dev, train, "train.tsv")
    assert rows.count == 2
    assert "1 of them with another label" in rows.what
    assert lines(rows) == [[2, 3], [4, 2]]
    assert (texts.kind, lines(texts)) == ("shared texts", [[5]])
    assert overlap(dev[1:2], train, "train.tsv") == []


def test_balance_and_rare_labels() -> None:
    items = [item(number, str(number), "often") for number in range(5)] + [item(9, "z", "seldom")]
    assert balance(items) == {"often": 5, "seldom": 1}
    (found,) = rare(items)
    assert (found.level, found.count, found.places) == ("note", 1, ((Place(9, "seldom"),),))


def told(task: Any, path: Path) -> dict[str, list[list[int | str]]]:
    """What a family finds in its own file."""
    data = task.read(path)
    return {found.kind: lines(found) for found in task.oddities(data)}


def test_pairs_without_a_second_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text_a\ttext_b\tlabel\na\t \tx\nb\tc\ty\n")
    assert told(classify.TASK, path) == {"no second text": [[2]]}


def test_what_is_counted_and_compared(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": ["y", "x"]}\n{"text": "b", "label": []}\n')
    items = multilabel.TASK.items(multilabel.TASK.read(path).rows)
    assert items == [
        Item(1, ("a",), frozenset({"x,y"}), ("y", "x")),
        Item(2, ("b",), frozenset({"no label"})),
    ]
    path.write_text('{"text": "a", "label": 2.50}\n')
    assert regress.TASK.items(regress.TASK.read(path).rows) == [Item(1, ("a",), frozenset({"2.5"}))]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O I-X I-X O B-X O I-Y", {"odd tags": [[5]]}),  # IOB1
        ("B-X I-X O B-X O I-Y B-X", {"odd tags": [[6]]}),  # IOB2
        ("B-X I-X O B-X O", {}),
        ("B-X E-X O S-X I-X B-X", {"broken tags": [[5], [6], [6]]}),
        ("B-X O X PER O", {"broken tags": [[3], [4]]}),
        ("NOUN VERB NOUN", {}),
    ],
)
def test_tags_that_break_their_scheme(
    tmp_path: Path, tags: str, expected: dict[str, list[list[int]]]
) -> None:
    path = tmp_path / "a.conll"
    path.write_text("".join(f"w {tag}\n" for tag in tags.split()))
    assert told(tagging.TASK, path) == expected
    if "broken tags" in expected:
        with pytest.raises(DataError, match=rf"a\.conll:{expected['broken tags'][0][0]}: "):
            tagging.TASK.suited(tagging.TASK.read(path))


def test_answers_out_of_place(tmp_path: Path) -> None:
    path = write_squad(
        tmp_path / "a.json",
        (
            RIVER,
            [
                asked("right", "What?", ("Rhine", 4)),
                asked("moved", "Which?", ("Rhine", 5)),
                asked("lost", "Where?", ("Danube", 4)),
                asked("one of two", "Why?", ("Danube", 4), ("Rhine", 4)),
                asked("none", "When?", impossible=True),
            ],
        ),
    )
    assert told(qa.TASK, path) == {
        "moved answers": [["moved"]],
        "lost answers": [["lost"]],
        "some answers lost": [["one of two"]],
    }
    items = qa.TASK.items(qa.TASK.read(path).rows)
    assert balance(items) == {"answer": 4, "no answer": 1}
    assert {one.shared for one in items} == {RIVER}


def test_options_that_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"question": "q", "options": ["a", "b"], "label": 1}\n'
        '{"question": "r", "options": ["a", "a "], "label": 0}\n'
    )
    assert told(choice.TASK, path) == {"equal options": [[2]]}
    items = choice.TASK.items(choice.TASK.read(path).rows)
    assert (items[0].label, items[0].counted) == ("b", ("option 2",))


def test_lengths_and_what_does_not_fit(tmp_path: Path) -> None:
    tokenizer = wordpiece(["one two three four"], 40)
    texts = ["one two", "one two three four one two three", "one ζ"]
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\tx\n" for text in texts))
    data = classify.TASK.read(path)
    seen: list[int] = []
    lengths, (cut, unknown) = measure(
        classify.TASK, data, classify.TASK.items(data.rows), tokenizer, 6, seen.append
    )
    assert lengths.tokens.tolist() == [4, 9, 4]
    assert lengths.unknown == pytest.approx(1 / 17)
    assert (cut.kind, cut.level, cut.places) == ("too long", "warning", ((Place(3, "9 tokens"),),))
    assert (unknown.kind, unknown.level, lines(unknown)) == ("unknown tokens", "warning", [[4]])
    assert seen == [3]


def test_what_is_read_in_windows_is_not_cut(tmp_path: Path) -> None:
    tokenizer = wordpiece(["one two three four", RIVER], 80)
    words = tmp_path / "a.conll"
    words.write_text("one O\ntwo B-X\n\n" + "one O\n" * 30)
    options = tmp_path / "a.jsonl"
    options.write_text(
        '{"question": "one", "options": ["two", "one two three four one two three four two"], '
        '"label": 1}\n'
    )
    questions = write_squad(tmp_path / "a.json", (RIVER, [asked("long", "one", ("Rhine", 4))]))
    expected: tuple[tuple[Any, Path, str, list[list[int | str]]], ...] = (
        (tagging.TASK, words, "windows", [[4]]),
        (choice.TASK, options, "too long", [[1]]),
        (qa.TASK, questions, "windows", [["long"]]),
    )
    for task, path, kind, where in expected:
        data: Labelled[Any] = task.read(path)
        _, found = measure(task, data, task.items(data.rows), tokenizer, 12)
        assert [(one.kind, lines(one)) for one in found] == [(kind, where)]


def test_unknown_tokens_are_a_share_of_all_options(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "one", "options": ["ζ", "two", "two", "two"], "label": 1}\n')
    tokenizer, data = wordpiece(["one two"], 40), choice.TASK.read(path)
    lengths, _ = measure(choice.TASK, data, choice.TASK.items(data.rows), tokenizer, 32)
    assert (lengths.tokens.tolist(), lengths.unknown) == ([5], 1 / 20)


def test_a_question_that_is_cut_is_told_though_all_of_it_would_fit(tmp_path: Path) -> None:
    tokenizer = wordpiece(["one two three four", RIVER], 80)
    path = tmp_path / "a.json"
    data = qa.TASK.read(write_squad(path, ("Rhine", [asked("1", "one " * 9, ("Rhine", 0))])))
    assert qa.TASK.encode(data.rows, tokenizer, 18).is_truncated == [True]
    lengths, found = measure(qa.TASK, data, qa.TASK.items(data.rows), tokenizer, 18)
    assert lengths.tokens.max() <= 18
    assert [(one.kind, lines(one)) for one in found] == [("too long", [["1"]])]


def test_a_long_question_is_cut_however_short_its_text_is(tmp_path: Path) -> None:
    tokenizer = wordpiece(["one two three four", RIVER], 80)
    questions = [asked("long", "one " * 70, ("Rhine", 4)), asked("short", "one", ("Rhine", 4))]
    data = qa.TASK.read(write_squad(tmp_path / "a.json", (RIVER, questions)))
    _, found = measure(qa.TASK, data, qa.TASK.items(data.rows), tokenizer, 384)
    assert [(one.kind, lines(one)) for one in found] == [("too long", [["long"]])]
    assert found[0].what == "are shortened to at most 64 tokens; their texts are read whole"


@pytest.mark.parametrize(
    ("name", "content", "task"),
    [
        ("a.tsv", "text\tlabel\na\tx\n", "classify"),
        ("a.csv", "text,label\na,3\nb,4\n", "classify"),
        ("a.csv", "text,score\na,3.5\nb,4\n", "regress"),
        ("a.csv", "text,label\na,nan\nb,4\n", "classify"),
        ("a.jsonl", '{"text": "a", "label": ["x", "y"]}\n', "multilabel"),
        ("a.jsonl", '{"text": "a", "label": true}\n', "classify"),
        ("a.jsonl", '{"text": "a", "label": 0.5}\n', "regress"),
        ("a.jsonl", '{"question": "a", "options": ["x", "y"], "label": 0}\n', "choice"),
        ("a.jsonl", '{"question": "a", "context": "b", "answers": []}\n', "qa"),
        ("a.csv", "sent1,sent2,ending0,ending1,label\na,b,c,d,1\n", "choice"),
        ("a.json", "", "qa"),
        ("a.conllu", "", "tag"),
        ("eng.train", "", "tag"),
    ],
)
def test_the_task_is_told_by_the_file(tmp_path: Path, name: str, content: str, task: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert guess(path).name == task


def test_letters_beside_a_table_make_it_a_choice_unless_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\na\tx\n")
    path.with_suffix(".ans").write_text("A\tB\tC\tD\n")
    assert guess(path).name == "choice"
    assert guess(path, Columns("text")).name == "classify"
