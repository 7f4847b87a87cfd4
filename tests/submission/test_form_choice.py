"""Which answer form is taken: columns, metric and task decide, placeholders do not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from comptool import tasks
from comptool.errors import SubmissionError, UsageError
from comptool.io.predictions import Predictions
from comptool.io.text_tables import NAMELESS
from comptool.metrics import Metric, find
from comptool.submission import form_choice
from comptool.submission.answer_forms import FORMS, Label, most_probable
from comptool.submission.delivery import build, check
from comptool.submission.form_choice import read_layout
from comptool.submission.sample_submission import Layout
from comptool.tasks import Task
from comptool.tasks.multiclass_task import Multiclass

WORDS, GRADES, FIVE = ("cat", "dog"), ("0", "1"), tuple("abcde")
NUMBERS = replace(find("logloss", "multiclass"), name="rmse", reads="numbers")


class Quantity(Multiclass):
    """Numbers for answers."""

    name = "quantity"
    numbers = True


class Graded(Multiclass):
    """Grades, answered with the mean rounded."""

    name = "graded"

    def answers(self, probabilities):
        return np.rint(probabilities @ np.arange(probabilities.shape[1])).astype(int)


def sample(answers: list[str], column: str = "target") -> pd.DataFrame:
    ids = [f"i{number}" for number in range(len(answers))]
    return pd.DataFrame({"id": ids, column: answers}, dtype=object)


def chosen(
    table: pd.DataFrame,
    classes: tuple[str, ...],
    metric: str | Metric | None,
    task: str | Task = "multiclass",
    **more,
) -> Layout:
    kind = tasks.find(task) if isinstance(task, str) else task
    known = find(metric, kind) if isinstance(metric, str) else metric
    return read_layout(table, classes, kind, metric=known, **more)


@pytest.mark.parametrize(
    ("answers", "classes", "metric", "task", "form", "as_index"),
    [
        # one column, placeholders of any kind
        (["0", "0"], GRADES, "auc", "multiclass", "probability", False),
        (["0", "0"], GRADES, "logloss", "multiclass", "probability", False),
        (["", ""], GRADES, "auc", "multiclass", "probability", False),
        (["0.5", "0.5"], GRADES, "auc", "multiclass", "probability", False),
        (["0.5", "0.5"], GRADES, "accuracy", "multiclass", "label", False),
        (["0.5", "0.5"], WORDS, "accuracy", "multiclass", "label", True),
        (["0", "0"], GRADES, "accuracy", "multiclass", "label", False),
        (["", ""], WORDS, "macro-f1", "multiclass", "label", False),
        (["0.3", "0.1"], FIVE, "accuracy", "multiclass", "label", True),
        # lists in order, of whatever the sample shows
        (["a b c", "a b c"], FIVE, "map@3", "multiclass", "top-k", False),
        (["a", "a"], FIVE, "map@3", "multiclass", "top-k", False),
        (["0", "0"], FIVE, "map@3", "multiclass", "top-k", True),
        (["a b c", "a b c"], FIVE, None, "multiclass", "top-k", False),
        (["a b c", "d"], FIVE, "map@3", "multilabel", "top-k", False),
        (["a b", ""], FIVE, "micro-f1", "multilabel", "list", False),
        # the sample alone
        (["0.5", "0.5"], GRADES, None, "multiclass", "probability", False),
        (["0", "0"], GRADES, None, "multiclass", "label", False),
        (["a b", ""], FIVE, None, "multilabel", "list", False),
    ],
)
def test_one_column(answers, classes, metric, task, form, as_index):
    layout = chosen(sample(answers), classes, metric, task)
    assert (layout.form.name, layout.as_index) == (form, as_index)


@pytest.mark.parametrize(
    ("cells", "metric", "task", "form"),
    [
        ("0", "logloss", "multiclass", "probabilities"),
        ("0.25", "logloss", "multiclass", "probabilities"),
        ("", "auc", "multilabel", "probabilities"),
        ("0", "map", "multilabel", "probabilities"),
        ("0", "map@3", "multiclass", "probabilities"),
        ("0", "accuracy", "multiclass", "indicators"),
        ("", "micro-f1", "multilabel", "indicators"),
        ("1", None, "multilabel", "probabilities"),
    ],
)
def test_a_column_per_class(cells, metric, task, form):
    table = pd.DataFrame({"id": ["1"], "b": [cells], "a": [cells]}, dtype=object)
    assert chosen(table, ("a", "b"), metric, task).form.name == form


def test_the_choice_is_explained():
    assert chosen(sample(["0"]), GRADES, "auc").reason == "as the metric auc reads probabilities"
    assert chosen(sample(["0.5"]), GRADES, "accuracy").reason == (
        "as the metric accuracy reads classes and '0.5' in the sample submission is taken for a "
        "placeholder (--form probability writes probabilities)"
    )
    assert chosen(sample(["0"]), GRADES, None).reason == "as the sample submission shows"
    assert chosen(sample(["0"]), GRADES, "auc", form="label").reason == "as --form says"


@pytest.mark.parametrize(
    ("table", "classes", "metric", "task", "message"),
    [
        (sample(["0"]), FIVE, "auc", "multiclass",
         "the metric auc reads probabilities, and the sample submission has one column, 'target', "
         "for 5 classes. Say what is asked for: --form label, or correct 'metric' in "
         "comptool.toml"),
        (sample(["cat"]), WORDS, "auc", "multiclass",
         "the metric auc reads probabilities, but the sample submission does not look like one "
         "probability: its cells hold 'cat'. Say what is asked for: --form probability or --form "
         "label, or correct 'metric' in comptool.toml"),
        (sample(["a b c"]), FIVE, "accuracy", "multiclass",
         "the metric accuracy reads classes, but the sample submission does not look like one "
         "class: its cells hold lists of classes, such as 'a b c'. Say what is asked for: --form "
         "top-k or --form label, or correct 'metric' in comptool.toml"),
        (pd.DataFrame({"id": ["1"], "a": ["0.25"], "b": ["0.75"]}), ("a", "b"), "accuracy",
         "multiclass",
         "the metric accuracy reads classes, but the sample submission does not look like 1 or 0 "
         "per class: its cells hold '0.25'. Say what is asked for: --form probabilities or --form "
         "indicators, or correct 'metric' in comptool.toml"),
        (sample(["a b"]), FIVE, "map", "multilabel",
         "the metric map reads probabilities, and the sample submission has one column, 'target', "
         "for 5 classes. Say what is asked for: --form top-k or --form list, or correct 'metric' "
         "in comptool.toml"),
        (sample(["0"], "dog"), WORDS, "accuracy", "multiclass",
         "the metric accuracy reads classes, and the sample submission has one column, 'dog', for "
         "2 classes. Say what is asked for: --form probability, or correct 'metric' in "
         "comptool.toml"),
    ],
)  # fmt: skip
def test_a_contradiction_names_the_option_that_settles_it(table, classes, metric, task, message):
    with pytest.raises(SubmissionError) as error:
        chosen(table, classes, metric, task)
    assert str(error.value) == message
    form = message.partition("--form ")[2].partition(" ")[0].strip(",")
    assert chosen(table, classes, metric, task, form=form).form.name == form


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("probabilities", "--form probabilities: the sample submission has one column of answers, "
         "'target'"),
        ("probability", "--form probability: one probability fits two classes; there are 5"),
        ("top-k", "--form top-k: neither the metric nor a list in the sample submission says how "
         "many classes"),
        ("list", "--form list: an image has one class"),
        ("numbers", "--form numbers: the classes are not numbers"),
        ("lable", "no answer form is called 'lable'; did you mean 'label', 'probabilities' or "
         "'probability'?"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_written_here(form, message):
    with pytest.raises(UsageError) as error:
        chosen(sample(["a"]), FIVE, "accuracy", form=form)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("answers", "classes", "task", "message"),
    [
        (["cat", "cow"], WORDS, "multiclass", "'cow' in the sample submission is none of the 2 "),
        (["cat dog", "cat cow"], WORDS, "multilabel", "'cow' in the sample submission is none of"),
        (["0", "1", "7"], ("0", "1", "2"), "multiclass", "'7' in the sample submission is none "),
        (["cat&dog", "cat"], WORDS, "multilabel", "'cat&dog' in the sample submission is none of"),
        (['["cat", "dog"]'], WORDS, "multilabel",
         "'[\"cat\"', '\"dog\"]' in the sample submission is none of"),
        (["cat+dog"], WORDS, "multilabel", "'cat+dog' in the sample submission cannot be read as "),
        (["lion", "wolf"], WORDS, "multiclass", "'lion', 'wolf' in the sample submission cannot "),
        (["7", "9"], FIVE, "multiclass", "'7', '9' in the sample submission are neither classes"),
        (["1", "3"], ("a", "b", "c"), "multilabel", "'1', '3' in the sample submission are nei"),
    ],
)  # fmt: skip
def test_answers_that_are_no_classes_are_refused(answers, classes, task, message):
    if "[" in answers[0]:
        message = '\'["cat", "dog"]\' in the sample submission cannot be read as classes or as '
    if "&" in answers[0]:
        message = "'cat&dog' in the sample submission is none of the 2 classes ('cat', 'dog'), and "
    metric = "accuracy" if task == "multiclass" else "micro-f1"
    with pytest.raises(SubmissionError) as error:
        chosen(sample(answers), classes, metric, task)
    assert str(error.value).startswith(message)
    # Said by name, they are placeholders.
    form = "label" if task == "multiclass" else "list"
    assert chosen(sample(answers), classes, metric, task, form=form).notes


@pytest.mark.parametrize(
    ("answers", "classes", "note"),
    [
        (["unknown", "unknown"], WORDS, "'unknown' in the sample submission are taken for placeho"),
        (["971", "541", "1"], ("1", "2"), "'971', '541' in the sample submission is not a class"),
        (["971", "541", "59"], ("1", "2"), "'971', '541', '59' in the sample submission are tak"),
        (["1", "1"], ("1.0", "2.0"), "classes are written as in the training table: '1.0', '2.0'"),
        (["0", "0"], ("-1", "1"), "'0' in the sample submission are taken for placeholders"),
        (["0", "0"], ("1.0", "2.0"), "'0' in the sample submission are taken for placeholders"),
        (["3", "1"], FIVE, "'3', '1' in the sample submission are taken for class numbers: 0=a"),
        (
            ["2", "1", "2"],
            WORDS,
            "'2', '1' in the sample submission are taken for class numbers: 1=",
        ),
    ],
)
def test_placeholders_are_told(answers, classes, note):
    layout = chosen(sample(answers), classes, "accuracy")
    assert layout.notes[0].startswith(note)
    assert layout.as_index == ("class numbers" in note)


@pytest.mark.parametrize("separator", [" ", ", ", "; ", " | ", ",", ";", "|"])
def test_lists_are_separated_as_in_the_sample(separator):
    table = sample([separator.join("abc"), separator.join("de"), "a"])
    layout = chosen(table, FIVE, "micro-f1", "multilabel")
    given = Predictions(np.array(["i0", "i1", "i2"], object), FIVE, np.eye(5)[:3] + np.eye(5)[1:4])
    built = build(given, table, layout, tasks.find("multilabel"), "preds.csv")
    assert built["target"].tolist() == [separator.join(pair) for pair in ("ab", "bc", "cd")]
    check(built, table, layout, "s.csv")
    check(table, table, layout, "s.csv")


P = np.array([[0.1, 0.5, 0.1, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0, 1.0]])


def written(table: pd.DataFrame, layout: Layout, task: Task, classes, p=P, pred=None) -> dict:
    names = [f"i{number}" for number in range(len(p))]
    given = Predictions(np.array(names, object), classes, p, pred)
    built = build(given, table, layout, task, "preds.csv")
    # As it is read back from a file.
    check(built.astype(str), table, layout, "s.csv")
    return built.to_dict("list")


def test_the_k_most_probable_classes_in_order_the_first_of_equals_first():
    table, task = sample(["a", "a"]), tasks.find("multiclass")
    layout = chosen(table, FIVE, "map@3")
    assert layout.description == "the 3 most probable classes"
    assert written(table, layout, task, FIVE)["target"] == ["b d a", "e a b"]
    decided = np.array(["c", "e"], object)
    assert written(table, layout, task, FIVE, pred=decided)["target"] == ["c b d", "e a b"]
    assert most_probable(P, 5).tolist() == [[1, 3, 0, 2, 4], [4, 0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("cell", "message"),
    [("a b c d", "not 1 to 3 classes"), ("", "not 1 to 3 classes"), ("a a", "names a class twice"),
     ("a z", "a class that is unknown; they are 'a', 'b', 'c' and 2 more")],
)  # fmt: skip
def test_a_ranking_that_an_organiser_would_refuse(cell, message):
    table = sample(["a b c"])
    with pytest.raises(SubmissionError) as error:
        check(table.assign(target=[cell]), table, chosen(table, FIVE, "map@3"), "s.csv")
    assert str(error.value) == f"s.csv, row 1, column 'target': {message} (found '{cell}')"


def test_one_hot_answers():
    table = pd.DataFrame([["i0", *"00000"], ["i1", *"00000"]], columns=["id", *FIVE])
    task = tasks.find("multiclass")
    layout = chosen(table, FIVE, "accuracy")
    built = written(table, layout, task, FIVE)
    assert [[built[name][row] for name in FIVE] for row in (0, 1)] == [
        [0, 1, 0, 0, 0], [0, 0, 0, 0, 1],
    ]  # fmt: skip
    with pytest.raises(SubmissionError, match=r"s.csv, row 1, column 'a': neither 1 nor 0 \(found"):
        check(table.assign(a=["0.5", "0"]), table, layout, "s.csv")


def test_grades_are_answered_as_their_task_answers():
    table = sample(["0", "0"])
    p = np.array([[0.5, 0.0, 0.5], [0.1, 0.2, 0.7]])
    grades = ("0", "1", "2")
    label = chosen(table, grades, None, Graded())
    assert written(table, label, Graded(), grades, p)["target"] == ["1", "2"]
    # A metric of numbers takes the mean itself.
    mean = chosen(table, grades, NUMBERS, Graded())
    assert mean.form.name == "numbers"
    assert written(table, mean, Graded(), grades, p)["target"] == pytest.approx([1.0, 1.6])


@pytest.mark.parametrize("metric", [NUMBERS, None])
def test_numbers_are_answered_with_numbers(metric):
    table = sample(["59.83", "0"], "Pawpularity")
    layout = chosen(table, ("Pawpularity",), metric, Quantity())
    p = np.array([[38.5], [-2.0]])
    assert written(table, layout, Quantity(), ("Pawpularity",), p)["Pawpularity"] == [38.5, -2.0]
    wrong = table.assign(Pawpularity=["nan", "1"])
    with pytest.raises(SubmissionError, match="row 1, column 'Pawpularity': not a finite number"):
        check(wrong, table, layout, "s.csv")


def test_several_numbers_stand_under_their_names_and_other_columns_are_kept():
    table = pd.DataFrame({"id": ["i0"], "b": ["0"], "Confidence": ["100"], "a": ["0"]})
    layout = chosen(table, ("a", "b"), NUMBERS, Quantity())
    assert layout.notes == ("'Confidence' is not a target and is kept as it is",)
    assert written(table, layout, Quantity(), ("a", "b"), np.array([[1.5, 7.0]])) == {
        "id": ["i0"], "b": [7.0], "Confidence": ["100"], "a": [1.5],
    }  # fmt: skip
    with pytest.raises(SubmissionError, match="row 1, column 'Confidence': the cell is '1' where"):
        check(table.assign(Confidence=["1"]), table, layout, "s.csv")
    with pytest.raises(SubmissionError) as error:
        chosen(table, ("a", "c"), NUMBERS, Quantity())
    assert "numbers: the sample submission has no column for 'c'" in str(error.value)


SPINE = ("patient_overall", "C1", "C2")
LONG = [("i0", "C1"), ("i1", "C1"), ("i0", "patient_overall"), ("i1", "patient_overall"),
        ("i1", "C2"), ("i0", "C2")]  # fmt: skip
SIGMOIDS = np.array([[0.9, 0.1, 0.2], [0.3, 0.7, 0.6]])
ROWS = [0.1, 0.7, 0.9, 0.3, 0.6, 0.2]


def test_a_row_per_image_and_class_by_the_id():
    table = pd.DataFrame({"row_id": ["_".join(pair) for pair in LONG], "fractured": ["0.5"] * 6})
    task = tasks.find("multilabel")
    layout = chosen(table, SPINE, "logloss", task)
    assert (layout.form.name, layout.description) == (
        "probabilities", "one probability per class, in a row each",
    )  # fmt: skip
    assert written(table, layout, task, SPINE, SIGMOIDS)["fractured"] == ROWS
    zeros = table.assign(fractured="0")
    decided = chosen(zeros, SPINE, "micro-f1", task)
    assert written(zeros, decided, task, SPINE, SIGMOIDS)["fractured"] == [0, 1, 1, 0, 1, 0]


def test_a_row_per_image_and_class_by_a_column():
    table = pd.DataFrame(LONG, columns=["id", "part"]).assign(probability="0")
    task = tasks.find("multilabel")
    layout = chosen(table, SPINE, "logloss", task)
    built = written(table, layout, task, SPINE, SIGMOIDS)
    assert built == {
        "id": table["id"].tolist(), "part": table["part"].tolist(), "probability": ROWS,
    }  # fmt: skip


def test_a_row_per_image_and_class_by_numbers():
    birds = tuple(f"bird{number}" for number in range(12))
    ids = [f"{image * 100 + number}" for image in (0, 7) for number in range(12)]
    table = pd.DataFrame({"Id": ids, "Probability": "0"})
    task = tasks.find("multilabel")
    layout = chosen(table, birds, "auc", task, ids={"0", "7"})
    given = Predictions(np.array(["7", "0"], object), birds, np.arange(24).reshape(2, 12) / 100)
    built = build(given, table, layout, task, "preds.csv")
    assert built["Probability"].tolist() == [n / 100 for n in (*range(12, 24), *range(12))]


@pytest.mark.parametrize("ids", [{"a_0", "a_1", "b_0", "b_1"}, None])
def test_ids_that_end_like_numbered_classes_are_images(ids):
    table = pd.DataFrame({"id": ["a_0", "a_1", "b_0", "b_1"], "y": "0"})
    assert chosen(table, GRADES, "accuracy", ids=ids).rows is None
    # Of images a and b they are rows.
    assert chosen(table, GRADES, "logloss", ids={"a", "b"}).rows is not None


def test_columns_before_the_id_are_kept():
    table = pd.DataFrame({NAMELESS: ["0", "1"], "image_id": ["i0", "i1"], "label": ["a", "a"]})
    task = tasks.find("multiclass")
    layout = chosen(table, FIVE, "accuracy")
    assert (layout.id, layout.kept, layout.answer) == ("image_id", (NAMELESS,), "label")
    assert written(table, layout, task, FIVE) == {
        NAMELESS: ["0", "1"], "image_id": ["i0", "i1"], "label": ["b", "e"],
    }  # fmt: skip
    named = table.rename(columns={NAMELESS: "row"})
    assert chosen(named, FIVE, "accuracy", id_column="image_id").kept == ("row",)


def test_several_rows_of_one_image_have_its_answer():
    table = pd.DataFrame({"id": ["i1", "i0", "i0", "i1"], "label": "a"})
    layout = chosen(table, FIVE, "accuracy")
    assert written(table, layout, tasks.find("multiclass"), FIVE)["label"] == list("ebbe")


def test_a_users_metric_that_does_not_say_what_it_reads_leaves_it_to_the_sample():
    users = replace(find("accuracy", "multiclass"), name="score.py:mine", reads="")
    assert chosen(sample(["0.5"]), GRADES, users).form.name == "probability"
    assert chosen(sample(["0"]), GRADES, users).form.name == "label"


class Shout(Label):
    """A class in capital letters."""

    name = "shout"
    description = "one class in capital letters"

    def contradicted_by(self, sample):
        return "" if all(cell.isupper() for cell in sample.values) else "its cells are not loud"


def test_a_new_form_is_a_class_and_a_row(monkeypatch):
    row = SimpleNamespace(load=lambda: Shout)
    monkeypatch.setattr(form_choice, "FORMS", [row, *FORMS])
    loud = sample(["CAT", "DOG"])
    for metric in (None, "accuracy"):
        assert chosen(loud, ("CAT", "DOG"), metric).form.name == "shout"
        assert chosen(sample(["cat", "dog"]), WORDS, metric).form.name == "label"
    with pytest.raises(SubmissionError) as error:
        chosen(sample(["cat dog", "dog cat"]), ("cat", "dog", "eel"), "accuracy")
    assert "one class in capital letters: its cells are not loud" in str(error.value)
    assert "--form shout or --form top-k or --form label" in str(error.value)
