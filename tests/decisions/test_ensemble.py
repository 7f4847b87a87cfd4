"""Means and votes against scipy and by their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from comptool.errors import UsageError
from comptool.postprocess.ensemble.combine import (
    METHODS,
    combine,
    geometric_mean,
    power_mean,
    rank_mean,
)

methods = pytest.mark.parametrize("method", METHODS)
tasks = pytest.mark.parametrize("task", ["multiclass", "multilabel"])


def simplex(seed, rows=12, classes=4, decimals=2):
    # Rounded, so that ranks tie.
    values = np.random.default_rng(seed).dirichlet(np.ones(classes), rows).round(decimals) + 0.01
    return values / values.sum(axis=1, keepdims=True)


@methods
@tasks
def test_an_ensemble_of_one_is_itself(method, task):
    member = simplex(0)
    np.testing.assert_array_equal(combine([member], method, [3.0], task), member)


@settings(deadline=None, max_examples=60)
@given(
    seeds=st.lists(st.integers(0, 1000), min_size=2, max_size=5),
    weights=st.lists(st.integers(1, 9), min_size=5, max_size=5),
    method=st.sampled_from(list(METHODS)),
    task=st.sampled_from(["multiclass", "multilabel"]),
    order=st.randoms(),
)
def test_laws_of_every_method(seeds, weights, method, task, order):
    members = [simplex(seed) for seed in seeds]
    weights = [float(weight) for weight in weights[: len(members)]]
    result = combine(members, method, weights, task)
    assert ((result >= 0) & (result <= 1)).all()
    if task == "multiclass":
        np.testing.assert_allclose(result.sum(axis=1), 1)
    places = list(range(len(members)))
    order.shuffle(places)
    shuffled = combine([members[p] for p in places], method, [weights[p] for p in places], task)
    np.testing.assert_allclose(shuffled, result, atol=1e-12)
    scaled = combine(members, method, [7 * weight for weight in weights], task)
    np.testing.assert_allclose(scaled, result, atol=1e-12)
    twice = combine([*members, *members], method, [*weights, *weights], task)
    np.testing.assert_allclose(twice, result, atol=1e-12)
    silent = combine([*members, simplex(2000)], method, [*weights, 0.0], task)
    np.testing.assert_allclose(silent, result, atol=1e-12)


@methods
def test_a_whole_weight_is_a_repeated_member(method):
    a, b = simplex(1), simplex(2)
    np.testing.assert_allclose(combine([a, b], method, [2, 1]), combine([a, a, b], method))


@pytest.mark.parametrize("method", ["mean", "gmean", "power"])
def test_the_mean_of_equal_members_is_the_member(method):
    np.testing.assert_allclose(combine([simplex(1)] * 3, method), simplex(1))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_ranks_are_those_of_scipy_ties_averaged(values):
    column = np.array(values, dtype=float)[:, None] / 4
    expected = stats.rankdata(column[:, 0], method="average") / len(values)
    np.testing.assert_allclose(rank_mean([column], [1.0])[:, 0], expected)


def test_the_geometric_mean_is_scipys_normalised():
    members, weights = [simplex(1), simplex(2)], [2.0, 1.0]
    expected = stats.gmean(np.stack(members), axis=0, weights=np.array(weights)[:, None, None])
    np.testing.assert_allclose(
        combine(members, "gmean", weights), expected / expected.sum(axis=1, keepdims=True)
    )
    np.testing.assert_allclose(combine(members, "gmean", weights, "multilabel"), expected)


def test_the_geometric_mean_of_members_that_rule_each_other_out_is_undecided():
    members = [np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])]
    np.testing.assert_allclose(combine(members, "gmean"), [[0.5, 0.5, 0.0]], atol=1e-12)


@given(power=st.floats(0.2, 12), seed=st.integers(0, 99))
def test_the_power_mean_is_scipys_and_between_the_geometric_mean_and_the_largest(power, seed):
    members = [simplex(seed), simplex(seed + 1), simplex(seed + 2)]
    weights = np.array([2.0, 1.0, 1.0])
    found = power_mean(members, weights / 4, power)
    wide = np.broadcast_to(weights[:, None, None], np.shape(members))
    np.testing.assert_allclose(found, stats.pmean(np.stack(members), power, axis=0, weights=wide))
    assert (found >= geometric_mean(members, weights / 4) - 1e-12).all()
    assert (found <= np.max(members, axis=0) + 1e-12).all()
    assert (power_mean(members, weights / 4, 2 * power) >= found - 1e-12).all()
    np.testing.assert_allclose(
        combine(members, "power", weights, power=power), found / found.sum(axis=1, keepdims=True)
    )


@given(power=st.floats(1, 12), seed=st.integers(0, 99))
def test_without_the_root_a_power_mean_gives_the_same_answers_and_order(power, seed):
    members = [simplex(seed), simplex(seed + 1)]
    averaged = np.mean([member**power for member in members], axis=0)
    rooted = power_mean(members, [0.5, 0.5], power)
    answered = averaged[np.arange(len(averaged)), rooted.argmax(axis=1)]
    # Of two classes that are equal but for rounding either may be the answer.
    np.testing.assert_allclose(answered, averaged.max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(rooted, averaged ** (1 / power))


def test_a_power_of_one_is_the_mean_and_a_high_one_the_largest():
    members = [simplex(1), simplex(2)]
    ones = combine(members, "power", power=1, task="multilabel")
    np.testing.assert_allclose(ones, combine(members, "mean", task="multilabel"))
    high = power_mean(members, [0.5, 0.5], 2_000)
    np.testing.assert_allclose(high, np.max(members, axis=0), rtol=1e-3)
    nothing = power_mean([np.zeros((1, 2)), np.array([[0.0, 1e-300]])], [0.5, 0.5], 3)
    np.testing.assert_allclose(nothing, [[0, 1e-300 * 0.5 ** (1 / 3)]])


@pytest.mark.parametrize("power", [0.0, -1.0, float("nan"), float("inf")])
def test_a_power_that_is_none_is_refused(power):
    with pytest.raises(UsageError, match="--power must be a number above 0"):
        combine([simplex(1), simplex(2)], "power", power=power)


def test_many_tiny_probabilities_do_not_underflow():
    members = [np.array([[1e-200, 1e-201, 1.0 - 1e-200]])] * 9 + [np.array([[0.5, 0.5, 0.0]])]
    result = combine(members, "gmean", [1e-6] * 9 + [1.0])
    assert result[0, 0] > 0
    assert result[0, 1] > 0


def test_a_vote_counts_weights():
    members = [np.array([[0.9, 0.1]]), np.array([[0.4, 0.6]]), np.array([[0.3, 0.7]])]
    np.testing.assert_allclose(combine(members, "vote"), [[1 / 3, 2 / 3]])
    np.testing.assert_allclose(combine(members, "vote", [3, 1, 1]), [[0.6, 0.4]])


def test_a_tied_vote_and_a_tied_member_go_to_the_first_class():
    tied = combine([np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])], "vote")
    assert tied.tolist() == [[0.5, 0.5]]
    assert tied.argmax() == 0
    undecided = [np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]])]
    assert combine(undecided, "vote").tolist() == [[1.0, 0.0]]


def test_a_multilabel_vote_is_for_every_class_above_one_half():
    members = [np.array([[0.9, 0.8, 0.5]]), np.array([[0.6, 0.2, 0.1]])]
    assert combine(members, "vote", task="multilabel").tolist() == [[1.0, 0.5, 0.0]]


def test_half_precision_members_are_averaged_in_double():
    members = [simplex(seed).astype(np.float16) for seed in range(3)]
    result = combine(members, "mean", task="multilabel")
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, np.mean([m.astype(np.float64) for m in members], axis=0))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "--weights has 1 values for 2 members"),
        ([1.0, -1.0], "--weights must be numbers of at least 0, not all 0; got 1,-1"),
        ([0.0, 0.0], "--weights must be numbers of at least 0, not all 0; got 0,0"),
        ([1.0, float("nan")], "--weights must be numbers of at least 0, not all 0; got 1,nan"),
        ([1.0, float("inf")], "--weights must be numbers of at least 0, not all 0; got 1,inf"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(UsageError) as refusal:
        combine([simplex(1), simplex(2)], weights=weights)
    assert str(refusal.value) == message
