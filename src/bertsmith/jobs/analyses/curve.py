"""`analyze curve`: a finished fine-tuning looked at again, and the loss around its two ways.

Curves are read from its log. The weights of most of its runs are gone, so for the surfaces the
first seed is trained again from either start, to the bit, and once more in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bertsmith.analysis.loss_surface import (
    Weights,
    between,
    distance,
    line,
    plane,
    weights_of,
)
from bertsmith.data.loader import Cursor
from bertsmith.engine.log import read_log
from bertsmith.engine.train import Step
from bertsmith.errors import ConfigError, DataError
from bertsmith.jobs.finetune_folder import FinetuneConfig, Init
from bertsmith.jobs.finetune_plan import Plan, make_plan
from bertsmith.jobs.progress import Bar
from bertsmith.jobs.trainer import Trainer
from bertsmith.nn.embeddings import rows_in_use
from bertsmith.report import curves as shown
from bertsmith.report.analyses import require_folder, write_analysis
from bertsmith.report.scores import Scores, read_scores
from bertsmith.schema import read_toml, validate
from bertsmith.tasks.base import Task, some_of
from bertsmith.tasks.find import find
from bertsmith.tasks.fit import fit, mean_loss, tokens_in
from bertsmith.tasks.glue import GLUE
from bertsmith.tasks.tables import Columns, Labelled

INITS: tuple[Init, ...] = ("pretrained", "scratch")
EXAMPLES = 256
"""Training examples that the loss around a run is taken of."""
GRID = 11
"""Points of a plane's side."""
LINE = 21
"""Points of a line: both ends are among them."""


def analyze_curve(
    run: str | Path,
    out: str | Path,
    *,
    surface: bool = True,
    examples: int = EXAMPLES,
    grid: int = GRID,
) -> Path:
    """What pre-training was worth to the fine-tuning in `run`; see the module. The page's path.

    `run` is what `finetune`, or `glue` for one task, left with `from_scratch`. `surface` trains
    four times again, and takes the loss of `examples` training examples at `grid` x `grid`
    points of two planes. Raises DataError where `run` is no such thing, ConfigError where its
    data or its model have changed.
    """
    require_folder(out)
    run = Path(run)
    config, scores = _read(run)
    metric = scores.metrics[0]
    data: dict[str, Any] = {
        "model": config.model,
        "run": str(run),
        "task": config.task,
        "metric": metric,
        "train_examples": scores.train_examples,
        "dev_examples": scores.dev_examples,
        "curves": _curves(run, scores, metric),
        "summary": {init: spreads[metric].model_dump() for init, spreads in scores.summary.items()},
        "surfaces": {},
    }
    if surface:
        trainer = plan_again(run, config).trainer()
        data["surface_examples"] = min(examples, len(trainer.train.source))
        with _computing_with(scores.runs[0].threads):
            data["surfaces"] = _surfaces(trainer, examples, grid)
    return write_analysis(Path(out), "curve", data, shown.COLUMNS, shown.rows(data))


def _read(run: Path) -> tuple[FinetuneConfig, Scores]:
    path = run / "config.toml"
    tables = read_toml(path) if path.is_file() else {}
    if "task" not in tables:  # as in a run of pre-training
        raise DataError(
            "is no fine-tuning", where=run, mend="give the folder that bertsmith finetune left"
        )
    config = validate(FinetuneConfig, tables, path)
    if not config.from_scratch:
        raise DataError(
            "has no runs from random weights",
            where=run,
            mend="give the same finetune command with --from-scratch",
        )
    if not (run / "scores.json").is_file():
        raise DataError(
            "is not finished", where=run, mend="give the finetune command again; it goes on"
        )
    return config, read_scores(run / "scores.json")


def _curves(run: Path, scores: Scores, metric: str) -> dict[str, list[dict[str, Any]]]:
    """For each start, what became of every seed: losses by step, scores by epoch."""
    logged: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for record in read_log(run / "log.jsonl"):
        if record.get("kind") == "step":
            logged.setdefault((record["init"], record["seed"]), []).append(record)
    found: dict[str, list[dict[str, Any]]] = {init: [] for init in INITS}
    for one in scores.runs:
        steps = logged.get((one.init, one.seed), [])
        found[one.init].append(
            {
                "seed": one.seed,
                "failed": one.failed,
                "steps": [record["step"] for record in steps],
                "loss": [record["loss"] for record in steps],
                "epochs": [record["epoch"] for record in one.history],
                "scores": [record[metric] for record in one.history],
                "dev_loss": [record["dev_loss"] for record in one.history],
            }
        )
    return found


