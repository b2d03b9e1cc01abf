"""Fine-tuning: labelled texts and a pre-trained model in, a task's model and its proof out.

The proof is the same network trained in the same way from random weights (`from_scratch`):
same seeds, same order of the examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertsmith.engine.distributed import require_alone
from bertsmith.errors import ConfigError
from bertsmith.files import alone_in
from bertsmith.jobs.finetune_folder import RunFolder, best_run
from bertsmith.jobs.finetune_plan import make_plan
from bertsmith.jobs.finetune_results import conclude
from bertsmith.jobs.finetune_runs import train_all
from bertsmith.jobs.processes import require_workers
from bertsmith.tasks.base import Task
from bertsmith.tasks.find import find
from bertsmith.tasks.tables import Columns, Labelled


@dataclass(frozen=True)
class FinetuneResult:
    """Where a fine-tuning stands when the call returns."""

    task: Task[Any, Any]
    folder: Path
    finished: bool
    scores: Mapping[str, Any]
    """As scores.json has it; empty where it is not finished."""
    exit_status: int

    @property
    def model(self) -> Path:
        """The best model's folder."""
        return self.folder / "model"

    @property
    def best(self) -> Mapping[str, Any]:
        """The run that `model` is of, as scores.json has it."""
        best = best_run(self.task, self.scores["runs"])
        assert best is not None
        return best


def finetune(
    task: str | Task[Any, Any],
    train: str | Path,
    dev: str | Path | None,
    model: str | Path,
    out: str | Path,
    *,
    columns: Columns | None = None,
    seeds: int | None = None,
    from_scratch: bool = False,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    show_progress: bool = True,
    **protocol: Any,
) -> FinetuneResult:
    """Train a model with several seeds, or go on with those that are not finished.

    A seed that was interrupted goes on from its last checkpoint, to the bit; SIGTERM and Ctrl-C
    leave one at the step that they come in.

    `task` is one of `bertsmith.tasks.find`, such as "classify", or its name; `train` and `dev`
    are labelled files, tables where its rows are texts (see `bertsmith.tasks.tables`), `dev`
    None where a part of `train` is to be held out (see `Task.parted`), and `model` a model
    folder. `seeds` is their number: three below FEW_EXAMPLES training examples, else one.
    `from_scratch` adds the same runs from random weights. `workers` runs are trained at a time,
    each on one core; None: on a processor as many as there are cores, and memory, where they
    take long enough. `protocol` are fields of `Protocol`. Leaves the run folder that
    `bertsmith.jobs.finetune_folder` describes.

    Raises DataError for what is wrong with the tables, ModelError for the model, ConfigError
    for a value, where `out` holds something else, or this under way, or under torchrun,
    TrainingError where a loss is not finite.
    """
    require_alone("fine-tuning")
    found = find(task) if isinstance(task, str) else task
    return finetune_on(
        found,
        *read_sets(found, train, dev, columns),
        model=Path(model),
        out=Path(out),
        also=None,
        seeds=seeds,
        from_scratch=from_scratch,
        device=device,
        precision=precision,
        workers=workers,
        show_progress=show_progress,
        **protocol,
    )


def read_sets(
    task: Task[Any, Any], train: str | Path, dev: str | Path | None, columns: Columns | None
) -> tuple[Labelled[Any], Labelled[Any]]:
    """The training and the dev set, as `task` parts them. Raises DataError, ConfigError."""
    held = None if dev is None else task.read(Path(dev), columns)
    return task.parted(task.read(Path(train), columns), held)


def finetune_on(
    task: Task[Any, Any],
    train: Labelled[Any],
    dev: Labelled[Any],
    *,
    model: Path,
    out: Path,
    also: Mapping[str, Labelled[Any]] | None = None,
    seeds: int | None = None,
    from_scratch: bool = False,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    show_progress: bool = True,
    **protocol: Any,
) -> FinetuneResult:
    """As `finetune`, from tables that are read already.

    `also` are further labelled tables that each finished run is scored on; its result has
    their metrics under "also".
    """
    require_workers(workers)
    plan = make_plan(
        task,
        train,
        dev,
        model,
        also=also,
        seeds=seeds,
        from_scratch=from_scratch,
        device=device,
        precision=precision,
        **protocol,
    )
    folder, config = RunFolder(out, plan.task), plan.config
    folder.check(config)
    folder.path.mkdir(parents=True, exist_ok=True)
    with alone_in(folder.path, ConfigError):
        folder.settle(config)
        trainer = plan.trainer()
        exit_status = train_all(folder, plan, trainer, workers, show_progress)
        scores = {} if exit_status else conclude(folder, config, trainer)
    return FinetuneResult(plan.task, folder.path, not exit_status, scores, exit_status)
