"""Pooling of the images of a bag: laws that hold for any predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from comptool import tasks
from comptool.errors import UsageError
from comptool.tasks.pooling import MAX, MEAN, NOISY_OR, POOLS, pooled

SHARES = st.floats(0, 1, width=32)


@st.composite
def of_images(draw) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, K) of images, and their bags (N,), each of one image or more."""
    bags = draw(st.lists(st.integers(0, 3), min_size=1, max_size=9))
    numbered = np.unique(bags, return_inverse=True)[1].ravel()
    shape = (len(bags), draw(st.integers(1, 3)))
    return draw(arrays.arrays(np.float64, shape, elements=SHARES)), numbered


def as_classes(values: np.ndarray, num_classes: int) -> np.ndarray:
    """Rows that sum to one, from numbers from 0 to 1."""
    shares = np.resize(values, (len(values), num_classes)) + 0.01
    return shares / shares.sum(axis=1, keepdims=True)


@given(of_images(), st.sampled_from(POOLS))
def test_the_order_of_the_images_does_not_matter(found, how):
    values, bags = found
    order = np.random.default_rng(0).permutation(len(bags))
    np.testing.assert_allclose(
        pooled(values[order], bags[order], how), pooled(values, bags, how), atol=1e-12
    )


@given(of_images(), st.sampled_from(POOLS))
def test_one_image_per_bag_changes_nothing(found, how):
    values, bags = found
    order = np.random.default_rng(1).permutation(len(bags))
    np.testing.assert_allclose(pooled(values, order, how)[order], values, atol=1e-12)


@given(of_images())
def test_noisy_or_is_not_below_max_nor_max_below_mean(found):
    values, bags = found
    mean, largest, either = (pooled(values, bags, how) for how in (MEAN, MAX, NOISY_OR))
    assert (largest >= mean - 1e-12).all()
    assert (either >= largest - 1e-12).all()
    assert (either <= 1).all()


def test_pools_of_three_images_by_hand():
    values = np.array([[0.5], [0.2], [0.5], [0.9]])
    bags = np.array([1, 0, 1, 1])
    assert pooled(values, bags, MEAN).ravel() == pytest.approx([0.2, 1.9 / 3])
    assert pooled(values, bags, MAX).ravel().tolist() == [0.2, 0.9]
    assert pooled(values, bags, NOISY_OR).ravel() == pytest.approx([0.2, 1 - 0.5 * 0.5 * 0.1])


def test_small_probabilities_are_not_rounded_away():
    assert pooled(np.full((4, 1), 1e-20), np.zeros(4, int), NOISY_OR)[0, 0] == pytest.approx(4e-20)


@given(of_images(), st.sampled_from(POOLS), st.integers(2, 5))
@pytest.mark.parametrize("name", ["multiclass", "ordinal"])
def test_classes_and_grades_still_sum_to_one_and_single_images_keep_theirs(name, found, how, count):
    values, bags = found
    task, shares = tasks.find(name), as_classes(values, count)
    answer = task.pool(shares, bags, how)
    assert (answer >= 0).all()
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-9)
    alone = task.pool(shares, np.arange(len(bags)), how)
    np.testing.assert_allclose(alone, shares, atol=1e-9)


@given(of_images())
def test_the_second_of_two_classes_needs_one_image_alone(found):
    values, bags = found
    task, shares = tasks.find("multiclass"), as_classes(values, 2)
    positive = [task.pool(shares, bags, how)[:, 1] for how in (MEAN, MAX, NOISY_OR)]
    largest = [shares[bags == bag, 1].max() for bag in range(bags.max() + 1)]
    np.testing.assert_allclose(positive[1], largest, atol=1e-9)
    assert (positive[1] >= positive[0] - 1e-9).all()
    assert (positive[2] >= positive[1] - 1e-9).all()


def test_the_highest_image_decides_the_grade_of_a_bag_by_max():
    shares = np.array([[0.9, 0.1, 0.0], [0.2, 0.1, 0.7]])
    answer = tasks.find("ordinal").pool(shares, np.zeros(2, int), MAX)
    assert answer[0] == pytest.approx([0.2, 0.1, 0.7])


def test_numbers_have_a_mean_and_a_largest_but_no_noisy_or():
    task, values = tasks.find("regression"), np.array([[3.0], [-5.0]])
    assert task.pool(values, np.zeros(2, int), MEAN).tolist() == [[-1.0]]
    assert task.pool(values, np.zeros(2, int), MAX).tolist() == [[3.0]]
    with pytest.raises(UsageError, match="--pool noisy-or is for probabilities, and the task is"):
        task.pool(values, np.zeros(2, int), NOISY_OR)


def test_an_unknown_pool_is_named():
    with pytest.raises(UsageError, match="mean"):
        pooled(np.zeros((1, 1)), np.zeros(1, int), "meann")
