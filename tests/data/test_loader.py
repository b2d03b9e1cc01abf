"""Batches: the budget kept, nothing lost, any cursor rejoins the same stream."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertsmith.data import rng
from bertsmith.data.examples import ListSource
from bertsmith.data.loader import Cursor, Loader, Phases, sequential_batches
from bertsmith.data.pack import batch_bounds, collate, share_out
from bertsmith.errors import CheckpointError
from bertsmith.types import Example, IntArray


def example(length: int, value: int = 1, label: float | None = None) -> Example:
    return Example(np.full(length, value), np.zeros(length, np.int64), label=label)


lengths_lists = st.lists(st.integers(1, 50), min_size=1, max_size=60)


@settings(deadline=None)
@given(lengths_lists, st.integers(50, 200), st.one_of(st.none(), st.integers(1, 5)))
def test_bounds_keep_the_budget(
    lengths: list[int], batch_tokens: int, batch_sequences: int | None
) -> None:
    bounds = batch_bounds(np.array(lengths), batch_tokens, batch_sequences)
    assert bounds[0] == 0
    assert bounds[-1] == len(lengths)
    for begin, end in pairwise(bounds):
        assert end > begin
        assert sum(lengths[begin:end]) <= batch_tokens
        assert batch_sequences is None or end - begin <= batch_sequences
        full = end - begin == batch_sequences
        if end < len(lengths) and not full:
            assert sum(lengths[begin : end + 1]) > batch_tokens


def test_a_sequence_over_the_budget_goes_alone() -> None:
    assert batch_bounds(np.array([5, 100, 5]), 10).tolist() == [0, 1, 2, 3]


def test_collate_lays_sequences_end_to_end() -> None:
    first = Example(np.array([2, 7, 3]), np.array([0, 0, 0]), np.array([1]), np.array([9]), label=0)
    second = Example(
        np.array([2, 8, 8, 3]), np.array([0, 0, 1, 1]), np.array([2]), np.array([6]), label=1
    )
    batch = collate([first, second], [10, 11])
    assert batch.lengths == (4, 3)
    assert batch.indices == (11, 10)
    assert batch.input_ids.tolist() == [2, 8, 8, 3, 2, 7, 3]
    assert batch.token_type_ids.tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert batch.position_ids.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert batch.cu_seqlens.tolist() == [0, 4, 7]
    assert batch.targets["mlm_positions"].tolist() == [2, 5]
    assert batch.targets["mlm_labels"].tolist() == [6, 9]
    assert batch.targets["labels"].tolist() == [1, 0]


@settings(deadline=None, max_examples=30)
@given(lengths_lists, st.integers(0, 5), st.integers(0, 2))
def test_an_epoch_holds_every_example_once(lengths: list[int], seed: int, epoch: int) -> None:
    loader = Loader(ListSource([example(n) for n in lengths]), 100, seed)
    seen = [
        index
        for batch in range(loader.num_batches(epoch))
        for index in loader.batch(Cursor(epoch, batch)).indices
    ]
    assert sorted(seen) == list(range(len(lengths)))


def test_any_cursor_rejoins_the_stream() -> None:
    loader = Loader(ListSource([example(n % 20 + 1) for n in range(100)]), 64, seed=3)
    whole = list(islice(loader.stream(), 60))
    assert whole[-1][0].epoch >= 2
    for at in (0, 1, 17, 40):
        again = list(islice(loader.stream(whole[at][0]), 60 - at - 1))
        assert [b.indices for _, [b] in again] == [b.indices for _, [b] in whole[at + 1 :]]
        assert [c for c, _ in again] == [c for c, _ in whole[at + 1 :]]


@settings(deadline=None)
@given(lengths_lists, st.integers(1, 8))
def test_shares_are_whole_apart_and_even(lengths: list[int], world_size: int) -> None:
    array = np.array(lengths)
    shares = [share_out(array, rank, world_size) for rank in range(world_size)]
    assert sorted(np.concatenate(shares)) == list(range(len(lengths)))
    tokens = [int(array[share].sum()) for share in shares]
    assert max(tokens) - min(tokens) <= max(lengths)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@settings(deadline=None, max_examples=30)
@given(lengths_lists, st.integers(0, 5), st.integers(0, 2), st.sampled_from([2, 4]))
def test_ranks_see_together_what_one_sees_alone(
    lengths: list[int], seed: int, epoch: int, world_size: int
) -> None:
    """Batch by batch, the same sequences, whatever the number of ranks."""
    source = ListSource([example(n, value=i) for i, n in enumerate(lengths)])
    alone = Loader(source, 100, seed)
    ranks = [Loader(source, 100, seed, rank=r, world_size=world_size) for r in range(world_size)]
    for loader in ranks:
        assert loader.num_batches(epoch) == alone.num_batches(epoch)
    for number in range(alone.num_batches(epoch)):
        cursor = Cursor(epoch, number)
        whole, shares = alone.batch(cursor), [loader.batch(cursor) for loader in ranks]
        real = [share for share in shares if share.weight]
        assert sorted(i for share in real for i in share.indices) == sorted(whole.indices)
        assert sum(share.num_tokens for share in real) == whole.num_tokens
        assert alone.num_tokens(cursor) == ranks[-1].num_tokens(cursor) == whole.num_tokens
        for stand_in in (share for share in shares if not share.weight):
            assert stand_in.lengths == (min(lengths[index] for index in whole.indices),)
        for share in shares:
            values = [lengths[index] for index in share.indices]
            assert share.lengths == tuple(values)
            assert share.input_ids.tolist() == np.repeat(share.indices, values).tolist()
        assert len({loader.following(cursor) for loader in (alone, *ranks)}) == 1


def test_no_examples_make_an_empty_batch() -> None:
    batch = collate([], [])
    assert (batch.num_tokens, batch.num_sequences, batch.targets) == (0, 0, {})
    assert batch.cu_seqlens.tolist() == [0]


def test_a_cursor_beyond_the_epoch_is_refused() -> None:
    loader = Loader(ListSource([example(5) for _ in range(50)]), 100, seed=0)
    with pytest.raises(CheckpointError, match="no batch 3 in epoch 7, which has 3"):
        loader.stream(Cursor(7, 3))
    with pytest.raises(CheckpointError, match="no phase 2"):
        Phases([0.5, 1.0], lambda phase: loader).stream(Cursor(phase=2))


def test_epochs_differ_in_order() -> None:
    loader = Loader(ListSource([example(5) for _ in range(50)]), 1000, seed=0)
    first, second = (loader.batch(Cursor(epoch, 0)).indices for epoch in (0, 1))
    assert first != second


def test_an_error_in_the_thread_reaches_the_caller() -> None:
    class Broken(ListSource):
        def example(self, epoch: int, index: int, progress: float = 0.0) -> Example:
            raise ValueError("this one")

    with pytest.raises(ValueError, match="this one"):
        next(Loader(Broken([example(3)]), 10, 0).stream())


def test_progress_is_a_function_of_the_cursor() -> None:
    """Examples see the share of the run that is over: from 0 on, even, at most 1."""

    class Told(ListSource):
        def example(self, epoch: int, index: int, progress: float = 0.0) -> Example:
            return example(5, label=progress)

    source = Told([example(5) for _ in range(40)])
    loader = Loader(source, 50, seed=0, epochs=2.5)  # of 4 batches each
    walked = [batch.targets["labels"].tolist() for _, [batch] in islice(loader.stream(), 12)]
    assert walked == [pytest.approx([min(1.0, step / 10)] * 10) for step in range(12)]
    assert loader.batch(Cursor(1, 3)).targets["labels"].tolist() == walked[7]
    endless = Loader(source, 50, seed=0).batch(Cursor(3, 1))
    assert endless.targets["labels"].unique().tolist() == [0.0]


def test_phases_follow_one_another_and_any_cursor_rejoins_them() -> None:
    """Of 10 batches an epoch, for 60, 25 and 15 % of a run of 20 batches."""
    sizes = (5, 10, 5)
    begins, ends = (0.0, 0.6, 0.85), (0.6, 0.85, 1.0)
    made: list[int] = []

    def loader(phase: int) -> Loader:
        made.append(phase)
        source = ListSource([example(sizes[phase]) for _ in range(40 // (sizes[phase] // 5))])
        return Loader(source, 20, phase, epochs=20 / 10, begin=begins[phase])

    phases = Phases(ends, loader)
    whole = list(islice(phases.stream(), 26))
    cursors = [Cursor(), *(cursor for cursor, _ in whole)]
    assert made == [0, 1, 2]
    assert [cursor.phase for cursor in cursors] == [0] * 12 + [1] * 5 + [2] * 10
    assert [batch.lengths[0] for _, [batch] in whole] == [5] * 12 + [10] * 5 + [5] * 9
    assert (cursors[12], cursors[17]) == (Cursor(phase=1), Cursor(phase=2))
    assert [phases.progress(c) for c in cursors] == pytest.approx(
        [min(1.0, step / 20) for step in range(27)]
    )
    for at in (0, 10, 11, 12, 16, 17, 20):
        again = list(islice(Phases(ends, loader).stream(cursors[at]), 26 - at))
        assert [c for c, _ in again] == cursors[at + 1 :]
        assert [b.indices for _, [b] in again] == [b.indices for _, [b] in whole[at:]]


def test_sequential_batches_take_all_in_order_of_length() -> None:
    lengths = [3, 9, 1, 9, 4]
    batches = list(sequential_batches(ListSource([example(n) for n in lengths]), 12))
    assert sorted(i for batch in batches for i in batch.indices) == [0, 1, 2, 3, 4]
    taken = [length for batch in batches for length in batch.lengths]
    assert taken == sorted(lengths, reverse=True)


def test_uniform_is_uniform_and_pure() -> None:
    counters: IntArray = np.arange(100_000)
    draws = rng.uniform(rng.key("test", 1), counters)
    assert np.array_equal(draws, rng.uniform(rng.key("test", 1), counters))
    assert np.array_equal(draws[500:], rng.uniform(rng.key("test", 1), counters[500:]))
    histogram, _ = np.histogram(draws, bins=20, range=(0, 1))
    assert (abs(histogram - 5000) < 5 * 5000**0.5).all()
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.02
    assert rng.key("a", "b") != rng.key("ab")
