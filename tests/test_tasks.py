"""Tasks against their definitions, and a task of one file through the commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, softmax

from comptool import tasks
from comptool.errors import InputError, UsageError
from comptool.inference.tta.merge import merge
from comptool.tasks.labels import matrix_of_numbers, number_bins
from comptool.tasks.multiclass_task import Multiclass
from comptool.tasks.ordinal_task import expected_grades

LOGITS = arrays(np.float64, (4, 3), elements=st.floats(-20, 20))
NAMES = pytest.mark.parametrize("name", tasks.names())
OF_CLASSES = pytest.mark.parametrize(
    "name", [name for name in tasks.names() if not tasks.find(name).numbers]
)


@NAMES
@given(logits=LOGITS)
def test_the_activation_of_tensors_is_that_of_arrays(name, logits):
    task = tasks.find(name)
    expected = {
        "multiclass": lambda: softmax(logits, axis=-1),
        "multilabel": lambda: expit(logits),
        "ordinal": lambda: of_grades(logits),
        "regression": lambda: logits,
    }[name]()
    np.testing.assert_allclose(task.probabilities(logits), expected, atol=1e-12)
    ours = task.activate(torch.from_numpy(logits).half().float()).numpy()
    np.testing.assert_allclose(ours, task.probabilities(logits), atol=2e-2)
    assert ours.dtype == np.float32


def of_grades(logits):
    """P(y > k) is the product of the conditional probabilities up to k."""
    ones, zeros = np.ones((len(logits), 1)), np.zeros((len(logits), 1))
    above = np.hstack([ones, np.cumprod(expit(logits), axis=1), zeros])
    return above[:, :-1] - above[:, 1:]


@given(logits=LOGITS)
def test_a_grade_needs_one_output_fewer_and_its_probabilities_sum_to_one(logits):
    task = tasks.find("ordinal")
    assert task.outputs(4) == 3
    p = task.probabilities(logits)
    assert p.shape == (4, 4)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(expected_grades(p), np.cumprod(expit(logits), axis=1).sum(axis=1))


@NAMES
@given(logits=LOGITS)
def test_one_view_is_merged_into_its_own_probabilities(name, logits):
    expected = tasks.find(name).probabilities(logits)
    np.testing.assert_allclose(merge(logits[None], "mean", name), expected, atol=1e-12)


@OF_CLASSES
@given(logits=LOGITS)
def test_ballots_are_the_answers(name, logits):
    task = tasks.find(name)
    p = task.probabilities(logits)
    answers, ballots = task.answers(p), task.ballots(p)
    assert set(np.unique(ballots)) <= {0, 1}
    if task.cells:
        np.testing.assert_array_equal(answers, ballots == 1)
    else:
        np.testing.assert_array_equal(answers, ballots.argmax(axis=1))
    if task.sums_to_one:
        np.testing.assert_array_equal(ballots.sum(axis=1), 1)


@given(labels=arrays(np.int8, (5, 3), elements=st.integers(-1, 1)))
def test_cells_are_counted_and_known(labels):
    task = tasks.of_targets(labels)
    assert task.counts(labels, 3).tolist() == [(column == 1).sum() for column in labels.T]
    assert task.annotated(labels, 3).tolist() == [(column != -1).sum() for column in labels.T]


@given(labels=arrays(np.int64, 6, elements=st.integers(0, 2)))
def test_classes_are_counted_and_known(labels):
    task = tasks.of_targets(labels)
    assert task.counts(labels, 3).tolist() == [(labels == k).sum() for k in range(3)]
    assert task.annotated(labels, 3).tolist() == [6, 6, 6]


@NAMES
def test_every_step_of_a_task_is_there(name):
    task = tasks.find(name)
    assert task.name == name
    assert all(callable(task.step(step)) for step in task.steps)
    missing = tasks.find(tasks.DEFAULT_TASK).steps.keys() - task.steps.keys()
    assert missing == ({"review", "pseudo-label", "precision"} if task.numbers else set())


def test_an_unknown_task_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="multilabel"):
        tasks.find("multi-label")


def test_metrics_of_a_task_fit_one_that_is_like_it():
    class Grades(Multiclass):
        name = "grades"
        like = ("multiclass",)

    assert Grades().takes(("multiclass",))
    assert not Grades().takes(("multilabel",))
    assert json.dumps(str(Grades())) == '"grades"'


def test_a_step_that_a_task_lacks_is_a_sentence():
    with pytest.raises(UsageError) as error:
        tasks.find("regression").step("review")
    assert str(error.value) == (
        "doubtful labels are found by the probability of each class, and the task is regression"
    )


@dataclass(frozen=True)
class Facts:
    """What a competition says of its labels."""

    id: str = "image"
    label: str = "grade"
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    train: None = None
    sample_submission: None = None


def table(*labels):
    return pd.DataFrame({"image": list(map(str, range(len(labels)))), "grade": labels})


@pytest.mark.parametrize(
    ("labels", "grades"),
    [
        (["10", "2", "1", "2"], ("1", "2", "10")),
        (["0.5", "-1", "0", "1.0"], ("-1", "0", "0.5", "1.0")),
    ],
)
def test_grades_that_are_numbers_come_in_their_order(labels, grades):
    assert tasks.find("ordinal").classes_of(Facts(), Path("t.csv"), table(*labels)) == grades


def test_two_texts_of_one_grade_are_refused():
    with pytest.raises(InputError) as error:
        tasks.find("ordinal").classes_of(Facts(), Path("t.csv"), table("2", "1.0", "1", "2"))
    assert str(error.value) == (
        "t.csv, column 'grade': two texts are one grade (found '1', '1.0'). "
        "Write each grade in one way"
    )


def test_grades_without_an_order_are_asked_for():
    task, source = tasks.find("ordinal"), Path("train.csv")
    with pytest.raises(InputError) as error:
        task.classes_of(Facts(), source, table("mild", "2", "severe"))
    assert str(error.value) == (
        "train.csv, column 'grade': the order of these grades is not known (found 'mild', "
        "'severe'). Write all grades into [data] of comptool.toml, the lowest first: "
        'classes = ["mild", "severe"]'
    )
    given = Facts(classes=("none", "mild", "severe"))
    assert task.classes_of(given, source, table("severe", "mild")) == given.classes


def test_numbers_are_read_as_they_are_written():
    found = matrix_of_numbers(Path("t.csv"), table("-3", "1e2", "0.125"), ["grade"])
    assert found.tolist() == [[-3.0], [100.0], [0.125]]


@pytest.mark.parametrize("cell", ["", "3,5", "nan", "inf", "high"])
def test_a_label_that_is_no_finite_number_is_named(cell):
    with pytest.raises(InputError) as error:
        tasks.find("regression").check_labels(Facts(), Path("train.csv"), table("1", cell))
    assert str(error.value) == (
        f"train.csv, row 2, column 'grade': the label is not a number (found '{cell}'). Write "
        "finite numbers such as 3.5, and leave rows without one out of the table"
    )


@given(numbers=arrays(np.float64, (60, 2), elements=st.floats(-9, 9)))
def test_bins_are_in_order_and_large_enough_unless_numbers_are_tied(numbers):
    numbers[:, 1] = numbers[:, 0]
    bins = number_bins(numbers, least=10)
    order = numbers[:, 0].argsort(kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    assert set(bins) == set(range(bins.max() + 1))
    if len(np.unique(numbers[:, 0])) == len(numbers):
        assert np.bincount(bins).tolist() == [10] * 6


@pytest.mark.parametrize(
    ("task", "shown", "metric"),
    [
        ("multiclass", {}, "accuracy"),
        ("multiclass", {"one_probability": True}, "auc"),
        ("multiclass", {"every_class": True}, "logloss"),
        ("ordinal", {"one_probability": True}, "quadratic-kappa"),
        ("ordinal", {"every_class": True}, "quadratic-kappa"),
        ("multilabel", {"one_probability": True}, "macro-f1"),
        ("regression", {"one_probability": True}, "rmse"),
    ],
)
def test_the_sample_submission_tells_the_metric_that_is_assumed(task, shown, metric):
    assert tasks.find(task).assumed_metric(1, **shown) == metric
