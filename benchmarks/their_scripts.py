"""What transformers' example scripts make of rows, and of a model's outputs.

run_glue (whole texts), run_ner, run_qa and run_swag, told again: how each tokenises, labels, pads
and reads answers off. Batches are padded to their longest sequence; run_glue and run_qa would pad
all to the full length, which changes no score and costs several times as much. Rows come from our
readers, and predictions go to our metrics, so that nothing but the fine-tuning differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import transformers

from benchmarks.finetuning_sets import STRIDE, Labels
from bertsmith.tasks.choice import ChoiceTask
from bertsmith.tasks.metrics import Metrics, score_classes
from bertsmith.tasks.qa import QuestionTask
from bertsmith.tasks.sequences import SequenceTask
from bertsmith.tasks.span_scores import score_spans
from bertsmith.tasks.squad import Question
from bertsmith.tasks.squad_score import score_answers
from bertsmith.tasks.tables import Labelled
from bertsmith.tasks.tagging import TaggingTask
from bertsmith.types import FloatArray, IntArray

IGNORED = -100
BEST, MOST_ANSWER = 20, 30
"""run_qa's: starts and ends that are paired in a window, and tokens of an answer."""
ROWS_AT_ONCE = 1000

Features = list[dict[str, Any]]
Offsets = list[tuple[int, int] | None]
"""Where each token of a window is in its context; None where it is in none."""


@dataclass(frozen=True)
class Script(ABC):
    """One example script, for one set."""

    labels: Labels
    tokenizer: Any

    @property
    @abstractmethod
    def network(self) -> Any:
        """The class with the head."""

    @property
    def collator(self) -> Any:
        """Pads a batch."""
        return transformers.DataCollatorWithPadding(self.tokenizer)

    @abstractmethod
    def features(self, data: Labelled[Any]) -> Features:
        """Model inputs with labels, in the rows' order."""

    @abstractmethod
    def metrics(self, data: Labelled[Any], outputs: Any) -> Metrics:
        """Ours, of Trainer's predictions for `features(data)`."""


class RunGlue(Script):
    """A class or a number for a text or a pair of texts."""

    network = transformers.AutoModelForSequenceClassification

    def features(self, data: Labelled[Any]) -> Features:
        """See Script."""
        texts = [row.text for row in data.rows]
        pairs = None if data.columns.pair is None else [row.pair for row in data.rows]
        encoded = self.tokenizer(
            texts, pairs, truncation=True, max_length=self.labels.recipe.max_length
        )
        return _rows(encoded, label=self.labels.truths(data))

    def metrics(self, data: Labelled[Any], outputs: Any) -> Metrics:
        """See Script."""
        task = self.labels.task
        assert isinstance(task, SequenceTask)
        return task.score(np.array(self.labels.truths(data)), np.asarray(outputs, np.float64))


class RunNer(Script):
    """A tag for each word, at its first piece."""

    network = transformers.AutoModelForTokenClassification

    @property
    def collator(self) -> Any:
        """Pads the labels, too."""
        return transformers.DataCollatorForTokenClassification(self.tokenizer)

    def features(self, data: Labelled[Any]) -> Features:
        """See Script."""
        encoded, truths = self._encode(data), self.labels.truths(data)
        rows = []
        for number, tags in enumerate(truths):
            row = [IGNORED] * len(encoded["input_ids"][number])
            for place, word in self._first_pieces(encoded, number):
                row[place] = tags[word]
            rows.append(row)
        return _rows(encoded, labels=rows)

    def metrics(self, data: Labelled[Any], outputs: Any) -> Metrics:
        """See Script. A word that was cut off counts as outside, or as the first tag."""
        task, names = self.labels.task, self.labels.names
        assert isinstance(task, TaggingTask)
        encoded, said = self._encode(data), np.asarray(outputs).argmax(axis=-1)
        lengths = np.array([len(sentence.words) for sentence in data.rows])
        tags: IntArray = np.full(lengths.sum(), names.index("O") if "O" in names else 0)
        for number, begin in enumerate(np.cumsum(lengths) - lengths):
            for place, word in self._first_pieces(encoded, number):
                tags[begin + word] = said[number, place]
        truth = np.array([tag for own in self.labels.truths(data) for tag in own])
        if task.scheme == "plain":
            return score_classes(truth, tags, len(names))
        return score_spans(truth, tags, lengths, names)

    def _encode(self, data: Labelled[Any]) -> Any:
        return self.tokenizer(
            [list(sentence.words) for sentence in data.rows],
            is_split_into_words=True,
            truncation=True,
            max_length=self.labels.recipe.max_length,
        )

    @staticmethod
    def _first_pieces(encoded: Any, number: int) -> Iterator[tuple[int, int]]:
        """(its place, the word) of each word's first piece."""
        before = None
        for place, word in enumerate(encoded.word_ids(number)):
            if word is not None and word != before:
                yield place, word
            before = word


