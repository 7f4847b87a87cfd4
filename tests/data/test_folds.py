"""Folds as sets of rows: disjoint, complete, fair, and whole by group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.competition.samples import Samples
from comptool.errors import InputError
from comptool.splits.stratified import hold_out, k_folds, share_deviation, under_sample


def samples(labels, groups=None) -> Samples:
    frame = pd.DataFrame({"id": [str(n) for n in range(len(labels))], "y": labels})
    if groups is not None:
        frame["g"] = groups
    return Samples(frame, Path(), "id", {}, "y", None if groups is None else "g", Path("t.csv"))


labels_of = st.lists(st.sampled_from("aaaabbc"), min_size=2, max_size=60)
grouped = st.integers(8, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from("aab"), min_size=n, max_size=n),
        st.lists(st.sampled_from("pqrstuvw"), min_size=n, max_size=n),
    )
)


@given(labels_of, st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_hold_out_takes_the_share_of_each_class_rounded_down(labels, fraction, seed):
    fold = hold_out(samples(labels), fraction, seed)
    assert set(fold) <= {-1, 0}
    for name in set(labels):
        of_class = fold[np.array(labels) == name]
        size = len(of_class)
        wanted = 0 if size == 1 else max(1, int(fraction * size + 1e-9))
        assert (of_class == 0).sum() == wanted
        assert (of_class == -1).any()


@pytest.mark.parametrize(
    ("size", "fraction", "held_out"), [(624, 0.2, 124), (100, 0.29, 29), (2, 0.1, 1), (1, 0.5, 0)]
)
def test_sizes_of_a_hold_out_by_hand(size, fraction, held_out):
    labels = ["a"] * size + ["b"] * 10
    fold = hold_out(samples(labels), fraction)
    assert (fold[:size] == 0).sum() == held_out


@settings(deadline=None)  # the first example imports scikit-learn
@given(labels_of, st.integers(2, 4), st.integers(0, 5))
def test_each_row_is_validated_once_and_no_class_is_validated_untrained(labels, num_folds, seed):
    counts = pd.Series(labels).value_counts()
    if 1 < counts.max() < num_folds:
        with pytest.raises(InputError, match="fewer samples than the"):
            k_folds(samples(labels), num_folds, seed)
        return
    fold = k_folds(samples(labels), num_folds, seed)
    values = np.array(labels)
    assert {name for name in counts.index if (fold[values == name] == -1).any()} == set(
        counts.index[counts == 1]
    )
    for index in range(num_folds):
        assert set(values[fold == index]) <= set(values[fold != index])
    for name in counts.index[counts > 1]:
        sizes = [((values == name) & (fold == index)).sum() for index in range(num_folds)]
        assert max(sizes) - min(sizes) <= 1


@settings(max_examples=60, deadline=None)
@given(grouped, st.integers(2, 4), st.integers(0, 3))
def test_no_group_is_torn_apart(drawn, num_folds, seed):
    labels, groups = drawn
    values = np.array(labels)
    made = [hold_out(samples(labels, groups), 0.3, seed)]
    try:
        made.append(k_folds(samples(labels, groups), num_folds, seed))
    except InputError as error:
        assert "fewer samples than" in str(error) or "too few groups" in str(error)
    for fold in made:
        assert pd.DataFrame({"g": groups, "fold": fold}).groupby("g")["fold"].nunique().max() == 1
        for index in set(fold) - {-1}:
            assert set(values[fold == index]) <= set(values[fold != index])


def test_a_grouped_hold_out_meets_the_share_where_groups_are_small():
    random = np.random.default_rng(0)
    groups = [f"g{n // 4}" for n in range(400)]
    labels = random.choice(list("abc"), 400, p=[0.6, 0.3, 0.1])
    fold = hold_out(samples(labels, groups), 0.2)
    assert 0.17 < (fold == 0).mean() < 0.23
    assert share_deviation(labels.astype(object), fold) < 6


def test_a_class_of_one_group_is_always_trained_on():
    labels = ["a", "a", "b", "b", "b", "b", "a", "c", "c"]
    groups = ["p", "p", "q", "q", "r", "r", "s", "t", "t"]
    for fold in (hold_out(samples(labels, groups), 0.5), k_folds(samples(labels, groups), 2)):
        assert fold[7:].tolist() == [-1, -1]


@given(labels_of, st.integers(2, 5) | st.none(), st.integers(0, 5))
def test_under_sampling_leaves_as_many_of_each_class(labels, cap, seed):
    values = np.array(labels)
    rows = under_sample(values, cap, seed)
    least = pd.Series(labels).value_counts().min()
    assert (np.diff(rows) > 0).all()
    assert set(pd.Series(values[rows]).value_counts()) == {min(least, cap or least)}
    assert set(values[rows]) == set(labels)


def test_under_sampling_takes_class_indices_too():
    assert sorted(np.array([2, 2, 2, 0, 1])[under_sample(np.array([2, 2, 2, 0, 1]))]) == [0, 1, 2]


@pytest.mark.parametrize("groups", [None, [str(n // 3) for n in range(60)]])
def test_one_seed_makes_one_split_and_another_seed_another(groups):
    table = samples(list("aab") * 20, groups)
    for split in (lambda seed: hold_out(table, 0.2, seed), lambda seed: k_folds(table, 4, seed)):
        assert split(3).tolist() == split(3).tolist()
        assert split(3).tolist() != split(4).tolist()
    values = np.array(list("aab") * 20)
    assert under_sample(values, seed=1).tolist() != under_sample(values, seed=2).tolist()


def test_deviation_by_hand():
    labels = np.array(["a", "a", "b", "b", "a"], dtype=object)
    fold = np.array([0, 0, -1, -1, -1])
    # Fold 0 has a: 1; the others a: 1/3.
    assert share_deviation(labels, fold) == pytest.approx(200 / 3)


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(InputError, match=r"too few groups can be validated \(2\) for 3 parts"):
        k_folds(samples(list("abababab"), list("ppppqqqq")), 3)


@pytest.mark.parametrize("num_folds", [2, 5])
def test_many_rows_that_are_alone_even_out_what_groups_leave_uneven(num_folds):
    random = np.random.default_rng(0)
    labels = random.choice(list("aaaaaaab"), 9000).tolist()
    # A third of the rows stand in groups of up to twenty, the others alone.
    groups = [f"g{n // random.integers(1, 20)}" if n < 3000 else f"alone{n}" for n in range(9000)]
    fold = k_folds(samples(labels, groups), num_folds, seed=1)
    assert pd.Series(fold).groupby(groups).nunique().max() == 1
    for name in "ab":
        counts = np.bincount(fold[np.array(labels) == name], minlength=num_folds)
        assert counts.max() - counts.min() <= 1
    held_out = hold_out(samples(labels, groups), 0.2, seed=1)
    for name in "ab":
        of_class = held_out[np.array(labels) == name]
        assert (of_class == 0).mean() == pytest.approx(0.2, abs=0.001)
