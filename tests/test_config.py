"""Run configs: what goes together, what holds when, and no hidden default."""

from __future__ import annotations

import tomllib

import pytest

from bertsmith.config import DataConfig, ModelConfig, RunConfig, overlay, resolve
from bertsmith.errors import ConfigError
from bertsmith.schema import parse_assignments

DEFAULTS = RunConfig(recipe="bert")


def test_combinations_are_checked() -> None:
    with pytest.raises(ConfigError, match="exactly one of tokens, steps, minutes"):
        resolve(DEFAULTS, {"budget": {"tokens": 5, "minutes": 1}})
    with pytest.raises(ConfigError, match="longer than"):
        resolve(DEFAULTS, {"data": {"max_length": 1024}})
    with pytest.raises(ConfigError, match="holds no segment"):
        resolve(DEFAULTS, {"optim": {"batch_tokens": 64}})
    with pytest.raises(ConfigError, match="add up to more than 1"):
        resolve(DEFAULTS, {"data": {"mask_token_share": 0.95}})
    with pytest.raises(ConfigError, match="even head size"):
        resolve(DEFAULTS, {"model": {"positions": "rotary", "hidden_size": 36}})


STAGES = [{"share": 0.25, "masking": "token"}, {"share": 0.75, "masking": "span"}]


def test_masking_over_a_run() -> None:
    data = DataConfig(stages=STAGES, mask_rate=0.3, final_mask_rate=0.1)
    assert data.changes
    for progress, masking, rate in (
        *((0.0, "token", 0.3), (0.249, "token", 0.2502), (0.25, "span", 0.25)),
        *((0.5, "span", 0.2), (1.0, "span", 0.1)),
    ):
        now = data.at(progress)
        assert not now.changes
        assert now.masking == masking
        assert now.mask_rate == pytest.approx(rate)
    constant = DataConfig(masking="word")
    assert constant.at(0.7) == constant


def test_lengths_over_a_run() -> None:
    short_first = [{"share": 0.9, "max_length": 128}, {"share": 0.1, "max_length": 512}]
    data = DataConfig(stages=short_first, masking="word")
    assert data.changes
    assert data.phases == ((0.0, 0.9, 128), (0.9, 1.0, 512))
    assert data.longest == 512
    assert (data.at(0.89).max_length, data.at(0.9).max_length) == (128, 512)
    assert data.at(0.95).masking == "word"
    assert [data.phase_at(progress) for progress in (0, 0.89, 0.9, 1)] == [0, 0, 1, 1]
    assert DataConfig().phase_at(1.0) == 0
    # Where the length stays, so does the stream of batches.
    mixed = [
        {"share": 0.3, "masking": "token"},
        {"share": 0.3, "masking": "span", "max_length": 64},
        {"share": 0.2, "masking": "word"},
        {"share": 0.2, "masking": "word", "max_length": 256},
    ]
    data = DataConfig(stages=mixed, max_length=64)
    assert [phase.max_length for phase in data.phases] == [64, 256]
    assert data.phases[0].end == data.phases[1].begin == pytest.approx(0.8)
    assert DataConfig().phases == ((0.0, 1.0, 128),)
    with pytest.raises(ConfigError, match=r"data\.max_length 1024 is longer than"):
        resolve(DEFAULTS, {"data": {"stages": [{"share": 1, "max_length": 1024}]}})
    with pytest.raises(
        ConfigError, match=r"batch_tokens 256 holds no segment of data.max_length 512"
    ):
        resolve(DEFAULTS, {"data": {"stages": short_first}, "optim": {"batch_tokens": 256}})


def test_stages_are_checked_and_written() -> None:
    with pytest.raises(ConfigError, match=r"shares of stages add up to 0\.5, not 1"):
        resolve(DEFAULTS, {"data": {"stages": [{"share": 0.5, "masking": "word"}]}})
    with pytest.raises(ConfigError, match=r"'data\.stages\.0\.shar', did you mean 'share'"):
        resolve(DEFAULTS, {"data": {"stages": [{"shar": 1, "masking": "word"}]}})
    config = resolve(DEFAULTS, {"data": {"stages": STAGES}})
    assert resolve(DEFAULTS, tomllib.loads(config.to_toml())) == config
    pair = parse_assignments(['data.stages=[{share=1, masking="word"}]'])
    assert resolve(DEFAULTS, pair).data.at(0.5).masking == "word"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"position_offset": 2, "positions": "rotary"}, "position_offset goes with positions"),
        ({"tied": False, "num_decoder_layers": 2}, "tied must be true"),
    ],
)
def test_choices_that_do_not_go_together(model: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        resolve(DEFAULTS, {"model": model})


def test_a_budget_replaces_the_default_whole() -> None:
    merged = overlay({"budget": {"minutes": 5}, "optim": {"lr": 1, "eps": 2}}, {})
    assert merged["budget"] == {"minutes": 5}
    merged = overlay(merged, {"budget": {"tokens": 9}, "optim": {"lr": 3}})
    assert merged == {"budget": {"tokens": 9}, "optim": {"lr": 3, "eps": 2}}


def test_toml_round_trip_has_every_value() -> None:
    config = resolve(DEFAULTS, {"log": {"fill": ["x [MASK]"]}, "budget": {"steps": 3}})
    tables = tomllib.loads(config.to_toml())
    assert resolve(DEFAULTS, tables) == config
    assert set(tables["model"]) == set(ModelConfig.model_fields)
