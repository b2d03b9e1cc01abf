"""Fine-tuning: labelled texts and a pre-trained model in, a task's model and its proof out.

The proof is the same network trained in the same way from random weights (`from_scratch`):
same seeds, same order of the examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertsmith.engine.distributed import require_alone
from bertsmith.engine.precision import Hardware, choose_hardware
from bertsmith.errors import ConfigError, TrainingError
from bertsmith.export.huggingface import ModelFolder, load_tokenizer, read_model
from bertsmith.export.vocabulary import with_new_rows
from bertsmith.export.weights import WEIGHTS
from bertsmith.jobs.finetune_folder import FinetuneConfig, InputConfig, RunFolder, best_run
from bertsmith.jobs.finetune_results import conclude, run_result, save_best, told
from bertsmith.jobs.progress import Bar
from bertsmith.jobs.signals import StopRequest
from bertsmith.jobs.trainer import Trainer
from bertsmith.jobs.watch import StoppedError, Watch
from bertsmith.tasks.base import Encoded, Task
from bertsmith.tasks.find import find
from bertsmith.tasks.protocol import choose_protocol
from bertsmith.tasks.tables import Columns, Labelled
from bertsmith.tasks.thresholds import hold_out
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
    dev: str | Path | None,
    model: str | Path,
    out: str | Path,
    *,
    columns: Columns | None = None,
    seeds: int | None = None,
    from_scratch: bool = False,
    device: str = "auto",
    precision: str = "auto",
    show_progress: bool = True,
    **protocol: Any,
) -> FinetuneResult:
    """Train a model with several seeds, or go on with those that are not finished.

    A seed that was interrupted goes on from its last checkpoint, to the bit; SIGTERM and Ctrl-C
    leave one at the step that they come in.

    `task` is one of `bertsmith.tasks.find`, such as "classify", or its name; `train` and `dev`
    are labelled files, tables where its rows are texts (see `bertsmith.tasks.tables`), `dev`
    None for a task that makes one of its own, and `model` a model folder. `seeds` is their
    number: three below FEW_EXAMPLES training examples, else one. `from_scratch` adds the same
    runs from random weights. `protocol` are fields of `Protocol`. Leaves the run folder that
    `bertsmith.jobs.finetune_folder` describes.

    Raises DataError for what is wrong with the tables, ModelError for the model, ConfigError
    for a value, where `out` holds something else or under torchrun, TrainingError where a loss
    is not finite.
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
    show_progress: bool = True,
    **protocol: Any,
) -> FinetuneResult:
    """As `finetune`, from tables that are read already.

    `also` are further labelled tables that each finished run is scored on; its result has
    their metrics under "also".
    """
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
    folder = RunFolder(out, plan.task)
    folder.settle(plan.config)
    config, trainer = plan.config, plan.trainer()
    exit_status = _run_all(folder, config, trainer, plan.tokenizer, plan.described, show_progress)
    if exit_status:
        return FinetuneResult(plan.task, folder.path, False, {}, exit_status)
    return FinetuneResult(plan.task, folder.path, True, conclude(folder, config, trainer), 0)


@dataclass(frozen=True)
class Plan:
    """A fine-tuning that is read and checked, of which nothing is written or encoded yet."""

    task: Task[Any, Any]
    """As the training rows and the protocol have it."""
    config: FinetuneConfig
    source: ModelFolder
    tokenizer: Tokenizer
    hardware: Hardware
    tables: Mapping[str, Labelled[Any]]
    """"train", "dev" and further ones."""
    truths: Mapping[str, Sequence[Any]]
    """Of each table's rows."""
    learnt: Sequence[int]
    """The training rows that are learnt from ..."""
    held: Sequence[int]
    """... and those held out of that."""

    @property
    def described(self) -> str:
        """The training rows in words, further lines being notes on them."""
        train = self.tables["train"]
        return "\n".join([self.task.described(train, self.config.labels), *train.notes])

    def trainer(self) -> Trainer:
        """With everything encoded."""
        sets = {
            name: self._encoded(name, range(len(table.rows)))
            for name, table in self.tables.items()
            if name != "train"
        }
        return Trainer(
            self.task,
            self.source,
            self.hardware,
            self.config.protocol,
            len(self.config.labels),
            self._encoded("train", self.learnt),
            sets.pop("dev"),
            sets,
            self._encoded("train", self.held) if self.held else None,
        )

    def _encoded(self, name: str, places: Sequence[int]) -> Encoded:
        rows, truths = self.tables[name].rows, self.truths[name]
        data: Encoded = self.task.encode(
            [rows[place] for place in places],
            self.tokenizer,
            self.config.protocol.max_length,
            [truths[place] for place in places],
        )
        return data


