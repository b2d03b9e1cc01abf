"""Several runs of a fine-tuning at a time: the same results, whatever becomes of the processes."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bertsmith.engine.train import DivergenceError
from bertsmith.errors import BertsmithError, ConfigError, DataError, TrainingError
from bertsmith.jobs import finetune_runs
from bertsmith.jobs.finetune import FinetuneResult, finetune
from bertsmith.jobs.finetune_folder import RunFolder
from bertsmith.tasks import choice, classify, multilabel, qa, regress, tagging
from bertsmith.tasks.base import Task
from bertsmith.tasks.fit import batch_loss
from bertsmith.tasks.glue import GLUE
from bertsmith.tasks.symbols import symbols
from bertsmith.types import Batch

from .ended import end_once
from .tiny import save_tiny_model, write_table

PROTOCOL = {"epochs": 4, "batch_size": 16, "lr": 3e-3, "seeds": 2, "from_scratch": True}
DIFFERENT = {"seconds": 0, "threads": 0}
TASKS = [classify.TASK, multilabel.TASK, regress.TASK, tagging.TASK, qa.TASK, choice.TASK]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_table(folder / "train.tsv", 160)
    write_table(folder / "dev.tsv", 60, seed=1)
    save_tiny_model(folder / "model")
    return folder


def run(inputs: Path, out: Path, **changes: Any) -> FinetuneResult:
    files = (inputs / "train.tsv", inputs / "dev.tsv", inputs / "model")
    return finetune("classify", *files, out, **(PROTOCOL | changes))


@pytest.fixture(scope="module")
def alone(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    return run(inputs, tmp_path_factory.mktemp("runs") / "out", workers=1)


def require_same(ours: FinetuneResult, theirs: FinetuneResult) -> None:
    results = [[run | DIFFERENT for run in one.scores["runs"]] for one in (ours, theirs)]
    assert results[0] == results[1]
    weights = [one.model / "model.safetensors" for one in (ours, theirs)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    logs = [(one.folder / "log.jsonl").read_text().splitlines() for one in (ours, theirs)]
    assert sorted(logs[0]) == sorted(logs[1])
    names = [{path.name for path in one.folder.iterdir()} for one in (ours, theirs)]
    assert names[0] == names[1]


def test_they_give_what_they_give_one_after_the_other(
    alone: FinetuneResult, inputs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = run(inputs, tmp_path / "out", workers=2)
    require_same(found, alone)
    assert {run["threads"] for run in found.scores["runs"]} == {1}
    assert (found.model / "README.md").read_text() == (alone.model / "README.md").read_text()
    assert "4 runs of 4 epochs" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_that_are_ended_go_on_to_the_same(
    alone: FinetuneResult, inputs: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = ["finetune", "classify", "--workers", "2"]
    for name in ("train.tsv", "dev.tsv", "model"):
        command += [f"--{name.removesuffix('.tsv')}", str(inputs / name)]
    command += ["--out", str(out), "--seeds", "2", "--from-scratch", "--epochs", "4"]
    command += ["--batch-size", "16", "--lr", "3e-3"]
    said = end_once(number, out, "parts/*/log.jsonl", command)
    if number is signal.SIGTERM:
        assert said.splitlines()[-1] == "stopped; the same command again goes on from here"
    assert not (out / "scores.json").exists()
    require_same(run(inputs, out, workers=2 if number is signal.SIGKILL else 1), alone)


@pytest.mark.parametrize("name", ["_write_log", "save"])
def test_a_run_that_is_half_moved_is_moved_again(
    name: str,
    alone: FinetuneResult,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is best is there already, or the log too, and the result is not."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(inputs, out, workers=2)
    assert (out / "model" / "config.json").exists()
    assert not list((out / "runs").iterdir())
    require_same(run(inputs, out, workers=2), alone)


def test_a_loss_that_is_not_finite_is_told_as_ever(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"seed \d: .* lower --lr, now 1e\+30"):
        run(inputs, tmp_path / "out", workers=2, lr=1e30)
    with pytest.raises(ConfigError, match="workers: 0 are none"):
        run(inputs, tmp_path / "none", workers=0)
    assert not (tmp_path / "none").exists()


def test_a_gpu_without_memory_is_told_of(
    alone: FinetuneResult, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is some, the same command goes on."""
    steps = iter(range(5))

    def short(*given: Any) -> Any:
        of_batch = batch_loss(*given)

        def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            if next(steps, None) is None:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return of_batch(model, batch)

        return loss

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("bertsmith.tasks.fit.batch_loss", short)
        with pytest.raises(TrainingError, match=r"no memory to train on 4,096 tokens at once"):
            run(inputs, out, workers=1)
    require_same(run(inputs, out, workers=1), alone)


def test_as_many_as_there_are_cores_where_it_is_worth_it(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def side_by_side(*arguments: Any) -> int:
        asked.append(arguments[2])
        return 130

    monkeypatch.setattr(finetune_runs, "side_by_side", side_by_side)
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    assert run(inputs, tmp_path / "few", epochs=1, seeds=1, from_scratch=False).finished
    monkeypatch.setattr(finetune_runs, "WORTH_PROCESSES", 160 * 4 * 4)
    assert run(inputs, tmp_path / "many").exit_status == 130
    assert asked == [3]


@pytest.mark.parametrize("task", [*TASKS, symbols(), *(each.task for each in GLUE)])
def test_tasks_can_be_sent_to_a_process(task: Task[Any, Any]) -> None:
    found = pickle.loads(pickle.dumps(task))
    assert (type(found), found.name, found.settings) == (type(task), task.name, task.settings)


ERRORS = [
    DataError("what", where="f:1", mend="mend"),
    TrainingError("x"),
    DivergenceError("the loss is nan", 3, [7, 8], 2),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_can_be_sent_back(error: BertsmithError) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found)) == (type(error), str(error))
    assert vars(found) == vars(error)
