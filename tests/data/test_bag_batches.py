"""Draws of bags: which images, in what order, and the same again after an interruption."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.data.sampler import BagBatches

SIZES = [5, 1, 3, 8, 2, 4, 4]
BAGS = np.repeat(np.arange(len(SIZES)), SIZES)
LABELS = np.array([0, 1, 0, 0, 1, 0, 0])


def batches(**changes) -> BagBatches:
    given = {"bags": BAGS, "bag_size": 3, "seed": 5} | changes
    return BagBatches(LABELS, given.pop("batch_size", 2), **given)


def drawn(made: BagBatches, epoch: int, first_step: int = 0) -> list[list[tuple[int, int]]]:
    made.set_epoch(epoch, first_step)
    return [[tuple(draw) for draw in batch] for batch in made]


@given(st.lists(st.integers(1, 6), min_size=2, max_size=9), st.integers(1, 5), st.integers(1, 4))
def test_an_epoch_has_each_bag_once_with_different_images_of_it(sizes, bag_size, batch_size):
    bags = np.repeat(np.arange(len(sizes)), sizes)
    made = BagBatches(np.zeros(len(sizes), int), batch_size, bags=bags, bag_size=bag_size)
    seen = []
    for rows, seeds in made.arrays():
        draws = made.draw_of(rows)
        assert len(set(seeds.tolist())) == len(seeds)
        for draw in range(draws[-1] + 1):
            own = rows[draws == draw]
            (bag,) = set(bags[own].tolist())
            assert len(set(own.tolist())) == len(own) == min(bag_size, sizes[bag])
            seen.append(bag)
    assert len(seen) == len(set(seen)) >= len(sizes) - 1  # a last batch of one is left out


def test_the_seed_and_the_epoch_decide_the_draws_and_nothing_else():
    assert drawn(batches(), 3) == drawn(batches(), 3)
    assert drawn(batches(), 3) != drawn(batches(), 4) != drawn(batches(seed=6), 4)


@pytest.mark.parametrize("order", ["shuffle", "over", "class-aware"])
def test_a_part_of_an_epoch_is_the_end_of_the_whole(order):
    whole = drawn(batches(order=order), 2)
    assert drawn(batches(order=order), 2, first_step=2) == whole[2:]


def test_images_of_a_bag_differ_between_epochs():
    made = batches(bag_size=2)
    pairs = set()
    for epoch in range(40):
        rows = [row for batch in drawn(made, epoch) for row, _ in batch]
        pairs.add(tuple(sorted(row for row in rows if BAGS[row] == 0)))
    assert len(pairs - {()}) == 10  # all pairs of five


def test_bags_are_drawn_by_their_class():
    made = batches(order="over", batch_size=2)
    labels = [LABELS[BAGS[rows[0]]] for rows in _bags(made)]
    assert made.num_draws == 10
    assert sorted(labels) == [0] * 5 + [1] * 5


def test_a_bag_that_is_drawn_twice_in_a_batch_is_two():
    made = batches(order="over", batch_size=10)
    made.set_epoch(0)
    ((rows, seeds),) = made.arrays()
    draws = made.draw_of(rows)
    assert draws[-1] == 9 and len(set(BAGS[rows].tolist())) < 10
    assert len(set(seeds.tolist())) == len(seeds)


def test_processes_share_the_bags_of_an_epoch():
    parts = [_bags(batches(rank=rank, world_size=2)) for rank in (0, 1)]
    bags = [sorted(BAGS[rows[0]] for rows in part) for part in parts]
    assert set(bags[0]) | set(bags[1]) == set(range(7))


def test_what_a_batch_holds():
    made = batches(bag_size=4, batch_size=2)
    assert (made.images_per_step, made.least_per_draw) == (8, 1)
    assert made.images_per_draw == pytest.approx(np.minimum(SIZES, 4).mean())


def _bags(made: BagBatches) -> list[np.ndarray]:
    found = []
    for rows, _ in made.arrays():
        draws = made.draw_of(rows)
        found += [rows[draws == draw] for draw in range(draws[-1] + 1)]
    return found
