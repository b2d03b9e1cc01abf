"""What every recipe must do: learn, go on to the bit, be scored, be saved, be written down."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from bertsmith.data.loader import START, Cursor
from bertsmith.engine.distributed import Group
from bertsmith.engine.optim import Optimizer, make_schedule
from bertsmith.engine.train import State, Step, train
from bertsmith.export.huggingface import load_model, read_model
from bertsmith.jobs.pretrain import PretrainResult, load_config, pretrain
from bertsmith.jobs.preview import preview
from bertsmith.jobs.setup import Setup, describe, evaluate, prepare
from bertsmith.nn.models import count_parameters, masked_lm_of
from bertsmith.recipes.base import find, recipe_names
from bertsmith.report.log import read_run
from bertsmith.text.corpus import Corpus
from bertsmith.types import Batch, as_one

from .toy import config, make_corpus

STEPS = 12


@pytest.fixture(scope="module", params=recipe_names())
def recipe(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def corpus(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(recipe, tmp_path_factory.mktemp("corpus") / recipe)


@pytest.fixture(scope="module")
def setup(recipe: str, corpus: Corpus) -> Setup:
    return prepare(config(recipe), corpus)


@pytest.fixture(scope="module")
def run(recipe: str, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> PretrainResult:
    return pretrain(config(recipe), corpus, tmp_path_factory.mktemp("run") / recipe)


def begin(setup: Setup) -> tuple[nn.Module, Optimizer]:
    model = setup.model()
    return model, Optimizer(model, setup.config.optim)


def go(
    setup: Setup, model: nn.Module, optimizer: Optimizer, state: State[Cursor], steps: int
) -> list[Step[Cursor]]:
    """The next `steps` of the run from `state`."""
    stream = setup.loader().stream(state.cursor)
    schedule = make_schedule(setup.config.optim)
    loss, length = setup.recipe.loss, setup.length
    taken = list(islice(train(model, loss, stream, optimizer, schedule, length, state, 0), steps))
    stream.close()
    return taken


def test_it_learns(recipe: str, corpus: Corpus) -> None:
    setup = prepare(config(recipe, budget={"steps": 60}), corpus)
    model, optimizer = begin(setup)
    heldout = setup.heldout_batches()
    before = evaluate(model, setup, heldout)
    steps = go(setup, model, optimizer, State(Cursor()), 60)
    after = evaluate(model, setup, heldout)
    losses = [step.values["loss"] for step in steps]
    assert sum(losses[-10:]) < 0.95 * sum(losses[:10])
    assert after["loss"] < 0.95 * before["loss"]


def shares_of(setup: Setup, count: int) -> list[Batch]:
    """The first batch as `count` processes share it, each knowing the counts of all."""
    ranks = [replace(setup, group=Group(rank, count)) for rank in range(count)]
    return as_one([rank.loader().batch(START) for rank in ranks])


def micro_batches_of(setup: Setup) -> list[Batch]:
    """The first batch as it goes through the network where memory is short."""
    setup = replace(setup, config=setup.config.model_copy(update={"micro_tokens": 60}))
    return setup.loader().micro_batches(START)


def test_shares_add_up_to_the_whole(
    recipe: str, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses, scores and gradients of three processes' shares, and of micro-batches, are together
    those of the batch: every mean is divided by the `Batch.total` of what it counts."""
    setup = prepare(config(recipe, precision="float32"), corpus)
    monkeypatch.setattr(torch, "rand", lambda count, **place: torch.full((count,), 0.5))
    shares, micro_batches = shares_of(setup, 3), micro_batches_of(setup)
    assert len(micro_batches) > 3
    results = []
    for batches in ([setup.loader().batch(START)], shares, micro_batches):
        model = setup.model().eval()
        sums: Counter[str] = Counter()
        for batch in batches:
            total, named = setup.recipe.loss(model, batch)
            total.backward()  # type: ignore[no-untyped-call]
            sums.update({"loss": float(total.detach())})
            sums.update({name: float(value.detach()) for name, value in named.items()})
        results.append((sums, {name: weight.grad for name, weight in model.named_parameters()}))
    (whole, gradients), *divided = results
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for together, added in divided:
        assert together == pytest.approx(whole, rel=1e-4)
        for name, gradient in gradients.items():
            torch.testing.assert_close(
                added[name], gradient, rtol=1e-3, atol=1e-5 * largest, msg=name
            )


