"""Labelled files looked at before anything is trained: what is in them, and what is wrong.

The files of one task belong together: the first is what a model would learn from, the others
what it would be scored on. A folder is one of GLUE's, or holds such.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.errors import BertsmithError, ConfigError, DataError
from bertsmith.export.huggingface import load_tokenizer, read_model
from bertsmith.files import require_place, write_text_atomically
from bertsmith.jobs.progress import Bar
from bertsmith.report.check import write_check_report
from bertsmith.tasks.base import Task
from bertsmith.tasks.check import Lengths, balance, measure, overlap, rare, repeats
from bertsmith.tasks.find import find
from bertsmith.tasks.findings import Finding, Item, Place, single
from bertsmith.tasks.glue import GLUE, GlueFile, GlueTask, locate, read_rows
from bertsmith.tasks.guess import guess
from bertsmith.tasks.protocol import Protocol, choose_protocol
from bertsmith.tasks.tables import Columns, Labelled
from bertsmith.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Source:
    """A file to be read. `is_labelled` where its labels are known."""

    path: Path
    read: Callable[[Task[Any, Any]], tuple[Labelled[Any], Sequence[int]]]
    """The task -> its rows, and the lines that are no rows. Raises DataError."""
    is_labelled: bool = True


@dataclass(frozen=True)
class CheckedFile:
    """What is in a file, and what is wrong with it."""

    path: Path
    rows: int
    labels: Mapping[str, int]
    """How often each is there; empty where they are numbers, or not known."""
    numbers: Mapping[str, float]
    """Least, median, mean and greatest, where labels are numbers."""
    lengths: Lengths | None
    findings: Sequence[Finding]


@dataclass(frozen=True)
class CheckedSet:
    """The files of one task."""

    name: str
    """GLUE's, or `bertsmith finetune NAME`."""
    unit: str
    files: Sequence[CheckedFile]
    errors: Sequence[BertsmithError] = ()
    """What keeps a model from being trained on them."""


@dataclass(frozen=True)
class Check:
    """All that was looked at."""

    sets: Sequence[CheckedSet]

    @property
    def errors(self) -> list[BertsmithError]:
        """Of all sets."""
        return [error for checked in self.sets for error in checked.errors]

    @property
    def status(self) -> int:
        """2: nothing can be trained on some of it; 1: there are warnings; 0: neither."""
        if self.errors:
            return 2
        files = (file for checked in self.sets for file in checked.files)
        return int(any(found.level == "warning" for file in files for found in file.findings))

    @property
    def records(self) -> list[dict[str, Any]]:
        """All of it, every place included, as the JSON has it."""
        return [_record(checked) for checked in self.sets]


def check_data(
    paths: Sequence[str | Path],
    *,
    task: str | None = None,
    columns: Columns | None = None,
    model: str | Path | None = None,
    tokenizer: str | Path | None = None,
    max_length: int | None = None,
    out: Path | None = None,
    html: Path | None = None,
) -> Check:
    """Read labelled files as fine-tuning would, and say what is in them and what is wrong.

    `task` is the name of one in `bertsmith.tasks.find`, else guessed from the first file.
    `model` or `tokenizer`, folders both, have texts measured against `max_length`, by default
    what fine-tuning would take. `out` is written as JSON, `html` as a page.

    What is wrong with a file is in the result. Raises ConfigError, ModelError or TokenizerError
    for what is wrong with the rest.
    """
    for path in (out, html):
        if path is not None:
            require_place(path, ConfigError, but=paths)
    if out is not None and html is not None and out.absolute() == html.absolute():
        raise ConfigError("two kinds of file in one", where=html, mend="name another page")
    if model is not None and tokenizer is not None:
        raise ConfigError("a model brings its tokenizer", where="tokenizer", mend="give one")
    if max_length is not None and model is None and tokenizer is None:
        raise ConfigError(
            "a length in tokens needs a tokenizer", where="max_length", mend="give one, or a model"
        )
    source = None if model is None else read_model(model)
    loaded = load_tokenizer(source) if source else tokenizer and Tokenizer.load(tokenizer)

    def longest(task: Task[Any, Any]) -> int:
        if source is not None:
            return choose_protocol(source.config, 1, task.usual, max_length=max_length).max_length
        return max_length or int(task.usual.get("max_length", Protocol().max_length))

    def ruler(task: Task[Any, Any]) -> tuple[Task[Any, Any], Tokenizer, int]:
        assert isinstance(loaded, Tokenizer)
        task, own = task.reading(loaded)
        return task, own, longest(task)

    groups = list(_groups([Path(path) for path in paths], task, columns))
    sets = []
    with Bar("checking", sum(2 * len(group[2]) for group in groups)) as bar:
        done = 0
        for name, found, sources, errors in groups:
            own = ruler if loaded else None
            sets.append(_checked(name, found, sources, errors, own, _Progress(bar, done)))
            done += 2 * len(sources)
    result = Check(sets)
    if out is not None:
        write_text_atomically(out, json.dumps(result.records, ensure_ascii=False) + "\n")
    if html is not None:
        write_check_report(html, result.records)
    return result


