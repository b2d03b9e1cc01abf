"""How long a run waits, half-way through 10 million segments, before it goes on.

    python -m benchmarks.resume CORPUS [--quick]

The order of an epoch, its pairs and its batches are functions of (seed, epoch) that are computed
again when a run is resumed; a checkpoint holds one cursor. CORPUS, repeated until it has so many
segments of up to 128 tokens, is planned, and the batch in the middle of the epoch is made. The
weights, which any run has to read, are left out. `--quick` is a tenth of it, and its time times
ten.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mistakes import told_in_a_line
from benchmarks.timing import ratio
from bertsmith.config import resolve
from bertsmith.data.loader import Cursor
from bertsmith.jobs.setup import prepare
from bertsmith.recipes.base import find
from bertsmith.text.corpus import Corpus
from bertsmith.types import BoolArray, IntArray

SEGMENTS = 10_000_000
SECONDS = 5.0
RECIPES = ("modern", "bert", "albert")


class Repeated:
    """A corpus that has another one's documents several times."""

    def __init__(self, corpus: Corpus, times: int) -> None:
        self._corpus, self._tokens = corpus, corpus.num_tokens
        self.num_tokens = times * corpus.num_tokens
        self.sentence_offsets = self._repeated(corpus.sentence_offsets, times)
        self.document_offsets = self._repeated(corpus.document_offsets, times)

    def _repeated(self, offsets: Any, times: int) -> IntArray:
        own = np.asarray(offsets, dtype=np.int64)
        return np.concatenate([own[:1], *(own[1:] + i * self._tokens for i in range(times))])

    def read(self, begin: int, end: int) -> Any:
        """The tokens from `begin` to `end`, which are of one sentence's or document's repeat."""
        shift = begin // self._tokens * self._tokens
        return self._corpus.read(begin - shift, end - shift)

    def word_starts(self, begin: int, end: int) -> BoolArray:
        """Likewise, where words begin."""
        shift = begin // self._tokens * self._tokens
        return self._corpus.word_starts(begin - shift, end - shift)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._corpus, name)


def seconds_to_go_on(recipe: str, corpus: Corpus, segments: int) -> tuple[int, float]:
    """The segments there are, and the seconds until the batch in the middle of them is there."""
    config = resolve(find(recipe).config, {"data": {"max_length": 128}, "precision": "float32"})
    one = len(prepare(config, corpus).sources[0].plan(0))
    repeated: Any = Repeated(corpus, -(-segments // one))
    began = time.perf_counter()
    setup = prepare(config, repeated)
    loader = setup.loader()
    middle = Cursor(0, loader.loader(0).num_batches(0) // 2)
    with_batch = loader.batch(middle)
    seconds = time.perf_counter() - began
    assert with_batch.num_tokens > 0
    return len(setup.sources[0].plan(0)), seconds


@told_in_a_line()
def main() -> None:
    """Time each recipe, and print the worst."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    corpus = Corpus.open(arguments.corpus)
    wanted = SEGMENTS // 10 if arguments.quick else SEGMENTS
    for recipe in RECIPES:
        segments, seconds = seconds_to_go_on(recipe, corpus, wanted)
        print(f"{recipe}: {segments:,} segments, the middle batch after {seconds:.2f} s")
        whole = seconds * SEGMENTS / segments
        ratio(f"resume_seconds_{recipe}_over_5", whole / SECONDS, 1.0)


if __name__ == "__main__":
    main()
