from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from bertsmith.errors import DataError
from bertsmith.tasks.metrics import LabelMetrics
from bertsmith.tasks.multilabel import TASK
from bertsmith.tasks.tables import TextRow, read_labelled


def rows_of(path: Path, content: str) -> list[TextRow]:
    path.write_text(content)
    return read_labelled(path, label_text=TASK.label_text).rows


def rows(*labels: str) -> list[TextRow]:
    return [TextRow("text", None, label, line) for line, label in enumerate(labels, 2)]


def test_labels_are_read_from_any_table(tmp_path: Path) -> None:
    sets = [["b", "a"], [], ["c"], ["a", "c"]]
    tsv = rows_of(
        tmp_path / "a.tsv", "text\ttags\n" + "".join(f"x\t{', '.join(own)}\n" for own in sets)
    )
    lines = (json.dumps({"text": "x", "tags": own}) for own in sets)
    jsonl = rows_of(tmp_path / "a.jsonl", "".join(line + "\n" for line in lines))
    for table in (tsv, jsonl):
        assert TASK.names(table, "a", "tags") == ["a", "b", "c"]
        assert TASK.targets(table, ["a", "b", "c"], "a", "a") == [
            (1.0, 1.0, 0.0),
            (0.0, 0.0, 0.0),
            (0.0, 0.0, 1.0),
            (1.0, 0.0, 1.0),
        ]
    assert TASK.names(rows("10,9", "9", "-1"), "f", "") == ["-1", "9", "10"]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (["a", 1.5], "'tags' is no label but 1.5"),
        ([["a"]], r"'tags' is no label but \['a'\]"),
        (["a,b"], "a comma in the label 'a,b'"),
        ([" "], "no label in column 'tags'"),
        (None, "'tags' is no label but None"),
    ],
)
def test_what_are_no_labels_is_told_with_its_line(tmp_path: Path, value: Any, what: str) -> None:
    lines = [json.dumps({"text": "x", "tags": own}) for own in (["a"], value)]
    with pytest.raises(DataError, match=rf"a\.jsonl:2: {what}"):
        rows_of(tmp_path / "a.jsonl", "\n".join(lines))


def test_nothing_to_learn_and_labels_unknown() -> None:
    for labels, what in (
        (("", ""), "f: 0 different labels"),
        (("a", "a"), "f: 1 different labels"),
        (("a,b", "c"), "f: none of the 3 labels comes twice"),
        ((), "f: no rows"),
    ):
        with pytest.raises(DataError, match=what):
            TASK.names(rows(*labels), "f", "tags")
    with pytest.raises(DataError, match=r"f:3: labels unknown to train: 'x' in lines 3, 4; 'y'"):
        TASK.targets(rows("a", "b,x", "x,y"), ["a", "b"], "f", "train")
    with pytest.raises(DataError, match="f: no rows"):
        TASK.targets([], ["a", "b"], "f", "train")


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(2, 5))
def test_scores_are_those_of_scikit_learn(seed: int, count: int, labels: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, (count, labels)).astype(float)
    logits = generator.normal(size=(count, labels))
    metrics = TASK.score(truth, logits)
    assert isinstance(metrics, LabelMetrics)
    predicted = logits > 0
    for name in ("micro", "macro"):
        expected = f1_score(truth, predicted, average=name, zero_division=0)
        assert getattr(metrics, f"{name}_f1") == pytest.approx(expected)
    each = TASK.score_each(truth, logits, [str(n) for n in range(labels)])
    assert [scores.f1 for scores in each] == pytest.approx(metrics.label_f1)
    assert metrics.macro_f1 == pytest.approx(np.mean(metrics.label_f1))


def test_a_worked_example() -> None:
    truth = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    metrics = TASK.score(truth, np.array([[2.0, -1.0, -1.0], [3.0, -2.0, -4.0]]))
    assert isinstance(metrics, LabelMetrics)
    assert metrics.micro_f1 == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert metrics.label_f1 == [1.0, 0.0, 0.0]
    assert metrics.single_answer
    assert not TASK.score(truth, np.array([[2.0, -1.0, -1.0], [3.0, 2.0, -4.0]])).single_answer
    answer = TASK.answer(np.array([0.5, -0.5, 100.0]), ["a", "b", "c"])
    assert answer["label"] == ["a", "c"]
    assert answer["scores"]["b"] == pytest.approx(1 / (1 + np.exp(0.5)))
