"""A search over learning rate, epochs and batch size, several fine-tunings at a time.

OUT/
  search.toml   every value of the search, and its points
  points/       a fine-tuning's run folder each (see `finetune_folder`); only the best has a model
  search.json   every point's median, range and failures; search.png and search.svg the same drawn
  report.html   all of it to look at; README.md as text
  model/        the best point's, by the median over its seeds; so are scores.json, errors.tsv and
                what else its task leaves

A point is finished once its scores.json is there, and one that is not goes on where its last seed
was: so does the search, `kill -9` included. Other points may be asked for later; those that are
finished, with as many seeds, are compared with them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bertsmith.engine.distributed import require_alone
from bertsmith.errors import ConfigError, ModelError, TrainingError
from bertsmith.export.folder import CONFIG
from bertsmith.export.model_card import with_limit
from bertsmith.export.weights import WEIGHTS
from bertsmith.files import (
    alone_in,
    is_free,
    is_temporary,
    replace_folder,
    write_text_atomically,
)
from bertsmith.jobs.finetune import read_sets
from bertsmith.jobs.finetune_folder import FinetuneConfig, differences
from bertsmith.jobs.finetune_plan import Plan, make_plan
from bertsmith.jobs.grid import USUAL, Point, make_grid
from bertsmith.jobs.grid_workers import Job, run_jobs
from bertsmith.jobs.processes import bytes_of, require_workers, usual_workers
from bertsmith.report.grid_search import write_search_report
from bertsmith.schema import Config, read_toml, validate
from bertsmith.tasks.base import Task
from bertsmith.tasks.find import find
from bertsmith.tasks.protocol import choose_protocol
from bertsmith.tasks.tables import Columns

MARKER, DIVERGED = "search.toml", "diverged.json"
ITS_OWN = ("config.toml", "log.jsonl", "README.md", "report.html")
"""What stays in a point's folder; all else is the best one's to show."""


@dataclass(frozen=True)
class SearchResult:
    """Where a search stands when the call returns."""

    folder: Path
    finished: bool
    found: Mapping[str, Any]
    """As search.json has it, the best point first; empty where it is not finished."""
    scores: Mapping[str, Any]
    """The best point's scores.json."""
    exit_status: int

    @property
    def model(self) -> Path:
        """The best model's folder."""
        return self.folder / "model"


class SearchConfig(Config):
    """What was asked for, at once or one after the other."""

    points: tuple[Point, ...]
    base: FinetuneConfig
    """Of every point, but for what the point has of its own."""


def search_grid(
    task: str | Task[Any, Any],
    train: str | Path,
    dev: str | Path | None,
    model: str | Path,
    out: str | Path,
    *,
    grid: str = USUAL,
    workers: int | None = None,
    columns: Columns | None = None,
    seeds: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    **protocol: Any,
) -> SearchResult:
    """Fine-tune at every point of `grid` (see `make_grid`), or go on with that; keep the best.

    `workers` processes at a time: as many as there are cores, and memory, on processors, else
    one. The rest is as in `bertsmith.jobs.finetune.finetune`. Everything is checked before
    anything is written.

    Raises what `finetune` raises, and ConfigError for a grid that makes no sense, TrainingError
    where every point diverged.
    """
    require_alone("a search")
    found = find(task) if isinstance(task, str) else task
    require_workers(workers)
    plan = make_plan(
        found,
        *read_sets(found, train, dev, columns),
        Path(model),
        seeds=seeds,
        device=device,
        precision=precision,
        **protocol,
    )
    points = make_grid(grid, plan.config.protocol)
    given = plan.config.protocol.model_dump()
    for point in points:
        choose_protocol(plan.source.config, len(plan.learnt), **given | point.model_dump())
    folder, seeds = Path(out), plan.config.seeds
    _check(folder, plan.config)
    chosen = {
        "columns": columns,
        "seeds": seeds,
        "device": plan.config.device,
        "precision": plan.config.precision,
        **given,
    }

    def job(point: Point, place: Path) -> Job:
        return Job(
            (task, str(train), None if dev is None else str(dev), str(model), str(place)),
            chosen | point.model_dump(),
            place / DIVERGED,
            seeds * point.epochs,
        )

    if workers is None:
        size = bytes_of(plan.source.config, (Path(model) / WEIGHTS).stat().st_size)
        workers = usual_workers(len(points), size) if plan.config.device == "cpu" else 1
    at_once = min(workers, len(points))
    places: dict[Point, Path] = {}

    def prune() -> None:
        """Drop the models of finished points that are not the best so far."""
        for place, _ in _ranked(places, seeds, plan.task)[1:]:
            (place / "model" / CONFIG).unlink(missing_ok=True)  # first: it says that one is there
            shutil.rmtree(place / "model", ignore_errors=True)

    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, ConfigError):
        known = tuple(dict.fromkeys((*_check(folder, plan.config), *points)))
        settings = SearchConfig(points=known, base=plan.config)
        write_text_atomically(folder / MARKER, settings.to_toml())  # it says whose the rest is
        (folder / "points").mkdir(exist_ok=True)
        for point in known:
            place = folder / "points" / point.name
            if point in points or _is_over(place, seeds):
                places[point] = place
        while missing := _unfinished(places, seeds, plan.task):
            jobs = [job(point, places[point]) for point in missing]
            status = run_jobs(jobs, at_once, prune)
            if status:
                return SearchResult(folder, False, {}, {}, status)
        return _conclude(folder, places, plan)


