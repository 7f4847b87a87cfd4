"""The nested score: not fooled by noise, covers what comes, and sees no row twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from comptool.errors import InputError
from comptool.metrics import find, multiclass
from comptool.postprocess.ensemble import nested_cv
from comptool.postprocess.ensemble.combine import by_class
from comptool.postprocess.ensemble.nested_cv import searched

ACCURACY, LOGLOSS = find("accuracy", "multiclass"), find("logloss", "multiclass")


def world(seed, *, rows, members, skills, noise=1.0):
    """Members that see the truth through noise, some of it shared."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 5, rows)
    truth, shared = np.eye(5)[targets], rng.normal(0, noise, (rows, 5))
    own = [rng.normal(0, noise, (rows, 5)) for _ in range(members)]
    return targets, [
        softmax(skill * truth + shared + one, axis=1)
        for skill, one in zip(skills, own, strict=True)
    ]


def part(members, rows):
    return [member[rows] for member in members]


def test_among_members_of_pure_noise_the_search_looks_good_in_sample_only():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 150)
    members = [rng.dirichlet([1, 1], 150) for _ in range(20)]
    found = searched(members, targets, ACCURACY, np.arange(150) % 5, steps=15)
    assert found.in_sample > 0.58
    assert found.nested.value < 0.58
    assert found.nested.low < 0.5 < found.nested.high


def test_the_interval_of_the_nested_score_covers_the_score_on_other_rows_in_nine_of_ten():
    covered = []
    for seed in range(10):
        targets, members = world(seed, rows=6_600, members=4, skills=(1.0, 1.2, 0.5, 1.4))
        seen, hidden = np.arange(600), np.arange(600, 6_600)
        found = searched(part(members, seen), targets[seen], ACCURACY, seen % 5, steps=15)
        truth = multiclass.accuracy(targets[hidden], by_class(part(members, hidden), found.weights))
        covered.append(found.nested.low <= truth <= found.nested.high)
    assert sum(covered) >= 9


@settings(max_examples=10)
@given(
    seed=st.integers(0, 10_000),
    copied=st.lists(st.integers(0, 2), min_size=1, max_size=4),
    how=st.sampled_from(["greedy", "continuous"]),
)
def test_copies_of_members_change_nothing_and_share_the_weight(seed, copied, how):
    targets, members = world(seed, rows=150, members=3, skills=(1.0, 1.3, 0.8))
    folds = np.arange(150) % 3
    one = searched(members, targets, LOGLOSS, folds, steps=10, how=how)
    more = [*members, *(members[place] for place in copied)]
    two = searched(more, targets, LOGLOSS, folds, steps=10, how=how)
    np.testing.assert_allclose(two.blend, one.blend, atol=1e-12)
    assert two.nested.value == pytest.approx(one.nested.value, abs=1e-12)
    for place, whole in enumerate(one.weights):
        same = [place, *(3 + number for number, which in enumerate(copied) if which == place)]
        np.testing.assert_allclose(two.weights[same], whole / len(same), atol=1e-12)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    metric=st.sampled_from(["accuracy", "balanced-accuracy", "logloss", "macro-f1"]),
)
def test_permuting_rows_members_and_classes_permutes_the_result_and_nothing_else(seed, metric):
    """Of 60 rows, so that members, and what a search has to choose between, are often equal."""
    targets, members = world(seed, rows=60, members=4, skills=(1.0, 1.0, 0.9, 1.1))
    rng, folds = np.random.default_rng(seed), np.arange(60) % 3
    m, n, k = rng.permutation(4), rng.permutation(60), rng.permutation(5)
    one = searched(members, targets, find(metric, "multiclass"), folds, steps=8)
    moved = [members[place][np.ix_(n, k)] for place in m]
    two = searched(moved, np.argsort(k)[targets[n]], find(metric, "multiclass"), folds[n], steps=8)
    np.testing.assert_allclose(two.weights, one.weights[m], atol=1e-12)
    np.testing.assert_allclose(two.blend, one.blend[np.ix_(n, k)], atol=1e-12)
    for name in ("in_sample", "nested", "equal", "single"):
        values = [getattr(found, name) for found in (one, two)]
        first, second = (getattr(value, "value", value) for value in values)
        assert first == pytest.approx(second, abs=1e-12)


