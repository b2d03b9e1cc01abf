"""Where examples come from: each by its epoch and index, its length known before it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from bertsmith.data import rng
from bertsmith.data.segments import Segments, Vocabulary
from bertsmith.text.corpus import Corpus
from bertsmith.types import Example, IntArray, Segment

EXAMPLES = 512
"""Read to tell how many tokens are left of an epoch."""

Corruption = Callable[[Segment, np.random.Generator, float], Example]
"""(segment, generator, share of the run that is over) -> what the model sees."""


class Source(Protocol):
    """Examples by (epoch, index), with their lengths known before any is made."""

    def lengths(self, epoch: int) -> IntArray:
        """(what is drawn in this epoch,) tokens."""

    def members(self, indices: Sequence[int]) -> list[int]:
        """The examples that are drawn under these numbers: themselves, or groups of them."""

    def example(self, epoch: int, index: int, progress: float = 0.0) -> Example:
        """A pure function of the source's seed, `epoch`, `index` and `progress`.

        `progress`, 0 to 1, is the share of the run that is over.
        """


class CorpusSource:
    """Segments of a corpus, corrupted afresh every epoch."""

    def __init__(
        self,
        corpus: Corpus,
        vocabulary: Vocabulary,
        plan: Callable[[int], Segments],
        corrupt: Corruption,
        seed: int,
    ) -> None:
        self._corpus, self._vocabulary = corpus, vocabulary
        self._make_plan, self._corrupt, self._seed = plan, corrupt, seed
        self._plan: tuple[int, Segments] | None = None

    def plan(self, epoch: int) -> Segments:
        """The epoch's segments; the last one asked for is kept."""
        if self._plan is None or self._plan[0] != epoch:
            self._plan = (epoch, self._make_plan(epoch))
        return self._plan[1]

    def lengths(self, epoch: int) -> IntArray:
        """See Source."""
        return self.plan(epoch).lengths

    def members(self, indices: Sequence[int]) -> list[int]:
        """See Source."""
        return list(indices)

    def documents(self, epoch: int, indices: Sequence[int]) -> list[int]:
        """The documents of the corpus that the examples `indices` begin in, from 0, each once."""
        begins = self.plan(epoch).begins[list(indices)]
        rows = np.searchsorted(self._corpus.document_offsets, begins, side="right") - 1
        return [int(row) for row in np.unique(rows)]

    def epoch_tokens(self) -> float:
        """What a model is given in epoch 0, some examples half-way through the run for all: its
        segments' tokens, but where words are dropped or spans cut out."""
        planned = self.lengths(0)
        some = np.unique(np.linspace(0, len(planned) - 1, EXAMPLES, dtype=np.int64))
        given = sum(len(self.example(0, int(index), 0.5).input_ids) for index in some)
        return float(planned.sum()) * (max(1, given) / float(planned[some].sum()))

    def segment(self, epoch: int, index: int) -> Segment:
        """What the corpus says, before it is corrupted."""
        return self.plan(epoch).read(self._corpus, self._vocabulary, index)

    def example(self, epoch: int, index: int, progress: float = 0.0) -> Example:
        """See Source."""
        generator = rng.generator("corrupt", self._seed, epoch, index)
        return self._corrupt(self.segment(epoch, index), generator, progress)


class ListSource:
    """Examples that are the same in every epoch, such as a labelled data set.

    Where `groups` are given, (G + 1,) bounds of examples that go together, a group is drawn
    as one, so that its examples share a batch.
    """

    def __init__(self, examples: list[Example], groups: IntArray | None = None) -> None:
        self._examples, self._groups = examples, groups
        self._lengths = np.array([len(example.input_ids) for example in examples], np.int64)
        if groups is not None:
            self._lengths = np.diff(np.concatenate([[0], np.cumsum(self._lengths)])[groups])

    def __len__(self) -> int:
        """How many are drawn in an epoch."""
        return len(self._lengths)

    @property
    def num_examples(self) -> int:
        """How many there are, one by one."""
        return len(self._examples)

    def lengths(self, epoch: int) -> IntArray:
        """See Source."""
        return self._lengths

    def members(self, indices: Sequence[int]) -> list[int]:
        """See Source."""
        if self._groups is None:
            return list(indices)
        bounds = self._groups.tolist()
        return [member for i in indices for member in range(bounds[i], bounds[i + 1])]

    def example(self, epoch: int, index: int, progress: float = 0.0) -> Example:
        """See Source."""
        return self._examples[index]
