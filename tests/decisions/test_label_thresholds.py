"""Thresholds of multi-label answers against every threshold there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.errors import UsageError
from comptool.metrics.multilabel import count, macro_f_beta, micro_f_beta
from comptool.postprocess.calibration.multilabel_methods import best_thresholds, to_half

SEEDS = st.integers(0, 100_000)
BETAS = st.sampled_from([0.5, 1.0, 2.0])


def case(rows, classes, seed, *, digits=1):
    rng = np.random.default_rng(seed)
    targets = rng.choice([1, 0, -1], (rows, classes), p=[0.4, 0.5, 0.1])
    targets[0, 0] = 1
    return targets, np.round(np.clip(rng.random((rows, classes)) + 0.2 * targets, 0, 1), digits)


def every_threshold(column):
    return [-1.0, *np.unique(column)]


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12), SEEDS, BETAS)
def test_a_class_has_the_f_score_of_an_exhaustive_search(rows, seed, beta):
    targets, p = case(rows, 3, seed)
    targets[0] = 1
    found = count(targets, p, best_thresholds(targets, p, beta=beta)).f_beta(beta)
    for c in range(3):
        one, column = targets[:, [c]], p[:, [c]]
        best = max(count(one, column, t).f_beta(beta)[0] for t in every_threshold(column))
        assert found[c] == pytest.approx(best, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 7), SEEDS, BETAS)
def test_all_cells_have_the_f_score_of_an_exhaustive_search(rows, seed, beta):
    targets, p = case(rows, 3, seed)
    best = best_thresholds(targets, p, average="micro", beta=beta)
    found = micro_f_beta(targets, p, threshold=best, beta=beta)
    best = max(
        micro_f_beta(targets, p, threshold=np.array(combination), beta=beta)
        for combination in product(*(every_threshold(p[:, c]) for c in range(3)))
    )
    assert found == pytest.approx(best, abs=1e-12)


@settings(deadline=None)
@given(st.integers(2, 60), SEEDS)
def test_thresholds_lie_between_probabilities(rows, seed):
    targets, p = case(rows, 2, seed, digits=6)
    targets[0] = 1
    for c, threshold in enumerate(best_thresholds(targets, p)):
        assert (
            threshold == -1
            or threshold == p[targets[:, c] != -1, c].max()
            or (threshold not in p[:, c])
        )


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 30), SEEDS, st.lists(st.floats(-1, 1), min_size=2, max_size=2))
def test_what_is_above_its_threshold_is_above_one_half(rows, seed, thresholds):
    _, p = case(rows, 2, seed, digits=2)
    moved = to_half(p, np.array(thresholds))
    assert ((moved >= 0) & (moved <= 1)).all()
    np.testing.assert_array_equal(moved > 0.5, p > np.array(thresholds))
    for c in range(2):
        assert (np.diff(moved[np.argsort(p[:, c]), c]) >= 0).all()


def test_permuting_classes_permutes_thresholds():
    targets, p = case(200, 5, 0, digits=4)
    order = [3, 1, 0, 4, 2]
    for average in ("macro", "micro"):
        one = best_thresholds(targets, p, average=average)
        np.testing.assert_array_equal(
            best_thresholds(targets[:, order], p[:, order], average=average), one[order]
        )


def test_a_class_without_a_present_cell_is_not_answered_or_keeps_one_half():
    targets = np.array([[1, 0], [0, -1]])
    p = np.array([[0.8, 0.9], [0.3, 0.2]])
    assert best_thresholds(targets, p)[1] == 0.5
    assert best_thresholds(targets, p, average="micro")[1] == 0.9


def test_thresholds_gain_much_where_probabilities_are_low():
    rng = np.random.default_rng(0)
    targets = (rng.random((2_000, 4)) < 0.1).astype(int)
    p = np.clip(0.2 * targets + rng.normal(0.1, 0.05, targets.shape), 0, 1)
    tuned = macro_f_beta(targets, p, threshold=best_thresholds(targets, p))
    assert tuned > 0.9 > macro_f_beta(targets, p)


def test_an_unknown_average_is_refused():
    with pytest.raises(UsageError, match="macro or micro"):
        best_thresholds(np.ones((2, 1), int), np.ones((2, 1)), average="samples")
