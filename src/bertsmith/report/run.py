"""The report and the README of a pre-training run, from its config.toml and log.jsonl."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertsmith.engine.health import LEARNED
from bertsmith.errors import DataError
from bertsmith.files import write_atomically
from bertsmith.markdown import markdown_table
from bertsmith.report.figures import (
    TASK_NAMES,
    accuracy_curve,
    learning_rate_curve,
    loss_curve,
    task_keys,
    throughput_curve,
)
from bertsmith.report.log import Record, RunLog, read_run
from bertsmith.report.numbers import compact, duration, percent
from bertsmith.report.page import (
    Code,
    FigureSection,
    FillRow,
    Fills,
    Heading,
    KeyValues,
    Note,
    Section,
    Text,
    write_report,
)

MASK = re.compile(r"\[MASK\]|<mask>")
MOST_WARNINGS = 5
MOST_MOMENTS = 7  # columns of the table of fills
LARGEST_PERPLEXITY_LOSS = 20  # nats; beyond it perplexity says nothing


def write_run_report(run_folder: Path) -> Path:
    """Write RUN/report.html from RUN/log.jsonl and RUN/config.toml. Returns its path.

    Raises DataError where the log is missing, empty or damaged.
    """
    log = read_run(run_folder / "log.jsonl")
    title = f"{_recipe(log)}, pre-trained"
    sections = run_sections(log, read_config(run_folder / "config.toml"))
    return write_report(run_folder / "report.html", title, summary(log), sections)


def read_config(path: Path) -> str:
    """The text of config.toml, "" where there is none. Raises DataError for a binary file."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise DataError("is not text", where=path, mend="restore the run's config") from None


def run_sections(log: RunLog, config: str = "") -> list[Section]:
    """The parts of a run's page, for a page of one's own. `config` is the text of config.toml."""
    steps = log.of("step")
    sections: list[Section] = [KeyValues(final_numbers(log), prominent=True)]
    sections += [Note(_warning(record)) for record in log.warnings[-MOST_WARNINGS:]]
    if len(log.warnings) > MOST_WARNINGS:
        sections += [
            Text(f"{len(log.warnings) - MOST_WARNINGS} earlier warnings are in log.jsonl.")
        ]
    if not steps and not log.of("eval"):
        sections += [Text("No step has been logged yet; the curves appear with the first ones.")]
    else:
        sections += _curves(log)
    fills = fill_table(log.of("fill"))
    if fills is not None:
        sections += [Heading("Masked words, filled in"), fills]
    if steps:
        sections += _machine(log)
    sections += [Heading("The run"), KeyValues(_facts(log.run))]
    if config:
        sections += [Code(config, title="config.toml: every value of this run")]
    return sections


def summary(log: RunLog) -> str:
    """Two or three sentences: what was trained, whether it learned, where it stands."""
    parameters = log.run.get("parameters")
    size = f" with {compact(parameters)} parameters" if parameters else ""
    tokens = log.last("step").get("tokens", 0)
    source = log.run.get("source") or {}
    origin = f", begun from {source['name']}" if "name" in source else ""
    sentences = [
        f"{_article(_recipe(log))} model{size}{origin}, trained on {compact(tokens)} tokens of raw "
        "text."
    ]
    held_out, entropy = log.last("eval").get("mlm_loss"), log.run.get("unigram_entropy")
    if held_out is not None and entropy is not None:
        below = entropy - held_out
        if below > LEARNED:
            sentences.append(
                f"On held-out text its masked-LM loss is {held_out:.2f} nats, {below:.2f} below "
                f"the {entropy:.2f} of guessing by word frequency alone: it has learned from "
                "context."
            )
        else:
            sentences.append(
                f"On held-out text its masked-LM loss is {held_out:.2f} nats, no better than the "
                f"{entropy:.2f} of guessing by word frequency alone: it has not learned from "
                "context yet. Train longer, or change the learning rate."
            )
    sentences.append(_standing(log))
    return " ".join(sentence for sentence in sentences if sentence)