def make_plan(
    task: Task[Any, Any],
    train: Labelled[Any],
    dev: Labelled[Any],
    model: Path,
    *,
    also: Mapping[str, Labelled[Any]] | None = None,
    seeds: int | None = None,
    from_scratch: bool = False,
    device: str = "auto",
    precision: str = "auto",
    **protocol: Any,
) -> Plan:
    """Everything that `finetune_on` checks, and what it chooses. Raises as it does."""
    if seeds is not None and seeds < 1:
        raise ConfigError(f"{seeds} seeds are none", where="seeds", mend="give 1 or more")
    train, others = task.for_training(train), also or {}
    task = task.suited(train)
    for table in (dev, *others.values()):
        task.require_alike(table, train)
    labels = task.output_names(train)
    tables = {"train": train, "dev": dev, **others}
    truths = {name: task.truths(table, labels, str(train.path)) for name, table in tables.items()}
    source = read_model(model)
    task, tokenizer = task.reading(load_tokenizer(source))
    if tokenizer.vocab_size > source.config.vocab_size:
        source = with_new_rows(source, tokenizer.vocab_size)
    hardware = choose_hardware(device, precision)
    chosen = choose_protocol(source.config, len(train.rows), task.usual, **protocol)
    task = task.for_protocol(chosen, labels, truths["train"])
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
    learnt, held = hold_out(len(train.rows), chosen.threshold_share)
    _require_different(truths["train"], held, task.unit)
    return Plan(task, config, source, tokenizer, hardware, tables, truths, learnt, held)


def _require_different(truths: Sequence[Any], held: Sequence[int], unit: str) -> None:
    """Raise ConfigError where nothing can be chosen on the rows that are held out."""
    if held and len({str(truths[place]) for place in held}) == 1:
        raise ConfigError(
            f"all of the {len(held)} {unit} that are held out have the same label",
            where="threshold_share",
            mend="raise it",
        )


def _run_all(
    folder: RunFolder,
    config: FinetuneConfig,
    trainer: Trainer,
    tokenizer: Tokenizer,
    described: str,
    show_progress: bool,
) -> int:
    """Train what is not finished; the exit status: 0, or 128 + the signal that stopped it."""
    finished = folder.finished(config)
    before = len(finished)
    missing = [key for key in config.runs() if key not in finished]
    sequences = len(trainer.train.examples) * config.protocol.epochs
    with (
        Bar("fine-tuning", max(1, len(missing) * sequences), show_progress) as bar,
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
                task = trainer.decided(fitted)
                result = {"init": init, "seed": seed, **run_result(task, fitted, trainer)}
                finished[init, seed] = result
                so_far = [finished[key] for key in config.runs() if key in finished]
                if best_run(trainer.task, so_far) is result:
                    save_best(folder, task, fitted, result, config, tokenizer, trainer)
                watch.end(fitted.history, result)
            for line in told(result):
                bar.say(f"{init}, seed {seed}: {line}")
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
    if trainer.held is not None:
        count = len(trainer.held.is_truncated)
        bar.say(f"{count:,} further training {unit} are held out, to choose the threshold on")
    shortened = sum(trainer.truncated.values())
    if shortened:
        bar.say(f"{shortened:,} {unit} are shortened to {protocol.max_length} tokens")
    most = "at most " if protocol.patience else ""
    bar.say(
        f"{len(config.runs())} runs of {most}{protocol.epochs} epochs, {protocol.batch_size} "
        f"{unit} a step, peak rate {protocol.lr:g}, in {config.precision}: "
        f"{trainer.hardware.reason}"
    )
    if finished:
        bar.say(f"{finished} of {len(config.runs())} runs are finished already")
