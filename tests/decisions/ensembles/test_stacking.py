"""Stacks and temperature means: optimal by an objective written here, and their laws."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from comptool.errors import UsageError
from comptool.io.records import FittedCombination, parse
from comptool.metrics import find
from comptool.postprocess.ensemble import nested_cv
from comptool.postprocess.ensemble.nested_cv import searched
from comptool.postprocess.ensemble.stacking import (
    Stack,
    _Rows,
    fit_stack,
    permuted,
    restored,
    temperature_mean,
)
from comptool.tasks import find as find_task
from comptool.tasks import of_targets

ACCURACY = find("accuracy", "multiclass")


def world(seed, rows, skills, sharp=1.0, classes=4):
    """Calibrated members with noise of their own; above 1, ``sharp`` makes them too sure."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, rows)
    truth, factors = np.eye(classes)[targets], np.broadcast_to(sharp, len(skills))
    return targets, [
        softmax(factor * skill * (skill * truth + rng.normal(0, 1, truth.shape)), axis=1)
        for skill, factor in zip(skills, factors, strict=True)
    ]


def cells(seed, rows, skills, classes=3):
    rng = np.random.default_rng(seed)
    targets = (rng.random((rows, classes)) < 0.4).astype(np.int8)
    members = [
        expit(skill * (skill * (targets - 0.5) + rng.normal(0, 1, targets.shape)) - 0.4)
        for skill in skills
    ]
    targets[rng.random(targets.shape) < 0.1] = -1
    return targets, members


def objective(stack, features, targets, penalties):
    """The penalised loss, from the formula of the module."""
    z = stack.bias + np.einsum("m,mnk->nk", stack.shared, features)
    rest = 0.0
    if stack.per_class is not None:
        z = z + np.einsum("mk,mnk->nk", stack.per_class, features)
        rest += penalties[1] * (stack.per_class**2).sum()
    if stack.across is not None:
        z = z + np.einsum("mjk,mnj->nk", stack.across, features)
        rest += penalties[2] * (stack.across**2).sum()
    rest += penalties[0] * ((stack.shared - stack.shared.mean()) ** 2).sum()
    rest += penalties[0] * (stack.bias**2).sum()
    if targets.ndim == 1:
        loss = -log_softmax(z, axis=1)[np.arange(len(z)), targets].sum()
    else:
        signs = np.where(targets == 1, 1, -1)
        loss = np.log1p(np.exp(-signs * z))[targets != -1].sum()
    return loss + rest / 2


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("penalties", [(3.0,), (3.0, 5.0), (3.0, 5.0, 7.0)])
def test_no_step_away_from_a_fit_lowers_the_objective(several, penalties):
    targets, members = (cells if several else world)(0, 200, (1.5, 1.0))
    features = np.log(np.stack(members))
    rows = _Rows(features, targets, of_targets(targets), np.ones(200))
    found = rows.fit(penalties, rows.start())
    least = objective(found, features, targets, penalties)
    rng = np.random.default_rng(1)
    for _ in range(40):
        moved = {
            name: None if part is None else part + rng.normal(0, 0.03, part.shape)
            for name, part in vars(found).items()
            if name not in ("cells", "numbers")
        }
        assert objective(Stack(**moved), features, targets, penalties) > least


def test_a_large_penalty_leaves_the_geometric_mean_with_one_temperature():
    targets, members = world(0, 300, (1.5, 1.0))
    rows = _Rows(np.log(np.stack(members)), targets, of_targets(targets), np.ones(300))
    found = rows.fit((1e9,), rows.start())
    np.testing.assert_allclose(found.shared, found.shared[0], rtol=1e-4)
    np.testing.assert_allclose(found.bias, 0, atol=1e-4)


def test_the_temperature_of_a_member_is_its_overconfidence():
    targets, members = world(0, 4000, (1.5, 1.5, 1.5), sharp=(4.0, 1.0, 0.5))
    np.testing.assert_allclose(
        temperature_mean(members, targets).temperatures, (4, 1, 0.5), rtol=0.1
    )


