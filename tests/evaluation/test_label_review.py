from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.label_review.issues import doubt, precision_and_recall, review

IDS, CLASSES = ["a", "b", "c", "d", "e"], ["sea", "cars"]
TARGETS = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [-1, 0]])
PROBABILITIES = np.array([[0.9, 0.1], [0.1, 0.2], [0.84, 0.85], [0.0, 0.55], [0.9, 0.95]])


@st.composite
def cases(draw):
    n, k, seed = (draw(st.integers(*span)) for span in [(1, 30), (1, 5), (0, 2**32 - 1)])
    random = np.random.default_rng(seed)
    return random.integers(-1, 2, (n, k)), random.random((n, k))


def odds(p):
    return p / (1 - p)


def test_the_list_by_hand():
    # Mean probabilities of cells marked present: sea 0.5, cars 0.7; odds 1 and 7 / 3.
    table = review(IDS, CLASSES, TARGETS, PROBABILITIES)
    assert table.drop(columns="score").to_numpy().tolist() == [
        ["e", "cars", 0, 1, 0.95],
        ["b", "sea", 1, 0, 0.1],
        ["c", "sea", 0, 1, 0.84],
        ["d", "cars", 1, 0, 0.55],
    ]
    of_cars, of_d = 19 / np.sqrt(7 / 3), odds(0.55) / np.sqrt(7 / 3)
    expected = [of_cars / (1 + of_cars), 0.9, 0.84, 1 / (1 + of_d)]
    np.testing.assert_allclose(table["score"], expected)


@settings(deadline=None)
@given(cases())
def test_the_odds_of_a_score_are_those_of_the_cell_over_the_root_of_the_classs(case):
    targets, p = case
    scores = doubt(targets, p)
    for index in range(targets.shape[1]):
        present = targets[:, index] == 1
        if not present.any():
            continue
        adjusted = odds(p[:, index]) / np.sqrt(odds(p[present, index].mean()))
        for label, score, ratio in zip(targets[:, index], scores[:, index], adjusted, strict=True):
            expected = {1: 1 / (1 + ratio), 0: ratio / (1 + ratio), -1: 0.0}[label]
            assert score == pytest.approx(expected, abs=1e-8)


@settings(deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_permuting_rows_and_classes_permutes_the_list_and_nothing_else(case, random):
    targets, p = case
    rows, columns = list(range(targets.shape[0])), list(range(targets.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    ids, classes = [f"i{row}" for row in rows], [f"c{column}" for column in columns]
    one = review(sorted(ids, key=lambda i: int(i[1:])), sorted(classes), targets, p)
    two = review(ids, classes, targets[rows][:, columns], p[rows][:, columns])
    np.testing.assert_allclose(one["score"], two["score"], atol=1e-12)
    by_cell = ["id", "class", "label", "suggested", "probability"]
    assert set(map(tuple, one[by_cell].to_numpy())) == set(map(tuple, two[by_cell].to_numpy()))


@settings(deadline=None)
@given(cases(), st.integers(0, 10))
def test_what_is_listed_is_known_doubted_and_in_order(case, limit):
    targets, p = case
    ids = [str(row) for row in range(len(targets))]
    classes = [str(column) for column in range(targets.shape[1])]
    table = review(ids, classes, targets, p)
    scores = doubt(targets, p)
    assert len(table) == (scores > 0.5).sum()
    assert (np.diff(table["score"]) <= 0).all()
    for row in table.itertuples():
        label = targets[int(row.id), int(row[2])]
        assert (label, row.suggested) in {(0, 1), (1, 0)}
        assert row.label == label
    first = review(ids, classes, targets, p, limit=limit)
    assert first.to_numpy().tolist() == table.head(limit).to_numpy().tolist()
    missing = review(ids, classes, targets, p, kinds=["missing"])
    assert missing.to_numpy().tolist() == table[table["label"] == 0].to_numpy().tolist()


def test_a_class_without_present_cells_borrows_the_mean_of_the_others():
    scores = doubt(np.array([[0, 1], [0, 0]]), np.array([[0.8, 0.8], [0.2, 0.2]]))
    np.testing.assert_allclose(scores[:, 0] / (1 - scores[:, 0]), [2.0, 0.125])


def test_without_any_present_cell_the_probability_is_the_score():
    scores = doubt(np.array([[0], [0], [-1]]), np.array([[0.8], [0.2], [0.9]]))
    np.testing.assert_allclose(scores, [[0.8], [0.2], [0.0]])
    assert review(["a"], ["c"], np.array([[-1]]), np.array([[0.9]])).empty


def test_probabilities_of_0_and_1_are_scored_and_keep_their_order():
    p = np.array([[1.0], [1 - 2**-24], [0.0], [0.5]], dtype=np.float32)
    scores = doubt(np.array([[0], [0], [0], [1]]), p).ravel()
    assert np.isfinite(scores).all()
    assert scores[0] > scores[1] > 0.999
    assert 0 < scores[2] < 1e-8


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kinds must be of"):
        review(IDS, CLASSES, TARGETS, PROBABILITIES, kinds=["wrong"])


def test_precision_and_recall_by_hand():
    table = review(IDS, CLASSES, TARGETS, PROBABILITIES)
    wrong = {("b", "sea"), ("e", "sea"), ("a", "cars"), ("d", "sea")}
    assert precision_and_recall(table, wrong, [1, 2, 10]) == [
        {"k": 1, "precision": 0.0, "recall": 0.0},
        {"k": 2, "precision": 0.5, "recall": 0.25},
        {"k": 10, "precision": 0.25, "recall": 0.25},
    ]


def test_deleted_labels_come_first_although_classes_are_predicted_unlike_well():
    random = np.random.default_rng(0)
    truth = random.random((2000, 6)) < 0.2
    deleted = truth & (random.random(truth.shape) < 0.1)
    sharpness = np.linspace(1, 4, 6)
    p = 1 / (1 + np.exp(-random.normal(sharpness * (2 * truth - 1), 1.0)))
    targets = (truth & ~deleted).astype(int)
    ids, classes = [str(row) for row in range(2000)], [str(column) for column in range(6)]
    wrong = {(str(row), str(column)) for row, column in np.argwhere(deleted)}
    table = review(ids, classes, targets, p, kinds=["missing"])
    quality = precision_and_recall(table, wrong, [50, len(wrong)])
    assert quality[0]["precision"] >= 0.9
    assert quality[1]["precision"] >= 0.6
