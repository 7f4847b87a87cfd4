from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold, MultilabelStratifiedShuffleSplit

from comptool.errors import InputError
from comptool.splits.multilabel_folds import allot, plan_hold_out, plan_k_folds, units_of


def hold_out(labels, share, groups=None, seed=0):
    """Fold of each row of an iteratively stratified hold-out."""
    units = units_of(labels, groups)
    return plan_hold_out(units, share).draw(seed)[units.of_row]


def k_folds(labels, num_folds, groups=None, seed=0):
    """Fold of each row of iteratively stratified folds."""
    units = units_of(labels, groups)
    return plan_k_folds(units, num_folds).draw(seed)[units.of_row]


@st.composite
def label_tables(draw, unknown: bool = True):
    """Label tables of up to 40 rows and 6 classes, long-tailed, some with unknown cells."""
    rows, classes = draw(st.integers(4, 40)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = (random.random((rows, classes)) < random.random(classes) ** 2).astype(np.int8)
    if unknown and draw(st.booleans()):
        labels[random.random(labels.shape) < 0.3] = -1
    return labels


@st.composite
def grouped_tables(draw):
    """A label table and groups of uneven size."""
    labels = draw(label_tables())
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = np.floor(len(labels) ** random.random(len(labels))).astype(int).astype(str)
    return labels, groups.astype(object)


def aerial_labels(rows: int, classes: int = 12, seed: int = 0) -> np.ndarray:
    """A larger table with correlated labels and a long tail."""
    random = np.random.default_rng(seed)
    scenes = random.random((8, classes)) ** 4
    return (random.random((rows, classes)) < scenes[random.integers(8, size=rows)]).astype(np.int8)


def one_by_one(wanted, sizes, count):
    """The paper's loop over the rows of a step, which `allot` has in closed form."""
    wanted, sizes = list(wanted), list(sizes)
    counts = [0] * len(wanted)
    for _ in range(count):
        part = max(range(len(wanted)), key=lambda p: (wanted[p], sizes[p]))
        wanted[part] -= 1
        sizes[part] -= 1
        counts[part] += 1
    return counts


@given(
    st.lists(st.floats(-20, 50), min_size=1, max_size=6),
    st.integers(0, 80),
    st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_allot_deals_what_the_loop_over_rows_deals(wanted, count, seed):
    random = np.random.default_rng(seed)
    sizes = 1000 * random.random(len(wanted))  # no two alike: nothing is left to the lot
    counts = allot(np.array(wanted), sizes, count, random)
    assert counts.tolist() == one_by_one(wanted, sizes, count)


def test_allot_with_whole_numbers_breaks_ties_by_size():
    random = np.random.default_rng(0)
    counts = allot(np.array([2.0, 2.0, 1.0]), np.array([5.0, 9.5, 7.0]), 3, random)
    assert counts.tolist() == [1, 2, 0]


@given(label_tables(), st.integers(2, 4), st.integers(0, 5))
@settings(deadline=None)
def test_folds_are_disjoint_complete_and_trainable(labels, num_folds, seed):
    try:
        fold = k_folds(labels, num_folds, seed=seed)
    except InputError:
        assert (~units_of(labels).lonely).sum() < num_folds
        return
    assert fold.shape == (len(labels),)
    assert set(fold) <= {-1, *range(num_folds)}
    positive = labels == 1
    for index in range(num_folds):
        validated, trained = positive[fold == index], positive[fold != index]
        assert not (validated.any(axis=0) & ~trained.any(axis=0)).any()


@given(label_tables(), st.floats(0.05, 0.95), st.integers(0, 5))
@settings(deadline=None)
def test_a_hold_out_leaves_every_class_a_positive_row_to_learn_from(labels, share, seed):
    fold = hold_out(labels, share, seed=seed)
    assert set(fold) <= {-1, 0}
    positive = labels == 1
    np.testing.assert_array_equal(positive[fold == -1].any(axis=0), positive.any(axis=0))


@given(grouped_tables(), st.floats(0.05, 0.95), st.integers(0, 5))
@settings(deadline=None)
def test_groups_stay_whole(table, share, seed):
    labels, groups = table
    for fold in (
        hold_out(labels, share, groups=groups, seed=seed),
        _folds_or_none(labels, groups, seed),
    ):
        for group in set(groups):
            assert len(set(fold[groups == group])) == 1


def _folds_or_none(labels, groups, seed):
    try:
        return k_folds(labels, 2, groups=groups, seed=seed)
    except InputError:
        return np.zeros(len(labels), dtype=int)


@given(label_tables(), st.floats(0.1, 0.9), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_classes_changes_nothing(labels, share, random):
    order = list(range(labels.shape[1]))
    random.shuffle(order)
    np.testing.assert_array_equal(hold_out(labels, share), hold_out(labels[:, order], share))


@given(label_tables(), st.floats(0.1, 0.9))
@settings(deadline=None)
def test_unknown_cells_are_dealt_like_absent_ones(labels, share):
    absent = np.where(labels == -1, 0, labels)
    np.testing.assert_array_equal(hold_out(labels, share), hold_out(absent, share))


def test_groups_of_one_row_are_rows():
    labels = aerial_labels(300)
    names = np.array([f"{row:03d}" for row in range(300)], dtype=object)
    np.testing.assert_array_equal(
        hold_out(labels, 0.2, groups=names, seed=3), hold_out(labels, 0.2, seed=3)
    )


def test_a_seed_gives_the_same_folds_and_another_gives_others():
    labels = aerial_labels(300)
    np.testing.assert_array_equal(k_folds(labels, 5, seed=1), k_folds(labels, 5, seed=1))
    assert (k_folds(labels, 5, seed=1) != k_folds(labels, 5, seed=2)).any()


def test_rows_without_a_label_even_out_the_sizes():
    labels = np.zeros((103, 3), dtype=np.int8)
    labels[50:, 1] = -1
    assert sorted(np.bincount(k_folds(labels, 4))) == [25, 26, 26, 26]
    assert (hold_out(labels, 0.1) == 0).sum() in (10, 11)


def test_a_class_with_one_positive_is_always_trained_on():
    labels = aerial_labels(60)
    labels[:, 3] = 0
    labels[7, 3] = 1
    assert all(hold_out(labels, 0.9, seed=seed)[7] == -1 for seed in range(20))
    assert all(k_folds(labels, 3, seed=seed)[7] == -1 for seed in range(20))


def test_a_class_that_one_group_has_alone_is_always_trained_on():
    labels = aerial_labels(60)
    groups = np.arange(60) // 4
    labels[:, 3] = groups == 5
    fold = hold_out(labels, 0.9, groups=groups)
    assert (fold[groups == 5] == -1).all()


def _imbalance(labels, fold, num_folds):
    """Mean distance of a fold's positives from its fair share, rows."""
    counts = np.stack([labels[fold == index].sum(axis=0) for index in range(num_folds)])
    return np.abs(counts - labels.sum(axis=0) / num_folds).mean()


def test_folds_are_as_even_as_those_of_the_iterative_stratification_package():
    labels = aerial_labels(2000)
    ours, theirs = [], []
    for seed in range(10):
        ours.append(_imbalance(labels, k_folds(labels, 5, seed=seed), 5))
        splitter = MultilabelStratifiedKFold(5, shuffle=True, random_state=seed)
        fold = np.empty(len(labels), dtype=int)
        for index, (_, validated) in enumerate(splitter.split(labels, labels)):
            fold[validated] = index
        theirs.append(_imbalance(labels, fold, 5))
    random = np.random.default_rng(0).integers(5, size=len(labels))
    assert np.mean(ours) < 1.15 * np.mean(theirs)
    assert np.mean(ours) < 0.25 * _imbalance(labels, random, 5)


def test_hold_outs_are_as_even_as_those_of_the_iterative_stratification_package():
    ours, theirs, sizes = [], [], []
    for seed in range(20):
        labels = aerial_labels(3000, seed=seed)
        wanted = 0.1 * labels.sum(axis=0)
        held = hold_out(labels, 0.1, seed=seed) == 0
        splitter = MultilabelStratifiedShuffleSplit(1, test_size=0.1, random_state=seed)
        _, validated = next(splitter.split(labels, labels))
        ours.append(np.abs(labels[held].sum(axis=0) - wanted).mean())
        theirs.append(np.abs(labels[validated].sum(axis=0) - wanted).mean())
        sizes.append(held.sum())
    assert np.mean(ours) < 1.25 * np.mean(theirs)
    assert max(abs(size - 300) for size in sizes) <= 15


def test_folds_of_a_grouped_table_are_more_even_than_by_lot():
    labels = aerial_labels(2000)
    groups = np.random.default_rng(0).integers(400, size=2000)
    even, lot = [], []
    for seed in range(5):
        even.append(_imbalance(labels, k_folds(labels, 5, groups=groups, seed=seed), 5))
        by_lot = np.random.default_rng(seed).integers(5, size=400)[groups]
        lot.append(_imbalance(labels, by_lot, 5))
    assert np.mean(even) < 0.6 * np.mean(lot)


def test_more_folds_than_rows_are_refused():
    labels = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.int8)
    with pytest.raises(InputError) as error:
        k_folds(labels, 3)
    assert str(error.value) == (
        "only 2 rows or groups can be validated, too few for 3 folds (the others hold all "
        "positives of a class). Ask for fewer folds, or for a hold-out"
    )


@pytest.mark.parametrize("labels", [np.array([[2, 0]]), np.zeros((0, 3), int), np.zeros(3, int)])
def test_what_is_no_label_table_is_refused(labels):
    with pytest.raises(ValueError, match="labels must"):
        hold_out(labels, 0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="share must lie between 0 and 1"):
        hold_out(aerial_labels(10), share)
