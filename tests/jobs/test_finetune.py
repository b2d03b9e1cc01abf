from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from bertsmith.engine.log import Log, read_log
from bertsmith.engine.optim import Optimizer
from bertsmith.errors import BertsmithError, ConfigError, DataError
from bertsmith.export.huggingface import read_model
from bertsmith.files import alone_in
from bertsmith.jobs import finetune_folder, watch
from bertsmith.jobs.finetune import FinetuneResult, finetune
from bertsmith.jobs.finetune_folder import FinetuneConfig, RunFolder, RunKey
from bertsmith.jobs.finetune_plan import Plan, make_plan
from bertsmith.jobs.glue import glue
from bertsmith.jobs.grid_search import search_grid
from bertsmith.jobs.predict import Predictor, evaluate_file
from bertsmith.jobs.trainer import fit_classifier
from bertsmith.report.scores import read_scores
from bertsmith.schema import read_toml, validate
from bertsmith.tasks.classify import TASK
from bertsmith.tasks.fit import Progress
from bertsmith.tasks.metrics import METRIC_NAMES
from bertsmith.tasks.tables import open_table

from .tiny import ALBERT, ELECTRA, POST, PRE, save_tiny_model, write_table

PROTOCOL = {"epochs": 8, "batch_size": 16, "lr": 3e-3}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_table(folder / "train.tsv", 160)
    write_table(folder / "dev.tsv", 60, seed=1)
    save_tiny_model(folder / "post", POST)
    save_tiny_model(folder / "pre", PRE)
    save_tiny_model(folder / "albert", ALBERT)
    save_tiny_model(folder / "electra", ELECTRA)
    return folder


