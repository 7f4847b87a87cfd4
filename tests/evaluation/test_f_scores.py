"""Precision, recall and F-scores of multi-label answers against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from comptool.errors import InputError
from comptool.metrics import multilabel


@st.composite
def cases(draw, unknown: bool = False):
    n, k, seed = (draw(st.integers(*span)) for span in [(1, 30), (2, 5), (0, 2**32 - 1)])
    random = np.random.default_rng(seed)
    targets = (random.random((n, k)) < random.random(k)).astype(np.int64)
    if unknown:
        targets[random.random((n, k)) < 0.4] = -1
    return targets, random.integers(0, 11, (n, k)) / 10


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from([0.2, 0.5]), st.sampled_from([0.5, 1.0, 2.0]))
def test_f_beta_is_scikit_learns(case, threshold, beta):
    targets, p = case
    answers = (p > threshold).astype(int)
    by_class = oracle.fbeta_score(targets, answers, beta=beta, average=None, zero_division=0)
    counts = multilabel.count(targets, p, threshold)
    np.testing.assert_allclose(counts.f_beta(beta), by_class, atol=1e-12)
    for average, ours in (
        ("micro", multilabel.micro_f_beta),
        ("samples", multilabel.sample_f_beta),
    ):
        expected = oracle.fbeta_score(targets, answers, beta=beta, average=average, zero_division=0)
        assert ours(targets, p, threshold=threshold, beta=beta) == pytest.approx(
            expected, abs=1e-12
        )
    if targets.any():
        macro = oracle.fbeta_score(targets, answers, beta=beta, average="macro", zero_division=0)
        found = multilabel.macro_f_beta(targets, p, threshold=threshold, beta=beta)
        assert found == pytest.approx(macro)
        if (threshold, beta) == (0.5, 1):
            assert multilabel.macro_f1(targets, p) == pytest.approx(macro)
            np.testing.assert_allclose(multilabel.f1_of_classes(targets, p), by_class, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(cases(unknown=True))
def test_unknown_cells_count_nowhere(case):
    targets, p = case
    counts = multilabel.count(targets, p)
    for index, (labels, column) in enumerate(zip(targets.T, p.T, strict=True)):
        known = labels != -1
        truth, answers = labels[known], column[known] > 0.5
        assert counts.answered[index] == answers.sum()
        assert counts.precision()[index] == pytest.approx(
            oracle.precision_score(truth, answers, zero_division=0) if known.any() else 0
        )
        assert counts.recall()[index] == pytest.approx(
            oracle.recall_score(truth, answers, zero_division=0) if known.any() else 0
        )


@settings(max_examples=150, deadline=None)
@given(cases(unknown=True), st.sampled_from([1.0, 2.0]))
def test_the_f_of_rows_is_the_mean_over_those_of_which_something_is_known(case, beta):
    targets, p = case
    values = []
    for labels, row in zip(targets, p, strict=True):
        truth, answers = labels[labels != -1] == 1, row[labels != -1] > 0.5
        right, whole = (truth & answers).sum(), beta**2 * truth.sum() + answers.sum()
        if truth.size:
            values.append((1 + beta**2) * right / whole if whole else 0.0)
    if not values:
        with pytest.raises(InputError, match="every cell is unknown"):
            multilabel.sample_f_beta(targets, p, beta=beta)
    else:
        assert multilabel.sample_f_beta(targets, p, beta=beta) == pytest.approx(np.mean(values))


def test_a_wholly_unknown_row_changes_no_score():
    targets, p = np.array([[1, 0], [-1, -1]]), np.array([[0.9, 0.1], [0.9, 0.9]])
    assert multilabel.sample_f_beta(targets, p) == 1.0
    assert multilabel.at_thresholds(targets, p, [0.5])[0]["samples"] == 1.0


def test_an_answer_is_strictly_above_its_classs_threshold():
    targets, p = np.array([[1, 1], [1, 0]]), np.array([[0.5, 0.4], [0.6, 0.1]])
    assert multilabel.count(targets, p, 0.5).answered.tolist() == [1, 0]
    assert multilabel.count(targets, p, np.array([0.55, 0.05])).answered.tolist() == [1, 2]


def test_scores_at_several_thresholds_by_hand():
    targets, p = np.array([[1, 1], [1, 0]]), np.array([[0.9, 0.4], [0.6, 0.1]])
    assert multilabel.at_thresholds(targets, p, [0.3, 0.7]) == [
        {"threshold": 0.3, "macro": 1.0, "micro": 1.0, "samples": 1.0},
        {
            "threshold": 0.7,
            "macro": pytest.approx((2 / 3 + 0) / 2),
            "micro": pytest.approx(2 / 4),
            "samples": pytest.approx((2 / 3 + 0) / 2),
        },
    ]


def test_log_loss_is_scikit_learns_over_the_known_cells():
    targets, p = np.array([[1, 0], [-1, 1]]), np.array([[0.9, 0.2], [0.3, 0.6]])
    expected = oracle.log_loss([1, 0, 1], [0.9, 0.2, 0.6])
    assert multilabel.logloss(targets, p) == pytest.approx(expected)
    assert 30 < multilabel.logloss(np.array([[1]]), np.array([[0.0]])) < 40


def test_what_is_not_defined_is_told():
    with pytest.raises(InputError, match="no class has a present cell"):
        multilabel.macro_f1(np.array([[0, -1]]), np.array([[0.5, 0.5]]))
    with pytest.raises(InputError, match="every cell is unknown"):
        multilabel.logloss(np.array([[-1, -1]]), np.array([[0.5, 0.5]]))
