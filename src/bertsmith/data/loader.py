"""Order, batches and prefetch: an endless stream of batches that any cursor can rejoin.

The order of epoch e is a permutation drawn from (seed, e) alone, and batches are cut from it
by the token budget, so that the cursor (epoch, batch) is the whole state of the stream. A run
whose segments change their length is one such stream after another, and the cursor says in
which it is.
"""

from __future__ import annotations

import math
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from bertsmith.data import rng
from bertsmith.data.pack import batch_bounds, collate, share_out
from bertsmith.data.segments import Segments, Vocabulary
from bertsmith.errors import CheckpointError
from bertsmith.text.corpus import Corpus
from bertsmith.types import Batch, Example, IntArray, Segment

PREFETCH = 4
"""Batches prepared ahead."""
ROUNDING = 1e-9
"""Of a share of the run."""

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


@dataclass(frozen=True)
class Cursor:
    """The next batch of a stream."""

    epoch: int = 0
    batch: int = 0
    phase: int = 0


START = Cursor()


class Stream(ABC):
    """Batches without end, each of them a function of its cursor."""

    @abstractmethod
    def batch(self, cursor: Cursor) -> Batch:
        """The batch at `cursor`: the same one whenever and wherever it is asked for."""

    @abstractmethod
    def check(self, cursor: Cursor) -> None:
        """Raise CheckpointError where there is no batch at `cursor`."""

    @abstractmethod
    def following(self, cursor: Cursor) -> Cursor:
        """The cursor after `cursor`."""

    def stream(self, cursor: Cursor = START) -> Generator[tuple[Cursor, Batch], None, None]:
        """From `cursor` on without end: each batch with the cursor that follows it.

        Batches are prepared by a thread; closing the iterator ends it. Raises CheckpointError
        where there is no such batch.
        """
        self.check(cursor)
        return _prefetch(self._walk(cursor))

    def _walk(self, cursor: Cursor) -> Iterator[tuple[Cursor, Batch]]:
        while True:
            batch, cursor = self.batch(cursor), self.following(cursor)
            yield cursor, batch