def _check(folder: Path, base: FinetuneConfig) -> tuple[Point, ...]:
    """The points that were asked for before. Raises ConfigError, naming what differs, where the
    folder holds anything but a search that only has other points."""
    saved = folder / MARKER
    if saved.exists():
        before = validate(SearchConfig, read_toml(saved), saved)
        was, now = before.base.model_dump(), base.model_dump()
        for key in Point.model_fields:
            del was["protocol"][key], now["protocol"][key]
        odd = differences(was, now)
        if base.seeds < before.base.seeds:
            odd.append(f"seeds was {before.base.seeds}, now {base.seeds}")
        if odd:
            raise ConfigError(
                f"begun with other values: {'; '.join(odd)}",
                where=saved,
                mend="give the same command, or another --out",
            )
        return before.points
    if not is_free(folder):
        raise ConfigError("is there already, and is no search", where=folder, mend="give another")
    return ()


def _scores(place: Path, seeds: int) -> dict[str, Any] | None:
    """A point's scores.json, once it has all its seeds, and its page, which is written last."""
    path = place / "scores.json"
    if not path.is_file() or not (place / "report.html").is_file():
        return None
    scores: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return scores if len(scores["runs"]) >= seeds else None


def _is_over(place: Path, seeds: int) -> bool:
    """Whether a point is finished, or has diverged."""
    return _scores(place, seeds) is not None or (place / DIVERGED).is_file()


def _ranked(
    places: Mapping[Point, Path], seeds: int, task: Task[Any, Any]
) -> list[tuple[Path, dict[str, Any]]]:
    """The finished points and their scores, the best first: by the median of their merits."""
    found = [(place, scores) for place in places.values() if (scores := _scores(place, seeds))]
    return sorted(found, key=lambda one: -median(map(task.merit, one[1]["runs"])))


def _unfinished(places: Mapping[Point, Path], seeds: int, task: Task[Any, Any]) -> list[Point]:
    """The points to be trained: those not finished, then the best where its model is gone.

    Raises TrainingError where every one of them diverged.
    """
    missing = [point for point, place in places.items() if not _is_over(place, seeds)]
    if missing:
        return missing
    ranked = _ranked(places, seeds, task)
    if not ranked:
        said = json.loads((next(iter(places.values())) / DIVERGED).read_text("utf-8"))
        raise TrainingError(
            f"every point diverged, first: {said['error']}", mend="search lower rates"
        )
    best = ranked[0][0]
    if (best / "model" / CONFIG).is_file():
        return []
    return [point for point, place in places.items() if place == best]


def _conclude(folder: Path, places: Mapping[Point, Path], plan: Plan) -> SearchResult:
    """search.json, the figure, the page and the best point's model, out of finished points."""
    task, seeds = plan.task, plan.config.seeds
    ranked = _ranked(places, seeds, task)
    points = [_described(folder, place, scores, task) for place, scores in ranked]
    points += [
        {**point.model_dump(), "folder": str(place.relative_to(folder)), **_diverged(place)}
        for point, place in places.items()
        if _scores(place, seeds) is None
    ]
    best, scores = ranked[0]
    found = {
        **{key: scores[key] for key in ("task", "unit", "model", "train_examples", "dev_examples")},
        "seeds": seeds,
        "chosen_by": list(task.chosen_by),
        "metrics": list(task.metrics),
        "points": points,
    }
    for path in best.iterdir():
        if path.name not in ITS_OWN and path.is_file() and not is_temporary(path):
            write_text_atomically(folder / path.name, path.read_text("utf-8"))
    _copy_model(best / "model", folder / "model", len(points))
    write_text_atomically(folder / "search.json", json.dumps(found, indent=1) + "\n")
    write_search_report(folder, found)
    return SearchResult(folder, True, found, scores, 0)


def _described(
    folder: Path, place: Path, scores: Mapping[str, Any], task: Task[Any, Any]
) -> dict[str, Any]:
    """A finished point, as search.json has it."""
    runs = scores["runs"]
    merits = [task.merit(run) for run in runs]
    return {
        **{key: scores["protocol"][key] for key in Point.model_fields},
        "folder": str(place.relative_to(folder)),
        "merit": median(merits),
        "merits": merits,
        "scores": scores["summary"]["pretrained"],
        "failed": sum(run["failed"] for run in runs),
        "seconds": sum(run["seconds"] for run in runs),
    }


def _diverged(place: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((place / DIVERGED).read_text("utf-8"))
    return {"diverged": said["error"]}


def _copy_model(source: Path, target: Path, points: int) -> None:
    """Whole, in place of what is there; its card says of how many points it is the best."""
    limit = (
        f"Its learning rate, epochs and batch size were chosen among {points} settings, by the "
        "median over the seeds on the dev set that it is scored on: its scores are somewhat too "
        "high."
    )
    with replace_folder(target, holds=CONFIG, error=ModelError) as temporary:
        for path in source.iterdir():
            shutil.copyfile(path, temporary / path.name)
        card = temporary / "README.md"
        if points > 1:
            card.write_text(with_limit(card.read_text("utf-8"), limit), "utf-8")
