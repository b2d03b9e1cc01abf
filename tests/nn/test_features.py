from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from bertsmith.config import ModelConfig
from bertsmith.data.pack import collate
from bertsmith.nn.features import FeatureTagger, Layers, ScalarMix, tagger_of
from bertsmith.nn.models import word_counts
from bertsmith.types import Batch, Example

CONFIG = ModelConfig(vocab_size=30, num_layers=5, num_heads=2, hidden_size=16, intermediate_size=32)
LAYERS: dict[str, list[int]] = {
    "embeddings": [0],
    "last": [5],
    "second-to-last": [4],
    "sum-last-four": [2, 3, 4, 5],
    "concat-last-four": [2, 3, 4, 5],
    "mix": [0, 1, 2, 3, 4, 5],
}


def batch() -> Batch:
    made = []
    for length, words in ((4, [1, 3]), (7, [2]), (5, [1, 2, 3])):
        is_word = np.zeros(length, dtype=np.int64)
        is_word[words] = 1
        ids = np.arange(length, dtype=np.int64) + 3
        made.append(Example(ids, np.zeros_like(ids), token_targets={"is_word": is_word}))
    return collate(made, range(3))


def tagger(layers: str, **settings: Any) -> FeatureTagger:
    torch.manual_seed(0)
    made = tagger_of(CONFIG, 4, 0.1, {"features": layers, **settings})
    assert isinstance(made, FeatureTagger)
    return made


@pytest.mark.parametrize("layers", get_args(Layers))
def test_features_are_the_layers_that_are_named(layers: str) -> None:
    model, some = tagger(layers), batch()
    assert word_counts(some).tolist() == [1, 3, 2]
    states = [
        state[some.targets["is_word"] > 0] for state in model.eval().encoder.hidden_states(some)
    ]
    chosen = [states[number] for number in LAYERS[layers]]
    if layers == "mix":
        expected = torch.stack(chosen, dim=1)
    elif layers == "concat-last-four":
        expected = torch.cat(chosen, dim=1)
    else:
        expected = torch.stack(chosen).sum(0)
    torch.testing.assert_close(model.features(some), expected.detach())
    torch.testing.assert_close(model.train().features(some), expected.detach())


@pytest.mark.parametrize("kind", ["bilstm", "linear"])
def test_features_computed_before_give_the_same_and_the_encoder_is_frozen(kind: str) -> None:
    model, some = tagger("mix", tagger=kind, crf=True).eval(), batch()
    expected = model(some)
    assert expected.shape == (6, 4)
    targets = {**some.targets, "features": model.features(some)}
    known = Batch(*(getattr(some, name) for name in Batch.__slots__[:5]), targets=targets)
    torch.testing.assert_close(model(known), expected)
    model(known).sum().backward()
    learnt = {name.split(".")[0] for name, w in model.named_parameters() if w.requires_grad}
    assert learnt == {"head"}
    assert model.head.mix is not None
    assert model.head.mix.weights.grad is not None


def test_a_mix_is_gamma_times_the_weighted_mean() -> None:
    mix = ScalarMix(3)
    states = torch.randn(5, 3, 2)
    torch.testing.assert_close(mix(states), states.mean(dim=1))
    with torch.no_grad():
        mix.weights[:] = torch.tensor([1.0, 2.0, 3.0]).log()
        mix.gamma[:] = 2.0
    expected = 2 * (states[:, 0] + 2 * states[:, 1] + 3 * states[:, 2]) / 6
    torch.testing.assert_close(mix(states), expected)


@pytest.mark.parametrize(
    "settings", [{"features": "first"}, {"features": "last", "tagger": "tree"}, {"crf": "yes"}]
)
def test_settings_of_no_tagger(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is none of"):
        tagger_of(CONFIG, 4, 0.1, settings)
