from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from bertsmith.config import ModelConfig
from bertsmith.data.pack import collate
from bertsmith.engine.optim import Optimizer
from bertsmith.nn.models import SequenceClassifier, place
from bertsmith.tasks import classify, multilabel, regress
from bertsmith.tasks.base import Encoded
from bertsmith.tasks.fit import Keeper, Progress, batch_loss, evaluate, fit, predict
from bertsmith.tasks.metrics import ClassMetrics, NumberMetrics
from bertsmith.tasks.protocol import Protocol
from bertsmith.tasks.sequences import SequenceTask, Target
from bertsmith.types import Example

CONFIG = ModelConfig(vocab_size=40, num_layers=2, num_heads=2, hidden_size=32, intermediate_size=64)
PROTOCOL = Protocol(epochs=8, batch_size=16, lr=2e-3)


def examples(count: int, seed: int = 0) -> list[Example]:
    """Of class 1 where token 7 is among the others."""
    generator = np.random.default_rng(seed)
    made = []
    for index in range(count):
        ids = generator.integers(8, 40, size=generator.integers(3, 20))
        label = index % 2
        if label:
            ids[generator.integers(1, len(ids))] = 7
        made.append(Example(ids, np.zeros_like(ids), label=label))
    return made


def data(some: list[Example]) -> Encoded:
    return Encoded(some, [False] * len(some))


def classifier(outputs: int = 2) -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(CONFIG, outputs)


def test_a_prediction_does_not_depend_on_its_company() -> None:
    model, some = classifier(), examples(30)
    together = predict(model, some)
    assert together.shape == (30, 2)
    for index, example in enumerate(some):
        assert np.allclose(predict(model, [example])[0], together[index], atol=1e-5)
    assert model.training


def test_the_loss_is_the_mean_over_sequences_whatever_their_order() -> None:
    model, some = classifier().eval(), examples(6)
    with classify.TASK.objective(model, data(some)) as objective:
        loss, _ = batch_loss(objective)(model, collate(some, range(6)))
    truth = torch.tensor([one.label for one in some])
    alone = functional.cross_entropy(torch.from_numpy(predict(model, some)), truth)
    assert loss.item() == pytest.approx(alone.item(), abs=1e-5)


def test_training_learns_and_is_reproducible() -> None:
    calls: list[int] = []
    results = [
        fit(
            classify.TASK,
            classifier(),
            data(examples(160)),
            data(examples(60, seed=1)),
            PROTOCOL,
            3,
            lambda step, sequences: calls.append(sequences),
        )
        for _ in range(2)
    ]
    first, second = results
    assert isinstance(first.metrics, ClassMetrics)
    assert first.metrics.accuracy > 0.9
    assert not first.failed
    assert first.history == second.history
    assert [entry["epoch"] for entry in first.history] == [2, 4, 6, 8]
    assert first.history[-1]["accuracy"] == first.metrics.accuracy
    assert calls[:11] == [*range(16, 161, 16), 176]
    assert set(first.summary()) >= {"accuracy", "macro_f1", "matthews", "history", "failed"}


def test_a_run_that_learns_nothing_is_named_as_failed() -> None:
    skewed = [replace(example, label=int(i == 0)) for i, example in enumerate(examples(20))]
    protocol = Protocol(epochs=4, batch_size=8, lr=1e-3)
    assert fit(classify.TASK, classifier(), data(skewed), data(skewed), protocol, 0).failed


def labelled(some: list[Example], label: Callable[[int, bool], Target]) -> list[Example]:
    """With labels made out of the number of tokens and whether token 7 is among them."""
    return [
        replace(one, label=label(len(one.input_ids), bool((one.input_ids == 7).any())))
        for one in some
    ]


@pytest.mark.parametrize(
    ("task", "outputs", "label", "merit"),
    [
        (regress.TASK, 1, lambda length, seven: 2e5 + 3e4 * seven, 0.8),
        (regress.TASK, 1, lambda length, seven: 1e-3 * seven, 0.8),
        (multilabel.TASK, 3, lambda length, seven: (seven * 1.0, 1.0 - seven, 1.0), 0.85),
    ],
    ids=["large numbers", "small numbers", "multilabel"],
)
def test_every_task_learns(
    task: SequenceTask, outputs: int, label: Callable[[int, bool], Target], merit: float
) -> None:
    some, others = (labelled(examples(count, seed), label) for count, seed in ((160, 0), (60, 1)))
    protocol = PROTOCOL.model_copy(update={"epochs": 20, "lr": 3e-3})
    fitted = fit(task, classifier(outputs), data(some), data(others), protocol, 3)
    assert task.merit(vars(fitted.metrics)) > merit
    assert not fitted.failed
    assert set(fitted.history[0]) == {"epoch", "train_loss", "dev_loss", *task.metrics}
    assert evaluate(task, fitted.model, data(others)) == fitted.metrics
    assert set(fitted.model.state_dict()) == set(classifier(outputs).state_dict())