def final_numbers(log: RunLog) -> dict[str, str]:
    """The few numbers a run is judged by, ready to print; what was not measured is left out."""
    step, held_out = log.last("step"), log.last("eval")
    numbers: dict[str, str] = {}
    if "parameters" in log.run:
        numbers["parameters"] = compact(log.run["parameters"])
    numbers["tokens trained on"] = compact(step.get("tokens", 0))
    for key in task_keys([held_out], "_loss"):
        task, accuracy = _task(key, "_loss"), held_out.get(key.replace("_loss", "_accuracy"))
        numbers[f"{task} loss, held out"] = f"{held_out[key]:.3f}"
        if key == "mlm_loss" and held_out[key] < LARGEST_PERPLEXITY_LOSS:
            numbers["perplexity, held out"] = f"{math.exp(held_out[key]):,.1f}"
        if accuracy is not None:
            numbers[f"{task} accuracy, held out"] = percent(accuracy)
    seconds = (log.end or {}).get("elapsed_s", step.get("elapsed_s"))
    if seconds is not None:
        numbers["training time"] = duration(seconds)
    return numbers


def fill_table(fills: Sequence[Record]) -> Fills | None:
    """The masked sentences of the fill records as a table; None where there are none.

    Sentences and answers are those of the newest record; at most MOST_MOMENTS records are
    shown, evenly spread, the first and the last among them.
    """
    if not fills:
        return None
    shown = _spread(fills, MOST_MOMENTS)
    at_moment = [{sample["text"]: sample for sample in fill["samples"]} for fill in shown]
    rows = []
    for sample in shown[-1]["samples"]:
        text, answers = sample["text"], sample.get("answers") or []
        for mask, found in enumerate(MASK.finditer(text)):
            rows.append(
                FillRow(
                    before=text[: found.start()],
                    after=text[found.end() :],
                    answer=answers[mask] if mask < len(answers) else "",
                    predictions=[
                        _predictions(samples.get(text, {}), mask) for samples in at_moment
                    ],
                )
            )
    moments = [f"{compact(fill['tokens'])} tokens" for fill in shown]
    caption = (
        "The model's best guesses for each masked word, after so many tokens of training. "
        "The deeper the colour, the surer the guess; green with ✓ is the right word."
    )
    return Fills(moments, rows, caption) if rows else None


def write_run_readme(run_folder: Path, title: str = "") -> Path:
    """Write RUN/README.md: what the folder holds, how to use the model, its final numbers.

    Raises DataError where the log is missing, empty or damaged.
    """
    log = read_run(run_folder / "log.jsonl")
    path = run_folder / "README.md"
    write_atomically(path, _readme(log, run_folder, title or f"{_recipe(log)}, pre-trained"))
    return path


def _readme(log: RunLog, run_folder: Path, title: str) -> bytes:
    filler = "generator" if (run_folder / "generator").exists() else "model"
    samples = [sample["text"] for sample in log.last("fill").get("samples", [])]
    sentence = shlex.quote(next(iter(samples), "the capital of france is [MASK]."))
    fill = [f"bertsmith fill {filler} {sentence}"] if log.of("fill") else []
    held = {name: what for name, what in _CONTENTS.items() if (run_folder / name).exists()}
    lines = [
        f"# {title}",
        "",
        summary(log),
        "",
        markdown_table(("", "value"), final_numbers(log).items()),
        "",
        "## What is in this folder",
        "",
        markdown_table(("file", "what"), ((f"`{name}`", held[name]) for name in held)),
        "",
        "## How to use the model",
        "",
        "From within this folder:",
        "",
        "```sh",
        *fill,
        *(_WITH_VECTORS if (run_folder / "model" / "vectors.txt").exists() else _WITH_AN_ENCODER),
        "",
        "The pre-training command that made this folder, given again, resumes an unfinished run.",
        "",
    ]
    return "\n".join(lines).encode()


