from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupShuffleSplit, KFold, train_test_split

from comptool.errors import InputError, UsageError
from comptool.splits.multilabel_folds import score, search, share_differences, units_of


def table(rows: int = 400, classes: int = 7, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    shares = 0.6 * random.random(classes) ** 3 + 0.02
    return (random.random((rows, classes)) < shares).astype(np.int8)


def sources_rule(frame: pd.DataFrame, seed: int) -> float:
    """What the AICOSS entry computed, in its own libraries."""
    train, val = train_test_split(frame, test_size=0.1, random_state=seed, shuffle=True)
    return float(np.std(100 * (train.mean() - val.mean())))


def test_random_search_is_the_sources_rule():
    frame = pd.DataFrame(table())
    expected = [sources_rule(frame, seed) for seed in range(30)]
    found = search(units_of(frame.to_numpy()), 0.1, seeds=range(30), strategy="random")
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-9)
    assert (found.best, found.worst) == (int(np.argmin(expected)), int(np.argmax(expected)))
    _, val = train_test_split(np.arange(400), test_size=0.1, random_state=found.best)
    assert sorted(val) == np.flatnonzero(found.fold == 0).tolist()


def test_random_groups_are_drawn_as_scikit_learn_draws_them():
    labels = table()
    groups = np.array([f"scene {row % 37}" for row in range(400)], dtype=object)
    found = search(units_of(labels, groups), 0.25, seeds=[5], strategy="random")
    splitter = GroupShuffleSplit(1, test_size=0.25, random_state=5)
    _, val = next(splitter.split(labels, groups=groups))
    fold = found.fold[units_of(labels, groups).of_row]
    assert sorted(val) == np.flatnonzero(fold == 0).tolist()


def test_random_folds_are_drawn_as_scikit_learn_draws_them():
    labels = table(103)
    found = search(units_of(labels), seeds=[9], strategy="random", num_folds=4)
    parts = [val.tolist() for _, val in KFold(4, shuffle=True, random_state=9).split(labels)]
    assert parts == [np.flatnonzero(found.fold == index).tolist() for index in range(4)]


def test_the_criterion_of_unknown_cells_by_hand():
    labels = np.array([[1, 0], [0, -1], [1, 1], [-1, 0]])
    validated = np.array([[False, False, True, True]])
    differences = share_differences(units_of(labels), validated)
    # Class 0: 1 of 2 known in training, 1 of 1 in validation. Class 1: 0 of 1 and 1 of 2.
    np.testing.assert_allclose(differences, [[-50.0, -50.0]])
    assert score(units_of(labels), np.array([-1, -1, 0, 0])) == 0.0


def test_a_side_without_known_cells_counts_as_share_0():
    labels = np.array([[1], [1], [-1]])
    differences = share_differences(units_of(labels), np.array([[False, False, True]]))
    assert differences.tolist() == [[100.0]]


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.6))
@settings(deadline=None)
def test_permuting_rows_and_classes_changes_no_criterion(seed, unknown):
    random = np.random.default_rng(seed)
    labels = table(30, 5, seed)
    labels[random.random(labels.shape) < unknown] = -1
    fold = random.integers(-1, 3, size=30)
    rows, classes = random.permutation(30), random.permutation(5)
    before = score(units_of(labels), fold)
    after = score(units_of(labels[rows][:, classes]), fold[rows])
    assert after == pytest.approx(before, abs=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_the_criterion_of_groups_is_that_of_their_rows(seed):
    random = np.random.default_rng(seed)
    labels = np.where(random.random((40, 4)) < 0.2, -1, table(40, 4, seed))
    groups = random.integers(8, size=40)
    of_group = random.integers(-1, 2, size=8)
    units = units_of(labels, groups)
    grouped = score(units, of_group[np.unique(groups)])
    assert grouped == pytest.approx(score(units_of(labels), of_group[groups]), abs=1e-9)


def test_iterative_search_beats_the_best_of_as_many_random_seeds():
    labels = table(3000, 12)
    random = search(units_of(labels), 0.1, strategy="random")
    iterative = search(units_of(labels), 0.1)
    assert iterative.scores.min() < 0.5 * random.scores.min()
    assert iterative.scores.mean() < 0.6 * random.scores.mean()


def test_search_in_blocks_finds_what_it_finds_at_once(monkeypatch):
    labels = table()
    whole = search(units_of(labels), 0.2, seeds=range(10))
    monkeypatch.setattr("comptool.splits.multilabel_folds.BLOCK", 3 * len(labels))
    blocks = search(units_of(labels), 0.2, seeds=range(10))
    np.testing.assert_array_equal(whole.scores, blocks.scores)
    np.testing.assert_array_equal(whole.fold, blocks.fold)


def test_the_score_of_folds_is_the_mean_over_them():
    labels = table(50)
    fold = np.arange(50) % 3
    each = [
        np.std(100 * (labels[fold != k].mean(axis=0) - labels[fold == k].mean(axis=0)))
        for k in range(3)
    ]
    assert score(units_of(labels), fold) == pytest.approx(np.mean(each), abs=1e-9)


def test_the_report_names_best_worst_and_chosen():
    found = search(units_of(table()), 0.1, seeds=[4, 8, 15], strategy="random")
    low, high = found.scores.min(), found.scores.max()
    assert found.text() == (
        f"random split, 3 seeds: class shares differ by {low:.4f} percentage points (best, seed "
        f"{found.best}) to {high:.4f} (worst, seed {found.worst}); chosen: seed {found.best}"
    )


def test_an_unknown_strategy_is_refused_with_the_nearest():
    with pytest.raises(UsageError) as error:
        search(units_of(table()), 0.1, strategy="iteratif")
    assert str(error.value) == (
        "no split strategy is called 'iteratif'; did you mean 'iterative' or 'random'?"
    )


@pytest.mark.parametrize("wrong", [{}, {"share": 0.1, "num_folds": 3}, {"share": 0.1, "seeds": ()}])
def test_neither_share_nor_folds_nor_seeds_is_refused(wrong):
    with pytest.raises(ValueError, match="either a share or a number of folds"):
        search(units_of(table()), **wrong)


def test_a_table_of_lonely_classes_cannot_be_validated():
    with pytest.raises(InputError, match="nothing can be validated"):
        search(units_of(np.eye(4, dtype=int)), 0.5)