@dataclass
class _Progress:
    """Two units of a bar for each file: read, and measured."""

    bar: Bar
    done: float

    def now(self, path: Path, share: float) -> None:
        self.bar.update(self.done + share, path.name)

    def step(self) -> None:
        self.done += 1


Ruler = Callable[[Task[Any, Any]], tuple[Task[Any, Any], Tokenizer, int]]
"""A task, suited -> the same, what it reads rows with, and how many tokens of each."""
Group = tuple[str, Task[Any, Any], list[Source], list[BertsmithError]]
"""A name, the task, its files, and what is wrong before they are read."""


def _groups(paths: Sequence[Path], task: str | None, columns: Columns | None) -> Iterator[Group]:
    files = [path for path in paths if not path.is_dir()]
    if files:
        errors: list[BertsmithError] = []
        found = find(task) if task else None
        for path in files if found is None else ():
            try:
                found = guess(path, columns)
                break
            except DataError as error:
                errors.append(error)
        sources = [
            Source(path, lambda task, path=path: (task.read(path, columns), ()))  # type: ignore[misc]
            for path in files
        ]
        if found is None:
            yield "", find("classify"), [], errors
        else:
            yield found.name, found, sources, []
    folders = [path for path in paths if path.is_dir()]
    if folders:
        yield from _of_glue(folders)


def _of_glue(folders: Sequence[Path]) -> Iterator[Group]:
    """The tasks whose files are in `folders`: GLUE's own, or those of one task."""
    whole = [folder.absolute() for folder in folders]
    there: set[Path] = set()
    for glue in GLUE:
        sources = []
        for files, is_labelled in [
            *((files, True) for files in (glue.train, glue.dev, *glue.also.values())),
            *((files, False) for files in glue.tests.values()),
        ]:
            found = locate(files, [*whole, *(folder.parent for folder in whole)])
            inside = [folder for folder in whole if found and found[0].is_relative_to(folder)]
            if found and inside:
                there |= {*inside}
                sources.append(_source(glue, *found, is_labelled))
        if sources:
            yield glue.name, glue.task, sources, []
    for folder in whole:
        if folder not in there:
            raise DataError(
                "no file of GLUE's in this folder",
                where=folder,
                mend="give files, or a folder with such as CoLA/train.tsv",
            )


def _source(glue: GlueTask, path: Path, file: GlueFile, is_labelled: bool) -> Source:
    def read(task: Task[Any, Any]) -> tuple[Labelled[Any], Sequence[int]]:
        rows = read_rows(glue, path, file, labelled=is_labelled)
        return rows.table, rows.left_out

    return Source(path, read, is_labelled)


