"""The run folder of a fine-tuning: what it holds, and what of it a second start can trust.

OUT/
  config.toml    every value of the run, and checksums of what went in
  parts/         of each run under way its checkpoints, log and model, until it is finished
  runs/          one JSON file for each finished seed; a finished one is never repeated
  log.jsonl      losses while training
  scores.json    all of it together
  model/         the best seed's model, with its labels and tokenizer
  report.html    scores, curves and confusion matrices
  errors.tsv     the best run's worst mistakes, and of some tasks more of its answers
  README.md      what all this is
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from pydantic import Field

from bertsmith.engine.log import read_log
from bertsmith.errors import ConfigError, DataError
from bertsmith.files import is_free, is_temporary, write_text_atomically
from bertsmith.markdown import markdown_table
from bertsmith.schema import Config, read_json_object, read_toml, validate
from bertsmith.tasks.base import Setting, Task
from bertsmith.tasks.findings import told_of_known
from bertsmith.tasks.metrics import METRIC_NAMES
from bertsmith.tasks.protocol import Protocol

Init = Literal["pretrained", "scratch"]
RunKey = tuple[Init, int]
"""Initialisation and seed."""

_GROWING = ("seeds", "from_scratch")
"""May be more when a folder is taken up again, not less: `model` is the best of all its runs."""
_MOVABLE = ("train", "dev", "model")
"""May differ then: where the same files are now."""


class InputConfig(Config):
    """The columns that were read, and checksums (SHA-256) of what went in."""

    text_column: str
    pair_column: str | None = None
    label_column: str
    header: bool = True
    dev_is_held_out: bool = False
    """Whether `dev` names the training file, of which a part is held out."""
    train_sha256: str
    dev_sha256: str
    model_sha256: str
    also_sha256: dict[str, str] = Field(default_factory=dict)
    """Of further sets to be scored on, by name."""


class FinetuneConfig(Config):
    """Everything that decides a fine-tuning."""

    task: str
    train: str
    dev: str
    model: str
    seeds: int
    from_scratch: bool
    device: str
    precision: str
    labels: tuple[str, ...]
    settings: dict[str, Setting] = Field(default_factory=dict)
    """What was chosen of the task's own."""
    input: InputConfig
    protocol: Protocol

    def scored_on(self, count: int) -> str:
        """The dev set of `count` rows, for a README."""
        how = "held out " if self.input.dev_is_held_out else ""
        return f"{count:,} {how}of `{Path(self.dev).name}`"

    def runs(self) -> list[RunKey]:
        """What is to be trained, in order."""
        inits: tuple[Init, ...] = (
            ("pretrained", "scratch") if self.from_scratch else ("pretrained",)
        )
        return [(init, seed) for init in inits for seed in range(self.seeds)]


