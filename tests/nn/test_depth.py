from __future__ import annotations

import pytest

from bertsmith.config import ModelConfig
from bertsmith.nn.depth import depths, layer_rates, thaw
from bertsmith.nn.models import SequenceClassifier, TokenClassifier

SMALL = ModelConfig(vocab_size=20, num_layers=3, num_heads=2, hidden_size=16, intermediate_size=32)
PRE = SMALL.model_copy(update={"norm": "pre", "positions": "rotary", "bias": False})


@pytest.mark.parametrize("config", [SMALL, PRE])
def test_every_weight_has_the_depth_of_its_layer(config: ModelConfig) -> None:
    model = SequenceClassifier(config, 2)
    found = depths(model)
    assert found.keys() == dict(model.named_parameters()).keys()
    assert found["head.classifier.weight"] == found["head.transform.dense.weight"] == 0
    assert found["encoder.layers.2.feed_forward.output.weight"] == 1
    assert found["encoder.layers.0.feed_forward.output.weight"] == 3
    assert found["encoder.embeddings.word.weight"] == 4
    if config.norm == "pre":
        assert found["encoder.final_norm.weight"] == 1
    rates = layer_rates(model, 0.5)
    assert rates["encoder.embeddings.word.weight"] == 1 / 16
    assert set(layer_rates(model, 1.0).values()) == {1.0}


def test_what_layers_share_is_as_high_as_the_last_of_them() -> None:
    one = depths(SequenceClassifier(SMALL.model_copy(update={"share": "all"}), 2))
    assert one["encoder.layers.0.attention.output.weight"] == 1
    assert one["encoder.embeddings.word.weight"] == 2
    some = depths(SequenceClassifier(SMALL.model_copy(update={"share": "attention"}), 2))
    assert some["encoder.layers.0.attention.output.weight"] == 1
    assert some["encoder.layers.0.feed_forward.output.weight"] == 3


def test_layers_thaw_from_the_top() -> None:
    model = TokenClassifier(SMALL, 3)
    for deepest, names in ((0, {"head"}), (2, {"head", "layers.2", "layers.1"}), (4, None)):
        thaw(model, deepest)
        trained = {
            name.removeprefix("encoder.").split(".attention")[0].split(".feed")[0]
            if "layers" in name
            else name.removeprefix("encoder.").split(".")[0]
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        if names is None:
            assert all(parameter.requires_grad for parameter in model.parameters())
        else:
            assert trained == names