_WITH_AN_ENCODER = (
    "bertsmith finetune classify --train train.csv --dev dev.csv --model model --out finetuned",
    "```",
    "",
    "`finetune` takes CSV, TSV or JSON lines with a text and a label column.",
)
_WITH_VECTORS = (
    "bertsmith similar model WORD",
    "bertsmith analogies model questions-words.txt",
    "```",
    "",
    "`model/vectors.txt` has the vectors in word2vec's text format, which gensim reads, too.",
)
_CONTENTS = {
    "model/": "the model and its tokenizer; its README.md says who reads it, and how",
    "models/": "the model as it was on the way, in tokens-N/model after N tokens",
    "generator/": "ELECTRA's generator, a small masked LM, likewise",
    "report.html": "curves, filled masks and numbers; opens in any browser, offline",
    "config.toml": "every value of the run; give it to `bertsmith pretrain` to repeat it",
    "log.jsonl": "one JSON object a line: steps, held-out evaluations, filled masks, warnings",
    "checkpoints/": "what a resumed run starts from; may be deleted once the run has ended",
}


def _curves(log: RunLog) -> list[Section]:
    entropy = log.run.get("unigram_entropy")
    tasks = [_task(key, "_loss") for key in task_keys(log.records, "_loss")]
    names = " and ".join(tasks) or "training"
    return [
        Heading("Learning"),
        FigureSection(
            loss_curve(log.records, entropy),
            "Loss in nats. Below a dashed line, the entropy of the corpus' word frequencies, "
            "the model uses the context of a word. Held-out documents are never trained on.",
            f"Line chart of the {names} loss over training tokens. {_course(log, '_loss')}",
        ),
        FigureSection(
            accuracy_curve(log.records),
            "Share of the predictions that are right, on training batches and on held-out text.",
            f"Line chart of the {names} accuracy over training tokens. {_course(log, '_accuracy')}",
        ),
    ]


def _machine(log: RunLog) -> list[Section]:
    return [
        Heading("Pace"),
        FigureSection(
            throughput_curve(log.records),
            "Tokens trained on a second.",
            "Line chart of training tokens a second over minutes.",
        ),
        FigureSection(
            learning_rate_curve(log.records),
            "Learning rate: warm-up, then decay.",
            "Line chart of the learning rate over training tokens.",
        ),
    ]


def _course(log: RunLog, suffix: str) -> str:
    parts = []
    for key in task_keys(log.of("eval"), suffix):
        values = [record[key] for record in log.of("eval") if record.get(key) is not None]
        if values:
            parts.append(f"Held out, {_task(key, suffix)}: {values[0]:.2f} to {values[-1]:.2f}.")
    return " ".join(parts)


def _standing(log: RunLog) -> str:
    if log.end is not None and log.end.get("reason") == "budget":
        return "The run is complete."
    if log.end is not None and log.end.get("reason") == "diverged":
        return f"The run ended in failure: {log.end.get('message', '')}."
    if log.end is not None:
        return "The run was stopped before its budget was spent; the same command resumes it."
    done, total = log.last("step").get("tokens", 0), log.run.get("total_tokens")
    share = f" after {100 * done / total:.0f} % of its tokens" if total else ""
    return f"This page was written{share}, before the run ended."


def _warning(record: Record) -> str:
    step = f"Step {record['step']:,}: " if isinstance(record.get("step"), int) else ""
    return f"{step}{record.get('message', '')}"


def _facts(run: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    facts: dict[str, str] = {}
    for key, value in run.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            facts |= _facts(value, f"{name}: ")
        elif isinstance(value, bool):
            facts[name] = "yes" if value else "no"
        elif isinstance(value, int):
            facts[name] = f"{value:,}"
        elif isinstance(value, float):
            facts[name] = f"{value:.4g}"
        elif value is not None and key != "kind":
            facts[name] = str(value)
    return facts


def _predictions(sample: Mapping[str, Any], mask: int) -> list[tuple[str, float]]:
    masks = sample.get("predictions") or []
    return [(token, share) for token, share in masks[mask]] if mask < len(masks) else []


def _spread(records: Sequence[Record], most: int) -> list[Record]:
    if len(records) <= most:
        return list(records)
    return [records[round(k * (len(records) - 1) / (most - 1))] for k in range(most)]


def _recipe(log: RunLog) -> str:
    return str(log.run.get("recipe", "bert"))


def _article(name: str) -> str:
    return f"{'An' if name[:1] in 'aeiou' else 'A'} {name}"


def _task(key: str, suffix: str) -> str:
    prefix = key.removesuffix(suffix)
    return TASK_NAMES.get(prefix, prefix.replace("_", " "))
