"""What a sample submission is taken to ask for."""

from __future__ import annotations

import pandas as pd
import pytest

from comptool.errors import SubmissionError
from comptool.submission.form_choice import read_layout
from comptool.tasks.labels import positive_class


def sample(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


def test_one_class_by_its_name():
    layout = read_layout(
        sample(image_id=["1", "2"], class_id=["0", "0"]), "0 1 2".split(), "multiclass"
    )
    assert (layout.form.name, layout.answer, layout.as_index) == ("label", "class_id", False)
    assert layout.answers == ("0", "1", "2")


def test_class_numbers_where_classes_are_words():
    layout = read_layout(sample(id=["1"], label=["1"]), ("cat", "dog"), "multiclass")
    assert layout.as_index
    assert layout.answers == ("0", "1")
    assert layout.notes == (
        "'1' in the sample submission are taken for class numbers: 0=cat, 1=dog",
    )


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_class_numbers_from_1_are_written_from_1(task):
    layout = read_layout(sample(id=["1", "2", "3"], label=["3", "1", "2"]), tuple("abc"), task)
    assert (layout.as_index, layout.answers) == (True, ("1", "2", "3"))
    assert layout.notes[0].endswith("are taken for class numbers: 1=a, 2=b, 3=c")


def test_of_many_class_numbers_the_first_and_the_last_are_said():
    names = [f"k{number}" for number in range(12)]
    table = sample(id=["1"], label=["0"])
    assert read_layout(table, names[:10], "multiclass").notes[0].endswith("8=k8, 9=k9")
    assert (
        read_layout(table, names, "multiclass")
        .notes[0]
        .endswith("0=k0, 1=k1, 2=k2, 3=k3, 4=k4, 5=k5, 6=k6, 7=k7, 8=k8, ..., 11=k11")
    )


def test_a_placeholder_that_is_no_class():
    layout = read_layout(sample(id=["1"], label=["0"]), ("1", "2", "3"), "multiclass")
    assert not layout.as_index
    assert layout.answers == ("1", "2", "3")
    assert layout.notes == ("'0' in the sample submission are taken for placeholders",)


def test_one_column_per_class_in_any_order():
    layout = read_layout(sample(id=["1"], b=["0.5"], a=["0.5"]), ("a", "b"), "multiclass")
    assert (layout.form.name, layout.columns) == ("probabilities", ("id", "b", "a"))


def test_a_class_with_a_score_beside_it():
    table = sample(image_id=["1"], class_id=["0"], score=["0.5"])
    layout = read_layout(table, ("0", "1"), "multiclass")
    assert (layout.form.name, layout.answer, layout.score) == ("label", "class_id", "score")


@pytest.mark.parametrize(
    ("column", "given", "positive", "note"),
    [
        ("dog", None, 1, "is the probability of class 'dog', as its name says"),
        ("cat", None, 0, "is the probability of class 'cat', as its name says"),
        ("target", None, 1, "is presumed to be the probability of class 'dog', the second; "
         "--positive-class cat makes it that of the other"),
        ("target", "cat", 0, "is the probability of class 'cat', as positive-class says"),
        ("dog", "cat", 0, "is the probability of class 'cat', as positive-class says"),
    ],
)  # fmt: skip
def test_one_probability_of_two_classes(column, given, positive, note):
    table = sample(**{"id": ["1"], column: ["0.5"]})
    layout = read_layout(table, ("cat", "dog"), "multiclass", positive=given)
    assert (layout.form.name, layout.positive) == ("probability", positive)
    assert layout.notes == (f"column '{column}' {note}",)


def test_lists_of_one_class_per_image_are_rankings():
    layout = read_layout(sample(id=["1", "2"], labels=["a b", "c"]), "a b c".split(), "multiclass")
    assert (layout.form.name, layout.k) == ("top-k", 2)


def test_a_class_name_with_a_blank_is_not_several_classes():
    table = sample(id=["1"], label=["box truck"])
    assert read_layout(table, ("box truck", "van"), "multiclass").form.name == "label"


def test_multilabel_answers_are_lists():
    assert read_layout(sample(id=["1"], y=["a"]), ("a", "b"), "multilabel").form.name == "list"


def test_without_known_classes_the_columns_are_the_classes():
    layout = read_layout(sample(id=["1"], x=["0"], y=["1"]), None, "multiclass")
    assert (layout.form.name, layout.classes) == ("probabilities", ("x", "y"))
    assert read_layout(sample(id=["1"], x=["0"]), None, "multiclass").answers is None


@pytest.mark.parametrize(
    ("table", "classes", "message"),
    [
        (sample(id=["1"]), ("a", "b"), "the sample submission has an id column and no column "),
        (sample(id=["1"], a=["0"], x=["0"]), ("a", "b"),
         "the sample submission asks for 'x', which is not a class; it has no column for 'b'"),
        (sample(id=["1"], p=["0.5"]), ("a", "b", "c"),
         "the sample submission asks for one probability in column 'p', which fits two classes; "),
        (sample(id=["1"], a=["0.5"]), ("a", "b", "c"),
         "the sample submission asks for class 'a' alone; there are 3"),
    ],
)  # fmt: skip
def test_what_predictions_cannot_give_is_refused(table, classes, message):
    with pytest.raises(SubmissionError) as error:
        read_layout(table, classes, "multiclass")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("column", "classes", "positive"),
    [
        ("is_iceberg", ("iceberg", "ship"), 0),
        ("Abnormal", ("abnormal", "normal"), 0),
        ("malignant_prob", ("benign", "malignant"), 1),
        ("target", ("0", "1"), 1),
        ("hasCactus", ("cactus", "no cactus"), 0),
    ],
)
def test_one_probability_is_that_of_the_class_that_the_column_names(column, classes, positive):
    assert positive_class(column, classes)[0] == positive
