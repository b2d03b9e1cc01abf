"""Short segments first, then long ones, out of one corpus in one run."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch

from bertsmith.config import RunConfig
from bertsmith.data.loader import Cursor
from bertsmith.engine.train import State
from bertsmith.export.huggingface import load_masked_lm
from bertsmith.jobs.pretrain import load_config, pretrain
from bertsmith.jobs.preview import preview
from bertsmith.jobs.setup import describe, prepare
from bertsmith.report.log import read_run
from bertsmith.text.corpus import Corpus
from recipes.toy import config, make_corpus

STAGES = [{"share": 0.9, "max_length": 16}, {"share": 0.1, "max_length": 64}]
EVERY_STEP = {"checkpoint_minutes": 1e-9, "keep_checkpoints": 100, "evaluations": 4}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("bert", tmp_path_factory.mktemp("corpus") / "c")


def two_lengths(recipe: str = "bert", **changes: object) -> RunConfig:
    tables: dict[str, object] = {"data": {"stages": STAGES}, "log": EVERY_STEP}
    return config(recipe, **tables | changes)


@pytest.mark.parametrize("budget", [{"tokens": 400_000}, {"steps": 1600}], ids=str)
def test_the_last_tenth_of_the_run_is_long(budget: dict[str, int], corpus: Corpus) -> None:
    setup = prepare(two_lengths(budget=budget), corpus)
    state, tokens, lengths = State(Cursor()), [0, 0], [0, 0]
    for cursor, [batch] in setup.loader().stream():
        phase = state.cursor.phase
        tokens[phase] += batch.num_tokens
        lengths[phase] = max(lengths[phase], *batch.lengths)
        state = State(cursor, state.step + 1, state.tokens + batch.num_tokens)
        if setup.length.progress(state) >= 1:
            break
    assert tokens[1] / sum(tokens) == pytest.approx(0.1, abs=0.03)
    assert lengths[0] <= 16 < 40 < lengths[1] <= 64


@pytest.mark.parametrize("recipe", ["t5", "word2vec"])
def test_stages_are_shares_of_what_the_model_reads(recipe: str, tmp_path: Path) -> None:
    """Which is less than the segments have: spans are cut out, frequent words dropped."""
    stages = [{"share": 0.5, "max_length": 16}, {"share": 0.5, "max_length": 64}]
    wanted = config(recipe, data={"stages": stages, "subsample": 0.01}, budget={"tokens": 30_000})
    setup = prepare(wanted, make_corpus(recipe, tmp_path / "c"))
    state, tokens = State(Cursor()), [0, 0]
    for cursor, [batch] in setup.loader().stream():
        tokens[state.cursor.phase] += batch.num_tokens
        state = State(cursor, state.step + 1, state.tokens + batch.num_tokens)
        if setup.length.progress(state) >= 1:
            break
    assert tokens[1] / sum(tokens) == pytest.approx(0.5, abs=0.03)


def weights(folder: Path) -> str:
    (*_, newest) = sorted((folder / "checkpoints").glob("step-*"))
    return hashlib.sha256((newest / "tensors.safetensors").read_bytes()).hexdigest()


def test_a_run_goes_on_across_the_boundary_to_the_bit(corpus: Corpus, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    result = pretrain(two_lengths(budget={"steps": 20}), corpus, whole)
    log = read_run(whole / "log.jsonl")
    (boundary,) = log.of("phase")
    assert (boundary["step"], boundary["max_length"]) == (18, 64)
    assert max(record["step"] for record in log.of("eval")) == 20
    for at in (17, 18, 19):
        out = tmp_path / str(at)
        shutil.copytree(whole, out)
        for folder in sorted((out / "checkpoints").iterdir())[at:]:
            shutil.rmtree(folder)
        again = pretrain(load_config(whole / "config.toml"), corpus, out)
        assert weights(out) == weights(whole)
        assert again.evaluation == result.evaluation
        losses = [[r["loss"] for r in read_run(f / "log.jsonl").of("step")] for f in (out, whole)]
        assert losses[0] == losses[1]
        assert len(read_run(out / "log.jsonl").of("phase")) == 1


def test_positions_of_the_long_stage_are_there_from_the_start(
    corpus: Corpus, tmp_path: Path
) -> None:
    setup = prepare(two_lengths(), corpus)
    begun = setup.model().encoder.embeddings.position.weight  # type: ignore[union-attr]
    result = pretrain(two_lengths(), corpus, tmp_path / "run")
    table = load_masked_lm(result.model).encoder.embeddings.position
    assert table is not None
    assert table.weight.shape == (64, 32)
    moved = (table.weight != begun).any(dim=1)
    assert moved[:40].all()
    assert torch.isfinite(table.weight).all()


def test_evaluation_is_of_the_length_that_is_trained(corpus: Corpus) -> None:
    setup = prepare(two_lengths(), corpus)
    longest = [max(setup.heldout_batches(phase)[0].lengths) for phase in (0, 1)]
    assert longest[0] <= 16 < longest[1]
    assert "segments of up to 16" in describe(setup)["an epoch"]
    assert "segments of up to 64" in describe(setup)["an epoch"]


def test_the_preview_shows_the_length_of_its_time(corpus: Corpus) -> None:
    for progress, longest in ((0.5, 16), (0.95, 64)):
        found = preview(two_lengths(), corpus, samples=20, progress=progress)
        lengths = [sum(map(len, passage.lines)) for passage in found.passages]
        assert longest // 2 < max(lengths) <= longest


def test_minutes_are_measured_at_both_lengths(corpus: Corpus, tmp_path: Path) -> None:
    result = pretrain(two_lengths(budget={"minutes": 0.02}), corpus, tmp_path / "run")
    assert result.finished
    assert len(read_run(tmp_path / "run" / "log.jsonl").of("phase")) == 1
