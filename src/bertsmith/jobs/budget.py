"""How long a run is: settled once, written down, the same ever after."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from bertsmith.config import EVAL_SHARE, RunConfig, resolve
from bertsmith.data.loader import Cursor
from bertsmith.engine import checkpoint
from bertsmith.engine.distributed import Group
from bertsmith.engine.optim import Optimizer, make_schedule
from bertsmith.engine.train import Length, State, train
from bertsmith.errors import ConfigError
from bertsmith.files import is_free, temporary_folder, write_text_atomically
from bertsmith.jobs.setup import Setup, begin
from bertsmith.schema import read_toml, validate

CALIBRATION_SECONDS = 8.0
WARM_STEPS, FEWEST_STEPS = 2, 5
LEAST_SHARE = 0.5
"""Of the time, what training has at least, and again of that beside the evaluations."""
BUSY = 0.25
"""The share of its time that training waits for a processor from which on others are in its way. On
a free machine it is 0.02 to 0.13, the most where the run's own loader is what it waits for, and
beside one more program for each processor 0.5."""


@dataclass(frozen=True)
class Calibration:
    """What a run's minutes are worth."""

    rate: float
    """Tokens/s of training."""
    tokens: int
    """Of the whole run, evaluations and checkpoints being paid for."""
    waited: float
    """The share of its time that the training thread waited for a processor."""

    def header(self, minutes: float) -> str:
        """A comment for the run's config."""
        return f"# {minutes:g} minutes at {self.rate:,.0f} tokens/s, less what is no training\n"

    @property
    def warning(self) -> str | None:
        """A line where the rate is that of a machine with something else to do."""
        if self.waited < BUSY:
            return None
        return (
            f"warning: the machine is busy: while {self.rate:,.0f} tokens/s were measured, "
            f"training waited for a processor {100 * self.waited:.0f} % of the time; the run is "
            f"settled as {self.tokens:,} tokens (give another --out once the machine is free, or "
            "set budget.tokens)"
        )


def require_run(out: Path) -> None:
    """ConfigError where `out` holds anything but a pre-training run, so that nothing is replaced:
    a fine-tuning, say, or texts."""
    path = out / "config.toml"
    if not ("recipe" in read_toml(path) if path.exists() else is_free(out)):
        raise ConfigError(
            "is there already, and is no pre-training", where=out, mend="give another --out"
        )


def settle(setup: Setup, out: Path) -> RunConfig:
    """The config of the run in `out`; written there, minutes as tokens, where it is new.

    A run goes on with new `log` settings, on another device, on other processes, in other
    micro-batches, and with its source or its lists of phrases moved; anything else that differs is
    a ConfigError. The folder is the first process' to read and write.
    """
    path, config, group = out / "config.toml", setup.config, setup.group
    begun = _begun(config, path) if group.leads else None
    (is_begun,) = group.largest(begun is not None)
    if not is_begun:
        begun = _begin(setup, path)
    return RunConfig.model_validate_json(group.tell((begun or config).model_dump_json()))


def _begun(config: RunConfig, path: Path) -> RunConfig | None:
    """`config`, settled as the run with the config in `path` was; None where there is none."""
    if not path.exists():
        return None
    begun = validate(RunConfig, read_toml(path), path)  # it has every value that is not None
    minutes = config.budget.minutes
    if minutes is not None and minutes == begun.budget.from_minutes:
        config = config.model_copy(update={"budget": begun.budget})
    free = {key: getattr(begun, key) for key in ("log", "device", "distributed", "micro_tokens")}
    lists = {key: getattr(begun.data, key) for key in ("phrases", "entities")}
    free["data"] = config.data.model_copy(update=lists)  # `data.lexicon` says what they hold
    if begun.source is not None and config.source is not None:  # its folder may have moved
        free["source"] = config.source.model_copy(update={"model": begun.source.model})
    if begun != config.model_copy(update=free):
        keys = _differences(begun.model_dump(), config.model_copy(update=free).model_dump())
        raise ConfigError(
            f"this run was begun with other values of {', '.join(keys)}",
            where=path.parent,
            mend="use the values in its config.toml, or give another --out",
        )
    return config


