"""scores.json of a fine-tuning job, typed and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bertsmith.errors import DataError

_MEND = "run the fine-tuning again; it writes this file"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Spread(_Record):
    """A metric over seeds."""

    median: float
    min: float
    max: float
    low: float | None = None
    """The median ends of the seeds' 95 % intervals."""
    high: float | None = None


class TypeScores(_Record):
    """How well one type of spans is found."""

    label: str
    precision: float
    recall: float
    f1: float
    examples: int


class FinetuneRun(_Record):
    """One seed. Its metrics (accuracy, macro_f1, ...) are further fields; see `score`."""

    init: str
    seed: int
    confusion_matrix: list[list[int]] | None = None
    label_f1: list[float] | None = None
    types: list[TypeScores] | None = None
    history: list[dict[str, Any]] = Field(default_factory=list)
    failed: bool = False
    threads: int | None = None
    """That it was computed with: its rounding depends on them."""

    def score(self, metric: str) -> float | None:
        """The run's value of one metric, None where it was not measured."""
        value = (self.model_extra or {}).get(metric)
        return float(value) if isinstance(value, int | float) else None


class Scores(_Record):
    """Everything that scores.json says."""

    task: str
    labels: list[str]
    train_examples: int
    dev_examples: int
    dev_in_train: int = 0
    """Dev rows that are training rows, too."""
    model: str
    method: str = "All weights are trained, with one linear layer on [CLS]."
    runs: list[FinetuneRun] = Field(min_length=1)
    summary: dict[str, dict[str, Spread]]
    protocol: dict[str, Any] = Field(default_factory=dict)
    unit: str = "texts"
    drawn: str = ""
    """For the intervals, where it is not the unit."""

    @model_validator(mode="after")
    def _matrices_fit(self) -> Scores:
        size = len(self.labels)
        for number, run in enumerate(self.runs):
            matrix = run.confusion_matrix
            if matrix is not None and [len(row) for row in matrix] != [size] * size:
                raise ValueError(f"runs.{number}.confusion_matrix is not {size} x {size}")
            if run.label_f1 is not None and len(run.label_f1) != size:
                raise ValueError(f"runs.{number}.label_f1 is not {size} numbers")
        return self

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, in the order of the file."""
        return list(dict.fromkeys(name for spread in self.summary.values() for name in spread))


def read_scores(path: Path) -> Scores:
    """The scores at `path`. Raises DataError where the file is missing, cut or incomplete."""
    try:
        return Scores.model_validate(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise DataError("no such file", where=path, mend=_MEND) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        what = f"{key}: {message}" if key else message
        raise DataError(what, where=path, mend=_MEND) from None
    except ValueError:
        raise DataError("is not JSON, or was cut", where=path, mend=_MEND) from None
