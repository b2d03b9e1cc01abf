from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertsmith.errors import DataError
from bertsmith.tasks.schemes import (
    Span,
    may_follow,
    odd_tags,
    rules_of,
    scheme_by_names,
    scheme_of,
    spans_of,
    tags_of,
)
from bertsmith.tasks.sentences import Sentence
from bertsmith.tasks.span_scores import score_spans

IOB = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), min_size=1, max_size=9)


def sentences(*tagged: str) -> list[Sentence]:
    made, line = [], 0
    for text in tagged:
        tags = tuple(text.split())
        lines = tuple(range(line + 1, line + 1 + len(tags)))
        line = lines[-1] + 1
        made.append(Sentence("", ("w",) * len(tags), ((0, 0),) * len(tags), lines, tags))
    return made


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("I-A I-A O I-A", [(0, 2, "A"), (3, 4, "A")]),
        ("I-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("B-A I-B I-B", [(0, 1, "A"), (1, 3, "B")]),
        ("B-A I-A I-B O", [(0, 2, "A"), (2, 3, "B")]),
        ("S-A B-A E-A S-B S-B", [(0, 1, "A"), (1, 3, "A"), (3, 4, "B"), (4, 5, "B")]),
        ("B-A I-A E-A I-A O E-B", [(0, 3, "A"), (3, 4, "A"), (5, 6, "B")]),
        ("B-A-B I-A-B", [(0, 2, "A-B")]),
    ],
)
def test_spans_by_hand(tags: str, spans: list[tuple[int, int, str]]) -> None:
    assert spans_of(tags.split()) == [Span(*span) for span in spans]