@pytest.mark.parametrize("several", [False, True])
def test_the_order_of_rows_members_and_classes_does_not_matter(several):
    targets, members = (cells if several else world)(3, 150, (1.5, 1.0, 0.7))
    folds, classes = np.arange(150) % 3, members[0].shape[1]
    rng = np.random.default_rng(3)
    m, n, k = rng.permutation(3), rng.permutation(150), rng.permutation(classes)
    one = fit_stack(members, targets, folds)(members)
    moved = [members[place][np.ix_(n, k)] for place in m]
    known = targets[np.ix_(n, k)] if several else np.argsort(k)[targets[n]]
    two = fit_stack(moved, known, folds[n])(moved)
    np.testing.assert_allclose(two, one[np.ix_(n, k)], atol=2e-3)


def test_a_stack_finds_the_weights_of_independent_evidence():
    """The posterior of independent calibrated members is their product: weights of one."""
    targets, members = world(0, 4000, (1.5, 1.0, 0.5))
    found = fit_stack(members, targets, np.arange(4000) % 5)
    np.testing.assert_allclose(found.shared, 1, atol=0.15)
    hidden, others = world(1, 20_000, (1.5, 1.0, 0.5))
    stacked = (found(others).argmax(axis=1) == hidden).mean()
    assert stacked > (sum(others).argmax(axis=1) == hidden).mean() + 0.005


def test_numbers_are_stacked_by_the_errors_of_the_members():
    rng = np.random.default_rng(0)
    truth = rng.normal(50, 10, (2000, 2))
    members = [truth + rng.normal(0, spread, truth.shape) for spread in (1.0, 2.0)]
    found = fit_stack(members, truth, np.arange(2000) % 4)
    np.testing.assert_allclose(found.shared, (0.8, 0.2), atol=0.05)
    assert ((found(members) - truth) ** 2).mean() < 0.85
    with pytest.raises(UsageError, match="the task is regression"):
        temperature_mean(members, truth)


def test_searches_of_numbers_and_of_cells_are_judged_by_their_metric():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 5, (400, 1))
    members = [truth + rng.normal(0, spread, truth.shape) for spread in (0.5, 3.0)]
    folds = np.arange(400) % 4
    found = searched(
        members, truth, find("rmse", "regression"), folds, how="stack", beside=("greedy",)
    )
    assert not found.by_log_loss
    assert found.recommended.name == "stack"
    assert found.candidates[-1].gain.low > 0
    assert "its rmse is better than that of equal weights" in found.text()
    targets, members = cells(0, 400, (2.0, 1.0, 1.0))
    found = searched(members, targets, find("auc", "multilabel"), folds, how="stack")
    assert not found.by_log_loss
    assert found.recommended.name == "stack"
    found = searched(members, targets, find("micro-f1", "multilabel"), folds, how="stack")
    assert found.by_log_loss
    assert found.candidates[-1].evidence.low > 0


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_record_gives_the_combination_again_and_its_members_may_be_moved(task):
    targets, members = (cells if task == "multilabel" else world)(2, 200, (1.5, 1.0))
    shape = (2, members[0].shape[1], find_task(task))
    whole = Stack(
        np.array([0.5, -0.2]), np.arange(shape[1]) / 9, np.full(shape[:2], 0.1),
        np.full((2, shape[1], shape[1]), 0.01), cells=task == "multilabel",
    )  # fmt: skip
    for combination in (whole, temperature_mean(members, targets)):
        text = json.dumps(asdict(combination.record()))
        read = parse(FittedCombination, json.loads(text), Path("ensemble.json"))
        np.testing.assert_array_equal(restored(read, *shape)(members), combination(members))
        turned = restored(permuted(read, [1, 0]), *shape)
        np.testing.assert_allclose(turned(members[::-1]), combination(members), atol=1e-12)


