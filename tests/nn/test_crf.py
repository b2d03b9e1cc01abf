from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bertsmith.nn.crf import CRF, Rules
from bertsmith.nn.recurrent import BiLSTM

RULES = Rules(
    torch.tensor([True, True, False]),
    torch.tensor([[True, True, False], [True, False, True], [True, True, True]]),
    torch.tensor([True, False, True]),
)


def made(seed: int, lengths: list[int]) -> tuple[CRF, Tensor, Tensor]:
    torch.manual_seed(seed)
    crf = CRF(3)
    for weight in crf.parameters():
        torch.nn.init.normal_(weight)
    return crf, torch.randn(sum(lengths), 3), torch.tensor(lengths)


def allowed(labels: tuple[int, ...], rules: Rules | None) -> bool:
    return rules is None or (
        bool(rules.start[labels[0]])
        and bool(rules.end[labels[-1]])
        and all(rules.transitions[a, b] for a, b in pairwise(labels))
    )


def enumerated(crf: CRF, emissions: Tensor, rules: Rules | None) -> dict[tuple[int, ...], float]:
    """The score of every label sequence that may be, summed by hand."""
    scores = {}
    for labels in product(range(3), repeat=len(emissions)):
        if allowed(labels, rules):
            score = crf.start[labels[0]] + crf.end[labels[-1]]
            score = score + sum(emissions[i, label] for i, label in enumerate(labels))
            score = score + sum(crf.transitions[a, b] for a, b in pairwise(labels))
            scores[labels] = float(score)
    return scores


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.booleans())
def test_likelihood_best_path_and_marginals_are_those_of_enumeration(
    seed: int, lengths: list[int], ruled: bool
) -> None:
    crf, emissions, sizes = made(seed, lengths)
    crf.requires_grad_(False)
    rules = RULES if ruled else None
    best = crf.viterbi(emissions, sizes, rules)
    partition = crf.log_partition(emissions, sizes, rules)
    marginals = crf.marginals(emissions, sizes, rules)
    likelihood = crf.log_likelihood(emissions, sizes, best, rules)
    parts = zip(
        emissions.split(lengths), best.split(lengths), marginals.split(lengths), strict=True
    )
    for number, (own, labels, shares) in enumerate(parts):
        scores = enumerated(crf, own, rules)
        total = torch.tensor(list(scores.values())).logsumexp(0)
        assert float(partition[number]) == pytest.approx(float(total), abs=1e-4)
        top = max(scores.values())
        assert scores[tuple(labels.tolist())] == pytest.approx(top, abs=1e-4)
        assert float(likelihood[number]) == pytest.approx(top - float(total), abs=1e-4)
        expected = torch.zeros_like(own)
        for path, score in scores.items():
            for place, label in enumerate(path):
                expected[place, label] += (score - total).exp()
        torch.testing.assert_close(shares, expected, atol=1e-4, rtol=1e-4)


def test_no_sequence_is_no_path() -> None:
    crf, emissions, lengths = made(0, [])
    assert crf.log_partition(emissions, lengths.long()).shape == (0,)
    assert crf.viterbi(emissions, lengths.long()).shape == (0,)


def test_the_likelihood_has_the_gradient_of_its_definition() -> None:
    crf, emissions, sizes = made(0, [3, 1])
    labels = torch.tensor([0, 1, 2, 0])
    emissions = emissions.double().requires_grad_()
    crf.double()
    assert torch.autograd.gradcheck(
        lambda x: -crf.log_likelihood(x, sizes, labels).mean(), (emissions,)
    )


class Work(TorchDispatchMode):
    """Counts the numbers that operations newly make."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not func.is_view and not func._schema.is_mutable:
            self.numbers += result.numel()
        return result


@pytest.mark.parametrize("way", ["viterbi", "marginals"])
def test_one_long_sequence_makes_short_ones_no_dearer(way: str) -> None:
    """Twice as much of both is twice the work, not four times."""

    def work(size: int) -> int:
        crf, emissions, lengths = made(0, [size] + [1] * 8 * size)
        with Work() as counted:
            getattr(crf, way)(emissions, lengths)
        return counted.numbers

    assert work(80) < 2.5 * work(40)


def test_a_bilstm_reads_each_sequence_by_itself() -> None:
    torch.manual_seed(0)
    network, lengths = BiLSTM(4, 5, 2), [2, 5, 1, 5]
    inputs = torch.randn(sum(lengths), 4)
    together = network(inputs, torch.tensor(lengths))
    assert together.shape == (13, 10)
    for own, expected in zip(inputs.split(lengths), together.split(lengths), strict=True):
        torch.testing.assert_close(network.lstm(own[:, None])[0].squeeze(1), expected)
