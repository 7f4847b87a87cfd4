"""Expected precision of pseudo-labels against scipy, an exhaustive search and fresh rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from comptool import tasks
from comptool.postprocess.pseudo_labels.expected_precision import (
    agreeing,
    not_reached,
    precision,
    threshold_by_class,
    threshold_for,
)


@settings(deadline=None)
@given(st.integers(1, 300), st.floats(0, 1))
def test_the_interval_is_that_of_clopper_and_pearson(answered, share):
    right = round(share * answered)
    ours = precision(right, answered)
    theirs = binomtest(right, answered).proportion_ci(0.95, "exact")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_without_an_answer_nothing_is_known():
    found = precision(0, 0)
    assert (found.low, found.high) == (0, 1)
    assert str(found) == "not known: no out-of-fold row is as confident"
    assert found.summary()["value"] is None


def precision_above(confidence, right, threshold):
    above = confidence > threshold
    return precision(int(right[above].sum()), int(above.sum()))


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000), st.sampled_from([0.2, 0.5, 0.8]))
def test_a_threshold_is_the_lowest_of_all_that_promise_enough(rows, seed, wanted):
    rng = np.random.default_rng(seed)
    confidence = np.round(rng.random(rows), 1)
    right = rng.random(rows) < confidence
    good = [
        threshold
        for threshold in [0.0, *np.unique(confidence)]
        if precision_above(confidence, right, threshold).low >= wanted
    ]
    found = threshold_for(confidence, right, wanted)
    # A confidence of 0 is above no threshold, so that 0 keeps all rows that can be kept.
    assert found == (min(good) if good else None) or (found == 0 and 0 in confidence)


def test_a_promise_holds_on_fresh_rows():
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(40):
        confidence = rng.random(3_000) ** 0.3
        right = rng.random(3_000) < confidence
        seen, fresh = slice(0, 1_000), slice(1_000, None)
        threshold = threshold_for(confidence[seen], right[seen], 0.9)
        kept.append(precision_above(confidence[fresh], right[fresh], threshold).value >= 0.89)
    assert np.mean(kept) >= 0.95


def test_each_class_has_its_own_threshold():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 4_000)
    answers = rng.integers(0, 2, 4_000)
    # Class 0 is as sure as it says, class 1 always right.
    right = (rng.random(4_000) < confidence) | (answers == 1)
    p = np.where(np.arange(2) == answers[:, None], confidence[:, None], 1 - confidence[:, None])
    targets = np.where(right, answers, 1 - answers)
    first, second = threshold_by_class(p, targets, 0.95)
    assert first > 0.8
    assert second == 0


def test_a_class_that_is_never_answered_has_no_threshold():
    p = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert threshold_by_class(p, np.array([0, 0]), 0.5)[1] is None


def test_members_agree_where_their_answers_do():
    one = np.array([[0.9, 0.1], [0.6, 0.4]])
    other = np.array([[0.6, 0.4], [0.1, 0.9]])
    assert agreeing(np.array([0, 0]), [one, other], tasks.find("multiclass")).tolist() == [
        True,
        False,
    ]
    cells = agreeing(one > 0.5, [other], tasks.find("multilabel"))
    assert cells.tolist() == [[True, True], [False, False]]


def test_what_cannot_be_promised_is_said_with_what_can():
    confidence = np.linspace(0, 1, 100)
    right = np.arange(100) >= 50
    message = str(not_reached(0.99, confidence, right))
    assert "no threshold reaches a precision of 0.99: the best is 1.000 (0.929 to 1.000)" in message
    assert message.endswith("--precision 0.928")
