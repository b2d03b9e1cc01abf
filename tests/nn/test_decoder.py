"""The decoder: flat as one by one, blind to what comes after, the same token by token."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.t5.modeling_t5 import T5Attention

from bertsmith.nn import attention
from bertsmith.nn.embeddings import bucket_of
from bertsmith.nn.layout import ALIGNMENT, GROUP_SLACK, Layout
from bertsmith.nn.losses import decoder_loss
from bertsmith.nn.models import EncoderDecoder
from bertsmith.types import Example

from .batches import POST, T5, by_example, flat, random_pairs, randomise

CONFIGS = {"t5": T5, "post": POST.model_copy(update={"num_decoder_layers": 2})}
BY_CONFIG = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
LENGTHS, DECODER_LENGTHS = (9, 30, 1, 12, 30), (4, 1, 20, 3, 17)


def network(config: object) -> EncoderDecoder:
    model = EncoderDecoder(config).eval()
    randomise(model)
    return model


def outputs(model: EncoderDecoder, examples: list[Example]) -> list[Tensor]:
    """(m, D) for each example, in their order."""
    batch = flat(examples)
    assert batch.decoder is not None
    return by_example(model(batch), batch.decoder)


@BY_CONFIG
@pytest.mark.parametrize("path", ["explicit", "fused"])
def test_flat_equals_one_by_one(config: object, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "SDPA_LENGTH", 1 if path == "fused" else 512)
    model = network(config)
    examples = random_pairs(LENGTHS, DECODER_LENGTHS)
    together = outputs(model, examples)
    sum(output.square().sum() for output in together).backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    for example, output in zip(examples, together, strict=True):
        (alone,) = outputs(model, [example])
        torch.testing.assert_close(alone, output, atol=1e-4, rtol=1e-4)
        alone.square().sum().backward()
    for name, weight in model.named_parameters():
        scale = float(weight.grad.abs().max())
        torch.testing.assert_close(weight.grad, gradients[name], atol=1e-4 * scale, rtol=1e-3)


@BY_CONFIG
@torch.no_grad()
def test_no_token_sees_a_later_one(config: object) -> None:
    model = network(config)
    (example,) = random_pairs([7], [12])
    changed = replace(example, decoder_input_ids=example.decoder_input_ids.copy())
    changed.decoder_input_ids[8:] = 1 + changed.decoder_input_ids[8:] % 50
    (before,), (after,) = outputs(model, [example]), outputs(model, [changed])
    torch.testing.assert_close(before[:8], after[:8])
    assert not torch.allclose(before[8], after[8])


@BY_CONFIG
@torch.no_grad()
def test_every_token_sees_the_whole_input(config: object) -> None:
    model = network(config)
    (example,) = random_pairs([7], [5])
    changed = replace(example, input_ids=example.input_ids.copy())
    changed.input_ids[-1] = 1 + changed.input_ids[-1] % 50
    (before,), (after,) = outputs(model, [example]), outputs(model, [changed])
    assert (before != after).any(dim=1).all()


@BY_CONFIG
@torch.no_grad()
def test_token_by_token_is_the_same(config: object) -> None:
    """Two sequences for one input, which change places on the way."""
    model = network(config)
    (first,) = random_pairs([9], [14])
    second = replace(first, decoder_input_ids=first.decoder_input_ids[::-1].copy())
    expected = [
        hidden @ model.embedding.t() for e in (first, second) for hidden in outputs(model, [e])
    ]
    memory = model.begin(flat([first])).select(torch.tensor([0, 0]))
    rows = [0, 1]
    for at in range(14):
        ids = [(first, second)[row].decoder_input_ids[at] for row in rows]
        scores, memory = model.step(torch.tensor(np.array(ids)), memory)
        for row, score in zip(rows, scores, strict=True):
            torch.testing.assert_close(score, expected[row][at], atol=1e-4, rtol=1e-4)
        assert memory.num_tokens == at + 1
        if at % 3 == 0:
            memory, rows = memory.select(torch.tensor([1, 0])), rows[::-1]


def test_loss_is_that_of_the_labels() -> None:
    model = network(T5)
    examples = random_pairs(LENGTHS, DECODER_LENGTHS)
    batch = flat(examples)
    named = decoder_loss(model, batch, model(batch))
    logits = torch.cat([hidden @ model.embedding.t() for hidden in outputs(model, examples)])
    labels = torch.cat([torch.from_numpy(example.decoder_labels) for example in examples])
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(named["decoder_loss"], expected)
    assert float(named["decoder_accuracy"]) == pytest.approx(
        float((logits.argmax(1) == labels).float().mean())
    )


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=60)
def test_pairs_are_grouped_alike(pairs: list[tuple[int, int]]) -> None:
    lengths, source_lengths = zip(*pairs, strict=True)
    layouts = Layout.build_pair(lengths, source_lengths, torch.device("cpu"))
    assert [g.size for g in layouts[0].groups] == [g.size for g in layouts[1].groups]
    for layout, counts in zip(layouts, (lengths, source_lengths), strict=True):
        assert sum(group.size for group in layout.groups) == len(counts)
        assert layout.groups[-1].end == sum(counts)
        first = 0
        for group in layout.groups:
            members = counts[first : first + group.size]
            shortest = GROUP_SLACK * group.longest - ALIGNMENT
            assert min(members) > shortest
            assert members[group.longest_row] == max(members) or group.slots is None
            first += group.size


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "furthest"), [(32, 128), (8, 12), (16, 400)])
def test_buckets_are_those_of_transformers(
    bidirectional: bool, buckets: int, furthest: int
) -> None:
    places = torch.arange(300)
    offsets = places - places[:, None]
    expected = T5Attention._relative_position_bucket(offsets, bidirectional, buckets, furthest)
    assert torch.equal(bucket_of(offsets, buckets, furthest, bidirectional), expected)