def test_an_evaluation_does_not_depend_on_its_batches(
    recipe: str, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each score is the mean over what it counts: masked tokens, pairs, tokens found."""
    chosen = {"data": {"heldout_share": 0.2}, "budget": {"steps": 1000}, "precision": "float32"}
    setup = prepare(config(recipe, **chosen), corpus)
    monkeypatch.setattr(torch, "rand", lambda count, **place: torch.full((count,), 0.5))
    model = setup.model()
    heldout = setup.heldout_batches()
    small = replace(setup, config=setup.config.model_copy(update={"micro_tokens": 60}))
    assert len(small.heldout_batches()) > 2 * len(heldout)
    scores = evaluate(model, setup, heldout)
    assert evaluate(model, small, small.heldout_batches()) == pytest.approx(scores, rel=1e-4)


def test_every_weight_is_trained(setup: Setup) -> None:
    model, optimizer = begin(setup)
    before = {name: weight.clone() for name, weight in optimizer.weights().items()}
    go(setup, model, optimizer, State(Cursor()), 4)
    still = [name for name, new in optimizer.weights().items() if torch.equal(new, before[name])]
    assert not still


def test_evaluation_is_the_same_for_the_same_weights(setup: Setup) -> None:
    model, _ = begin(setup)
    heldout = setup.heldout_batches()
    first = evaluate(model, setup, heldout)
    torch.rand(7)
    assert evaluate(model, setup, heldout) == first
    assert model.training
    assert first.keys() >= {"loss"}
    assert all(value >= 0 for value in first.values())
    assert all(first[name] <= 1 for name in first if name.endswith("_accuracy"))


def test_resume_at_any_step_is_exact(setup: Setup) -> None:
    whole_model, whole = begin(setup)
    all_steps = go(setup, whole_model, whole, State(Cursor()), STEPS)
    for at in (1, 5, STEPS - 1):
        model, optimizer = begin(setup)
        first = go(setup, model, optimizer, State(Cursor()), at)
        evaluate(model, setup, setup.heldout_batches()[:1])  # leaves no trace in what follows
        saved = {name: tensor.clone() for name, tensor in optimizer.state().items()}
        model, optimizer = begin(setup)
        optimizer.load_state(saved)
        rest = go(setup, model, optimizer, first[-1].state, STEPS - at)
        assert [s.values for s in first + rest] == [s.values for s in all_steps]
        for one, other in zip(optimizer.weights().values(), whole.weights().values(), strict=True):
            assert torch.equal(one, other)


def test_a_run_leaves_what_it_promises(recipe: str, run: PretrainResult) -> None:
    assert run.finished
    assert run.exit_status == 0
    for name in ("config.toml", "log.jsonl", "report.html", "README.md", "model"):
        assert (run.folder / name).exists(), name
    log = read_run(run.folder / "log.jsonl")
    assert len(log.of("step")) == STEPS
    assert len(log.of("eval")) == 2
    assert run.evaluation["loss"] > 0
    model = find(recipe).model(load_config(run.folder / "config.toml").model)
    assert bool(log.of("fill")) == (masked_lm_of(model) is not None)
    assert all(sample["answers"] for fill in log.of("fill") for sample in fill["samples"])


def test_what_is_published_is_what_was_trained(setup: Setup, run: PretrainResult) -> None:
    model, optimizer = begin(setup)
    go(setup, model, optimizer, State(Cursor()), STEPS)
    trained = list(optimizer.weights().values())
    published = load_model(run.model)
    assert not published.training
    for name, weight in published.state_dict().items():
        assert any(weight.shape == w.shape and torch.equal(weight, w) for w in trained), name


def test_what_transformers_has_a_class_for_loads_there(run: PretrainResult) -> None:
    source = read_model(run.model)
    if source.family == "bertsmith":
        pytest.skip(f"transformers has no class for a {source.architecture}")
    theirs, info = getattr(transformers, source.architecture).from_pretrained(
        run.model, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert count_parameters(theirs) == count_parameters(load_model(run.model))


def test_what_it_will_see_can_be_looked_at(recipe: str, corpus: Corpus, tmp_path: Path) -> None:
    found = preview(config(recipe), corpus, samples=3, html=tmp_path / "preview.html")
    assert len(found.passages) == 3
    assert all(passage.lines for passage in found.passages)
    assert found.rates["measured"].endswith("segments")
    assert f"What {recipe} will see" in (tmp_path / "preview.html").read_text("utf-8")


def test_its_config_is_written_down_whole(recipe: str, setup: Setup, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    for whole in (find(recipe).config, setup.config):
        path.write_text(whole.to_toml(), "utf-8")
        assert load_config(path) == whole
    assert find(recipe).config.recipe == recipe
    assert recipe in describe(setup)["recipe"]
