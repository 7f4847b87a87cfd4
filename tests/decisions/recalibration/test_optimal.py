"""The optimal assignment against the Hungarian method and by its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from comptool.errors import UsageError
from comptool.postprocess.calibration.context import CalibrationContext
from comptool.postprocess.calibration.methods import METHODS
from comptool.postprocess.calibration.transport import assign, whole_sizes

OF_FIVE = CalibrationContext(classes=tuple("01234"))


def table(rows, classes, seed, *, digits=None):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.5), rows) if classes > 1 else np.ones((rows, 1))
    return np.maximum(p if digits is None else np.round(p, digits), 1e-6)


def sizes_of(rows, classes, seed):
    shares = np.random.default_rng(seed + 1).dirichlet(np.ones(classes))
    return whole_sizes(shares, rows)


def best_total(scores, sizes):
    """Every class stands there once per place: scipy's assignment of rows to places."""
    places = np.repeat(scores, sizes, axis=1)
    rows, taken = linear_sum_assignment(places, maximize=True)
    return places[rows, taken].sum()


CASES = (st.integers(1, 40), st.integers(1, 6), st.integers(0, 10_000))


@settings(max_examples=60, deadline=None)
@given(*CASES, st.sampled_from([None, 1, 2]))
def test_sizes_are_met_and_no_assignment_is_better_ties_included(rows, classes, seed, digits):
    scores = np.log(table(rows, classes, seed, digits=digits))
    sizes = sizes_of(rows, classes, seed)
    labels = assign(scores, sizes)
    np.testing.assert_array_equal(np.bincount(labels, minlength=classes), sizes)
    total = scores[np.arange(rows), labels].sum()
    np.testing.assert_allclose(total, best_total(scores, sizes), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(2, 6), st.integers(0, 10_000))
def test_permuting_rows_and_classes_permutes_the_labels(rows, classes, seed):
    scores, sizes = np.log(table(rows, classes, seed)), sizes_of(rows, classes, seed)
    rng = np.random.default_rng(seed)
    by_row, by_class = rng.permutation(rows), rng.permutation(classes)
    again = assign(scores[np.ix_(by_row, by_class)], sizes[by_class])
    np.testing.assert_array_equal(by_class[again], assign(scores, sizes)[by_row])


def test_constant_predictions_fill_the_sizes_in_row_order():
    labels = assign(np.zeros((50_000, 4)), np.array([10, 0, 20, 49_970]))
    assert labels.tolist() == [0] * 10 + [2] * 20 + [3] * 49_970


def test_a_large_table_is_solved_too():
    scores = np.log(table(5_000, 8, 3))
    sizes = np.array([10, 20, 30, 2_000, 2_000, 40, 500, 400])
    labels = assign(scores, sizes)
    np.testing.assert_array_equal(np.bincount(labels, minlength=8), sizes)
    # No exchange of two rows helps.
    own = scores[np.arange(5_000), labels]
    gain = np.full((8, 8), -np.inf)
    for c in range(8):
        gain[c] = (scores[labels == c] - own[labels == c, None]).max(axis=0)
    assert (gain + gain.T <= 1e-9).all()


def test_sizes_that_do_not_sum_to_the_rows_are_refused():
    with pytest.raises(ValueError, match="do not sum to 3 rows"):
        assign(np.zeros((3, 2)), np.array([1, 1]))


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=9), st.integers(0, 500))
def test_whole_sizes_sum_to_the_rows_and_are_within_one(weights, rows):
    shares = np.array(weights) / np.sum(weights)
    sizes = whole_sizes(shares, rows)
    assert sizes.sum() == rows
    assert (np.abs(sizes - shares * rows) < 1 + 1e-6).all()


def test_quota_optimal_does_not_depend_on_the_order_of_the_head_classes():
    p = table(200, 5, 0)
    optimal = METHODS.load("quota-optimal")
    one = optimal(OF_FIVE, head_classes="0,3", fraction=0.2)(p)
    other = optimal(OF_FIVE, head_classes="3,0", fraction=0.2)(p)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert np.bincount(one.labels, minlength=5)[[0, 3]].tolist() == [40, 40]


def test_quota_optimal_is_at_least_as_probable_as_the_quota():
    p = table(300, 6, 1)
    context = CalibrationContext(classes=tuple("012345"))
    options = {"head_classes": "4,1,2", "fraction": 0.1}
    totals = {
        name: np.log(p)[np.arange(300), METHODS.load(name)(context, **options)(p).labels].sum()
        for name in ("quota", "quota-optimal")
    }
    assert totals["quota-optimal"] >= totals["quota"]


def test_quotas_above_all_rows_are_refused():
    with pytest.raises(UsageError, match=r"3 quotas of 0.5 are more than all rows"):
        METHODS.load("quota-optimal")(OF_FIVE, head_classes="0,1,2", fraction=0.5)


def test_quotas_of_all_classes_that_leave_rows_over_are_refused():
    apply = METHODS.load("quota-optimal")(
        CalibrationContext(classes=("0", "1")), head_classes="0,1", fraction=0.25
    )
    with pytest.raises(UsageError, match="leaves 6 of 10"):
        apply(table(10, 2, 0))