class Loader(Stream):
    """Batches of a source in a seeded order.

    Of each batch, `rank` takes its share among `world_size`: together they see what one alone
    would, batch by batch. In place of an empty share stands the batch's shortest sequence, with
    weight 0, so that all have something to compute.

    Where examples change over the run, `epochs` is how many the whole of it would take, and
    `begin` the share of it that lies before the first batch.
    """

    def __init__(
        self,
        source: Source,
        batch_tokens: int,
        seed: int,
        batch_sequences: int | None = None,
        epochs: float = math.inf,
        begin: float = 0.0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._source, self._seed = source, seed
        self._rank, self._world_size = rank, world_size
        self._epochs, self._begin = epochs, begin
        self._batch_tokens, self._batch_sequences = batch_tokens, batch_sequences
        self._epoch: tuple[int, IntArray, IntArray] | None = None

    def order(self, epoch: int) -> tuple[IntArray, IntArray]:
        """The permutation of the epoch's examples, and (batches + 1,) where batches begin."""
        if self._epoch is None or self._epoch[0] != epoch:
            lengths = self._source.lengths(epoch)
            order = rng.generator("order", self._seed, epoch).permutation(len(lengths))
            bounds = batch_bounds(lengths[order], self._batch_tokens, self._batch_sequences)
            self._epoch = (epoch, order, bounds)
        return self._epoch[1], self._epoch[2]

    def num_batches(self, epoch: int) -> int:
        """Batches in this epoch."""
        return len(self.order(epoch)[1]) - 1

    def progress(self, cursor: Cursor) -> float:
        """Share of the run that lies before `cursor`, every epoch counted as equally long."""
        done = cursor.epoch + cursor.batch / self.num_batches(cursor.epoch)
        return min(1.0, self._begin + done / self._epochs)

    def batch(self, cursor: Cursor) -> Batch:
        """See Stream."""
        order, bounds = self.order(cursor.epoch)
        whole = order[bounds[cursor.batch] : bounds[cursor.batch + 1]]
        lengths = self._source.lengths(cursor.epoch)[whole]
        share = share_out(lengths, self._rank, self._world_size)
        weight = min(1, len(share))
        drawn = [int(i) for i in whole[share if weight else [lengths.argmin()]]]
        indices = self._source.members(drawn)
        progress = self.progress(cursor)
        examples = [self._source.example(cursor.epoch, index, progress) for index in indices]
        return replace(collate(examples, indices), weight=weight)

    def num_tokens(self, cursor: Cursor) -> int:
        """Of the batch at `cursor`, all shares together."""
        order, bounds = self.order(cursor.epoch)
        whole = order[bounds[cursor.batch] : bounds[cursor.batch + 1]]
        return int(self._source.lengths(cursor.epoch)[whole].sum())

    def check(self, cursor: Cursor) -> None:
        """See Stream."""
        if cursor.batch >= self.num_batches(cursor.epoch):
            raise CheckpointError(
                f"there is no batch {cursor.batch:,} in epoch {cursor.epoch}, which has "
                f"{self.num_batches(cursor.epoch):,}",
                mend="the checkpoint is of another corpus or config; give another --out",
            )

    def following(self, cursor: Cursor) -> Cursor:
        """See Stream."""
        if cursor.batch + 1 < self.num_batches(cursor.epoch):
            return replace(cursor, batch=cursor.batch + 1)
        return replace(cursor, epoch=cursor.epoch + 1, batch=0)


class Phases(Stream):
    """Loaders one after another, each until the share of the run at its end is over.

    Where a phase ends follows from the cursor alone (`Loader.progress`), so that a run goes
    on across it to the bit; the next phase begins with its own epoch 0. Loaders are made
    when they are reached.
    """

    def __init__(self, ends: Sequence[float], loader: Callable[[int], Loader]) -> None:
        self._ends, self._make = ends, loader
        self._loaders: dict[int, Loader] = {}

    def loader(self, phase: int) -> Loader:
        """The batches of one phase."""
        if phase not in self._loaders:
            self._loaders[phase] = self._make(phase)
        return self._loaders[phase]

    def progress(self, cursor: Cursor) -> float:
        """Share of the run that lies before `cursor`."""
        return self.loader(cursor.phase).progress(cursor)

    def batch(self, cursor: Cursor) -> Batch:
        """See Stream."""
        return self.loader(cursor.phase).batch(cursor)

    def check(self, cursor: Cursor) -> None:
        """See Stream."""
        if cursor.phase >= len(self._ends):
            raise CheckpointError(
                f"there is no phase {cursor.phase} in a run of {len(self._ends)}",
                mend="the checkpoint is of another config; give another --out",
            )
        self.loader(cursor.phase).check(cursor)

    def following(self, cursor: Cursor) -> Cursor:
        """See Stream."""
        following = self.loader(cursor.phase).following(cursor)
        is_last = cursor.phase + 1 == len(self._ends)
        if is_last or self.progress(following) < self._ends[cursor.phase] - ROUNDING:
            return following
        return Cursor(phase=cursor.phase + 1)


def sequential_batches(source: Source, batch_tokens: int, epoch: int = 0) -> Iterator[Batch]:
    """Every example of `source` once, of similar lengths together, longest first."""
    lengths = source.lengths(epoch)
    order = np.argsort(-lengths, kind="stable")
    bounds = batch_bounds(lengths[order], batch_tokens)
    for begin, end in pairwise(bounds):
        indices = source.members([int(index) for index in order[begin:end]])
        yield collate([source.example(epoch, index) for index in indices], indices)


def _prefetch(items: Iterator[tuple[Cursor, Batch]]) -> Generator[tuple[Cursor, Batch], None, None]:
    ready: queue.Queue[tuple[Cursor, Batch] | BaseException] = queue.Queue(PREFETCH)
    closed = threading.Event()

    def offer(item: tuple[Cursor, Batch] | BaseException) -> bool:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not offer(item):
                    return
        except BaseException as error:
            offer(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()
