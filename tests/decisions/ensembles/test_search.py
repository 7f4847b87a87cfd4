"""Searched weights against a naive search with scikit-learn, and by their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from comptool import metrics
from comptool.errors import UsageError
from comptool.metrics import find
from comptool.postprocess.ensemble.combine import by_class
from comptool.postprocess.ensemble.search import objective, search

SEEDS = st.integers(0, 10_000)

MAP = find("map", "multilabel")
ACCURACY, LOGLOSS = find("accuracy", "multiclass"), find("logloss", "multiclass")


def cells(rows, classes, members, seed, *, unknown=0.0, digits=None):
    """Multi-label targets and members that know some of them, each some classes better."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((rows, classes)) < 0.3).astype(int)
    targets[rng.random(targets.shape) < unknown] = -1
    targets[0], targets[1] = 1, 0
    skill = rng.uniform(0, 2, (members, classes))
    logits = [rng.normal(0, 1, targets.shape) + one * (targets == 1) - 1 for one in skill]
    found = [1 / (1 + np.exp(-one)) for one in logits]
    return targets, [one if digits is None else np.round(one, digits) for one in found]


def images(rows, classes, members, seed):
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(classes), rng.integers(0, classes, rows - classes)])
    truth = np.eye(classes)[targets]
    skill = rng.uniform(0.3, 2, members)
    return targets, [softmax(rng.normal(0, 1, truth.shape) + s * truth, axis=1) for s in skill]


def naive_greedy(members, score, steps):
    """Forward selection word by word."""
    order = sorted(range(len(members)), key=lambda m: -score(members[m]))
    starts = [order[: n + 1] for n in range(len(order))]
    bag = max(starts, key=lambda some: score(np.mean([members[m] for m in some], axis=0)))
    best, found = score(np.mean([members[m] for m in bag], axis=0)), list(bag)
    for _ in range(steps):
        trials = [[*bag, m] for m in order]
        values = [score(np.mean([members[m] for m in some], axis=0)) for some in trials]
        bag = trials[int(np.argmax(values))]
        if max(values) > best:
            best, found = max(values), list(bag)
    return np.bincount(found, minlength=len(members)) / len(found)


@pytest.mark.parametrize("seed", range(3))
def test_greedy_selection_is_that_of_a_naive_loop_with_scikit_learn(seed):
    from sklearn.metrics import average_precision_score

    targets, members = cells(150, 4, 5, seed)

    def score(blend):
        return average_precision_score(targets, blend)

    ours = search(members, targets, MAP, steps=10)
    np.testing.assert_allclose(ours, naive_greedy(members, score, 10), atol=1e-12)


@pytest.mark.parametrize("metric", ["accuracy", "macro-f1", "logloss"])
def test_greedy_selection_of_classes_is_that_of_a_naive_loop(metric):
    targets, members = images(120, 4, 4, 0)
    sign = -1 if metric == "logloss" else 1

    def score(blend):
        return sign * metrics.score(metric, targets, blend)

    ours = search(members, targets, find(metric, "multiclass"), steps=8)
    np.testing.assert_allclose(ours, naive_greedy(members, score, 8), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    SEEDS,
    st.sampled_from(["map", "auc", "macro-f1", "logloss", "micro-f1", "micro-map", "f-beta"]),
    st.sampled_from([None, 1]),
)
def test_an_objective_is_the_metric_of_the_mean_unknown_cells_and_ties_too(seed, name, digits):
    targets, members = cells(60, 3, 3, seed, unknown=0.2, digits=digits)
    goal = objective(find(name, "multilabel"), targets)
    total = sum(goal.arrange(member) for member in members)
    expected = metrics.score(name, targets, np.mean(members, axis=0))
    found = float(np.nanmean(goal.values(total, 3)))
    # Sums that are equal in decimals may differ in the last bit, in either way of adding.
    tolerance = 0.05 if digits else 1e-6
    assert found == pytest.approx(-expected if name == "logloss" else expected, abs=tolerance)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_ties_of_one_member_count_as_in_scikit_learn(seed):
    targets, (member,) = cells(80, 3, 1, seed, unknown=0.1, digits=1)
    for name in ("map", "auc"):
        goal = objective(find(name, "multilabel"), targets)
        found = float(np.nanmean(goal.values(goal.arrange(member), 1)))
        assert found == pytest.approx(metrics.score(name, targets, member), abs=1e-9)


@pytest.mark.parametrize("how", ["greedy", "continuous"])
@pytest.mark.parametrize("per_class", [False, True])
@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_weights_are_shares_and_no_worse_than_the_best_member(how, per_class, seed):
    targets, members = cells(80, 3, 4, seed)
    weights = search(members, targets, MAP, how=how, per_class=per_class, steps=6)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    found = metrics.score("map", targets, by_class(members, weights))
    assert found >= max(metrics.score("map", targets, one) for one in members) - 1e-6


@pytest.mark.parametrize("how", ["greedy", "continuous"])
@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_permuting_members_rows_and_classes_permutes_the_weights(how, seed):
    targets, members = cells(100, 4, 5, seed)
    rng = np.random.default_rng(seed)
    m, n, k = rng.permutation(5), rng.permutation(100), rng.permutation(4)
    moved = [members[place][np.ix_(n, k)] for place in m]
    one = search(members, targets, MAP, how=how, per_class=True, steps=6)
    other = search(moved, targets[np.ix_(n, k)], MAP, how=how, per_class=True, steps=6)
    np.testing.assert_allclose(other, one[np.ix_(m, k)], atol=1e-9)


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_weights_per_class_are_no_worse_than_weights_for_all(seed):
    targets, members = cells(120, 4, 4, seed)
    scores = [
        metrics.score(
            "map", targets, by_class(members, search(members, targets, MAP, per_class=each))
        )
        for each in (False, True)
    ]
    assert scores[1] >= scores[0] - 1e-3


def test_the_continuous_search_finds_the_weights_of_a_mixture():
    rng = np.random.default_rng(0)
    members = [rng.dirichlet(np.full(3, 0.3), 6_000) for _ in range(3)]
    truth = 0.7 * members[0] + 0.3 * members[1]
    targets = (truth.cumsum(axis=1) < rng.random((6_000, 1))).sum(axis=1)
    weights = search(members, targets, LOGLOSS, how="continuous")
    np.testing.assert_allclose(weights, [0.7, 0.3, 0], atol=0.06)


def test_bags_spread_the_weights_and_follow_the_seed():
    targets, members = cells(100, 3, 8, 0)
    plain, one, two = (
        search(members, targets, MAP, steps=5, bags=bags, seed=1) for bags in (0, 6, 6)
    )
    np.testing.assert_array_equal(one, two)
    assert np.count_nonzero(one) >= np.count_nonzero(plain)
    np.testing.assert_allclose(one.sum(), 1)


def test_one_member_has_all_the_weight():
    targets, members = images(30, 3, 1, 0)
    assert search(members, targets, ACCURACY).tolist() == [1.0]


def test_weights_per_class_of_a_metric_of_all_cells_are_refused():
    targets, members = cells(20, 3, 2, 0)
    with pytest.raises(UsageError, match="micro-map is not one here"):
        search(members, targets, find("micro-map", "multilabel"), per_class=True)
    targets, members = images(20, 3, 2, 0)
    with pytest.raises(UsageError, match="logloss is not one here"):
        search(members, targets, LOGLOSS, per_class=True)


def test_an_unknown_search_is_refused():
    targets, members = images(20, 3, 2, 0)
    with pytest.raises(UsageError, match="not 'random'"):
        search(members, targets, ACCURACY, how="random")
