"""Calibration figures, values of classes and bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom
from sklearn import metrics as sklearn

from comptool.metrics.bootstrap import figures_with_intervals, share_with_interval
from comptool.metrics.curve_areas import average_precisions
from comptool.metrics.multiclass import Confusion, class_shares
from comptool.metrics.reliability import Confidences


def answers(seed: int, num_rows: int = 60, num_classes: int = 4):
    rng = np.random.default_rng(seed)
    targets = rng.integers(num_classes, size=num_rows)
    logits = rng.normal(size=(num_rows, num_classes)) + 1.5 * np.eye(num_classes)[targets]
    return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def recalls(targets, p, weights=None):
    return class_shares(Confusion.of(targets, p).matrix(weights))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_recalls_are_scikit_learns_of_weighted_rows(seed):
    targets, p = answers(seed)
    weights = np.random.default_rng(seed).random(len(p)) + 0.1
    expected = sklearn.recall_score(targets, p.argmax(axis=1), average=None, sample_weight=weights)
    assert recalls(targets, p, weights) == pytest.approx(expected)


def test_calibration_error_is_that_of_a_plain_loop_over_fifteen_bins():
    targets, p = answers(1, num_rows=500)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == targets
    expected = 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    found = Confidences.of(targets, p).reliability(np.ones(500)).error
    assert found == pytest.approx(expected)


def test_the_confidence_gap_is_in_points_between_right_and_wrong_answers():
    def of(targets, answered, confidence):
        p = np.array(confidence)[:, None] * np.eye(2)[answered]
        return Confidences.of(np.array(targets), p, np.array(answered))

    found = of([0, 1, 1], [0, 1, 0], [0.9, 0.7, 0.6])
    assert found.gap(np.ones(3)) == pytest.approx(20)
    assert np.isnan(of([0, 1], [0, 1], [0.9, 0.7]).gap(np.ones(2)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_counting_a_row_twice_is_having_it_twice(seed, several):
    targets, p = cells(seed) if several else answers(seed)
    counts = np.random.default_rng(seed).integers(0, 3, len(p)).astype(float)
    rows = np.repeat(np.arange(len(p)), counts.astype(int))
    once, again = Confidences.of(targets, p), Confidences.of(targets[rows], p[rows])
    ones = np.ones(len(rows))
    assert once.reliability(counts).error == pytest.approx(again.reliability(ones).error)
    assert once.gap(counts) == pytest.approx(again.gap(ones), nan_ok=True)
    of_classes = average_precisions if several else recalls
    assert of_classes(targets, p, counts) == pytest.approx(
        of_classes(targets[rows], p[rows]), nan_ok=True
    )


def cells(seed: int, num_rows: int = 40, num_classes: int = 5):
    rng = np.random.default_rng(seed)
    targets = rng.choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=(num_rows, num_classes))
    # Few values, so that there are ties.
    return targets, rng.integers(0, 8, targets.shape) / 7


def test_rows_without_a_known_cell_have_no_calibration_error():
    found = Confidences.of(np.full((3, 2), -1), np.full((3, 2), 0.5))
    assert np.isnan(found.reliability(np.ones(3)).error)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = (rng.random(80) < 0.7).astype(float)
        (figure,) = figures_with_intervals(
            lambda counts, values=values: np.array([counts @ values / counts.sum()]),
            80,
            200,
            seed=trial,
        )
        covered += figure.low <= 0.7 <= figure.high
    assert 0.88 <= covered / 200 <= 0.99


def test_intervals_follow_from_the_seed_and_can_be_left_out():
    values = np.random.default_rng(3).random(60)

    def figures(counts):
        return np.array([counts @ values / counts.sum()])

    one, again, other = (figures_with_intervals(figures, 60, 50, seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert all(figure.low <= figure.value <= figure.high for figure in one)
    (bare,) = figures_with_intervals(figures, 60, 0, 0)
    assert bare.document() == {"value": bare.value, "low": None, "high": None}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 100_000), st.floats(0, 1))
def test_the_interval_of_a_share_is_the_central_part_of_its_posterior(rows, share):
    right = round(share * rows)
    found = share_with_interval(right, rows)
    posterior = beta(right + 0.5, rows - right + 0.5)
    assert found.value == right / rows
    assert posterior.cdf(found.low) == pytest.approx(0.025 if right else 0, abs=1e-5)
    assert posterior.cdf(found.high) == pytest.approx(0.975 if right < rows else 1, abs=1e-5)


@pytest.mark.parametrize("rows", [5, 10, 20, 50])
def test_the_interval_of_a_share_covers_it_as_often_as_it_says_with_few_rows_too(rows):
    found = [share_with_interval(right, rows) for right in range(rows + 1)]
    shares = np.linspace(0.5, 0.995, 199)
    inside = [[one.low <= share <= one.high for one in found] for share in shares]
    chances = binom.pmf(np.arange(rows + 1), rows, shares[:, None])
    # Exact, over all numbers of right rows; single shares jump, as numbers of rows are whole.
    covered = (chances * inside).sum(axis=1)
    assert 0.935 < covered.mean() < 0.97
    assert covered.min() > 0.83


def test_no_rows_have_no_share():
    assert np.isnan(share_with_interval(0, 0).value)


def calibrated(rng, rows, sharpness=1.0):
    logits = 2 * rng.standard_normal((rows, 5))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (rng.random(rows)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    p = p**sharpness
    return targets, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("sharpness", "least", "most"), [(1.0, 0.89, 0.99), (2.0, 0, 0.05)])
def test_the_error_of_a_calibrated_model_is_what_is_said_of_one(sharpness, least, most):
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        found = Confidences.of(*calibrated(rng, 300, sharpness))
        errors = found.errors_if_calibrated(100, seed)
        low, high = np.quantile(errors, [0.025, 0.975])
        inside += low <= found.reliability(np.ones(300)).error <= high
    assert least <= inside / 200 <= most


def test_the_errors_of_a_calibrated_model_follow_from_its_confidences():
    # Two answers of 0.5 in one bin: both, one or none are right, with errors 0.5, 0 and 0.5.
    found = Confidences.of(np.array([0, 1]), np.full((2, 2), 0.5))
    errors = found.errors_if_calibrated(2_000, 0)
    assert set(errors.tolist()) == {0.0, 0.5}
    assert errors.mean() == pytest.approx(0.25, abs=0.03)
