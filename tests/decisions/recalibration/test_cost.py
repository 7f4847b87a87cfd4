"""Answers of least expected cost, and the costs of a taxonomy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comptool.errors import UsageError
from comptool.metrics import find
from comptool.postprocess.calibration.context import CalibrationContext, LabelledRows
from comptool.postprocess.calibration.cost import cheapest, cost, measured, read_tree, tree_costs


def test_a_dear_mistake_is_avoided_at_a_small_probability():
    costs = np.array([[0.0, 1, 1], [1, 0, 1], [10, 10, 0]])
    p = np.array([[0.8, 0.11, 0.09], [0.8, 0.05, 0.15], [0.3, 0.6, 0.1], [0.5, 0.41, 0.09]])
    # Answering c costs 1 - p[c]; answering a costs p[b] + 10 p[c].
    assert cheapest(p, costs).tolist() == [2, 2, 2, 2]
    assert cheapest(np.array([[0.9, 0.05, 0.05]]), costs).tolist() == [0]


def test_equal_costs_of_all_mistakes_give_the_most_probable_class():
    p = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    assert (cheapest(p, 1 - np.eye(5)) == p.argmax(axis=1)).all()
    assert (cheapest(p, np.zeros((5, 5))) == p.argmax(axis=1)).all()


def test_no_other_answer_is_cheaper():
    rng = np.random.default_rng(1)
    p, costs = rng.dirichlet(np.ones(4), 100), rng.uniform(0, 5, (4, 4))
    found = cheapest(p, costs)
    for row, label in zip(p, found, strict=True):
        assert row @ costs[:, label] == pytest.approx(min(row @ costs[:, k] for k in range(4)))


def test_the_answers_of_calibrated_rows_cost_what_they_promise():
    rng = np.random.default_rng(2)
    p, costs = rng.dirichlet(np.ones(4), 20_000), rng.uniform(0, 5, (4, 4))
    targets = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    found = measured(LabelledRows(p, targets), costs)
    context = CalibrationContext(
        classes=tuple("abcd"), metric=find("expected-cost", "multiclass", {"cost": costs.tolist()})
    )
    answer = cost(context)(p)
    assert found["out_of_fold_cost"] == pytest.approx(answer.facts["expected_cost"], abs=0.05)
    assert found["plain"] == pytest.approx(answer.facts["expected_cost_plain"], abs=0.05)
    assert 0 < found["gain_low"] < found["gain"] < found["gain_high"]
    assert answer.kept.all()


def tree(text):
    path = Path("tree.csv")
    path.write_text(text)
    return read_tree(path)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_costs_of_a_tree_of_parents_are_edges_to_the_common_ancestor():
    found = tree("class,parent\ncat,pet\ndog,pet\npet,animal\nwolf,animal\noak,plant\n")
    costs = tree_costs(found, ["cat", "dog", "wolf", "oak", "pet"], Path("tree.csv"))
    assert costs.tolist() == [
        [0, 1, 2, 3, 1],  # an inner node as a class is one edge from its children
        [1, 0, 2, 3, 1],
        [2, 2, 0, 2, 1],
        [3, 3, 2, 0, 2],
        [1, 1, 1, 2, 0],
    ]


def test_levels_may_stand_in_any_order():
    narrow = "class,genus,family\ncat,felis,felidae\nlion,panthera,felidae\nfox,vulpes,canidae\n"
    wide = "class,family,genus\ncat,felidae,felis\nlion,felidae,panthera\nfox,canidae,vulpes\n"
    one, two = (
        tree_costs(tree(text), ["cat", "lion", "fox"], Path("x")) for text in (narrow, wide)
    )
    assert one.tolist() == two.tolist() == [[0, 2, 3], [2, 0, 3], [3, 3, 0]]


def test_a_tree_prefers_the_middle_of_the_probable_family():
    costs = tree_costs({"cat": "p", "dog": "p", "oak": "t"}, ["cat", "dog", "oak"], Path("x"))
    assert cheapest(np.array([[0.31, 0.29, 0.4]]), costs).tolist() == [0]


def test_costs_have_to_be_known():
    context = CalibrationContext(classes=("a", "b"))
    with pytest.raises(UsageError, match="--cost MATRIX"):
        cost(context)
