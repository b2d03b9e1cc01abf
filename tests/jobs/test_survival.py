"""Runs that go wrong: ruined by their rate, their data or their disk, or stuck."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from safetensors.torch import load_file

from bertsmith.data.loader import Cursor
from bertsmith.engine.health import PATIENCE
from bertsmith.errors import CorpusError, TrainingError
from bertsmith.jobs.pretrain import pretrain
from bertsmith.jobs.setup import evaluate, prepare
from bertsmith.report.log import read_run
from bertsmith.text.corpus import Corpus
from recipes.toy import config, make_corpus

EVERY_STEP = {"checkpoint_minutes": 1e-9}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("modern", tmp_path_factory.mktemp("corpus") / "c")


def saved_steps(out: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (out / "checkpoints").iterdir())


def test_an_exploding_run_stops_and_leaves_the_last_good_checkpoint(
    corpus: Corpus, tmp_path: Path
) -> None:
    """A rate that rises without end ruins the weights after a few good steps."""
    wild = {"lr": 20.0, "warmup": 0.5}
    changes = config("bert", optim=wild, budget={"steps": 100}, log=EVERY_STEP)
    with pytest.raises(TrainingError, match=r"exploded from .* at step \d+, in examples") as error:
        pretrain(changes, corpus, tmp_path / "run")
    end = read_run(tmp_path / "run" / "log.jsonl").end
    assert end is not None
    assert end["reason"] == "diverged"
    assert 0 < len(end["documents"]) <= len(end["examples"])
    assert max(end["documents"]) < corpus.num_documents
    assert f"at step {end['step']}, in examples {end['examples'][0]}" in str(error.value)
    assert "The run ended in failure: the loss has exploded" in (
        tmp_path / "run" / "report.html"
    ).read_text("utf-8")
    # The weights of the step before the jump brought it about: they are not kept.
    (good,) = saved_steps(tmp_path / "run")
    assert good <= end["step"] - 2
    assert f"checkpoint {good} is good" in str(error.value)
    setup = prepare(changes, corpus)
    model = setup.model()
    folder = tmp_path / "run" / "checkpoints" / f"step-{good:08d}"
    weights = load_file(folder / "tensors.safetensors")
    model.load_state_dict({name: weights[f"weights.{name}"] for name in model.state_dict()})
    losses = evaluate(model, setup, setup.heldout_batches())
    assert losses["loss"] < 20 * math.log(corpus.vocab_size)  # the jump is far beyond
    # The same command meets the same end, and loses nothing on the way.
    with pytest.raises(TrainingError) as again:
        pretrain(changes, corpus, tmp_path / "run")
    assert str(again.value) == str(error.value)
    assert saved_steps(tmp_path / "run") == [good]


def test_an_explosion_is_told_of_the_epoch_that_it_began_in(corpus: Corpus, tmp_path: Path) -> None:
    """Epochs of a few batches: it takes PATIENCE steps to be sure, which are in the next ones."""
    wild = {"lr": 20.0, "warmup": 0.5, "batch_tokens": 2048}
    changes = config("bert", optim=wild, budget={"steps": 100})
    with pytest.raises(TrainingError, match="exploded"):
        pretrain(changes, corpus, tmp_path / "run")
    end = read_run(tmp_path / "run" / "log.jsonl").end
    assert end is not None
    setup, cursor = prepare(changes, corpus), Cursor()
    loader = setup.loader()
    assert loader.loader(0).num_batches(0) < PATIENCE
    for _ in range(end["step"] - 1):
        cursor = loader.following(cursor)
    indices = loader.batch(cursor).indices
    assert (end["epoch"], end["examples"]) == (cursor.epoch, list(indices))
    assert end["documents"] == setup.sources[0].documents(cursor.epoch, indices)


def test_a_run_that_is_ruined_at_once_leaves_no_checkpoint(corpus: Corpus, tmp_path: Path) -> None:
    wild = {"lr": 1e30, "warmup": 0.0, "grad_clip": 1e30}
    with pytest.raises(TrainingError, match=r"the loss is nan at step 2, .* no checkpoint is good"):
        pretrain(config("modern", optim=wild, log=EVERY_STEP), corpus, tmp_path / "run")
    assert saved_steps(tmp_path / "run") == []


def test_poisoned_tokens_are_named(tmp_path: Path) -> None:
    """The disk has put an id into the corpus that no vocabulary has."""
    corpus = make_corpus("modern", tmp_path / "c")
    with (tmp_path / "c" / "tokens.bin").open("r+b") as file:
        file.seek(2 * 5000)
        file.write(b"\xff\xff")
    poisoned = Corpus.open(tmp_path / "c")
    with pytest.raises(CorpusError, match=r"token 5,000 has the id 65,535, of a vocabulary of 120"):
        pretrain(config("modern", budget={"steps": 100}), poisoned, tmp_path / "run")
    assert corpus.num_tokens == poisoned.num_tokens


def test_a_stuck_run_says_so_and_a_learning_one_does_not(corpus: Corpus, tmp_path: Path) -> None:
    high = {"lr": 0.1, "batch_tokens": 1024}
    stuck = config("bert", optim=high, budget={"steps": 120})
    pretrain(stuck, corpus, tmp_path / "stuck")
    log = read_run(tmp_path / "stuck" / "log.jsonl")
    assert log.run["unigram_entropy"] == pytest.approx(corpus.unigram_entropy)
    losses = [record["mlm_loss"] for record in log.of("step")[-40:]]
    assert sum(losses) / 40 == pytest.approx(corpus.unigram_entropy, abs=0.15)
    assert log.warnings
    assert f"{corpus.unigram_entropy:.2f}, the corpus' unigram" in log.warnings[0]["message"]
    assert "learning rate too high for a post-norm" in log.warnings[0]["message"]
    page = (tmp_path / "stuck" / "report.html").read_text("utf-8")
    assert "the masked-LM loss stays at" in page
    pretrain(config("modern", budget={"steps": 200}), corpus, tmp_path / "learns")
    learns = read_run(tmp_path / "learns" / "log.jsonl")
    assert learns.of("eval")[-1]["mlm_loss"] < corpus.unigram_entropy - 0.5
    assert not learns.warnings