def conlleval(truth: list[list[str]], predicted: list[list[str]]) -> tuple[int, int, int]:
    """(right, found, there) as the script counts: word by word, in or out of a right chunk."""

    def ends(before: str, tag: str) -> bool:
        (old, _, a), (new, _, b) = before.partition("-"), tag.partition("-")
        if (old, new) in {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O")}:
            return True
        return old != "O" and a != b

    def starts(before: str, tag: str) -> bool:
        (old, _, a), (new, _, b) = before.partition("-"), tag.partition("-")
        if (old, new) in {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I")}:
            return True
        return new != "O" and a != b

    right = found = there = 0
    inside = False
    flat = [
        [tag for tags in side for tag in [*tags, "O"]]  # an empty line is O on both sides
        for side in (truth, predicted)
    ]
    for (t0, t1), (p0, p1) in zip(*(pairwise(["O", *side]) for side in flat), strict=True):
        same = t1.partition("-")[2] == p1.partition("-")[2]
        if inside:
            if ends(t0, t1) and ends(p0, p1):
                right, inside = right + 1, False
            elif ends(t0, t1) != ends(p0, p1) or not same:
                inside = False
        if starts(t0, t1) and starts(p0, p1) and same:
            inside = True
        there += starts(t0, t1)
        found += starts(p0, p1)
    return right, found, there


@given(st.lists(st.tuples(IOB, IOB), min_size=1, max_size=4))
def test_scores_are_those_of_conlleval_on_any_tags(pairs: list[tuple[list[str], ...]]) -> None:
    names = ["O", "B-A", "I-A", "B-B", "I-B"]
    truth, predicted = (
        [(tags * 9)[: len(pair[0])] for pair in pairs for tags in [pair[side]]] for side in (0, 1)
    )
    lengths = np.array([len(tags) for tags in truth])
    flat = [
        np.array([names.index(t) for tags in side for t in tags]) for side in (truth, predicted)
    ]
    scores = score_spans(flat[0], flat[1], lengths, names)
    right, found, there = conlleval(truth, predicted)
    precision, recall = right / max(found, 1), right / max(there, 1)
    assert (scores.precision, scores.recall) == (precision, recall)
    f1 = 2 * precision * recall / (precision + recall) if right else 0
    assert scores.f1 == pytest.approx(f1)
    assert sum(one.examples for one in scores.types) == there


def test_a_worked_example_of_scores() -> None:
    names = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    truth = np.array([3, 4, 0, 1, 0, 1, 2])
    predicted = np.array([3, 4, 0, 3, 2, 2, 2])
    # found: PER 0-1 (right), PER 3, LOC 4-6; true: PER 0-1, LOC 3, LOC 5-6
    scores = score_spans(truth, predicted, np.array([4, 3]), names)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert scores.accuracy == pytest.approx(4 / 7)
    loc, per = scores.types
    assert (loc.label, loc.precision, loc.recall, loc.f1, loc.examples) == ("LOC", 0, 0, 0, 2)
    assert (per.label, per.precision, per.recall, per.examples) == ("PER", 0.5, 1.0, 1)
    assert not scores.single_answer
    assert score_spans(truth, np.zeros_like(truth), np.array([4, 3]), names).single_answer


@given(IOB, st.sampled_from(["IOB2", "BIOES"]))
def test_any_scheme_spells_the_same_spans_by_its_rules(tags: list[str], scheme: str) -> None:
    spans = spans_of(tags)
    written = tags_of(spans, len(tags), scheme)  # type: ignore[arg-type]
    assert spans_of(written) == spans
    for before, tag in pairwise(["O", *written, "O"]):
        assert may_follow(before, tag, scheme)  # type: ignore[arg-type]


def test_rules_of_a_scheme() -> None:
    start, pairs, end = rules_of(["O", "B-A", "I-A"], "IOB2")
    assert start.tolist() == [True, True, False]
    assert pairs.tolist() == [[True, True, False], [True, True, True], [True, True, True]]
    assert end.all()
    start, pairs, end = rules_of(["O", "B-A", "I-A", "E-A", "S-A"], "BIOES")
    assert start.tolist() == end[[0, 3, 2, 1, 4]].tolist() == [True, True, False, False, True]
    assert pairs[1].tolist() == pairs[2].tolist() == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("tagged", "scheme"),
    [
        (("O B-A I-A", "B-A"), "IOB2"),
        (("O I-A I-A B-A O",), "IOB1"),
        (("O B-A E-A S-B",), "BIOES"),
        (("NN VB .", "O"), "plain"),
        (("NN B-NP",), "plain"),
        (("O O",), "plain"),
        (("I-A",), "IOB1"),
    ],
)
def test_the_scheme_is_told_by_the_tags(tagged: tuple[str, ...], scheme: str) -> None:
    assert scheme_of(sentences(*tagged), "f") == scheme


@pytest.mark.parametrize(
    ("tagged", "what"),
    [
        (("O B-A", "O PER"), r"f:5: the tag 'PER' is neither O nor B-"),
        (("S-A B-A O",), r"f:3: tags of BIOES that do not fit: O after B-A; close every B-"),
        (("S-A O", "B-A I-A"), r"f:5: .*: I-A at the end of a sentence"),
        (("S-A I-A E-A",), r"f:2: .*: I-A after S-A"),
    ],
)
def test_tags_that_do_not_fit_are_told_with_their_line(tagged: tuple[str, ...], what: str) -> None:
    with pytest.raises(DataError, match=what):
        scheme_of(sentences(*tagged), "f")


def test_of_two_schemes_the_one_that_most_spans_are_in() -> None:
    """CoNLL-2003's own training set has one B- where IOB1 has none."""
    some = sentences("I-A O I-A", "O B-A I-A B-A", "I-A B-B")
    assert scheme_of(some, "f") == "IOB1"
    assert odd_tags(some, "IOB1") == [("B-A", 6), ("B-B", 11)]
    some = sentences("B-A I-A O I-A", "B-A B-A")
    assert scheme_of(some, "f") == "IOB2"
    assert odd_tags(some, "IOB2") == [("I-A", 4)]


def test_the_scheme_of_a_foreign_model() -> None:
    assert scheme_by_names(["O", "B-A", "I-A"]) == "IOB2"
    assert scheme_by_names(["O", "B-A", "I-A", "E-A", "S-A"]) == "BIOES"
    assert scheme_by_names(["NOUN", "VERB"]) == "plain"
