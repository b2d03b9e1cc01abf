"""FULL-SENTENCES: every token once, in order, a separator wherever a document ends inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertsmith.data import full_sentences
from bertsmith.data.full_sentences import FullSentences, plan_full_sentences
from bertsmith.types import NO_PAIR, IntArray

from .memory import VOCABULARY, Memory, corpora

CLS, SEP = VOCABULARY.cls_id, VOCABULARY.sep_id


def read(plan: FullSentences, corpus: Memory) -> list[list[int]]:
    return [plan.read(corpus, VOCABULARY, i).input_ids.tolist() for i in range(len(plan))]


def test_segments_go_on_into_the_next_document() -> None:
    corpus = Memory([[3, 2], [4], [2, 9], [2]])
    plan = plan_full_sentences(corpus, corpus.ranges, 12)
    assert read(plan, corpus) == [
        [CLS, 0, 1, 2, 3, 4, SEP, 5, 6, 7, 8, SEP],  # full: 9 and 10 go into the next
        [CLS, 9, 10, SEP],  # the long sentence does not fit
        [CLS, *range(11, 20), SEP],
        [CLS, 20, 21, SEP],
    ]
    plan = plan_full_sentences(corpus, corpus.ranges, 14)
    assert read(plan, corpus)[1] == [CLS, *range(9, 20), SEP]
    plan = plan_full_sentences(corpus, corpus.ranges, 12)
    assert plan.begins.tolist() == [0, 9, 11, 20]
    segment = plan.read(corpus, VOCABULARY, 0)
    assert np.flatnonzero(segment.is_special).tolist() == [0, 6, 11]
    assert segment.word_starts[[0, 1, 6, 7, 11]].all()
    assert not segment.token_type_ids.any()
    assert segment.pair_label == NO_PAIR


@settings(max_examples=100, deadline=None)
@given(corpora, st.integers(8, 64), st.sampled_from([50, 1 << 16]), st.data())
def test_the_stream_is_covered_in_order(
    corpus: Memory, max_length: int, stride: int, data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=8, max_size=8).filter(any))
    ranges = corpus.ranges[np.array(kept)[: len(corpus.ranges)]]
    if not len(ranges):
        ranges = corpus.ranges
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(full_sentences, "LONGEST_STRIDE", stride)
        plan = plan_full_sentences(corpus, ranges, max_length)
    segments = read(plan, corpus)
    assert plan.lengths.tolist() == [len(ids) for ids in segments]
    assert max(plan.lengths, default=0) <= max_length
    stream = np.concatenate([np.arange(low, high) for low, high in ranges])
    covered = [index for ids in segments for index in ids if index < CLS]
    assert covered == sorted(set(covered))
    assert set(covered) <= set(stream.tolist())
    strides = 2 + int((ranges[:, 1] - ranges[:, 0] + 1).sum()) // stride
    assert len(stream) - len(covered) <= strides  # one token may be left of each
    for ids in segments:
        assert ids[0] == CLS
        assert ids[-1] == SEP
        text = ids[1:-1]
        ends = {document_of(ranges, index) for index in text if index != SEP}
        separators = [at for at, index in enumerate(text) if index == SEP]
        assert len(separators) == len(ends) - 1
        for at in separators:
            before, after = text[at - 1], text[at + 1]
            assert document_of(ranges, after) == document_of(ranges, before) + 1
            assert before + 1 in ranges[:, 1]


def document_of(ranges: IntArray, token: int) -> int:
    return int(np.searchsorted(ranges[:, 0], token, side="right")) - 1


@settings(max_examples=50, deadline=None)
@given(corpora, st.integers(62, 100))
def test_sentences_that_fit_are_whole_and_segments_full(corpus: Memory, max_length: int) -> None:
    """No sentence has more than 60 tokens; what follows a segment would not have fitted."""
    plan = plan_full_sentences(corpus, corpus.ranges, max_length)
    segments = read(plan, corpus)
    starts = set(corpus.sentence_offsets.tolist())
    for ids, following in zip(segments, [*segments[1:], None], strict=True):
        whole = ids[1] in starts and ids[-2] + 1 in starts
        assert whole or len(ids) == max_length  # a sentence of one token alone is passed over
        if following is not None and whole and following[1] in starts:
            next_end = min(end for end in starts if end > following[1])
            crosses = ids[-2] + 1 in corpus.document_offsets
            assert len(ids) + crosses + next_end - following[1] > max_length


def test_long_streams_are_planned_in_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    corpus = Memory([generator.integers(2, 30, 20).tolist() for _ in range(30)])
    whole = plan_full_sentences(corpus, corpus.ranges, 64)
    monkeypatch.setattr(full_sentences, "LONGEST_STRIDE", 1000)
    strides = plan_full_sentences(corpus, corpus.ranges, 64)
    assert len(whole) < len(strides) < len(whole) + 12
    assert strides.lengths.mean() == pytest.approx(whole.lengths.mean(), rel=0.1)
    assert (strides.begin[1:] >= strides.end[:-1]).all()
