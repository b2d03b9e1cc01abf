"""What processes tell each other."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
import torch

from bertsmith.engine import distributed
from bertsmith.engine.distributed import ALONE, Group, joined
from bertsmith.errors import CheckpointError, TrainingError
from bertsmith.types import Batch
from processes import Together, together

NOTHING = Batch(torch.zeros(0), torch.zeros(0), torch.zeros(0), (), ())


def messages() -> dict[str, object]:
    """One of each kind, from processes that have different things to say."""
    distributed.BUCKET_BYTES = 40
    with joined() as group:
        with joined() as same:
            assert same == group
        tensors = [torch.full((n, 2), float(group.rank + n)) for n in (1, 7, 3)]
        group.add_up(tensors)
        shapes = {"a": torch.Size([2]), "b": torch.Size([]), "c": torch.Size([9])}
        mine = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3.0)} if group.leads else {}
        share = group.share(replace(NOTHING, parts=(NOTHING, NOTHING)))
        counts = [share.total(lambda _, n=n: n) for n in (group.rank, 0)]
        return {
            "sums": group.sums({"x": torch.tensor(0.5), "y": group.rank}),
            "largest": group.largest(group.rank, -group.rank, True),
            "added": [tensor.unique().tolist() for tensor in tensors],
            "told": [group.tell(f"é {group.rank}"), group.tell(str(group.rank), 1), group.tell("")],
            "union": group.union(range(group.rank)),
            "handed": {key: t.tolist() for key, t in group.hand_out(mine, shapes).items()},
            "counts": [count.item() for count in counts],
        }


def test_all_hear_the_same() -> None:
    first, *others = together(3, messages)
    assert first == {
        "sums": {"x": 1.5, "y": 3.0},
        "largest": [2, 0, 1],
        "added": [[3.0 + 3 * n] for n in (1, 7, 3)],
        "told": ["é 0", "1", ""],
        "union": [0, 0, 1],
        "handed": {"a": [1.0, 2.0], "b": 3.0},
        "counts": [6, 1],  # at least 1: a mean is divided by it
    }
    assert others == [first, first]


def test_one_alone_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as group:
        assert group == ALONE == Group(0, 1)
        assert group.leads
        assert group.share(NOTHING) is NOTHING
        assert group.sums({"x": 2}) == {"x": 2.0}
        assert group.largest(3, False) == [3, 0]
        assert group.tell("here") == "here"
        assert group.union([4]) == [4]


def fail(failing: int) -> None:
    with joined() as group:
        if group.rank == failing:
            raise CheckpointError("mine alone")
        group.wait()
        group.wait()


@pytest.mark.parametrize("failing", [0, 2])
def test_the_one_that_fails_tells_it_and_no_other(failing: int) -> None:
    errors = together(3, fail, failing)
    told = errors.pop(failing)
    assert isinstance(told, CheckpointError)
    assert str(told) == "mine alone"
    assert [error.code for error in errors] == [2, 2]


def die() -> None:
    with joined() as group:
        group.wait()
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        group.wait()


def test_a_killed_process_is_told_of_once() -> None:
    run = Together(3, die)
    run.processes[1].join(30)
    lines = [line for rank, line in enumerate(run._lines) if rank != 1]
    run._lines = lines
    errors = run.results()
    (told,) = [error for error in errors if isinstance(error, TrainingError)]
    assert "another process of the run has ended; run the same command again" in str(told)
    assert [error.code for error in errors if isinstance(error, SystemExit)] == [2]
