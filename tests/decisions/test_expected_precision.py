"""Expected precision of pseudo-labels against scipy, a plain loop and families of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from comptool import tasks
from comptool.postprocess.pseudo_labels.expected_precision import (
    agreeing,
    first_test,
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


def surely(right, answered, wanted, risk=0.025):
    return binomtest(right, answered, wanted, "greater").pvalue <= risk


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 90), st.integers(0, 10_000), st.sampled_from([0.2, 0.5, 0.8]),
    st.sampled_from([0.025, 0.1]),
)  # fmt: skip
def test_the_thresholds_are_tested_downwards_until_one_fails(rows, seed, wanted, risk):
    rng = np.random.default_rng(seed)
    confidence = np.round(0.01 + rng.random(rows), 2)
    right = rng.random(rows) < confidence
    first, best = first_test(rows, wanted, risk), None
    for threshold in [*np.unique(confidence)[::-1], 0.0]:
        above = confidence > threshold
        if first is None or above.sum() < first:
            continue
        if not surely(int(right[above].sum()), int(above.sum()), wanted, risk):
            break
        best = threshold
    assert threshold_for(confidence, right, wanted, risk) == best


@pytest.mark.parametrize(
    ("rows", "wanted", "first"),
    # By hand: 0.9^36 = 0.0225 is the first power below 0.025; 54 with one wrong row.
    [(35, 0.9, None), (36, 0.9, 36), (53, 0.9, 36), (54, 0.9, 54), (500, 0.9, 54)],
)
def test_the_tests_begin_where_one_can_succeed(rows, wanted, first):
    assert first_test(rows, wanted) == first


def test_with_more_rows_the_first_test_allows_more_wrong_ones():
    first = first_test(2_000, 0.9)
    assert 150 < first <= 200
    wrong = next(k for k in range(first) if not surely(first - k, first, 0.9))
    assert wrong > 5


FLAT = 0.495


def calibrated(rng, rows):
    confidence = rng.random(rows) ** 0.3
    return confidence, rng.random(rows) < confidence


def flat(rng, rows):
    return rng.random(rows), rng.random(rows) < FLAT


def precision_of(family, threshold):
    """The true precision above a threshold."""
    if family is flat:
        return FLAT
    grid = np.linspace(0, 1, 20_001) ** 0.3
    return grid[grid > threshold].mean()


def broken(family, search, wanted, repeats=400, rows=200):
    rng = np.random.default_rng(0)
    found = [search(*family(rng, rows), wanted) for _ in range(repeats)]
    found = [one for one in found if one is not None]
    return sum(precision_of(family, one) < wanted for one in found), len(found)


def luckiest(confidence, right, wanted):
    order = np.argsort(-confidence)
    hits, answered = right[order].cumsum(), np.arange(1, len(right) + 1)
    good = np.flatnonzero(binom.sf(hits - 1, answered, wanted) <= 0.025)
    return np.append(confidence[order], 0)[good[-1] + 1] if good.size else None


@pytest.mark.parametrize(("family", "wanted"), [(calibrated, 0.9), (flat, 0.5)])
def test_a_promise_is_broken_no_more_often_than_its_risk(family, wanted):
    count, _ = broken(family, threshold_for, wanted)
    assert count <= binom.ppf(0.999, 400, 0.025)


def test_the_luckiest_threshold_breaks_its_promise_too_often():
    count, found = broken(flat, luckiest, 0.5)
    assert count == found
    assert count > binom.ppf(0.999, 400, 0.025)


def test_the_tests_find_a_threshold_where_there_are_rows_enough():
    rng = np.random.default_rng(1)
    kept = []
    for _ in range(20):
        threshold = threshold_for(*calibrated(rng, 1_000), 0.9)
        kept.append(0 if threshold is None else 1 - threshold ** (1 / 0.3))
    # 0.56 of the rows are above the threshold that has a precision of 0.9.
    assert np.mean(kept) > 0.3


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
    error = not_reached(0.99, confidence, right)
    message = str(error)
    assert "no threshold reaches a precision of 0.99 at a risk of 0.025: the best is" in message
    best = float(message.rsplit(" ", 1)[1])
    assert threshold_for(confidence, right, best) is not None
    assert threshold_for(confidence, right, best + 0.001) is None


def test_where_every_answer_is_wrong_nothing_can_be_promised():
    message = str(not_reached(0.9, np.linspace(0, 1, 100), np.zeros(100, dtype=bool)))
    assert message.endswith("nor any other precision: too few rows are right")
