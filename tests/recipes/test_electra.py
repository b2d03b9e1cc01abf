"""The combined objective as transformers' two networks compute it; what a run leaves of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from torch.nn import functional

from bertsmith.engine.optim import Optimizer
from bertsmith.export.huggingface import load_model, networks_of, read_model, save_model
from bertsmith.jobs.fill import fill
from bertsmith.jobs.pretrain import pretrain
from bertsmith.jobs.setup import Setup, prepare
from bertsmith.nn.electra import Electra
from bertsmith.nn.models import MaskedLM, ReplacedTokenDetector, count_parameters
from bertsmith.recipes import electra
from bertsmith.text.corpus import Corpus
from nn.batches import randomise

from .toy import config, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("electra", tmp_path_factory.mktemp("corpus") / "c")


@pytest.fixture(scope="module")
def setup(corpus: Corpus) -> Setup:
    return prepare(config("electra"), corpus)


@torch.no_grad()
def test_the_objective_is_that_of_transformers_networks(setup: Setup, tmp_path: Path) -> None:
    model = setup.model().eval()
    assert isinstance(model, Electra)
    randomise(model)
    for name, network in networks_of(model).items():
        save_model(tmp_path / name, network, setup.tokenizer)
    generator = transformers.ElectraForMaskedLM.from_pretrained(tmp_path / "generator")
    discriminator = transformers.ElectraForPreTraining.from_pretrained(tmp_path / "model")
    for batch in setup.heldout_batches():
        (length, *_), end = batch.lengths, batch.lengths[0]
        positions, labels = batch.targets["mlm_positions"], batch.targets["mlm_labels"]
        first = positions < end  # one sequence alone, which needs no padding
        one = replace(
            batch,
            input_ids=batch.input_ids[:end],
            token_type_ids=batch.token_type_ids[:end],
            position_ids=batch.position_ids[:end],
            lengths=(length,),
            indices=batch.indices[:1],
            targets={"mlm_positions": positions[first], "mlm_labels": labels[first]},
        )
        torch.manual_seed(5)
        total, named = electra.loss(model, one)
        at, truth = one.targets["mlm_positions"], one.targets["mlm_labels"]
        scores = generator(one.input_ids[None]).logits[0, at]
        torch.testing.assert_close(named["mlm_loss"], functional.cross_entropy(scores, truth))
        torch.manual_seed(5)
        drawn = scores.softmax(1).cumsum(1) > torch.rand(len(at))[:, None]
        sampled = drawn.int().argmax(1)
        original = one.input_ids.index_copy(0, at, truth)
        corrupted = original.index_copy(0, at, sampled)
        expected = discriminator(corrupted[None], labels=(corrupted != original).long()[None])
        torch.testing.assert_close(named["rtd_loss"], expected.loss, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(total, named["mlm_loss"] + 50 * named["rtd_loss"])


def test_the_discriminator_teaches_the_generator_nothing(setup: Setup) -> None:
    """But for the embeddings, which both use."""
    model = setup.model()
    assert isinstance(model, Electra)
    _, named = electra.loss(model, setup.heldout_batches()[0])
    named["rtd_loss"].backward()
    tied = {id(parameter) for parameter in model.discriminator.parameters()}
    own = [weight for weight in model.generator.parameters() if id(weight) not in tied]
    assert own
    assert all(weight.grad is None for weight in own)
    assert all(weight.grad is not None for weight in model.discriminator.parameters())


def test_both_networks_are_left_and_used(corpus: Corpus, setup: Setup, tmp_path: Path) -> None:
    run = pretrain(config("electra"), corpus, tmp_path / "run")
    detector, generator = load_model(run.model), load_model(run.folder / "generator")
    assert isinstance(detector, ReplacedTokenDetector)
    assert isinstance(generator, MaskedLM)
    assert read_model(run.folder / "generator").architecture == "ElectraForMaskedLM"
    assert torch.equal(generator.embedding, detector.encoder.embeddings.word.weight)
    assert generator.encoder.config.hidden_size == detector.encoder.config.hidden_size / 4
    assert len(fill(run.folder / "generator", "the cat sees the [MASK] .")) == 1
    readme = (run.folder / "README.md").read_text()
    assert "bertsmith fill generator" in readme
    assert "`generator/`" in readme
    assert "-H8" in (run.folder / "generator" / "README.md").read_text()


def test_a_tied_weight_has_one_master(setup: Setup) -> None:
    model = setup.model().to(torch.bfloat16)
    weights = Optimizer(model, setup.config.optim).weights()
    assert sum(weight.numel() for weight in weights.values()) == count_parameters(model)


def test_the_objective_takes_another_encoder(corpus: Corpus, tmp_path: Path) -> None:
    """Pre-norm, rotary, no token types: in our own format, both networks again."""
    encoder = {"norm": "pre", "positions": "rotary", "feed_forward": "geglu", "bias": False}
    model = {**encoder, "type_vocab_size": 0, "generator_size": 0.5}
    run = pretrain(config("electra", model=model), corpus, tmp_path / "run")
    assert read_model(run.model).architecture == "ReplacedTokenDetector"
    assert isinstance(load_model(run.model), ReplacedTokenDetector)
    assert isinstance(load_model(run.folder / "generator"), MaskedLM)