class RunSwag(Script):
    """One of several options."""

    network = transformers.AutoModelForMultipleChoice

    @property
    def collator(self) -> Any:
        """Pads all options of all questions."""
        return transformers.DataCollatorForMultipleChoice(self.tokenizer)

    def features(self, data: Labelled[Any]) -> Features:
        """See Script."""
        rows = []
        for row in data.rows:
            options = [f"{row.question} {option}" for option in row.options]
            encoded = self.tokenizer(
                [row.context] * len(options),
                options,
                truncation=True,
                max_length=self.labels.recipe.max_length,
            )
            rows.append({**encoded, "label": row.right})
        return rows

    def metrics(self, data: Labelled[Any], outputs: Any) -> Metrics:
        """See Script."""
        task = self.labels.task
        assert isinstance(task, ChoiceTask)
        right = np.array([row.right for row in data.rows])
        return score_classes(right, np.asarray(outputs).argmax(axis=1), outputs.shape[1])


class RunQa(Script):
    """A span of the context, windows overlapping by STRIDE tokens."""

    network = transformers.AutoModelForQuestionAnswering

    def features(self, data: Labelled[Any]) -> Features:
        """See Script. The windows of each question, one after another."""
        rows = []
        for question, ids, types, offsets in self._windows(data.rows):
            start, end = _positions(question, offsets)
            rows.append(
                {
                    "input_ids": ids,
                    "token_type_ids": types,
                    "attention_mask": [1] * len(ids),
                    "start_positions": start,
                    "end_positions": end,
                }
            )
        return rows

    def metrics(self, data: Labelled[Any], outputs: Any) -> Metrics:
        """See Script. As ours, the null threshold is the best one for these questions."""
        task = self.labels.task
        assert isinstance(task, QuestionTask)
        found: dict[str, _Best] = {question.id: _Best() for question in data.rows}
        windows = self._windows(data.rows)
        for (question, _, _, offsets), start, end in zip(windows, *outputs[:2], strict=True):
            found[question.id].look(question, offsets, start, end)
        best = [found[question.id] for question in data.rows]
        return score_answers(
            data.rows,
            [one.text for one in best],
            np.array([one.null - one.score for one in best]),
            tune=True,
            language=task.language,
        )

    def _windows(
        self, questions: Sequence[Question]
    ) -> Iterator[tuple[Question, list[int], list[int], Offsets]]:
        for begin in range(0, len(questions), ROWS_AT_ONCE):
            block = questions[begin : begin + ROWS_AT_ONCE]
            encoded = self.tokenizer(
                [question.text.lstrip() for question in block],
                [question.context for question in block],
                truncation="only_second",
                max_length=self.labels.recipe.max_length,
                stride=STRIDE,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
            for window, row in enumerate(encoded["overflow_to_sample_mapping"]):
                sides, offsets = encoded.sequence_ids(window), encoded["offset_mapping"][window]
                places = [o if s == 1 else None for o, s in zip(offsets, sides, strict=True)]
                ids, types = encoded["input_ids"][window], encoded["token_type_ids"][window]
                yield block[row], ids, types, places


def _positions(question: Question, offsets: Offsets) -> tuple[int, int]:
    """The tokens that the first answer begins and ends in; (0, 0) where it is not in the window."""
    if question.is_impossible or not question.answers:
        return 0, 0
    answer = question.answers[0]
    inside = [place for place, offset in enumerate(offsets) if offset is not None]
    first, last = offsets[inside[0]], offsets[inside[-1]]
    assert first is not None
    assert last is not None
    if not (first[0] <= answer.start and answer.end <= last[1]):
        return 0, 0
    start = max(p for p in inside if (o := offsets[p]) is not None and o[0] <= answer.start)
    end = min(p for p in inside if (o := offsets[p]) is not None and o[1] >= answer.end)
    return start, end


@dataclass
class _Best:
    """The best answer to one question so far, and the least score of none."""

    text: str = ""
    score: float = -np.inf
    null: float = np.inf

    def look(
        self, question: Question, offsets: Offsets, start: FloatArray, end: FloatArray
    ) -> None:
        """At one more window."""
        self.null = min(self.null, float(start[0] + end[0]))
        starts, ends = (np.argsort(-side[: len(offsets)])[:BEST] for side in (start, end))
        for first in starts:
            for last in ends:
                begin, stop = offsets[first], offsets[last]
                if begin is None or stop is None or not 0 <= last - first < MOST_ANSWER:
                    continue
                score = float(start[first] + end[last])
                if score > self.score:
                    self.text, self.score = question.context[begin[0] : stop[1]], score


def script_of(labels: Labels, tokenizer: Any) -> Script:
    """The one for this kind of task."""
    kinds: dict[type[Any], type[Script]] = {
        SequenceTask: RunGlue,
        TaggingTask: RunNer,
        QuestionTask: RunQa,
        ChoiceTask: RunSwag,
    }
    return kinds[type(labels.task)](labels, tokenizer)


def _rows(encoded: Any, **columns: Sequence[Any]) -> Features:
    """Columns as a row an example."""
    whole = {**encoded, **columns}
    return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]
