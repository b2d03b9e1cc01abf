from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.tasks.squad import Answer, Question
from bertsmith.tasks.squad_score import (
    AnswerMetrics,
    best_threshold,
    language_of,
    normalise,
    score_answer,
    score_answers,
)


def question(*answers: str, context: str = "some English context") -> Question:
    made = tuple(Answer(text, 0) for text in answers)
    return Question("1", "q", context, made, is_impossible=not answers)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The  Cat's, a-hat!", "en", "cats ahat"),
        ("An apple a day", "en", "apple day"),
        ("theatre", "en", "theatre"),
        ("«Der Hund» — das", "en", "«der hund» — das"),
        ("«Der Hund» — das", "de", "hund"),
        ("el perro, los gatos", "es", "perro gatos"),
        ("الكتاب والقلم", "ar", "كتاب والقلم"),
        ("北京，2008年 Olympics", "zh", "北 京 2008 年 olympics"),
        ("กรุงเทพ", "th", "ก ร ุ ง เ ท พ"),
        ("東京タワー", "ja", "東 京 タ ワ ー"),
        ("Ο Νείλος.", "el", "ο νείλος"),
    ],
)
def test_answers_are_compared_without_what_does_not_count(
    text: str, language: str, expected: str
) -> None:
    assert normalise(text, language) == expected


def test_the_script_says_whether_words_have_spaces() -> None:
    assert language_of("Die Donau, 2.850 km") == "en"
    assert language_of("黄河全长5464公里 (NFL)") == "zh"
    assert language_of("แม่น้ำเจ้าพระยา") == "zh"
    assert language_of("") == "en"


@pytest.mark.parametrize(
    ("answers", "said", "v1", "v2"),
    [
        (("Denver Broncos",), "the Denver Broncos!", (1, 1), (1, 1)),
        (("Denver Broncos",), "Broncos", (0, 2 / 3), (0, 2 / 3)),
        (("Denver Broncos", "Broncos"), "Broncos", (1, 1), (1, 1)),
        (("red red blue",), "red green", (0, 0.4), (0, 0.4)),
        (("Denver",), "", (0, 0), (0, 0)),
        (("the",), "a", (1, 0), (1, 1)),
        ((), "", None, (1, 1)),
        ((), "x", None, (0, 0)),
    ],
)
def test_the_best_of_the_right_answers_counts_by_either_version(
    answers: tuple[str, ...],
    said: str,
    v1: tuple[float, float] | None,
    v2: tuple[float, float],
) -> None:
    for has_impossible, expected in ((False, v1), (True, v2)):
        if expected is not None:
            score = score_answer(question(*answers), said, has_impossible=has_impossible)
            assert (score.exact, score.f1) == pytest.approx(expected)


def test_chinese_is_compared_by_characters() -> None:
    asked = question("黄河流域", context="黄河流域是中国文明的摇篮")
    score = score_answer(asked, "黄河", has_impossible=False)
    assert (score.exact, score.f1) == (0.0, pytest.approx(2 / 3))


def test_the_null_score_is_held_against_a_threshold_that_may_be_tuned() -> None:
    questions = [question("a b"), question("c"), question(), question()]
    said, nulls = ["a b", "x", "y", "z"], np.array([-3.0, -2.0, -1.0, 5.0])

    def scored(threshold: float | None = None, tune: bool = False) -> AnswerMetrics:
        return score_answers(questions, said, nulls, threshold=threshold, tune=tune)

    tuned = scored(tune=True)
    assert tuned.null_threshold == -3.0
    assert (tuned.exact, tuned.f1, tuned.no_answer) == (0.75, 0.75, 1.0)
    assert scored(-3.0) == tuned
    always = scored()
    assert (always.f1, always.has_answer_f1, always.no_answer) == (0.25, 0.5, 0.0)
    assert always.single_answer
    assert not tuned.single_answer
    assert [row[:2] for row in always.by_length] == [("1", 2)]
    silent = score_answers(questions[2:], said[2:], nulls[2:], tune=True)
    assert (silent.f1, silent.single_answer) == (1.0, False)  # there is nothing else to be said
    only = score_answers(questions[:2], said[:2], nulls[:2], tune=True)
    assert (only.null_threshold, only.no_answer, only.f1) == (None, None, 0.5)


@pytest.mark.parametrize("is_two", [False, True])
def test_what_is_left_unanswered_is_scored_as_an_empty_answer_is(is_two: bool) -> None:
    """As the official scripts do, which see the file of answers; so are the intervals made."""
    questions = [question("the"), question("."), question("c"), *([question()] if is_two else ())]
    nulls = np.array([2.0, 3.0, 4.0, 1.0])[: len(questions)]
    scores = score_answers(questions, ["x"] * len(questions), nulls, threshold=0.0)
    each = [score_answer(own, "", has_impossible=is_two) for own in questions]
    assert scores.exact == np.mean([own.exact for own in each]) == (0.75 if is_two else 2 / 3)
    assert scores.f1 == np.mean([own.f1 for own in each]) == (0.75 if is_two else 0.0)


def test_questions_on_nothing_are_left_out_of_the_choice_of_a_threshold() -> None:
    nulls = np.array([np.inf, -1.0, np.inf])
    assert best_threshold(np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0]), nulls) == -1.0


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.4, 1.0]), st.integers(-4, 4)),
        min_size=1,
        max_size=12,
    )
)
def test_no_threshold_is_better_than_the_one_that_is_chosen(
    rows: list[tuple[bool, float, int]],
) -> None:
    silent = np.array([float(impossible) for impossible, _, _ in rows])
    f1s = np.array([0.0 if impossible else f1 for impossible, f1, _ in rows])
    nulls = np.array([float(null) for _, _, null in rows])

    def mean(threshold: float) -> float:
        return float(np.where(nulls > threshold, silent, f1s).mean())

    chosen = best_threshold(f1s, silent, nulls)
    every = [mean(threshold) for threshold in np.arange(-5.5, 6)]
    assert mean(chosen) == pytest.approx(max(every))
