"""Both sides of the fine-tuning benchmarks are asked the same, and scored alike."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks/ is no part of the package

from benchmarks import our_finetuning, scores
from benchmarks.finetuning_sets import SETS, Labels, Recipe, subset
from benchmarks.their_finetuning import TheirRun
from benchmarks.their_scripts import script_of
from benchmarks.timing import Answer, conversations

from bertsmith.config import ModelConfig
from bertsmith.engine.precision import choose_hardware
from bertsmith.export.huggingface import load_finetuned, read_model, save_model
from bertsmith.jobs.trainer import Trainer
from bertsmith.nn.models import HeadedEncoder
from bertsmith.tasks import choice, classify, fit, qa, regress, tagging
from bertsmith.tasks.base import Task
from bertsmith.tasks.fit import evaluate
from wordpieces import wordpiece

TEXT = "the red cat sat on a mat and the old dog ran after it in the rain of may"
WORDS = TEXT.split()
RECIPE = Recipe(lr=1e-4, batch_size=4, epochs=1, max_length=256)


def rows_of(task: Task[Any, Any], count: int, words: int | None = None) -> str:
    """A file in the task's format, of different sentences, of `words` words or of many lengths."""
    ends = [6 + i % 11 if words is None else i % 5 + words for i in range(count)]
    texts = [" ".join(WORDS[i % 5 : end]) for i, end in enumerate(ends)]
    if task is qa.TASK:
        asked = (
            {
                "id": str(i),
                "question": f"the {WORDS[i % 5]} ?",
                "context": text,
                "answers": [{"text": " ".join(text.split()[i % 3 : i % 3 + 4])}],
            }
            for i, text in enumerate(texts)
        )
        found = ({**q, "answers": [_placed(q)]} for q in asked)
        return "".join(json.dumps(q) + "\n" for q in found)
    if task is choice.TASK:
        options = ["a cat", "the old dog", "rain"]
        asked = (
            {"question": "what ?", "context": t, "options": options, "label": i % 3}
            for i, t in enumerate(texts)
        )
        return "".join(json.dumps(q) + "\n" for q in asked)
    if task is tagging.TASK:
        tags = ("O", "B-X", "I-X", "B-Y")
        return "\n".join(
            "".join(f"{w} {tags[(i + j) % 4]}\n" for j, w in enumerate(text.split()))
            for i, text in enumerate(texts)
        )
    labels = [str(i % 2 if task is classify.TASK else i / 4) for i in range(count)]
    return "text\tlabel\n" + "".join(f"{t}\t{x}\n" for t, x in zip(texts, labels, strict=True))


def _placed(question: dict[str, Any]) -> dict[str, Any]:
    text = question["answers"][0]["text"]
    return {"text": text, "answer_start": question["context"].index(text)}


def small_network(
    task: Task[Any, Any], names: Sequence[str], folder: Path, dropout: float
) -> HeadedEncoder:
    """One with large weights, saved to `folder`, too."""
    tokenizer = wordpiece([TEXT], 60)
    torch.manual_seed(1)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        num_layers=2,
        num_heads=2,
        hidden_size=16,
        intermediate_size=32,
        max_position_embeddings=256,
        dropout=dropout,
        attention_dropout=dropout,
    )
    model = task.network(config, len(names), dropout).eval()
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data.normal_(0, 0.5)
    save_small(task, names, model, folder)
    return model


def save_small(
    task: Task[Any, Any], names: Sequence[str], model: HeadedEncoder, folder: Path
) -> None:
    """As bertsmith writes it."""
    kind = {"problem_type": task.problem_type} if task.problem_type else {}
    save_model(folder, model, wordpiece([TEXT], 60), labels=names or None, **kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "suffix", "shown"),
    [
        (classify.TASK, "tsv", ("accuracy",)),
        (regress.TASK, "tsv", ("pearson",)),
        (tagging.TASK, "conll", ("accuracy", "f1")),
        (qa.TASK, "jsonl", ("f1", "exact")),
        (choice.TASK, "jsonl", ("accuracy",)),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else None,
)
def test_a_network_has_the_same_score_on_either_side(
    task: Task[Any, Any], suffix: str, shown: tuple[str, ...], tmp_path: Path
) -> None:
    """Their tokenisation, network, collator and reading of answers, on a network of ours."""
    import transformers

    file = tmp_path / f"rows.{suffix}"
    file.write_text(rows_of(task, 24), encoding="utf-8")
    data = task.read(file)
    task = task.suited(data)
    names = task.output_names(data)
    labels = Labels("small", task, names, data, data, {}, RECIPE, shown)
    model = small_network(task, names, tmp_path / "model", dropout=0.1)
    tokenizer = wordpiece([TEXT], 60)
    ours = evaluate(task, model, task.encode(data.rows, tokenizer, 256, labels.truths(data)))

    reader = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "model"))
    script = script_of(labels, reader)
    network = script.network.from_pretrained(str(tmp_path / "model")).eval()
    batch = script.collator(script.features(data))
    with torch.no_grad():
        said = network(**batch)
    outputs = (said.start_logits, said.end_logits) if task.name == "qa" else (said.logits,)
    arrays = [part.numpy() for part in outputs]
    theirs = script.metrics(data, arrays if len(arrays) > 1 else arrays[0])
    assert said.loss.isfinite()
    assert labels.scores(theirs) == pytest.approx(labels.scores(ours), abs=1e-4)
    assert 0 < abs(getattr(ours, shown[0])) < 1


