"""The runs of a fine-tuning: one after the other, or several at a time.

A batch of some texts keeps one core busy and hardly two. So on a processor each run has a thread
and a process of its own, as many as there are cores and memory for, where they take long enough to
be worth the processes' start. Either way a run has a folder of its own while it is trained:

    OUT/parts/INIT-SEED/    as OUT, see `finetune_folder`, without what is made in the end

What is in it is moved to OUT once the run is finished, by one process alone. So a run goes on from
where it was interrupted, whatever was beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from bertsmith.errors import TrainingError
from bertsmith.export.weights import WEIGHTS
from bertsmith.jobs.finetune_folder import RunFolder, RunKey
from bertsmith.jobs.finetune_plan import Plan
from bertsmith.jobs.finetune_results import run_result, save_run, told
from bertsmith.jobs.processes import bytes_of, side_by_side, usual_workers
from bertsmith.jobs.progress import Bar, Notes, Teller
from bertsmith.jobs.signals import StopRequest
from bertsmith.jobs.trainer import Trainer
from bertsmith.jobs.watch import StoppedError, Watch
from bertsmith.tasks.findings import told_of_known
from bertsmith.tasks.fit import MICRO_TOKENS

WORTH_PROCESSES = 20_000
"""Examples that all runs train on in all: some ten seconds of a small network on a core."""


class DivergedError(TrainingError):
    """A run whose loss is not finite, or has exploded: with these values it always does."""


def train_all(
    folder: RunFolder, plan: Plan, trainer: Trainer, workers: int | None, show_progress: bool
) -> int:
    """Train what is not finished, `workers` runs at a time, None: by the cores; the exit status:
    0, or 128 + the signal that stopped it. Raises as `bertsmith.jobs.finetune.finetune` does."""
    config = plan.config
    if workers is None:
        workers = _usual_workers(plan, trainer)
    folder.take_over_parts(config)
    finished = folder.finished(config)
    missing = [key for key in config.runs() if key not in finished]
    total = max(1, len(missing) * _examples(plan, trainer))
    with Bar("fine-tuning", total, show_progress) as bar:
        _announce(bar, plan, trainer, len(finished))
        if workers > 1 and missing:
            status = _at_once(folder, plan, trainer, missing, workers, bar)
        else:
            with StopRequest() as stop:
                status = _in_turn(folder, plan, trainer, missing, bar, stop)
    if status or len(folder.finished(config)) == len(config.runs()):
        return status
    # One that was repeated for its model has not been the best again, say on other threads: then
    # the model of the one that is now is missing.
    return train_all(folder, plan, trainer, workers, show_progress)


def _usual_workers(plan: Plan, trainer: Trainer) -> int:
    """Always the same number for a plan and a machine: a run's rounding depends on its threads."""
    runs = len(plan.config.runs())
    is_long = runs * _examples(plan, trainer) >= WORTH_PROCESSES
    if plan.config.device != "cpu" or plan.task.is_prepared or not is_long:
        return 1
    size = (Path(plan.config.model) / WEIGHTS).stat().st_size
    return usual_workers(runs, bytes_of(plan.source.config, size))


def _examples(plan: Plan, trainer: Trainer) -> int:
    """Of a run, each as often as it is seen; a question's options are drawn as one."""
    return len(trainer.train.source) * plan.config.protocol.epochs


def _in_turn(
    folder: RunFolder,
    plan: Plan,
    trainer: Trainer,
    keys: Sequence[RunKey],
    bar: Teller,
    stop: StopRequest,
) -> int:
    """Train the runs `keys` one after the other; the exit status."""
    for number, key in enumerate(keys):
        before = number * _examples(plan, trainer)
        status = _train(folder.part(key), plan, trainer, key, bar, stop, before)
        if status:
            return status
        folder.take_over(plan.config, key)
    return 0


