"""The quota against a twin that sorts, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from comptool.errors import UsageError
from comptool.postprocess.calibration.quota import (
    class_indices,
    in_turn,
    largest,
    most_frequent,
    quota_size,
)

# Few distinct values, so that ties are the rule.
TIED = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)


@st.composite
def cases(draw):
    shape = draw(SHAPES)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    probabilities = draw(hnp.arrays(dtype, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
    head = draw(st.permutations(range(shape[1])))[: draw(st.integers(0, shape[1]))]
    return probabilities, head, draw(st.sampled_from([0, 0.05, 0.1, 0.25, 1 / 3, 0.5, 1]))


def by_sorting(probabilities, head, fraction):
    """The definition word by word: sort, take, and argmax by looping."""
    rows, classes = probabilities.shape
    size = int(fraction * rows + 1e-9)
    label = {}
    for c in head:
        order = sorted(
            (row for row in range(rows) if row not in label),
            key=lambda row: (-probabilities[row, c], row),
        )
        label |= dict.fromkeys(order[:size], c)
    tail = [c for c in range(classes) if c not in head] or list(range(classes))
    for row in range(rows):
        label.setdefault(row, max(tail, key=lambda c: (probabilities[row, c], -c)))
    return [label[row] for row in range(rows)]


@given(cases())
def test_quota_is_what_sorting_gives_ties_included(case):
    assert in_turn(*case).tolist() == by_sorting(*case)


@given(cases())
def test_a_head_class_takes_its_quota_and_no_tail_row_goes_to_head(case):
    probabilities, head, fraction = case
    labels, left = in_turn(*case), len(probabilities)
    if len(head) == probabilities.shape[1]:
        return
    for c in head:
        expected = min(quota_size(len(probabilities), fraction), left)
        assert (labels == c).sum() == expected
        left -= expected


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_permuting_rows_permutes_labels_where_nothing_ties(rows, classes, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.permutation(rows * classes).reshape(rows, classes) / (rows * classes)
    order = rng.permutation(rows)
    np.testing.assert_array_equal(
        in_turn(probabilities[order], [0, 1], 0.2), in_turn(probabilities, [0, 1], 0.2)[order]
    )


def test_without_head_classes_it_is_argmax():
    probabilities = np.random.default_rng(0).random((50, 4))
    np.testing.assert_array_equal(in_turn(probabilities, [], 0.5), probabilities.argmax(axis=1))


def test_with_a_quota_of_nothing_head_classes_are_never_answered():
    assert in_turn(np.array([[0.9, 0.06, 0.04]]), [0], 0.0).tolist() == [1]


def test_the_order_of_the_head_decides_who_takes_a_contested_row():
    probabilities = np.array([[0.45, 0.45, 0.1], [0.3, 0.1, 0.6]])
    assert in_turn(probabilities, [0, 1], 0.5).tolist() == [0, 1]
    assert in_turn(probabilities, [1, 0], 0.5).tolist() == [1, 0]


def test_when_every_class_is_head_the_rows_left_over_take_their_most_probable_class():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3], [0.6, 0.4]])
    # k = 1: row 0 is surest of class 0, row 2 of class 1; the other three prefer class 0.
    assert in_turn(probabilities, [0, 1], 0.2).tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("rows", "fraction", "size"),
    [(826, 0.1, 82), (100, 0.29, 29), (100, 0.07, 7), (10, 0.3, 3), (9, 0.1, 0), (5, 1.0, 5)],
)
def test_the_size_of_a_quota_is_safe_against_rounding(rows, fraction, size):
    assert quota_size(rows, fraction) == size


@given(hnp.arrays(np.float64, st.integers(0, 30), elements=TIED), st.integers(-1, 35))
def test_largest_takes_what_a_stable_sort_takes_first(values, size):
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert np.flatnonzero(largest(values, size)).tolist() == sorted(order[: max(size, 0)])


@pytest.mark.parametrize("wrong", [[[2.0, -1.0]], [[np.nan, 1.0]], [[np.inf, 0.0]]])
def test_logits_are_refused(wrong):
    with pytest.raises(ValueError, match="logits"):
        in_turn(np.array(wrong), [0], 0.1)


@pytest.mark.parametrize(("head", "fraction"), [([0, 0], 0.1), ([2], 0.1), ([-1], 0.1), ([0], 1.1)])
def test_a_wrong_head_or_fraction_is_refused(head, fraction):
    with pytest.raises(ValueError, match="must"):
        in_turn(np.array([[0.5, 0.5]]), head, fraction)


def test_a_table_of_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(N, K\)"):
        in_turn(np.array([0.5, 0.5]), [0], 0.1)


MAVOC = np.array([234209, 28089, 15301, 10655, 1741, 852, 828, 624, 840, 633])


def test_head_classes_are_the_most_frequent_in_class_order():
    assert most_frequent(MAVOC, 4) == [0, 1, 2, 3]
    assert most_frequent(MAVOC[::-1], 4) == [6, 7, 8, 9]
    assert most_frequent(MAVOC, 6) == [0, 1, 2, 3, 4, 5]


def test_of_equally_frequent_classes_the_first_in_class_order_is_head():
    assert most_frequent(np.array([5, 9, 7, 7, 7]), 3) == [1, 2, 3]


def test_more_head_classes_than_classes_are_refused():
    with pytest.raises(UsageError, match="--top-k-head 3 is more than the number of classes, 2"):
        most_frequent(np.array([1, 2]), 3)


def test_class_indices_keep_the_order_given():
    assert class_indices(["bus", "sedan"], ["sedan", "van", "bus"]) == [2, 0]


def test_an_unknown_head_class_names_the_nearest():
    with pytest.raises(UsageError, match=r"no class is called 'sedam'; did you mean 'sedan'"):
        class_indices(["sedam"], ["sedan", "van"])