@pytest.mark.parametrize(
    ("task", "suffix"),
    [
        (classify.TASK, "tsv"),
        (tagging.TASK, "conll"),
        (qa.TASK, "jsonl"),
        (choice.TASK, "jsonl"),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else None,
)
def test_a_fine_tuning_ends_where_theirs_does(
    task: Task[Any, Any], suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six steps of all rows at once, nothing dropped, in fp32, from the same network: losses,
    clipping and optimizer are theirs.

    So large an epsilon lets no rounding of gradients that are zero decide a step, and shows the
    scale of the others. Our rate is that of a step's middle, theirs that of its beginning. Texts
    with answers are of one length: theirs looks for an answer in the padding, too.
    """
    file = tmp_path / f"rows.{suffix}"
    file.write_text(rows_of(task, 24, 8 if task is qa.TASK else None), encoding="utf-8")
    data = task.read(file)
    task = task.suited(data)
    names = task.output_names(data)
    recipe = Recipe(lr=3e-3, batch_size=24, epochs=6, max_length=256, eps=1e-3)
    labels = Labels("small", task, names, data, data, {}, recipe, task.metrics[:1])
    small_network(task, names, tmp_path / "start", dropout=0.0)

    source = read_model(tmp_path / "start")
    monkeypatch.setattr(Trainer, "network", lambda self, init, seed: load_finetuned(source))
    half = 0.5 / recipe.epochs
    monkeypatch.setattr(fit, "make_schedule", lambda config: lambda at: 1 - (at - half))
    exact = partial(choose_hardware, precision="float32")
    monkeypatch.setattr(our_finetuning, "choose_hardware", exact)
    ours = our_finetuning.OurRun(labels, tmp_path / "start")
    ours.train()
    with closing(TheirRun(labels, tmp_path / "start")) as theirs:
        theirs.train()
    save_small(task, names, ours.model, tmp_path / "end")
    read = type(theirs.model).from_pretrained
    begun, ended = (read(str(tmp_path / name)).state_dict() for name in ("start", "end"))
    differences = {
        name: float((ended[name] - weight).abs().max())
        for name, weight in theirs.model.state_dict().items()
    }
    assert max(differences.values()) < 1e-4, differences
    assert max(float((ended[name] - begun[name]).abs().max()) for name in ended) > 5e-3


def test_a_subset_is_the_same_for_all_who_ask(tmp_path: Path) -> None:
    file = tmp_path / "rows.tsv"
    file.write_text(rows_of(classify.TASK, 30), encoding="utf-8")
    table = classify.TASK.read(file)
    lines = [row.line for row in subset(table, 10).rows]
    assert lines == [row.line for row in subset(table, 10).rows] == sorted(set(lines))
    assert len(lines) == 10
    assert lines != list(range(2, 12))
    assert subset(table, None) is subset(table, 30) is table


def count(upto: int, answer: Answer) -> None:
    """A conversation: 0, 1 and so on."""
    for number in range(upto):
        answer(number)


def test_a_conversation_goes_on_where_it_was_left() -> None:
    with conversations({"short": partial(count, 3), "long": partial(count, 9)}) as sides:
        asked = [sides[name]() for name in ("short", "long", "long", "short", "long")]
    assert asked == [0, 0, 1, 1, 2]


def test_the_table_has_the_medians_of_what_is_compared(tmp_path: Path) -> None:
    def write(who: str, rows: int | None, seed: int, accuracy: float) -> None:
        run = {"who": who, "rows": rows, "train": 9, "dev": 5, "scores": {"accuracy": accuracy}}
        path = scores.Plan("SST-2", who, rows, seed).path(tmp_path)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(run), encoding="utf-8")

    for seed, (ours, theirs) in enumerate(((0.9, 0.8), (0.7, 0.6), (0.8, 0.9))):
        write(scores.OURS, 9, seed, ours)
        write(scores.THEIRS, 9, seed, theirs)
    write(scores.OURS, None, 0, 0.95)
    (line,) = scores.lines(tmp_path)
    assert line.cells() == [
        *("SST-2", "accuracy", "80.0 (70.0, 90.0)", "80.0 (60.0, 90.0)", "+0.0"),
        *("9 / 5 (drawn)", "95.0"),
    ]
    for seed, (pretrained, scratch) in enumerate(((0.9, 0.5), (0.8, 0.6))):
        write(scores.PRETRAINED, 9, seed, pretrained)
        write(scores.SCRATCH, 9, seed, scratch)
    (own,) = scores.lines(tmp_path, scores.OWN)
    assert own.cells()[2:] == ["85.0 (80.0, 90.0)", "55.0 (50.0, 60.0)", "+30.0", "9 / 5 (drawn)"]
    assert scores.lines(tmp_path) == [line]
    scores.draw([line], tmp_path / "scores")
    assert (tmp_path / "scores.png").stat().st_size > 1000
    assert len(SETS) == 16
