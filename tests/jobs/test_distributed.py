"""Pre-training by several processes: what one would do, however many they are."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bertsmith.config import RunConfig
from bertsmith.data.loader import START, Cursor
from bertsmith.engine.distributed import Group, joined
from bertsmith.engine.optim import make_schedule
from bertsmith.engine.train import State
from bertsmith.engine.train import train as train_steps
from bertsmith.jobs import recorder
from bertsmith.jobs.pretrain import pretrain
from bertsmith.jobs.setup import begin, evaluate, prepare
from bertsmith.recipes.base import recipe_names
from bertsmith.report.log import read_run
from bertsmith.text.corpus import Corpus
from processes import together
from recipes.toy import TINY, config, make_corpus

CALM = {"dropout": 0.0, "attention_dropout": 0.0}
"""No draws, so that runs can be compared."""
STEPS = 6


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("bert", tmp_path_factory.mktemp("corpus") / "c")


def calm(recipe: str = "bert", **changes: Any) -> RunConfig:
    model = {**CALM, **changes.pop("model", {})}
    budget = changes.pop("budget", {"steps": STEPS})
    return config(recipe, model=model, budget=budget, device="cpu", precision="float32", **changes)


def train(config: RunConfig, folder: Path, out: Path) -> tuple[bool, int, dict[str, float], int]:
    """One process' part of a run, and what it knows in the end."""
    result = pretrain(config, Corpus.open(folder), out)
    return result.finished, result.tokens, dict(result.evaluation), result.exit_status


def run(size: int, config: RunConfig, corpus: Corpus, out: Path) -> None:
    """Train with `size` processes; all must end alike, and have said so."""
    ends = together(size, train, config, corpus.folder, out)
    assert all(end == ends[0] for end in ends)
    assert ends[0][0] is True
    assert ends[0][3] == 0


def losses(out: Path) -> list[float]:
    return [record["loss"] for record in read_run(out / "log.jsonl").of("step")]


def weights(out: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    return load_file(out / "checkpoints" / f"step-{step:08d}" / "tensors.safetensors")


def assert_same_run(one: Path, other: Path, rtol: float = 2e-5) -> None:
    """Losses, evaluations and tokens; a weight may differ by rounding, which Adam magnifies."""
    logs = [read_run(out / "log.jsonl") for out in (one, other)]
    assert losses(one) == pytest.approx(losses(other), rel=rtol)
    evaluations = [[{**record, "kind": 0} for record in log.of("eval")] for log in logs]
    for first, second in zip(*evaluations, strict=True):
        assert first == pytest.approx(second, rel=rtol)
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=2e-4, msg=name)


