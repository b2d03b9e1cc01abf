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

import numpy as np

from bertsmith.data import rng
from bertsmith.data.examples import Source
from bertsmith.data.pack import batch_bounds, collate, share_out
from bertsmith.errors import CheckpointError
from bertsmith.types import Batch, IntArray, as_one

PREFETCH = 4
"""Batches prepared ahead."""
ROUNDING = 1e-9
"""Of a share of the run."""


@dataclass(frozen=True)
class Cursor:
    """The next batch of a stream."""

    epoch: int = 0
    batch: int = 0
    phase: int = 0


START = Cursor()
Item = tuple[Cursor, list[Batch]]
"""Of a stream: a batch as its micro-batches, and the cursor that follows it."""


class Stream(ABC):
    """Batches without end, each of them a function of its cursor."""

    @abstractmethod
    def batch(self, cursor: Cursor) -> Batch:
        """The batch at `cursor`: the same one whenever and wherever it is asked for."""

    @abstractmethod
    def micro_batches(self, cursor: Cursor) -> list[Batch]:
        """The same, in the parts that go through the network one after another."""

    @abstractmethod
    def check(self, cursor: Cursor) -> None:
        """Raise CheckpointError where there is no batch at `cursor`."""

    @abstractmethod
    def following(self, cursor: Cursor) -> Cursor:
        """The cursor after `cursor`."""

    def stream(self, cursor: Cursor = START) -> Generator[Item, None, None]:
        """From `cursor` on without end: each batch with the cursor that follows it.

        Batches are prepared by a thread; closing the iterator ends it. Raises CheckpointError
        where there is no such batch.
        """
        self.check(cursor)
        return _prefetch(self._walk(cursor))

    def _walk(self, cursor: Cursor) -> Iterator[Item]:
        while True:
            parts, cursor = self.micro_batches(cursor), self.following(cursor)
            yield cursor, parts


class Loader(Stream):
    """Batches of a source in a seeded order.

    Of each batch, `rank` takes its share among `world_size`: together they see what one alone
    would, batch by batch. In place of an empty share stands the batch's shortest sequence, with
    weight 0, so that all have something to compute.

    A batch whose share is of more than `micro_tokens` is cut into micro-batches of that many at
    most, or of one draw: sequences of similar lengths together, the longest first. Every rank has
    as many, of whom some may be stand-ins.

    Where examples change over the run, `epochs` is how many the whole of it would take, and
    `begin` the share of it that lies before the first batch.
    """

    def __init__(
        self,
        source: Source,
        batch_tokens: int,
        seed: int,
        batch_sequences: int | None = None,
        micro_tokens: int | None = None,
        epochs: float = math.inf,
        begin: float = 0.0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._source, self._seed = source, seed
        self._rank, self._world_size = rank, world_size
        self._epochs, self._begin = epochs, begin
        self._batch_tokens, self._batch_sequences = batch_tokens, batch_sequences
        self._micro_tokens = micro_tokens
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
        whole = self._whole(cursor)
        lengths = self._source.lengths(cursor.epoch)[whole]
        return self._laid_out(cursor, whole, share_out(lengths, self._rank, self._world_size))

    def micro_batches(self, cursor: Cursor) -> list[Batch]:
        """See Stream."""
        whole = self._whole(cursor)
        lengths = self._source.lengths(cursor.epoch)[whole]
        shares = [
            self._cut(lengths, share_out(lengths, rank, self._world_size))
            for rank in range(self._world_size)
        ]
        own = shares[self._rank]
        most = max(map(len, shares))
        if most == 1:
            return [self._laid_out(cursor, whole, own[0])]
        nothing = [np.zeros(0, np.int64)] * (most - len(own))
        return as_one([self._laid_out(cursor, whole, part) for part in [*own, *nothing]])

    def _cut(self, lengths: IntArray, share: IntArray) -> list[IntArray]:
        """`share` as micro-batches, of which there is always one."""
        if self._micro_tokens is None or lengths[share].sum() <= self._micro_tokens:
            return [share]
        ordered = share[np.argsort(-lengths[share], kind="stable")]
        bounds = batch_bounds(lengths[ordered], self._micro_tokens)
        return [ordered[begin:end] for begin, end in pairwise(bounds)]

    def _whole(self, cursor: Cursor) -> IntArray:
        """What is drawn for the batch at `cursor`, all shares together."""
        order, bounds = self.order(cursor.epoch)
        return order[bounds[cursor.batch] : bounds[cursor.batch + 1]]

    def _laid_out(self, cursor: Cursor, whole: IntArray, places: IntArray) -> Batch:
        """What stands in `places` of `whole`, which is drawn for the batch at `cursor`; a stand-in
        where there are none."""
        weight = min(1, len(places))
        if not weight:
            places = np.argsort(self._source.lengths(cursor.epoch)[whole], kind="stable")[:1]
        indices = self._source.members(whole[places].tolist())
        progress = self.progress(cursor)
        examples = [self._source.example(cursor.epoch, index, progress) for index in indices]
        return replace(collate(examples, indices), weight=weight)

    def num_tokens(self, cursor: Cursor) -> int:
        """Of the batch at `cursor`, all shares together."""
        return int(self._source.lengths(cursor.epoch)[self._whole(cursor)].sum())

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

    def micro_batches(self, cursor: Cursor) -> list[Batch]:
        """See Stream."""
        return self.loader(cursor.phase).micro_batches(cursor)

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


def _prefetch(items: Iterator[Item]) -> Generator[Item, None, None]:
    ready: queue.Queue[Item | BaseException] = queue.Queue(PREFETCH)
    closed = threading.Event()

    def offer(item: Item | BaseException) -> bool:
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
