"""Use a fine-tuned model: say what it is trained to say of new rows, or be scored on labelled ones.

Rows are read, predicted and written in blocks, so that memory does not grow with the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from bertsmith.engine.memory import keep_freed_memory
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError, ModelError
from bertsmith.export.huggingface import ModelFolder, load_finetuned, load_tokenizer, read_model
from bertsmith.files import open_atomically, require_place, write_text_atomically
from bertsmith.jobs.finetune_results import scored
from bertsmith.jobs.progress import Bar
from bertsmith.nn.models import HeadedEncoder, place
from bertsmith.nn.packed import pack_linears
from bertsmith.tasks.base import Encoded, Prediction, Task
from bertsmith.tasks.find import of_folder
from bertsmith.tasks.fit import predict as outputs_of
from bertsmith.tasks.records import open_lines
from bertsmith.tasks.tables import Columns, Labelled
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import FloatArray

BLOCK_ROWS = 512
LONGEST = 512
"""Tokens of a text, where the model does not say what it was fine-tuned on."""
STDIN = "-"


@dataclass(frozen=True)
class Predictor:
    """A fine-tuned model with its task, its tokenizer and the names of its labels."""

    task: Task[Any, Any]
    model: HeadedEncoder
    tokenizer: Tokenizer
    labels: Sequence[str]
    max_length: int

    @classmethod
    def load(
        cls, folder: str | Path | ModelFolder, *, device: str = "auto", precision: str = "auto"
    ) -> Predictor:
        """From a model folder. Raises ModelError where it is not fine-tuned, or says nonsense of
        its task."""
        source = folder if isinstance(folder, ModelFolder) else read_model(folder)
        model = load_finetuned(source)
        try:
            task = of_folder(source.problem_type, source.extra, source.labels or (), source.kind)
        except ConfigError as error:
            raise ModelError(
                f"its {error.where}: {error.what}", where=source.path, mend="fine-tune it again"
            ) from None
        hardware = choose_hardware(device, precision)
        place(model, hardware.device, hardware.dtype)
        pack_linears(model)
        keep_freed_memory()
        return cls(
            task,
            model,
            load_tokenizer(source),
            source.labels or (),
            _max_length(source),
        )

    def predict(self, rows: Iterable[Any]) -> Iterator[Any]:
        """A Prediction for each row or text, in order, as they are asked for."""
        whole = (self.task.row_of(row) if isinstance(row, str) else row for row in rows)
        while block := list(islice(whole, BLOCK_ROWS)):
            data = self.task.encode(block, self.tokenizer, self.max_length)
            outputs = outputs_of(self.model, data.examples, data.output_rows)
            yield from self.task.predictions(self.model, block, data, outputs, self.labels)


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
    unit: str = "texts"
    """What they are, in words."""


@contextmanager
def _short_of_memory() -> Iterator[None]:
    """Where a GPU is, say how to mend it."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise ConfigError(
            "the GPU has no memory for the model and its texts",
            where="device",
            mend="free some, or give --device cpu",
        ) from None


@_short_of_memory()
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
    ModelError, DataError, also where there is no text, and ConfigError, before anything is
    computed, where `out` could not be written, or is `file`.
    """
    if out is not None:
        require_place(Path(out), ConfigError, but=[file])
    source = read_model(model)
    predictor = Predictor.load(source, device=device)
    path = None if str(file) == STDIN else Path(file)
    table = predictor.task.open(path, columns, _columns(source), labelled=False)
    texts = truncated = 0
    with ExitStack() as stack:
        stream: BinaryIO = (
            sys.stdout.buffer if out is None else stack.enter_context(open_atomically(Path(out)))
        )
        bar = None
        if show_progress and path is not None:
            lines = table.lines or sum(1 for _ in open_lines(path))
            bar = stack.enter_context(Bar("predicting", lines))
        prediction: Prediction
        for prediction in predictor.predict(table.rows):
            stream.write(prediction.to_json().encode() + b"\n")
            texts, truncated = texts + 1, truncated + prediction.truncated
            if bar is not None:
                bar.update(prediction.line, f"{texts:,} {predictor.task.unit}")
        if not texts:
            raise DataError("no texts", where=table.name, mend="give texts to label")
        stream.flush()
    return PredictResult(texts, truncated, predictor.task.unit)


def _columns(source: ModelFolder) -> Columns:
    """What the model was fine-tuned on, as far as it says so."""
    names = [source.extra.get(f"{role}_column") for role in ("text", "pair", "label")]
    text, pair, label = (name if isinstance(name, str) else None for name in names)
    return Columns(text, pair, label)


@_short_of_memory()
def evaluate_file(
    model: str | Path,
    file: str | Path,
    out: str | Path | None = None,
    *,
    columns: Columns | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Scores of a fine-tuned model on a labelled file, written to `out` where it is given.

    Raises DataError where there are no rows, and where a label is unknown to the model,
    naming it and its lines; ConfigError where `out` could not be written, or is `file`.
    """
    if out is not None:
        require_place(Path(out), ConfigError, but=[file])
    source = read_model(model)
    predictor = Predictor.load(source, device=device)
    task, labels = predictor.task, predictor.labels
    table = task.open(Path(file), columns, _columns(source), labelled=True)
    rows = list(table.rows)
    truths = task.truths(Labelled(Path(file), table.columns, rows), labels, "the model")
    data = task.encode(rows, predictor.tokenizer, predictor.max_length, truths)
    outputs = _outputs(predictor.model, data)
    classes = task.assess_each(predictor.model, data, outputs, labels)
    scores = {
        "task": task.name,
        "unit": task.unit,
        "drawn": task.drawn,
        "model": str(model),
        "file": str(file),
        "labels": list(labels),
        "examples": len(rows),
        "truncated": data.truncated,
        **scored(task, predictor.model, data, outputs),
        "classes": [asdict(one) for one in classes],
    }
    if out is not None:
        write_text_atomically(Path(out), json.dumps(scores, indent=1, ensure_ascii=False) + "\n")
    return scores


def _outputs(model: HeadedEncoder, data: Encoded) -> FloatArray:
    """Of all examples, with a bar."""
    parts, count = [], len(data.examples)
    with Bar("evaluating", count) as bar:
        for begin in range(0, count, BLOCK_ROWS):
            block = slice(begin, begin + BLOCK_ROWS)
            rows = None if data.output_rows is None else data.output_rows[block]
            parts.append(outputs_of(model, data.examples[block], rows))
            bar.update(min(begin + BLOCK_ROWS, count))
    return np.concatenate(parts)
