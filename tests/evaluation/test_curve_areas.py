"""Average precision and ROC areas against scikit-learn, ties and unknown cells included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from comptool.errors import InputError
from comptool.metrics import curve_areas
from comptool.metrics.metric_registry import METRICS, find, score


@st.composite
def cases(draw, unknown: bool = False):
    """Targets and probabilities of a few rows: smooth, or in coarse steps that tie."""
    n, k, seed = (draw(st.integers(*span)) for span in [(1, 40), (1, 5), (0, 2**32 - 1)])
    random = np.random.default_rng(seed)
    steps = draw(st.sampled_from([1, 2, 5, 1000]))
    p = random.integers(0, steps + 1, (n, k)) / steps
    p = p.astype(draw(st.sampled_from([np.float16, np.float32, np.float64])))
    targets = (random.random((n, k)) < random.random(k)).astype(np.int64)
    if unknown:
        targets[random.random((n, k)) < 0.4] = -1
    return targets, p


def by_scikit_learn(metric, targets, p, needs):
    """The metric of each class over its known cells, NaN where a kind of cell is missing."""
    values = []
    for labels, column in zip(targets.T, p.T, strict=True):
        known = labels != -1
        defined = needs <= set(labels[known])
        values.append(metric(labels[known], column[known]) if defined else np.nan)
    return np.array(values)


@settings(max_examples=300, deadline=None)
@given(cases() | cases(unknown=True))
def test_average_precision_is_scikit_learns(case):
    expected = by_scikit_learn(oracle.average_precision_score, *case, {1})
    np.testing.assert_allclose(curve_areas.average_precisions(*case), expected, rtol=0, atol=1e-12)


@settings(max_examples=300, deadline=None)
@given(cases() | cases(unknown=True))
def test_roc_areas_are_scikit_learns(case):
    expected = by_scikit_learn(oracle.roc_auc_score, *case, {0, 1})
    np.testing.assert_allclose(curve_areas.roc_areas(*case), expected, rtol=0, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(cases(unknown=True))
def test_micro_average_precision_is_that_of_the_known_cells(case):
    targets, p = case
    known = targets != -1
    if not (targets == 1).any():
        with pytest.raises(InputError, match="micro-map is not defined"):
            curve_areas.micro_average_precision(targets, p)
        return
    expected = oracle.average_precision_score(targets[known], p[known])
    assert curve_areas.micro_average_precision(targets, p) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases(unknown=True), st.randoms(use_true_random=False))
def test_permuting_rows_and_classes_permutes_and_nothing_else(case, random):
    targets, p = case
    rows, classes = list(range(targets.shape[0])), list(range(targets.shape[1]))
    random.shuffle(rows)
    random.shuffle(classes)
    moved = targets[rows][:, classes], p[rows][:, classes]
    np.testing.assert_allclose(
        curve_areas.average_precisions(*moved),
        curve_areas.average_precisions(*case)[classes],
        atol=1e-12,
    )
    np.testing.assert_allclose(
        curve_areas.roc_areas(*moved), curve_areas.roc_areas(*case)[classes], atol=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(cases(unknown=True))
def test_an_unknown_cell_counts_like_a_row_that_is_not_there(case):
    targets, p = case
    extra = np.full((3, targets.shape[1]), -1)
    more = np.concatenate([targets, extra]), np.concatenate([p, np.ones_like(p, shape=extra.shape)])
    np.testing.assert_array_equal(
        curve_areas.average_precisions(*more), curve_areas.average_precisions(*case)
    )


def test_a_large_table_in_single_precision_is_scikit_learns():
    random = np.random.default_rng(0)
    targets = (random.random((3000, 20)) < random.random(20) ** 2).astype(np.int8)
    p = np.clip(0.3 * targets + 0.7 * random.random((3000, 20)), 0, 1).astype(np.float32)
    np.testing.assert_allclose(
        curve_areas.average_precisions(targets, p),
        oracle.average_precision_score(targets, p, average=None),
        rtol=0,
        atol=1e-12,
    )
    assert curve_areas.macro_average_precision(targets, p) == pytest.approx(
        oracle.average_precision_score(targets, p, average="macro"), abs=1e-12
    )
    assert curve_areas.macro_roc_area(targets, p) == pytest.approx(
        oracle.roc_auc_score(targets, p, average="macro"), abs=1e-12
    )


def test_a_table_that_threads_share_is_ranked_like_its_classes_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    random = np.random.default_rng(0)
    targets = random.integers(-1, 2, (curve_areas.MANY_CELLS // 7 + 1, 7)).astype(np.int8)
    p = random.integers(0, 1000, targets.shape) / 1000
    alone = [
        curve_areas.precisions_and_areas(targets[:, [index]], p[:, [index]]) for index in range(7)
    ]
    both = curve_areas.precisions_and_areas(targets, p)
    np.testing.assert_array_equal(both, np.hstack(alone))
    np.testing.assert_array_equal(
        both, (curve_areas.average_precisions(targets, p), curve_areas.roc_areas(targets, p))
    )


def test_doubles_that_single_precision_cannot_tell_apart_are_told_apart():
    targets = np.array([[1], [0]])
    p = np.array([[0.5 + 1e-12], [0.5]])
    assert curve_areas.average_precisions(targets, p).tolist() == [1.0]
    assert curve_areas.average_precisions(targets, p[::-1]).tolist() == [0.5]


def test_negative_zero_is_zero():
    targets = np.array([[1], [0], [0]])
    p = np.array([[0.0], [-0.0], [0.5]])
    assert curve_areas.average_precisions(targets, p).tolist() == [1 / 3]


def test_the_inputs_are_left_as_they_were():
    targets, p = np.array([[1, -1], [0, 1]]), np.array([[0.25, 0.5], [0.75, 1.0]])
    curve_areas.average_precisions(targets, p)
    assert targets.tolist() == [[1, -1], [0, 1]]
    assert p.tolist() == [[0.25, 0.5], [0.75, 1.0]]


def test_a_class_without_a_present_cell_is_left_out_of_the_mean():
    targets = np.array([[1, 0, -1], [0, 0, -1]])
    p = np.array([[0.9, 0.8, 0.1], [0.95, 0.1, 0.3]])
    assert curve_areas.macro_average_precision(targets, p) == 0.5
    with pytest.raises(InputError, match=r"map is not defined: no class has a present cell$"):
        curve_areas.macro_average_precision(targets[:, 1:], p[:, 1:])
    with pytest.raises(InputError, match="auc is not defined: no class has both present and ab"):
        curve_areas.macro_roc_area(targets[:, 1:], p[:, 1:])


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf")])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(ValueError, match=r"numbers in \[0, 1\]"):
        curve_areas.average_precisions(np.array([[1], [0]]), np.array([[0.5], [value]]))


def test_other_targets_and_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must be 1, 0 or -1, not \[0, 2\]"):
        curve_areas.average_precisions(np.array([[2, 0]]), np.array([[0.5, 0.5]]))
    with pytest.raises(ValueError, match="must share a shape"):
        curve_areas.average_precisions(np.array([[1, 0]]), np.array([[0.5]]))


def test_every_multi_label_metric_is_asked_for_by_name():
    targets = np.array([[1, 0], [0, 1], [1, -1]])
    p = np.array([[0.9, 0.2], [0.1, 0.8], [0.7, 0.9]])
    values = {"k": 1, "tpr": 0.5, "class_weights": [1, 2], "beta": 1}
    for row in METRICS["multilabel"]:
        options = {name: values[name] for name in row.takes if name in values}
        metric = find(row.name, "multilabel", options)
        right, wrong = metric.score(targets, p), metric.score(targets, 1 - p)
        assert (right > wrong) == metric.greater_is_better, metric.name
    assert score("map", targets, p) == 1.0
