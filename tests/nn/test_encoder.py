from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertsmith.config import ModelConfig
from bertsmith.nn import attention
from bertsmith.nn.encoder import Encoder

from .batches import CONFIGS, POST, by_example, flat, random_examples, randomise

ALL = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def make(config: ModelConfig) -> Encoder:
    encoder = Encoder(config).eval()
    randomise(encoder)
    return encoder


@ALL
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8))
@settings(deadline=None, max_examples=15)
def test_a_sequence_has_the_same_vectors_alone_and_in_any_batch(
    config: ModelConfig, lengths: list[int]
) -> None:
    encoder = make(config)
    examples = random_examples(lengths, config.type_vocab_size)
    batch = flat(examples)
    with torch.no_grad():
        packed = by_example(encoder(batch), batch)
        for example, vectors in zip(examples, packed, strict=True):
            torch.testing.assert_close(vectors, encoder(flat([example])), atol=2e-5, rtol=1e-4)


@ALL
@pytest.mark.parametrize("sdpa_length", [1, 512], ids=["fused", "explicit"])
def test_gradients_of_a_batch_are_the_sum_of_its_sequences(
    config: ModelConfig, sdpa_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss weighs every number differently: a plain sum over a LayerNorm has no gradient."""
    monkeypatch.setattr(attention, "SDPA_LENGTH", sdpa_length)
    encoder = make(config)
    examples = random_examples([12, 11, 10, 3, 12, 1], config.type_vocab_size)
    batch = flat(examples)
    weights = [torch.randn(len(example.input_ids), config.hidden_size) for example in examples]
    vectors = by_example(encoder(batch), batch)
    sum((v * w).sum() for v, w in zip(vectors, weights, strict=True)).backward()
    packed = {name: p.grad.clone() for name, p in encoder.named_parameters()}
    encoder.zero_grad()
    for example, weight in zip(examples, weights, strict=True):
        (encoder(flat([example])) * weight).sum().backward()
    for name, parameter in encoder.named_parameters():
        largest = float(parameter.grad.abs().max())
        assert largest > 1e-3, name
        torch.testing.assert_close(
            packed[name], parameter.grad, atol=1e-5 * largest, rtol=1e-3, msg=name
        )


@ALL
@pytest.mark.parametrize("read", [[5, 0, 33, 12], [], list(range(36))], ids=["some", "none", "all"])
def test_rows_that_are_read_are_as_if_all_were(config: ModelConfig, read: list[int]) -> None:
    """And so are the gradients of what is made of them."""
    encoder = make(config)
    batch = flat(random_examples([17, 11, 8], config.type_vocab_size))
    rows = torch.tensor(read, dtype=torch.int64)
    weights = torch.randn(len(read), config.hidden_size)

    def gradients(hidden_TD: torch.Tensor) -> dict[str, torch.Tensor]:
        encoder.zero_grad(set_to_none=False)
        (hidden_TD[rows] * weights).sum().backward()
        return {name: p.grad.clone() for name, p in encoder.named_parameters()}

    whole = encoder(batch)
    expected = gradients(whole)
    partial = encoder(batch, rows)
    assert partial.shape == whole.shape
    torch.testing.assert_close(partial[rows], whole[rows], atol=2e-5, rtol=1e-4)
    unread = torch.ones(len(whole), dtype=torch.bool).index_fill(0, rows, False)
    assert not partial[unread].any()
    for name, gradient in gradients(partial).items():
        largest = float(expected[name].abs().max())
        torch.testing.assert_close(
            gradient, expected[name], atol=1e-5 * largest + 1e-12, rtol=1e-3, msg=name
        )


@ALL
def test_the_long_path_and_the_short_path_agree(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make(config)
    batch = flat(random_examples([512, 430, 30], config.type_vocab_size))
    with torch.no_grad():
        mixed = encoder(batch)
        monkeypatch.setattr(attention, "SDPA_LENGTH", 10_000)
        torch.testing.assert_close(mixed, encoder(batch), atol=2e-5, rtol=1e-4)


@ALL
def test_hidden_states_end_with_the_output(config: ModelConfig) -> None:
    encoder = make(config)
    batch = flat(random_examples([7, 5], config.type_vocab_size))
    states = list(encoder.hidden_states(batch))
    assert len(states) == config.num_layers + 1
    assert torch.equal(states[0], encoder.embeddings(batch))
    assert torch.equal(states[-1], encoder(batch))


@ALL
def test_what_goes_on_from_a_layer_is_what_follows_it(config: ModelConfig) -> None:
    encoder = make(config)
    batch = flat(random_examples([7, 5], config.type_vocab_size))
    with torch.no_grad():
        states = list(encoder.hidden_states(batch))
        for layer, hidden in enumerate(states):
            after = list(encoder.continued(batch, hidden, layer))
            assert len(after) == config.num_layers - layer
            for state, expected in zip(after, states[layer + 1 :], strict=True):
                assert torch.equal(state, expected)
        (*_, changed) = encoder.continued(batch, states[0].roll(1, 1), 0)
        assert not torch.allclose(changed, states[-1])


@ALL
def test_attention_weights_are_probabilities_of_every_layer(config: ModelConfig) -> None:
    encoder = make(config)
    batch = flat(random_examples([4, 7], config.type_vocab_size))
    layers = list(encoder.attention_weights(batch))
    assert len(layers) == config.num_layers
    for maps in layers:
        assert [tuple(m.shape) for m in maps] == [(3, 7, 7), (3, 4, 4)]
        for probabilities in maps:
            torch.testing.assert_close(probabilities.sum(-1), torch.ones(probabilities.shape[:-1]))


@ALL
def test_attention_weights_of_some_layers_and_heads_alone(config: ModelConfig) -> None:
    encoder = make(config)
    batch = flat(random_examples([4, 7], config.type_vocab_size))
    whole = list(encoder.attention_weights(batch))
    for layers, heads in (([1], [2, 0]), ([0], [1]), ({1, 0}, [0, 1, 2])):
        part = list(encoder.attention_weights(batch, layers, heads))
        assert len(part) == len(layers)
        for layer, maps in zip(sorted(layers), part, strict=True):
            for own, every in zip(maps, whole[layer], strict=True):
                torch.testing.assert_close(own, every[heads])
    assert list(encoder.attention_weights(batch, [])) == []


def test_no_layer_above_those_asked_for_is_computed() -> None:
    encoder = make(POST)
    batch = flat(random_examples([4, 7]))
    computed: list[int] = []
    for depth, layer in enumerate(encoder.layers):
        layer.register_forward_hook(lambda *_, depth=depth: computed.append(depth))
    next(encoder.attention_weights(batch, [1]))
    assert computed == [0]


@pytest.mark.parametrize(
    ("share", "shared"),
    [
        ("none", set()),
        ("attention", {"attention", "attention_norm"}),
        ("feed_forward", {"feed_forward", "feed_forward_norm"}),
        ("all", {"attention", "attention_norm", "feed_forward", "feed_forward_norm"}),
    ],
)
@torch.no_grad()
def test_shared_parameters_compute_what_copies_of_them_compute(
    share: str, shared: set[str]
) -> None:
    config = POST.model_copy(update={"share": share, "num_layers": 3})
    encoder = make(config)
    state = encoder.state_dict()
    assert set(state) == {name for name, _ in encoder.named_parameters()}
    names = {name.removeprefix("layers.1.") for name in state if name.startswith("layers.1.")}
    assert not {name.partition(".")[0] for name in names} & shared
    unshared = Encoder(config.model_copy(update={"share": "none"})).eval()

    def source(name: str) -> str:
        parts = name.split(".")
        if parts[0] == "layers" and parts[2] in shared:
            parts[1] = "0"
        return ".".join(parts)

    unshared.load_state_dict({name: state[source(name)] for name in unshared.state_dict()})
    batch = flat(random_examples([7, 5]))
    pairs = zip(encoder.hidden_states(batch), unshared.hidden_states(batch), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    maps = zip(encoder.attention_weights(batch), unshared.attention_weights(batch), strict=True)
    assert all(torch.equal(ours[0], theirs[0]) for ours, theirs in maps)


def test_an_encoder_with_shared_parameters_is_copied_and_moved_whole() -> None:
    encoder = make(CONFIGS["one-attention"])
    copied = copy.deepcopy(encoder).to(torch.float64)
    batch = flat(random_examples([7, 5]))
    torch.testing.assert_close(copied(batch).float(), encoder(batch), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert not copied(batch).any()
    assert encoder(batch).any()


def test_token_types_and_positions_reach_the_output() -> None:
    encoder = make(POST)
    (example,) = random_examples([9])
    batch = flat([example])
    changed = flat([example])
    changed.token_type_ids.zero_()
    assert not torch.allclose(encoder(batch), encoder(changed))
    changed = flat([example])
    changed.position_ids.add_(1)
    assert not torch.allclose(encoder(batch), encoder(changed))


def test_rotary_positions_are_relative() -> None:
    encoder = make(CONFIGS["modern"])
    batch, shifted = (flat(random_examples([9], 0)) for _ in range(2))
    shifted.position_ids.add_(31)
    torch.testing.assert_close(encoder(batch), encoder(shifted), atol=2e-5, rtol=1e-4)
    shifted.position_ids.mul_(2)
    assert not torch.allclose(encoder(batch), encoder(shifted), atol=1e-2)


def test_a_fresh_encoder_is_initialised_as_in_bert() -> None:
    torch.manual_seed(0)
    encoder = Encoder(POST.model_copy(update={"hidden_size": 96, "initializer_range": 0.02}))
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert bool((parameter == 1).all()), name
        else:
            assert parameter.abs().max() <= 0.04, name
            assert 0.015 < float(parameter.detach().std()) < 0.02, name


def test_residual_outputs_of_a_pre_norm_encoder_start_smaller() -> None:
    torch.manual_seed(0)
    encoder = Encoder(CONFIGS["pre"].model_copy(update={"num_layers": 8, "hidden_size": 96}))
    layer = encoder.layers[3]
    output, inner = (
        layer.feed_forward.output.weight.detach(),
        layer.feed_forward.input.weight.detach(),
    )
    assert float(output.std() / inner.std()) == pytest.approx(16**-0.5, rel=0.1)