def test_every_row_is_weighted_by_a_search_that_did_not_see_it(monkeypatch):
    targets, members = world(0, rows=100, members=2, skills=(1, 1))
    ids = [np.column_stack([np.arange(100)] * 5) / 100 for _ in members]
    seen = []

    def spy(some, known, **_):
        seen.append(set((some[0][:, 0] * 100).round().astype(int).tolist()))
        return np.full(len(some), 1 / len(some))

    monkeypatch.setattr(nested_cv, "search", spy)
    folds = np.arange(100) % 4
    searched(ids, targets, ACCURACY, folds)
    whole, *parts = seen
    assert len(whole) == 100
    assert parts[:4] == [{row for row in range(100) if row % 4 != fold} for fold in range(4)]
    # The other partitions, for the interval: each leaves out every row once.
    assert len(parts) == 4 * nested_cv.PARTITIONS
    for start in range(4, len(parts), 4):
        left = [set(range(100)) - part for part in parts[start : start + 4]]
        assert sorted(row for part in left for row in part) == list(range(100))


def test_a_metric_that_falls_is_read_the_right_way():
    targets, members = world(2, rows=400, members=3, skills=(2.0, 2.0, 0.2))
    found = searched(members, targets, LOGLOSS, np.arange(400) % 5, how="continuous")
    assert found.in_sample <= found.equal.value
    assert found.recommended.name == "continuous"
    assert (
        "recommended: continuous; its logloss is better than that of equal weights" in found.text()
    )


def test_equal_weights_that_do_as_well_are_recommended():
    targets, members = world(3, rows=300, members=2, skills=(1.5, 1.5))
    same = [members[0], members[0]]
    found = searched(same, targets, ACCURACY, np.arange(300) % 3)
    assert found.recommended.name == "equal weights"
    assert "recommended: equal weights; no evidence that another choice is better" in found.text()


def test_weights_per_class_mix_class_by_class():
    members = [np.full((2, 2), 0.2), np.full((2, 2), 0.6)]
    mixed = by_class(members, np.array([[1.0, 0.5], [0.0, 0.5]]))
    np.testing.assert_allclose(mixed, [[0.2, 0.4]] * 2)


def test_one_fold_is_not_enough():
    targets, members = world(0, rows=20, members=2, skills=(1, 1))
    with pytest.raises(InputError, match="at least two folds"):
        searched(members, targets, ACCURACY, np.zeros(20, int))


def test_other_partitions_of_few_rows_widen_the_interval_and_keep_the_value(monkeypatch):
    targets, members = world(4, rows=80, members=3, skills=(1.0, 1.1, 0.9))
    folds = np.arange(80) % 4
    wide = searched(members, targets, ACCURACY, folds, steps=10)
    monkeypatch.setattr(nested_cv, "PARTITIONS", 1)
    plain = searched(members, targets, ACCURACY, folds, steps=10)
    assert wide.nested.value == plain.nested.value
    assert wide.nested.low <= plain.nested.low
    assert wide.nested.high >= plain.nested.high
    assert wide.nested.high - wide.nested.low > plain.nested.high - plain.nested.low
    # Equal weights are not searched.
    assert wide.equal == plain.equal


def test_of_many_rows_the_given_folds_are_enough():
    folds = np.arange(nested_cv.FEW_ROWS + 1) % 5
    assert nested_cv.shuffled_folds(folds, 0) == []
    others = nested_cv.shuffled_folds(folds[:-1], 0)
    assert len(others) == nested_cv.PARTITIONS - 1
    for other in others:
        assert np.bincount(other).tolist() == np.bincount(folds[:-1]).tolist()
        assert (other != folds[:-1]).any()