def plan_again(run: Path, config: FinetuneConfig) -> Plan:
    """The fine-tuning of `config` before its first step. Raises ConfigError where what went in
    has changed since."""
    known: dict[str, Task[Any, Any]] = {task.name: task.task for task in GLUE}
    task = known.get(config.task) or find(config.task)
    task = replace(task, settings={**task.settings, **config.settings})
    given = None if config.input.dev_is_held_out else _table(task, config, config.dev)
    train, dev = task.parted(_table(task, config, config.train), given)
    plan = make_plan(
        task,
        train,
        dev,
        Path(config.model),
        seeds=config.seeds,
        from_scratch=True,
        device=config.device,
        precision=config.precision,
        **config.protocol.model_dump(),
    )
    for name in ("train", "dev", "model"):
        key = f"{name}_sha256"
        if getattr(plan.config.input, key) != getattr(config.input, key):
            raise ConfigError(
                f"the content of {getattr(config, name)} has changed since",
                where=run,
                mend="fine-tune again, into another folder",
            )
    return plan


def _table(task: Task[Any, Any], config: FinetuneConfig, path: str) -> Labelled[Any]:
    own = config.input
    learnt = Columns(own.text_column or None, own.pair_column, own.label_column or None, own.header)
    wanted = None if own.header else Columns(header=False)
    table = task.open(Path(path), wanted, learnt, labelled=True)
    return Labelled(Path(path), table.columns, list(table.rows))


@contextmanager
def _computing_with(threads: int | None) -> Iterator[None]:
    """So many threads, as a run had that is to come out the same; None: as many as ever."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _surfaces(trainer: Trainer, examples: int, grid: int) -> dict[str, Any]:
    sequences = len(trainer.train.source) * trainer.protocol.epochs
    points = LINE + grid**2
    with Bar("training again", len(INITS) * (2 * sequences + points * examples)) as bar:
        done = 0

        def advance(count: int, note: str) -> None:
            nonlocal done
            done += count
            bar.update(done, note)

        return {init: _surface(trainer, init, examples, grid, advance) for init in INITS}


def _surface(
    trainer: Trainer, init: Init, examples: int, grid: int, advance: Callable[[int, str], None]
) -> dict[str, Any]:
    """Line and plane of one start, as curve.json has them."""
    first, second = (_end(trainer, init, order, advance) for order in (0, 1))
    model = trainer.network(init, 0)
    train, dev = trainer.prepared(init, model)
    some = some_of(train, examples, seed=0)
    with (
        trainer.task.objective(model, train) as objective,
        rows_in_use(model.encoder.embeddings, tokens_in(train, dev)),
    ):

        def loss() -> float:
            return mean_loss(model, some, objective)

        def on_place() -> None:
            advance(examples, f"{init}: the loss around it")

        start = weights_of(model)
        along = line(model, loss, start, first, LINE, on_place)
        over = plane(model, loss, start, (first, second), grid, on_place)
    return {
        "distance": distance(between(start, first)),
        "start_loss": float(np.interp(0.0, along.alphas, along.losses)),
        "end_loss": float(np.interp(1.0, along.alphas, along.losses)),
        "alphas": along.alphas.tolist(),
        "line": along.losses.tolist(),
        "x": over.x.tolist(),
        "y": over.y.tolist(),
        "plane": over.losses.tolist(),
        "points": over.points.tolist(),
    }


def _end(trainer: Trainer, init: Init, order: int, advance: Callable[[int, str], None]) -> Weights:
    """The weights, as they are while they are trained, after the last step of seed 0 from `init`
    with the order, and the dropout, of seed `order`."""
    model = trainer.network(init, 0)
    train, dev = trainer.prepared(init, model)
    protocol = trainer.protocol_of(init).model_copy(update={"patience": 0})  # to the very end
    last = protocol.steps(len(train.source))
    ends: list[Weights] = []
    seen = 0

    def on_step(step: Step[Cursor], sequences: int) -> None:
        nonlocal seen
        advance(sequences - seen, f"{init}, order {order}  loss {step.values['loss']:.3f}")
        seen = sequences
        if step.state.step == last:
            ends.append(weights_of(model))

    fit(trainer.task, model, train, dev, protocol, order, on_step, evaluations=1)
    return ends[0]