def _checked(
    name: str,
    task: Task[Any, Any],
    sources: Sequence[Source],
    errors: Sequence[BertsmithError],
    ruler: Ruler | None,
    progress: _Progress,
) -> CheckedSet:
    wrong = list(errors)
    read: list[tuple[Source, Labelled[Any], Sequence[int]]] = []
    for source in sources:
        progress.now(source.path, 0.0)
        try:
            read.append((source, *source.read(task)))
        except DataError as error:
            wrong.append(error)
        progress.step()
    labelled = [data for source, data, _ in read if source.is_labelled]
    if labelled and labelled[0].path == sources[0].path:
        task, more = _suited(task, labelled)
        wrong += more
    files: list[CheckedFile] = []
    compared: list[tuple[Path, list[Item]]] = []
    for source, data, left_out in read:
        items = task.items(data.rows)
        found = [
            *single(
                "left out", "warning", "lines are no whole rows: left out", map(Place, left_out)
            ),
            *repeats(items),
            *task.oddities(data),
            *rare(items),
        ]
        for path, others in compared:
            found += overlap(items, others, path.name)
        compared.append((source.path, items))
        lengths = None
        if ruler is not None and data.rows:
            count = len(data.rows)
            reader, tokenizer, max_length = ruler(task)
            lengths, beyond = measure(
                reader,
                data,
                items,
                tokenizer,
                max_length,
                on_rows=lambda done, path=source.path, of=count: progress.now(path, done / of),  # type: ignore[misc]
            )
            found += beyond
        progress.step()
        files.append(
            CheckedFile(
                source.path,
                len(data.rows),
                dict(balance(items).most_common()),
                _numbers(items) if task.problem_type == "regression" else {},
                lengths,
                found,
            )
        )
    return CheckedSet(name, task.unit, files, wrong)


def _suited(
    task: Task[Any, Any], data: Sequence[Labelled[Any]]
) -> tuple[Task[Any, Any], list[BertsmithError]]:
    """The task as its training rows have it, and what fine-tuning would refuse."""
    errors: list[BertsmithError] = []
    try:
        train, dev = task.parted(data[0], data[1] if data[1:] else data[0])
        train = task.for_training(train)
        task = task.suited(train)
        names = task.output_names(train)
        task.truths(train, names, str(train.path))
    except BertsmithError as error:
        return task, [error]
    for other in (dev, *data[2:]):
        try:
            task.require_alike(other, train)
            task.truths(other, names, str(train.path))
        except BertsmithError as error:
            errors.append(error)
    return task, errors


def _numbers(items: Sequence[Item]) -> dict[str, float]:
    values = np.array([float(item.label) for item in items if item.right])
    if not len(values):
        return {}
    least, median, greatest = np.quantile(values, [0.0, 0.5, 1.0]).tolist()
    measures = {"least": least, "median": median, "mean": values.mean(), "greatest": greatest}
    return {name: round(float(value), 6) for name, value in measures.items()}


def _record(checked: CheckedSet) -> dict[str, Any]:
    return {
        "task": checked.name,
        "unit": checked.unit,
        "errors": [str(error) for error in checked.errors],
        "files": [
            {
                "file": str(file.path),
                "rows": file.rows,
                "labels": dict(file.labels),
                "numbers": dict(file.numbers),
                "tokens": _tokens(file.lengths),
                "findings": [_finding(found) for found in file.findings],
            }
            for file in checked.files
        ],
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "level": found.level,
        "what": found.what,
        "count": found.count,
        "places": [[place._asdict() for place in group] for group in found.places],
    }


def _tokens(lengths: Lengths | None) -> dict[str, float | int | list[int]]:
    """Quantiles, the limit, and a histogram: rows of up to 2 tokens, 4, 8 ..."""
    if lengths is None:
        return {}
    median, most, longest = np.quantile(lengths.tokens, [0.5, 0.95, 1.0])
    bins = np.bincount(np.ceil(np.log2(np.maximum(lengths.tokens, 1))).astype(int))
    return {
        "median": round(float(median)),
        "most": round(float(most)),
        "longest": round(float(longest)),
        "max_length": lengths.max_length,
        "unknown": round(lengths.unknown, 6),
        "histogram": bins.tolist(),
    }
