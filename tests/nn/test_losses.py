from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from bertsmith.nn.losses import (
    choice_loss,
    grouped_cross_entropy,
    masked_lm_loss,
    masked_lm_loss_and_sample,
    next_sentence_loss,
    replaced_token_loss,
    replaced_token_scores,
    sentence_order_loss,
    span_loss,
)
from bertsmith.nn.models import MaskedLM

from .batches import POST, flat, random_examples, randomise

SIZES = (9, 4, 12, 6, 3)


@pytest.mark.parametrize(("name", "order"), [("nsp", False), ("sop", True)])
def test_pair_losses_are_cross_entropies_of_the_first_tokens(name: str, order: bool) -> None:
    model = MaskedLM(POST, next_sentence=not order, sentence_order=order).eval()
    randomise(model)
    examples = random_examples(SIZES)
    batch = flat([replace(example, label=i % 2) for i, example in enumerate(examples)])
    head = model.sentence_order_head if order else model.next_sentence_head
    assert head is not None
    hidden_TD = model(batch)
    logits = head(hidden_TD, batch.lengths)
    labels = torch.tensor([index % 2 for index in batch.indices])
    found = (sentence_order_loss if order else next_sentence_loss)(model, batch, hidden_TD)
    assert set(found) == {f"{name}_loss", f"{name}_accuracy"}
    torch.testing.assert_close(found[f"{name}_loss"], functional.cross_entropy(logits, labels))
    correct = [int(row.argmax()) == int(label) for row, label in zip(logits, labels, strict=True)]
    assert float(found[f"{name}_accuracy"]) == pytest.approx(sum(correct) / len(correct))


def test_a_masked_lm_samples_one_token_a_masked_position() -> None:
    model = MaskedLM(POST, next_sentence=False).eval()
    randomise(model)
    targets = {"mlm_positions": torch.tensor([0, 5, 11]), "mlm_labels": torch.tensor([7, 8, 9])}
    batch = replace(flat(random_examples(SIZES)), targets=targets)
    hidden_TD = model(batch)
    torch.manual_seed(0)
    named, sampled = masked_lm_loss_and_sample(model, batch, hidden_TD)
    torch.manual_seed(0)
    _, again = masked_lm_loss_and_sample(model, batch, hidden_TD)
    assert sampled.shape == (3,)
    assert torch.equal(sampled, again)
    plain = masked_lm_loss(model, batch, hidden_TD)
    assert named.keys() == plain.keys()
    assert all(torch.equal(named[name], plain[name]) for name in plain)


def test_replaced_tokens_are_scored_at_every_token() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5, -3.0, 1.0])
    is_replaced = torch.tensor([True, True, False, False, False])
    batch = flat(random_examples((3, 2)))
    found = replaced_token_loss(batch, logits, is_replaced)
    chance = torch.sigmoid(logits)
    expected = -torch.where(is_replaced, chance, 1 - chance).log().mean()
    torch.testing.assert_close(found.pop("rtd_loss"), expected)
    scores = replaced_token_scores({name: float(value) for name, value in found.items()})
    expected_scores = {"rtd_accuracy": 2 / 5, "rtd_precision": 1 / 3, "rtd_recall": 1 / 2}
    assert scores == pytest.approx(expected_scores)
    nothing = replaced_token_loss(batch, -logits.abs(), torch.zeros(5, dtype=torch.bool))
    scores = replaced_token_scores({name: float(value) for name, value in nothing.items()})
    assert scores["rtd_precision"] == scores["rtd_recall"] == 0.0


def test_softmaxes_over_groups_are_those_of_each_group_alone() -> None:
    torch.manual_seed(0)
    scores = (9 * torch.randn(11)).requires_grad_()
    groups = torch.tensor([2, 0, 1, 0, 2, 2, 0, 1, 2, 0, 0])
    right = torch.tensor([3, 7, 8])
    losses = grouped_cross_entropy(scores, groups, right)
    for group, row in enumerate(right.tolist()):
        members = (groups == group).nonzero().squeeze(1)
        place = members.tolist().index(row)
        alone = functional.cross_entropy(scores[members][None], torch.tensor([place]))
        assert losses[group].item() == pytest.approx(alone.item(), abs=1e-5)
    losses.sum().backward()
    assert scores.grad is not None
    assert scores.grad.sum().item() == pytest.approx(0.0, abs=1e-5)


def test_span_and_choice_losses() -> None:
    torch.manual_seed(1)
    lengths, spans = (5, 3, 1), torch.tensor([[1, 4], [0, 0], [0, 0]])
    logits = torch.randn(9, 2)
    parts = logits.split(list(lengths))
    expected = [
        functional.cross_entropy(part[None, :, side], spans[row, side][None])
        for row, part in enumerate(parts)
        for side in (0, 1)
    ]
    assert span_loss(logits, lengths, spans).item() == pytest.approx(
        torch.stack(expected).mean().item(), abs=1e-6
    )
    options = torch.tensor([[40, 0], [7, 1], [40, 1], [7, 0], [40, 0]])
    scores = torch.randn(5, 1)
    expected = [
        functional.cross_entropy(scores[[1, 3]].t(), torch.tensor([0])),
        functional.cross_entropy(scores[[0, 2, 4]].t(), torch.tensor([1])),
    ]
    assert choice_loss(scores, options).item() == pytest.approx(
        torch.stack(expected).mean().item(), abs=1e-6
    )