def _train(
    part: RunFolder,
    plan: Plan,
    trainer: Trainer,
    key: RunKey,
    bar: Teller,
    stop: StopRequest,
    before: int = 0,
) -> int:
    """Train one run in its part; the exit status. `bar` has told of `before` examples."""
    (init, seed), config = key, plan.config
    part.begin()
    steps = config.protocol.steps(len(trainer.train.source))
    watch = Watch(part, key, bar, stop, before, steps)
    with closing(watch):
        try:
            fitted = trainer.fit(init, seed, watch, on_example=watch.prepared, keeper=watch)
        except StoppedError:
            return stop.exit_status
        except TrainingError as error:
            raise DivergedError(
                error.what,
                where=f"{init}, seed {seed}",
                mend=f"lower --lr, now {config.protocol.lr:g}, and give another --out",
            ) from None
        except torch.OutOfMemoryError:
            raise TrainingError(
                f"no memory to train on {MICRO_TOKENS:,} tokens at once",
                where=str(trainer.hardware.device),
                mend="free some and give the command again, or --device cpu and another --out",
            ) from None
        task = trainer.decided(fitted)
        result = {
            "init": init,
            "seed": seed,
            "threads": torch.get_num_threads(),
            **run_result(task, fitted, trainer),
        }
        if init == "pretrained":
            save_run(part, task, fitted, result, config, plan.tokenizer, trainer)
        watch.end(fitted.history, result)
    for line in told(result):
        bar.say(f"{init}, seed {seed}: {line}")
    return 0


@dataclass(frozen=True)
class Part:
    """What a process tells of its run."""

    exit_status: int
    said: tuple[str, ...]


def _at_once(
    folder: RunFolder,
    plan: Plan,
    trainer: Trainer,
    keys: Sequence[RunKey],
    workers: int,
    bar: Bar,
) -> int:
    """Train the runs `keys`, `workers` at a time; the exit status."""
    examples = _examples(plan, trainer)
    steps = plan.config.protocol.steps(len(trainer.train.source))
    left = dict.fromkeys(keys)

    def ended(key: RunKey, part: Part) -> int:
        for line in part.said:
            bar.say(line)
        if not part.exit_status:
            folder.take_over(plan.config, key)
            del left[key]
        return part.exit_status

    def show() -> None:
        done = [folder.part(key).last_step() / steps for key in left]
        count = sum(0 < share < 1 for share in done)
        bar.update((len(keys) - len(left) + sum(done)) * examples, f"{count} runs at a time")

    return side_by_side(partial(_run_part, plan, folder), keys, workers, 1, ended, show)


def _run_part(plan: Plan, folder: RunFolder, key: RunKey) -> Part:
    """One run in a process of its own."""
    notes = Notes()
    with StopRequest() as stop:
        status = _train(folder.part(key), plan, plan.trainer(), key, notes, stop)
    return Part(status, tuple(notes.said))


def _announce(bar: Bar, plan: Plan, trainer: Trainer, finished: int) -> None:
    """One line each on what is read, how it is trained, and what is already there."""
    config, unit = plan.config, trainer.task.unit
    protocol = config.protocol
    train, dev = len(trainer.train.is_truncated), len(trainer.dev.is_truncated)
    first, *notes = plan.described.splitlines()
    for line in (f"{train:,} training and {dev:,} dev {unit} {first}", *notes):
        bar.say(line)
    for line in told_of_known(trainer.dev_in_train, dev, unit):
        bar.say(f"{line} `bertsmith check data` lists them")
    if trainer.held is not None:
        count = len(trainer.held.is_truncated)
        bar.say(f"{count:,} further training {unit} are held out, to choose the threshold on")
    shortened = sum(trainer.truncated.values())
    if shortened:
        what = trainer.task.shortening(protocol.max_length)
        bar.say(f"{shortened:,} {unit} are shortened {what}")
    most = "at most " if protocol.patience else ""
    bar.say(
        f"{len(config.runs())} runs of {most}{protocol.epochs} epochs, {protocol.batch_size} "
        f"{unit} a step, peak rate {protocol.lr:g}, in {config.precision}: "
        f"{trainer.hardware.reason}"
    )
    if finished:
        bar.say(f"{finished} of {len(config.runs())} runs are finished already")
