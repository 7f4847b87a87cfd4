"""Class shares of a test set, estimated from its predictions in two ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest

from comptool.postprocess.calibration.context import LabelledRows
from comptool.postprocess.calibration.label_shift import black_box_shares, estimate_shares

LONG = np.array([0.7, 0.2, 0.1])
TURNED = np.array([0.15, 0.25, 0.6])


def rows(shares, seed, count, *, sharpness=1.0, presumed=LONG):
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.repeat(np.arange(3), 3), rng.choice(3, count - 9, p=shares)])
    features = rng.normal(0, 1, (count, 3)) + 1.5 * np.eye(3)[targets]
    logits = sharpness * (1.5 * features + np.log(presumed))
    return LabelledRows(softmax(logits, axis=1), targets)


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_shares_are_found_again_even_by_an_overconfident_model(sharpness):
    evidence = rows(LONG, 0, 3_000, sharpness=sharpness)
    test = rows(TURNED, 1, 3_000, sharpness=sharpness)
    found = estimate_shares(test.probabilities, evidence)
    np.testing.assert_allclose(found.shares, TURNED, atol=0.04)
    assert ((found.low < found.black_box) & (found.black_box < found.high)).all()
    assert found.outside() == 0
    assert "do not rely" not in found.note("abc", evidence.shares())


def test_replicates_vary_as_estimates_do():
    evidence, drawn = rows(LONG, 0, 600), range(1, 25)
    found = [estimate_shares(rows(TURNED, s, 300).probabilities, evidence) for s in drawn]
    spread = np.std([one.shares for one in found], axis=0)
    own = np.mean([np.std(one.replicates, axis=0) for one in found], axis=0)
    # Those of one evidence: the replicates vary by their evidence, too.
    assert (own > 0.8 * spread).all()
    assert (own < 2.5 * spread).all()


def test_intervals_of_the_answers_hold_the_true_shares():
    hits = 0
    for seed in range(40):
        evidence, test = rows(LONG, seed, 500), rows(TURNED, 1_000 + seed, 400)
        found = estimate_shares(test.probabilities, evidence)
        hits += int(found.low[2] <= test.shares()[2] <= found.high[2])
    # They also hold the noise of the test set itself: at least 95 % are expected.
    assert binomtest(hits, 40, 0.95, alternative="less").pvalue > 0.01


def test_the_two_ways_disagree_where_more_than_the_shares_differs():
    evidence, test = rows(LONG, 0, 3_000), rows(TURNED, 1, 3_000)
    moved = softmax(np.log(test.probabilities) * 0.3 + np.array([0.0, 1.5, 0.0]), axis=1)
    found = estimate_shares(moved, evidence)
    assert found.outside() >= 1
    assert "do not rely on them" in found.note("abc", evidence.shares())


def test_shares_that_differ_by_chance_alone_are_those_of_the_evidence():
    shifted = 0
    for seed in range(20):
        evidence, test = rows(LONG, seed, 500), rows(LONG, 1_000 + seed, 400)
        found = estimate_shares(test.probabilities, evidence)
        shifted += found.shifted
        if not found.shifted:
            np.testing.assert_array_equal(found.shares, evidence.shares())
            assert "by more than chance" in found.note("abc", evidence.shares())
    # About 5 % are expected.
    assert binomtest(shifted, 20, 0.1, alternative="greater").pvalue > 0.01
    assert estimate_shares(rows(TURNED, 1, 400).probabilities, rows(LONG, 0, 500)).shifted


def test_the_black_box_by_hand():
    own, targets = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    # Of class 0 all are answered 0, of class 1 a quarter: q0 = s0 + s1 / 4 = 1 / 2.
    found = black_box_shares(np.array([0, 0, 1, 1]), own, targets, 2)
    np.testing.assert_allclose(found, [1 / 3, 2 / 3])


def test_a_class_that_is_nowhere_answered_keeps_a_small_share():
    evidence = rows(LONG, 0, 600)
    test = rows(np.array([1.0, 0.0, 0.0]), 1, 400)
    found = estimate_shares(test.probabilities[9:], evidence)
    assert (found.shares > 0).all()
    assert all((one > 0).all() and one.sum() == pytest.approx(1) for one in found.replicates)
