"""Labelled data for comparing fine-tunings: sixteen sets, each with its example script's rates.

Rows are read once, by our readers, and both sides get the same ones. Rates, batches, epochs and
lengths are those that the READMEs of transformers' example scripts give (run_glue, run_ner,
run_qa, run_swag), where they name some, else those of their usual arguments: AdamW without
decay, no warm-up, a linear decay to 0, clipping at 1.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertsmith.data import rng
from bertsmith.errors import DataError
from bertsmith.tasks import choice, classify, qa, tagging
from bertsmith.tasks.base import Task
from bertsmith.tasks.glue import find_tasks, locate, read_rows
from bertsmith.tasks.metrics import METRIC_NAMES
from bertsmith.tasks.squad_make import draw_unanswerable, split_articles
from bertsmith.tasks.tables import Columns, Labelled, TextRow

ACCURACY = replace(classify.TASK, metrics=("accuracy",), chosen_by=("accuracy",))

Read = Callable[[Path], tuple[Labelled[Any], ...]]
"""(folder of all data) -> the training set, the dev set, further sets to be scored on."""


@dataclass(frozen=True)
class Recipe:
    """How a set is fine-tuned, on both sides."""

    lr: float
    batch_size: int
    epochs: int
    max_length: int
    eps: float = 1e-8

    def protocol(self) -> dict[str, Any]:
        """As ours takes it."""
        return {
            "lr": self.lr,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "max_length": self.max_length,
            "warmup": 0.0,
            "weight_decay": 0.0,
            "eps": self.eps,
        }


SEQUENCES = Recipe(lr=2e-5, batch_size=32, epochs=3, max_length=128)
FIVE_EPOCHS = replace(SEQUENCES, epochs=5)
TAGS = Recipe(lr=5e-5, batch_size=8, epochs=3, max_length=512)
QUESTIONS = Recipe(lr=3e-5, batch_size=12, epochs=2, max_length=384)
OPTIONS = Recipe(lr=5e-5, batch_size=8, epochs=3, max_length=512)
"""Half of run_swag's batch: stories are long."""
STRIDE = 128


@dataclass(frozen=True)
class Labels:
    """One set, read."""

    name: str
    task: Task[Any, Any]
    names: Sequence[str]
    """Of the outputs."""
    train: Labelled[Any]
    dev: Labelled[Any]
    also: Mapping[str, Labelled[Any]]
    recipe: Recipe
    shown: Sequence[str]

    def scores(self, metrics: Any) -> dict[str, float]:
        """What is shown of a model's metrics, by its usual name."""
        return {METRIC_NAMES[name]: float(getattr(metrics, name)) for name in self.shown}

    def truths(self, data: Labelled[Any]) -> Sequence[Any]:
        """What is right of each row."""
        return self.task.truths(data, self.names, str(self.train.path))


@dataclass(frozen=True)
class Set:
    """Where a set is, and how it is fine-tuned."""

    task: Task[Any, Any]
    read: Read
    recipe: Recipe
    also: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    """Metrics; none: the task's."""
    few: bool = False
    """Whether it has fewer than 10,000 training examples, so that three seeds are taken."""
    drawn: float = 0.0
    """Where transformers' run would take much more than a quarter of an hour (one core, fp32):
    the rows that are taken, as a share of what is asked for; the longer texts are, the fewer."""

    def load(self, name: str, data: Path, rows: int | None = None) -> Labels:
        """All of it, or at most `rows` rows of each file, drawn by `subset`.

        The names of the outputs are those of the whole.
        """
        whole, *others = self.read(data)
        whole = self.task.for_training(whole)
        task = self.task.suited(whole)
        train, dev, *further = (subset(table, rows) for table in (whole, *others))
        also = dict(zip(self.also, further, strict=True))
        return Labels(
            name=name,
            task=task,
            names=task.output_names(whole),
            train=train,
            dev=dev,
            also=also,
            recipe=self.recipe,
            shown=self.shown or task.metrics,
        )


def subset(table: Labelled[Any], rows: int | None) -> Labelled[Any]:
    """`rows` of its rows, in their order, the same ones whoever asks."""
    if rows is None or rows >= len(table.rows):
        return table
    drawn = sorted(rng.generator("subset", 0).permutation(len(table.rows))[:rows].tolist())
    return replace(table, rows=[table.rows[index] for index in drawn])


