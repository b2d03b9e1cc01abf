"""log.jsonl: one JSON object a line, appended as it happens, cut back on resume."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertsmith.files import write_text_atomically


class Log:
    """An append-only list of records on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def write(self, kind: str, **values: Any) -> None:
        """Append {"kind": kind, **values} and hand it to the operating system."""
        self._file.write(json.dumps({"kind": kind, **values}) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Wait until the disk has it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The records; a line that is cut or damaged is passed over."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def cut_log(path: Path, step: int) -> list[dict[str, Any]]:
    """Drop what was written after `step`, so that a resumed run does not tell it twice.

    Returns the records that are left.
    """
    if not path.exists():
        return []
    kept = [record for record in read_log(path) if record.get("step", 0) <= step]
    write_text_atomically(path, "".join(json.dumps(record) + "\n" for record in kept))
    return kept
