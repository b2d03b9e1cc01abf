"""Several processes that train one model together, each on its share of every batch.

    whole batch --loader's rank--> this process' share
      --loss, divided by the whole's counts (Batch.total)--> its part of the whole's loss
      --backward--> its part of the whole's gradient
      --summed over the processes--> the whole's gradient, the same everywhere --> one step

So many processes compute what one would on the whole batch, to the rounding of sums. Nothing is
averaged: a share with more masked tokens weighs more. Messages that the host reads (losses,
decisions, texts) go between processors; gradients and counts stay where the model is.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from bertsmith.errors import ConfigError, TrainingError
from bertsmith.types import Batch

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

BUCKET_BYTES = 32 << 20
"""Of gradients, in one message."""
FAILED = "bertsmith/failed"
"""Counts the processes that ended in an error; the first of them tells it."""


@dataclass(frozen=True)
class Group:
    """The processes of one run, and which of them this is; by default, the only one.

    Every process must call each method at the same point.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def share(self, batch: Batch) -> Batch:
        """`batch` as this process' share of one: its counts are then everyone's."""
        if self.size == 1:
            return batch
        return replace(batch, add_up=self._sum)

    def sums(self, values: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Each of `values`, which all have by the same names, added up."""
        found = [float(value) for value in values.values()]
        numbers = self._sum(torch.tensor(found, dtype=torch.float64))
        return dict(zip(values, numbers.tolist(), strict=True))

    def largest(self, *numbers: int) -> list[int]:
        """The largest of everyone's, place by place: for decisions that all must take alike."""
        tensor = torch.tensor(numbers, dtype=torch.int64)
        if self.size > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put into each of `tensors` the sum of everyone's, many of them in one message."""
        if self.size == 1:
            return
        under_way = []
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            under_way.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
        for bucket, flat, message in under_way:
            message.wait()
            parts = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, sums in zip(bucket, parts, strict=True):
                tensor.copy_(sums.view_as(tensor))

    def tell(self, text: str, source: int = 0) -> str:
        """The text of the process `source`."""
        if self.size == 1:
            return text
        (length,) = self.largest(len(text.encode()) if self.rank == source else 0)
        if not length:
            return ""
        letters = torch.zeros(length, dtype=torch.uint8)
        if self.rank == source:
            letters.copy_(torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8))
        dist.broadcast(letters, source)
        return bytes(letters.tolist()).decode()

    def union(self, numbers: Sequence[int]) -> list[int]:
        """Everyone's `numbers`, one process after another."""
        texts = [self.tell(json.dumps(list(numbers)), source) for source in range(self.size)]
        return [number for text in texts for number in json.loads(text)]

    def hand_out(
        self, tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]
    ) -> dict[str, Tensor]:
        """The fp32 tensors of the first process, on the host, for all; theirs are not looked at.

        `shapes` has every name that there may be.
        """
        names = json.loads(self.tell(json.dumps(list(tensors))))
        handed = {}
        for name in names:
            tensor = tensors[name] if self.leads else torch.empty(shapes[name])
            if self.size > 1:
                dist.broadcast(tensor, 0)
            handed[name] = tensor
        return handed

    def wait(self) -> None:
        """Until all are here."""
        self.largest(0)

    def _sum(self, tensor: Tensor) -> Tensor:
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor


ALONE = Group()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of neighbours of BUCKET_BYTES at most, or of one tensor."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and size + tensor.nbytes > BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket


def require_alone(what: str) -> None:
    """Raise ConfigError where torchrun started several processes; `what` trains in one."""
    if (size := os.environ.get("WORLD_SIZE", "1")) != "1":
        raise ConfigError(
            f"{what} trains in one process, and here are {size}",
            where="WORLD_SIZE",
            mend="run it without torchrun, or with --nproc-per-node 1",
        )


@contextmanager
def joined() -> Iterator[Group]:
    """The processes that torchrun started with this one, until all are done; or ALONE.

    Inside another `joined`, its group. Where one process fails, the others are cut off: the
    first to fail raises what happened, and the others end silently with exit code 2.
    """
    if dist.is_initialized():
        yield Group(dist.get_rank(), dist.get_world_size())
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    store, group = _join()
    try:
        group.wait()  # until all are connected: before that, none may fail of its own
        yield group
        group.wait()
    except Exception as error:
        is_first = _is_first(store)  # before the others find themselves cut off
        if not torch.cuda.is_available():  # NCCL would wait for them
            dist.destroy_process_group()
        if not is_first:
            sys.exit(2)
        if _is_cut_off(error):
            raise TrainingError(
                "another process of the run has ended",
                mend="run the same command again: it goes on from the last checkpoint",
            ) from None
        raise
    else:
        dist.destroy_process_group()


def _join() -> tuple[Store, Group]:
    try:
        store, rank, size = next(rendezvous("env://"))
    except ValueError as error:
        raise ConfigError(str(error), where="WORLD_SIZE", mend="start with torchrun") from None
    backend = "gloo"
    if torch.cuda.is_available():
        place, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if place >= count:
            raise ConfigError(
                f"more processes than GPUs, which are {count}",
                where="--nproc-per-node",
                mend="start one a GPU, or hide the GPUs with CUDA_VISIBLE_DEVICES=",
            )
        torch.cuda.set_device(place)
        backend = "cpu:gloo,cuda:nccl"
    # Imported later (torch.optim does), it would hold the group in its functions' defaults:
    # its threads would then outlive it, and sometimes abort the process as Python ends.
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    return store, Group(rank, size)


def _is_first(store: Store) -> bool:
    """Whether no other process has failed before; told by what started them."""
    try:
        return int(store.add(FAILED, 1)) == 1
    except RuntimeError:  # it has ended itself
        return False


def _is_cut_off(error: Exception) -> bool:
    """Whether `error` is that a message to another process failed."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )
