"""Confident learning against the authors' program, the paper's formulas in loops, and laws."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cleanlab.count import (
    compute_confident_joint,
    estimate_joint,
    estimate_latent,
    get_confident_thresholds,
)
from cleanlab.filter import find_label_issues
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from comptool.io.tables import read_table
from comptool.label_review.confident_learning import (
    class_doubt,
    class_pairs,
    confident_classes,
    confident_joint,
    review_rows,
    thresholds,
)


def noisy(seed=0, rows=1500, classes=5, rate=0.15, skill=2.0):
    """Labels of which some were changed, the truth, and probabilities of a model of that skill."""
    random = np.random.default_rng(seed)
    truth = random.choice(classes, rows, p=random.dirichlet(np.full(classes, 3.0)))
    changed = random.random(rows) < rate
    labels = np.where(changed, (truth + random.integers(1, classes, rows)) % classes, truth)
    logits = random.normal(size=(rows, classes)) + skill * np.eye(classes)[truth]
    return labels, truth, softmax(skill * logits, axis=1)


@st.composite
def cases(draw):
    """Few rows, few classes, some of which no row is labelled with."""
    n, k, seed = (draw(st.integers(*span)) for span in [(1, 25), (2, 5), (0, 2**32 - 1)])
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(k, 0.5), n)
    return random.integers(0, k, n), p.round(2) if draw(st.booleans()) else p


def joint_in_loops(labels, p):
    """Equations 1 and 2, row by row; of equally probable classes the label's own."""
    k = p.shape[1]
    t = [p[labels == j, j].mean() if (labels == j).any() else 2.0 for j in range(k)]
    counts = np.zeros((k, k), int)
    for label, row in zip(labels, p, strict=True):
        reached = [j for j in range(k) if row[j] >= t[j] - 1e-6]
        if reached:
            counts[label, max(reached, key=lambda j: (row[j], j == label))] += 1
    return t, counts


@given(cases())
def test_the_joint_is_that_of_the_papers_formulas(case):
    labels, p = case
    t, counts = joint_in_loops(labels, p)
    np.testing.assert_allclose(thresholds(labels, p), t)
    joint = confident_joint(labels, p)
    np.testing.assert_array_equal(joint.counts, counts)
    for label, row in enumerate(counts.astype(float)):
        here = (labels == label).sum()
        row[label] = max(row[label], 1)
        np.testing.assert_allclose(joint.estimated[label], here * row / row.sum())


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_and_counts_are_the_authors(seed):
    labels, _, p = noisy(seed, classes=3 + seed)
    reached = p >= get_confident_thresholds(labels, p)
    # Their program takes the most probable of all classes where two are reached, the paper the
    # most probable of those.
    same = (reached.sum(axis=1) < 2) | reached[np.arange(len(p)), p.argmax(axis=1)]
    np.testing.assert_allclose(thresholds(labels, p), get_confident_thresholds(labels, p))
    theirs, indices = compute_confident_joint(
        labels, p, calibrate=False, return_indices_of_off_diagonals=True
    )
    counted = confident_classes(labels, p)
    ours = np.flatnonzero((counted >= 0) & (counted != labels))
    assert set(ours) ^ set(indices) <= set(np.flatnonzero(~same))
    assert np.abs(theirs - confident_joint(labels, p).counts).sum() <= 2 * (~same).sum()
    assert same.mean() > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_the_scaled_joint_and_the_noise_rates_are_the_authors(seed):
    labels, _, p = noisy(seed)
    joint = confident_joint(labels, p)
    theirs = estimate_joint(labels, p, confident_joint=joint.counts)
    # They round to whole rows, each label keeping its number.
    assert np.abs(theirs * len(labels) - joint.estimated).max() < 1
    np.testing.assert_allclose(joint.estimated.sum(axis=1), np.bincount(labels))
    _, noise, inverse = estimate_latent(joint.estimated, labels)
    np.testing.assert_allclose(joint.share_of_class, noise, atol=1e-6)
    np.testing.assert_allclose(joint.share_of_label.T, inverse, atol=1e-6)


@given(cases())
def test_the_doubt_is_the_odds_of_the_likeliest_other_class(case):
    labels, p = case
    scores, rival = class_doubt(labels, p)
    k = p.shape[1]
    given_p = p[np.arange(len(labels)), labels]
    usual = [p[labels == j, j].mean() if (labels == j).any() else given_p.mean() for j in range(k)]
    for label, row, score, against in zip(labels, p, scores, rival, strict=True):
        adjusted = np.maximum(row, 1e-9) / np.sqrt(np.maximum(usual, 1e-9))
        others = [adjusted[j] if j != label else -1.0 for j in range(k)]
        assert against != label
        assert others[against] == pytest.approx(max(others))
        assert score == pytest.approx(max(others) / (max(others) + adjusted[label]))


