"""Views are chosen where they help, left alone where they do not, and scored on rows not seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from comptool import metrics
from comptool.errors import InputError, UsageError
from comptool.metrics import find
from comptool.postprocess.ensemble import nested_cv
from comptool.postprocess.ensemble.nested_cv import ALL_VIEWS, ONE_VIEW, SEARCHED, choose_views

NAMES = ("identity", "horizontal", "vertical")

ACCURACY, LOGLOSS = find("accuracy", "multiclass"), find("logloss", "multiclass")


def seen_in(skills, *, rows=600, seed=0, noise=1.0):
    """Views that see the truth through noise of their own, each with its skill."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 4, rows)
    truth = np.eye(4)[targets]
    logits = [skill * truth + rng.normal(0, noise, (rows, 4)) for skill in skills]
    return targets, dict(zip(NAMES, (softmax(one, axis=1) for one in logits), strict=False))


def folds_of(targets, number=4):
    return np.arange(len(targets)) % number


def test_views_that_see_as_much_as_the_plain_image_are_taken():
    targets, views = seen_in((1.0, 1.0, 1.0))
    choice = choose_views(views, "identity", targets, ACCURACY, folds_of(targets))
    assert choice.taken in (ALL_VIEWS, SEARCHED)
    assert choice.gain.low > 0
    assert choice.gain.value == pytest.approx(choice.choice.value - choice.plain.value)
    assert all(gain > 0 for gain in choice.beside[1:])
    assert "may be chance" not in choice.text()


def test_doing_nothing_wins_where_no_view_helps():
    targets, views = seen_in((3.0, -3.0, -3.0))
    choice = choose_views(views, "identity", targets, ACCURACY, folds_of(targets))
    assert choice.taken == ONE_VIEW
    assert choice.weights.tolist() == [1, 0, 0]
    assert choice.choice == choice.plain
    assert choice.gain.value == choice.gain.low == choice.gain.high == 0
    assert choice.text().endswith("is better on unseen rows")


def test_a_view_that_hurts_is_left_out_of_those_that_are_searched():
    targets, views = seen_in((1.5, 1.5, -1.0))
    choice = choose_views(views, "identity", targets, LOGLOSS, folds_of(targets), how="continuous")
    assert choice.taken == SEARCHED
    assert choice.weights[2] < 0.05
    assert choice.beside[1] > 0 > choice.beside[2]
    assert choice.choice.value < choice.plain.value
    assert choice.gain.value == pytest.approx(choice.plain.value - choice.choice.value)


def test_among_views_of_noise_the_choice_is_not_fooled_by_the_search():
    """Twenty views without skill: in-sample the search gains, and the score of the choice not."""
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 2, 200)
    views = {f"view {number}": rng.dirichlet([1, 1], 200) for number in range(20)}
    choice = choose_views(views, "view 0", targets, ACCURACY, folds_of(targets))
    assert choice.search.in_sample > 0.56
    assert choice.choice.low < 0.5 < choice.choice.high
    assert choice.choice.value < choice.search.in_sample - 0.04


def test_each_fold_is_predicted_by_what_is_best_on_the_others(monkeypatch):
    targets, views = seen_in((1.0, 1.0, 1.0), rows=80)
    folds, asked = folds_of(targets), []
    monkeypatch.setattr(nested_cv, "_best", lambda blends, known, metric: asked.append(known) or 0)
    choice = choose_views(views, "identity", targets, ACCURACY, folds)
    whole, *parts = asked
    np.testing.assert_array_equal(whole, targets)
    number = len(np.unique(folds))
    assert len(parts) == number * nested_cv.PARTITIONS
    for fold, known in enumerate(parts[:number]):
        np.testing.assert_array_equal(known, targets[folds != fold])
    np.testing.assert_array_equal(choice.blend, views["identity"])


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_what_predicts_a_fold_does_not_depend_on_its_labels(seed):
    """Candidates are near to one another, so that one label more would tip the choice."""
    targets, views = seen_in((1.0, 0.6, 0.6), rows=45, seed=seed)
    folds, rng = np.arange(45) % 3, np.random.default_rng(seed)
    one = choose_views(views, "identity", targets, ACCURACY, folds)
    for fold in range(3):
        held = folds == fold
        other = np.where(held, rng.integers(0, 4, 45), targets)
        two = choose_views(views, "identity", other, ACCURACY, folds)
        np.testing.assert_array_equal(two.blend[held], one.blend[held])


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(3)))
def test_the_order_of_rows_and_views_does_not_matter(seed, order):
    targets, views = seen_in((1.0, 1.2, 0.6), rows=120, seed=seed)
    folds, rows = folds_of(targets), np.random.default_rng(seed).permutation(120)
    one = choose_views(views, "identity", targets, LOGLOSS, folds)
    moved = {NAMES[place]: views[NAMES[place]][rows] for place in order}
    two = choose_views(moved, "identity", targets[rows], LOGLOSS, folds[rows])
    assert two.taken == one.taken
    np.testing.assert_allclose(two.weights, one.weights[list(order)], atol=1e-12)
    np.testing.assert_allclose(two.blend, one.blend[rows], atol=1e-12)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_what_is_taken_is_the_best_of_the_honest_scores_and_weights_are_shares(seed):
    targets, views = seen_in((0.8, 0.8, 0.3), rows=100, seed=seed)
    choice = choose_views(
        views, "identity", targets, find("macro-f1", "multiclass"), folds_of(targets)
    )
    scores = {
        ONE_VIEW: choice.plain.value,
        ALL_VIEWS: choice.search.equal.value,
        SEARCHED: choice.search.nested.value,
    }
    assert scores[choice.taken] == max(scores.values())
    assert choice.weights.sum() == pytest.approx(1)
    assert choice.choice.value == metrics.score("macro-f1", targets, choice.blend)


def test_several_labels_are_chosen_for_in_the_same_way():
    rng = np.random.default_rng(0)
    targets = (rng.random((300, 4)) < 0.3).astype(int)
    targets[rng.random((300, 4)) < 0.1] = -1
    logits = [1.5 * (targets == 1) + rng.normal(-1, 1, (300, 4)) for _ in NAMES]
    views = {name: 1 / (1 + np.exp(-one)) for name, one in zip(NAMES, logits, strict=True)}
    choice = choose_views(views, "identity", targets, find("map", "multilabel"), np.arange(300) % 3)
    assert choice.gain.low > 0
    assert choice.summary()["candidates"][0]["view"] == "identity"


def test_two_folds_do_not_score_a_choice():
    targets, views = seen_in((1.0, 1.0))
    with pytest.raises(InputError, match="at least three folds"):
        choose_views(views, "identity", targets, ACCURACY, folds_of(targets, 2))


def test_one_view_is_no_choice():
    targets, views = seen_in((1.0,))
    with pytest.raises(UsageError, match="only one view"):
        choose_views(views, "identity", targets, ACCURACY, folds_of(targets))
