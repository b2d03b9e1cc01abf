from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from scipy.stats import pearsonr, spearmanr

from bertsmith.errors import ConfigError, DataError
from bertsmith.tasks.glue import GLUE, find_tasks, glue_mean, locate, read_rows, submission
from bertsmith.types import FloatArray, IntArray

from .glue_files import DEV, TEST, TRAIN, write_glue

DATA = os.environ.get("BERTSMITH_DATA", "")
NAMES = "CoLA SST-2 MRPC STS-B QQP MNLI QNLI RTE WNLI"
BY_NAME = {task.name: task for task in GLUE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_glue(tmp_path_factory.mktemp("glue"))


def test_the_nine_tasks_and_the_files_of_a_submission() -> None:
    assert " ".join(task.name for task in GLUE) == NAMES
    assert [name for task in GLUE for name in task.tests] == [
        *("CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "STS-B.tsv", "QQP.tsv"),
        *("MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv", "QNLI.tsv", "RTE.tsv", "WNLI.tsv"),
    ]
    assert [task.name for task in find_tasks(["rte", "CoLA"])] == ["CoLA", "RTE"]
    with pytest.raises(ConfigError, match="no task 'Cola2' in GLUE; did you mean 'CoLA'"):
        find_tasks(["Cola2"])
    with pytest.raises(ConfigError, match="there are CoLA, SST-2"):
        find_tasks(["SQuAD"])


@pytest.mark.parametrize("name", NAMES.split())
def test_the_official_layouts(folder: Path, name: str) -> None:
    task = BY_NAME[name]
    expected = {"train": TRAIN, "dev": DEV, "mismatched": DEV + 1}
    for split, files in {"train": task.train, "dev": task.dev, **task.also}.items():
        place = locate(files, [folder.parent, folder])
        assert place is not None
        assert not place[1].note
        rows = read_rows(task, *place)
        assert (len(rows.table.rows), rows.left_out) == (expected[split], [])
        labels = task.task.names(rows.table.rows, "", "score")
        targets = task.task.targets(rows.table.rows, labels, "", "")
        assert len(set(targets)) == len({row.label for row in rows.table.rows}) > 1
        assert all(len(row.text.split()) >= 4 for row in rows.table.rows)
    for test, files in task.tests.items():
        place = locate(files, [folder])
        assert place is not None
        sizes = {"MNLI-mm.tsv": TEST + 1, "AX.tsv": TEST + 2}
        read = read_rows(task, *place, labelled=False).table
        assert len(read.rows) == sizes.get(test, TEST)
        assert [row.pair is None for row in read.rows] == [name in ("CoLA", "SST-2")] * len(
            read.rows
        )
        assert not any(row.label for row in read.rows)


def test_quotes_are_text_and_columns_are_the_right_ones(folder: Path) -> None:
    task = BY_NAME["STS-B"]
    place = locate(task.train, [folder])
    assert place is not None
    first = read_rows(task, *place).table.rows[0]
    cells = (folder / "STS-B" / "train.tsv").read_text().splitlines()[1].split("\t")
    assert (first.text, first.pair, first.label) == (cells[7], cells[8], "5.0")
    assert cells[8].startswith('"')


def test_broken_lines_of_qqp_are_left_out_and_counted_those_of_others_refused(
    folder: Path, tmp_path: Path
) -> None:
    for name, error in (("QQP", None), ("RTE", r"train\.tsv:50: 2 fields")):
        task = BY_NAME[name]
        place = locate(task.train, [folder])
        assert place is not None
        path = tmp_path / "train.tsv"
        path.write_text(place[0].read_text() + "what is\ta question\n")
        if error:
            with pytest.raises(DataError, match=error):
                read_rows(task, path, place[1])
        else:
            rows = read_rows(task, path, place[1])
            assert (len(rows.table.rows), len(rows.left_out)) == (TRAIN, 1)


def test_a_label_that_is_none_of_the_task_s_is_told_with_its_line(folder: Path) -> None:
    task = BY_NAME["MNLI"]
    place = locate(task.train, [folder])
    assert place is not None
    rows = read_rows(task, *place).table.rows
    odd = [rows[0], rows[1]._replace(label="-")]
    with pytest.raises(DataError, match=r"f:3: labels unknown to GLUE: '-' in line 3"):
        task.task.targets(odd, task.task.names(odd, "f", ""), "f", "GLUE")


def one_hot(classes: IntArray, count: int) -> FloatArray:
    return np.eye(count)[classes]


def test_the_metrics_are_the_official_ones() -> None:
    generator = np.random.default_rng(1)
    truth, predicted = generator.integers(0, 2, (2, 40))
    accuracy = sklearn.metrics.accuracy_score(truth, predicted)
    f1 = sklearn.metrics.f1_score(truth, predicted)
    expected = {name: {"accuracy": accuracy} for name in ("SST-2", "QNLI", "RTE", "WNLI")}
    expected |= {"CoLA": {"Matthews": sklearn.metrics.matthews_corrcoef(truth, predicted)}}
    expected |= {name: {"accuracy": accuracy, "F1": f1} for name in ("MRPC", "QQP")}
    for name, scores in expected.items():
        task = BY_NAME[name]
        run = vars(task.task.score(truth, one_hot(predicted, 2)))
        assert task.scores(run) == pytest.approx(scores)
        assert task.score(run) == pytest.approx(np.mean(list(scores.values())))
    task = BY_NAME["STS-B"]
    numbers, guesses = generator.normal(size=(2, 40))
    run = vars(task.task.score(numbers, guesses[:, None]))
    correlations = [pearsonr(numbers, guesses).statistic, spearmanr(numbers, guesses).statistic]
    assert list(task.scores(run).values()) == pytest.approx(correlations)
    assert task.score(run) == pytest.approx(np.mean(correlations))
    task = BY_NAME["MNLI"]
    assert task.scores({"accuracy": 0.8}) == {"accuracy": 0.8}
    run: dict[str, Any] = {"accuracy": 0.8, "also": {"mismatched": {"accuracy": 0.6}}}
    assert task.scores(run) == {"accuracy": 0.8, "mismatched accuracy": 0.6}
    assert task.intervals(run) == {}
    run |= {"intervals": {"accuracy": [0.7, 0.9]}}
    run["also"]["mismatched"]["intervals"] = {"accuracy": [0.5, 0.7]}
    assert task.intervals(run) == {"accuracy": [0.7, 0.9], "mismatched accuracy": [0.5, 0.7]}
    assert task.score(run) == pytest.approx(0.7)


def test_the_mean_is_the_leaderboard_s() -> None:
    """BERT-large's row, and the 80.5 that the leaderboard gives it (BERT, section 4.1)."""
    row = {
        "CoLA": (60.5,),
        "SST-2": (94.9,),
        "MRPC": (85.4, 89.3),
        "STS-B": (87.6, 86.5),
        "QQP": (89.3, 72.1),
        "MNLI": (86.7, 85.9),
        "QNLI": (92.7,),
        "RTE": (70.1,),
        "WNLI": (65.1,),
    }
    scores = []
    for name, values in row.items():
        metrics = iter(values)
        run: dict[str, object] = {metric: next(metrics) for metric in BY_NAME[name].task.metrics}
        if name == "MNLI":
            run["also"] = {"mismatched": {"accuracy": next(metrics)}}
        scores.append(BY_NAME[name].score(run))
    assert glue_mean(scores) == pytest.approx(80.5, abs=0.05)


def test_a_submission_has_numbered_rows_and_similarities_within_bounds() -> None:
    assert submission(["entailment", "neutral"]) == "index\tprediction\n0\tentailment\n1\tneutral\n"
    assert [BY_NAME["STS-B"].written(x) for x in (-0.5, 2.34567, 9.0)] == [
        "0.000",
        "2.346",
        "5.000",
    ]


COUNTS = {
    "CoLA": (8_551, 1_043, 1_063),
    "SST-2": (67_349, 872, 1_821),
    "MRPC": (3_668, 408, 1_725),
    "STS-B": (5_749, 1_500, 1_379),
    "QQP": (18_496, 5_000, None),
    "QNLI": (104_743, 5_463, 5_463),
    "RTE": (2_490, 277, 3_000),
    "WNLI": (635, 71, 146),
}


@pytest.mark.skipif(not DATA, reason="BERTSMITH_DATA names no folder with data sets")
def test_every_file_of_the_real_data() -> None:
    folder = Path(DATA) / "glue"
    for name, counts in COUNTS.items():
        task = BY_NAME[name]
        (test_files,) = task.tests.values()
        for files, count in zip((task.train, task.dev, test_files), counts, strict=True):
            place = locate(files, [folder])
            if count is None:
                assert place is None
                continue
            assert place is not None
            labelled = files is not test_files
            rows = read_rows(task, *place, labelled=labelled)
            assert (name, len(rows.table.rows), rows.left_out) == (name, count, [])
            if labelled:
                task.task.targets(
                    rows.table.rows, task.task.names(rows.table.rows, "", "x"), "", ""
                )
    mnli = BY_NAME["MNLI"]
    place = locate(mnli.tests["AX.tsv"], [folder])
    assert place is not None
    assert len(read_rows(mnli, *place, labelled=False).table.rows) == 1_104
    assert locate(mnli.train, [folder]) is None


@pytest.mark.skipif(
    not DATA or not (Path(DATA) / "nli").is_dir(), reason="BERTSMITH_DATA has no nli"
)
def test_what_stands_in_for_mnli() -> None:
    mnli = BY_NAME["MNLI"]
    for files, count in ((mnli.train, 33_382), (mnli.dev, 7_832)):
        place = locate(files, [Path(DATA) / "glue", Path(DATA)])
        assert place is not None
        rows = read_rows(mnli, *place).table.rows
        assert len(rows) == count
        mnli.task.targets(rows, mnli.task.names(rows, "", ""), "", "")
        assert place[1].note
