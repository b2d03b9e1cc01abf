from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import precision_recall_fscore_support

from bertsmith.errors import DataError
from bertsmith.report.finetune import class_scores, thresholds, write_finetune_report
from bertsmith.report.scores import read_scores

from .conftest import scores


def written(folder: Path, content: dict[str, Any]) -> Path:
    (folder / "scores.json").write_text(json.dumps(content))
    return folder


def test_a_whole_run(tmp_path: Path) -> None:
    html = write_finetune_report(written(tmp_path, scores())).read_text("utf-8")
    assert "Macro-F1 0.700 pre-trained against 0.500 from scratch" in html
    assert html.count("<svg") == 3 + 2  # losses and accuracy; two confusion matrices
    for part in ("Course", "Classes", "Protocol", "the sum over 2 seeds", "quick/model"):
        assert part in html


@pytest.mark.parametrize("labels", [("only",), tuple(f"class {n}" for n in range(25))])
def test_one_class_and_many(tmp_path: Path, labels: tuple[str, ...]) -> None:
    html = write_finetune_report(written(tmp_path, scores(labels, seeds=1))).read_text("utf-8")
    assert labels[-1] in html
    assert "one seed" in html


def test_failed_runs_are_told_and_missing_parts_left_out(tmp_path: Path) -> None:
    content = scores()
    content["runs"][3]["failed"] = True
    for run in content["runs"]:
        del run["confusion_matrix"]
        run["history"] = []
    html = write_finetune_report(written(tmp_path, content)).read_text("utf-8")
    assert "1 of 4 runs failed to learn: from scratch seed 1." in html
    assert "No epoch was logged." in html
    assert "Classes" not in html


def test_thresholds_that_differ_are_each_labels_own() -> None:
    assert thresholds([0.25], ("no", "yes")) == "0.250"
    assert thresholds([0.5, 0.5], ("a", "b")) == "0.500"
    assert thresholds([0.5, 0.5, 0.25], ("a", "b", "c")) == "0.500 (a), 0.500 (b), 0.250 (c)"


def test_class_scores_are_those_of_scikit_learn() -> None:
    matrix = [[5, 1, 0], [2, 3, 4], [0, 1, 7]]
    true = [i for i, row in enumerate(matrix) for count in row for _ in range(count)]
    predicted = [j for row in matrix for j, count in enumerate(row) for _ in range(count)]
    expected = precision_recall_fscore_support(true, predicted)[:3]
    ours = list(zip(*class_scores(matrix), strict=True))
    for mine, theirs in zip(ours, expected, strict=True):
        assert mine == pytest.approx(list(theirs))
    assert class_scores([[0, 0], [0, 0]]) == [(0, 0, 0), (0, 0, 0)]


def drop(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ('{"task": "clas', "is not JSON"),
        ("[]", "valid"),
        (json.dumps(drop(scores(), "labels")), "labels: Field required"),
        (json.dumps({**scores(), "runs": []}), "runs: "),
        (json.dumps({**scores(), "labels": ["a"]}), "runs.0.confusion_matrix is not 1 x 1"),
    ],
)
def test_what_are_no_scores_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(DataError, match=r"scores\.json: ") as raised:
        write_finetune_report(tmp_path)
    assert message in str(raised.value)
    with pytest.raises(DataError, match="no such file"):
        read_scores(tmp_path / "missing.json")
