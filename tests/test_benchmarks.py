"""What the benchmarks claim to compare is the same on both sides."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks/ is no part of the package

from benchmarks import (
    corpus,
    electra,
    glue_scores,
    kill,
    mistakes,
    pretrain,
    scale,
    startup,
    steps,
    symbols,
    timing,
    zero_shot,
)

from bertsmith.errors import DataError
from bertsmith.nn.models import count_parameters


def test_the_two_networks_agree() -> None:
    ours, theirs = pretrain.losses()
    assert ours == pytest.approx(theirs, abs=steps.MOST_DIFFERENCE)
    assert abs(ours - 10.33) > 0.1  # it is not the ln V of weights that do nothing


def test_electras_networks_agree() -> None:
    ours, theirs = electra.losses()
    assert ours == pytest.approx(theirs, abs=steps.MOST_DIFFERENCE)
    assert abs(ours - 10.33 - 50 * 0.693) > 0.1


def test_networks_that_differ_end_the_comparison() -> None:
    steps.require_same_losses(5.0, 5.00005)
    for theirs in (5.001, float("nan")):
        with pytest.raises(SystemExit, match="the networks differ: our loss is"):
            steps.require_same_losses(5.0, theirs)


def test_steps_are_of_the_same_network_and_their_work_is_counted() -> None:
    for size in electra.SIZES:
        model = size.model.model_copy(update={"vocab_size": 99, "num_layers": 1})
        ours, theirs = electra.Electra(model), electra.Theirs.build(model)
        assert count_parameters(ours) == sum(weight.numel() for weight in theirs.parameters())
    small = steps.Size(steps.bert_config(2, 64), 3, bar=1, share_bar=1, rounds=1)
    assert small.name == "L2_H64"
    layer = 12 * 64**2 + 2 * 128 * 64
    head = 64**2 + 64 * steps.VOCABULARY
    assert pretrain.products(small) == 3 * (128 * 2 * layer + 19 * head)


def test_each_altered_copy_brings_new_words() -> None:
    text = "London calling to the faraway towns, now that battle is declared and war come down."
    words = {word for copy in range(1, 9) for word in corpus.with_new_words(text, copy).split()}
    assert len(words) > 1.5 * len(text.split())
    assert corpus.with_new_words(text, 3) == corpus.with_new_words(text, 3)
    assert len(corpus.with_new_words(text, 3)) == len(text)


def test_other_tokens_end_the_comparison() -> None:
    corpus.require_same_tokens(5, 5)
    with pytest.raises(SystemExit, match="our corpus has 5 tokens, encode_batch gave 6"):
        corpus.require_same_tokens(5, 6)


def test_a_nested_import_of_torch_is_seen() -> None:
    def imported(module: str) -> bool:
        command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
        return startup.names_torch(
            subprocess.run(command, check=True, capture_output=True, text=True).stderr
        )

    assert imported("bertsmith.nn.losses")
    assert not imported("bertsmith.cli.main")


BARE = """
import runpy, sys
for name in ("pydantic", "tomli_w", "zstandard"):
    sys.modules[name] = None
sys.argv = ["gpu", "--device", "cpu", "--tiny"]
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""


def test_the_gpu_benchmark_runs_beside_torch_and_transformers_alone() -> None:
    """Where bertsmith is not installed; on a processor, and tiny."""
    root = Path(__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, "-c", BARE], cwd=root, capture_output=True, text=True, timeout=250
    )
    assert ended.returncode == 0, ended.stderr
    assert "ratio gpu_L2_H64_32_vs_transformers" in ended.stdout
    for who in ("ours", "theirs", "theirs compiled"):
        assert f"L2_H64_32: {who}: " in ended.stdout


def test_the_plan_of_large_runs_is_what_its_rates_give() -> None:
    page = Path(__file__).parents[1] / "docs" / "scale.md"
    assert scale.table() in page.read_text("utf-8")
    assert f"{scale.A100_RATE:,.0f} tokens/s" in page.read_text("utf-8")


