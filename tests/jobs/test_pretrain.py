"""Pre-training runs on a toy language: learn, stop and go on, refuse."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bertsmith import recipes
from bertsmith.cli import main
from bertsmith.config import RunConfig, resolve
from bertsmith.data.loader import Cursor
from bertsmith.engine import checkpoint
from bertsmith.engine.train import Length, State, Step
from bertsmith.errors import CheckpointError, ConfigError, CorpusError, TrainingError
from bertsmith.export.huggingface import load_model
from bertsmith.files import alone_in
from bertsmith.jobs import recorder
from bertsmith.jobs.pretrain import _crosses, load_config, pretrain
from bertsmith.jobs.preview import preview
from bertsmith.jobs.setup import describe, prepare
from bertsmith.nn.models import SequenceClassifier
from bertsmith.recipes.base import find
from bertsmith.report.log import read_run
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.sources import Document
from bertsmith.types import Batch
from recipes.toy import TINY, config, documents, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("modern", tmp_path_factory.mktemp("corpus") / "c")


def digest(folder: Path) -> str:
    """Of the weights of the newest checkpoint."""
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    return hashlib.sha256((newest / "tensors.safetensors").read_bytes()).hexdigest()


def test_a_finished_run_is_not_trained_again(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = pretrain(config("bert"), corpus, out)
    log = read_run(out / "log.jsonl")
    assert log.run["unigram_entropy"] == pytest.approx(corpus.unigram_entropy)
    assert "nsp_accuracy" in result.evaluation
    before = digest(out)
    assert pretrain(config("bert"), corpus, out).finished
    assert digest(out) == before


def test_it_learns_from_context(corpus: Corpus, tmp_path: Path) -> None:
    result = pretrain(config("modern", budget={"steps": 200}), corpus, tmp_path / "run")
    assert result.evaluation["mlm_loss"] < corpus.unigram_entropy - 0.5


def test_the_last_evaluation_is_the_one_reported(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a log line stands for several steps."""
    monkeypatch.setattr(recorder, "RECORDS", 4)
    result = pretrain(config("bert", budget={"steps": 13}), corpus, tmp_path / "run")
    log = read_run(tmp_path / "run" / "log.jsonl")
    assert log.last("eval")["step"] == log.last("step")["step"] == 13
    assert log.last("eval")["mlm_loss"] == result.evaluation["mlm_loss"]
    assert len(log.of("step")) < 13


PAIRS_ONLY = """
from dataclasses import replace

from torch.nn import functional

from bertsmith.nn.models import SequenceClassifier
from bertsmith.recipes.base import find
from bertsmith.recipes import bert


def model(config):
    return SequenceClassifier(config, 2)


def loss(model, batch):
    value = functional.cross_entropy(model(batch).float(), batch.targets["labels"])
    return value, {"nsp_loss": value}


config = bert.RECIPE.config.model_copy(update={"recipe": "pairs_only"})
RECIPE = replace(bert.RECIPE, config=config, model=model, loss=loss)
"""