def _begin(setup: Setup, path: Path) -> RunConfig:
    """The config of a new run, in tokens or steps, written to `path`."""
    config, header, warning = setup.config, "", None
    if config.budget.minutes is not None:
        minutes = config.budget.minutes
        worth = _calibrated(minutes, setup, path.parent)
        header, warning = worth.header(minutes), worth.warning
        config = resolve(config, {"budget": {"tokens": worth.tokens, "from_minutes": minutes}})
    if setup.group.leads:
        write_text_atomically(path, header + config.to_toml())
        if warning is not None:
            print(warning, file=sys.stderr)
    return config


def _differences(
    begun: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    keys: list[str] = []
    for key, value in begun.items():
        if isinstance(value, Mapping) and isinstance(wanted[key], Mapping):
            keys += _differences(value, wanted[key], f"{prefix}{key}.")
        elif value != wanted[key]:
            keys.append(prefix + key)
    return keys


def _calibrated(minutes: float, setup: Setup, out: Path) -> Calibration:
    """The rate over the phases of a run, and the tokens that `minutes` allow beside all else.

    That is calibrating, evaluations and checkpoints; the report at the end is not counted.
    """
    began = time.perf_counter()
    phases, log = setup.config.data.phases, setup.config.log
    enough = min(CALIBRATION_SECONDS, 3.0 * minutes) / len(phases)
    setup, model, optimizer = begin(setup)
    measured, waited = time.perf_counter(), _seconds_waited()
    rate = 1.0 / sum(
        (end - begin) / _measured_rate(setup, model, optimizer, number, enough)
        for number, (begin, end, _) in enumerate(phases)
    )
    waited = (_seconds_waited() - waited) / (time.perf_counter() - measured)
    saves = 1 + int(minutes / log.checkpoint_minutes)
    beside = saves * _saving_seconds(optimizer, setup.group, out) + time.perf_counter() - began
    total = rate * max(60.0 * minutes - beside, 60.0 * minutes * LEAST_SHARE)
    heldout = int(setup.heldout[0].lengths(0).sum())
    evaluated = max(setup.config.optim.batch_tokens, min(log.eval_tokens, EVAL_SHARE * total))
    evaluating = log.evaluations * min(heldout, evaluated) / 3.0  # a third: forward alone
    tokens = max(1, int(total - min(evaluating, (1.0 - LEAST_SHARE) * total)))
    return Calibration(rate, tokens, waited)


def _seconds_waited() -> float:
    """How long this thread has been ready to run with no processor free; 0 where the system, which
    is not Linux then, does not say."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _saving_seconds(optimizer: Optimizer, group: Group, out: Path) -> float:
    """Of one checkpoint, on the disk of `out`; the first process writes it."""
    tensors = optimizer.state()
    if not group.leads:
        return 0.0
    with temporary_folder(out / "calibration") as folder:
        began = time.perf_counter()
        checkpoint.save(folder, 0, tensors, {}, keep=1)
        return time.perf_counter() - began


def _measured_rate(
    setup: Setup, model: nn.Module, optimizer: Optimizer, phase: int, enough: float
) -> float:
    """Tokens/s of real steps on a throw-away model, for `enough` seconds."""
    with closing(setup.loader().stream(Cursor(phase=phase))) as batches:
        steps = train(
            model,
            setup.recipe.loss,
            batches,
            optimizer,
            make_schedule(setup.config.optim),
            Length(tokens=1 << 60),
            State(Cursor()),
            setup.config.seed,
            setup.group,
        )
        warm = next(step.state for step in steps if step.state.step == WARM_STEPS)
        began = time.perf_counter()
        for step in steps:
            seconds = time.perf_counter() - began
            (is_enough,) = setup.group.largest(seconds > enough)
            if step.state.step >= FEWEST_STEPS and is_enough:
                break
    return (step.state.tokens - warm.tokens) / seconds
