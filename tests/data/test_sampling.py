"""The order of an epoch: complete, balanced where asked for, and known from seed and epoch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.data.sampler import ORDERS, EpochBatches, epoch_rows, in_order
from comptool.errors import UsageError

LONG_TAIL = np.repeat([0, 1, 2, 3], [50, 20, 5, 1])


def steps(labels, batch_size, epoch=0, first_step=0, **options):
    batches = EpochBatches(np.asarray(labels), batch_size, **options)
    batches.set_epoch(epoch, first_step)
    return list(batches)


def rows(batches):
    return [draw.row for batch in batches for draw in batch]


@given(n=st.integers(1, 200), batch_size=st.integers(1, 50), seed=st.integers(0, 2**31))
def test_shuffling_takes_every_row_once_but_for_a_single_last_one(n, batch_size, seed):
    taken = rows(steps(np.zeros(n, int), batch_size, seed=seed))
    assert len(set(taken)) == len(taken)
    left_out = n % batch_size == 1 and n > 1 and batch_size > 1
    assert len(taken) == n - left_out
    assert set(taken) <= set(range(n))


@given(n=st.integers(2, 300), batch_size=st.integers(2, 50))
def test_no_batch_has_a_single_row_unless_it_is_the_only_one(n, batch_size):
    sizes = [len(batch) for batch in steps(np.zeros(n, int), batch_size)]
    assert min(sizes) >= 2
    assert set(sizes[:-1]) <= {batch_size}


def test_a_batch_may_be_larger_than_the_data_and_one_row_is_a_batch():
    assert sorted(rows(steps([0, 0, 0], 64))) == [0, 1, 2]
    assert rows(steps([0], 8)) == [0]
    assert [len(batch) for batch in steps([0, 0, 0], 1)] == [1, 1, 1]


def test_oversampling_brings_every_class_to_the_largest():
    drawn = epoch_rows(LONG_TAIL, "over", np.random.default_rng(0))
    assert Counter(LONG_TAIL[drawn].tolist()) == {0: 50, 1: 50, 2: 50, 3: 50}
    times = Counter(drawn.tolist())
    assert all(times[row] == 1 for row in range(50))
    assert all(times[row] in (2, 3) for row in range(50, 70))
    assert all(times[row] == 10 for row in range(70, 75))
    assert times[75] == 50


@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_class_aware_takes_one_of_each_class_in_turn(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    drawn = epoch_rows(labels, "class-aware", np.random.default_rng(seed))
    assert len(drawn) == len(labels)
    for start in range(0, len(drawn) - len(counts) + 1, len(counts)):
        assert sorted(labels[drawn[start : start + len(counts)]]) == list(range(len(counts)))
    for number, count in enumerate(counts):
        mine = drawn[labels[drawn] == number]
        for start in range(0, len(mine), count):  # its rows in turn: none again before all were
            assert len(set(mine[start : start + count])) == len(mine[start : start + count])


@pytest.mark.parametrize("order", ORDERS)
def test_an_epoch_follows_from_seed_and_epoch_alone(order):
    first = steps(LONG_TAIL, 8, epoch=3, order=order, seed=5)
    assert first == steps(LONG_TAIL, 8, epoch=3, order=order, seed=5)
    assert first != steps(LONG_TAIL, 8, epoch=4, order=order, seed=5)
    assert first != steps(LONG_TAIL, 8, epoch=3, order=order, seed=6)


@pytest.mark.parametrize("order", ORDERS)
def test_an_epoch_can_be_entered_at_any_step(order):
    whole = steps(LONG_TAIL, 8, epoch=2, order=order)
    for first_step in range(len(whole) + 1):
        assert (
            steps(LONG_TAIL, 8, epoch=2, first_step=first_step, order=order) == whole[first_step:]
        )


def test_the_length_counts_the_steps_that_are_left():
    batches = EpochBatches(LONG_TAIL, 8)
    assert (batches.num_steps, len(batches)) == (10, 10)
    batches.set_epoch(1, 4)
    assert (batches.num_steps, len(batches), len(list(batches))) == (10, 6, 6)
    batches.set_epoch(2)
    assert len(batches) == 10


def test_no_two_draws_of_an_epoch_have_one_seed():
    drawn = [draw for batch in steps(LONG_TAIL, 8, order="over") for draw in batch]
    assert len({draw.seed for draw in drawn}) == len(drawn)
    assert len({draw.row for draw in drawn}) < len(drawn)


@given(
    n=st.integers(1, 120),
    batch_size=st.integers(1, 16),
    world_size=st.integers(1, 5),
    order=st.sampled_from(ORDERS),
)
def test_processes_share_an_epoch_in_equal_parts(n, batch_size, world_size, order):
    labels = np.arange(n) % 3
    shares = [
        steps(labels, batch_size, order=order, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert len({len(share) for share in shares}) == 1
    for at_once in zip(*shares, strict=True):
        assert len({len(batch) for batch in at_once}) == 1
    if order == "shuffle":
        taken = Counter(row for share in shares for row in rows(share))
        repeated = sum(taken.values()) - len(taken)
        left_out = n - len(taken)
        assert repeated < world_size
        assert left_out <= world_size


def test_two_processes_take_the_batches_that_one_of_twice_the_size_takes():
    one = steps(LONG_TAIL[:72], 16, seed=1)
    two = [steps(LONG_TAIL[:72], 8, seed=1, rank=rank, world_size=2) for rank in (0, 1)]
    assert [batch for pair in zip(*two, strict=True) for batch in [pair[0] + pair[1]]] == one


@pytest.mark.parametrize("world_size", [1, 2])
def test_partners_are_as_many_rows_drawn_class_aware(world_size):
    for rank in range(world_size):
        place = {"rank": rank, "world_size": world_size, "seed": 3}
        own = steps(LONG_TAIL, 8, epoch=1, **place)
        both = steps(LONG_TAIL, 8, epoch=1, partners=True, **place)
        assert [batch[: len(batch) // 2] for batch in both] == own
        whole = [batch[8:] for batch in both if len(batch) == 16]
        classes = [Counter(LONG_TAIL[row] for row in rows([batch])) for batch in whole]
        assert len(whole) >= 4
        assert all(count == dict.fromkeys(range(4), 2) for count in classes)
        seeds = [draw.seed for batch in both for draw in batch]
        assert len(set(seeds)) == len(seeds)
        assert steps(LONG_TAIL, 8, epoch=1, first_step=2, partners=True, **place) == both[2:]


def test_evaluation_takes_each_row_once_and_in_order():
    assert in_order(5, 2) == [[0, 1], [2, 3], [4]]
    shares = [in_order(7, 2, rank=rank, world_size=2) for rank in (0, 1)]
    assert shares == [[[0, 2], [4, 6]], [[1, 3], [5]]]
    assert in_order(0, 4) == []


def test_an_unknown_order_is_named():
    with pytest.raises(UsageError, match="no sampling order is called 'oversample'"):
        EpochBatches(LONG_TAIL, 8, order="oversample")


CELLS = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [-1, 0, 0, 0], [1, -1, 1, 0], [0, 0, 1, 0]] * 4)


def test_class_aware_takes_a_row_of_each_class_that_has_one():
    drawn = epoch_rows(CELLS, "class-aware", np.random.default_rng(3))
    assert len(drawn) == len(CELLS)
    assert not set(drawn) & set(np.flatnonzero((CELLS != 1).all(axis=1)))  # of no class
    for start in range(0, len(drawn) - 2, 3):
        turn = CELLS[drawn[start : start + 3]] == 1
        assert any(
            all(turn[row, kind] for row, kind in zip(order, range(3), strict=True))
            for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
        )


def test_shuffling_cells_takes_every_row_once():
    batches = EpochBatches(CELLS, 6)
    assert sorted(rows(list(batches))) == list(range(20))
