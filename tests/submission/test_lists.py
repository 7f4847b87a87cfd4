"""Multi-label submissions: lists of classes above a threshold, and columns of 1 and 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool import tasks
from comptool.errors import SubmissionError, UsageError
from comptool.io.predictions import Predictions
from comptool.submission.class_lists import first_class_number
from comptool.submission.delivery import build, check
from comptool.submission.form_choice import read_layout

CLASSES = ("cat", "dog", "emu")
PROBABILITIES = np.array([[0.9, 0.2, 0.6], [0.5, 0.1, 0.3], [0.51, 0.7, 0.99]])


def submitted(answers, classes=CLASSES, threshold=None) -> list[str]:
    """The answers to a sample with these lists, checked against it."""
    ids = np.array(["p", "q", "r"], dtype=object)
    sample = pd.DataFrame({"id": ids, "labels": answers}, dtype=object)
    layout = read_layout(sample, classes, "multilabel")
    assert layout.form.name == "list"
    given = Predictions(ids, classes, PROBABILITIES)
    table = build(given, sample, layout, tasks.find("multilabel"), "preds.csv", threshold)
    check(table, sample, layout, "s.csv")
    return table["labels"].tolist()


@pytest.mark.parametrize(
    ("answers", "lists"),
    [
        (["cat dog", "", ""], ["cat emu", "", "cat dog emu"]),
        (["cat,dog", "", ""], ["cat,emu", "", "cat,dog,emu"]),
        (["cat, dog", "emu", ""], ["cat, emu", "", "cat, dog, emu"]),
        (["cat", "cat", "cat"], ["cat emu", "", "cat dog emu"]),
        (["", "", ""], ["cat emu", "", "cat dog emu"]),
        (["0 1", "2", ""], ["0 2", "", "0 1 2"]),
        (["1,2", "2", ""], ["0,2", "", "0,1,2"]),
    ],
)
def test_classes_above_one_half_are_listed_as_the_sample_lists_them(answers, lists):
    assert submitted(answers) == lists


def test_a_threshold_of_its_own():
    assert submitted(["cat dog", "", ""], threshold=0.1) == [
        "cat dog emu",
        "cat emu",
        "cat dog emu",
    ]
    assert submitted(["cat dog", "", ""], threshold=0.95) == ["", "", "emu"]


def test_classes_with_a_blank_are_joined_by_commas():
    classes = ("golf course", "quay/pier", "Österreich")
    assert submitted(["", "", ""], classes) == [
        "golf course,Österreich", "", "golf course,quay/pier,Österreich",
    ]  # fmt: skip
    sample = pd.DataFrame({"id": ["p"], "labels": ["golf course"]}, dtype=object)
    assert read_layout(sample, classes, "multilabel").notes == (
        "classes are joined by commas, for 'golf course' hold a blank",
    )


def test_a_class_with_a_comma_in_its_name_cannot_be_listed():
    with pytest.raises(SubmissionError) as error:
        submitted(["sea,pier", "", ""], ("sea", "pier", "roof, tiled"))
    assert str(error.value) == (
        "a list joined by commas cannot name 'roof, tiled': a comma is part of the name"
    )
    with pytest.raises(SubmissionError, match="a list joined by semicolons cannot name 'a; b'"):
        submitted(["sea; pier", "", ""], ("sea", "pier", "a; b"))
    # With another separator, or by its number, it can.
    tiled = ("sea", "pier", "roof, tiled")
    assert submitted(["sea; pier", "", ""], tiled) == [
        "sea; roof, tiled",
        "",
        "sea; pier; roof, tiled",
    ]
    assert submitted(["0,1", "", ""], ("sea", "pier", "roof, tiled")) == ["0,2", "", "0,1,2"]


def test_columns_hold_probabilities_or_answers():
    ids = np.array(["p", "q", "r"], dtype=object)
    sample = pd.DataFrame({"id": ids, "emu": "0", "cat": "0", "dog": "0"}, dtype=object)
    layout = read_layout(sample, CLASSES, "multilabel")
    given, task = Predictions(ids, CLASSES, PROBABILITIES), tasks.find("multilabel")
    plain = build(given, sample, layout, task, "preds.csv")
    assert plain["cat"].tolist() == [0.9, 0.5, 0.51]
    indicators = read_layout(sample, CLASSES, "multilabel", by_threshold=True)
    assert indicators.form.name == "indicators"
    answers = build(given, sample, indicators, task, "preds.csv", 0.5)
    assert answers.to_numpy().tolist() == [["p", 1, 1, 0], ["q", 0, 0, 0], ["r", 1, 1, 1]]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("cat cow", "s.csv, row 1, column 'labels': a class that is unknown; they are 'cat', "
         "'dog', 'emu' (found 'cat cow')"),
        ("cat dog cat", "s.csv, row 1, column 'labels': names a class twice (found 'cat dog cat')"),
        ("cat,dog", "s.csv, row 1, column 'labels': a class that is unknown; they are 'cat', "
         "'dog', 'emu' (found 'cat,dog')"),
    ],
)  # fmt: skip
def test_a_list_that_an_organiser_would_refuse_is_named(cell, message):
    sample = pd.DataFrame({"id": ["p"], "labels": ["cat dog"]}, dtype=object)
    layout = read_layout(sample, CLASSES, "multilabel")
    with pytest.raises(SubmissionError) as error:
        check(sample.assign(labels=[cell]), sample, layout, "s.csv")
    assert str(error.value) == message


def test_a_sample_with_one_class_and_a_score_is_none_of_a_multi_label_competition():
    sample = pd.DataFrame({"id": ["p"], "label": "cat", "score": "0.5"}, dtype=object)
    with pytest.raises(SubmissionError) as error:
        read_layout(sample, CLASSES, "multilabel")
    assert str(error.value) == (
        "the sample submission asks for one class and its score, and the competition is "
        "multi-label; it needs a list of classes or one column per class"
    )


def test_a_threshold_needs_a_multi_label_competition():
    sample = pd.DataFrame({"id": ["p"], "label": ["cat"]}, dtype=object)
    with pytest.raises(UsageError, match="--threshold is for multi-label competitions"):
        read_layout(sample, CLASSES, "multiclass", by_threshold=True)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_adds_a_class(one, other):
    low, high = sorted((one, other))
    for more, less in zip(
        submitted(["a b", "", ""], ("a", "b", "c"), low),
        submitted(["a b", "", ""], ("a", "b", "c"), high),
        strict=True,
    ):
        assert set(less.split()) <= set(more.split())


@pytest.mark.parametrize(
    ("answers", "first", "of_sample"),
    [
        (["1", "3"], 1, None),
        (["1", "2"], 0, 0),
        (["1", "2", "3"], 1, 1),
        (["0", "2"], 0, 0),
        (["4"], None, None),
        (["cat", "1"], None, None),
    ],
)
def test_class_numbers_count_from_1_in_a_sample_only_if_all_are_there(answers, first, of_sample):
    assert first_class_number(answers, CLASSES) == first
    assert first_class_number(answers, CLASSES, strict=True) == of_sample


@pytest.mark.parametrize(("usual", "first"), [(0, 0), (1, 1)])
def test_numbers_that_leave_it_open_count_as_usual(usual, first):
    assert first_class_number(["1", "2"], CLASSES, usual=usual) == first
