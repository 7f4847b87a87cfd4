"""Figures of evaluations against scikit-learn's and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from comptool.metrics.bootstrap import figures_with_intervals
from comptool.metrics.multiclass import MULTILABEL_METRICS, score
from comptool.metrics.weighted import Answers, WeightedCells


def answers(seed: int, num_rows: int = 60, num_classes: int = 4) -> tuple[Answers, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(num_classes, size=num_rows)
    logits = rng.normal(size=(num_rows, num_classes)) + 1.5 * np.eye(num_classes)[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answered = probabilities.argmax(axis=1)
    return Answers(targets, answered, probabilities.max(axis=1), num_classes), probabilities


def repeated(rows: Answers, counts: np.ndarray) -> Answers:
    taken = np.repeat(np.arange(len(rows)), counts.astype(int))
    return Answers(
        rows.targets[taken], rows.answered[taken], rows.confidence[taken], rows.num_classes
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_figures_of_one_class_per_row_are_scikit_learns(seed):
    rows, _ = answers(seed)
    found = rows.figures(np.ones(len(rows)))
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(rows.targets, rows.answered))
    assert found["balanced-accuracy"] == pytest.approx(
        sklearn.balanced_accuracy_score(rows.targets, rows.answered)
    )
    assert found["macro-f1"] == pytest.approx(
        sklearn.f1_score(rows.targets, rows.answered, average="macro")
    )
    assert found["kappa"] == pytest.approx(sklearn.cohen_kappa_score(rows.targets, rows.answered))
    recall = sklearn.recall_score(rows.targets, rows.answered, average=None)
    assert rows.per_class(np.ones(len(rows))) == pytest.approx(recall)


def test_calibration_error_is_that_of_a_plain_loop_over_fifteen_bins():
    rows, _ = answers(1, num_rows=500)
    expected = 0.0
    for index in range(15):
        inside = (rows.confidence > index / 15) & (rows.confidence <= (index + 1) / 15)
        if inside.any():
            gap = abs(rows.promises.right[inside].mean() - rows.confidence[inside].mean())
            expected += inside.mean() * gap
    assert rows.figures(np.ones(500))["ece"] == pytest.approx(expected)


def test_the_confidence_gap_is_in_points_between_right_and_wrong_answers():
    rows = Answers(np.array([0, 1, 1]), np.array([0, 1, 0]), np.array([0.9, 0.7, 0.6]), 2)
    assert rows.figures(np.ones(3))["confidence-gap"] == pytest.approx(20)
    sure = Answers(np.array([0, 1]), np.array([0, 1]), np.array([0.9, 0.7]), 2)
    assert np.isnan(sure.figures(np.ones(2))["confidence-gap"])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_counting_a_row_twice_is_having_it_twice(seed):
    rows, _ = answers(seed)
    counts = np.random.default_rng(seed).integers(0, 3, len(rows)).astype(float)
    again = repeated(rows, counts)
    ones = np.ones(len(again))
    weighted, plain = rows.figures(counts), again.figures(ones)
    assert weighted == pytest.approx(plain, nan_ok=True)
    assert rows.per_class(counts) == pytest.approx(again.per_class(ones), nan_ok=True)


def cells(seed: int, num_rows: int = 40, num_classes: int = 5) -> WeightedCells:
    rng = np.random.default_rng(seed)
    targets = rng.choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=(num_rows, num_classes))
    # Few values, so that there are ties.
    return WeightedCells(targets, rng.integers(0, 8, targets.shape) / 7)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_average_precisions_are_scikit_learns_with_weights_ties_and_unknown_cells(seed):
    rows = cells(seed)
    counts = np.random.default_rng(seed).integers(0, 3, len(rows)).astype(float)
    found = rows.per_class(counts)
    for index, value in enumerate(found):
        known = (rows.targets[:, index] >= 0) & (counts > 0)
        truth = rows.targets[known, index]
        if truth.any():
            expected = sklearn.average_precision_score(
                truth, rows.probabilities[known, index], sample_weight=counts[known]
            )
            assert value == pytest.approx(expected)
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("name", ["map", "macro-f1"])
def test_figures_of_several_classes_per_row_are_the_metrics_of_that_name(name):
    assert name in MULTILABEL_METRICS.names
    for seed in range(10):
        rows = cells(seed)
        expected = score(name, rows.targets, rows.probabilities)
        assert rows.figures(np.ones(len(rows)))[name] == pytest.approx(expected)


def test_rows_without_a_known_cell_have_no_figures():
    rows = WeightedCells(np.full((3, 2), -1), np.full((3, 2), 0.5))
    found = rows.figures(np.ones(3))
    assert all(np.isnan(value) for value in found.values())


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
    rows, _ = answers(3)

    def figures(counts):
        return np.array(list(rows.figures(counts).values()))

    one, again, other = (figures_with_intervals(figures, 60, 50, seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert all(figure.low <= figure.value <= figure.high for figure in one[:1])
    (bare, *_) = figures_with_intervals(figures, 60, 0, 0)
    assert bare.document() == {"value": bare.value, "low": None, "high": None}
