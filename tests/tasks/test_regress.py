from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from bertsmith.errors import DataError
from bertsmith.tasks.metrics import score_numbers
from bertsmith.tasks.regress import TASK
from bertsmith.tasks.tables import TextRow, read_labelled


def rows_of(path: Path, content: str) -> list[TextRow]:
    path.write_text(content)
    return read_labelled(path, label_text=TASK.label_text).rows


def test_numbers_are_read_from_any_table(tmp_path: Path) -> None:
    values = [3.5, -2, 1e-7, 0]
    tsv = rows_of(tmp_path / "a.tsv", "text\tscore\n" + "".join(f"a\t{v}\n" for v in values))
    lines = (json.dumps({"text": "a", "score": value}) for value in values)
    jsonl = rows_of(tmp_path / "a.jsonl", "".join(line + "\n" for line in lines))
    for rows in (tsv, jsonl):
        assert TASK.names(rows, "a", "score") == ["score"]
        assert TASK.targets(rows, ["score"], "a", "a") == values


@pytest.mark.parametrize("value", ["x", "", "nan", "inf", "1,5", True, None, [1], 10**400])
def test_what_is_no_number_is_told_with_its_line(tmp_path: Path, value: Any) -> None:
    lines = [json.dumps({"text": "a", "score": one}) for one in (1, value)]
    with pytest.raises(DataError, match=r"a\.jsonl:2: 'score' is no number but .*--label-column"):
        rows_of(tmp_path / "a.jsonl", "\n".join(lines))


@pytest.mark.parametrize("numbers", [("0", "1e300"), ("1700000000.001", "1700000000.002")])
def test_what_no_network_can_tell_apart_is_refused(numbers: tuple[str, ...]) -> None:
    rows = [TextRow("a", None, number) for number in numbers]
    with pytest.raises(DataError, match=r"f: numbers from \S+ to \S+ are \S+ and \S+ in 32 bits;"):
        TASK.names(rows, "f", "score")


def test_nothing_to_learn() -> None:
    with pytest.raises(DataError, match=r"f: one number only: every text has 1\.0"):
        TASK.names([TextRow("a", None, "1.0"), TextRow("b", None, "1.0")], "f", "score")
    with pytest.raises(DataError, match="one number only"):
        TASK.names([TextRow("a", None, "0.0"), TextRow("b", None, "-0.0")], "f", "score")
    for ask in (lambda: TASK.names([], "f", "score"), lambda: TASK.targets([], [], "f", "f")):
        with pytest.raises(DataError, match="f: no rows"):
            ask()


numbers = st.lists(st.integers(-50, 50).map(lambda n: n / 8), min_size=2, max_size=30)


@given(numbers, st.integers(0, 2**32 - 1))
def test_correlations_are_those_of_scipy(truth: list[float], seed: int) -> None:
    actual = np.array(truth)
    predicted = np.random.default_rng(seed).integers(-3, 3, len(truth)).astype(float)
    metrics = score_numbers(actual, predicted)
    if actual.std() == 0 or predicted.std() == 0:
        assert (metrics.pearson, metrics.spearman) == (0.0, 0.0)
    else:
        assert metrics.pearson == pytest.approx(pearsonr(actual, predicted).statistic)
        assert metrics.spearman == pytest.approx(spearmanr(actual, predicted).statistic)


def test_predictions_that_hardly_vary_are_one_answer() -> None:
    truth = np.arange(10.0)
    assert score_numbers(truth, np.full(10, 4.5)).single_answer
    assert score_numbers(truth, 4.5 + truth / 1000).single_answer
    assert not score_numbers(truth, 4.5 + truth / 10).single_answer
    assert not score_numbers(np.ones(3), np.ones(3)).single_answer


@pytest.mark.parametrize("number", [0.1, 0.7, -1e9 / 3, 1e-20])
def test_a_constant_truth_correlates_with_nothing(number: float) -> None:
    """Its standard deviation need not be 0: that of three times 0.1 is 1e-17."""
    truth, predicted = np.full(3, number), np.arange(3.0)
    metrics = score_numbers(truth, predicted)
    assert (metrics.pearson, metrics.spearman, metrics.spread) == (0.0, 0.0, 1.0)


def test_the_answer_is_the_number() -> None:
    assert TASK.answer(np.array([2.5]), ["score"]) == {"label": 2.5}
    assert math.isclose(TASK.merit({"pearson": 0.5, "spearman": 0.7}), 0.6)
