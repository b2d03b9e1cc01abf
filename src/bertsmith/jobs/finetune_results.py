"""What a fine-tuning leaves: a run's scores with their intervals, the best model, the summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bertsmith.export.configs import PROBLEM_TYPES
from bertsmith.export.huggingface import architecture_of, save_model
from bertsmith.export.model_card import model_card
from bertsmith.files import write_text_atomically
from bertsmith.jobs.finetune_folder import FinetuneConfig, RunFolder, readme, summarise
from bertsmith.jobs.source import shown_name
from bertsmith.jobs.trainer import Trainer
from bertsmith.nn.models import HeadedEncoder
from bertsmith.report.finetune import thresholds, write_finetune_report
from bertsmith.tasks.base import Encoded, Task
from bertsmith.tasks.bootstrap import intervals
from bertsmith.tasks.findings import told_of_known
from bertsmith.tasks.fit import FitResult, predict
from bertsmith.tasks.metrics import METRIC_NAMES
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import FloatArray

DEV = "the dev set"


def scored(
    task: Task[Any, Any], model: HeadedEncoder, data: Encoded, outputs: FloatArray
) -> dict[str, Any]:
    """Every metric, and the interval of each that is shown."""
    metrics = asdict(task.assess(model, data, outputs))
    return {**metrics, "intervals": _ends(task, model, data, outputs)}


def _ends(
    task: Task[Any, Any], model: HeadedEncoder, data: Encoded, outputs: FloatArray
) -> dict[str, list[float]]:
    return intervals(task.resampling(model, data, outputs), task.metrics)


def run_result(task: Task[Any, Any], fitted: FitResult, trainer: Trainer) -> dict[str, Any]:
    """A finished run, for JSON. `task` is the one with what was chosen after it."""
    model = fitted.model
    decided = replace(fitted, metrics=task.assess(model, trainer.dev, fitted.outputs))
    ends = _ends(task, model, trainer.dev, fitted.outputs)
    result = {**decided.summary(), "intervals": ends}
    if trainer.protocol.threshold:
        held = trainer.held
        result["threshold"] = {
            "by": trainer.protocol.threshold,
            "on": DEV if held is None else f"{len(held.is_truncated):,} held-out training texts",
            "values": task.settings["thresholds"],
            "at_half": {name: getattr(fitted.metrics, name) for name in task.metrics},
        }
    if trainer.also:
        result["also"] = {
            name: scored(task, model, data, predict(model, data.examples, data.output_rows))
            for name, data in trainer.also.items()
        }
    return result


def told(result: Mapping[str, Any]) -> list[str]:
    """What is worth a line as soon as a run is finished."""
    lines = []
    if "threshold" in result:
        cut = result["threshold"]
        values = ", ".join(f"{value:.3f}" for value in dict.fromkeys(cut["values"]))
        lines.append(f"said from {values} on, by {METRIC_NAMES[cut['by']]} on {cut['on']}")
    if result["failed"]:
        lines.append("failed, it gives one answer to everything")
    return lines


def save_run(
    folder: RunFolder,
    task: Task[Any, Any],
    fitted: FitResult,
    result: Mapping[str, Any],
    config: FinetuneConfig,
    tokenizer: Tokenizer,
    trainer: Trainer,
) -> None:
    """The model with its card, and what the task keeps of its answers on the dev set."""
    files = task.files(fitted.model, trainer.dev, fitted.outputs, config.labels)
    for name, text in files.items():
        write_text_atomically(folder.path / name, text)
    settings = {"settings": dict(task.settings)} if task.settings else {}
    save_model(
        folder.model,
        fitted.model,
        tokenizer,
        labels=config.labels,
        problem_type=task.problem_type or PROBLEM_TYPES[0],
        card=_card(folder, task, result, config, trainer, architecture_of(fitted.model)[1]),
        extra_config={
            **(settings if task.problem_type else {"task": task.name, "settings": {}} | settings),
            "max_length": config.protocol.max_length,
            "text_column": config.input.text_column,
            "pair_column": config.input.pair_column,
            "label_column": config.input.label_column,
        },
    )


def _card(
    folder: RunFolder,
    task: Task[Any, Any],
    result: Mapping[str, Any],
    config: FinetuneConfig,
    trainer: Trainer,
    architecture: str,
) -> str:
    train, dev = len(trainer.train.is_truncated), len(trainer.dev.is_truncated)
    limits = [
        f"It is the best of {config.seeds} seeds by its dev score."
        if config.seeds > 1
        else "Its scores are of one seed.",
        *told_of_known(trainer.dev_in_train, dev, task.unit),
        *config.protocol.caveats(),
        *task.caveats(result),
    ]
    if "threshold" in result:
        cuts = thresholds(result["threshold"]["values"], config.labels)
        limits.append(
            f"bertsmith says yes from a probability of {cuts} on, chosen on "
            f"{result['threshold']['on']}; transformers does not know of it."
        )
    if task.settings.get("crf"):
        limits.append("transformers leaves out the CRF: there, each word has its own best tag.")
    return model_card(
        folder.name,
        architecture=architecture,
        summary=f"A {task.product}, fine-tuned from `{shown_name(config.model)}`.",
        data=f"`{Path(config.train).name}`, {train:,} {task.unit}; scored on "
        f"{config.scored_on(dev)}, with 95 % intervals over {task.drawn or 'these'} "
        "(bootstrap).",
        training={**config.protocol.model_dump(), "seed": result["seed"], "seeds": config.seeds},
        scores={
            METRIC_NAMES[name]: f"{result[name]:.3f} ({low:.3f} to {high:.3f})"
            for name, (low, high) in result["intervals"].items()
        },
        limits=limits,
        labels=config.labels,
    )


def conclude(folder: RunFolder, config: FinetuneConfig, trainer: Trainer) -> dict[str, Any]:
    """scores.json, report.html and README.md out of the finished runs."""
    finished = folder.finished(config)
    runs = [finished[key] for key in config.runs()]
    scores = {
        "task": config.task,
        "unit": trainer.task.unit,
        "drawn": trainer.task.drawn,
        "method": trainer.task.method,
        "labels": list(config.labels),
        "train_examples": len(trainer.train.is_truncated),
        "dev_examples": len(trainer.dev.is_truncated),
        "dev_in_train": trainer.dev_in_train,
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
