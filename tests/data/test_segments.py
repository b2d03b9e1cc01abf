"""Plans: every token once, pairs balanced, B from another document, pure in (seed, epoch)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertsmith.data import segments, walk
from bertsmith.data.segments import (
    MIN_TOKENS,
    Plan,
    plan_next_sentence,
    plan_sentence_order,
    plan_singles,
    split_documents,
)
from bertsmith.errors import CorpusError
from bertsmith.types import NO_PAIR, IntArray

from .memory import VOCABULARY, Memory, corpora


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(8, 64), st.sampled_from([0.0, 0.1, 1.0]), st.integers(0, 3))
def test_singles_cover_every_token_once(
    corpus: Memory, max_length: int, short_rate: float, epoch: int
) -> None:
    plan = plan_singles(corpus, corpus.ranges, max_length, short_rate, 7, epoch)
    covered = np.concatenate(
        [np.arange(b, e) for b, e in zip(plan.a_begin, plan.a_end, strict=True)] or [[]]
    )
    assert len(np.unique(covered)) == len(covered)
    # Only left-overs too short for a segment are dropped: at most one a document.
    missing = corpus.num_tokens - len(covered)
    assert missing <= (MIN_TOKENS - 1) * len(corpus.ranges)
    assert (plan.lengths <= max_length).all()
    assert (plan.pair_label == NO_PAIR).all()


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(8, 64), st.integers(0, 3))
def test_pairs_stay_in_their_documents(corpus: Memory, max_length: int, epoch: int) -> None:
    plan = plan_next_sentence(corpus, corpus.ranges, max_length, 0.1, 7, epoch)

    def document(offsets: IntArray) -> IntArray:
        return np.searchsorted(corpus.document_offsets, offsets, side="right") - 1

    is_random = plan.pair_label == 1
    home = document(plan.a_begin)
    assert (document(plan.a_end - 1) == home).all()
    assert (document(plan.b_begin) == document(plan.b_end - 1)).all()
    assert (document(plan.b_begin)[is_random] != home[is_random]).all()
    assert (plan.b_begin[~is_random] == plan.a_end[~is_random]).all()
    assert (plan.a_end > plan.a_begin).all()
    assert (plan.b_end > plan.b_begin).all()
    assert (plan.lengths <= max_length).all()


@settings(max_examples=30, deadline=None)
@given(corpora, st.integers(8, 64))
def test_pairs_lose_no_text(corpus: Memory, max_length: int) -> None:
    """What a random B pushes out begins the next segment."""
    plan = plan_next_sentence(corpus, corpus.ranges, max_length, 0.0, 1, 0)
    own = [np.arange(b, e) for b, e in zip(plan.a_begin, plan.a_end, strict=True)]
    follows = plan.pair_label == 0
    own += [
        np.arange(b, e) for b, e in zip(plan.b_begin[follows], plan.b_end[follows], strict=True)
    ]
    covered = np.concatenate(own or [np.zeros(0)])
    assert len(np.unique(covered)) == len(covered)
    assert corpus.num_tokens - len(covered) <= (MIN_TOKENS - 1) * len(corpus.ranges)


def big_corpus() -> Memory:
    generator = np.random.default_rng(0)
    return Memory([generator.integers(5, 30, 40).tolist() for _ in range(200)])


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(8, 64), st.sampled_from([0.0, 0.1, 1.0]), st.integers(0, 3))
def test_ordered_and_swapped_pairs_are_neighbours_and_lose_no_text(
    corpus: Memory, max_length: int, short_rate: float, epoch: int
) -> None:
    plan = plan_sentence_order(corpus, corpus.ranges, max_length, short_rate, 7, epoch)
    is_swapped = plan.pair_label == 1
    first_end = np.where(is_swapped, plan.b_end, plan.a_end)
    second_begin = np.where(is_swapped, plan.a_begin, plan.b_begin)
    assert (first_end == second_begin).all()
    begin = np.minimum(plan.a_begin, plan.b_begin)
    end = np.maximum(plan.a_end, plan.b_end)
    homes = [np.searchsorted(corpus.document_offsets, at, side="right") for at in (begin, end - 1)]
    assert (homes[0] == homes[1]).all()
    assert (plan.a_end > plan.a_begin).all()
    assert (plan.b_end > plan.b_begin).all()
    assert (plan.lengths <= max_length).all()
    covered = [np.arange(b, e) for b, e in zip(begin, end, strict=True)]
    tokens = np.concatenate(covered or [np.zeros(0)])
    assert len(np.unique(tokens)) == len(tokens)
    assert corpus.num_tokens - len(tokens) <= (MIN_TOKENS - 1) * len(corpus.ranges)


def test_sentence_order_needs_no_second_document() -> None:
    corpus = Memory([[10] * 100])
    plan = plan_sentence_order(corpus, corpus.ranges, 64, 0.0, 0, 0)
    assert set(plan.pair_label) == {0, 1}
    for offsets in (plan.a_begin, plan.a_end, plan.b_begin, plan.b_end):
        assert (offsets % 10 == 0).all()  # cut between sentences


@pytest.mark.parametrize("make_plan", [plan_next_sentence, plan_sentence_order])
def test_half_of_the_pairs_are_of_each_kind(make_plan: Callable[..., Plan]) -> None:
    plan = make_plan(big_corpus(), big_corpus().ranges, 128, 0.1, 0, 0)
    share = plan.pair_label.mean()
    assert abs(share - 0.5) < 4 * 0.5 / len(plan) ** 0.5


@pytest.mark.parametrize("make_plan", [plan_next_sentence, plan_sentence_order])
def test_a_plan_is_a_pure_function_of_seed_and_epoch(make_plan: Callable[..., Plan]) -> None:
    def starts(seed: int, epoch: int) -> Plan:
        return make_plan(big_corpus(), big_corpus().ranges, 64, 0.1, seed, epoch)

    one, same, other_epoch, other_seed = starts(1, 0), starts(1, 0), starts(1, 1), starts(2, 0)
    for name in ("a_begin", "a_end", "b_begin", "b_end", "pair_label"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.b_begin, other_epoch.b_begin)
    assert not np.array_equal(one.b_begin, other_seed.b_begin)


def test_a_pair_reads_as_bert_has_it() -> None:
    corpus = Memory([[6, 6], [5]])
    plan = Plan(*(np.array([value]) for value in (0, 6, 12, 17, 1)))
    segment = plan.read(corpus, VOCABULARY, 0)
    assert segment.input_ids.tolist() == [9997, 0, 1, 2, 3, 4, 5, 9998, 12, 13, 14, 15, 16, 9998]
    assert segment.token_type_ids.tolist() == [0] * 8 + [1] * 6
    assert np.flatnonzero(segment.is_special).tolist() == [0, 7, 13]
    assert segment.pair_label == 1
    assert plan.lengths.tolist() == [14]


def test_held_out_documents_are_whole_and_apart() -> None:
    corpus = big_corpus()
    train, heldout = split_documents(corpus, 0.05)
    both = np.concatenate([train, heldout])
    assert sorted(map(tuple, both.tolist())) == list(map(tuple, corpus.ranges.tolist()))
    assert 0 < len(heldout) < 30


def test_few_documents_give_their_last_sentences() -> None:
    corpus = Memory([[10] * 100, [10] * 100])
    train, heldout = split_documents(corpus, 0.05)
    assert train.tolist() == [[0, 950], [1000, 1950]]
    assert heldout.tolist() == [[950, 1000], [1950, 2000]]


def test_what_is_held_out_is_never_most_of_a_document() -> None:
    """A title and a text without full stops, whose last sentence is nearly all of it."""
    train, heldout = split_documents(Memory([[4, 996]] * 3), 0.01)
    assert train.tolist() == [[0, 990], [1000, 1990], [2000, 2990]]
    assert heldout.tolist() == [[990, 1000], [1990, 2000], [2990, 3000]]


def test_what_is_held_out_is_never_most_of_the_text() -> None:
    """Of many documents one may be nearly all there is, and drawn."""
    _, drawn = split_documents(Memory([[10, 10]] * 20), 0.01)
    sizes = [[10, 10]] * 20
    sizes[drawn[0, 0] // 20] = [10] * 1000
    train, heldout = split_documents(Memory(sizes), 0.01)
    assert len(heldout) == 20
    assert (heldout[:, 1] - heldout[:, 0]).sum() == 19 * 10 + 100
    assert (train[:, 1] - train[:, 0]).sum() == 19 * 10 + 9900


def test_short_documents_of_one_sentence_give_a_segment_each() -> None:
    train, heldout = split_documents(Memory([[150]] * 3), 0.01)
    assert len(plan_singles(Memory([[150]] * 3), heldout, 16, 0.0, 0, 0)) == 3
    assert (train[:, 1] - train[:, 0]).tolist() == [148] * 3


def test_a_held_out_part_of_a_sentence_can_be_the_other_of_a_pair() -> None:
    """No sentence begins in what is held out of a document of one sentence."""
    corpus = Memory([[40]] * 6)
    _, heldout = split_documents(corpus, 0.4)
    plan = plan_next_sentence(corpus, heldout, 16, 0.5, 0, 0)
    is_random = plan.pair_label == 1
    assert is_random.any()
    home, other = (
        np.searchsorted(corpus.document_offsets, begins, side="right") - 1
        for begins in (plan.a_begin, plan.b_begin)
    )
    assert (home != other)[is_random].all()
    assert (plan.b_end > plan.b_begin).all()
    assert (plan.b_begin >= heldout[other, 0]).all()
    assert (plan.b_end <= heldout[other, 1]).all()
    assert (plan.lengths <= 16).all()


def test_a_long_document_is_planned_in_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Memory([[7] * 400, [5] * 3])
    whole = plan_singles(corpus, corpus.ranges, 64, 0.0, 7, 0)
    monkeypatch.setattr(walk, "LONGEST_STRIDE", 500)
    plan = plan_singles(corpus, corpus.ranges, 64, 0.0, 7, 0)
    assert (plan.a_begin[1:] == plan.a_end[:-1]).all()
    assert (plan.a_begin % 7 == 0)[:-1].all()  # strides begin at sentences
    assert plan.a_end[-1] == whole.a_end[-1] == corpus.num_tokens


def test_some_documents_are_held_out_however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (20, 50, 150):
        corpus = Memory([[10, 10]] * count)
        train, heldout = split_documents(corpus, 0.01)
        assert len(heldout) == 2
        assert len(train) == count - 2


def test_nothing_to_hold_out_is_said() -> None:
    with pytest.raises(CorpusError, match="more text"):
        split_documents(Memory([[1]]), 0.01)


@pytest.mark.parametrize("place", [0, 1, 20, -1])
@pytest.mark.parametrize("name", ["sentence_offsets", "document_offsets"])
def test_damaged_offsets_are_refused(
    name: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a plan of absurd size is made from them, at the edges of blocks too."""
    monkeypatch.setattr(segments, "OFFSETS_AT_ONCE", 5)
    for value in (1 << 62, -1):
        corpus = Memory([[10] * 3] * 40)
        split_documents(corpus, 0.05)
        getattr(corpus, name)[place] = value
        with pytest.raises(CorpusError, match=f"{name} are damaged"):
            split_documents(corpus, 0.05)


def test_one_document_has_no_other_to_pair_with() -> None:
    corpus = Memory([[10] * 100])
    with pytest.raises(CorpusError, match="two documents"):
        plan_next_sentence(corpus, corpus.ranges, 64, 0.1, 0, 0)
