"""Use a fine-tuned model: label texts, or be scored on labelled ones.

Texts are read, labelled and written in blocks, so that memory does not grow with the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import DataError
from bertsmith.export.huggingface import ModelFolder, load_classifier, load_tokenizer, read_model
from bertsmith.files import open_atomically, write_text_atomically
from bertsmith.jobs.progress import Bar
from bertsmith.nn.models import SequenceClassifier
from bertsmith.tasks.base import Task, encode_rows
from bertsmith.tasks.find import of_problem
from bertsmith.tasks.fit import predict as logits_of
from bertsmith.tasks.records import Lines, TableKind, open_lines
from bertsmith.tasks.tables import (
    Columns,
    LabelText,
    Table,
    TextRow,
    class_text,
    open_table,
    read_table,
    require_pairs,
)
from bertsmith.text.lines import read_lines
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import FloatArray

BLOCK_ROWS = 512
LONGEST = 512
"""Tokens of a text, where the model does not say what it was fine-tuned on."""
STDIN = "-"


@dataclass(frozen=True)
class Prediction:
    """A row and what the model says of it."""

    row: TextRow
    logits: FloatArray  # (labels,)
    answer: dict[str, Any]
    """As `Task.answer` gives it."""
    truncated: bool

    @property
    def label(self) -> Any:
        """The class, the list of labels, or the number."""
        return self.answer["label"]

    @property
    def scores(self) -> dict[str, float]:
        """The probability of each label, by label; empty where the answer is a number."""
        scores: dict[str, float] = self.answer.get("scores", {})
        return scores

    def to_json(self) -> str:
        """One line: text, text_pair where there is one, label, and scores where there are."""
        pair = {} if self.row.pair is None else {"text_pair": self.row.pair}
        scores = {label: round(score, 6) for label, score in self.scores.items()}
        record = {"text": self.row.text, **pair, "label": self.label}
        return json.dumps(record | ({"scores": scores} if scores else {}), ensure_ascii=False)


@dataclass(frozen=True)
class Predictor:
    """A fine-tuned model with its task, its tokenizer and the names of its labels."""

    task: Task
    model: SequenceClassifier
    tokenizer: Tokenizer
    labels: Sequence[str]
    max_length: int

    @classmethod
    def load(
        cls, folder: str | Path | ModelFolder, *, device: str = "auto", precision: str = "auto"
    ) -> Predictor:
        """From a model folder. Raises ModelError where it is not fine-tuned."""
        source = folder if isinstance(folder, ModelFolder) else read_model(folder)
        model = load_classifier(source)
        assert source.problem_type is not None
        hardware = choose_hardware(device, precision)
        return cls(
            of_problem(source.problem_type),
            model.to(hardware.device, hardware.dtype),
            load_tokenizer(source),
            source.labels or (),
            _max_length(source),
        )

    def predict(self, rows: Iterable[TextRow | str]) -> Iterator[Prediction]:
        """A prediction for each row or text, in order, as they are asked for."""
        whole = (TextRow(row) if isinstance(row, str) else row for row in rows)
        while block := list(islice(whole, BLOCK_ROWS)):
            encoded = encode_rows(block, self.tokenizer, self.max_length)
            logits = logits_of(self.model, encoded.examples)
            for row, truncated, own in zip(block, encoded.is_truncated, logits, strict=True):
                yield Prediction(row, own, self.task.answer(own, self.labels), truncated)


def _max_length(source: ModelFolder) -> int:
    """What the model was fine-tuned on, else as much as it reads, at most LONGEST."""
    limit = source.config.max_position_embeddings
    known = source.extra.get("max_length")
    return min(known if isinstance(known, int) and known >= 4 else LONGEST, limit)


@dataclass(frozen=True)
class PredictResult:
    """How many texts were labelled, and how many of them were shortened."""

    texts: int
    truncated: int


def predict_file(
    model: str | Path,
    file: str | Path,
    out: str | Path | None = None,
    *,
    columns: Columns | None = None,
    device: str = "auto",
    show_progress: bool = False,
) -> PredictResult:
    """Label the texts of `file` ("-" for standard input), a JSON line each in their order.

    The lines go to `out`, which appears when it is whole, or to standard output. Raises
    ModelError, and DataError, also where there is no text.
    """
    source = read_model(model)
    table = _open(file, columns, source)
    predictor = Predictor.load(source, device=device)
    texts = truncated = 0
    with ExitStack() as stack:
        stream: BinaryIO = (
            sys.stdout.buffer if out is None else stack.enter_context(open_atomically(Path(out)))
        )
        bar = None
        if show_progress and str(file) != STDIN:
            lines = sum(1 for _ in open_lines(Path(file)))
            bar = stack.enter_context(Bar("predicting", lines))
        for prediction in predictor.predict(table.rows):
            stream.write(prediction.to_json().encode() + b"\n")
            texts, truncated = texts + 1, truncated + prediction.truncated
            if bar is not None:
                bar.update(prediction.row.line, f"{texts:,} texts")
        if not texts:
            raise DataError("no texts", where=table.name, mend="give texts to label")
        stream.flush()
    return PredictResult(texts, truncated)


def _open(
    file: str | Path,
    columns: Columns | None,
    source: ModelFolder,
    *,
    labelled: bool = False,
    label_text: LabelText = class_text,
) -> Table:
    """The texts, with pairs exactly where the model was fine-tuned on pairs.

    Its columns are taken where none are named. Standard input is a text a line, or, where it
    begins with "{", JSON objects.
    """
    learnt = _columns(source)
    if str(file) == STDIN:
        table = _read_stdin(columns, learnt)
    else:
        table = open_table(
            Path(file), columns, labelled=labelled, usual=learnt, label_text=label_text
        )
    if learnt.text is not None:
        expected = learnt.pair is not None
        require_pairs(table.columns, expected, table.name, "what the model was trained on")
    return table


def _columns(source: ModelFolder) -> Columns:
    """What the model was fine-tuned on, as far as it says so."""
    names = [source.extra.get(f"{role}_column") for role in ("text", "pair", "label")]
    text, pair, label = (name if isinstance(name, str) else None for name in names)
    return Columns(text, pair, label)


def _read_stdin(columns: Columns | None, learnt: Columns) -> Table:
    lines: Lines = read_lines(sys.stdin.buffer, Path("standard input"))
    head = list(islice(lines, 1))
    is_json = bool(head) and head[0][1].lstrip().startswith("{")
    kind: TableKind = "jsonl" if is_json else "txt"
    lines = chain(head, lines)
    return read_table(lines, "standard input", kind, columns, labelled=False, usual=learnt)


def evaluate_file(
    model: str | Path,
    file: str | Path,
    out: str | Path | None = None,
    *,
    columns: Columns | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Scores of a fine-tuned model on a labelled table, written to `out` where it is given.

    Raises DataError where there are no rows, and where a label is unknown to the model,
    naming it and its lines.
    """
    source = read_model(model)
    predictor = Predictor.load(source, device=device)
    task, labels = predictor.task, predictor.labels
    rows = list(_open(file, columns, source, labelled=True, label_text=task.label_text).rows)
    truth = np.array(task.targets(rows, labels, str(file), "the model"))
    predictions = []
    with Bar("evaluating", len(rows)) as bar:
        for prediction in predictor.predict(rows):
            predictions.append(prediction)
            bar.update(len(predictions))
    logits = np.stack([prediction.logits for prediction in predictions])
    classes = [asdict(scores) for scores in task.score_each(truth, logits, labels)]
    scores = {
        "task": task.name,
        "model": str(model),
        "file": str(file),
        "labels": list(labels),
        "examples": len(rows),
        "truncated": sum(prediction.truncated for prediction in predictions),
        **asdict(task.score(truth, logits)),
        "classes": classes,
    }
    if out is not None:
        write_text_atomically(Path(out), json.dumps(scores, indent=1, ensure_ascii=False) + "\n")
    return scores
