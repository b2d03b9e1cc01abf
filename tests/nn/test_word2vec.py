"""Both losses and their gradients against sums written out in numpy, word by word."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bertsmith.data.pack import collate
from bertsmith.nn.word2vec import Word2Vec, cbow_loss, skip_gram_loss
from bertsmith.types import Batch, Example, FloatArray, IntArray

from .batches import POST, VOCABULARY, by_example, randomise

WINDOW, NEGATIVES = 3, 4


def example(length: int, seed: int) -> Example:
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, VOCABULARY, length)
    negatives = rng.integers(5, VOCABULARY, (length, NEGATIVES))
    negatives[::2, 1] = ids[::2]  # noise that is the word itself
    windows = rng.integers(1, WINDOW + 1, length)
    targets = {"windows": windows, "negatives": negatives}
    return Example(ids, np.zeros(length, np.int64), token_targets=targets)


EXAMPLES = [example(length, seed) for seed, length in enumerate((7, 1, 12, 0, 2))]


def batch(examples: list[Example] = EXAMPLES) -> Batch:
    return collate(examples, range(len(examples)))


def model() -> Word2Vec:
    network = Word2Vec(POST.model_copy(update={"hidden_size": 6}))
    randomise(network)
    return network


def sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))


class Reference:
    """Mikolov et al. 2013b, equation 4, and its derivatives, one product at a time."""

    def __init__(self, network: Word2Vec) -> None:
        self.input, self.output = (
            table.weight.detach().double().numpy() for table in (network.input, network.output)
        )
        self.input_grad, self.output_grad = np.zeros_like(self.input), np.zeros_like(self.output)
        self.loss, self.correct, self.count = 0.0, 0, 0

    def predict(self, word: int, noise: IntArray, sources: list[int]) -> None:
        """`word` from the mean of the vectors of `sources`."""
        vector: FloatArray = self.input[sources].mean(axis=0)
        others = [int(other) for other in noise if other != word]
        vector_grad = np.zeros_like(vector)
        for target, label in ((word, 1.0), *((other, 0.0) for other in others)):
            probability = sigmoid(float(self.output[target] @ vector))
            self.loss -= np.log(probability if label else 1.0 - probability)
            self.output_grad[target] += (probability - label) * vector
            vector_grad += (probability - label) * self.output[target]
        np.add.at(self.input_grad, sources, vector_grad / len(sources))
        scores = self.output @ vector
        self.correct += all(scores[word] > scores[other] for other in others)
        self.count += 1

    def run(self, examples: list[Example], each_alone: bool) -> Reference:
        for one in examples:
            for place, word in enumerate(one.input_ids.tolist()):
                window = int(one.token_targets["windows"][place])
                around = range(place - window, place + window + 1)
                context = [
                    int(one.input_ids[at])
                    for at in around
                    if at != place and 0 <= at < len(one.input_ids)
                ]
                groups = [[source] for source in context] if each_alone else [context]
                for sources in filter(None, groups):
                    self.predict(word, one.token_targets["negatives"][place], sources)
        return self


LOSSES = pytest.mark.parametrize(
    ("loss", "each_alone"), [(skip_gram_loss, True), (cbow_loss, False)]
)


@LOSSES
def test_the_loss_and_its_gradient_are_the_paper_s(
    loss: Callable[[Word2Vec, Batch], dict[str, torch.Tensor]], each_alone: bool
) -> None:
    network = model()
    named = loss(network, batch())
    named["ns_loss"].backward()  # type: ignore[no-untyped-call]
    expected = Reference(network).run(EXAMPLES, each_alone)
    assert named["ns_loss"].item() == pytest.approx(expected.loss / expected.count, rel=1e-5)
    assert named["ns_accuracy"].item() == pytest.approx(expected.correct / expected.count)
    for table, grad in (
        (network.input, expected.input_grad),
        (network.output, expected.output_grad),
    ):
        assert table.weight.grad is not None
        np.testing.assert_allclose(table.weight.grad, grad / expected.count, rtol=1e-4, atol=1e-6)


@LOSSES
def test_nothing_to_predict_costs_nothing(
    loss: Callable[[Word2Vec, Batch], dict[str, torch.Tensor]], each_alone: bool
) -> None:
    network = model()
    for lonely in ([example(0, 0)], [example(1, 0), example(1, 1)]):
        named = loss(network, batch(lonely))
        named["ns_loss"].backward()  # type: ignore[no-untyped-call]
        assert named["ns_loss"].item() == 0.0
        assert network.input.weight.grad is not None
        assert not network.input.weight.grad.any()


def test_contexts_end_where_sequences_do() -> None:
    flat = batch()
    _, is_context_TC = model().contexts(flat)
    counts = by_example(is_context_TC.sum(dim=1), flat)
    for one, found in zip(EXAMPLES, counts, strict=True):
        length, windows = len(one.input_ids), one.token_targets["windows"]
        places = np.arange(length)
        expected = np.minimum(places, windows) + np.minimum(length - 1 - places, windows)
        assert found.tolist() == expected.tolist()


def test_first_values_are_the_released_code_s() -> None:
    torch.manual_seed(0)
    network = Word2Vec(POST)
    first = network.input.weight.detach()
    assert not network.output.weight.any()
    assert first.abs().max().item() <= 0.5 / POST.hidden_size
    assert first.std().item() == pytest.approx(1 / POST.hidden_size / 12**0.5, rel=0.1)
