"""Two languages whose words differ by one vector: the answer is known."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bertsmith.analysis.language import (
    SOURCE,
    TARGET,
    Shift,
    identified,
    leanings,
    rates,
    shifted_outputs,
)
from bertsmith.analysis.occurrences import NONE, TokenizedSentence
from bertsmith.types import Batch

WORDS, WIDTH, SPECIAL = 40, 24, 3
"""Ids: [CLS], [SEP], a comma; the words of one language; the same words of the other."""
GENERATOR = np.random.default_rng(0)


class Planted(nn.Module):
    """Every layer hands on the embeddings, and the head takes the nearest one."""

    def __init__(self) -> None:
        super().__init__()
        generator = np.random.default_rng(1)
        meanings = generator.standard_normal((WORDS, WIDTH))
        step = 2 * generator.standard_normal(WIDTH)
        special = 9 * generator.standard_normal((SPECIAL, WIDTH))
        table = np.concatenate([special, meanings, meanings + step])
        self.table = nn.Parameter(torch.tensor(table, dtype=torch.float32))
        self.step = step.astype(np.float32)
        self.encoder = self
        self.config = SimpleNamespace(num_layers=2)

    def hidden_states(self, batch: Batch) -> Iterator[Tensor]:
        return iter([self.table[batch.input_ids]] * 3)

    def continued(self, batch: Batch, hidden: Tensor, layer: int) -> Iterator[Tensor]:
        return iter([hidden] * (2 - layer))

    def scores(self, hidden: Tensor, places: Tensor) -> Tensor:
        return -torch.cdist(hidden[places], self.table)


TOKENIZER = SimpleNamespace(cls_id=0, sep_id=1)


def sentences(count: int, first: int) -> list[TokenizedSentence]:
    """Words from the id `first` on, with a comma after each third."""
    found = []
    for _ in range(count):
        ids = first + GENERATOR.integers(WORDS, size=GENERATOR.integers(3, 12))
        ids[2::3] = 2
        found.append(TokenizedSentence(ids, np.ones(len(ids), np.bool_)))
    return found


SENTENCES = sentences(60, SPECIAL)
OTHER = sentences(60, SPECIAL + WORDS)
LEANING = leanings(SENTENCES, OTHER, SPECIAL + 2 * WORDS + 1)
ANSWERS = [
    [None if token == 2 else frozenset({token + WORDS}) for token in sentence.ids.tolist()]
    for sentence in SENTENCES
]


def test_tokens_are_of_the_language_that_uses_them() -> None:
    used = {int(token) for one in (*SENTENCES, *OTHER) for token in one.ids} - {2}
    for token in range(len(LEANING)):
        side = SOURCE if token < SPECIAL + WORDS else TARGET
        assert LEANING[token] == (side if token in used else NONE)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_planted_vector_translates_every_word(layer: int) -> None:
    model = Planted()
    step = model.step
    random = np.random.default_rng(2).standard_normal(WIDTH).astype(np.float32)
    random *= np.linalg.norm(step) / np.linalg.norm(random)
    shifts = [Shift(layer, vector) for vector in (np.zeros_like(step), step, random)]
    done: list[int] = []
    said = shifted_outputs(model, TOKENIZER, SENTENCES, shifts, done.append)  # type: ignore[arg-type]
    assert done[-1] == len(SENTENCES)
    for sentence, same, translated in zip(SENTENCES, said[0], said[1], strict=True):
        np.testing.assert_array_equal(same, sentence.ids)
        is_word = sentence.ids != 2
        np.testing.assert_array_equal(translated[is_word], sentence.ids[is_word] + WORDS)
    unchanged, planted, other = (rates(own, SENTENCES, ANSWERS, LEANING) for own in said)
    assert (unchanged.turned, unchanged.hits) == (0, 0)
    assert planted.turned == planted.turned_low == planted.hits == planted.hits_high == 1
    assert planted.tokens == planted.asked == sum((one.ids != 2).sum() for one in SENTENCES)
    assert other.hits < 0.2
    assert planted.dealt == pytest.approx(1 / WORDS, abs=0.02)


def test_rates_are_by_their_definition() -> None:
    sentence = TokenizedSentence(np.array([3, 4, 5, 2]), np.ones(4, np.bool_))
    leaning = np.full(10, SOURCE)
    leaning[[2, 9]] = NONE
    leaning[6:9] = TARGET
    answers = [frozenset({6, 7}), None, frozenset({8}), None]
    found = rates([np.array([7, 6, 9, 8])], [sentence], [answers], leaning)
    assert (found.tokens, found.turned) == (3, pytest.approx(2 / 3))
    assert (found.asked, found.hits) == (2, 0.5)
    assert found.dealt == 1 / 4  # of the four deals of 7 and 9 to the two, one is a hit
    nothing = rates([np.array([7, 6, 9, 8])], [sentence], [[None] * 4], leaning)
    assert (nothing.asked, nothing.hits, nothing.dealt) == (0, 0, 0)


def test_languages_are_told_where_they_differ() -> None:
    generator = np.random.default_rng(0)
    is_target = generator.random(600) < 0.3
    is_train = generator.random(600) < 0.5
    noise = generator.standard_normal((3, 600, 8)).astype(np.float32)
    noise[1] += 12 * is_target[:, None]
    noise[2, :, 0] = np.where(is_target, 5, -5) + noise[2, :, 0]
    noise[2, :, 1] *= 300  # a loud direction that says nothing
    guess, clear, quiet = identified(noise, is_target, is_train)
    assert guess.probe == pytest.approx(0.5, abs=0.1)
    assert guess.along == pytest.approx(0.5, abs=0.1)
    assert clear.probe == clear.along == 1
    assert quiet.probe > 0.95
    assert quiet.along < 0.8
