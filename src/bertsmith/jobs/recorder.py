"""What a pre-training run writes down while it runs: bar, log, evaluations, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from statistics import fmean

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from bertsmith.data.loader import Cursor
from bertsmith.engine import checkpoint
from bertsmith.engine.health import Looks, StuckDetector
from bertsmith.engine.log import Log, cut_log
from bertsmith.engine.optim import Optimizer
from bertsmith.engine.train import DivergenceError, State, Step, listed
from bertsmith.errors import CheckpointError, ConfigError, TrainingError
from bertsmith.export.sentences import is_sentence_folder
from bertsmith.jobs.fill import fill_mask
from bertsmith.jobs.progress import Bar
from bertsmith.jobs.samples import Sample
from bertsmith.jobs.setup import Setup, evaluate
from bertsmith.jobs.source import Taken, shown_name, take_weights
from bertsmith.nn.models import MaskedLM, count_parameters, masked_lm_of
from bertsmith.schema import Config, validate
from bertsmith.types import Batch

RECORDS = 1000
"""Step records of a whole run, about; each is the mean over the steps since the last."""
TOP = 5
"""Predictions kept for each mask of a sample."""
WINDOW = 20
"""Steps that the bar's rate is measured over; more than an explosion takes to be told."""


class StepNumbers(Config):
    """What the log tells of one step; see `engine.train.Step`."""

    values: dict[str, float]
    tokens: int
    seconds: float
    grad_norm: float
    learning_rate_factor: float


class SavedState(Config):
    """What a checkpoint holds beside the weights and moments."""

    step: int = Field(ge=0)
    tokens: int = Field(ge=0)
    cursor: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    """Epoch, batch and phase of the next step."""
    corpus: str
    """Its fingerprint."""
    elapsed_s: float = Field(ge=0)
    evaluation: dict[str, float]
    """The last held-out losses and accuracies."""
    first_loss: float | None
    """See `engine.train.State`."""
    unlogged: list[StepNumbers] = Field(default_factory=list)
    """The steps since the log's last record of steps, so that the next one is of them, too."""
    looks: Looks = Looks()
    """Whether the loss stands still; see `engine.health.StuckDetector`."""


