"""All of GLUE that is there: every task fine-tuned, one table, one submission.

OUT/
  CoLA/ ...        a fine-tuning's run folder for each task (see `finetune_folder`)
  glue.toml        what was asked for
  glue.json        every task's scores and GLUE's mean, with what is missing or stands in
  report.html      the table to look at; README.md the same as text
  submission.zip   what gluebenchmark.com takes: a file for each test set that is there

A task's finished seeds are never repeated, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from bertsmith.engine.distributed import require_alone
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import read_model
from bertsmith.files import alone_in, is_free, write_atomically, write_text_atomically
from bertsmith.jobs.finetune import FinetuneResult, finetune_on
from bertsmith.jobs.finetune_folder import spread_of
from bertsmith.jobs.finetune_plan import require_seeds
from bertsmith.jobs.predict import Predictor
from bertsmith.jobs.processes import require_workers
from bertsmith.jobs.progress import Bar
from bertsmith.report.glue import glue_readme, write_glue_report
from bertsmith.tasks.glue import (
    GlueFile,
    GlueTask,
    Rows,
    find_tasks,
    glue_mean,
    locate,
    read_rows,
    submission,
)
from bertsmith.tasks.protocol import choose_protocol

MARKER = "glue.toml"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file in the zip, so that equal predictions make equal zips."""


@dataclass(frozen=True)
class GlueResult:
    """Where it stands when the call returns."""

    folder: Path
    finished: bool
    scores: Mapping[str, Any]
    """As glue.json has it; empty where it is not finished."""
    exit_status: int


@dataclass(frozen=True)
class _Found:
    """A task and the files of its sets."""

    task: GlueTask
    sets: Mapping[str, tuple[Path, GlueFile]]
    """"train", "dev" and those of `GlueTask.also`."""
    tests: Mapping[str, tuple[Path, GlueFile]]

    def read(self, name: str) -> Rows:
        return read_rows(self.task, *self.sets[name])

    def read_test(self, name: str) -> Rows:
        return read_rows(self.task, *self.tests[name], labelled=False)

    def check(self) -> dict[str, dict[str, Any]]:
        """What each labelled set is; raises DataError now rather than after hours of training."""
        described: dict[str, dict[str, Any]] = {}
        official = dict(zip(("train", "dev"), self.task.official, strict=True))
        for name, (path, file) in self.sets.items():
            rows = self.read(name)
            labels = self.task.task.names(
                rows.table.rows, str(path), rows.table.columns.label or ""
            )
            self.task.task.targets(rows.table.rows, labels, str(path), "GLUE")
            described[name] = {
                "file": str(path),
                "rows": len(rows.table.rows),
                "official_rows": official.get(name),
                "left_out": len(rows.left_out),
                "note": file.note,
            }
        for name, (path, _) in self.tests.items():
            if not self.read_test(name).table.rows:
                raise DataError("no rows", where=path, mend="fetch it again, or take it away")
        return described


def glue(
    data: Sequence[str | Path],
    model: str | Path,
    out: str | Path,
    *,
    tasks: Sequence[str] = (),
    seeds: int | None = None,
    from_scratch: bool = False,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    **protocol: Any,
) -> GlueResult:
    """Fine-tune `model` on every task of GLUE that `data` holds, or go on with that.

    `data` are folders with the official files (CoLA/train.tsv ...); `tasks` leaves out the
    others. `seeds`, `from_scratch`, `workers` and `protocol` are as in `finetune`, for each task.
    Leaves the folder that this module describes. Every file is read before anything is
    trained.

    Raises ConfigError for a task or a value that makes no sense, where `out` holds something else
    or this is under way there, and under torchrun, DataError where no task is there or a file is
    broken, ModelError and TrainingError as `finetune` does.
    """
    require_alone("GLUE")
    require_workers(workers)
    require_seeds(seeds)
    folder, folders = Path(out), [Path(path) for path in data]
    wanted = find_tasks(tasks)
    found, absent = _look(wanted, folders)
    described = {each.task.name: each.check() for each in found}
    config = read_model(model).config
    for each in found:  # what makes no sense is said before anything is written
        rows = described[each.task.name]["train"]["rows"]
        choose_protocol(config, rows, each.task.task.usual, **protocol)
    asked = tomli_w.dumps({"data": [str(path) for path in folders], "model": str(model)})
    _require_glue(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, ConfigError):
        if not (folder / MARKER).exists():
            _require_glue(folder)
            write_text_atomically(folder / MARKER, asked)  # first: it says whose the rest is
        results: dict[str, FinetuneResult] = {}
        for each in found:
            name = each.task.name
            _say(f"{name}: {_in_words(described[name])}")
            tuned = finetune_on(
                each.task.task,
                each.read("train").table,
                each.read("dev").table,
                also={also: each.read(also).table for also in each.task.also if also in each.sets},
                model=Path(model),
                out=folder / name,
                seeds=seeds,
                from_scratch=from_scratch,
                device=device,
                precision=precision,
                workers=workers,
                **protocol,
            )
            if not tuned.finished:
                return GlueResult(folder, False, {}, tuned.exit_status)
            results[name] = tuned
        scored = {
            each.task.name: _scores(each.task, results[each.task.name], described[each.task.name])
            for each in found
        }
        scores = {
            "model": str(model),
            "tasks": scored,
            "absent": absent,
            "mean": {
                init: glue_mean(task["scores"][init]["score"]["median"] for task in scored.values())
                for init in next(iter(scored.values()))["scores"]
            },
            "submission": _submit(folder, found, results, device, precision),
        }
        write_text_atomically(folder / "glue.json", json.dumps(scores, indent=1) + "\n")
        write_text_atomically(folder / "README.md", glue_readme(scores))
        write_glue_report(folder / "report.html", scores)
        write_text_atomically(folder / MARKER, asked)
        return GlueResult(folder, True, scores, 0)


