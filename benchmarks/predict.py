"""Texts labelled a second: `bertsmith predict`'s predictor against transformers' pipeline.

    python -m benchmarks.predict [--quick]

10,000 real texts of mixed length (100 with --quick): phrases of reviews, sentences of Wikipedia,
whole reviews, at most 512 tokens of each; one classifier on all-MiniLM-L6-v2. Ours computes in
the type that it takes on this machine. Theirs is pipeline("text-classification") in fp32 and in
bf16, in batches of 1, 8 or 32, on texts sorted by length (which its users must do themselves);
the best of these on a part of the texts is the one that is timed. Each runs
in a process of its own, in turns; figures are medians. First both label the part alike, or
nothing is timed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.embed import model_folder, sentences
from benchmarks.finetuning_sets import SETS
from benchmarks.mistakes import data_folder, told_in_a_line
from benchmarks.steps import is_quick
from benchmarks.timing import Step, interleave, processes, ratio
from bertsmith.data import rng
from bertsmith.export.huggingface import load_for_finetuning, load_tokenizer, read_model, save_model
from bertsmith.jobs.predict import Predictor
from bertsmith.nn.models import SequenceClassifier

TEXTS, QUICK_TEXTS, COMPARED = 10_000, 100, 32
TRIED = 32
"""Texts that a batch size is chosen by, or a fiftieth of all."""
MOST_TOKENS = 512
KINDS = {"SST-2": 0.3, "IMDB": 0.1}
"""Shares of the texts; the rest are sentences of Wikipedia."""
BATCHES = (1, 8, 32)
LABELS = ("negative", "positive")
MOST_DIFFERENCE = 0.02
"""Between our probabilities and theirs in fp32: bfloat16 has three digits."""
BAR = 4.0


def texts(count: int) -> list[str]:
    """Real texts of mixed kinds and lengths, in no order."""
    folder = data_folder()
    found: list[str] = []
    for name, share in KINDS.items():
        rows = SETS[name].load(name, folder, round(share * count)).train.rows
        found += [row.text for row in rows]
    found += sentences(count - len(found))
    order = rng.generator("texts", 0).permutation(len(found))
    return [found[index] for index in order]


def save_classifier(folder: Path) -> None:
    """The encoder under a head that is drawn, large enough to have opinions."""
    torch.manual_seed(0)
    source = read_model(model_folder())
    model = load_for_finetuning(source, lambda config: SequenceClassifier(config, len(LABELS)))
    with torch.no_grad():
        model.head.classifier.weight.mul_(10)
    extra = {"max_length": MOST_TOKENS}
    save_model(folder, model, load_tokenizer(source), labels=LABELS, extra_config=extra)


def our_step(folder: Path, rows: list[str]) -> Step:
    """All of `rows` once."""
    predictor = Predictor.load(folder, device="cpu")
    return lambda: len(list(predictor.predict(rows)))


def their_pipeline(folder: Path, dtype: torch.dtype) -> Any:
    """transformers' pipeline in `dtype`."""
    import transformers

    from benchmarks.their_finetuning import quieten

    quieten()
    return transformers.pipeline(
        "text-classification", model=str(folder), device="cpu", dtype=dtype, top_k=None
    )


def their_step(folder: Path, rows: list[str]) -> Step:
    """All of `rows` once, in the way that is fastest for the first of them."""
    pipelines = {dtype: their_pipeline(folder, dtype) for dtype in (torch.float32, torch.bfloat16)}

    def run(some: list[str], dtype: torch.dtype, batch: int) -> int:
        ordered = sorted(some, key=len, reverse=True)
        limits = {"truncation": True, "max_length": MOST_TOKENS}
        return len(pipelines[dtype](ordered, batch_size=batch, **limits))

    ways = {
        f"{str(dtype).removeprefix('torch.')}, batches of {batch}": partial(
            run, dtype=dtype, batch=batch
        )
        for dtype, batch in product(pipelines, BATCHES)
    }
    seconds = {}
    for name, way in ways.items():
        began = time.perf_counter()
        way(rows[: max(TRIED, len(rows) // 50)])
        seconds[name] = time.perf_counter() - began
    best = min(seconds, key=lambda name: seconds[name])
    print(f"predict: theirs is fastest in {best}", flush=True)
    return partial(ways[best], rows)


def require_same_answers(folder: Path, rows: list[str]) -> float:
    """The largest difference of a probability to theirs in fp32; ends the benchmark above
    MOST_DIFFERENCE."""
    ours = [one.scores for one in Predictor.load(folder, device="cpu").predict(rows)]
    theirs = their_pipeline(folder, torch.float32)(rows, truncation=True, max_length=MOST_TOKENS)
    worst: float = max(
        abs(scores[one["label"]] - one["score"])
        for scores, said in zip(ours, theirs, strict=True)
        for one in said
    )
    if not worst <= MOST_DIFFERENCE:
        raise SystemExit(f"the answers differ: a probability by {worst:.4f}")
    return worst


def measure(quick: bool) -> None:
    """Print the lines."""
    rows = texts(QUICK_TEXTS if quick else TEXTS)
    words = np.percentile([len(text.split()) for text in rows], [5, 50, 95]).round()
    print(
        f"predict: {len(rows):,} texts of {words[1]:.0f} words (5 % under {words[0]:.0f}, 5 % over "
        f"{words[2]:.0f})"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        save_classifier(folder)
        worst = require_same_answers(folder, rows[:COMPARED])
        print(f"predict: probabilities differ by {worst:.4f} at most from theirs in fp32")
        makers: dict[str, Callable[[], Step]] = {
            "ours": partial(our_step, folder, rows),
            "theirs": partial(their_step, folder, rows),
        }
        with processes(makers) as steps:
            seconds = interleave(steps, rounds=1 if quick else 3)
    for name, value in seconds.items():
        print(f"predict: {name}: {len(rows) / value:,.0f} texts/s")
    ratio("predict_vs_transformers_pipeline", seconds["theirs"] / seconds["ours"], BAR)


if __name__ == "__main__":
    with told_in_a_line():
        measure(is_quick(__doc__))
