from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.errors import ConfigError
from bertsmith.tasks import spans
from bertsmith.tasks.spans import (
    EncodedQuestions,
    Window,
    best_windows,
    encode_questions,
    find_spans,
    window_begins,
)
from bertsmith.tasks.squad import Answer, Question
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from bertsmith.types import Example
from wordpieces import wordpiece

from .squad_files import RIVER

SCRIPTS = (
    "L'été à Évian: 25 °C… İstanbul’da ﬁnance, naïve cafe\u0301s and ÅNGSTRÖM units",
    "東京は日本の首都です。人口は1400万人。",
    "กรุงเทพมหานคร เป็นเมืองหลวงของประเทศไทย",
    "عالٍ جداً في الصيفِ والشتاءِ",
    "नदी की लंबाई ६५०० किलोमीटर है।",
    "tabs\tand\u00a0spaces\u200b 😀👨‍👩‍👧 end",
)


@pytest.fixture(scope="module", params=["wordpiece", "stripped", "bpe", "characters"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    texts = [*SCRIPTS, RIVER, "what is it"] * 3
    match request.param:
        case "bpe":
            return train_tokenizer(texts, 400, "bpe")
        case "characters":
            return train_tokenizer(texts, 500, "characters")
        case kind:
            return wordpiece([*SCRIPTS, RIVER, "what is it"], 400, kind == "stripped")


def encode(
    questions: list[Question], tokenizer: Tokenizer, max_length: int = 64, stride: int = 8
) -> EncodedQuestions:
    return encode_questions(questions, tokenizer, max_length, stride, labelled=True)


def said_by(data: EncodedQuestions, outputs: np.ndarray) -> list[str]:
    return [found.best.text for found in find_spans(data, outputs)]


def one_hot(data: EncodedQuestions) -> np.ndarray:
    """The logits of a model that knows every label."""
    outputs = np.zeros((sum(len(example.input_ids) for example in data.examples), 2))
    begin = 0
    for example in data.examples:
        start, end = example.label  # type: ignore[misc]
        outputs[begin + start, 0] = outputs[begin + end, 1] = 9.0
        begin += len(example.input_ids)
    return outputs


@given(st.integers(0, 90), st.integers(1, 40), st.integers(1, 50))
def test_windows_cover_a_text_and_each_token_is_judged_once(
    length: int, room: int, stride: int
) -> None:
    begins = window_begins(length, room, stride)
    best = list(best_windows(length, begins, room))
    judged = np.zeros(length, dtype=int)
    for begin, own in zip(begins, best, strict=True):
        assert len(own) == len(range(begin, min(begin + room, length)))
        judged[begin : begin + room] += own
    assert (judged == 1).all()
    assert begins[-1] + room >= length
    assert all(later - earlier == min(stride, room) for earlier, later in pairwise(begins))


def test_a_book_is_cut_into_windows_in_bounded_memory() -> None:
    begins = window_begins(100_000, 370, 128)
    tracemalloc.start()
    judged = sum(int(own.sum()) for own in best_windows(100_000, begins, 370))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert judged == 100_000
    assert peak < 1 << 20


def test_a_token_is_judged_where_it_has_most_context() -> None:
    first, second, third = best_windows(14, [0, 4, 8], 6)
    assert first.tolist() == [True] * 5 + [False]
    assert second.tolist() == [False] + [True] * 4 + [False]
    assert third.tolist() == [False] + [True] * 5


@pytest.mark.parametrize("context", SCRIPTS)
def test_an_answer_is_a_piece_of_the_text_as_it_was_given(
    tokenizer: Tokenizer, context: str
) -> None:
    starts = [at for at in range(len(context) - 4) if context[at].isalnum()]
    questions = [
        Question(str(at), "what is it", context, (Answer(context[at : at + size], at),))
        for at in starts
        for size in (1, 4)
    ]
    data = encode(questions, tokenizer, 300, 100)
    for question, found in zip(questions, find_spans(data, one_hot(data)), strict=True):
        best, answer = found.best, question.answers[0]
        assert best.text == context[best.start : best.end]
        letters = "".join(c for c in answer.text if c.isalnum())
        assert letters in "".join(c for c in best.text if c.isalnum())
        assert best.end >= answer.start
        assert best.start <= answer.start


def test_marks_that_a_tokenizer_strips_stay_with_their_letter() -> None:
    context = "عالٍ جداً في cafe\u0301 noir"
    tokenizer = wordpiece([context, "q"], 90, strip_accents=True)
    for answer in ("عالٍ جداً", "جداً", "cafe\u0301"):
        question = Question("1", "q", context, (Answer(answer, context.index(answer)),))
        data = encode([question], tokenizer)
        assert said_by(data, one_hot(data)) == [answer]


def test_windows_carry_the_answer_or_point_at_nothing() -> None:
    context = " ".join(f"w{number % 30}" for number in range(100))
    tokenizer = wordpiece([context + " where q"], 120)
    start = context.index("w10 w11")
    question = Question("1", "where q", context, (Answer("w10 w11", start),))
    data = encode([question], tokenizer, 24, 8)
    assert len(data.examples) == len(window_begins(100, 24 - 5, 8))
    assert all(len(example.input_ids) <= 24 for example in data.examples)
    labels = [example.label for example in data.examples]
    assert sum(label != (0, 0) for label in labels) >= 1
    for example, window in zip(data.examples, data.windows, strict=True):
        first, last = example.label  # type: ignore[misc]
        if (first, last) != (0, 0):
            at, to = window.offsets[first - window.begin, 0], window.offsets[last - window.begin, 1]
            assert context[at:to] == "w10 w11"
        assert example.input_ids[0] == tokenizer.cls_id
        assert (example.input_ids == tokenizer.sep_id).sum() == 2
        assert example.token_type_ids.tolist() == [0] * window.begin + [1] * (
            len(example.input_ids) - window.begin
        )
    found = find_spans(data, one_hot(data))[0]
    assert (found.best.start, found.best.text) == (start, "w10 w11")
    assert len({span.text for span in found.spans}) == len(found.spans) <= spans.BEST


def test_the_best_spans_are_those_that_trying_all_finds() -> None:
    context = " ".join(f"w{number}" for number in range(40))
    tokenizer = wordpiece([context + " q"], 120)
    data = encode([Question("1", "q", context)], tokenizer, 64)
    assert len(data.examples) == 1
    size, begin = len(data.examples[0].input_ids), data.windows[0].begin
    outputs = np.random.default_rng(0).normal(size=(size, 2))
    found = find_spans(data, outputs)[0]
    every = [
        (outputs[begin + i, 0] + outputs[begin + j, 1], i, j)
        for i in range(40)
        for j in range(i, min(i + spans.MOST_ANSWER, 40))
    ]
    score, first, last = max(every)
    assert found.best.text == " ".join(f"w{number}" for number in range(first, last + 1))
    assert found.best.score == pytest.approx(score)
    assert found.null_score == pytest.approx(outputs[0].sum())
    assert found.null_difference == pytest.approx(outputs[0].sum() - score)


def test_a_question_that_is_too_long_is_counted_and_an_empty_text_has_no_answer() -> None:
    tokenizer = wordpiece(["word q"], 40)
    long, empty = Question("1", "word " * 70, "word word"), Question("2", "q", " ")
    data = encode_questions([long, empty], tokenizer, 384, 128, labelled=False)
    assert data.is_truncated == [True, False]
    assert data.windows[0].begin == spans.MOST_QUESTION + 2
    sizes = sum(len(example.input_ids) for example in data.examples)
    found = find_spans(data, np.zeros((sizes, 2)))
    assert (found[1].best.text, found[1].null_difference) == ("", np.inf)
    with pytest.raises(ConfigError, match="4 tokens hold no question and text"):
        encode_questions([long], tokenizer, 4, 2, labelled=False)


def test_the_best_span_is_the_same_however_many_are_asked_for() -> None:
    context = "\n\n\nParis"
    question = Question("1", "q", context, (Answer("Paris", 3),))
    offsets = np.array([[0, 1], [1, 2], [2, 3], [3, 8]])
    data = EncodedQuestions(
        [Example(np.arange(7), np.zeros(7, dtype=np.int64))],
        [False],
        np.array([7]),
        questions=[question],
        windows=[Window(0, 2, offsets, np.ones(4, dtype=np.bool_))],
    )
    outputs = np.array([0, 0, 5, 5, 5, 1, 0.0])[:, None].repeat(2, axis=1)
    (one,), (several,) = (find_spans(data, outputs, best=best) for best in (1, 20))
    assert one.best == several.best
    assert one.best.text == "Paris"
