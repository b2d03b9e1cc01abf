"""Parameters shared across layers: one weight each for the optimizer, checkpoints and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bertsmith.engine.optim import Optimizer
from bertsmith.export.huggingface import load_masked_lm, read_model
from bertsmith.jobs.pretrain import pretrain
from bertsmith.jobs.setup import prepare
from bertsmith.nn.models import count_parameters
from bertsmith.text.corpus import Corpus

from .toy import config, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("albert", tmp_path_factory.mktemp("corpus") / "c")


def test_depth_costs_no_parameters(corpus: Corpus) -> None:
    shallow, deep = (
        count_parameters(prepare(config("albert", model={"num_layers": n}), corpus).outline())
        for n in (2, 12)
    )
    assert shallow == deep


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("share", ["all", "attention", "feed_forward"])
def test_a_shared_weight_has_one_master_and_is_saved_once(
    share: str, optimizer: str, corpus: Corpus, tmp_path: Path
) -> None:
    changes = {"model": {"share": share}, "optim": {"name": optimizer}, "precision": "bfloat16"}
    chosen = config("albert", **changes)
    model = prepare(chosen, corpus).model()
    weights = Optimizer(model, chosen.optim).weights()
    assert sum(weight.numel() for weight in weights.values()) == count_parameters(model)

    result = pretrain(chosen, corpus, tmp_path / "run")
    source = read_model(result.model)
    # transformers knows ALBERT's way of sharing and no other.
    assert source.family == ("albert" if share == "all" else "bertsmith")
    assert source.config.share == share
    (*_, newest) = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))
    trained = {
        name.removeprefix("weights."): tensor
        for name, tensor in load_file(newest / "tensors.safetensors").items()
        if name.startswith("weights.")
    }
    published = load_masked_lm(source).state_dict()
    assert trained.keys() == published.keys() == weights.keys()
    for name, tensor in published.items():
        assert torch.equal(tensor, trained[name]), name
