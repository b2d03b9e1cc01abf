from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from bertsmith.config import ModelConfig
from bertsmith.nn.electra import Electra, generator_config, replace_tokens
from bertsmith.nn.heads import ReplacedTokenHead
from bertsmith.nn.models import count_parameters, masked_lm_of
from bertsmith.types import Batch

from .batches import MODERN, POST, PRE, flat, random_examples

NARROW = POST.model_copy(update={"embedding_size": 10})
MASK = 50


def masked_batch() -> Batch:
    """Three sequences; five positions to be predicted, whose tokens are 1 to 5."""
    batch = flat(random_examples([9, 6, 4]))
    positions = torch.tensor([1, 4, 9, 12, 17])
    input_ids = batch.input_ids.index_fill(0, positions, MASK)
    targets = {"mlm_positions": positions, "mlm_labels": torch.arange(1, 6)}
    return replace(batch, input_ids=input_ids, targets=targets)


@pytest.mark.parametrize(
    ("hidden", "heads", "share", "expected"),
    [
        (256, 4, 0.25, (64, 1, 256)),  # ELECTRA-Small, as released
        (768, 12, 1 / 3, (256, 4, 1024)),  # -Base
        (1024, 16, 0.25, (256, 4, 1024)),  # -Large
        (128, 2, 0.25, (32, 1, 128)),
        (256, 4, 1.0, (256, 4, 1024)),
    ],
)
def test_the_generator_has_the_released_sizes(
    hidden: int, heads: int, share: float, expected: tuple[int, int, int]
) -> None:
    config = ModelConfig(
        hidden_size=hidden, num_heads=heads, intermediate_size=4 * hidden, generator_size=share
    )
    found = generator_config(config)
    assert (found.hidden_size, found.num_heads, found.intermediate_size) == expected
    assert found.num_layers == config.num_layers
    assert found.embedding_width == config.embedding_width
    assert (found.embedding_size == 0) == (found.hidden_size == hidden)


@given(
    heads=st.integers(1, 16),
    head_size=st.integers(1, 64),
    width=st.integers(0, 200),
    share=st.floats(0.001, 1),
)
def test_every_generator_is_a_sound_config(
    heads: int, head_size: int, width: int, share: float
) -> None:
    config = ModelConfig(
        num_heads=heads,
        hidden_size=2 * heads * head_size,
        embedding_size=width,
        generator_size=share,
        positions="rotary",
    )
    found = generator_config(config)
    assert ModelConfig.model_validate(found.model_dump()) == found
    assert found.num_heads <= heads
    assert found.embedding_width == config.embedding_width


@pytest.mark.parametrize("config", [POST, NARROW, PRE, MODERN])
def test_the_networks_share_their_embeddings_and_nothing_else(config: ModelConfig) -> None:
    model = Electra(config)
    ours, theirs = (
        {id(parameter) for parameter in network.parameters()}
        for network in (model.generator, model.discriminator)
    )
    tables = model.discriminator.encoder.embeddings
    tied = [tables.word, tables.position, tables.token_type, tables.norm]
    assert ours & theirs == {id(p) for part in tied if part is not None for p in part.parameters()}
    assert model.generator.embedding is tables.word.weight
    assert masked_lm_of(model) is model.generator
    apart = count_parameters(model.generator) + count_parameters(model.discriminator)
    assert count_parameters(model) < apart
    batch = masked_batch()
    assert model.generator(batch).shape == (19, generator_config(config).hidden_size)
    assert model.discriminator(batch).shape == (19,)


def test_the_networks_stay_tied_in_another_type() -> None:
    model = Electra(NARROW).to(torch.bfloat16)
    tables = model.discriminator.encoder.embeddings
    assert model.generator.encoder.embeddings.word.weight is tables.word.weight
    assert tables.word.weight.dtype == torch.bfloat16


def test_a_projection_stands_only_between_different_widths() -> None:
    square = Electra(POST.model_copy(update={"embedding_size": POST.hidden_size}))
    assert square.discriminator.encoder.embeddings.projection is None
    assert square.generator.encoder.embeddings.projection is not None
    assert Electra(NARROW).discriminator.encoder.embeddings.projection is not None


def test_samples_take_the_place_of_masks_and_copies_count_as_real() -> None:
    batch = masked_batch()
    sampled = torch.tensor([1, 7, 3, 8, 9])
    replaced, is_replaced = replace_tokens(batch, sampled)
    positions = batch.targets["mlm_positions"]
    assert replaced.input_ids[positions].tolist() == sampled.tolist()
    assert is_replaced.nonzero().squeeze(1).tolist() == [4, 12, 17]
    untouched = torch.ones(batch.num_tokens, dtype=torch.bool).index_fill(0, positions, False)
    assert torch.equal(replaced.input_ids[untouched], batch.input_ids[untouched])
    assert (batch.input_ids[positions] == MASK).all()  # the batch itself is as it was
    _, none = replace_tokens(batch, batch.targets["mlm_labels"])
    assert not none.any()


def test_the_head_scores_every_token_by_itself() -> None:
    head = ReplacedTokenHead(POST)
    hidden_TD = torch.randn(7, POST.hidden_size)
    logits = head(hidden_TD)
    assert logits.shape == (7,)
    dense = functional.gelu(hidden_TD @ head.dense.weight.T + head.dense.bias)
    expected = dense @ head.classifier.weight[0] + head.classifier.bias
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(head(hidden_TD[2:3]), logits[2:3])
