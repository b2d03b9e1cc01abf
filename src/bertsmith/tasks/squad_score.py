"""Exact match and F1 of answers, as SQuAD's official scripts compute them.

    SQuAD 1.1   every question has answers; an answer without a word in common gets F1 0
    SQuAD 2.0   where any question of the set has no answer: "" is right there, and wrong
                elsewhere; two answers that are both nothing but articles agree

An answer is compared after lower-casing, without punctuation, articles and extra white space; the
best of all right answers counts. What punctuation, articles and words are depends on the language:

    en           the official scripts: ASCII punctuation; a, an, the; words between spaces
    de es ar vi  articles of their own and Unicode's punctuation (MLQA, Lewis et al. 2020)
    zh ja th     Chinese, Japanese and Thai characters are words of their own, Unicode's
                 punctuation, no articles (CMRC and DRCD; F1 over the characters as a bag)
    other        Unicode's punctuation, no articles

Where no language is given, a context mostly in characters without spaces between words is read as
zh, any other as en, which is how published XQuAD scores are made.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bertsmith.tasks.metrics import Metrics
from bertsmith.tasks.squad import Question
from bertsmith.types import FloatArray

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ja", "ro", "ru", "th", "tr", "vi", "zh")
"""Those whose rules are known; any other is `other`."""

_ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "ar": r"(?<!\S)ال",
}
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters."""
_BY_CHARACTER = ("zh", "ja", "th")
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)


@lru_cache(maxsize=1 << 14)
def language_of(context: str) -> str:
    """zh where most letters are of scripts without spaces, else en."""
    unspaced = len(_UNSPACED.findall(context))
    return "zh" if 2 * unspaced > sum(map(str.isalpha, context)) else "en"


def normalise(text: str, language: str = "en") -> str:
    """Lower case, no punctuation, no articles, single spaces."""
    text = text.lower()
    if language == "en":
        text = text.translate(_ASCII_PUNCTUATION)
    else:
        text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
        text = text.translate(_ASCII_PUNCTUATION)
    articles = _ARTICLES.get(language)
    if articles:
        text = re.sub(articles, " ", text)
    if language in _BY_CHARACTER:
        text = _UNSPACED.sub(r" \g<0> ", text)
    return " ".join(text.split())


def exact(right: str, said: str) -> float:
    """1.0 where two normalised answers are the same."""
    return float(right == said)


def overlap(right: str, said: str, empty: float) -> float:
    """F1 of the words of two normalised answers; `empty` where both have none."""
    ours, theirs = said.split(), right.split()
    if not ours or not theirs:
        return empty if ours == theirs else 0.0
    common = sum((Counter(ours) & Counter(theirs)).values())
    if not common:
        return 0.0
    precision, recall = common / len(ours), common / len(theirs)
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True)
class Score:
    """Of one answer to one question."""

    exact: float
    f1: float


def score_answer(
    question: Question, said: str, *, has_impossible: bool, language: str = ""
) -> Score:
    """The best over the right answers. `has_impossible`: by SQuAD 2.0's rules, else by 1.1's."""
    rules = {"has_impossible": has_impossible, "language": language}
    return _scores(question, [said], **rules)[0]  # type: ignore[arg-type]


def _scores(
    question: Question, said: Sequence[str], *, has_impossible: bool, language: str
) -> list[Score]:
    """Of several answers, each by itself."""
    language = language or language_of(question.context)
    rights = [normalise(answer.text, language) for answer in question.answers]
    empty = 0.0
    if has_impossible:
        rights, empty = [right for right in rights if right] or [""], 1.0
    return [
        Score(
            max((exact(right, own) for right in rights), default=0.0),
            max((overlap(right, own, empty) for right in rights), default=0.0),
        )
        for own in (normalise(text, language) for text in said)
    ]


