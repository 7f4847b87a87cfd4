"""Metrics against scikit-learn, with ties and with classes that do not occur."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from comptool import metrics
from comptool.errors import InputError, UsageError
from comptool.metrics import multiclass, ranking
from comptool.metrics.metric_registry import METRICS, score


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
    assert ranking.macro_roc_area(targets, p) == pytest.approx(np.mean(areas))


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
    for metric in METRICS["multiclass"]:
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
    assert [metric.name for metric in METRICS["multiclass"] if not metric.greater_is_better] == [
        "logloss"
    ]
    targets, p = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    for metric in METRICS["multiclass"]:
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


def weighted_by_scikit_learn(name, targets, p, w):
    """The metric of weighted rows by scikit-learn; None where it has none or does not define it."""
    if targets.ndim == 1:
        pred, classes = p.argmax(axis=1), range(p.shape[1])
        if name == "auc":
            areas = [
                oracle.roc_auc_score(targets == k, p[:, k], sample_weight=w)
                for k in classes
                if 0 < w[targets == k].sum() < w.sum()
            ]
            return np.mean(areas) if areas else None
        return {
            "accuracy": lambda: oracle.accuracy_score(targets, pred, sample_weight=w),
            "balanced-accuracy": lambda: oracle.balanced_accuracy_score(
                targets, pred, sample_weight=w
            ),
            "macro-f1": lambda: oracle.f1_score(
                targets[w > 0],
                pred[w > 0],
                average="macro",
                zero_division=0,
                sample_weight=w[w > 0],
            ),
            "kappa": lambda: oracle.cohen_kappa_score(targets, pred, sample_weight=w),
            "logloss": lambda: oracle.log_loss(targets, p, labels=list(classes), sample_weight=w),
        }[name]()
    cells = np.broadcast_to(w[:, None], targets.shape)
    known = (targets >= 0) & (cells > 0)
    if name in ("map", "auc"):
        measure, needs = {
            "map": (oracle.average_precision_score, {1}),
            "auc": (oracle.roc_auc_score, {0, 1}),
        }[name]
        values = [
            measure(t[there], q[there], sample_weight=w[there])
            for t, q, there in zip(targets.T, p.T, known.T, strict=True)
            if needs <= set(t[there])
        ]
        return np.mean(values) if values else None
    if not known.any():
        return None
    flat = targets[known], p[known]
    if name == "micro-map":
        if not (flat[0] == 1).any():
            return None
        return oracle.average_precision_score(*flat, sample_weight=cells[known])
    if name == "logloss":
        return oracle.log_loss(*flat, labels=[0, 1], sample_weight=cells[known])
    if name == "micro-f1":
        return oracle.f1_score(flat[0], flat[1] > 0.5, zero_division=0, sample_weight=cells[known])
    answers = (p > 0.5) & (targets >= 0)
    if name == "macro-f1":
        present = ((targets == 1) & (cells > 0)).any(axis=0)
        values = [
            oracle.f1_score(targets[:, k] == 1, answers[:, k], zero_division=0, sample_weight=w)
            for k in np.flatnonzero(present)
        ]
        return np.mean(values) if values else None
    rows = known.any(axis=1)
    return oracle.fbeta_score(
        targets[rows] == 1,
        answers[rows],
        beta=2,
        average="samples",
        zero_division=0,
        sample_weight=w[rows],
    )


@settings(max_examples=60, deadline=None)
@given(answers(), st.booleans(), st.booleans(), st.data())
def test_every_metric_of_weighted_rows_is_scikit_learns(case, several, whole, data):
    targets, p = case
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    w = rng.integers(0, 3, len(p)).astype(float) if whole else rng.random(len(p)) + 0.1
    assume(w.any())
    if several:
        targets = rng.choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=p.shape)
        p = p.clip(1e-6, 1 - 1e-6)
    for metric in METRICS["multilabel" if several else "multiclass"]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = weighted_by_scikit_learn(metric.name, targets, p, w)
        if expected is None:
            with pytest.raises(InputError, match="is not defined"):
                score(metric.name, targets, p, w)
            continue
        expected = 1.0 if np.isnan(expected) else expected
        assert score(metric.name, targets, p, w) == pytest.approx(expected), metric.name
        if whole:
            again = np.repeat(np.arange(len(p)), w.astype(int))
            assert score(metric.name, targets[again], p[again]) == pytest.approx(expected)


def test_each_metric_is_a_function_of_the_package():
    targets, p = np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]])
    assert metrics.accuracy(targets, p, np.array([1, 3])) == 0.25
    assert metrics.macro_f1(np.eye(2, dtype=int), np.eye(2)) == 1.0
    assert metrics.f_beta(np.eye(2, dtype=int), np.eye(2)) == 1.0
    with pytest.raises(AttributeError, match="no attribute 'accuracies'"):
        metrics.accuracies(targets, p)


def test_a_users_function_is_a_metric_with_and_without_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "def plain(targets, probabilities):\n"
        "    return np.mean(probabilities[np.arange(len(targets)), targets])\n"
        "def weighted(targets, probabilities, weights=None):\n"
        "    return np.average(probabilities[np.arange(len(targets)), targets], weights=weights)\n"
    )
    targets, p = np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]])
    for name in ("own.py:plain", "own.py:weighted"):
        assert score(name, targets, p) == pytest.approx(0.65)
        assert score(name, targets, p, np.array([1.0, 4.0])) == pytest.approx(0.5)