@pytest.fixture(scope="module")
def alone(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "alone"
    assert pretrain(calm(), corpus, out).finished
    return out


@pytest.fixture(scope="module")
def two(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "two"
    run(2, calm(), corpus, out)
    return out


def test_two_processes_compute_what_one_does(alone: Path, two: Path) -> None:
    """Masked LM and next sentence, each divided by what the whole batch has of it."""
    assert_same_run(alone, two)
    written = [sorted(path.name for path in out.iterdir()) for out in (alone, two)]
    assert written[0] == written[1]
    assert (two / "model" / "model.safetensors").is_file()


def test_shares_that_are_empty_neither_hang_nor_count(corpus: Corpus, tmp_path: Path) -> None:
    """Batches of one or two sequences, for four processes."""
    few = calm(optim={"batch_tokens": 40})
    pretrain(few, corpus, tmp_path / "one")
    run(4, few, corpus, tmp_path / "four")
    assert_same_run(tmp_path / "one", tmp_path / "four")


def test_micro_batches_compute_what_the_whole_does(
    alone: Path, corpus: Corpus, tmp_path: Path
) -> None:
    """In one process and in three, who need different numbers of them; and a run may go on in
    others than it was begun in."""
    assert pretrain(calm(micro_tokens=40), corpus, tmp_path / "one").finished
    assert_same_run(alone, tmp_path / "one")
    run(3, calm(micro_tokens=40), corpus, tmp_path / "three")
    assert_same_run(alone, tmp_path / "three")
    half(2, corpus, tmp_path / "half", calm(micro_tokens=64))
    assert pretrain(calm(micro_tokens=40), corpus, tmp_path / "half").finished
    assert_same_run(alone, tmp_path / "half")


def test_another_number_of_processes_goes_on(
    corpus: Corpus, alone: Path, two: Path, tmp_path: Path
) -> None:
    """Two, stopped half-way, then four. As many as before go on to the bit."""
    half(2, corpus, tmp_path / "2")
    shutil.copytree(tmp_path / "2", tmp_path / "4")
    for size in (2, 4):
        run(size, calm(), corpus, tmp_path / str(size))
        assert_same_run(alone, tmp_path / str(size))
    assert losses(tmp_path / "2") == losses(two)
    mine, theirs = weights(tmp_path / "2"), weights(two)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


def stopped(config: RunConfig, folder: Path, out: Path) -> int:
    """As `train`, asked to stop in the second process alone, at once: SIGTERM."""
    if os.environ["RANK"] == "1":
        step = recorder.Recorder.step

        def stop_half_way(self: recorder.Recorder, taken: Any) -> None:
            step(self, taken)
            if taken.state.step == STEPS // 2:
                os.kill(os.getpid(), signal.SIGTERM)

        recorder.Recorder.step = stop_half_way  # type: ignore[method-assign]
    return train(config, folder, out)[3]


def half(size: int, corpus: Corpus, out: Path, config: RunConfig | None = None) -> None:
    """Half of the run."""
    ends = together(size, stopped, config or calm(), corpus.folder, out)
    assert ends == [128 + signal.SIGTERM] * size
    end = read_run(out / "log.jsonl").end
    assert end is not None
    assert (end["reason"], end["step"]) == ("stopped", STEPS // 2)


def test_a_run_that_is_ruined_is_ruined_for_all(corpus: Corpus, tmp_path: Path) -> None:
    wild = calm(optim={"lr": 20.0, "warmup": 0.5}, budget={"steps": 100})
    errors = together(2, train, wild, corpus.folder, tmp_path / "run")
    (told,) = [str(error) for error in errors if not isinstance(error, SystemExit)]
    assert [error.code for error in errors if isinstance(error, SystemExit)] == [2]
    end = read_run(tmp_path / "run" / "log.jsonl").end
    assert end is not None
    assert end["reason"] == "diverged"
    assert f"at step {end['step']}, in examples" in told
    shortest_batch = wild.optim.batch_tokens // wild.data.max_length
    assert len(set(end["examples"])) >= shortest_batch  # those of both


def test_minutes_are_settled_by_all_together(corpus: Corpus, tmp_path: Path) -> None:
    run(2, calm(budget={"minutes": 0.01}), corpus, tmp_path / "run")
    text = (tmp_path / "run" / "config.toml").read_text()
    assert "from_minutes = 0.01" in text


def test_torchrun_trains_and_one_process_speaks(corpus: Corpus, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--standalone", "-m", "bertsmith", "pretrain", "modern"]
    command += ["--corpus", str(corpus.folder), "--out", str(tmp_path / "run")]
    for table, values in TINY.items():
        for key, value in values.items():
            command += ["--set", f"{table}.{key}={value}"]

    def torchrun(*more: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [*command, *more], capture_output=True, text=True, timeout=280, env=environment
        )

    ended = torchrun()
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("held-out mlm_loss") == 1
    assert losses(tmp_path / "run")[-1] < math.log(corpus.vocab_size)
    (tmp_path / "run").rename(tmp_path / "plain")
    ended = torchrun("--set", "distributed=fsdp")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("held-out mlm_loss") == 1
    ended = torchrun("--set", "distributed=fsdp", "--set", "seed=7")
    assert ended.returncode == 1  # torchrun's own, whose report of it follows
    assert ended.stderr.count("bertsmith: error: ") == 1
    assert f"{tmp_path / 'run'}: this run was begun with other values of seed" in ended.stderr


ENDS = """
import contextlib
import os
import sys

import torch

from bertsmith.engine.distributed import joined

with joined() as group:
    torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))]).step()
    group.wait()
names = []
for task in os.listdir("/proc/self/task"):
    with contextlib.suppress(OSError):  # one that has just ended
        names.append(open(f"/proc/self/task/{task}/comm").read())
with open(f"{sys.argv[1]}/{group.rank}", "w") as file:
    file.write(f"{sum('gloo' in name for name in names)} of {len(names)}")
"""


def test_no_thread_outlives_the_group(tmp_path: Path) -> None:
    """One that still lets go of a tensor while Python ends would abort the process."""
    (tmp_path / "ends.py").write_text(ENDS)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--standalone", str(tmp_path / "ends.py"), str(tmp_path)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert told.returncode == 0, told.stderr
    threads = [(tmp_path / rank).read_text() for rank in "01"]
    assert all(said.startswith("0 of ") for said in threads), threads


def test_sharded_weights_are_trained_the_same(tmp_path: Path) -> None:
    """FSDP2, in micro-batches, Muon's matrices included; its checkpoints go on without it, and
    others with it."""
    corpus = make_corpus("modern", tmp_path / "c")
    sharded = calm("modern", distributed="fsdp", micro_tokens=64)
    pretrain(calm("modern"), corpus, tmp_path / "one")
    half(2, corpus, tmp_path / "half", sharded)
    shutil.copytree(tmp_path / "half", tmp_path / "three")
    pretrain(calm("modern"), corpus, tmp_path / "half")
    assert_same_run(tmp_path / "one", tmp_path / "half")
    run(3, sharded, corpus, tmp_path / "three")
    assert_same_run(tmp_path / "one", tmp_path / "three")


def both_ways(recipes: dict[str, Path]) -> dict[str, list[dict[str, dict[str, float]]]]:
    """Two steps and an evaluation of each recipe, with all weights everywhere and sharded."""
    found: dict[str, list[dict[str, dict[str, float]]]] = {}
    with joined() as group:
        for recipe, folder in recipes.items():
            for way in ("ddp", "fsdp"):
                chosen = config(recipe, distributed=way, precision="float32")
                setup = prepare(chosen, Corpus.open(folder), group)
                setup, model, optimizer = begin(setup)
                with closing(setup.loader().stream()) as batches:
                    stepped = train_steps(
                        model,
                        setup.recipe.loss,
                        batches,
                        optimizer,
                        make_schedule(setup.config.optim),
                        setup.length,
                        State(Cursor()),
                        setup.config.seed,
                        group,
                    )
                    steps = {str(s.state.step): dict(s.values) for s in islice(stepped, 2)}
                heldout = setup.heldout_batches()[:1]
                found.setdefault(recipe, []).append(
                    {**steps, "evaluation": evaluate(model, setup, heldout)}
                )
    return found


def test_every_recipe_can_be_sharded(tmp_path: Path) -> None:
    """With dropout and samples, which are the same for the same number of processes."""
    corpora = {name: make_corpus(name, tmp_path / name).folder for name in recipe_names()}
    for recipe, (plain, sharded) in together(2, both_ways, corpora)[0].items():
        assert plain.keys() == sharded.keys()
        for name, values in plain.items():
            assert values == pytest.approx(sharded[name], rel=1e-4, abs=1e-5), (recipe, name)


def test_the_ranks_share_evenly(corpus: Corpus) -> None:
    shares = [prepare(calm(), corpus, Group(rank, 2)).loader().batch(START) for rank in (0, 1)]
    tokens = [share.num_tokens for share in shares]
    assert abs(tokens[0] - tokens[1]) <= calm().data.max_length
