"""Searches against exhaustive enumeration; against transformers in tests/export/test_t5.py."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from bertsmith.nn.generate import Hypothesis, beam_search, greedy
from bertsmith.nn.models import EncoderDecoder

from .batches import T5, flat, random_pairs, randomise

START, END, LENGTH = 0, 1, 3
CONFIG = T5.model_copy(update={"vocab_size": 5})


@pytest.fixture(scope="module", params=range(3))
def model(request: pytest.FixtureRequest) -> EncoderDecoder:
    network = EncoderDecoder(CONFIG).eval()
    randomise(network, request.param)
    network.encoder.embeddings.word.weight.data *= 6  # else every answer is as likely
    return network


def begin(model: EncoderDecoder) -> object:
    (example,) = random_pairs([6], [1])
    example.input_ids[:] = example.input_ids % 5
    with torch.no_grad():
        return model.begin(flat([example]))


@pytest.fixture(scope="module")
@torch.no_grad()
def all_answers(model: EncoderDecoder) -> list[Hypothesis]:
    """All of at most LENGTH tokens, each scored token by token."""
    found = []
    for length in range(1, LENGTH + 1):
        for ids in product(range(CONFIG.vocab_size), repeat=length):
            if END in ids[:-1] or (ids[-1] != END and length < LENGTH):
                continue
            memory, answer = begin(model), Hypothesis((), ())
            for last, token in zip((START, *ids), ids, strict=False):
                scores, memory = model.step(torch.tensor([last]), memory)
                answer = answer.then(token, float(scores[0].log_softmax(-1)[token]))
            found.append(answer)
    return found


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_a_beam_that_holds_all_finds_the_best(
    model: EncoderDecoder, all_answers: list[Hypothesis], penalty: float
) -> None:
    answers = all_answers
    best = max(answers, key=lambda answer: answer.score(penalty))
    found = beam_search(model.step, begin(model), START, {END}, LENGTH, len(answers), penalty)
    assert found[0].ids == best.ids
    assert found[0].log_probabilities == pytest.approx(best.log_probabilities, abs=1e-4)
    scores = [answer.score(penalty) for answer in found]
    assert scores == sorted(scores, reverse=True)
    assert len({answer.ids for answer in found}) == len(found)


def test_greedy_takes_the_most_probable_token_each_time(
    model: EncoderDecoder, all_answers: list[Hypothesis]
) -> None:
    answers = {answer.ids: answer for answer in all_answers}
    found = greedy(model.step, begin(model), START, END, LENGTH)
    assert found.ids in answers
    for other in answers.values():
        shared = 0
        while shared < min(len(found.ids), len(other.ids)) and (
            found.ids[shared] == other.ids[shared]
        ):
            shared += 1
        if shared < min(len(found.ids), len(other.ids)):
            assert found.log_probabilities[shared] >= other.log_probabilities[shared]


@pytest.mark.parametrize("beams", [1, 2, 4])
def test_answers_end_or_are_full(model: EncoderDecoder, beams: int) -> None:
    for answer in beam_search(model.step, begin(model), START, {END}, LENGTH, beams):
        assert END not in answer.ids[:-1]
        assert answer.ids[-1] == END or len(answer.ids) == LENGTH
