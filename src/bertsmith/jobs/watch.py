"""One seed of a fine-tuning while it trains: bar, log, checkpoints, and the request to stop."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from bertsmith.data.loader import Cursor
from bertsmith.engine import checkpoint
from bertsmith.engine.log import Log
from bertsmith.engine.optim import Optimizer
from bertsmith.engine.train import State, Step
from bertsmith.errors import CheckpointError, ConfigError
from bertsmith.jobs.finetune_folder import RunFolder, RunKey
from bertsmith.jobs.progress import Teller
from bertsmith.jobs.signals import StopRequest
from bertsmith.schema import Config, validate
from bertsmith.tasks.fit import Keeper, Progress

LOGGED_STEPS = 100
"""Step records of a run, about."""
CHECKPOINT_SECONDS = 120.0
KEPT_CHECKPOINTS = 2


BEST = "best."
"""Before the names of the best weights so far, in a checkpoint."""


class StoppedError(Exception):
    """A signal asked to stop; what there is of the run under way is saved."""


class SavedFit(Config):
    """What a checkpoint holds beside the weights and moments."""

    step: int = Field(ge=0)
    epoch: int = Field(ge=0)
    batch: int = Field(ge=0)
    first_loss: float | None
    history: list[dict[str, Any]]
    """Whole numbers stay whole."""
    losses: list[float]
    seconds: float = Field(ge=0)


class Watch(Keeper):
    """What `fit` tells of one run, and what it takes up again."""

    def __init__(
        self,
        folder: RunFolder,
        key: RunKey,
        bar: Teller,
        stop: StopRequest,
        before: int,
        steps: int,
    ) -> None:
        """`before` are the sequences of the runs before this one, `steps` those of this run."""
        self._folder, self._key = folder, key
        self._bar, self._stop, self._before = bar, stop, before
        self._every = max(1, steps // LOGGED_STEPS)
        self._began = self._saved = time.monotonic()
        self._first: int | None = None
        self._log: Log | None = None

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()

    def load(self, optimizer: Optimizer) -> Progress | None:
        """See Keeper. Raises CheckpointError where there are checkpoints and none can be read."""
        shapes = optimizer.shapes()
        shapes |= {BEST + name: shape for name, shape in shapes.items()}
        found = checkpoint.load_latest(self._root, shapes, warn=self._bar.say)
        progress = None
        if found is not None:
            saved = self._validated(found)
            best = {key[len(BEST) :]: t for key, t in found.tensors.items() if key.startswith(BEST)}
            if best:
                optimizer.load_state(best)  # raises where it is of another model
            rest = {key: t for key, t in found.tensors.items() if not key.startswith(BEST)}
            optimizer.load_state(rest)
            state = State(Cursor(saved.epoch, saved.batch), saved.step, 0, saved.first_loss)
            progress = Progress(state, saved.history, saved.losses, saved.seconds, best or None)
            init, seed = self._key
            self._bar.say(f"{init}, seed {seed}: going on from step {saved.step:,}")
        self._folder.cut_log(progress.state.step if progress else 0)
        self._log = Log(self._folder.log)
        return progress

    def prepared(self, examples: int) -> None:
        """While the task is being prepared (`Task.prepared`). Raises StoppedError where a signal
        has asked to stop."""
        if self._stop.signal_number is not None:
            raise StoppedError
        init, seed = self._key
        self._bar.update(self._before, f"{init} seed {seed}  {examples:,} read once")

    def __call__(self, step: Step[Cursor], sequences: int) -> None:
        """After a step: show it, and log every so many."""
        if self._first is None:
            self._first, self._began = sequences, time.monotonic()
        (init, seed), loss = self._key, step.values["loss"]
        rate = (sequences - self._first) / max(time.monotonic() - self._began, 1e-9)
        note = f"{init} seed {seed}  loss {loss:.3f}  {rate:,.0f} examples/s"
        self._bar.update(self._before + sequences, note)
        if step.state.step % self._every == 0:
            self.write(
                "step",
                step=step.state.step,
                loss=loss,
                learning_rate_factor=step.learning_rate_factor,
                grad_norm=step.grad_norm,
            )

    def keep(self, optimizer: Optimizer, progress: Progress) -> None:
        """See Keeper: save every CHECKPOINT_SECONDS. Raises StoppedError, after saving, where a
        signal has asked to stop."""
        is_stopped = self._stop.signal_number is not None
        if not is_stopped and time.monotonic() - self._saved < CHECKPOINT_SECONDS:
            return
        assert self._log is not None
        self._log.sync()
        state = progress.state
        saved = SavedFit(
            step=state.step,
            epoch=state.cursor.epoch,
            batch=state.cursor.batch,
            first_loss=state.first_loss,
            history=progress.history,
            losses=progress.losses,
            seconds=progress.seconds,
        )
        best = {BEST + name: tensor for name, tensor in (progress.best or {}).items()}
        tensors, content = optimizer.state() | best, saved.model_dump(mode="json")
        checkpoint.save(self._root, state.step, tensors, content, KEPT_CHECKPOINTS)
        self._saved = time.monotonic()
        if is_stopped:
            raise StoppedError

    def end(self, history: list[dict[str, float]], result: Mapping[str, Any]) -> None:
        """Log the epochs, keep the result, and drop what the run could have been resumed from."""
        for entry in history:
            self.write("epoch", **entry)
        self._folder.save(self._key, result)
        shutil.rmtree(self._root, ignore_errors=True)

    def write(self, kind: str, **values: Any) -> None:
        """A record of this run in the log."""
        assert self._log is not None
        init, seed = self._key
        self._log.write(kind, init=init, seed=seed, **values)

    @property
    def _root(self) -> Path:
        return self._folder.path / "checkpoints"

    def _validated(self, found: checkpoint.Checkpoint) -> SavedFit:
        where = found.folder / checkpoint.STATE
        try:
            return validate(SavedFit, found.state, where)
        except ConfigError as error:
            raise CheckpointError(
                error.what, where=where, mend="delete this folder to begin the seed again"
            ) from None