def _glue(name: str, recipe: Recipe, *, few: bool = False, drawn: float = 0.0) -> Set:
    (task,) = find_tasks([name])

    def read(data: Path) -> tuple[Labelled[TextRow], ...]:
        found = [locate(files, [data / "glue", data]) for files in (task.train, task.dev)]
        tables = [read_rows(task, *place).table for place in found if place is not None]
        if len(tables) < 2:
            mend = "fetch its training and its dev set"
            raise DataError(f"has not all of {name}", where=data / "glue", mend=mend)
        also = [data / "nli" / "xnli_en_dev.tsv"] if name == "MNLI" else []
        columns = Columns("premise", "hypothesis", "label")
        return (*tables, *(task.task.read(path, columns) for path in also))

    also = ("XNLI-en",) if name == "MNLI" else ()
    return Set(task.task, read, recipe, also, few=few, drawn=drawn)


def _files(task: Task[Any, Any], *paths: str) -> Read:
    return lambda data: tuple(task.read(data / path) for path in paths)


def _stories(data: Path) -> tuple[Labelled[Any], ...]:
    """MCTest's 370 stories to learn from and 80 to be scored on, of both its parts."""
    read = choice.TASK.read
    tables = []
    for part in ("train", "dev"):
        first, second = (
            read(data / "mctest" / f"{kind}.{part}.tsv") for kind in ("mc500", "mc160")
        )
        tables.append(replace(first, rows=[*first.rows, *second.rows]))
    return tuple(tables)


def _reviews(data: Path) -> tuple[Labelled[Any], ...]:
    path = data / "imdb" / "imdb.jsonl"
    rows: dict[str, list[TextRow]] = {"train": [], "test": []}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            review = json.loads(line)
            if review["label"] in ("pos", "neg"):
                row = TextRow(review["text"], label=review["label"], line=number)
                rows[review["split"]].append(row)
    columns = Columns("text", label="label")
    return tuple(Labelled(path, columns, own) for own in rows.values())


def _squad2(data: Path) -> tuple[Labelled[Any], ...]:
    """A fifth of SQuAD 2.0's dev articles to be scored on. To learn from: the others, and SQuAD
    1.1's questions, three in ten of them asked again of a paragraph without the answer."""
    real, dev = split_articles(_json(data / "squad" / "dev-v2.0.json"), share=0.8)
    drawn = draw_unanswerable(_json(data / "squad" / "train-v1.1.json"), share=0.3)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("train", {"data": drawn["data"] + real["data"]}), ("dev", dev)):
            path = Path(folder) / f"{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            tables.append(qa.TASK.read(path))
    return tuple(tables)


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


SETS: dict[str, Set] = {
    "CoLA": _glue("CoLA", SEQUENCES, few=True),
    "SST-2": _glue("SST-2", SEQUENCES, drawn=1.0),
    "MRPC": _glue("MRPC", FIVE_EPOCHS, few=True),
    "STS-B": _glue("STS-B", SEQUENCES, few=True),
    "RTE": _glue("RTE", SEQUENCES, few=True),
    "WNLI": _glue("WNLI", FIVE_EPOCHS, few=True),
    "QNLI": _glue("QNLI", SEQUENCES, drawn=1.0),
    "QQP": _glue("QQP", SEQUENCES, drawn=1.0),
    "NLI": _glue("MNLI", SEQUENCES, drawn=1.0),
    "SQuAD 1.1": Set(
        qa.TASK,
        _files(qa.TASK, "squad/train-v1.1.json", "squad/dev-v1.1.json"),
        QUESTIONS,
        drawn=0.5,
    ),
    "SQuAD 2.0": Set(qa.TASK, _squad2, QUESTIONS, drawn=0.5),
    "CoNLL-2003": Set(
        tagging.TASK,
        _files(tagging.TASK, "conll2003/eng.train", "conll2003/eng.testa"),
        TAGS,
        shown=("f1",),
    ),
    "UD EWT": Set(
        tagging.TASK,
        _files(tagging.TASK, *(f"ud_ewt/en_ewt-ud-{part}.conllu" for part in ("train", "dev"))),
        TAGS,
        shown=("accuracy",),
    ),
    "MCTest": Set(choice.TASK, _stories, OPTIONS, few=True, drawn=0.05),
    "TREC": Set(
        ACCURACY,
        _files(ACCURACY, "sentences/trec.train.tsv", "sentences/trec.test.tsv"),
        SEQUENCES,
        few=True,
    ),
    "IMDB": Set(ACCURACY, _reviews, replace(SEQUENCES, max_length=512), drawn=0.25),
}
"""TREC and IMDB are scored on their test sets: they have no others."""
