"""A batch in parts trains as the batch does, whatever a task's mean is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bertsmith.config import ModelConfig, OptimConfig
from bertsmith.data.loader import Cursor, Loader
from bertsmith.engine.optim import Optimizer
from bertsmith.nn.models import HeadedEncoder
from bertsmith.tasks import choice, classify, multilabel, qa, regress, tagging
from bertsmith.tasks import fit as fitting
from bertsmith.tasks.base import Encoded, Task
from bertsmith.tasks.choice_files import Choice
from bertsmith.tasks.fit import (
    Keeper,
    Progress,
    batch_loss,
    fit,
    mean_loss,
)
from bertsmith.tasks.protocol import Protocol
from bertsmith.tasks.sentences import sentence_of
from bertsmith.tasks.squad import Answer, Question
from bertsmith.tasks.tables import TextRow
from bertsmith.text.tokenizer import Tokenizer
from wordpieces import wordpiece

WORDS = ("river", "bank", "money", "water", "fish", "boat")
BATCH, MICRO_TOKENS = 12, 40


@dataclass(frozen=True)
class Case:
    """A task, what it learns from, and the outputs that it has."""

    task: Task[Any, Any]
    data: Encoded
    outputs: int

    def model(self, tokenizer: Tokenizer, dropout: float = 0.0) -> HeadedEncoder:
        """The same one each time."""
        config = ModelConfig(
            vocab_size=tokenizer.vocab_size,
            num_layers=1,
            num_heads=2,
            hidden_size=16,
            intermediate_size=32,
            initializer_range=0.2,
            dropout=dropout,
            attention_dropout=dropout,
        )
        torch.manual_seed(0)
        return self.task.network(config, self.outputs, dropout)

    def loader(self, micro_tokens: int | None) -> Loader:
        """One batch of BATCH rows, and one of what is left."""
        return Loader(self.data.source, 10_000, 0, BATCH, micro_tokens)


def texts(count: int, seed: int = 0) -> list[list[str]]:
    generator = np.random.default_rng(seed)
    return [generator.choice(WORDS, generator.integers(1, 14)).tolist() for _ in range(count)]


def sequence_case(task: Any, outputs: int, target: Callable[[list[str]], Any]) -> Any:
    def make(tokenizer: Tokenizer) -> Case:
        some = texts(20)
        rows = [TextRow(" ".join(words)) for words in some]
        return Case(task, task.encode(rows, tokenizer, 32, [target(w) for w in some]), outputs)

    return make


def tagging_case(crf: bool) -> Any:
    def make(tokenizer: Tokenizer) -> Case:
        rows = [sentence_of(" ".join(words)) for words in texts(20)]
        task = tagging.tagging(crf=crf).restored({"scheme": "IOB2"}, ["O", "B-X", "I-X"])
        tags = [[int(word == "bank") for word in row.words] for row in rows]
        return Case(task, task.encode(rows, tokenizer, 16, tags), 3)  # most are read by windows

    return make


def question_case(tokenizer: Tokenizer) -> Case:
    rows = []
    for number, words in enumerate(texts(20)):
        answers = (Answer(words[0], 0),) if number % 3 else ()
        rows.append(Question(str(number), "which bank", " ".join(words), answers, line=number))
    return Case(qa.TASK, qa.TASK.encode(rows, tokenizer, 14, rows), 2)


def choice_case(tokenizer: Tokenizer) -> Case:
    rows = [
        Choice(" ".join(words), "which", tuple(WORDS[: 2 + number % 4]), number % 2)
        for number, words in enumerate(texts(20))
    ]
    return Case(choice.TASK, choice.TASK.encode(rows, tokenizer, 32, rows), 1)


CASES = {
    "classes": sequence_case(classify.TASK, 2, lambda words: int("bank" in words)),
    "weighed classes": sequence_case(
        replace(classify.TASK, class_weights=(0.4, 3.0)), 2, lambda words: int("bank" in words)
    ),
    "labels": sequence_case(
        multilabel.TASK, 3, lambda words: tuple(float(w in words) for w in WORDS[:3])
    ),
    "numbers": sequence_case(regress.TASK, 1, lambda words: float(len(words))),
    "tags": tagging_case(crf=False),
    "tags by a CRF": tagging_case(crf=True),
    "answers": question_case,
    "options": choice_case,
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return wordpiece([" ".join((*WORDS, "which"))], 60)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Case:
    return CASES[request.param](tokenizer)


def gradients(
    case: Case, tokenizer: Tokenizer, micro_tokens: int | None
) -> tuple[float, dict[str, Tensor]]:
    """The first batch's loss, and the gradient of every weight."""
    model, total = case.model(tokenizer), 0.0
    with case.task.objective(model, case.data) as objective:
        for batch in case.loader(micro_tokens).micro_batches(Cursor()):
            loss, _ = batch_loss(objective)(model, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        found = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
    return total, found


def test_losses_and_gradients_add_up_to_the_whole_batch_s(case: Case, tokenizer: Tokenizer) -> None:
    model = case.model(tokenizer)
    with case.task.objective(model, case.data) as objective:
        whole = case.loader(None).batch(Cursor())
        mean = objective.mean(model(whole).float(), whole).item()
    undivided, expected = gradients(case, tokenizer, None)
    divided, found = gradients(case, tokenizer, MICRO_TOKENS)
    assert undivided == pytest.approx(mean, rel=1e-6)
    assert divided == pytest.approx(mean, rel=1e-5)
    assert found.keys() == expected.keys()
    assert max(gradient.abs().max().item() for gradient in expected.values()) > 1e-2
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_micro_batches_hold_the_batch_and_keep_to_the_bound(case: Case) -> None:
    loader = case.loader(MICRO_TOKENS)
    parts = loader.micro_batches(Cursor())
    assert len(parts) > 2
    indices = [index for part in parts for index in part.indices]
    assert sorted(indices) == sorted(loader.batch(Cursor()).indices)
    groups = case.data.groups
    if groups is None:
        assert all(part.num_tokens <= MICRO_TOKENS for part in parts)
        return
    owners = np.repeat(np.arange(len(groups) - 1), np.diff(groups))
    asked = [{int(owners[index]) for index in part.indices} for part in parts]
    assert sum(map(len, asked)) == len(set().union(*asked)) == BATCH
    for part, questions in zip(parts, asked, strict=True):
        assert part.num_tokens <= MICRO_TOKENS or len(questions) == 1


def test_the_mean_loss_of_a_set_does_not_depend_on_its_batches(
    case: Case, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = case.model(tokenizer)
    with case.task.objective(model, case.data) as objective:
        together = mean_loss(model, case.data, objective)
        monkeypatch.setattr(fitting, "EVALUATION_TOKENS", MICRO_TOKENS)
        assert mean_loss(model, case.data, objective) == pytest.approx(together, rel=1e-5)


def test_a_batch_within_the_bound_is_not_touched(tokenizer: Tokenizer) -> None:
    case = choice_case(tokenizer)
    (part,) = case.loader(10_000).micro_batches(Cursor())
    whole = case.loader(None).batch(Cursor())
    assert part.indices == whole.indices
    assert torch.equal(part.input_ids, whole.input_ids)


class Halfway(Keeper):
    """Keeps a run's state after `step`, and gives it to the next one."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._kept: tuple[dict[str, Tensor], Progress] | None = None

    def load(self, optimizer: Optimizer) -> Progress | None:
        if self._kept is None:
            return None
        optimizer.load_state(self._kept[0])
        return self._kept[1]

    def keep(self, optimizer: Optimizer, progress: Progress) -> None:
        if progress.state.step == self._step and self._kept is None:
            tensors = {name: tensor.clone() for name, tensor in optimizer.state().items()}
            history, losses = list(progress.history), list(progress.losses)
            self._kept = tensors, replace(progress, history=history, losses=losses)


def test_runs_in_micro_batches_learn_alike_and_go_on_to_the_bit(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, protocol = choice_case(tokenizer), Protocol(epochs=3, batch_size=BATCH, lr=1e-3)

    def run(dropout: float, keeper: Keeper | None = None) -> tuple[list[Any], list[Tensor]]:
        model = case.model(tokenizer, dropout)
        fitted = fit(case.task, model, case.data, case.data, protocol, 5, keeper=keeper)
        return fitted.history, list(model.state_dict().values())

    whole, weights = run(dropout=0.0)
    monkeypatch.setattr(fitting, "MICRO_TOKENS", MICRO_TOKENS)
    divided, others = run(dropout=0.0)
    for entry, other in zip(whole, divided, strict=True):
        assert other["train_loss"] == pytest.approx(entry["train_loss"], rel=1e-4)
    for one, other in zip(weights, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-4)
    halfway = Halfway(step=3)  # the first of the second epoch
    history, weights = run(0.1, halfway)
    again, others = run(0.1, halfway)
    assert again == history
    assert all(torch.equal(one, other) for one, other in zip(weights, others, strict=True))


def test_gradients_of_a_bfloat16_network_add_up_in_fp32() -> None:
    """A thousand small ones beside a large one: in bfloat16 the sum would not move."""
    layer = torch.nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    optimizer = Optimizer(layer, OptimConfig(grad_clip=1e9))
    (layer.weight * 256).sum().backward()  # type: ignore[no-untyped-call]
    for _ in range(1000):
        optimizer.collect()
        (layer.weight * 0.5).sum().backward()  # type: ignore[no-untyped-call]
    assert optimizer.step(1.0) == pytest.approx(756.0)
