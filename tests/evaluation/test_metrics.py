"""Metrics against scikit-learn, with ties and with classes that do not occur."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from comptool.competition.schema import METRICS as NAMES_OF_FACTS
from comptool.competition.schema import TASKS
from comptool.errors import InputError, UsageError
from comptool.metrics import multiclass
from comptool.metrics.multiclass import METRICS, score, table


@st.composite
def answers(draw):
    k, n, seed = (draw(st.integers(*span)) for span in [(2, 5), (1, 30), (0, 2**32 - 1)])
    random = np.random.default_rng(seed)
    # A few coarse steps, so that ties are the rule.
    p = random.integers(1, 4, (n, k)) if draw(st.booleans()) else random.random((n, k)) + 1e-6
    return random.integers(0, k, n), p / p.sum(axis=1, keepdims=True)


@settings(max_examples=80, deadline=None)
@given(answers())
def test_decisions_are_graded_as_scikit_learn_grades_them(case):
    targets, p = case
    pred = p.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert multiclass.accuracy(targets, p) == pytest.approx(
            oracle.accuracy_score(targets, pred)
        )
        assert multiclass.balanced_accuracy(targets, p) == pytest.approx(
            oracle.balanced_accuracy_score(targets, pred)
        )
        assert multiclass.macro_f1(targets, p) == pytest.approx(
            oracle.f1_score(targets, pred, average="macro", zero_division=0)
        )
        expected = oracle.cohen_kappa_score(targets, pred)
    assert multiclass.kappa(targets, p) == pytest.approx(1.0 if np.isnan(expected) else expected)


@settings(max_examples=80, deadline=None)
@given(answers())
def test_probabilities_are_graded_as_scikit_learn_grades_them(case):
    targets, p = case
    labels = list(range(p.shape[1]))
    assert multiclass.logloss(targets, p) == pytest.approx(
        oracle.log_loss(targets, p, labels=labels)
    )
    areas = [
        oracle.roc_auc_score(targets == k, p[:, k])
        for k in labels
        if 0 < (targets == k).sum() < len(targets)
    ]
    assume(areas)
    assert multiclass.auc(targets, p) == pytest.approx(np.mean(areas))


@settings(max_examples=40, deadline=None)
@given(answers(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_classes_changes_no_metric(case, random):
    targets, p = case
    # Ties go to the first class, so a permutation of classes may change an answer.
    assume(all(len(np.unique(row)) == len(row) for row in p))
    rows, columns = list(range(len(p))), list(range(p.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    place = np.argsort(columns)
    for metric in METRICS:
        if metric.name == "auc" and len(set(targets)) == 1:
            continue
        expected = score(metric.name, targets, p)
        assert score(metric.name, targets[rows], p[rows]) == pytest.approx(expected)
        assert score(metric.name, place[targets], p[:, columns]) == pytest.approx(expected)


def test_a_sure_and_wrong_answer_costs_a_finite_loss():
    assert 30 < multiclass.logloss(np.array([0]), np.array([[0.0, 1.0]])) < 40


def test_a_decision_replaces_the_most_probable_class_where_it_counts():
    targets, p = np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]])
    decided = np.array([0, 1])
    assert score("accuracy", targets, p) == 0.5
    assert score("accuracy", targets, p, pred=decided) == 1.0
    assert score("logloss", targets, p, pred=decided) == score("logloss", targets, p)


def test_what_is_better_is_said_of_each_metric():
    assert [metric.name for metric in METRICS if not metric.greater_is_better] == ["logloss"]
    targets, p = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    for metric in METRICS:
        right, wrong = score(metric.name, targets, p), score(metric.name, targets, p[:, ::-1])
        assert (right > wrong) == metric.greater_is_better


def test_an_unknown_metric_gets_the_nearest_names():
    with pytest.raises(UsageError, match="no metric is called 'acuracy'; did you mean 'accuracy'"):
        score("acuracy", np.array([0]), np.array([[1.0, 0.0]]))


def test_what_is_not_defined_is_told():
    with pytest.raises(InputError, match="all of one class"):
        score("auc", np.array([1, 1]), np.array([[0.4, 0.6], [0.3, 0.7]]))
    with pytest.raises(InputError, match="no rows to compute accuracy"):
        score("accuracy", np.array([], int), np.zeros((0, 2)))


def test_a_competition_can_be_ranked_by_every_metric_and_by_no_other():
    assert {name for task in TASKS for name in table(task).names} == set(NAMES_OF_FACTS)
