"""Read a run's log.jsonl: one JSON object a line, its "kind" first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertsmith.errors import DataError

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunLog:
    """The log of one run, without what an interruption made void.

    `run` is the newest run line; `records` are the step, eval, fill and phase lines in the
    order of training; `end` is the end line, where the run has ended and not been taken up again.
    """

    run: Record
    records: tuple[Record, ...]
    warnings: tuple[Record, ...]
    end: Record | None

    def of(self, kind: str) -> list[Record]:
        """The records of one kind."""
        return [record for record in self.records if record["kind"] == kind]

    def last(self, kind: str) -> Record:
        """The newest record of one kind; empty where there is none."""
        return next((record for record in reversed(self.records) if record["kind"] == kind), {})


def read_run(path: Path) -> RunLog:
    """The log at `path`. A last line that was cut while being written is left out.

    A run that resumed has trained the steps after its checkpoint twice; only the second time
    counts. Raises DataError with the line where the log is no log.
    """
    run: Record | None = None
    end: Record | None = None
    records: list[Record] = []
    warnings: list[Record] = []
    for number, record in _lines(path):
        match record.get("kind"):
            case "run":
                run, end = record, None
            case "step" | "eval" | "fill" | "phase" as kind:
                step = record.get("step")
                if not isinstance(step, int):
                    raise DataError(f"a {kind} line without a step", where=f"{path}:{number}")
                if kind == "step":
                    records = [other for other in records if other["step"] < step]
                records.append(record)
                end = None
            case "warning":
                warnings.append(record)
            case "end":
                end = record
            case None:
                raise DataError('no "kind" in this line', where=f"{path}:{number}")
            case _:
                pass  # a kind of a newer version
    if run is None:
        raise DataError(
            "holds no run", where=path, mend="start the run; its first line describes it"
        )
    return RunLog(run, tuple(records), tuple(warnings), end)


def _lines(path: Path) -> list[tuple[int, Record]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise DataError("no such file", where=path, mend="give the folder of a run") from None
    parsed = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines):  # no newline after it: cut while being written
                break
            raise DataError(
                "is not JSON", where=f"{path}:{number}", mend="remove this line"
            ) from None
        if not isinstance(record, dict):
            raise DataError("is not a JSON object", where=f"{path}:{number}")
        parsed.append((number, record))
    return parsed
