"""Logs and scores as the jobs write them, small."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from browser import Server, serving

Record = dict[str, Any]
RUN: Record = {
    "kind": "run",
    "recipe": "bert",
    "parameters": 3_200_000,
    "unigram_entropy": 6.01,
    "device": "cpu",
    "precision": "float32",
    "precision_reason": "no AMX",
    "total_tokens": 40_000,
    "total_steps": 10,
    "corpus": {"documents": 240, "tokens": 412_341},
}


def step(number: int, **changes: Any) -> Record:
    return {
        "kind": "step",
        "step": number,
        "tokens": 4000 * number,
        "loss": 9.0 - 0.5 * number,
        "mlm_loss": 8.3 - 0.5 * number,
        "mlm_accuracy": 0.03 * number,
        "nsp_loss": 0.69,
        "nsp_accuracy": 0.5,
        "learning_rate": 3e-4 / number,
        "grad_norm": 1.2,
        "tokens_per_second": 5100.0,
        "elapsed_s": 0.8 * number,
        **changes,
    }


def evaluation(number: int, mlm_loss: float = 3.4) -> Record:
    kept = ("step", "tokens", "mlm_accuracy", "nsp_loss", "nsp_accuracy")
    record = {key: step(number)[key] for key in kept}
    return {"kind": "eval", **record, "loss": mlm_loss + 0.69, "mlm_loss": mlm_loss}


def fill(number: int, *predictions: Sequence[tuple[str, float]]) -> Record:
    sample = {
        "text": "paris is the [MASK] of france",
        "answers": ["capital"],
        "predictions": [list(map(list, mask)) for mask in predictions],
    }
    return {"kind": "fill", "step": number, "tokens": 4000 * number, "samples": [sample]}


def whole_log() -> list[Record]:
    return [
        RUN,
        *(step(number) for number in range(1, 6)),
        evaluation(5, 5.9),
        fill(5, [("the", 0.2), ("capital", 0.1)]),
        *(step(number) for number in range(6, 11)),
        evaluation(10, 3.4),
        fill(10, [("capital", 0.31), ("centre", 0.05)]),
        {"kind": "end", "step": 10, "tokens": 40_000, "elapsed_s": 8.0, "reason": "budget"},
    ]


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    """A run folder with the given records in its log."""

    def make(records: Sequence[Record], tail: str = "") -> Path:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / "log.jsonl").write_text(lines + tail)
        (tmp_path / "config.toml").write_text('recipe = "bert"\n[model]\nnum_layers = 4\n')
        return tmp_path

    return make


def scores(labels: Sequence[str] = ("numpy", "torch"), seeds: int = 2) -> Record:
    size = len(labels)
    runs = [
        {
            "init": init,
            "seed": seed,
            "accuracy": accuracy,
            "macro_f1": accuracy - 0.1,
            "confusion_matrix": [[8 if i == j else 2 for j in range(size)] for i in range(size)],
            "history": [
                {"epoch": e, "train_loss": 1 / e, "dev_loss": 1.1 / e, "accuracy": accuracy}
                for e in (1, 2)
            ],
            "failed": False,
        }
        for init, accuracy in (("pretrained", 0.8), ("scratch", 0.6))
        for seed in range(seeds)
    ]
    summary = {
        init: {
            "accuracy": {"median": accuracy, "min": accuracy, "max": accuracy},
            "macro_f1": {"median": accuracy - 0.1, "min": accuracy - 0.1, "max": accuracy},
        }
        for init, accuracy in (("pretrained", 0.8), ("scratch", 0.6))
    }
    return {
        "task": "classify",
        "labels": list(labels),
        "train_examples": 300,
        "dev_examples": 3000,
        "model": "quick/model",
        "runs": runs,
        "summary": summary,
    }


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server
