from __future__ import annotations

import pytest

from bertsmith.errors import DataError
from bertsmith.tasks.labels import label_ids, label_names
from bertsmith.tasks.tables import TextRow


def rows(*labels: str) -> list[TextRow]:
    return [TextRow("text", None, label, line) for line, label in enumerate(labels, 2)]


def test_labels_are_sorted_and_numbers_by_value() -> None:
    assert label_names(rows("b", "a", "b"), "f") == ["a", "b"]
    assert label_names(rows("10", "9", "-1", "9"), "f") == ["-1", "9", "10"]
    assert label_names(rows("10", "9", "x", "9"), "f") == ["10", "9", "x"]
    long = "9" * 5000  # more digits than Python turns into a number
    assert label_names(rows(long, "10", "10"), "f") == ["10", long]


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ([], "no rows"),
        (["a", "a"], "one class only: every label is 'a'"),
        (["a", "b", "c"], "all 3 rows have different labels"),
    ],
)
def test_nothing_to_tell_apart(labels: list[str], what: str) -> None:
    with pytest.raises(DataError, match=f"f: {what}; .+"):
        label_names(rows(*labels), "f")


def test_no_rows_have_no_labels() -> None:
    with pytest.raises(DataError, match=r"f: no rows; give labelled texts"):
        label_ids([], ["a", "b"], "f", "train")


def test_unknown_labels_are_named_with_their_lines() -> None:
    assert label_ids(rows("b", "a"), ["a", "b"], "f", "train") == [1, 0]
    with pytest.raises(DataError) as caught:
        label_ids(rows("a", "x", "y", *"xxxxx"), ["a", "b"], "f", "train")
    assert str(caught.value) == (
        "f:3: labels unknown to train: 'x' in lines 3, 5, 6, 7, 8 and 1 more; 'y' in line 4; "
        "it knows 'a', 'b'"
    )


def test_many_and_long_unknown_labels_make_no_long_line() -> None:
    many = [f"{index:03} {'x' * 1000}" for index in range(500)]
    with pytest.raises(DataError) as caught:
        label_ids(rows(*many), many[250:260], "f", "train")
    line = str(caught.value)
    assert len(line) < 700
    assert line.startswith(f"f:2: labels unknown to train: '000 {'x' * 33}...' in line 2; '001 ")
    assert "in line 6 and 485 more; it knows '250 " in line
    assert line.endswith("...' and 5 more")