@dataclass(frozen=True)
class RunFolder:
    """Paths in the folder, and the runs that are finished."""

    path: Path
    task: Task[Any, Any]
    title: str = ""
    """What the model is called, where that is not the folder's name."""

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.title or self.path.resolve().name

    @property
    def model(self) -> Path:
        """The best model."""
        return self.path / "model"

    @property
    def log(self) -> Path:
        """The log."""
        return self.path / "log.jsonl"

    def check(self, config: FinetuneConfig) -> None:
        """Raise ConfigError, naming what differs, where the folder holds anything but a beginning
        of the same."""
        saved = self.path / "config.toml"
        tables = read_toml(saved) if saved.exists() else {}
        if "task" in tables:
            before = validate(FinetuneConfig, tables, saved)
            odd = differences(before.model_dump(), config.model_dump())
            for key in _GROWING:
                was, now = getattr(before, key), getattr(config, key)
                if now < was:
                    odd.append(f"{key} was {was}, now {now}")
            if odd:
                raise ConfigError(
                    f"begun with other values: {'; '.join(odd)}",
                    where=saved,
                    mend="give the same command, or another --out",
                )
        elif not is_free(self.path):
            raise ConfigError(
                "is there already, and is no fine-tuning",
                where=self.path,
                mend="give another --out",
            )

    def settle(self, config: FinetuneConfig) -> None:
        """Make the folder, or go on in it. Raises as `check` does."""
        self.check(config)
        self.path.mkdir(parents=True, exist_ok=True)
        # first: it says whose the rest is
        write_text_atomically(self.path / "config.toml", config.to_toml())
        (self.path / "runs").mkdir(exist_ok=True)

    def finished(self, config: FinetuneConfig) -> dict[RunKey, dict[str, Any]]:
        """The results there are of the config's runs.

        Where the best model is gone, its run counts as not finished.
        """
        found = self._results(config)
        best = best_run(self.task, list(found.values()))
        if best is not None and not (self.model / "config.json").is_file():
            del found[best["init"], best["seed"]]
        return found

    def _results(self, config: FinetuneConfig) -> dict[RunKey, dict[str, Any]]:
        """All that are there, the best model or not."""
        paths = {key: self._result(key) for key in config.runs()}
        return {key: _read_result(path) for key, path in paths.items() if path.is_file()}

    def save(self, key: RunKey, result: Mapping[str, Any]) -> None:
        """Keep a finished run's result."""
        write_text_atomically(self._result(key), json.dumps(result) + "\n")

    def part(self, key: RunKey) -> RunFolder:
        """Where a run stands while it is under way."""
        return RunFolder(self.path / "parts" / f"{key[0]}-{key[1]}", self.task, self.name)

    def begin(self) -> None:
        """Make the folder of a part."""
        (self.path / "runs").mkdir(parents=True, exist_ok=True)

    def take_over(self, config: FinetuneConfig, key: RunKey) -> None:
        """Move what a finished run has left in its part here; the model, and what else it has
        left, if it is the best. It is not beside a better one whose model is gone, which is to be
        made again.

        Interrupted anywhere, it can be done again.
        """
        part = self.part(key)
        result = _read_result(part._result(key))
        found = {**self._results(config), key: result}
        if best_run(self.task, [found[k] for k in config.runs() if k in found]) is result:
            if part.model.exists():  # first: see take_over_parts
                shutil.rmtree(self.model, ignore_errors=True)
                part.model.replace(self.model)
            for path in part.path.iterdir():
                if path.is_file() and path != part.log and not is_temporary(path):
                    path.replace(self.path / path.name)
        others = [r for r in self._logged() if (r.get("init"), r.get("seed")) != key]
        self._write_log([*others, *part._logged()])
        self.save(key, result)
        part._result(key).unlink()  # first, or what an interruption leaves is taken for all of it
        shutil.rmtree(part.path)
        with suppress(OSError):  # others are under way
            part.path.parent.rmdir()

    def take_over_parts(self, config: FinetuneConfig) -> None:
        """Do so with every part whose run is finished, after an interruption.

        One whose model has been moved already is first: until its result is here, too, another
        that is finished would take the model's place.
        """
        parts = [key for key in config.runs() if self.part(key)._result(key).is_file()]
        for key in sorted(parts, key=lambda key: self.part(key).model.exists()):
            self.take_over(config, key)

    def last_step(self) -> int:
        """The last step that its log tells of; 0 where there is none."""
        steps = (record["step"] for record in self._logged() if record.get("kind") == "step")
        return max(steps, default=0)

    def _logged(self) -> list[dict[str, Any]]:
        return list(read_log(self.log)) if self.log.exists() else []

    def _write_log(self, records: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(record) + "\n" for record in records)
        write_text_atomically(self.log, text)

    def _result(self, key: RunKey) -> Path:
        return self.path / "runs" / f"{key[0]}-{key[1]}.json"

    def cut_log(self, step: int) -> None:
        """Drop what the log of a part says of what came after `step`, so that nothing is told
        twice."""
        if self.log.exists():
            self._write_log(r for r in self._logged() if r.get("step", step + 1) <= step)


