"""Recalibrations of several labels by their laws, and against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from comptool.metrics.curve_areas import macro_average_precision
from comptool.metrics.multilabel import logloss
from comptool.postprocess.calibration.methods import CELL_METHODS
from comptool.postprocess.calibration.multilabel_methods import isotonic, temperature, vector

SEEDS = st.integers(0, 10_000)
EVERY = pytest.mark.parametrize("name", [one.name for one in CELL_METHODS if not one.grouped])


def drawn(rows, seed, *, classes=3, sharpness=1.0, unknown=0.0):
    """Cells of which a third are present, and log-odds of them that are ``sharpness`` too large."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-0.8, 1.5, (rows, classes))
    targets = (rng.random(odds.shape) < expit(odds)).astype(int)
    targets[rng.random(odds.shape) < unknown] = -1
    return targets, expit(sharpness * odds)


@EVERY
@settings(max_examples=25)
@given(seed=SEEDS, rows=st.integers(1, 40), unknown=st.sampled_from([0.0, 0.5]), half=st.booleans())
def test_probabilities_stay_probabilities_and_keep_their_order(name, seed, rows, unknown, half):
    targets, p = drawn(rows, seed, unknown=unknown)
    given_p = np.sort(np.random.default_rng(seed).random((30, 3)), axis=0).round(3)
    if half:
        given_p = given_p.astype(np.float32)
    moved = CELL_METHODS.load(name)(targets, p).move(given_p)
    assert moved.shape == given_p.shape
    assert ((moved >= 0) & (moved <= 1)).all()
    assert (np.diff(moved, axis=0) >= 0).all()


@EVERY
@settings(max_examples=15)
@given(seed=SEEDS, order=st.permutations(range(3)))
def test_classes_and_rows_may_come_in_any_order(name, seed, order):
    targets, p = drawn(50, seed)
    mixed = np.random.default_rng(seed).permutation(50)
    fit = CELL_METHODS.load(name)
    np.testing.assert_allclose(
        fit(targets[mixed][:, order], p[mixed][:, order]).move(p[:, order]),
        fit(targets, p).move(p)[:, order],
        atol=1e-5,
    )


@EVERY
def test_a_class_that_is_never_or_always_present_stays_as_it_is(name):
    targets, p = drawn(60, 0)
    targets[:, 0], targets[:, 1] = np.where(np.arange(60) % 3, 0, -1), -1
    moved = CELL_METHODS.load(name)(targets, p).move(p)
    if name == "temperature":  # one number for all classes
        assert ((moved > 0.5) == (p > 0.5)).all()
    else:
        np.testing.assert_allclose(moved[:, :2], p[:, :2], atol=1e-9)


@EVERY
def test_unknown_cells_say_nothing(name):
    targets, p = drawn(80, 1, unknown=0.3)
    other = np.where(targets == -1, 1 - p, p)
    fit = CELL_METHODS.load(name)
    np.testing.assert_allclose(fit(targets, other).move(p), fit(targets, p).move(p), atol=1e-6)


@EVERY
def test_where_no_cell_is_known_all_stays_as_it_is(name):
    targets, p = drawn(5, 0)
    moved = CELL_METHODS.load(name)(np.full_like(targets, -1), p).move(p)
    np.testing.assert_allclose(moved, p, atol=1e-9)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 2.5])
def test_the_temperature_takes_back_what_was_too_sharp(sharpness):
    targets, p = drawn(4_000, 2, sharpness=sharpness)
    found = temperature(targets, p)
    assert found.facts["temperature"] == pytest.approx(sharpness, rel=0.08)
    against = minimize(
        lambda t: logloss(targets, expit(logit(p) / t[0])), [1.0], bounds=[(0.02, 50)], tol=1e-10
    )
    assert logloss(targets, found.move(p)) == pytest.approx(against.fun, abs=1e-9)


def test_scales_and_shifts_are_those_of_a_logistic_regression_per_class():
    targets, p = drawn(600, 3, sharpness=2.0, unknown=0.2)
    facts = vector(targets, p).facts
    for place in range(3):
        known = targets[:, place] != -1
        odds = logit(p[known, place])[:, None]
        found = LogisticRegression(C=1e6, tol=1e-8).fit(odds, targets[known, place])
        assert facts["scales"][place] == pytest.approx(found.coef_[0, 0], rel=1e-2)
        assert facts["shifts"][place] == pytest.approx(found.intercept_[0], abs=1e-2)


def test_a_class_that_the_model_has_turned_round_is_flattened_and_not_turned():
    targets, p = drawn(500, 4)
    turned = p.copy()
    turned[:, 0] = 1 - p[:, 0]
    found = vector(targets, turned)
    assert found.facts["scales"][0] == pytest.approx(1e-3)
    assert macro_average_precision(targets, found.move(turned)) == pytest.approx(
        macro_average_precision(targets, turned)
    )


def test_the_rising_curves_are_scikit_learns():
    targets, p = drawn(300, 5, unknown=0.2)
    asked = np.random.default_rng(5).random((100, 3))
    moved = isotonic(targets, p).move(asked)
    for place in range(3):
        known = targets[:, place] != -1
        against = IsotonicRegression(out_of_bounds="clip").fit(
            p[known, place], targets[known, place]
        )
        np.testing.assert_allclose(moved[:, place], against.predict(asked[:, place]), atol=2e-6)


@pytest.mark.parametrize("name", ["temperature", "vector", "isotonic"])
def test_what_is_fitted_lowers_the_logloss_of_a_model_that_is_too_sure(name):
    fit, held = drawn(1_500, 6, sharpness=3.0), drawn(1_500, 7, sharpness=3.0)
    moved = CELL_METHODS.load(name)(*fit).move(held[1])
    assert logloss(held[0], moved) < logloss(*held) - 0.2