def test_a_recipe_may_bring_a_network_that_fills_no_masks(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pairs_only.py").write_text(PAIRS_ONLY)
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    out = tmp_path / "run"
    result = pretrain(config("pairs_only"), corpus, out)
    assert result.finished
    assert set(result.evaluation) == {"loss", "nsp_loss"}
    assert not read_run(out / "log.jsonl").of("fill")
    assert "bertsmith fill" not in (out / "README.md").read_text()
    assert isinstance(load_model(result.model), SequenceClassifier)
    sample = {"fill": ["the [MASK] sees."]}
    with pytest.raises(ConfigError, match="recipe 'pairs_only' fills no masks; leave it out"):
        pretrain(config("pairs_only", log=sample), corpus, tmp_path / "other")


SCHEDULE = {
    "stages": [{"share": 0.5, "masking": "token"}, {"share": 0.5, "masking": "span"}],
    "mask_rate": 0.15,
    "final_mask_rate": 0.4,
}


@pytest.mark.parametrize("budget", [{"steps": 40}, {"steps": 400}, {"tokens": 30_000}], ids=str)
def test_masking_follows_the_run(budget: dict[str, int], corpus: Corpus) -> None:
    """From the first rate to the last, whatever the budget counts; evaluation as at the end."""
    setup = prepare(config("modern", data=SCHEDULE, budget=budget), corpus)
    loader, state = setup.loader(), State(Cursor())
    over, rates = [], []
    for cursor, [batch] in loader.stream():
        over.append(setup.length.progress(state))
        rates.append(len(batch.targets["mlm_labels"]) / batch.num_tokens)
        assert loader.progress(state.cursor) == pytest.approx(over[-1], abs=0.01)
        state = State(cursor, state.step + 1, state.tokens + batch.num_tokens)
        if setup.length.progress(state) >= 1:
            break
    expected = 0.15 + 0.25 * np.array(over)
    assert np.polyfit(expected, rates, 1)[0] == pytest.approx(1.0, abs=0.2)
    heldout = setup.heldout_batches()
    masked = sum(len(batch.targets["mlm_labels"]) for batch in heldout)
    assert masked / sum(batch.num_tokens for batch in heldout) > 0.3


def test_minutes_are_no_length_yet(corpus: Corpus) -> None:
    setup = prepare(config("modern", data=SCHEDULE, budget={"minutes": 1}), corpus)
    assert setup.loader().progress(Cursor(5, 0)) == 0.0


def arguments(corpus: Corpus, out: Path, steps: int) -> list[str]:
    """Of the command that trains, saving at every step."""
    sets = [f"budget.steps={steps}", "log.checkpoint_minutes=1e-9"]
    for table, values in TINY.items():
        if table != "budget":
            sets += [f"{table}.{key}={value}" for key, value in values.items()]
    pairs = [argument for pair in sets for argument in ("--set", pair)]
    return ["pretrain", "modern", "--corpus", str(corpus.folder), "--out", str(out), *pairs]


def stop_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """Have this very process asked to stop in a step."""
    shown = recorder.Recorder.step

    def stopped(self: recorder.Recorder, taken: Step[Cursor]) -> None:
        shown(self, taken)
        if taken.state.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(recorder.Recorder, "step", stopped)


def test_sigterm_stops_and_the_same_command_goes_on(
    corpus: Corpus,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What kill -9 does is in test_benchmarks.py."""
    undisturbed, out, steps = tmp_path / "a", tmp_path / "b", 40
    handler = signal.getsignal(signal.SIGTERM)

    def run(folder: Path) -> int:
        with pytest.raises(SystemExit) as ended:
            main.run(arguments(corpus, folder, steps))
        signal.signal(signal.SIGTERM, handler)
        assert isinstance(ended.value.code, int)
        return ended.value.code

    assert run(undisturbed) == 0
    with monkeypatch.context() as patch:
        stop_at(17, patch)
        assert run(out) == 128 + signal.SIGTERM
    assert "goes on from there" in capsys.readouterr().out
    assert read_run(out / "log.jsonl").end["reason"] == "stopped"  # type: ignore[index]
    assert run(out) == 0
    assert "going on from step" in capsys.readouterr().err
    assert digest(out) == digest(undisturbed)
    logs = [read_run(folder / "log.jsonl").of("step") for folder in (undisturbed, out)]
    assert [r["loss"] for r in logs[0]] == [r["loss"] for r in logs[1]]


def test_a_signal_in_the_last_step_leaves_a_run_that_is_complete(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(TINY["budget"]["steps"], monkeypatch)
    result = pretrain(config("modern"), corpus, tmp_path / "run")
    assert (result.finished, result.exit_status) == (True, 128 + signal.SIGTERM)
    assert "The run is complete." in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_moments_are_spread_over_all_steps() -> None:
    """0.29 * 100 is less than 29."""
    states = [State(Cursor(), step) for step in range(101)]
    length = Length(steps=100)
    assert all(_crosses(length, *pair, 100) for pair in pairwise(states))
    assert [b.step for a, b in pairwise(states) if _crosses(length, a, b, 3)] == [34, 67, 100]


def test_the_log_of_a_run_that_was_killed_tells_of_every_step(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record stands for eight steps here, and the run ends in the midst of one."""
    monkeypatch.setattr(recorder, "RECORDS", 3)
    changes = config("modern", budget={"steps": 24}, log={"checkpoint_minutes": 1e-9})
    pretrain(changes, corpus, tmp_path / "a")
    save = recorder.Recorder.checkpoint

    def killed(self: recorder.Recorder, optimizer: Any, state: State[Cursor]) -> None:
        save(self, optimizer, state)
        if state.step == 14:
            raise KeyboardInterrupt

    monkeypatch.setattr(recorder.Recorder, "checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain(changes, corpus, tmp_path / "b")
    monkeypatch.setattr(recorder.Recorder, "checkpoint", save)
    pretrain(changes, corpus, tmp_path / "b")
    logs = [read_run(tmp_path / name / "log.jsonl").of("step") for name in "ab"]
    assert [record["step"] for record in logs[0]] == [8, 12, 16, 24]
    for name in ("step", "tokens", "loss", "mlm_loss", "grad_norm", "learning_rate"):
        assert [record[name] for record in logs[0]] == [record[name] for record in logs[1]]
    ends = [sorted((tmp_path / name / "checkpoints").iterdir())[-1] for name in "ab"]
    looks = [json.loads((end / checkpoint.STATE).read_text())["looks"] for end in ends]
    assert looks[0] == looks[1]
    assert looks[0]["count"]


def test_a_damaged_newest_checkpoint_falls_back(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"log": {"checkpoint_minutes": 1e-9, "keep_checkpoints": 3}}
    pretrain(config("modern", **changes), corpus, tmp_path / "run")
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    (newest / "tensors.safetensors").write_bytes(b"cut")
    result = pretrain(config("modern", **changes), corpus, tmp_path / "run")
    said = capsys.readouterr().err
    assert "taking the checkpoint before it" in said
    assert "going on from step 11" in said
    assert result.finished


def test_minutes_become_tokens_once(corpus: Corpus, tmp_path: Path) -> None:
    minutes = config("modern", budget={"minutes": 0.02})
    first = pretrain(minutes, corpus, tmp_path / "a")
    text = (tmp_path / "a" / "config.toml").read_text()
    assert "minutes" in text.splitlines()[0]
    tokens = load_config(tmp_path / "a" / "config.toml").budget.tokens
    assert tokens is not None
    assert first.tokens >= tokens
    again = pretrain(load_config(tmp_path / "a" / "config.toml"), corpus, tmp_path / "b")
    assert again.tokens == first.tokens
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert pretrain(minutes, corpus, tmp_path / "a").tokens == first.tokens


@pytest.mark.skipif(
    not Path("/proc/thread-self/schedstat").exists(), reason="the system does not tell of waiting"
)
def test_minutes_on_a_busy_machine_are_warned_of(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes = config("modern", budget={"minutes": 0.02})
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(3 * (os.cpu_count() or 1))]
    try:
        pretrain(minutes, corpus, tmp_path / "a")
    finally:
        for other in others:
            other.kill()
            other.wait()
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "busy" in line]
    tokens = load_config(tmp_path / "a" / "config.toml").budget.tokens
    assert f"settled as {tokens:,} tokens" in said
    pretrain(minutes, corpus, tmp_path / "a")
    assert "busy" not in capsys.readouterr().err  # it is measured once


def test_calibrating_is_of_one_process_and_leaves_nothing(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    command = arguments(corpus, out, 9)
    command[command.index("budget.steps=9")] = "budget.minutes=0.01"
    (out / ".calibration.0a1b2c3d.tmp").mkdir(parents=True)  # as kill -9 leaves it
    handler, save = signal.getsignal(signal.SIGTERM), checkpoint.save

    def stopped(root: Path, *given: Any, **named: Any) -> Path:
        saved = save(root, *given, **named)
        assert saved.parent.parent == out  # whose disk it is
        with pytest.raises(ConfigError, match="another process"), alone_in(out, ConfigError):
            pass  # nobody else calibrates meanwhile
        os.kill(os.getpid(), signal.SIGTERM)
        return saved

    monkeypatch.setattr("bertsmith.jobs.budget.checkpoint.save", stopped)
    with pytest.raises(SystemExit) as ended:
        main.run(command)
    signal.signal(signal.SIGTERM, handler)
    monkeypatch.undo()
    assert ended.value.code == 128 + signal.SIGTERM
    assert [path.name for path in out.iterdir()] == [".calibration.0a1b2c3d.tmp"]
    with pytest.raises(SystemExit) as ended:
        main.run(command)
    signal.signal(signal.SIGTERM, handler)
    assert ended.value.code == 0
    assert not list(out.glob(".*"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_another_run_in_the_folder_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    pretrain(config("modern"), corpus, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"other values of seed, optim\.lr"):
        pretrain(config("modern", seed=1, optim={"lr": 1e-3}), corpus, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"other values of data\.final_mask_rate"):
        pretrain(config("modern", data={"final_mask_rate": 0.5}), corpus, tmp_path / "run")
    texts = documents(300, seed=1)
    other = build_corpus(texts, corpus.tokenizer(), tmp_path / "other")
    with pytest.raises(CheckpointError, match="another corpus"):
        pretrain(config("modern"), other, tmp_path / "run")


def test_a_folder_of_anything_else_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for path, content in (("mine.txt", "a text"), ("tuned/config.toml", 'task = "classify"\n')):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
        for out in (tmp_path / path, (tmp_path / path).parent):
            with pytest.raises(ConfigError, match="is there already, and is no pre-training"):
                pretrain(config("modern"), corpus, out)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "model", "tuned"}


def test_what_was_killed_before_its_first_checkpoint_is_told_of_anew(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be begun again on another corpus, whose the log's first record is then."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    other = build_corpus(documents(300, seed=1), corpus.tokenizer(), tmp_path / "other")
    with monkeypatch.context() as patch:
        patch.setattr(recorder.Recorder, "checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config("modern"), corpus, tmp_path / "run")
    pretrain(config("modern"), other, tmp_path / "run")
    log = read_run(tmp_path / "run" / "log.jsonl")
    assert log.run["corpus"]["fingerprint"] == other.fingerprint


def test_log_settings_may_change_and_minutes_may_not(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "run"
    pretrain(config("modern", budget={"minutes": 0.01}), corpus, out)
    more = config("modern", budget={"minutes": 0.01}, log={"keep_checkpoints": 3})
    assert pretrain(more, corpus, out).finished
    with pytest.raises(ConfigError, match=r"budget\.minutes"):
        pretrain(config("modern", budget={"minutes": 0.02}), corpus, out)


def test_lists_of_phrases_may_move_and_not_change(corpus: Corpus, tmp_path: Path) -> None:
    def phrases(name: str, content: str) -> RunConfig:
        (tmp_path / name).write_text(content)
        data = {"masking": "phrase", "phrases": str(tmp_path / name)}
        return config("modern", data=data)

    pretrain(phrases("here.tsv", "this was\n"), corpus, tmp_path / "run")
    assert pretrain(phrases("there.tsv", "this was\n"), corpus, tmp_path / "run").finished
    with pytest.raises(ConfigError, match=r"other values of data\.lexicon"):
        pretrain(phrases("here.tsv", "story number\n"), corpus, tmp_path / "run")


@pytest.mark.parametrize("budget", [{"steps": 13}, {"tokens": 1000}, {"minutes": 0.01}], ids=str)
def test_another_budget_than_the_run_s_is_refused(
    budget: dict[str, float], corpus: Corpus, tmp_path: Path
) -> None:
    pretrain(config("modern"), corpus, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"other values of budget\."):
        pretrain(config("modern", budget=budget), corpus, tmp_path / "run")


def test_samples_are_checked_before_anything_is_written(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"log\.fill: 'no mask' has"):
        pretrain(config("modern", log={"fill": ["no mask"]}), corpus, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_documents_too_short_for_a_segment_are_said(corpus: Corpus, tmp_path: Path) -> None:
    texts = [Document(word) for word in ("cat", "dog", "bird", "fox")]
    short = build_corpus(texts, corpus.tokenizer(), tmp_path / "short")
    with pytest.raises(CorpusError, match=r"more text|longer, texts"):
        prepare(config("modern"), short)


def test_held_out_text_of_which_nothing_is_masked_is_said(corpus: Corpus, tmp_path: Path) -> None:
    """Its loss would be 0."""
    text = Document("the cat chased the mouse and the dog saw the bird " * 2)
    short = build_corpus([text], corpus.tokenizer(), tmp_path / "short")
    one_span = {"masking": "span", "span_p": 0.01, "heldout_share": 0.2}
    with pytest.raises(CorpusError, match=r"no word of its held-out text is to be predicted"):
        prepare(config("modern", data=one_span), short)
    prepare(config("modern", data={**one_span, "masking": "token"}), short)


def test_models_are_kept_on_the_way(corpus: Corpus, tmp_path: Path) -> None:
    settings = {"log": {"models": 3, "checkpoint_minutes": 1e-9}}
    whole = pretrain(config("modern", **settings), corpus, tmp_path / "run")
    kept = sorted((tmp_path / "run" / "models").iterdir())
    tokens = [int(folder.name.removeprefix("tokens-")) for folder in kept]
    assert len(kept) == 3
    assert tokens[-1] == whole.tokens
    assert tokens[0] == pytest.approx(whole.tokens / 3, rel=0.2)
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in kept]
    assert weights[-1] == (whole.model / "model.safetensors").read_bytes() != weights[0]
    load_model(kept[0] / "model")
    plain = pretrain(config("modern"), corpus, tmp_path / "plain")
    assert (plain.model / "model.safetensors").read_bytes() == weights[-1]
    assert not (tmp_path / "plain" / "models").exists()


def test_a_lost_log_is_begun_again(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "run"
    pretrain(config("modern"), corpus, out)
    (out / "log.jsonl").unlink()
    assert pretrain(config("modern"), corpus, out).finished
    assert read_run(out / "log.jsonl").run["recipe"] == "modern"


def test_a_dry_run_says_what_would_happen(corpus: Corpus) -> None:
    said = describe(prepare(config("bert"), corpus))
    assert said["budget"] == "12 steps"
    assert "segments" in said["an epoch"]


@pytest.mark.parametrize(
    ("recipe", "model", "reason"),
    [
        ("left_to_right", {"causal": False}, r"model\.causal: .* asks for the next token"),
        ("t5", {"num_decoder_layers": 0}, r"model\.num_decoder_layers: .* trains a decoder"),
        ("bert", {"num_decoder_layers": 2}, r"model\.num_decoder_layers: .* trains no decoder"),
    ],
)
def test_a_network_that_is_not_the_recipe_s_is_refused(
    recipe: str, model: dict[str, object], reason: str, corpus: Corpus
) -> None:
    """The next token would be seen, a decoder would not look at the text, or not be there."""
    with pytest.raises(ConfigError, match=reason):
        prepare(resolve(config(recipe), {"model": model}), corpus)


def test_unknown_recipes_and_files_are_named(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="did you mean 'modern'"):
        load_config("modernn")
    with pytest.raises(ConfigError, match="is 'bert' where the run is of 'modern'"):
        load_config("modern", ["recipe=bert"])
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        (tmp_path / "bert").mkdir()  # such as a run's own --out
        assert load_config("bert").recipe == "bert"
    with pytest.raises(ConfigError, match=r"a folder, not a run file; give a \.toml"):
        load_config(tmp_path / "bert")
    with pytest.raises(ConfigError, match="not a file that can be written"):
        preview(load_config("bert"), corpus, html=tmp_path / "none" / "page.html")
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_text("seed = 3\n")
    with pytest.raises(ConfigError, match="no recipe named"):
        load_config(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_text('recpe = "bert"\n')
    with pytest.raises(ConfigError, match="did you mean 'recipe'"):
        load_config(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_text('recipe = "bert"\n[optim]\nlr = 2e-4\n')
    assert load_config(tmp_path / "run.toml", ["seed=3"]).optim.lr == 2e-4


def test_a_gpu_without_memory_for_a_batch_is_told_of(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that has begun goes on in micro-batches."""
    steps = iter(range(4))

    def short(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        if next(steps, None) is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return find("bert").loss(model, batch)

    recipe = replace(find("bert"), loss=short)
    with monkeypatch.context() as patch:
        patch.setattr("bertsmith.jobs.setup.find", lambda name: recipe)
        with pytest.raises(TrainingError, match=r"no memory for 256 tokens .* micro_tokens"):
            pretrain(config("bert"), corpus, tmp_path)
    assert pretrain(config("bert", micro_tokens=128), corpus, tmp_path).finished


def test_a_run_that_is_under_way_is_not_begun_twice(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "run"
    pretrain(config("bert"), corpus, out)
    with (
        alone_in(out, ConfigError),
        pytest.raises(ConfigError, match=r"run: another process is writing here; wait"),
    ):
        pretrain(config("bert"), corpus, out)
    assert pretrain(config("bert"), corpus, out).finished