def run(inputs: Path, out: Path, model: str = "post", **changes: object) -> FinetuneResult:
    arguments = {"seeds": 2, "from_scratch": True, **PROTOCOL, **changes}
    train, dev = inputs / "train.tsv", inputs / "dev.tsv"
    return finetune("classify", train, dev, inputs / model, out, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def done(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    return run(inputs, tmp_path_factory.mktemp("runs") / "out")


def test_a_run_folder_holds_model_scores_and_report(done: FinetuneResult) -> None:
    scores = json.loads((done.folder / "scores.json").read_text())
    assert scores == done.scores
    assert done.finished
    assert (scores["labels"], scores["train_examples"]) == (["glad", "sad"], 160)
    assert scores["truncated"] == {"train": 0, "dev": 0}
    assert [(r["init"], r["seed"]) for r in scores["runs"]] == [
        (init, seed) for init in ("pretrained", "scratch") for seed in (0, 1)
    ]
    assert read_scores(done.folder / "scores.json").summary["scratch"]["macro_f1"].median > 0.75
    assert done.best["macro_f1"] == scores["summary"]["pretrained"]["macro_f1"]["max"]
    names = {path.name for path in done.folder.iterdir()}
    assert names == {
        *("model", "runs", "scores.json", "report.html", "README.md", "config.toml", "log.jsonl"),
        "errors.tsv",
    }
    kinds = [
        json.loads(line)["kind"] for line in (done.folder / "log.jsonl").read_text().splitlines()
    ]
    assert set(kinds) == {"step", "epoch"}


def test_the_saved_model_gives_the_scores_that_were_written(
    done: FinetuneResult, inputs: Path
) -> None:
    check_saved_model(done, inputs)


@pytest.mark.parametrize("family", ["Albert", "Electra"])
def test_a_family_is_fine_tuned_to_its_own(family: str, inputs: Path, tmp_path: Path) -> None:
    tuned = run(inputs, tmp_path / "out", model=family.lower(), seeds=1, from_scratch=False)
    assert tuned.best["accuracy"] > 0.75
    assert read_model(tuned.model).architecture == f"{family}ForSequenceClassification"
    check_saved_model(tuned, inputs)


def test_dev_rows_that_are_trained_on_are_told(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, *rows = (inputs / "dev.tsv").read_text().splitlines(keepends=True)
    learnt = (inputs / "train.tsv").read_text().splitlines(keepends=True)[1:]
    copies = [" " + rows[0], rows[1]]  # the first with a space that makes no difference
    (tmp_path / "train.tsv").write_text("".join([head, *learnt, *copies]))
    texts = {line.split("\t")[0].strip() for line in (*learnt, *copies)}
    known = sum(line.split("\t")[0] in texts for line in rows)
    tuned = finetune(
        "classify",
        tmp_path / "train.tsv",
        inputs / "dev.tsv",
        inputs / "post",
        tmp_path / "out",
        **{**PROTOCOL, "epochs": 1},  # type: ignore[arg-type]
        seeds=1,
    )
    said = f"{known} of the 60 dev texts are training texts, too, and no test."
    assert tuned.scores["dev_in_train"] == known
    assert f"{said} `bertsmith check data` lists them" in capsys.readouterr().err
    for file in ("README.md", "report.html", "model/README.md"):
        text = (tuned.folder / file).read_text()
        assert said in text, file
    assert "never trained on" not in (tuned.folder / "report.html").read_text()


def test_without_a_dev_set_a_fifth_is_held_out(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(dev: Path | None, seeds: int = 1) -> FinetuneResult:
        changes = {**PROTOCOL, "epochs": 1, "seeds": seeds}
        files = (inputs / "train.tsv", dev, inputs / "post", tmp_path / "out")
        return finetune("classify", *files, **changes)  # type: ignore[arg-type]

    scores = start(None).scores
    assert scores["train_examples"] + scores["dev_examples"] == 160
    held = scores["dev_examples"]
    assert held == pytest.approx(32, abs=6)  # some texts are there twice, and stay together
    assert scores["dev_in_train"] == 0
    said = capsys.readouterr().err
    assert f"{held} of 160 texts are held out to be scored on" in said
    for file in ("README.md", "model/README.md"):
        assert f"{held} held out of `train.tsv`" in (tmp_path / "out" / file).read_text(), file
    with pytest.raises(ConfigError, match=r"input\.dev_is_held_out"):
        start(inputs / "train.tsv")
    again = start(None, seeds=2).scores
    assert again["dev_examples"] == held
    assert again["runs"][0] == scores["runs"][0]


def check_saved_model(done: FinetuneResult, inputs: Path) -> None:
    """Our predictions give the accuracy in scores.json, and transformers' pipeline our own."""
    rows = list(open_table(inputs / "dev.tsv", labelled=True).rows)
    ours = list(Predictor.load(done.model).predict(rows))
    accuracy = np.mean([p.label == row.label for p, row in zip(ours, rows, strict=True)])
    assert accuracy == pytest.approx(done.best["accuracy"])
    pipe = transformers.pipeline("text-classification", str(done.model), top_k=None)
    theirs = {item["label"]: item["score"] for item in pipe([rows[0].text])[0]}
    exact = Predictor.load(done.model, precision="float32").predict(rows[:1])
    assert theirs == pytest.approx(next(iter(exact)).scores, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "label", "problem_type", "names"),
    [
        ("regress", {"glad": "90.5", "sad": "-30"}, "regression", ("label",)),
        (
            "multilabel",
            {"glad": "glad,any", "sad": "any"},
            "multi_label_classification",
            ("any", "glad"),
        ),
    ],
)
def test_numbers_and_sets_of_labels_from_table_to_transformers(
    inputs: Path,
    tmp_path: Path,
    task: str,
    label: dict[str, str],
    problem_type: str,
    names: tuple[str, ...],
) -> None:
    train = write_table(tmp_path / "train.tsv", 160, label=label.__getitem__)
    dev = write_table(tmp_path / "dev.tsv", 60, seed=1, label=label.__getitem__)
    tuned = finetune(
        task, train, dev, inputs / "post", tmp_path / "out", seeds=1, from_scratch=True, **PROTOCOL
    )
    source = read_model(tuned.model)
    assert (source.problem_type, source.labels) == (problem_type, names)
    assert tuned.task.merit(tuned.best) > 0.75
    scores = evaluate_file(tuned.model, dev)
    for metric in tuned.task.metrics:
        assert scores[metric] == pytest.approx(tuned.best[metric], abs=1e-3)
    rows = list(open_table(dev, labelled=True, label_text=tuned.task.label_text).rows)[:7]
    predictor = Predictor.load(tuned.model, precision="float32")
    network = transformers.AutoModelForSequenceClassification.from_pretrained(tuned.model)
    assert network.config.problem_type == problem_type
    pipe = transformers.pipeline("text-classification", str(tuned.model), top_k=None)
    for prediction in predictor.predict(rows):
        ids = torch.tensor([predictor.tokenizer.encode(prediction.row.text).ids])
        theirs = network.eval()(ids).logits[0]
        assert theirs.tolist() == pytest.approx(prediction.logits.tolist(), rel=1e-5, abs=1e-4)
        said = {item["label"]: item["score"] for item in pipe([prediction.row.text])[0]}
        assert said == pytest.approx(
            prediction.scores or {names[0]: prediction.label}, rel=1e-5, abs=1e-4
        )
    page = (tuned.folder / "report.html").read_text("utf-8")
    assert all(METRIC_NAMES[metric] in page for metric in tuned.task.metrics)


def test_a_model_in_the_current_folder_has_its_name(
    done: FinetuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moods").mkdir()
    monkeypatch.chdir(tmp_path / "moods")
    for path in (".", "../moods"):
        folder = RunFolder(Path(path), done.task)
        assert folder.name == folder.part(("scratch", 0)).name == "moods"


def test_a_model_keeps_the_columns_that_it_learnt_from(done: FinetuneResult) -> None:
    learnt = {"max_length": 128, "text_column": "text", "pair_column": None}
    assert read_model(done.model).extra == learnt | {"label_column": "label"}


def test_the_same_command_repeats_nothing_and_a_missing_model_is_made_again(
    done: FinetuneResult, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    with alone_in(out, ConfigError), pytest.raises(ConfigError, match="another process is writing"):
        run(inputs, out, seeds=3)  # which changes nothing
    assert run(inputs, out).scores == done.scores
    assert before == {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    weights = (out / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(out / "model")
    again = run(inputs, out)
    assert again.best["history"] == done.best["history"]
    assert (out / "model" / "model.safetensors").read_bytes() == weights
    more = run(inputs, out, seeds=3)
    assert more.scores["runs"][1] == again.scores["runs"][1]
    assert len(more.scores["runs"]) == 6
    with pytest.raises(ConfigError, match="seeds was 3, now 2; give the same command"):
        run(inputs, out)
    with pytest.raises(ConfigError, match="from_scratch was True, now False"):
        run(inputs, out, seeds=3, from_scratch=False)


def test_a_missing_model_is_made_again_where_seeds_tie(
    done: FinetuneResult, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    ties = [out / "runs" / f"pretrained-{seed}.json" for seed in (0, 1)]
    ties[1].write_text(json.dumps(json.loads(ties[0].read_text()) | {"seed": 1}))
    shutil.rmtree(out / "model")
    assert run(inputs, out).best["seed"] == 0
    assert (out / "model" / "config.json").is_file()


def test_a_repeated_run_that_is_no_longer_the_best_leaves_that_to_another(
    done: FinetuneResult, inputs: Path, tmp_path: Path
) -> None:
    """As where the folder is from a machine that rounds otherwise."""
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    other = out / "runs" / f"pretrained-{1 - done.best['seed']}.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"macro_f1": 1.5}))
    shutil.rmtree(out / "model")
    again = run(inputs, out)
    assert again.best["seed"] == done.best["seed"]
    assert (out / "model" / "config.json").is_file()


def config_of_run(done: FinetuneResult) -> FinetuneConfig:
    path = done.folder / "config.toml"
    return validate(FinetuneConfig, read_toml(path), path)


def test_killed_before_its_config_is_whole_a_folder_can_be_begun_again(
    done: FinetuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config = RunFolder(tmp_path / "out", done.task), config_of_run(done)

    def killed(path: Path, content: str) -> None:
        path.with_name(f".{path.name}.77.tmp").write_text(content[:9])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finetune_folder, "write_text_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.settle(config)
    folder.settle(config)
    assert config_of_run(replace(done, folder=folder.path)) == config


def test_killed_while_a_part_is_removed_the_log_keeps_what_it_told(
    done: FinetuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key: RunKey = ("scratch", 0)
    folder, config = RunFolder(tmp_path / "out", done.task), config_of_run(done)
    folder.settle(config)
    part = folder.part(key)
    part.begin()
    log = Log(part.log)
    log.write("step", init="scratch", seed=0, step=1)
    log.close()
    part.save(key, {"init": "scratch", "seed": 0})

    def killed(path: Path) -> None:
        (path / "log.jsonl").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finetune_folder.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.take_over_parts(config)
    folder.take_over_parts(config)
    assert [record["step"] for record in read_log(folder.log)] == [1]
    assert key in folder.finished(config)


PAIR: list[RunKey] = [("pretrained", 0), ("pretrained", 1)]


def finish(folder: RunFolder, key: RunKey, merit: int) -> None:
    """What a finished run leaves in its part; `merit` is in its files, too."""
    part = folder.part(key)
    part.begin()
    part.model.mkdir()
    (part.model / "config.json").write_text(str(merit))
    (part.path / "errors.tsv").write_text(str(merit))
    part.save(key, {"init": key[0], "seed": key[1], "macro_f1": merit, "accuracy": merit})


def test_a_result_that_is_damaged_is_one_line(
    done: FinetuneResult, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    damaged = out / "runs" / "pretrained-1.json"
    damaged.write_text(damaged.read_text()[:50])
    with pytest.raises(
        DataError, match=r"runs/pretrained-1\.json: is not JSON .*; remove this file"
    ) as error:
        run(inputs, out)
    assert len(str(error.value).splitlines()) == 1


def test_killed_while_the_best_is_moved_it_stays_the_best_beside_another(
    done: FinetuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs side by side are finished; the second, the better one, was being moved."""
    folder, config = RunFolder(tmp_path / "out", done.task), config_of_run(done)
    folder.settle(config)
    finish(folder, PAIR[0], 0)
    finish(folder, PAIR[1], 1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.take_over(config, PAIR[1])
    folder.take_over_parts(config)
    assert (folder.model / "config.json").read_text() == "1"
    assert list(folder.finished(config)) == PAIR


def test_killed_while_the_best_is_moved_its_files_are_with_its_model(
    done: FinetuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between any two of its moves."""
    config, move = config_of_run(done), Path.replace
    for moves in range(2):
        folder = RunFolder(tmp_path / str(moves), done.task)
        folder.settle(config)
        finish(folder, PAIR[0], 0)
        finish(folder, PAIR[1], 1)
        left = iter(range(moves))

        def killed(path: Path, target: Path, left: Iterator[int] = left) -> Path:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return move(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                folder.take_over(config, PAIR[1])
        folder.take_over_parts(config)
        assert (folder.model / "config.json").read_text() == "1"
        assert (folder.path / "errors.tsv").read_text() == "1"


def test_a_run_that_is_finished_meanwhile_is_not_taken_for_the_best_whose_model_is_gone(
    done: FinetuneResult, tmp_path: Path
) -> None:
    """Side by side, the second is finished while the first, the better one, is repeated."""
    folder, config = RunFolder(tmp_path / "out", done.task), config_of_run(done)
    folder.settle(config)
    finish(folder, PAIR[0], 1)
    folder.take_over(config, PAIR[0])
    shutil.rmtree(folder.model)
    finish(folder, PAIR[1], 0)
    folder.take_over(config, PAIR[1])
    assert list(folder.finished(config)) == [PAIR[1]]  # the first is still to be repeated
    finish(folder, PAIR[0], 1)
    folder.take_over(config, PAIR[0])
    assert (folder.model / "config.json").read_text() == "1"
    assert list(folder.finished(config)) == PAIR


def test_other_values_or_other_data_are_refused(
    done: FinetuneResult, inputs: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"protocol\.lr was 0\.003, now 0\.1; give the same"):
        run(inputs, done.folder, lr=0.1)
    with pytest.raises(ConfigError, match="the content of model has changed"):
        run(inputs, done.folder, model="pre")
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="is there already, and is no fine-tuning"):
        run(inputs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "config.toml").write_text('recipe = "bert"\n')
    with pytest.raises(ConfigError, match="is there already, and is no fine-tuning"):
        run(inputs, tmp_path)


def test_a_modern_model_and_a_run_without_a_folder(inputs: Path) -> None:
    train, dev = (
        list(open_table(inputs / name, labelled=True).rows) for name in ("train.tsv", "dev.tsv")
    )
    results = {
        init: fit_classifier(train, dev, inputs / "pre", init=init, seed=1, **PROTOCOL)  # type: ignore[arg-type]
        for init in ("pretrained", "scratch")
    }
    assert results["pretrained"].metrics.accuracy > 0.75
    assert results["pretrained"].history != results["scratch"].history


def test_wrong_input_is_refused_before_anything_is_written(inputs: Path, tmp_path: Path) -> None:
    one, odd, empty = (tmp_path / name for name in ("one.tsv", "odd.tsv", "empty.tsv"))
    empty.write_text("text\tlabel\n")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("text_a\ttext_b\tlabel\na\tb\tglad\nc\td\tsad\n")
    one.write_text("text\tlabel\na\tglad\nb\tglad\n")
    odd.write_text("text\tlabel\na\tglad\nb\tangry\n")
    train, dev, model, out = (
        inputs / "train.tsv",
        inputs / "dev.tsv",
        inputs / "post",
        tmp_path / "o",
    )
    for arguments, expected in (
        ((one, dev, model, out), r"one\.tsv: one class only"),
        (
            (train, odd, model, out),
            r"odd\.tsv:3: labels unknown to .*train\.tsv: 'angry' in line 3",
        ),
        ((train, empty, model, out), r"empty\.tsv: no rows"),
        ((train, pairs, model, out), r"pairs\.tsv: a second text, 'text_b', .*--text-column"),
        ((pairs, dev, model, out), r"dev\.tsv: no second text in a row, where .*pairs\.tsv has"),
        ((train, dev, tmp_path, out), r"has no config\.json"),
        ((train, dev, tmp_path / "none", out), "no such model folder"),
    ):
        with pytest.raises(BertsmithError, match=expected):
            finetune("classify", *arguments)
    with pytest.raises(ConfigError, match="0 seeds"):
        run(inputs, out, seeds=0)
    assert not out.exists()


STOPPED_AFTER_A_SEED = """
import os, signal
from bertsmith.cli.main import run
from bertsmith.jobs.watch import Watch

end = Watch.end

def stopped(*arguments):
    end(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)

Watch.end = stopped
run()
"""
"""The command, which gets its signal at the end of the first seed, however slow the machine."""


def test_a_stopped_run_goes_on_to_the_same_result(
    done: FinetuneResult, inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", STOPPED_AFTER_A_SEED, "finetune", "classify"]
    command += ["--train", inputs / "train.tsv", "--dev", inputs / "dev.tsv"]
    command += ["--model", inputs / "post", "--out", out, "--seeds", "2", "--from-scratch"]
    command += ["--epochs", "8", "--batch-size", "16", "--lr", "3e-3"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert process.returncode == 128 + signal.SIGTERM
    assert process.stderr.splitlines()[-1] == "stopped; the same command again goes on from here"
    assert not (out / "scores.json").exists()
    assert len(list(out.glob("parts/*/checkpoints/step-*"))) == 1
    resumed = run(inputs, out)
    assert not (out / "parts").exists()
    for mine, theirs in zip(resumed.scores["runs"], done.scores["runs"], strict=True):
        assert mine["history"] == theirs["history"]
    steps = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    keys = [(r["init"], r["seed"], r["step"]) for r in steps if r["kind"] == "step"]
    assert len(keys) == len(set(keys))


def test_several_processes_are_refused(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for begin in (
        lambda: run(inputs, tmp_path / "out"),
        lambda: glue([inputs], inputs / "post", tmp_path / "out"),
        lambda: search_grid("classify", *[inputs / "train.tsv"] * 2, inputs, tmp_path / "out"),
    ):
        with pytest.raises(ConfigError, match="in one process, and here are 2; run it without"):
            begin()
    assert not (tmp_path / "out").exists()


ONE_SEED = {"seeds": 1, "from_scratch": False}


@pytest.fixture(scope="module")
def one_seed(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    return run(inputs, tmp_path_factory.mktemp("runs") / "one", **ONE_SEED)


@pytest.mark.parametrize("step", [7, 20, 79])
def test_a_seed_that_was_killed_goes_on_to_the_bit(
    step: int,
    one_seed: FinetuneResult,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In an epoch, at the end of one after its evaluation, and before the last step."""
    out, keep = tmp_path / "out", watch.Watch.keep

    def killed(self: watch.Watch, optimizer: Optimizer, progress: Progress) -> None:
        keep(self, optimizer, progress)
        if progress.state.step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watch, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(watch.Watch, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            run(inputs, out, **ONE_SEED)
    newest = sorted(out.glob("parts/pretrained-0/checkpoints/step-*"))
    assert len(newest) == 2
    if step == 79:  # and that one is damaged
        (newest[1] / "tensors.safetensors").write_bytes(b"")
    resumed = run(inputs, out, **ONE_SEED)
    assert f"going on from step {step - (step == 79)}" in capsys.readouterr().err
    (mine,), (theirs,) = resumed.scores["runs"], one_seed.scores["runs"]
    assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}
    weights = [folder / "model" / "model.safetensors" for folder in (out, one_seed.folder)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    logs = [(folder / "log.jsonl").read_text().splitlines() for folder in (out, one_seed.folder)]
    assert logs[0] == logs[1]
    assert not (out / "parts").exists()


def test_numbers_go_on_to_the_bit(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose last layer is another while it is trained."""
    values = {"glad": "90.5", "sad": "-30"}
    tables = (
        write_table(tmp_path / "train.tsv", 80, label=values.__getitem__),
        write_table(tmp_path / "dev.tsv", 30, seed=1, label=values.__getitem__),
    )
    settings = {"seeds": 1, **PROTOCOL, "epochs": 3}

    def go(out: Path) -> FinetuneResult:
        return finetune("regress", *tables, inputs / "post", out, **settings)  # type: ignore[arg-type]

    keep = watch.Watch.keep

    def killed(self: watch.Watch, optimizer: Optimizer, progress: Progress) -> None:
        keep(self, optimizer, progress)
        if progress.state.step == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watch, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(watch.Watch, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path / "a")
    weights = [go(tmp_path / name).model / "model.safetensors" for name in "ab"]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_every_score_has_its_interval_and_mistakes_are_kept(done: FinetuneResult) -> None:
    for result in done.scores["runs"]:
        for metric in done.task.metrics:
            low, high = result["intervals"][metric]
            assert low <= result[metric] <= high
    spread = done.scores["summary"]["pretrained"]["accuracy"]
    ends = [run["intervals"]["accuracy"] for run in done.scores["runs"][:2]]
    assert [spread["low"], spread["high"]] == pytest.approx(np.mean(ends, axis=0))
    table = (done.folder / "errors.tsv").read_text("utf-8")
    columns, *rows = (line.split("\t") for line in table.splitlines())
    assert columns == ["line", "wrong", "right", "said", "text"]
    wrong = np.array(done.best["confusion_matrix"]).sum() * (1 - done.best["accuracy"])
    assert len(rows) == pytest.approx(wrong)
    assert all(row[2] != row[3] for row in rows)
    assert [float(row[1]) for row in rows] == sorted((float(row[1]) for row in rows), reverse=True)
    card = (done.model / "README.md").read_text("utf-8")
    assert "| seeds | 2 |" in card
    assert "It is the best of 2 seeds by its dev score." in card
    page = (done.folder / "report.html").read_text("utf-8")
    assert "95 % interval" in page


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_threshold_goes_with_the_model(inputs: Path, tmp_path: Path, share: float) -> None:
    label = {"glad": "no", "sad": "yes"}.__getitem__
    rows = write_table(tmp_path / "all.tsv", 160, label=label).read_text().splitlines()
    kept = [line for n, line in enumerate(rows) if not line.endswith("yes") or n % 3 == 0]
    (tmp_path / "train.tsv").write_text("\n".join(kept) + "\n")
    write_table(tmp_path / "dev.tsv", 60, seed=1, label=label)
    chosen = {"threshold": "f1", "threshold_share": share, "epochs": 2, "seeds": 1}
    paths = (tmp_path / "train.tsv", tmp_path / "dev.tsv", inputs / "post", tmp_path / "out")
    tuned = finetune("classify", *paths, batch_size=16, lr=2e-3, **chosen)  # type: ignore[arg-type]
    cut = tuned.best["threshold"]
    (value,) = cut["values"]
    assert 0 < value < 1
    assert read_model(tuned.model).extra["settings"] == {"thresholds": [value]}
    scores = evaluate_file(tuned.model, tmp_path / "dev.tsv")
    assert scores["confusion_matrix"] == tuned.best["confusion_matrix"]
    texts = list(open_table(tmp_path / "dev.tsv", labelled=True).rows)
    for prediction in Predictor.load(tuned.model).predict(texts):
        assert (prediction.label == "yes") == (prediction.scores["yes"] > value)
    words = (tuned.folder / "README.md").read_text() + (tuned.model / "README.md").read_text()
    assert ("The threshold was chosen on the dev set" in words) == (share == 0)
    held = len(kept) - 1 - tuned.scores["train_examples"]
    assert held == pytest.approx(share * (len(kept) - 1), abs=1)  # half a row of each class
    assert cut["on"] == (f"{held} held-out training texts" if share else "the dev set")
    assert f"chosen on {cut['on']}; transformers does not know of it" in words
    page = (tuned.folder / "report.html").read_text("utf-8")
    assert all(said in page for said in (f"{value:.3f}", "Worst mistakes", cut["on"]))


def test_a_threshold_is_chosen_on_a_share_of_each_class_that_is_not_weighed(
    inputs: Path, tmp_path: Path
) -> None:
    def planned(rare: int, copies: int = 1) -> Plan:
        path = tmp_path / "train.tsv"
        rows = [f"film {row}\t{'yes' if row < rare else 'no'}\n" for row in range(20)] * copies
        path.write_text("text\tlabel\n" + "".join(rows))
        chosen = {"threshold": "f1", "threshold_share": 0.2, "class_weights": "balanced"}
        table = TASK.read(path)
        return make_plan(TASK, table, table, inputs / "post", **chosen)

    plan = planned(5)
    assert (len(plan.learnt), len(plan.held)) == (16, 4)
    assert sum(place < 5 for place in plan.held) == 1
    assert plan.task.class_weights == pytest.approx([16 / (2 * 12), 16 / (2 * 4)])
    held = {place % 20 for place in planned(5, copies=3).held}
    assert held == {*plan.held}
    with pytest.raises(ConfigError, match="no two of the 4 texts that are held out have different"):
        planned(2)


CAREFUL = {
    **{"epochs": 12, "patience": 2, "unfreeze": 1, "layer_decay": 0.8},
    "class_weights": "balanced",
}


def test_a_careful_seed_goes_on_to_the_bit_with_its_best_weights(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between an evaluation that was the best so far and the end of patience."""
    settings = {**ONE_SEED, **CAREFUL, "from_scratch": True}
    whole = run(inputs, tmp_path / "whole", **settings)
    first, scratch = whole.scores["runs"]
    assert first["epoch"] == len(first["history"]) - 2 or len(first["history"]) == 12
    assert scratch["history"] != first["history"]
    assert "At most 12 epochs, 16 texts a step" in (whole.folder / "README.md").read_text("utf-8")
    stop_at = 10 * first["epoch"] + 3

    keep = watch.Watch.keep

    def killed(self: watch.Watch, optimizer: Optimizer, progress: Progress) -> None:
        keep(self, optimizer, progress)
        if progress.state.step == stop_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watch, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(watch.Watch, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            run(inputs, tmp_path / "out", **settings)
    resumed = run(inputs, tmp_path / "out", **settings)
    assert resumed.scores["runs"][0]["history"] == first["history"]
    paths = [done.model / "model.safetensors" for done in (whole, resumed)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    check_saved_model(resumed, inputs)