def test_every_row_is_stacked_by_a_fit_that_did_not_see_it(monkeypatch):
    targets, _ = world(0, 120, (1.0, 1.0))
    number = np.arange(120.0)[:, None] + np.zeros((120, 4))
    seen = []

    def spy(some, known, folds, **_):
        seen.append((set(some[0][:, 0].astype(int)), set(folds)))
        return nested_cv.WeightedMean(np.array([0.5, 0.5]))

    monkeypatch.setattr(nested_cv, "fit_stack", spy)
    monkeypatch.setattr(nested_cv, "log_loss_gain", lambda *_: nested_cv.IntervalEstimate(0, 0, 0))
    searched([number, number], targets, ACCURACY, np.arange(120) % 4, how="stack")
    assert seen[0] == (set(range(120)), {0, 1, 2, 3})
    assert len(seen) == 1 + 4 * nested_cv.PARTITIONS
    assert seen[1:5] == [
        ({row for row in range(120) if row % 4 != fold}, {0, 1, 2, 3} - {fold}) for fold in range(4)
    ]


def test_a_stack_is_recommended_and_its_gain_is_said_where_it_shows():
    targets, members = world(0, 500, (1.5, 1.5, 1.5), sharp=(6.0, 1.0, 0.3))
    found = searched(members, targets, ACCURACY, np.arange(500) % 5, how="stack")
    assert found.recommended.name == "stack"
    assert "recommended: stack; its log-loss is better than that of equal weights" in found.text()
    rng = np.random.default_rng(0)
    noise = [rng.dirichlet(np.ones(4), 500) for _ in range(3)]
    found = searched(noise, targets, ACCURACY, np.arange(500) % 5, how="stack")
    assert found.recommended.name == "stack"
    assert "no evidence that it is better than equal weights, nor that another" in found.text()


def test_what_is_better_than_the_stack_by_its_log_loss_is_recommended(monkeypatch):
    """A stack that is spoilt loses to equal weights."""
    targets, members = world(0, 500, (1.5, 1.5))
    spoilt = Stack(np.array([1.0, -0.5]), np.zeros(4))
    monkeypatch.setattr(nested_cv, "fit_stack", lambda *_, **__: spoilt)
    found = searched(members, targets, find("auc", "multiclass"), np.arange(500) % 5, how="stack")
    assert found.recommended.name == "equal weights"
    found = searched(members, targets, ACCURACY, np.arange(500) % 5, how="stack")
    assert found.recommended.name == "equal weights"


def tail(seed, rows):
    """Two classes, one nine times as frequent, and members that presume them equally frequent."""
    rng = np.random.default_rng(seed)
    targets = (rng.random(rows) < 0.1).astype(int)
    truth = np.eye(2)[targets]
    return targets, [softmax(truth + rng.normal(0, 1, truth.shape), axis=1) for _ in range(2)]


def test_for_a_mean_over_classes_a_stack_is_fitted_to_classes_that_count_the_same():
    targets, members = tail(0, 1500)
    folds = np.arange(1500) % 5
    balanced = fit_stack(members, targets, folds, balanced=True)
    plain = fit_stack(members, targets, folds)
    assert np.ptp(balanced.bias) < 0.5 < np.ptp(plain.bias)
    metric = find("balanced-accuracy", "multiclass")
    found = searched(members, targets, metric, folds, how="stack")
    assert found.candidates[-1].gain.high > 0


def test_what_is_worse_by_the_metric_is_not_recommended_for_its_log_loss(monkeypatch):
    """The frequent class gains by a bias, which balanced accuracy punishes."""
    targets, members = tail(0, 1500)
    plain = nested_cv.fit_stack
    monkeypatch.setattr(nested_cv, "fit_stack", lambda *some, **_: plain(*some))
    metric = find("balanced-accuracy", "multiclass")
    found = searched(members, targets, metric, np.arange(1500) % 5, how="stack")
    assert found.candidates[-1].gain.high < 0
    assert found.recommended.name == "equal weights"
