"""Extractive question answering: a span of the text, or no answer (BERT, sections 4.2 and 4.3).

The format is `squad`'s, the windows and spans are `spans`', the scores `squad_score`'s. Where the
dev set has questions without an answer, "no answer" is said above the null difference of the best
F1 there, which the saved model keeps; where it has none, there is always an answer.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from bertsmith.config import ModelConfig
from bertsmith.errors import ConfigError, DataError
from bertsmith.nn.losses import span_loss
from bertsmith.nn.models import HeadedEncoder, SpanModel
from bertsmith.tasks.base import Objective, Prediction, Setting, Task
from bertsmith.tasks.findings import Finding, Item, Place, single
from bertsmith.tasks.many_scores import Resampling, of_means, outermost
from bertsmith.tasks.metrics import ClassScores
from bertsmith.tasks.mistakes import FILE, table_text
from bertsmith.tasks.records import STDIN_NAME
from bertsmith.tasks.spans import (
    MOST_QUESTION,
    STRIDE,
    EncodedQuestions,
    Found,
    encode_questions,
    find_spans,
)
from bertsmith.tasks.squad import Question, learnable, read_questions
from bertsmith.tasks.squad_score import (
    LANGUAGES,
    AnswerMetrics,
    Score,
    score_answer,
    score_answers,
)
from bertsmith.tasks.tables import Columns, Labelled, Table, refuse_columns
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import FloatArray

COLUMNS = Columns("question", "context", "answers")
PREDICTIONS, NBEST = "predictions.json", "nbest_predictions.json"
NULL_ODDS, EXAMPLES = "null_odds.json", "examples.json"
NO_ANSWER = "no answer"
MOST_EXAMPLES = 12
AROUND = 160
"""Characters of context on either side of an answer that is shown."""


@dataclass(frozen=True)
class AnswerPrediction(Prediction):
    """A question and what the model answers, "" where it finds no answer."""

    question: Question
    found: Found
    threshold: float | None
    truncated: bool

    @property
    def line(self) -> int:  # type: ignore[override]
        """Where in its file it is: the line, or its number."""
        return self.question.line

    @property
    def is_answered(self) -> bool:
        """Whether it is not left without an answer."""
        if self.threshold is None:
            return bool(self.found.spans)
        return self.found.null_difference <= self.threshold

    @property
    def text(self) -> str:
        """The answer: `context[start:end]`."""
        return self.found.best.text if self.is_answered else ""

    @property
    def nbest(self) -> list[dict[str, Any]]:
        """The best answers, "" for none among them, with probabilities that add up to 1."""
        rows = [(span.text, span.start, span.end, span.score) for span in self.found.spans]
        rows.append(("", 0, 0, self.found.null_score))
        rows.sort(key=lambda row: -row[3])
        probabilities = softmax([row[3] for row in rows])
        return [
            {"text": text, "start": start, "end": end, "probability": round(float(p), 6)}
            for (text, start, end, _), p in zip(rows, probabilities, strict=True)
        ]

    @property
    def probability(self) -> float:
        """Of the answer, among the n best."""
        return next(
            (float(row["probability"]) for row in self.nbest if row["text"] == self.text), 0.0
        )

    def to_json(self) -> str:
        """One line: id, question, answer, its characters in the context, and how sure it is."""
        best = self.found.best
        place = {"start": best.start, "end": best.end} if self.is_answered else {}
        record = {
            "id": self.question.id,
            "question": self.question.text,
            "answer": self.text,
            **place,
            "probability": self.probability,
        }
        return json.dumps(record, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class QuestionTask(Task[Question, EncodedQuestions]):
    """Answers as spans. `settings`: stride, language, null_threshold (see the module)."""

    def read(self, path: Path, columns: Columns | None = None) -> Labelled[Question]:
        """The questions of a file; columns are not chosen."""
        refuse_columns(columns)
        return Labelled(path, COLUMNS, list(read_questions(path, labelled=True)))

    def for_training(self, train: Labelled[Question]) -> Labelled[Question]:
        """Without those whose answer is not in its context. Raises DataError where none is left."""
        rows, notes = learnable(train.rows, str(train.path))
        return replace(train, rows=rows, notes=tuple(notes))

    def open(
        self, path: Path | None, columns: Columns | None, learnt: Columns, *, labelled: bool
    ) -> Table[Question]:
        """See Task: SQuAD's JSON, or JSON lines."""
        refuse_columns(columns)
        name = STDIN_NAME if path is None else str(path)
        rows = list(read_questions(path, labelled=labelled))
        return Table(name, COLUMNS, iter(rows), rows[-1].line)

    def row_of(self, text: str) -> Question:
        """See Task."""
        raise DataError(
            "a text alone is no question on a text", mend="give question and context, as JSON"
        )

    def items(self, rows: Sequence[Question]) -> list[Item]:
        """See Task. Questions with an answer are counted, and those without."""
        return [
            Item(
                question.id,
                (question.context, question.text),
                frozenset(answer.text.strip().casefold() for answer in question.answers)
                or frozenset({NO_ANSWER}),
                (NO_ANSWER if question.is_impossible else "answer",),
                question.context,
            )
            for question in rows
        ]

    def groupings(self, rows: Sequence[Question]) -> list[Sequence[Hashable]]:
        """By articles, which contexts of none are by themselves, and by contexts."""
        contexts = [question.context for question in rows]
        articles: dict[str, str] = {}  # of a context that is there twice, the first
        for question in rows:
            articles.setdefault(question.context, question.article or question.context)
        return [[articles[own] for own in contexts], contexts]

    def oddities(self, data: Labelled[Question]) -> list[Finding]:
        """Answers that do not stand where they should, repaired or refused."""
        moved = (Place(q.id) for q in data.rows if q.moved)
        lost = [q for q in data.rows if q.lost]
        refused = (Place(q.id) for q in lost if all(answer.start < 0 for answer in q.answers))
        some = (Place(q.id) for q in lost if any(answer.start >= 0 for answer in q.answers))
        return [
            *single(
                "moved answers",
                "warning",
                "have an answer elsewhere than answer_start says: the nearest place is taken",
                moved,
            ),
            *single(
                "lost answers",
                "warning",
                "have no answer that stands in their text: they are not learnt from",
                refused,
            ),
            *single("some answers lost", "note", "have an answer that is not in their text", some),
        ]

    def restored(self, settings: Mapping[str, Setting], names: Sequence[str]) -> QuestionTask:
        """See Task. Always with a threshold, None where nothing was tuned. Raises ConfigError."""
        own = {**self.settings, "null_threshold": None, **settings}
        return replace(self, settings=own)._checked()

    def suited(self, train: Labelled[Question]) -> QuestionTask:
        """The task itself. Raises ConfigError for a language or a stride that makes no sense."""
        return self._checked()

    def _checked(self) -> QuestionTask:
        language, stride = self.settings["language"], self.settings["stride"]
        if language and language not in LANGUAGES:
            raise ConfigError(
                f"no rules for the language {language!r}",
                where="language",
                mend=f"give one of {', '.join(LANGUAGES)}, or none",
            )
        if not isinstance(stride, int) or stride < 1:
            raise ConfigError(f"a stride of {stride} goes nowhere", where="stride", mend="raise it")
        return self

    def require_alike(self, other: Labelled[Question], train: Labelled[Question]) -> None:
        """Questions are alike."""

    def output_names(self, train: Labelled[Question]) -> list[str]:
        """None: the two logits of a token are no labels."""
        return []

    def truths(
        self, data: Labelled[Question], names: Sequence[str], known_to: str
    ) -> Sequence[Question]:
        """The questions themselves, which have their answers."""
        return data.rows

    def described(self, train: Labelled[Question], names: Sequence[str]) -> str:
        """The number of contexts."""
        contexts = len({question.context for question in train.rows})
        impossible = sum(question.is_impossible for question in train.rows)
        without = f", {impossible:,} questions without an answer" if impossible else ""
        return f"({contexts:,} contexts to learn from{without})"

    def encode(
        self,
        rows: Sequence[Question],
        tokenizer: Tokenizer,
        max_length: int,
        truths: Sequence[Question] | None = None,
    ) -> EncodedQuestions:
        """See `encode_questions`."""
        stride, labelled = self.settings["stride"], truths is not None
        assert isinstance(stride, int)
        return encode_questions(rows, tokenizer, max_length, stride, labelled=labelled)

    def shortening(self, max_length: int) -> str:
        """Questions are, contexts never. See Task."""
        return f"to at most {MOST_QUESTION} tokens; their texts are read whole"

    def network(self, config: ModelConfig, outputs: int, dropout: float) -> SpanModel:
        """An encoder and a SpanHead."""
        return SpanModel(config, dropout)

    @contextmanager
    def objective(self, model: HeadedEncoder, train: EncodedQuestions) -> Iterator[Objective]:
        """See `span_loss`. The mean is over windows."""
        yield Objective(
            lambda logits, batch: span_loss(logits, batch.lengths, batch.targets["labels"])
        )

    def assess(
        self, model: HeadedEncoder, data: EncodedQuestions, outputs: FloatArray
    ) -> AnswerMetrics:
        """See `score_answers`. The threshold is the task's own, once it is tuned."""
        found = find_spans(data, outputs, best=1)
        return score_answers(
            data.questions,
            [one.best.text for one in found],
            np.array([one.null_difference for one in found]),
            threshold=self.threshold,
            tune="null_threshold" not in self.settings,
            language=self.language,
        )

    def resampling(
        self, model: HeadedEncoder, data: EncodedQuestions, outputs: FloatArray
    ) -> Resampling:
        """By articles, by contexts where these are of none, or, where there are hardly any of
        these, by questions. A threshold that is tuned on them is the one of all of them."""
        metrics = self.assess(model, data, outputs)
        predictions = self.tuned(metrics).predictions(model, data.questions, data, outputs, ())
        scores = self._scores(predictions)
        values = {m: np.array([getattr(s, m) for s in scores]) for m in self.metrics}
        by_itself = range(len(data.questions))
        return of_means(values, outermost(*self.groupings(data.questions), by_itself))

    def _scores(self, predictions: Sequence[AnswerPrediction]) -> list[Score]:
        """Of each answer, by the rules of the questions' set."""
        has_impossible = any(one.question.is_impossible for one in predictions)
        return [
            score_answer(
                one.question, one.text, has_impossible=has_impossible, language=self.language
            )
            for one in predictions
        ]

    def tuned(self, metrics: Any) -> QuestionTask:
        """With the threshold of these metrics."""
        own = {**self.settings, "null_threshold": metrics.null_threshold}
        return replace(self, settings=own)

    def caveats(self, run: Mapping[str, Any]) -> list[str]:
        """The threshold. See Task."""
        if run["null_threshold"] is None:
            return []
        return [
            "The score difference above which no answer is given was chosen on the dev set, whose "
            "scores are after it."
        ]

    @property
    def threshold(self) -> float | None:
        """Above it no answer is given; None: there is always one."""
        value = self.settings.get("null_threshold")
        return float(value) if isinstance(value, int | float) else None

    @property
    def language(self) -> str:
        """Whose rules answers are compared by; empty: by the context's script."""
        return str(self.settings["language"])

    def assess_each(
        self,
        model: HeadedEncoder,
        data: EncodedQuestions,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> list[ClassScores]:
        """Nothing: there are no classes."""
        return []

    def predictions(
        self,
        model: HeadedEncoder,
        rows: Sequence[Question],
        data: EncodedQuestions,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> list[AnswerPrediction]:
        """The best spans, held against the threshold."""
        return [
            AnswerPrediction(question, found, self.threshold, truncated)
            for question, found, truncated in zip(
                rows, find_spans(data, outputs), data.is_truncated, strict=True
            )
        ]

    def files(
        self,
        model: HeadedEncoder,
        data: EncodedQuestions,
        outputs: FloatArray,
        names: Sequence[str],
    ) -> Mapping[str, str]:
        """The dev set's answers as the official scripts take them, n best, and the mistakes."""
        predictions = self.predictions(model, data.questions, data, outputs, ())
        scores = self._scores(predictions)
        ids = [one.question.id for one in predictions]
        files = {
            PREDICTIONS: _dumps({i: one.text for i, one in zip(ids, predictions, strict=True)}),
            NBEST: _dumps({i: one.nbest for i, one in zip(ids, predictions, strict=True)}),
            FILE: _errors(predictions, scores),
            EXAMPLES: _dumps(_examples(predictions, scores)),
        }
        if any(question.is_impossible for question in data.questions):
            odds = {i: one.found.null_difference for i, one in zip(ids, predictions, strict=True)}
            files[NULL_ODDS] = _dumps(odds)
        return files


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _errors(predictions: Sequence[AnswerPrediction], scores: Sequence[Score]) -> str:
    """Those not exactly right: the worst first, and of equals the surest."""
    wrong = [(p, s) for p, s in zip(predictions, scores, strict=True) if not s.exact]
    wrong.sort(key=lambda pair: (pair[1].f1, -pair[0].probability))
    rows = [
        (
            one.question.id,
            f"{score.f1:.3f}",
            f"{one.probability:.3f}",
            one.question.text,
            one.text,
            " | ".join(dict.fromkeys(answer.text for answer in one.question.answers)),
        )
        for one, score in wrong
    ]
    return table_text(("id", "f1", "probability", "question", "answer", "right"), rows)


def _examples(
    predictions: Sequence[AnswerPrediction], scores: Sequence[Score]
) -> list[dict[str, Any]]:
    """Every n-th question, with the right answer in its place and what was said."""
    step = max(1, len(predictions) // MOST_EXAMPLES)
    shown = []
    for one, score in list(zip(predictions, scores, strict=True))[::step][:MOST_EXAMPLES]:
        right = next((a for a in one.question.answers if a.start >= 0), None)
        start, end = (right.start, right.end) if right else (0, 0)
        context = one.question.context
        shown.append(
            {
                "question": one.question.text,
                "before": ("…" if start > AROUND else "") + context[max(0, start - AROUND) : start],
                "right": context[start:end],
                "after": context[end : end + AROUND] + ("…" if len(context) > end + AROUND else ""),
                "said": [[row["text"], row["probability"]] for row in one.nbest[:3]],
                "answer": one.text,
                "exact": score.exact,
                "f1": round(score.f1, 3),
            }
        )
    return shown


TASK = QuestionTask(
    name="qa",
    product="model that answers questions on a text",
    unit="questions",
    drawn="articles, or texts where a file tells of none, with all their questions",
    method="All weights are trained, with a vector for an answer's start and one for its end.",
    metrics=("exact", "f1"),
    chosen_by=("f1",),
    settings={"stride": STRIDE, "language": ""},
    usual={"max_length": 384, "epochs": 2},
)