def _read_result(path: Path) -> dict[str, Any]:
    """Raises DataError where something has damaged it: it was written whole."""
    try:
        return read_json_object(path, DataError)
    except DataError as error:
        mend = "remove this file; the same command then trains this run again"
        raise DataError(error.what, where=error.where, mend=mend) from None


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """In words, what two configs differ in and must not."""
    odd: list[str] = []
    for key in before:
        if isinstance(before[key], dict) and before[key].keys() == now[key].keys():
            odd += differences(before[key], now[key], f"{prefix}{key}.")
        elif prefix + key not in _GROWING + _MOVABLE and before[key] != now[key]:
            if key.endswith("_sha256"):
                odd.append(f"the content of {key.removesuffix('_sha256')} has changed")
            else:
                odd.append(f"{prefix}{key} was {before[key]!r}, now {now[key]!r}")
    return odd


def best_run(task: Task[Any, Any], runs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The pre-trained run of the highest merit, the first of equals."""
    pretrained = [run for run in runs if run["init"] == "pretrained"]
    return max(pretrained, key=task.merit, default=None)


def summarise(
    runs: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Each metric's `spread_of` the seeds of each initialisation."""
    return {
        init: {
            metric: spread_of(
                [run[metric] for run in own],
                [run["intervals"][metric] for run in own if "intervals" in run],
            )
            for metric in metrics
        }
        for init in dict.fromkeys(run["init"] for run in runs)
        for own in [[run for run in runs if run["init"] == init]]
    }


def spread_of(
    values: Sequence[float], intervals: Sequence[Sequence[float]] = ()
) -> dict[str, float]:
    """Of a metric's values, one a seed: the median, the least and the greatest ("min", "max"), and,
    where each has an interval, the median of their ends ("low", "high")."""
    spread = {"median": median(values), "min": min(values), "max": max(values)}
    if len(intervals) == len(values):  # else some runs are of before there were any
        low, high = (median(ends) for ends in zip(*intervals, strict=True))
        spread |= {"low": low, "high": high}
    return spread


def readme(task: Task[Any, Any], config: FinetuneConfig, scores: Mapping[str, Any]) -> str:
    """README.md of the run folder."""
    rows = [
        [init, *(_cell(spread[m]) for m in task.metrics)]
        for init, spread in scores["summary"].items()
    ]
    columns = ["weights at the start", *(METRIC_NAMES[metric] for metric in task.metrics)]
    chosen_by = " and ".join(METRIC_NAMES[metric] for metric in task.chosen_by)
    labels = f", {len(config.labels)} labels" if len(config.labels) > 1 else ""
    protocol, unit, drawn = config.protocol, task.unit, task.drawn or task.unit
    known = told_of_known(scores["dev_in_train"], scores["dev_examples"], unit)
    caveats = [*known, *protocol.caveats(), *task.caveats(scores["runs"][0])]
    epochs = f"{'At most ' if protocol.patience else ''}{protocol.epochs} epochs"
    return f"""# Fine-tuned {task.product}

{scores["train_examples"]:,} labelled {unit} of `{Path(config.train).name}`{labels}; scores on the
{config.scored_on(scores["dev_examples"])}, the median of
{config.seeds} seed{"s" if config.seeds > 1 else ""}; in brackets, what other {drawn} of the kind
would give (95 %, bootstrap).{"".join(f" {caveat}" for caveat in caveats)}

{markdown_table(columns, rows)}

{epochs}, {protocol.batch_size} {unit} a step, peak rate {protocol.lr:g}, at most
{protocol.max_length} tokens in each.

- `model/` the best seed's model by {chosen_by}, in the Hugging Face format
- `scores.json` every seed's scores and history
- `report.html` the same to look at; `errors.tsv` the worst mistakes
- `config.toml` every value of the run; `log.jsonl` its losses; `runs/` each seed's result

Label new {unit} with

    bertsmith predict model FILE

The same command again goes on where it was interrupted, or, with a larger `--seeds`, adds runs.
"""


def _cell(spread: Mapping[str, float]) -> str:
    interval = f" [{spread['low']:.3f}, {spread['high']:.3f}]" if "low" in spread else ""
    return f"{spread['median']:.3f}{interval}"
