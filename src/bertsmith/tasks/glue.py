"""GLUE (Wang et al. 2019): nine tasks and the AX diagnostic, in the layouts of gluebenchmark.com.

Every task is classification or regression with the benchmark's own metrics; what differs is
where its texts and labels are. A task's score is the mean of its metrics, and GLUE's the mean
of the tasks' scores, MNLI's two dev sets being one task and AX none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from bertsmith.errors import ConfigError
from bertsmith.tasks import classify, regress
from bertsmith.tasks.metrics import METRIC_NAMES, Metrics, score_binary
from bertsmith.tasks.records import Lines, open_lines
from bertsmith.tasks.sequences import SequenceTask, Targets
from bertsmith.tasks.tables import Columns, Labelled, TextRow, read_table
from bertsmith.types import FloatArray


@dataclass(frozen=True)
class GlueFile:
    """A file and its columns. `note` says what it is where it stands in for the official one."""

    path: str
    columns: Columns
    note: str = ""


@dataclass(frozen=True)
class GlueTask:
    """One task: for each of its sets, the files that may hold it, the official one first."""

    task: SequenceTask
    train: Sequence[GlueFile]
    dev: Sequence[GlueFile]
    tests: Mapping[str, Sequence[GlueFile]]
    """By the name of the submission's file."""
    official: tuple[int, int]
    """Rows of the official training and dev sets."""
    also: Mapping[str, Sequence[GlueFile]] = field(default_factory=dict)
    """Further dev sets, by name; their metrics count as the dev set's do."""
    is_whole: Callable[[str], bool] = lambda line: True
    """Whether a line of a labelled set is a row; those that are not are left out and counted."""
    written: Callable[[Any], str] = str
    """An answer, as a submission has it."""

    @property
    def name(self) -> str:
        """The benchmark's."""
        return self.task.name

    def scores(self, run: Mapping[str, Any]) -> dict[str, float]:
        """The official metrics of a finished run, by what people call them."""
        return {name: result[metric] for name, result, metric in self._official(run)}

    def intervals(self, run: Mapping[str, Any]) -> dict[str, list[float]]:
        """Likewise the two ends of each one's interval; none where the run has none."""
        return {
            name: result["intervals"][metric]
            for name, result, metric in self._official(run)
            if "intervals" in result
        }

    def _official(self, run: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
        """What a metric is called, the run's result on the set that it is of, its name there."""
        for name, result in {"": run, **run.get("also", {})}.items():
            for metric in self.task.metrics:
                yield f"{name} {METRIC_NAMES[metric]}".strip(), result, metric

    def score(self, run: Mapping[str, Any]) -> float:
        """Their mean, which is what GLUE's own is taken over."""
        return fmean(self.scores(run).values())


def glue_mean(scores: Iterable[float]) -> float:
    """GLUE's score out of the tasks' scores."""
    return fmean(scores)


def find_tasks(names: Sequence[str]) -> list[GlueTask]:
    """Those called `names`, all where none is given. Raises ConfigError for a name unknown."""
    by_name = {task.name.lower(): task for task in GLUE}
    for name in names:
        if name.lower() not in by_name:
            near = get_close_matches(name.lower(), by_name, n=1)
            hint = f"did you mean {by_name[near[0]].name!r}?" if near else "there are"
            every = ", ".join(task.name for task in GLUE)
            raise ConfigError(
                f"no task {name!r} in GLUE",
                where="--tasks",
                mend=hint if near else f"{hint} {every}",
            )
    chosen = {name.lower() for name in names} or by_name.keys()
    return [task for name, task in by_name.items() if name in chosen]


def locate(files: Sequence[GlueFile], folders: Sequence[Path]) -> tuple[Path, GlueFile] | None:
    """The first of `files` that is in one of `folders`."""
    for file in files:
        for folder in folders:
            if (folder / file.path).is_file():
                return folder / file.path, file
    return None


@dataclass(frozen=True)
class Rows:
    """What one file holds, and which of its lines are no whole rows."""

    table: Labelled[TextRow]
    left_out: list[int]


def read_rows(task: GlueTask, path: Path, file: GlueFile, *, labelled: bool = True) -> Rows:
    """All of a file; of a test set every line, since a submission counts them. Raises DataError."""
    left_out: list[int] = []

    def whole() -> Lines:
        for number, line in open_lines(path):
            if number == 1 or not labelled or task.is_whole(line):
                yield number, line
            else:
                left_out.append(number)

    table = read_table(
        whole(),
        str(path),
        "tsv",
        file.columns,
        labelled=labelled,
        label_text=task.task.label_text,
    )
    rows = list(table.rows)
    return Rows(Labelled(path, table.columns, rows), left_out)


def submission(predictions: Sequence[str]) -> str:
    """The file that gluebenchmark.com takes: the rows' numbers from 0, and what is predicted."""
    lines = (f"{index}\t{prediction}" for index, prediction in enumerate(predictions))
    return "\n".join(["index\tprediction", *lines]) + "\n"


def _classes(name: str, labels: Sequence[str], *metrics: str) -> SequenceTask:
    """A classification of given labels; the best run is that of the best mean metric."""
    names = partial(_given, labels)
    return replace(classify.TASK, name=name, names=names, metrics=metrics, chosen_by=metrics)


def _given(labels: Sequence[str], rows: Sequence[TextRow], file: str, column: str) -> list[str]:
    return list(labels)


def _score_binary(truth: Targets, logits: FloatArray) -> Metrics:
    return score_binary(truth, logits.argmax(axis=1))


def _similarity(value: float) -> str:
    """STS-B's numbers lie between 0 and 5."""
    return f"{min(max(value, 0.0), 5.0):.3f}"


def _paraphrase_is_whole(line: str) -> bool:
    """QQP's official training file has a few questions cut by line breaks, or missing."""
    return line.count("\t") == 5 and "\t\t" not in line


def _files(folder: str, columns: Columns, *names: str) -> tuple[GlueFile, ...]:
    return tuple(GlueFile(f"{folder}/{name}", columns) for name in names)


ENTAILMENT = ("contradiction", "entailment", "neutral")
YES_NO = ("0", "1")
FOLLOWS = ("entailment", "not_entailment")

_COLA = Columns("4", label="2", header=False)
_SST2 = Columns("sentence", label="label")
_MRPC = Columns("#1 String", "#2 String", "Quality")
_STSB = Columns("sentence1", "sentence2", "score")
_QQP = Columns("question1", "question2", "is_duplicate")
_MNLI = Columns("sentence1", "sentence2", "gold_label")
_NLI = Columns("premise", "hypothesis", "label")
_QNLI = Columns("question", "sentence", "label")
_PAIR = Columns("sentence1", "sentence2", "label")

GLUE: tuple[GlueTask, ...] = (
    GlueTask(
        _classes("CoLA", YES_NO, "matthews"),
        train=_files("CoLA", _COLA, "train.tsv"),
        dev=_files("CoLA", _COLA, "dev.tsv"),
        tests={"CoLA.tsv": _files("CoLA", Columns("sentence"), "test.tsv")},
        official=(8_551, 1_043),
    ),
    GlueTask(
        _classes("SST-2", YES_NO, "accuracy"),
        train=_files("SST-2", _SST2, "train.tsv"),
        dev=_files("SST-2", _SST2, "dev.tsv"),
        tests={"SST-2.tsv": _files("SST-2", _SST2, "test.tsv")},
        official=(67_349, 872),
    ),
    GlueTask(
        replace(_classes("MRPC", YES_NO, "accuracy", "f1"), score=_score_binary),
        train=_files("MRPC", _MRPC, "train.tsv"),
        dev=_files("MRPC", _MRPC, "dev.tsv"),
        tests={"MRPC.tsv": _files("MRPC", _MRPC, "test.tsv", "test_labelled.tsv")},
        official=(3_668, 408),
    ),
    GlueTask(
        replace(regress.TASK, name="STS-B", metrics=("pearson", "spearman")),
        train=_files("STS-B", _STSB, "train.tsv"),
        dev=_files("STS-B", _STSB, "dev.tsv"),
        tests={"STS-B.tsv": _files("STS-B", _STSB, "test.tsv")},
        official=(5_749, 1_500),
        written=_similarity,
    ),
    GlueTask(
        replace(_classes("QQP", YES_NO, "accuracy", "f1"), score=_score_binary),
        train=_files("QQP", _QQP, "train.tsv"),
        dev=_files("QQP", _QQP, "dev.tsv"),
        tests={"QQP.tsv": _files("QQP", _QQP, "test.tsv")},
        official=(363_846, 40_430),
        is_whole=_paraphrase_is_whole,
    ),
    GlueTask(
        _classes("MNLI", ENTAILMENT, "accuracy"),
        train=(
            *_files("MNLI", _MNLI, "train.tsv"),
            GlueFile("nli/train.tsv", _NLI, "pairs of several sources"),
        ),
        dev=(
            *_files("MNLI", _MNLI, "dev_matched.tsv"),
            GlueFile("nli/mnli_dev_gold.tsv", _NLI, "a part of the matched dev set"),
        ),
        also={"mismatched": _files("MNLI", _MNLI, "dev_mismatched.tsv")},
        tests={
            "MNLI-m.tsv": _files("MNLI", _MNLI, "test_matched.tsv"),
            "MNLI-mm.tsv": _files("MNLI", _MNLI, "test_mismatched.tsv"),
            "AX.tsv": (
                *_files("diagnostic", _PAIR, "diagnostic.tsv"),
                *_files("AX", _PAIR, "AX.tsv", "test.tsv"),
            ),
        },
        official=(392_702, 9_815),
    ),
    GlueTask(
        _classes("QNLI", FOLLOWS, "accuracy"),
        train=(
            *_files("QNLI", _QNLI, "train.tsv"),
            GlueFile("QNLI/train.derived.tsv", _QNLI, "made from SQuAD again"),
        ),
        dev=_files("QNLI", _QNLI, "dev.tsv"),
        tests={"QNLI.tsv": _files("QNLI", _QNLI, "test.tsv")},
        official=(104_743, 5_463),
    ),
    GlueTask(
        _classes("RTE", FOLLOWS, "accuracy"),
        train=_files("RTE", _PAIR, "train.tsv"),
        dev=_files("RTE", _PAIR, "dev.tsv"),
        tests={"RTE.tsv": _files("RTE", _PAIR, "test.tsv")},
        official=(2_490, 277),
    ),
    GlueTask(
        _classes("WNLI", YES_NO, "accuracy"),
        train=_files("WNLI", _PAIR, "train.tsv"),
        dev=_files("WNLI", _PAIR, "dev.tsv"),
        tests={"WNLI.tsv": _files("WNLI", _PAIR, "test.tsv")},
        official=(635, 71),
    ),
)
