"""Questions and their contexts as windows of tokens, and spans of tokens as answers.

    [CLS] question [SEP] part of the context [SEP]      (Devlin et al. 2019, sections 4.2 and 4.3)

A context that does not fit is read by overlapping windows, `stride` tokens from one to the next,
each an example of its own; a token is judged in the window where it has most context on both
sides. A window without the answer points at its first token, [CLS], which stands for "no answer".
Offsets are the tokenizer's, into the text as it was given, so that an answer is a piece of it;
marks on a letter (accents, vowel signs) belong to it even where the tokenizer strips them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tokenizers

from bertsmith.errors import ConfigError
from bertsmith.tasks.base import Encoded
from bertsmith.tasks.blocks import blocks
from bertsmith.tasks.squad import Question
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import BoolArray, Example, FloatArray, IntArray

STRIDE = 128
"""Tokens from one window to the next (BERT's released code)."""
MOST_QUESTION = 64
"""Tokens of a question; the rest is cut (ibid.)."""
MOST_ANSWER = 30
"""Tokens of an answer that is given (ibid.)."""
BEST = 20
"""Starts and ends that are paired in a window, and answers that are kept (ibid.)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a question's context, in an example of its own."""

    question: int
    """Which question's."""
    begin: int
    """Where in the example the context begins."""
    offsets: IntArray  # (n, 2) where each of its tokens begins and ends in the context
    is_best: BoolArray  # (n,) whether no other window shows more on both sides of the token


@dataclass(frozen=True)
class EncodedQuestions(Encoded):
    """Questions as windows, one after another."""

    questions: Sequence[Question] = ()
    windows: list[Window] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Span:
    """A possible answer: `context[start:end]`, and its start's and end's logits added up."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a model says of one question."""

    spans: Sequence[Span]
    """The best first, each with a text of its own; empty only where there is no context."""
    null_score: float
    """Of no answer: the least of the windows'."""

    @property
    def best(self) -> Span:
        """The best span; an empty one at 0 where there is none."""
        return self.spans[0] if self.spans else Span("", 0, 0, -np.inf)

    @property
    def null_difference(self) -> float:
        """By how much no answer is better than the best one."""
        return self.null_score - self.best.score if self.spans else np.inf


@dataclass(frozen=True)
class _Frame:
    """The special tokens of a pair, as a tokenizer sets them."""

    before: IntArray
    between: IntArray
    after: IntArray
    types: tuple[int, int, int, int, int]  # before, question, between, context, after

    @property
    def size(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


def encode_questions(
    questions: Sequence[Question],
    tokenizer: Tokenizer,
    max_length: int,
    stride: int,
    *,
    labelled: bool,
) -> EncodedQuestions:
    """Every window of every question; a context is tokenised once, whoever asks.

    With `labelled` the first right answer is what is to be learnt: an example's label is the
    positions (start, end) in it. Raises ConfigError where `max_length` leaves no room.
    """
    texts = _encode([question.text for question in questions], tokenizer)
    contexts = _encode([question.context for question in questions], tokenizer)
    frame = _frame(tokenizer)
    most = min(MOST_QUESTION, (max_length - frame.size) // 2)
    if most < 1:
        what = f"{max_length} tokens hold no question and text"
        raise ConfigError(what, where="max_length", mend="raise it")
    examples: list[Example] = []
    windows: list[Window] = []
    cut: list[bool] = []
    for index, question in enumerate(questions):
        own, (ids, offsets) = texts[question.text][0], contexts[question.context]
        cut.append(len(own) > most)
        head = np.concatenate([frame.before, own[:most], frame.between])
        room = max_length - len(head) - len(frame.after)
        span = _token_span(question, offsets) if labelled else None
        begins = window_begins(len(ids), room, stride)
        for begin, is_best in zip(begins, best_windows(len(ids), begins, room), strict=True):
            end = min(begin + room, len(ids))
            input_ids = np.concatenate([head, ids[begin:end], frame.after])
            kinds = frame.types
            sizes = (len(frame.before), len(own[:most]), len(frame.between), end - begin)
            types = np.repeat(kinds, (*sizes, len(frame.after)))
            label = None
            if labelled:
                inside = span is not None and begin <= span[0] and span[1] < end
                shift = len(head) - begin
                label = (span[0] + shift, span[1] + shift) if inside and span else (0, 0)
            examples.append(Example(input_ids, types, label=label))
            windows.append(Window(index, len(head), offsets[begin:end], is_best))
    lengths = np.array([len(example.input_ids) for example in examples], dtype=np.int64)
    return EncodedQuestions(examples, cut, lengths, questions=questions, windows=windows)


def window_begins(length: int, room: int, stride: int) -> list[int]:
    """The first token of every window of `room` tokens over `length`; the last reaches the end."""
    begins = [0]
    while begins[-1] + room < length:
        begins.append(begins[-1] + min(stride, room))
    return begins


def best_windows(length: int, begins: Sequence[int], room: int) -> Iterator[BoolArray]:
    """For each window, (its tokens,) whether it shows more around a token than any other.

    What counts is the shorter of the two sides, and of equals the longer window, then the
    first (BERT's released code).
    """
    if len(begins) == 1:
        yield np.ones(min(room, length), dtype=np.bool_)
        return
    overlapping = (room - 1) // (begins[1] - begins[0])  # on either side: no table of a whole book
    for number, begin in enumerate(begins):
        tokens = np.arange(begin, min(begin + room, length))
        least = max(0, number - overlapping)
        firsts = np.array(begins[least : number + overlapping + 1])[:, None]
        lasts = np.minimum(firsts + room, length) - 1
        sides = np.minimum(tokens - firsts, lasts - tokens)
        scores = np.where(sides < 0, -1.0, sides + 0.01 * (lasts - firsts + 1))
        yield scores.argmax(axis=0) == number - least


def find_spans(data: EncodedQuestions, outputs: FloatArray, best: int = BEST) -> list[Found]:
    """The `best` spans of every question.

    `outputs` are (T, 2) start and end logits, the examples end to end.
    """
    spans: list[list[tuple[float, int, int]]] = [[] for _ in data.questions]
    nulls = np.full(len(data.questions), np.inf)
    ends = np.cumsum([len(example.input_ids) for example in data.examples])
    for window, example, end in zip(data.windows, data.examples, ends, strict=True):
        own = outputs[end - len(example.input_ids) : end]
        nulls[window.question] = min(nulls[window.question], own[0].sum())
        spans[window.question] += _spans(own[window.begin :], window)
    return [
        Found(_distinct(found, question.context, best), float(null))
        for question, found, null in zip(data.questions, spans, nulls, strict=True)
    ]


def _spans(logits: FloatArray, window: Window) -> list[tuple[float, int, int]]:
    """(score, first character, character after the last) of a window's best spans: as many however
    many are asked for, since some are of white space alone, and others say the same."""
    count = len(window.offsets)
    starts, ends = logits[:count, 0], logits[:count, 1]
    allowed = np.flatnonzero(window.is_best)
    first = allowed[np.argsort(-starts[allowed], kind="stable")[:BEST]]
    last = np.argsort(-ends, kind="stable")[:BEST]
    lengths = last[None, :] - first[:, None]
    rows, columns = np.nonzero((lengths >= 0) & (lengths < MOST_ANSWER))
    scores = starts[first[rows]] + ends[last[columns]]
    kept = np.argsort(-scores, kind="stable")[: 2 * BEST]
    begins = window.offsets[first[rows[kept]], 0]
    stops = window.offsets[last[columns[kept]], 1]
    return list(zip(scores[kept].tolist(), begins.tolist(), stops.tolist(), strict=True))


def _distinct(found: list[tuple[float, int, int]], context: str, best: int) -> list[Span]:
    """The best of them, texts once each, white space at their ends left out."""
    spans: dict[str, Span] = {}
    for score, start, end in sorted(found, key=lambda span: (-span[0], span[1:])):
        text = context[start:end]
        start += len(text) - len(text.lstrip())
        text = text.strip()
        if text and text not in spans:
            spans[text] = Span(text, start, start + len(text), score)
            if len(spans) == best:
                break
    return list(spans.values())


def _token_span(question: Question, offsets: IntArray) -> tuple[int, int] | None:
    """The first and the last token that the first right answer touches."""
    answer = next((answer for answer in question.answers if answer.start >= 0), None)
    if answer is None or not len(offsets):
        return None
    first = int(np.searchsorted(offsets[:, 1], answer.start, side="right"))
    last = int(np.searchsorted(offsets[:, 0], answer.end, side="left")) - 1
    first = min(first, len(offsets) - 1)
    return first, max(first, last)


def _encode(texts: Sequence[str], tokenizer: Tokenizer) -> dict[str, tuple[IntArray, IntArray]]:
    """Ids (n,) and offsets (n, 2) of each different text."""
    distinct = list(dict.fromkeys(texts))
    encoded: dict[str, tuple[IntArray, IntArray]] = {}
    for some in blocks([len(text) for text in distinct]):
        block = distinct[some]
        for text, one in zip(
            block, tokenizer.encode_batch(block, add_special_tokens=False), strict=True
        ):
            encoded[text] = _arrays(one, text)
    return encoded


def _arrays(encoding: tokenizers.Encoding, text: str) -> tuple[IntArray, IntArray]:
    """A token ends after the marks on its last letter, which a tokenizer may have stripped."""
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    if not text.isascii():
        marks = np.array([unicodedata.category(c).startswith("M") for c in text] + [False])
        places = np.where(marks, len(text), np.arange(len(text) + 1))
        letters = np.minimum.accumulate(places[::-1])[::-1]  # the next one that is no mark
        offsets[:, 1] = letters[offsets[:, 1]]
    return np.array(encoding.ids, dtype=np.int64), offsets


def _frame(tokenizer: Tokenizer) -> _Frame:
    """Read off a pair of the tokenizer's own."""
    mask = tokenizer.token(tokenizer.mask_id)
    pair: Any = tokenizer.encode(mask, mask)
    ids, kinds = np.array(pair.ids, dtype=np.int64), pair.type_ids
    first, second = (pair.sequence_ids.index(number) for number in (0, 1))
    return _Frame(
        ids[:first],
        ids[first + 1 : second],
        ids[second + 1 :],
        (
            kinds[0],
            kinds[first],
            kinds[min(first + 1, second)],
            kinds[second],
            kinds[-1],
        ),
    )