def _look(
    wanted: Sequence[GlueTask], folders: Sequence[Path]
) -> tuple[list[_Found], dict[str, str]]:
    """The tasks that are there, and why the others of GLUE are not."""
    found: list[_Found] = []
    absent = {task.name: "not asked for" for task in find_tasks(()) if task not in wanted}
    for task in wanted:
        sets = _located({"train": task.train, "dev": task.dev, **task.also}, folders)
        missing = [
            files[0].path
            for name, files in (("train", task.train), ("dev", task.dev))
            if name not in sets
        ]
        if missing:
            absent[task.name] = f"no {' and no '.join(missing)}"
        else:
            found.append(_Found(task, sets, _located(task.tests, folders)))
    if not found:
        names = ", ".join(task.name for task in wanted)
        raise DataError(
            f"holds none of {names}",
            where=", ".join(map(str, folders)),
            mend="give the folder with GLUE's own, such as CoLA/train.tsv and CoLA/dev.tsv",
        )
    return found, absent


def _located(
    sets: Mapping[str, Sequence[GlueFile]], folders: Sequence[Path]
) -> dict[str, tuple[Path, GlueFile]]:
    places = {name: locate(files, folders) for name, files in sets.items()}
    return {name: place for name, place in places.items() if place is not None}


def _require_glue(folder: Path) -> None:
    if not (folder / MARKER).exists() and not is_free(folder):
        raise ConfigError(
            "is there already, and is no run of GLUE", where=folder, mend="give another --out"
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _in_words(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """The sets, with all that is not as GLUE has it."""
    parts = []
    for name, one in sets.items():
        part = f"{one['rows']:,} rows to {'train on' if name == 'train' else f'score on ({name})'}"
        if one["note"]:
            part += f" from {Path(one['file']).name}, {one['note']}"
        if one["left_out"]:
            part += f", {one['left_out']:,} broken lines left out"
        parts.append(part)
    return "; ".join(parts)


def _scores(
    task: GlueTask, tuned: FinetuneResult, described: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A task's part of glue.json."""
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for run in tuned.scores["runs"]:
        runs.setdefault(run["init"], []).append(run)
    first = task.scores(tuned.scores["runs"][0])
    return {
        "sets": described,
        "missing_sets": [name for name in task.also if name not in described],
        "truncated": tuned.scores["truncated"],
        "protocol": tuned.scores["protocol"],
        "scores": {
            init: {
                "seeds": [run["seed"] for run in own],
                "failed": [run["seed"] for run in own if run["failed"]],
                "score": spread_of([task.score(run) for run in own]),
                "metrics": {
                    name: spread_of(
                        [task.scores(run)[name] for run in own],
                        [ends[name] for run in own if (ends := task.intervals(run))],
                    )
                    for name in first
                },
            }
            for init, own in runs.items()
        },
    }


def _submit(
    folder: Path,
    found: Sequence[_Found],
    results: Mapping[str, FinetuneResult],
    device: str,
    precision: str,
) -> dict[str, Any]:
    """Predict every test set that is there with its task's best model; write the zip."""
    files: dict[str, str] = {}
    described: dict[str, dict[str, int]] = {}
    for each in found:
        if not each.tests:
            continue
        predictor = Predictor.load(
            results[each.task.name].model, device=device, precision=precision
        )
        for name in each.tests:
            rows = each.read_test(name).table.rows
            predictions, truncated = [], 0
            with Bar(f"predicting {name}", len(rows)) as bar:
                for prediction in predictor.predict(rows):
                    predictions.append(each.task.written(prediction.label))
                    truncated += prediction.truncated
                    bar.update(len(predictions))
                if truncated:
                    bar.say(f"{name}: {truncated:,} of {len(rows):,} texts were shortened")
            files[name] = submission(predictions)
            described[name] = {"rows": len(rows), "truncated": truncated}
    official = [name for task in find_tasks(()) for name in task.tests]
    if files:
        write_atomically(folder / "submission.zip", _zipped(files))
    return {"files": described, "absent": [name for name in official if name not in files]}


def _zipped(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()
