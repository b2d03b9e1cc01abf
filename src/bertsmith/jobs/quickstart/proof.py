"""Was pre-training worth it? One network, pre-trained and from scratch, on ever more labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertsmith.data.loader import Cursor
from bertsmith.engine.train import Step
from bertsmith.export.huggingface import read_model
from bertsmith.files import write_text_atomically
from bertsmith.jobs.finetune_folder import Init
from bertsmith.jobs.progress import Bar
from bertsmith.jobs.quickstart.texts import Question
from bertsmith.jobs.trainer import fit_classifier

INITS: tuple[Init, ...] = ("pretrained", "scratch")
COUNTS = (100, 300, 1000)
SEEDS = (0, 1)
EPOCHS = {100: 15, 300: 8, 1000: 5}
MAX_LENGTH = 64
METRIC = "macro_f1"


@dataclass(frozen=True)
class Fit:
    """One fine-tuned classifier's scores on the test rows."""

    init: Init
    count: int
    seed: int
    scores: dict[str, Any]


def learning_curves(question: Question, model: Path, folder: Path) -> list[Fit]:
    """Fine-tune with every number of labels, initialisation and seed; kept one by one."""
    counts = [count for count in COUNTS if count <= len(question.train)]
    wanted = [(count, init, seed) for seed in SEEDS for count in counts for init in INITS]
    folder.mkdir(parents=True, exist_ok=True)
    source = read_model(model)
    fits: list[Fit] = []
    total = sum(count * EPOCHS[count] for count, _, _ in wanted)
    done = 0
    with Bar("fine-tuning", total) as bar:
        for count, init, seed in wanted:
            path = folder / f"{init}-{count}-{seed}.json"
            if not path.exists():

                def show(
                    step: Step[Cursor], rows: int, before: int = done, what: str = init
                ) -> None:
                    bar.update(before + rows, f"{what}, loss {step.values['loss']:.2f}")

                fit = fit_classifier(
                    question.train[:count],
                    question.test,
                    source,
                    init=init,
                    seed=seed,
                    on_step=show,
                    evaluations=1,
                    epochs=EPOCHS[count],
                    max_length=MAX_LENGTH,
                )
                write_text_atomically(path, json.dumps(fit.summary()) + "\n")
            fits.append(Fit(init, count, seed, json.loads(path.read_text("utf-8"))))
            done += count * EPOCHS[count]
            bar.update(done)
    return fits


def scores_of(fits: Sequence[Fit], init: Init, metric: str = METRIC) -> dict[int, list[float]]:
    """The seeds' scores by number of labels."""
    scores: dict[int, list[float]] = {}
    for fit in fits:
        if fit.init == init:
            scores.setdefault(fit.count, []).append(fit.scores[metric])
    return scores
