from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.splits.multilabel_folds import (
    plan_hold_out,
    refine_units,
    score,
    search,
    split_labels,
    split_warnings,
    units_of,
)


def table(rows: int, classes: int, seed: int = 0, unknown: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    labels = (random.random((rows, classes)) < 0.5 * random.random(classes) ** 2).astype(np.int8)
    labels[random.random(labels.shape) < unknown] = -1
    return labels


def refine(labels, fold, groups=None):
    """The split of rows after exchanges of rows, or groups."""
    units = units_of(labels, groups)
    first = np.unique(units.of_row, return_index=True)[1]
    refined = refine_units(units, fold[first])
    return replace(refined, fold=refined.fold[units.of_row])


def criterion(labels, fold) -> float:
    """The standard deviation over classes of a hold-out, by plain means of known cells."""
    differences = []
    for column in labels.T:
        sides = [column[(column != -1) & (fold == side)] for side in (-1, 0)]
        train, val = (side.mean() if side.size else 0.0 for side in sides)
        differences.append(100 * (train - val))
    return float(np.std(differences))


@given(
    st.integers(6, 60),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3]),
    st.integers(1, 4),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_refining_never_raises_the_criterion(rows, classes, seed, unknown, num_folds, grouped):
    random = np.random.default_rng(seed)
    labels = table(rows, classes, seed, unknown)
    groups = random.integers(max(2, rows // 3), size=rows) if grouped else np.arange(rows)
    fold = random.integers(-1, num_folds, size=rows)[groups]
    refined = refine(labels, fold, groups=groups)
    units = units_of(labels)
    before, after = score(units, fold), score(units, refined.fold)
    assert after <= before + 1e-9
    assert (refined.before, refined.after) == pytest.approx((before, after), abs=1e-6)
    assert all(len(set(refined.fold[groups == group])) == 1 for group in set(groups))
    assert set(refined.fold) == set(fold)
    if not grouped:
        assert sorted(refined.fold) == sorted(fold)
    if refined.swaps == 0:
        np.testing.assert_array_equal(refined.fold, fold)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_refining_leaves_no_class_in_one_fold_alone(seed, num_folds):
    labels = table(25, 5, seed)
    fold = np.random.default_rng(seed).integers(-1, num_folds, size=25)
    after = refine(labels, fold).fold
    for label in (labels == 1).T:
        if len(set(fold[label])) > 1:
            assert len(set(after[label])) > 1


def test_a_random_hold_out_is_refined_to_the_rounding_of_whole_rows():
    labels = table(4000, 15)
    start = search(units_of(labels), 0.1, seeds=range(20), strategy="random")
    refined = refine(labels, start.fold)
    one_row = 100 * (1 / 400 + 1 / 3600)
    assert refined.before == pytest.approx(criterion(labels, start.fold), abs=1e-9)
    assert refined.after == pytest.approx(criterion(labels, refined.fold), abs=1e-9)
    assert refined.after < one_row / 2 < refined.before / 3
    differences = labels[refined.fold == -1].mean(0) - labels[refined.fold == 0].mean(0)
    assert np.abs(100 * differences).max() < one_row
    assert (refined.fold == 0).sum() == 400


def test_refining_counts_known_cells_only():
    labels = table(4000, 15, unknown=0.4)
    start = search(units_of(labels), 0.1, seeds=range(20), strategy="random")
    refined = refine(labels, start.fold)
    assert refined.after == pytest.approx(criterion(labels, refined.fold), abs=1e-9)
    assert refined.after < 0.1 * refined.before


def test_refining_keeps_groups_whole_and_the_size_of_the_hold_out():
    labels = table(4000, 15)
    groups = np.random.default_rng(0).integers(600, size=4000)
    units = units_of(labels, groups)
    start = plan_hold_out(units, 0.1).draw(0)[units.of_row]
    refined = refine(labels, start, groups=groups)
    assert refined.after < 0.3 * refined.before
    assert all(len(set(refined.fold[groups == group])) == 1 for group in range(600))
    size, first = (refined.fold == 0).sum(), (start == 0).sum()
    assert abs(size - first) <= 0.02 * first


def test_folds_are_refined_among_themselves():
    labels = table(3000, 10)
    fold = np.random.default_rng(0).permutation(np.arange(3000) % 6) - 1
    refined = refine(labels, fold)
    assert refined.after < 0.3 * refined.before
    np.testing.assert_array_equal(refined.fold == -1, fold == -1)
    assert np.bincount(refined.fold + 1).tolist() == [500] * 6


def test_the_split_is_the_search_and_then_the_exchanges():
    labels = table(2000, 8)
    split = split_labels(labels, 0.2, seeds=range(5), strategy="random")
    found = search(units_of(labels), 0.2, seeds=range(5), strategy="random")
    assert split.refined is not None
    assert split.refined.before == pytest.approx(found.scores.min())
    assert split.criterion == pytest.approx(criterion(labels, split.fold), abs=1e-9)
    assert split.criterion < found.scores.min() / 3
    assert split.text() == f"{found.text()}\n{split.refined.text()}"
    again = split_labels(labels, 0.2, seeds=range(5), strategy="random")
    np.testing.assert_array_equal(split.fold, again.fold)


def test_the_split_without_exchanges_is_the_best_seeds():
    labels = table(300, 5)
    groups = np.arange(300) // 2
    split = split_labels(labels, num_folds=3, groups=groups, seeds=range(4), refine=False)
    found = search(units_of(labels, groups), num_folds=3, seeds=range(4))
    np.testing.assert_array_equal(split.fold, found.fold[groups])
    assert split.text() == found.text()
    assert split.criterion == found.scores.min()


def test_warnings_name_the_classes_that_a_split_cannot_serve():
    labels = np.array([[0, 1, 0, 1], [-1, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    fold = np.array([-1, -1, 0, 0])
    assert split_warnings(labels, fold, ["a", "b", "c", "d"]) == [
        "class 'a': no positive row in the table: nothing can be learnt or measured",
        "class 'c': no positive training row for the fold that validates it",
        "class 'b': positive training rows only: never validated",
    ]
    folds = np.array([0, 1, 0, 1])
    assert split_warnings(labels[:, [1, 3]], folds, ["b", "d"]) == []
    assert split_warnings(labels[:, [1, 3]], np.array([0, 1, 2, 2]), ["b", "d"]) == [
        "class 'b': folds without a positive row: not measured in those"
    ]
