"""Tasks against their definitions, and a task of one file through the commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, softmax

from comptool import tasks
from comptool.errors import UsageError
from comptool.inference.tta.merge import merge
from comptool.tasks.multiclass_task import Multiclass

LOGITS = arrays(np.float64, (4, 3), elements=st.floats(-20, 20))
NAMES = pytest.mark.parametrize("name", tasks.names())


@NAMES
@given(logits=LOGITS)
def test_the_activation_of_tensors_is_that_of_arrays(name, logits):
    task = tasks.find(name)
    expected = expit(logits) if task.cells else softmax(logits, axis=-1)
    np.testing.assert_allclose(task.probabilities(logits), expected, atol=1e-12)
    ours = task.activate(torch.from_numpy(logits).half().float()).numpy()
    np.testing.assert_allclose(ours, task.probabilities(logits), atol=2e-2)
    assert ours.dtype == np.float32


@NAMES
@given(logits=LOGITS)
def test_one_view_is_merged_into_its_own_probabilities(name, logits):
    expected = tasks.find(name).probabilities(logits)
    np.testing.assert_allclose(merge(logits[None], "mean", name), expected, atol=1e-12)


@NAMES
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
    assert task.steps.keys() == tasks.find(tasks.DEFAULT_TASK).steps.keys()


def test_an_unknown_task_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="multilabel"):
        tasks.find("multi-label")


def test_losses_and_metrics_of_a_task_fit_one_that_is_like_it():
    class Grades(Multiclass):
        name = "grades"
        like = ("multiclass",)

    assert Grades().takes(("multiclass",))
    assert not Grades().takes(("multilabel",))
    assert json.dumps(str(Grades())) == '"grades"'
