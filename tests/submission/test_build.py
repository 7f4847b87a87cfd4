"""From predictions to the sample's layout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool import tasks
from comptool.errors import SubmissionError
from comptool.io.predictions import Predictions
from comptool.submission.delivery import build
from comptool.submission.form_choice import read_layout

PROBABILITIES = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])


def predictions(classes=("cat", "dog"), pred=None) -> Predictions:
    ids = np.array(["p", "q", "r"], dtype=object)
    chosen = None if pred is None else np.array(pred, dtype=object)
    return Predictions(ids, classes, PROBABILITIES, chosen)


def submission(given: Predictions, task="multiclass", **columns) -> dict[str, list]:
    sample = pd.DataFrame(columns, dtype=object)
    layout = read_layout(sample, given.classes, task)
    return build(given, sample, layout, tasks.find(task), "preds.csv").to_dict("list")


def test_the_most_probable_class_in_the_samples_order():
    built = submission(predictions(), id=["r", "p", "q"], label=["cat"] * 3)
    assert built == {"id": ["r", "p", "q"], "label": ["cat", "dog", "cat"]}


def test_pred_wins_over_the_most_probable():
    built = submission(predictions(pred=["cat", "dog", "dog"]), id=list("pqr"), label=["cat"] * 3)
    assert built["label"] == ["cat", "dog", "dog"]


def test_classes_by_number():
    assert submission(predictions(), id=list("pqr"), label=["0"] * 3)["label"] == ["1", "0", "0"]


def test_a_column_per_class_is_matched_by_name():
    built = submission(predictions(), id=list("qpr"), dog=["0"] * 3, cat=["0"] * 3)
    assert list(built) == ["id", "dog", "cat"]
    assert built["dog"] == [0.5, 0.8, 0.1]
    assert built["cat"] == [0.5, 0.2, 0.9]


def test_the_score_is_that_of_the_answer():
    built = submission(
        predictions(pred=["cat", "cat", "cat"]), id=list("pqr"), label=["cat"] * 3, score=["1"] * 3
    )
    assert built["score"] == [0.2, 0.5, 0.9]


def test_one_probability_is_that_of_the_second_class():
    assert submission(predictions(("0", "1")), id=list("pqr"), target=["0.5"] * 3)["target"] == [
        0.8, 0.5, 0.1,
    ]  # fmt: skip


def test_lists_of_a_multiclass_task_hold_the_most_probable_classes_in_order():
    built = submission(predictions(), id=list("pqr"), labels=["cat dog", "cat dog", "dog cat"])
    assert built["labels"] == ["dog cat", "cat dog", "cat dog"]


def test_the_decision_comes_first_in_a_list():
    built = submission(
        predictions(pred=["cat", "dog", "dog"]), id=list("pqr"), labels=["cat dog"] * 3
    )
    assert built["labels"] == ["cat dog", "dog cat", "dog cat"]


def test_multilabel_probabilities_need_no_choice():
    built = submission(predictions(), "multilabel", id=list("pqr"), cat=["0"] * 3, dog=["0"] * 3)
    assert built["cat"] == [0.2, 0.5, 0.9]


def test_other_ids_are_named_on_both_sides():
    with pytest.raises(SubmissionError) as error:
        submission(predictions(), id=["p", "x", "y"], label=["cat"] * 3)
    assert str(error.value) == (
        "preds.csv, column 'id': 2 ids of the sample submission missing: 'x', 'y'; "
        "2 ids not in the sample submission: 'q', 'r'"
    )


def test_an_unknown_class_in_pred_is_refused():
    with pytest.raises(SubmissionError) as error:
        submission(predictions(pred=["cat", "cow", "dog"]), id=list("pqr"), label=["cat"] * 3)
    assert str(error.value) == (
        "preds.csv, column 'pred': no such class (found 'cow'); the classes are 'cat', 'dog'"
    )


@given(st.permutations(["p", "q", "r"]))
def test_permuting_the_sample_permutes_the_answers(order):
    answers = {"p": "dog", "q": "cat", "r": "cat"}
    built = submission(predictions(), id=order, label=["cat"] * 3)
    assert built["label"] == [answers[one] for one in order]
