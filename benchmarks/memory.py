"""Fine-tuning steps by the tokens that go through the network at once: their memory, their time.

    python -m benchmarks.memory

A process of its own for each bound (`bertsmith.tasks.fit.MICRO_TOKENS`), the last without one,
on sequences of a few hundred tokens: stories with four options each, contexts with a question.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

from benchmarks.embed import model_folder
from benchmarks.finetuning_sets import SETS
from benchmarks.mistakes import data_folder, told_in_a_line
from benchmarks.our_finetuning import OurRun
from benchmarks.timing import Step, processes
from bertsmith.tasks import fit

BATCHES = {"MCTest": 16, "SQuAD 1.1": 32}
BOUNDS = (2048, 4096, 8192, 1 << 30)
STEPS = 3
"""The first of them is warm-up."""


def steps_of(name: str, batch_size: int, bound: int) -> Step:
    """What trains STEPS times, and says what that took."""

    def train() -> str:
        fit.MICRO_TOKENS = bound
        labels = SETS[name].load(name, data_folder(), STEPS * batch_size)
        recipe = replace(labels.recipe, batch_size=batch_size, epochs=1)
        ends: list[float] = []
        dev = replace(labels.dev, rows=labels.dev.rows[:1])
        run = OurRun(replace(labels, recipe=recipe, dev=dev), model_folder())
        run.train(lambda: ends.append(time.process_time()))
        seconds = [end - begin for begin, end in pairwise(ends)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return (
            f"{peak * 1024 / 1e9:.1f} GB at most, "
            f"{statistics.median(seconds):.1f} s of processor time a step"
        )

    return train


@told_in_a_line()
def main() -> None:
    """Measure each set with each bound, and print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=BATCHES, nargs="+", default=list(BATCHES))
    only = parser.parse_args().only
    data_folder()
    for name in only:
        makers: dict[str, Callable[[], Step]] = {
            f"{bound:,} tokens" if bound < 1 << 30 else "a whole batch": partial(
                steps_of, name, BATCHES[name], bound
            )
            for bound in BOUNDS
        }
        with processes(makers) as steps:
            for what, step in steps.items():
                print(f"{name}, batch {BATCHES[name]}, {what} at once: {step()}", flush=True)


if __name__ == "__main__":
    main()