def test_numbers_begin_at_their_mean_and_stay_in_their_unit() -> None:
    model, some = classifier(1), labelled(examples(20), lambda length, seven: float(length))
    numbers = np.array([one.label for one in some])
    before = predict(model, some)
    with regress.standardised(model, numbers) as loss:
        within = predict(model, some)
        mean = torch.full((20, 1), numbers.mean())
        assert loss(mean, torch.from_numpy(numbers), torch.tensor([])).item() == pytest.approx(1.0)
    assert np.allclose(within, before * numbers.std() + numbers.mean(), atol=1e-4)
    assert np.allclose(predict(model, some), within, atol=1e-5)


def weights_of(model: SequenceClassifier) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


class Moves(Keeper):
    """Which parts of the network moved in each epoch."""

    def __init__(self, model: SequenceClassifier) -> None:
        self._model = model
        self.parts: list[set[str]] = []

    def load(self, optimizer: Optimizer) -> None:
        self._last = weights_of(self._model)

    def keep(self, optimizer: Optimizer, progress: Progress) -> None:
        if progress.state.cursor.batch == 0:
            now = weights_of(self._model)
            names = [name for name in now if not torch.equal(now[name], self._last[name])]
            self.parts.append({name.removeprefix("encoder.")[:8] for name in names})
            self._last = now


def test_layers_unfreeze_one_an_epoch_from_the_top() -> None:
    model = classifier()
    moves, some = Moves(model), data(examples(32))
    protocol = Protocol(epochs=5, batch_size=16, lr=1e-3, unfreeze=1)
    fit(classify.TASK, model, some, some, protocol, 0, keeper=moves)
    heads = [{part[:4] for part in parts if part.startswith("head")} for parts in moves.parts]
    assert heads == [{"head"}] * 4
    assert [{part for part in parts if not part.startswith("head")} for parts in moves.parts] == [
        set(),
        {"layers.1"},
        {"layers.0", "layers.1"},
        {"embeddin", "layers.0", "layers.1"},
    ]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_patience_keeps_the_best_weights_and_stops() -> None:
    """Dev labels are the training ones turned round: the more it learns, the worse it scores."""
    some = examples(64)
    wrong = [replace(one, label=1 - int(one.label)) for one in some]  # type: ignore[arg-type]
    protocol = Protocol(epochs=30, batch_size=16, lr=2e-3, patience=3)
    fitted = fit(classify.TASK, classifier(), data(some), data(wrong), protocol, 0)
    merits = [entry["macro_f1"] for entry in fitted.history]
    best = int(np.argmax(merits))
    assert len(merits) == best + 1 + 3 < 30
    assert fitted.epoch == best + 1
    assert classify.TASK.merit(vars(fitted.metrics)) == merits[best]
    assert evaluate(classify.TASK, fitted.model, data(wrong)) == fitted.metrics
    again = fit(
        *(classify.TASK, classifier(), data(some), data(wrong)),
        *(PROTOCOL.model_copy(update={"epochs": 30, "patience": 0}), 0),
    )
    assert again.epoch == 30


def test_words_that_no_text_has_keep_their_vectors() -> None:
    """Tokens 0 to 6 occur nowhere; weight decay would move them."""
    model, protocol = classifier(), Protocol(epochs=2, batch_size=16, lr=1e-2, weight_decay=0.1)
    before = weights_of(model)["encoder.embeddings.word.weight"]
    fit(classify.TASK, model, data(examples(64)), data(examples(30, seed=1)), protocol, 0)
    after = weights_of(model)["encoder.embeddings.word.weight"]
    is_same = (before == after).all(dim=1)
    assert is_same.tolist() == [True] * 7 + [False] * 33


def test_numbers_far_from_0_are_learnt_in_bfloat16() -> None:
    some = [replace(one, label=2000.0 + (one.label == 1)) for one in examples(256)]
    model = classifier(1)
    place(model, torch.device("cpu"), torch.bfloat16)
    result = fit(regress.TASK, model, data(some), data(some), PROTOCOL, seed=0)
    assert isinstance(result.metrics, NumberMetrics)
    assert result.metrics.pearson > 0.5  # rounded to 2000, all answers were the same