@dataclass(frozen=True)
class AnswerMetrics(Metrics):
    """Of a model that answers questions; None where there are no such questions."""

    exact: float
    """Share of answers that are right as they are."""
    f1: float
    """Mean overlap with a right answer."""
    has_answer_exact: float | None
    """The same over questions that have an answer, where not all have one, ..."""
    has_answer_f1: float | None
    no_answer: float | None
    """... and the share of those left unanswered among the questions that have none."""
    null_threshold: float | None
    """Where "no answer" is said: above this score difference; None where always answered."""
    by_length: list[tuple[str, int, float, float]]
    """By the number of words of the right answer: those, questions, exact and F1."""
    all_same: bool

    @property
    def single_answer(self) -> bool:
        """No question, or every one, was left unanswered where only some have no answer; or no
        answer overlaps a right one."""
        return self.all_same


LENGTHS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 10**9))
"""Words of the shortest right answer, grouped for `AnswerMetrics.by_length`."""


def score_answers(
    questions: Sequence[Question],
    said: Sequence[str],
    null_differences: FloatArray,
    *,
    threshold: float | None = None,
    tune: bool = False,
    language: str = "",
) -> AnswerMetrics:
    """`said` are the best answers that are not empty; `null_differences` (N,) by how much "no
    answer" scores above each.

    Above `threshold` no answer is given; where it is None, always one. With `tune`, and
    questions without an answer, it is the threshold of the best F1 (`best_threshold`).
    """
    has_impossible = any(question.is_impossible for question in questions)
    rules = {"has_impossible": has_impossible, "language": language}
    both = [
        _scores(question, (text, ""), **rules)  # type: ignore[arg-type]
        for question, text in zip(questions, said, strict=True)
    ]
    (exacts, f1s), (silent_exacts, silent_f1s) = (
        (np.array([s.exact for s in own]), np.array([s.f1 for s in own]))
        for own in zip(*both, strict=True)
    )
    if tune:
        threshold = best_threshold(f1s, silent_f1s, null_differences) if has_impossible else None
    nulls = null_differences > (np.inf if threshold is None else threshold)
    exacts, f1s = np.where(nulls, silent_exacts, exacts), np.where(nulls, silent_f1s, f1s)
    has = np.array([not question.is_impossible for question in questions])
    return AnswerMetrics(
        exact=float(exacts.mean()),
        f1=float(f1s.mean()),
        has_answer_exact=float(exacts[has].mean()) if 0 < has.sum() < len(has) else None,
        has_answer_f1=float(f1s[has].mean()) if 0 < has.sum() < len(has) else None,
        no_answer=float(f1s[~has].mean()) if (~has).any() else None,
        null_threshold=threshold,
        by_length=_by_length(questions, exacts, f1s, language),
        all_same=bool((nulls.all() or not nulls.any()) and has_impossible and has.any())
        or bool(has.any() and not f1s[has].any()),
    )


def best_threshold(f1s: FloatArray, silent: FloatArray, null_differences: FloatArray) -> float:
    """The least threshold with the best mean F1: SQuAD 2.0's `find_best_thresh`.

    `f1s` (N,) of the answers given, `silent` (N,) of giving none. The threshold is a null
    difference of one of the questions, which is the last to be answered; below all of them
    where none is to be.
    """
    order = np.argsort(null_differences, kind="stable")
    gains = np.concatenate([[0.0], np.cumsum((f1s - silent)[order])])
    ordered = null_differences[order]  # infinite where there is no text
    ends = np.append(ordered[1:] != ordered[:-1], True)  # equal ones go together
    allowed = np.concatenate([[True], ends])
    best = int(np.argmax(np.where(allowed, gains, -np.inf)))
    return float(ordered[best - 1]) if best else float(ordered[0]) - 1.0


def _by_length(
    questions: Sequence[Question], exacts: FloatArray, f1s: FloatArray, language: str
) -> list[tuple[str, int, float, float]]:
    words = np.array([_words(question, language) for question in questions])
    rows = []
    for least, most in LENGTHS:
        own = (words >= least) & (words <= most)
        name = str(least) if least == most else f"{least}+" if most > 10**6 else f"{least}-{most}"
        if own.any():
            rows.append((name, int(own.sum()), float(exacts[own].mean()), float(f1s[own].mean())))
    return rows


def _words(question: Question, language: str) -> int:
    """Of the shortest right answer; 0 where there is none."""
    own = language or language_of(question.context)
    counts = [len(normalise(answer.text, own).split()) for answer in question.answers]
    return min((max(1, count) for count in counts), default=0)
