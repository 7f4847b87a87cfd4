"""Thresholds between grades: the best ones, against every other choice and scikit-learn's kappa."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score

from comptool.errors import InputError
from comptool.metrics import find
from comptool.postprocess.calibration.context import CalibrationContext, LabelledRows
from comptool.postprocess.calibration.grade_thresholds import (
    bagged_grade_thresholds,
    best_grade_thresholds,
    grades_of,
    thresholds,
)
from comptool.tasks.ordinal_task import expected_grades


def kappa(targets, answers, weights="quadratic"):
    return cohen_kappa_score(targets, answers, weights=weights, labels=[0, 1, 2])


@given(
    targets=arrays(np.int64, 9, elements=st.integers(0, 2)),
    expected=arrays(np.float64, 9, elements=st.integers(0, 8).map(lambda eighth: eighth / 4)),
    power=st.sampled_from([1, 2]),
)
def test_no_other_thresholds_have_a_greater_kappa(targets, expected, power):
    if len(set(targets)) == 1:
        return
    weights = {1: "linear", 2: "quadratic"}[power]
    found = best_grade_thresholds(targets, expected, 3, power)
    assert (np.diff(found) >= 0).all()
    values = np.unique(expected)
    places = [-1.0, *((values[1:] + values[:-1]) / 2), 3.0]
    every = [
        kappa(targets, grades_of(expected, np.array(pair)), weights)
        for pair in combinations_with_replacement(places, 2)
    ]
    assert kappa(targets, grades_of(expected, found), weights) == pytest.approx(np.nanmax(every))


def test_thresholds_are_halfway_between_the_rows_they_part():
    found = best_grade_thresholds(np.array([0, 0, 1, 2]), np.array([0.1, 0.3, 0.5, 0.9]), 3)
    np.testing.assert_allclose(found, [0.4, 0.7])


def test_a_grade_without_a_row_has_no_answer_among_these_rows():
    expected = np.array([0.5, 0.6, 1.4, 1.5])
    found = best_grade_thresholds(np.array([1, 1, 2, 2]), expected, 4)
    assert grades_of(expected, found).tolist() == [1, 1, 2, 2]
    assert np.isfinite(found).all()
    assert grades_of(np.array([0.4, 1.6]), found).tolist() == [0, 3]


def test_rows_of_one_grade_are_refused():
    with pytest.raises(InputError, match="all out-of-fold rows have one grade"):
        best_grade_thresholds(np.array([2, 2]), np.array([0.1, 0.2]), 3)


def test_the_answers_of_new_rows_use_the_thresholds_and_keep_the_probabilities():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 200)
    targets = np.digitize(expected_grades(p), [0.7, 0.9])  # grade 1 is rare
    context = CalibrationContext(
        LabelledRows(p, targets), metric=find("quadratic-kappa", "ordinal")
    )
    answer = thresholds(context)(p[:50])
    np.testing.assert_allclose(answer.facts["thresholds"], [0.7, 0.9], atol=0.02)
    assert (answer.labels == targets[:50]).mean() > 0.95
    assert answer.kept.all()
    np.testing.assert_allclose(answer.probabilities, p[:50])


def test_the_linear_kappa_has_thresholds_of_its_own():
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), 300)
    targets = np.clip(np.rint(expected_grades(p) + rng.normal(0, 0.8, 300)), 0, 2).astype(int)
    evidence = LabelledRows(p, targets)
    found = {
        name: thresholds(CalibrationContext(evidence, metric=find(name, "ordinal")))(p).labels
        for name in ("linear-kappa", "quadratic-kappa")
    }
    # Distant errors weigh less in it, so its thresholds are farther apart.
    ends = {name: np.isin(labels, [0, 2]).mean() for name, labels in found.items()}
    assert ends["linear-kappa"] > ends["quadratic-kappa"]
    given_power = thresholds(CalibrationContext(evidence), power=1)(p)
    assert given_power.labels.tolist() == found["linear-kappa"].tolist()


def test_thresholds_follow_noise_less_than_the_best_ones():
    gains = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        expected = rng.uniform(0, 2, 1000)
        targets = np.clip(np.rint(expected + rng.normal(0, 0.5, 1000)), 0, 2).astype(int)
        seen, rest = slice(100), slice(100, None)
        scores = [
            kappa(targets[rest], grades_of(expected[rest], pick(targets[seen], expected[seen], 3)))
            for pick in (bagged_grade_thresholds, best_grade_thresholds)
        ]
        gains.append(scores[0] - scores[1])
    assert np.mean(gains) > 0


def test_thresholds_do_not_depend_on_the_order_of_the_rows():
    rng = np.random.default_rng(0)
    expected, targets = rng.uniform(0, 2, 60), rng.integers(0, 3, 60)
    order = rng.permutation(60)
    found = bagged_grade_thresholds(targets, expected, 3)
    assert bagged_grade_thresholds(targets[order], expected[order], 3).tolist() == found.tolist()