def test_kill_9_ends_in_the_same_weights(tmp_path: Path) -> None:
    """The whole of it is benchmarks/kill.py."""
    tally = kill.kill_runs(tmp_path, kills=3, steps=60)
    assert tally.resumed == tally.kills == 3
    assert tally.in_saves >= 1  # the first kill waits for one


def fails(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("block", "status", "said"),
    [
        (partial(fails, DataError("no text", where="a.txt")), 2, "error: a.txt: no text\n"),
        (lambda: Path("none", "a.txt").read_text(), 2, "error: none/a.txt: No such file or direc"),
        (partial(subprocess.run, [sys.executable, "-c", "exit(3)"], check=True), 3, ""),
    ],
)
def test_a_mistake_is_told_in_a_line(
    block: Callable[[], object], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, mistakes.told_in_a_line():
        block()
    assert ended.value.code == status
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == bool(said)


def test_a_bug_is_no_mistake() -> None:
    for bug in (ValueError("3"), subprocess.CalledProcessError(1, "x", stderr=b"why")):
        with pytest.raises(type(bug)), mistakes.told_in_a_line():
            fails(bug)


def test_data_are_where_they_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong path is not taken for none, where other text would be measured instead."""
    monkeypatch.setenv("BERTSMITH_DATA", str(tmp_path))
    assert mistakes.data_folder() == tmp_path
    monkeypatch.setenv("BERTSMITH_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match="none: no such folder; set"):
        next(corpus.documents())
    monkeypatch.delenv("BERTSMITH_DATA")
    assert mistakes.data_at_hand() is None
    with pytest.raises(DataError, match=r"BERTSMITH_DATA: names no folder; name that"):
        mistakes.data_folder()


def test_what_is_missing_is_told_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"no RTE/train\.tsv; give the folder"):
        glue_scores.require_tasks(tmp_path, ["RTE"])
    for name in ("train", "dev"):
        (tmp_path / "RTE").mkdir(exist_ok=True)
        (tmp_path / "RTE" / f"{name}.tsv").touch()
    glue_scores.require_tasks(tmp_path, ["RTE"])
    asked = ["symbols", "model", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", asked)
    with pytest.raises(SystemExit):
        symbols.main()
    assert f"error: {tmp_path}: none of dna_splice.tsv, " in capsys.readouterr().err


def test_zero_shot_scores_are_told_by_beginning_and_seed(tmp_path: Path) -> None:
    f1 = {"pretrained": [0.5, 0.2, 0.3], "scratch": [0.1]}
    runs = [
        {"init": init, "seed": seed, "also": {"XQuAD zh": {"f1": value, "exact": value / 2}}}
        for init, values in f1.items()
        for seed, value in enumerate(values)
    ]
    scores = zero_shot.scores_on("XQuAD zh", runs)
    asked = zero_shot.Asked("English questions", 1000, "XQuAD zh", scores)
    spreads = ["30.0 (20.0 to 50.0) / 15.0 (10.0 to 25.0)", "10.0 / 5.0"]
    assert asked.cells() == ["English questions", "1,000", "XQuAD zh", *spreads]
    zero_shot.draw([asked], tmp_path / "f1")
    assert "English" in (tmp_path / "f1.svg").read_text("utf-8")


def test_a_mistake_in_another_process_is_told_there_and_ends_this_one(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def ask(asked: dict[str, timing.Step]) -> None:
        assert [asked["good"](), asked["good"]()] == [3, 3]
        asked["bad"]()

    sides = {"good": partial(partial, len, "abc"), "bad": Path("none", "a.txt").read_text}
    with pytest.raises(SystemExit) as ended, timing.processes(sides) as asked:  # type: ignore[arg-type]
        ask(asked)
    assert ended.value.code == 2
    assert capfd.readouterr().err == "bertsmith: error: none/a.txt: No such file or directory\n"
