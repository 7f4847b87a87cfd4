"""Alternating normalisation against a twin that stacks and normalises row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.errors import UsageError
from comptool.postprocess.calibration import can as module
from comptool.postprocess.calibration.can import alternate, can, top_k_entropy
from comptool.postprocess.calibration.context import CalibrationContext, ClassCounts


def simplex(rng, rows, classes, zeros=0.0):
    values = rng.dirichlet(np.full(classes, 0.7), size=rows)
    values[rng.random(values.shape) < zeros] = 0
    values[:, 0] += values.sum(axis=1) == 0
    return values / values.sum(axis=1, keepdims=True)


def one_by_one(confident, uncertain, prior, alpha, iterations):
    """L = [A; b], to the power alpha, columns, prior, rows; as the paper writes it."""
    rows = []
    for b in uncertain:
        stack = np.vstack([confident, b])
        for _ in range(iterations):
            stack = stack**alpha
            sums = stack.sum(axis=0)
            stack = np.where(sums > 0, stack / np.where(sums > 0, sums, 1), 0) * prior
            stack = stack / stack.sum(axis=1, keepdims=True)
        rows.append(stack[-1])
    return np.array(rows)


def test_the_example_worked_out_by_hand():
    confident = np.array([[0.2, 0, 0.8], [0.9, 0.1, 0], [0, 0, 1]])
    uncertain = np.array([[0.5, 0, 0.5]])
    # Column sums 1.6, 0.1, 2.3: b becomes 0.5/1.6*0.8 = 0.25, 0 and 0.5/2.3*0.1 = 0.02174.
    result = alternate(confident, uncertain, np.array([0.8, 0.1, 0.1]))
    np.testing.assert_allclose(result, [[0.92, 0, 0.08]], atol=1e-12)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 12),
    unsure=st.integers(1, 6),
    classes=st.integers(2, 6),
    alpha=st.sampled_from([0.3, 1.0, 1.7, 4.0]),
    iterations=st.integers(1, 4),
)
def test_blocks_of_rows_give_what_stacking_gives(seed, rows, unsure, classes, alpha, iterations):
    rng = np.random.default_rng(seed)
    confident, uncertain = simplex(rng, rows, classes), simplex(rng, unsure, classes)
    prior = rng.dirichlet(np.ones(classes)) * 0.9 + 0.1 / classes
    np.testing.assert_allclose(
        alternate(confident, uncertain, prior, alpha=alpha, iterations=iterations),
        one_by_one(confident, uncertain, prior, alpha, iterations),
        rtol=1e-6,
        atol=1e-12,
    )


def test_zeros_are_kept():
    rng = np.random.default_rng(1)
    confident, uncertain = simplex(rng, 30, 5, zeros=0.3), simplex(rng, 10, 5, zeros=0.3)
    prior = np.full(5, 0.2)
    result = alternate(confident, uncertain, prior, iterations=3)
    np.testing.assert_allclose(result, one_by_one(confident, uncertain, prior, 1.0, 3), atol=1e-9)
    assert (result[uncertain == 0] == 0).all()


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    confident, uncertain, prior = simplex(rng, 20, 4), simplex(rng, 9, 4), np.full(4, 0.25)
    whole = alternate(confident, uncertain, prior, iterations=3)
    monkeypatch.setattr(module, "BLOCK", 170)
    np.testing.assert_allclose(alternate(confident, uncertain, prior, iterations=3), whole)


def test_without_confident_rows_the_identity_stands_in():
    uncertain = np.array([[0.5, 0.3, 0.2]])
    prior = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(
        alternate(np.empty((0, 3)), uncertain, prior),
        one_by_one(np.eye(3), uncertain, prior, 1.0, 1),
    )


def test_a_row_that_the_prior_rules_out_stays_as_it_was():
    result = alternate(np.eye(3), np.array([[0.0, 0.5, 0.5]]), np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(result, [[0.0, 0.5, 0.5]])


@pytest.mark.filterwarnings("error")
def test_large_powers_stay_finite():
    rng = np.random.default_rng(3)
    confident, uncertain = simplex(rng, 40, 6, zeros=0.2), simplex(rng, 10, 6, zeros=0.2)
    result = alternate(confident, uncertain, np.full(6, 1 / 6), alpha=9.0, iterations=4)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("row", "k", "entropy"),
    [
        ([0.5, 0.25, 0.25], 2, 0.918296),  # (2/3, 1/3) to the base 2
        ([0.5, 0.5, 0.0], 2, 1.0),
        ([0.4, 0.4, 0.2], 3, 0.960230),
        ([1.0, 0.0, 0.0], 3, 0.0),
        ([1 / 3, 1 / 3, 1 / 3], 3, 1.0),
    ],
)
def test_top_k_entropy_by_hand(row, k, entropy):
    assert top_k_entropy(np.array([row]), k)[0] == pytest.approx(entropy, abs=1e-6)


def test_top_k_must_fit_the_classes():
    with pytest.raises(UsageError, match="--top-k must be 2 to 3"):
        top_k_entropy(np.array([[0.5, 0.3, 0.2]]), 4)


THREE = CalibrationContext(classes=("a", "b", "c"))


def test_only_uncertain_rows_change_and_balance_pulls_them_to_the_rarer_class():
    confident = [[0.98, 0.01, 0.01]] * 8 + [[0.01, 0.98, 0.01]] + [[0.01, 0.01, 0.98]]
    answer = can(THREE)(np.array([*confident, [0.41, 0.4, 0.19]]))
    np.testing.assert_allclose(answer.probabilities[:-1], confident, rtol=1e-15)
    assert answer.kept.tolist() == [True] * 10 + [False]
    assert answer.labels.tolist() == [0] * 8 + [1, 2, 1]
    assert answer.facts["uncertain_rows"] == 1


def test_when_nothing_is_uncertain_it_says_so():
    answer = can(THREE)(np.array([[0.98, 0.01, 0.01]]))
    assert answer.warnings == ["no row is uncertain (top-3 entropy 0.9 or more): no row changes"]


@pytest.mark.parametrize("alpha", [0, -1, np.inf, np.nan])
def test_alpha_must_be_finite_and_above_zero(alpha):
    with pytest.raises(UsageError, match=f"--alpha must be a finite number above 0, not {alpha}"):
        can(THREE, alpha=alpha)


def test_its_prior_is_the_one_named_then_the_presumed_one_then_an_equal_one():
    p, target = np.array([[0.4, 0.35, 0.25]]), np.array([0.2, 0.3, 0.5])

    def counts(instead):
        return ClassCounts(np.array([6, 3, 1]))

    context = CalibrationContext(target=target, counts=counts)
    assert list(can(context)(p).facts["prior"].values()) == [0.2, 0.3, 0.5]
    assert list(can(context, prior="train")(p).facts["prior"].values()) == [0.6, 0.3, 0.1]
    equal = {"0": 1 / 3, "1": 1 / 3, "2": 1 / 3}
    assert can(context, prior="uniform")(p).facts["prior"] == equal
    assert can(CalibrationContext())(p).facts["prior"] == equal
    with pytest.raises(
        UsageError, match=r"training images of each class is not known\. Take --prior"
    ):
        can(CalibrationContext(), prior="train")