class Recorder:
    """The open bar and log of one run, and when it last saved.

    Where several processes train together, each has one, and only the first one's speaks, reads
    and writes.
    """

    def __init__(self, setup: Setup, out: Path, samples: Sequence[Sample]) -> None:
        self.evaluation: dict[str, float] = {}
        self._group = setup.group
        self._setup, self._out, self._samples = setup, out, samples
        self._phase, self._heldout = 0, list[Batch]()
        self._detector = StuckDetector(setup.corpus.unigram_entropy, setup.config.optim.warmup)
        self._bar = Bar("pre-training", 1.0, shown=setup.group.leads)
        self._log: Log | None = None
        self._elapsed_before = 0.0  # seconds, of the stretches before this one
        self._began = self._saved = time.monotonic()
        self._recent: list[Step[Cursor]] = []
        self._unlogged: list[StepNumbers] = []
        self._first_cursor = Cursor()  # of the first step of this stretch
        self._is_sound = True

    def close(self) -> None:
        """Close the bar and the log."""
        self._bar.close()
        if self._log is not None:
            self._log.close()

    def resume(self, model: nn.Module, optimizer: Optimizer) -> State[Cursor]:
        """The state to go on from; `optimizer` and its model take back their weights, or, at the
        beginning of a run that goes on from a model, take that one's.

        Raises CheckpointError where the checkpoint is of another corpus or model, or where
        there are some and none can be read.
        """
        state = State(Cursor())
        found = self._load(optimizer.shapes())
        if found is not None:
            tensors, saved = found
            optimizer.load_state(tensors)
            self._elapsed_before, self.evaluation = saved.elapsed_s, saved.evaluation
            self._unlogged, self._detector.looks = saved.unlogged, saved.looks
            state = State(Cursor(*saved.cursor), saved.step, saved.tokens, saved.first_loss)
            self._first_cursor = state.cursor
            self._bar.say(f"going on from step {state.step:,}, {state.tokens:,} tokens")
        source = self._setup.config.source if found is None else None
        taken = None
        if source is not None:
            weights: dict[str, Tensor] = {}
            if self._group.leads:
                weights, taken = take_weights(self._setup.recipe, self._setup.config)
                weights = {f"weights.{name}": weight for name, weight in weights.items()}
            optimizer.load_state(self._group.hand_out(weights, optimizer.shapes()))
            self._bar.say(f"from {shown_name(source.model)}: {taken}")
            if is_sentence_folder(Path(source.model)):
                self._bar.say(
                    "not taken: the steps after its last layer that sentence-transformers do "
                    "(modules.json); the new model has none"
                )
        self._phase = state.cursor.phase
        self._heldout = self._setup.heldout_batches(self._phase)
        is_evaluated = False
        if self._group.leads:
            # Without a checkpoint nothing that it tells is of this beginning: the corpus, say.
            kept = cut_log(self._out / "log.jsonl", -1 if found is None else state.step)
            is_evaluated = any(record.get("kind") == "eval" for record in kept)
            self._log = Log(self._out / "log.jsonl")
            if not any(record["kind"] == "run" for record in kept):
                self._describe(count_parameters(model), taken)
        if source is not None:
            self.checkpoint(optimizer, state)  # from here on the source may be gone
        if self._setup.config.source is not None and state.step == 0:
            (is_told,) = self._group.largest(is_evaluated)
            if not is_told:
                self.evaluate(model, state)
        return state

    def _load(
        self, shapes: Mapping[str, torch.Size]
    ) -> tuple[Mapping[str, Tensor], SavedState] | None:
        """The newest checkpoint, which the first process reads and hands out."""
        tensors: Mapping[str, Tensor] = {}
        said = ""
        if self._group.leads:
            found = checkpoint.load_latest(self._out / "checkpoints", shapes, warn=self._bar.say)
            if found is not None:
                tensors, said = found.tensors, self._saved_state(found).model_dump_json()
        said = self._group.tell(said)
        if not said:
            return None
        return self._group.hand_out(tensors, shapes), SavedState.model_validate_json(said)

    def _saved_state(self, found: checkpoint.Checkpoint) -> SavedState:
        where = found.folder / checkpoint.STATE
        try:
            saved = validate(SavedState, found.state, where)
        except ConfigError as error:
            raise CheckpointError(
                error.what, where=where, mend="use the version that the run was begun with"
            ) from None
        if saved.corpus != self._setup.corpus.fingerprint:
            raise CheckpointError(
                "this run was begun on another corpus",
                where=self._out,
                mend="give the corpus that it was begun on, or another --out",
            )
        return saved

    def step(self, step: Step[Cursor]) -> None:
        """Show the step, log it with its neighbours, and warn where the loss is stuck."""
        self._recent = [*self._recent[-WINDOW + 1 :], step]
        self._unlogged.append(
            StepNumbers(
                values=dict(step.values),
                tokens=step.tokens,
                seconds=step.seconds,
                grad_norm=step.grad_norm,
                learning_rate_factor=step.learning_rate_factor,
            )
        )
        self._is_sound = step.is_sound
        progress = self._setup.length.progress(step.state)
        self._bar.update(progress, self._note())
        mlm_loss = step.values.get("mlm_loss")
        warning = None if mlm_loss is None else self._detector.update(mlm_loss, progress)
        if warning is not None:
            self._bar.say(f"warning: {warning}")
            self._write("warning", step.state, message=warning)
        # Where all words were dropped, as word2vec does with frequent ones, nothing is over yet.
        expected = step.state.step / progress if progress else 0.0
        if step.state.step % max(1, round(expected / RECORDS)) == 0:
            self._log_steps(step.state)
        if step.state.cursor.phase != self._phase:
            self._enter_phase(step.state)

    def evaluate(self, model: nn.Module, state: State[Cursor]) -> None:
        """Log the held-out losses, and what a model that fills masks fills in now."""
        self.evaluation = evaluate(model, self._setup, self._heldout)
        if not all(map(math.isfinite, self.evaluation.values())):
            raise TrainingError(
                f"the held-out loss is not finite at step {state.step:,}",
                where=self._out,
                mend="begin again in another --out with a lower optim.lr",
            )
        self._log_steps(state)  # first: a reader takes a step at or before the last for a repeat
        self._write("eval", state, **self.evaluation)
        filler = masked_lm_of(model)
        if filler is not None:
            self._fill(filler, state)

    def _enter_phase(self, state: State[Cursor]) -> None:
        """From now on segments have another length, those for evaluation too."""
        self._phase = state.cursor.phase
        self._heldout = self._setup.heldout_batches(self._phase)
        max_length = self._setup.config.data.phases[self._phase].max_length
        self._write("phase", state, max_length=max_length)
        self._bar.say(f"from step {state.step + 1:,} on: segments of up to {max_length} tokens")

    def _fill(self, model: MaskedLM, state: State[Cursor]) -> None:
        filled = [
            {
                "text": sample.text,
                "answers": list(sample.answers),
                "predictions": fill_mask(model, self._setup.tokenizer, sample.text, TOP),
            }
            for sample in self._samples
        ]
        self._write("fill", state, samples=filled)

    @property
    def is_due(self) -> bool:
        """Whether the last save is long enough ago; and not in the midst of a jump of the loss,
        which may be the beginning of the end."""
        seconds = 60.0 * self._setup.config.log.checkpoint_minutes
        return self._is_sound and time.monotonic() - self._saved >= seconds

    def checkpoint(self, optimizer: Optimizer, state: State[Cursor]) -> None:
        """Save the run as it is after a step."""
        tensors = optimizer.state()
        self._saved = time.monotonic()
        if self._log is None:
            return
        self._log.sync()
        checkpoint.save(
            self._out / "checkpoints",
            state.step,
            tensors,
            SavedState(
                step=state.step,
                tokens=state.tokens,
                cursor=astuple(state.cursor),
                corpus=self._setup.corpus.fingerprint,
                elapsed_s=self._elapsed(),
                evaluation=self.evaluation,
                first_loss=state.first_loss,
                unlogged=self._unlogged,
                looks=self._detector.looks,
            ).model_dump(mode="json"),
            self._setup.config.log.keep_checkpoints,
        )
        self._saved = time.monotonic()

    def end(self, state: State[Cursor], reason: str) -> None:
        """Log how the run, or this stretch of it, ended."""
        self._log_steps(state)
        self._write("end", state, elapsed_s=self._elapsed(), reason=reason)

    def diverged(self, error: DivergenceError) -> TrainingError:
        """Log the step and the data of `error`, drop checkpoints of weights that were ruined
        already, and return the error for the user.
        """
        folder, cursor = self._out / "checkpoints", self._cursor_of(error.step)
        epoch = cursor.epoch
        documents = self._setup.sources[cursor.phase].documents(epoch, error.indices)
        good = None
        if self._log is not None:
            if self._recent:
                self._log_steps(self._recent[-1].state)
            self._log.write(
                "end",
                step=error.step,
                reason="diverged",
                message=error.what,
                epoch=epoch,
                examples=error.indices,
                documents=documents,
                elapsed_s=self._elapsed(),
            )
            checkpoint.drop_from(folder, error.sound_step + 1)
            good = checkpoint.newest_step(folder)
        left = "no checkpoint is good" if good is None else f"checkpoint {good:,} is good"
        left = self._group.tell(left)
        return TrainingError(
            f"{error.what} of epoch {epoch} (documents {listed(documents)})",
            where=self._out,
            mend=f"begin again in another --out with a lower optim.lr or a longer optim.warmup; "
            f"{left}, and log.jsonl has the whole list",
        )

    def _cursor_of(self, step: int) -> Cursor:
        """Where the batch of `step` came from: of the last ones, or of the first."""
        after = {recent.state.step: recent.state.cursor for recent in self._recent}
        return after.get(step - 1, self._first_cursor)

    def _describe(self, parameters: int, taken: Taken | None) -> None:
        setup, budget, source = self._setup, self._setup.config.budget, self._setup.config.source
        assert self._log is not None
        self._log.write(
            "run",
            recipe=setup.config.recipe,
            source=source
            and {
                "name": shown_name(source.model),
                **source.model_dump(),
                "weights": taken and str(taken),
            },
            parameters=parameters,
            unigram_entropy=setup.corpus.unigram_entropy,
            device=str(setup.hardware.device),
            precision=setup.hardware.precision,
            precision_reason=setup.hardware.reason,
            total_tokens=budget.tokens,
            total_steps=budget.steps,
            corpus={
                "tokens": setup.corpus.num_tokens,
                "documents": setup.corpus.num_documents,
                "fingerprint": setup.corpus.fingerprint,
            },
        )

    def _log_steps(self, state: State[Cursor]) -> None:
        """One record for the steps since the last one: means of losses, the latest rates."""
        if not self._unlogged:
            return
        steps, self._unlogged = self._unlogged, []
        self._write(
            "step",
            state,
            **self._means(steps),
            learning_rate=self._setup.config.optim.lr * steps[-1].learning_rate_factor,
            grad_norm=fmean(step.grad_norm for step in steps),
            tokens_per_second=_rate(steps),
            elapsed_s=self._elapsed(),
        )

    def _write(self, kind: str, state: State[Cursor], **values: object) -> None:
        if self._log is not None:
            self._log.write(kind, step=state.step, tokens=state.tokens, **values)

    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._began

    def _means(self, steps: Sequence[Step[Cursor] | StepNumbers]) -> Mapping[str, float]:
        means = {name: fmean(step.values[name] for step in steps) for name in steps[0].values}
        return self._setup.recipe.scores(means)

    def _note(self) -> str:
        means = self._means(self._recent)
        parts = [f"loss {means['loss']:.2f}"]
        for name, value in means.items():
            task, is_accuracy, _ = name.partition("_accuracy")
            if is_accuracy:
                parts.append(f"{task.upper()} {100 * value:.0f} %")
        return f"{' '.join(parts)} {_rate(self._recent):,.0f} tokens/s"


def _rate(steps: Sequence[Step[Cursor] | StepNumbers]) -> float:
    return sum(step.tokens for step in steps) / sum(step.seconds for step in steps)
