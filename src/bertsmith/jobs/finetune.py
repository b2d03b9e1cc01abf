"""Fine-tuning: labelled texts and a pre-trained model in, a task's model and its proof out.

The proof is the same network trained in the same way from random weights (`from_scratch`):
same seeds, same order of the examples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, TrainingError
from bertsmith.export.configs import PROBLEM_TYPES
from bertsmith.export.huggingface import (
    architecture_of,
    load_tokenizer,
    read_model,
    save_model,
)
from bertsmith.export.model_card import model_card
from bertsmith.export.weights import WEIGHTS
from bertsmith.files import write_text_atomically
from bertsmith.jobs.finetune_folder import (
    FinetuneConfig,
    InputConfig,
    RunFolder,
    best_run,
    readme,
    summarise,
)
from bertsmith.jobs.progress import Bar
from bertsmith.jobs.signals import StopRequest
from bertsmith.jobs.trainer import Trainer
from bertsmith.jobs.watch import StoppedError, Watch
from bertsmith.report.finetune import write_finetune_report
from bertsmith.tasks.base import Encoded, Task
from bertsmith.tasks.find import find
from bertsmith.tasks.fit import FitResult, evaluate
from bertsmith.tasks.metrics import METRIC_NAMES
from bertsmith.tasks.protocol import choose_protocol
from bertsmith.tasks.tables import Columns, Labelled
from bertsmith.text.lines import file_sha256
from bertsmith.text.tokenizer import Tokenizer

FEW_EXAMPLES = 10_000
"""Below this many training examples the seed matters, so three are taken."""


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
    dev: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    columns: Columns | None = None,
    seeds: int | None = None,
    from_scratch: bool = False,
    device: str = "auto",
    precision: str = "auto",
    **protocol: float | None,
) -> FinetuneResult:
    """Train a model with several seeds, or go on with those that are not finished.

    A seed that was interrupted goes on from its last checkpoint, to the bit; SIGTERM and Ctrl-C
    leave one at the step that they come in.

    `task` is one of `bertsmith.tasks.find`, such as "classify", or its name; `train` and `dev`
    are labelled files, tables where its rows are texts (see `bertsmith.tasks.tables`), `model`
    a model folder. `seeds` is their number: three below
    FEW_EXAMPLES training examples, else one. `from_scratch` adds the same runs from random
    weights. `protocol` are fields of `Protocol`. Leaves the run folder that
    `bertsmith.jobs.finetune_folder` describes.

    Raises DataError for what is wrong with the tables, ModelError for the model, ConfigError
    for a value or where `out` holds something else, TrainingError where a loss is not finite.
    """
    found = find(task) if isinstance(task, str) else task
    return finetune_on(
        found,
        found.read(Path(train), columns),
        found.read(Path(dev), columns),
        model=Path(model),
        out=Path(out),
        also=None,
        seeds=seeds,
        from_scratch=from_scratch,
        device=device,
        precision=precision,
        **protocol,
    )


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
    **protocol: float | None,
) -> FinetuneResult:
    """As `finetune`, from tables that are read already.

    `also` are further labelled tables that each finished run is scored on; its result has
    their metrics under "also".
    """
    if seeds is not None and seeds < 1:
        raise ConfigError(f"{seeds} seeds are none", where="seeds", mend="give 1 or more")
    others = also or {}
    train = task.for_training(train)
    task = task.suited(train)
    for table in (dev, *others.values()):
        task.require_alike(table, train)
    labels = task.output_names(train)
    truths = {
        table.path: task.truths(table, labels, str(train.path))
        for table in (train, dev, *others.values())
    }
    source = read_model(model)
    tokenizer = load_tokenizer(source)
    hardware = choose_hardware(device, precision)
    chosen = choose_protocol(source.config, len(train.rows), task.usual, **protocol)
    config = FinetuneConfig(
        task=task.name,
        train=str(train.path),
        dev=str(dev.path),
        model=str(model),
        seeds=seeds or (3 if len(train.rows) < FEW_EXAMPLES else 1),
        from_scratch=from_scratch,
        device=hardware.device.type,
        precision=hardware.precision,
        labels=tuple(labels),
        settings=dict(task.settings),
        input=InputConfig(
            text_column=train.columns.text or "",
            pair_column=train.columns.pair,
            label_column=train.columns.label or "",
            header=train.columns.header,
            train_sha256=file_sha256(train.path),
            dev_sha256=file_sha256(dev.path),
            model_sha256=file_sha256(model / WEIGHTS),
            also_sha256={name: file_sha256(table.path) for name, table in others.items()},
        ),
        protocol=chosen,
    )
    folder = RunFolder(out, task)
    folder.settle(config)

    def encoded(table: Labelled[Any]) -> Encoded:
        data: Encoded = task.encode(table.rows, tokenizer, chosen.max_length, truths[table.path])
        return data

    trainer = Trainer(
        task,
        source,
        hardware,
        chosen,
        len(labels),
        encoded(train),
        encoded(dev),
        {name: encoded(table) for name, table in others.items()},
    )
    described = "\n".join([task.described(train, labels), *train.notes])
    exit_status = _run_all(folder, config, trainer, tokenizer, described)
    if exit_status:
        return FinetuneResult(task, folder.path, False, {}, exit_status)
    return FinetuneResult(task, folder.path, True, _conclude(folder, config, trainer), 0)


def _run_all(
    folder: RunFolder,
    config: FinetuneConfig,
    trainer: Trainer,
    tokenizer: Tokenizer,
    described: str,
) -> int:
    """Train what is not finished; the exit status: 0, or 128 + the signal that stopped it."""
    finished = folder.finished(config)
    before = len(finished)
    missing = [key for key in config.runs() if key not in finished]
    sequences = len(trainer.train.examples) * config.protocol.epochs
    with (
        Bar("fine-tuning", max(1, len(missing) * sequences)) as bar,
        StopRequest() as stop,
    ):
        _announce(bar, config, trainer, described, before)
        for number, (init, seed) in enumerate(missing):
            steps = config.protocol.steps(len(trainer.train.examples))
            watch = Watch(folder, (init, seed), finished, bar, stop, number * sequences, steps)
            with closing(watch):
                try:
                    fitted = trainer.fit(init, seed, watch, on_example=watch.prepared, keeper=watch)
                except StoppedError:
                    return stop.exit_status
                except TrainingError as error:
                    raise TrainingError(
                        error.what,
                        where=f"{init}, seed {seed}",
                        mend=f"lower --lr, now {config.protocol.lr:g}, and give another --out",
                    ) from None
                result = {"init": init, "seed": seed, **fitted.summary()}
                if trainer.also:
                    result["also"] = {
                        name: asdict(evaluate(trainer.task, fitted.model, encoded))
                        for name, encoded in trainer.also.items()
                    }
                finished[init, seed] = result
                so_far = [finished[key] for key in config.runs() if key in finished]
                if best_run(trainer.task, so_far) is result:
                    _save_model(folder, fitted, config, tokenizer, trainer)
                watch.end(fitted.history, result)
            if fitted.failed:
                bar.say(f"{init}, seed {seed}: failed, it gives one answer to everything")
    return 0


def _announce(
    bar: Bar, config: FinetuneConfig, trainer: Trainer, described: str, finished: int
) -> None:
    """One line each on what is read, how it is trained, and what is already there."""
    protocol, unit = config.protocol, trainer.task.unit
    train, dev = len(trainer.train.is_truncated), len(trainer.dev.is_truncated)
    first, *notes = described.splitlines()
    for line in (f"{train:,} training and {dev:,} dev {unit} {first}", *notes):
        bar.say(line)
    shortened = sum(trainer.truncated.values())
    if shortened:
        bar.say(f"{shortened:,} {unit} are shortened to {protocol.max_length} tokens")
    bar.say(
        f"{len(config.runs())} runs of {protocol.epochs} epochs, {protocol.batch_size} {unit} a "
        f"step, peak rate {protocol.lr:g}, in {config.precision}: {trainer.hardware.reason}"
    )
    if finished:
        bar.say(f"{finished} of {len(config.runs())} runs are finished already")


def _save_model(
    folder: RunFolder,
    fitted: FitResult,
    config: FinetuneConfig,
    tokenizer: Tokenizer,
    trainer: Trainer,
) -> None:
    task = trainer.task.tuned(fitted.metrics)
    for name, text in task.files(fitted.model, trainer.dev, fitted.outputs).items():
        write_text_atomically(folder.path / name, text)
    card = model_card(
        folder.path.name,
        architecture=architecture_of(fitted.model)[1],
        summary=f"A {task.product}, fine-tuned from `{Path(config.model).name}`.",
        data=f"`{Path(config.train).name}`; scored on `{Path(config.dev).name}`.",
        training=config.protocol.model_dump(),
        scores={
            METRIC_NAMES[name]: f"{getattr(fitted.metrics, name):.3f}" for name in task.metrics
        },
        labels=config.labels,
    )
    save_model(
        folder.model,
        fitted.model,
        tokenizer,
        labels=config.labels,
        problem_type=task.problem_type or PROBLEM_TYPES[0],
        card=card,
        extra_config={
            **({} if task.problem_type else {"task": task.name, "settings": dict(task.settings)}),
            "max_length": config.protocol.max_length,
            "text_column": config.input.text_column,
            "pair_column": config.input.pair_column,
            "label_column": config.input.label_column,
        },
    )


def _conclude(folder: RunFolder, config: FinetuneConfig, trainer: Trainer) -> dict[str, Any]:
    """scores.json, report.html and README.md out of the finished runs."""
    finished = folder.finished(config)
    runs = [finished[key] for key in config.runs()]
    scores = {
        "task": config.task,
        "unit": trainer.task.unit,
        "method": trainer.task.method,
        "labels": list(config.labels),
        "train_examples": len(trainer.train.is_truncated),
        "dev_examples": len(trainer.dev.is_truncated),
        "truncated": trainer.truncated,
        "model": config.model,
        "protocol": config.protocol.model_dump(),
        "runs": runs,
        "summary": summarise(runs, trainer.task.metrics),
    }
    write_text_atomically(folder.path / "scores.json", json.dumps(scores, indent=1) + "\n")
    write_text_atomically(folder.path / "README.md", readme(trainer.task, config, scores))
    write_finetune_report(folder.path)
    return scores