def test_a_class_as_probable_as_the_label_does_not_speak_against_it():
    labels = np.array([1, 1, 0, 2])
    p = np.array([[0.5, 0.5, 0.0], [0.2, 0.4, 0.4], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
    assert confident_classes(labels, p).tolist() == [1, 2, 0, 2]


@given(cases(), st.randoms(use_true_random=False))
def test_permuting_rows_and_classes_permutes_the_review_and_nothing_else(case, random):
    labels, p = case
    rows, columns = list(range(len(labels))), list(range(p.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    place = np.argsort(columns)
    names, classes = [f"i{row}" for row in range(len(labels))], [f"c{k}" for k in range(len(place))]
    one = review_rows(names, classes, labels, p)
    shuffled = place[labels[rows]], p[rows][:, columns]
    two = review_rows([names[row] for row in rows], [classes[k] for k in columns], *shuffled)
    np.testing.assert_allclose(one["score"], two["score"])
    assert dict(zip(one["id"], one["label"], strict=True)) == dict(
        zip(two["id"], two["label"], strict=True)
    )
    # Of classes that are as probable the first is taken, and which is first has changed.
    tied = [len(set(row.round(9))) < len(row) for row in p]
    known = {name for name, tie in zip(names, tied, strict=True) if not tie}
    suggested = [
        {row.id: row.suggested for row in found.itertuples() if row.id in known}
        for found in (one, two)
    ]
    assert suggested[0] == suggested[1]


@given(cases())
def test_the_confident_rows_of_a_review_are_those_that_the_pairs_count(case):
    labels, p = case
    classes = [f"c{k}" for k in range(p.shape[1])]
    table = review_rows([str(row) for row in range(len(labels))], classes, labels, p)
    pairs = class_pairs(confident_joint(labels, p), classes)
    found = table[table["confident"] == 1].groupby(["label", "suggested"]).size()
    assert found.to_dict() == pairs.set_index(["label", "suggested"])["counted"].to_dict()
    assert ((table["score"] > 0.5) | (table["confident"] == 1)).all()
    assert (np.diff(table["score"]) <= 0).all()
    assert (table["label"] != table["suggested"]).all()


def test_the_review_by_hand():
    # Mean probability of a over the rows labelled a: 0.6; of b over those labelled b: 0.6.
    labels = np.array([0, 0, 0, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.6])
    table = review_rows(list("vwxyz"), ["a", "b"], labels, np.stack([first, 1 - first], axis=1))
    shown = table.drop(columns="score").to_numpy().tolist()
    assert shown == [["x", "a", "b", 1, 0.1, 0.9], ["z", "b", "a", 1, 0.4, 0.6]]
    np.testing.assert_allclose(table["score"], [0.9, 0.6])


def test_changed_labels_come_first_and_their_number_is_estimated():
    labels, truth, p = noisy(rows=4000, skill=3.0)
    wrong = labels != truth
    table = review_rows(np.arange(len(labels)).astype(str), list("abcde"), labels, p)
    hits = wrong[table["id"].astype(int)]
    assert hits[: wrong.sum() // 2].mean() > 0.98
    assert hits.sum() > 0.97 * wrong.sum()
    # What the model confuses is in the estimate too: it answers 94 % of the rows rightly.
    assert wrong.sum() < confident_joint(labels, p).wrong < 1.2 * wrong.sum()
    _, _, sure = noisy(rows=4000, skill=5.0)
    assert confident_joint(labels, sure).wrong == pytest.approx(wrong.sum(), rel=0.02)
    mended = np.array(list("abcde"))[truth[table["id"].astype(int)]] == table["suggested"]
    assert mended[hits].mean() > 0.95
    # As many of the wrong ones at the top as the authors' ranking has.
    ranked = find_label_issues(labels, p, return_indices_ranked_by="normalized_margin")
    top = min(len(ranked), wrong.sum())
    assert hits[:top].sum() >= wrong[ranked[:top]].sum()


def test_right_labels_of_a_sure_model_are_not_doubted():
    labels = np.arange(30) % 3
    p = np.full((30, 3), 0.01) + 0.97 * np.eye(3)[labels]
    assert review_rows([str(n) for n in range(30)], list("abc"), labels, p).empty
    joint = confident_joint(labels, p)
    assert joint.wrong == 0
    assert class_pairs(joint, list("abc")).empty


def test_a_class_that_no_row_shows_is_never_counted_and_can_still_be_suggested():
    labels = np.array([0, 0, 1, 1])
    p = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
    joint = confident_joint(labels, p)
    assert joint.counts[:, 2].sum() == 0
    np.testing.assert_allclose(joint.estimated[2], 0)
    table = review_rows(list("wxyz"), list("abc"), labels, p)
    assert table[["id", "suggested", "confident"]].to_numpy().tolist() == [["z", "c", 0]]


def test_changed_labels_of_real_chips_are_found(real_data):
    """MSTAR with a tenth of the labels changed, and out-of-fold extra trees on its pixels."""
    table = read_table(real_data / "mstar" / "train.csv")
    chips = [cv2.imread(str(real_data / "mstar" / path), 0) for path in table["image_path"]]
    middles = [cv2.resize(c[32:96, 32:96], (24, 24), interpolation=cv2.INTER_AREA) for c in chips]
    rows = np.stack(middles).reshape(len(chips), -1)
    classes = sorted(set(table["label"]))
    truth = np.array([classes.index(label) for label in table["label"]])
    random = np.random.default_rng(0)
    changed = random.random(len(truth)) < 0.1
    labels = np.where(changed, (truth + random.integers(1, 10, len(truth))) % 10, truth)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    trees = ExtraTreesClassifier(100, min_samples_leaf=2, random_state=0)
    p = cross_val_predict(trees, rows, labels, cv=folds, method="predict_proba")
    found = review_rows(list(map(str, range(len(labels)))), classes, labels, p)
    hits = changed[found["id"].astype(int)]
    assert hits[:50].mean() > 0.95
    assert hits[: changed.sum()].mean() > 0.9
    assert hits.sum() > 0.95 * changed.sum()
    assert hits[found["confident"] == 1].mean() > 0.9
    assert confident_joint(labels, p).wrong == pytest.approx(changed.sum(), rel=0.1)
