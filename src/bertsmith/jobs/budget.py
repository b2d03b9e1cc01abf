"""How long a run is: settled once, written down, the same ever after."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from bertsmith.config import EVAL_SHARE, RunConfig, read_toml, resolve
from bertsmith.data.loader import Cursor
from bertsmith.engine.optim import Optimizer, make_schedule
from bertsmith.engine.train import Length, State, train
from bertsmith.errors import ConfigError
from bertsmith.files import write_text_atomically
from bertsmith.jobs.setup import Setup

CALIBRATION_SECONDS = 8.0
WARM_STEPS, FEWEST_STEPS = 2, 5


def settle(setup: Setup, out: Path) -> RunConfig:
    """The config of the run in `out`; written there, minutes as tokens, where it is new.

    A run goes on with new `log` settings, on another device and with its source moved; anything
    else that differs is a ConfigError.
    """
    path, config = out / "config.toml", setup.config
    if path.exists():
        begun = resolve(config, read_toml(path), where=path)
        if config.budget.minutes == begun.budget.from_minutes:
            config = config.model_copy(update={"budget": begun.budget})
        free: dict[str, Any] = {"log": begun.log, "device": begun.device}
        if begun.source is not None and config.source is not None:  # its folder may have moved
            free["source"] = config.source.model_copy(update={"model": begun.source.model})
        if begun != config.model_copy(update=free):
            keys = _differences(begun.model_dump(), config.model_copy(update=free).model_dump())
            raise ConfigError(
                f"this run was begun with other values of {', '.join(keys)}",
                where=out,
                mend="use the values in its config.toml, or give another --out",
            )
        return config
    header = ""
    if config.budget.minutes is not None:
        minutes = config.budget.minutes
        rate, tokens = _tokens_in(minutes, setup)
        header = f"# {minutes:g} minutes at {rate:,.0f} tokens/s, less the evaluations\n"
        config = resolve(config, {"budget": {"tokens": tokens, "from_minutes": minutes}})
    out.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, header + config.to_toml())
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


def _tokens_in(minutes: float, setup: Setup) -> tuple[float, int]:
    """Tokens/s over the phases of a run, and the tokens that `minutes` allow."""
    phases = setup.config.data.phases
    enough = min(CALIBRATION_SECONDS, 3.0 * minutes) / len(phases)
    rate = 1.0 / sum(
        (end - begin) / _measured_rate(setup, number, enough)
        for number, (begin, end, _) in enumerate(phases)
    )
    log, total = setup.config.log, 60.0 * minutes * rate
    evaluating = log.evaluations * min(log.eval_tokens, EVAL_SHARE * total)
    return rate, max(1, int(total - evaluating / 3.0))  # a third: forward alone


def _measured_rate(setup: Setup, phase: int, enough: float) -> float:
    """Tokens/s of real steps on a throw-away model, for `enough` seconds."""
    model, optim = setup.model(), setup.config.optim
    with closing(setup.loader().stream(Cursor(phase=phase))) as batches:
        steps = train(
            model,
            setup.recipe.loss,
            batches,
            Optimizer(model, optim),
            make_schedule(optim),
            Length(tokens=1 << 60),
            State(Cursor()),
            setup.config.seed,
        )
        warm = next(step.state for step in steps if step.state.step == WARM_STEPS)
        began = time.perf_counter()
        for step in steps:
            seconds = time.perf_counter() - began
            if step.state.step >= FEWEST_STEPS and seconds > enough:
                break
    return (step.state.tokens - warm.tokens) / seconds
