from __future__ import annotations

import pytest

from bertsmith.config import ModelConfig
from bertsmith.errors import ConfigError
from bertsmith.tasks.protocol import MIN_STEPS, choose_protocol

BASE = ModelConfig(hidden_size=768, num_heads=12)
MINI = ModelConfig(hidden_size=256)


def test_a_large_model_on_much_data_is_trained_as_published() -> None:
    protocol = choose_protocol(BASE, 67_349)
    assert (protocol.epochs, protocol.batch_size, protocol.max_length) == (3, 32, 128)
    assert 2e-5 <= protocol.lr <= 5e-5
    assert choose_protocol(MINI, 67_349).lr > protocol.lr


def test_little_data_gets_enough_steps() -> None:
    protocol = choose_protocol(MINI, 1000)
    assert MIN_STEPS <= protocol.steps(1000) < MIN_STEPS + 32
    assert choose_protocol(MINI, 10).steps(10) == MIN_STEPS


def test_what_is_given_is_taken_and_checked() -> None:
    assert choose_protocol(MINI, 1000, epochs=2, lr=None).epochs == 2
    with pytest.raises(ConfigError, match=r"epochs: .*; batch_size: "):
        choose_protocol(MINI, 1000, epochs=0, batch_size=0)
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        choose_protocol(MINI, 1000, epoch=3)
    with pytest.raises(ConfigError, match="max_length: 1024 is more than the 512 positions"):
        choose_protocol(MINI, 1000, max_length=1024)


def test_unfreezing_must_reach_the_embeddings() -> None:
    base = MINI.model_copy(update={"num_layers": 4})
    assert choose_protocol(base, 1000, epochs=6, unfreeze=1).unfreeze == 1
    with pytest.raises(ConfigError, match=r"unfreeze: 1 an epoch do not reach .* 6 epochs or more"):
        choose_protocol(base, 1000, epochs=5, unfreeze=1)
    assert choose_protocol(base, 1000, epochs=4, unfreeze=2).unfreeze == 2
    with pytest.raises(ConfigError, match=r"layer_decay: .*; unfreeze: .*; patience: "):
        choose_protocol(MINI, 1000, layer_decay=1.1, unfreeze=-1, patience=-1)
