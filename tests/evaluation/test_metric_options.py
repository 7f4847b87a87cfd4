"""Names with a parameter, options of metrics, and what is said of wrong ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from comptool import metrics
from comptool.errors import InputError, UsageError
from comptool.metrics.metric_options import OPTIONS, checked, from_text
from comptool.metrics.metric_registry import METRICS, READS, ROWS, wrong_name

CLASSES = ("cat", "dog", "eel")
TARGETS, P = np.array([0, 1, 2, 2]), np.eye(3)[[0, 2, 2, 1]] * 0.7 + 0.1
COSTS = "true,eel,cat,dog\neel,0,5,6\ndog,8,7,0\ncat,4,0,3\n"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.target}")
def test_every_entry_loads_and_its_function_takes_its_options(row):
    assert set(row.options()) >= set(row.takes) - {"cost", "class_weights", "positive_class"}
    assert (row.reads in READS, row.summary[-1], bool(row.source)) == (True, ".", True)
    assert set(row.needs) | ({row.parameter} - {""}) <= set(row.takes)


def test_tasks_that_there_are_not_do_no_harm():
    known = {row.name for table in METRICS.values() for row in table}
    assert set(metrics.names()) == known == {row.name for row in metrics.listing()}
    assert {task for row in metrics.listing() for task in row.tasks} <= METRICS.keys()


def test_the_number_in_the_name_is_an_option():
    found = metrics.find("map@2", "multiclass")
    assert (found.name, found.k, found.reads) == ("map@2", 2, "ranking")
    assert found.score(TARGETS, P) == pytest.approx((1 + 0 + 1 + 0) / 4)
    assert metrics.find("map@k", "multiclass", {"k": 2}) == found
    assert metrics.find("pauc@0.80", "multilabel").given == {"tpr": 0.8}
    assert metrics.find("micro-f-beta@0.5", "multilabel").given == {"beta": 0.5}
    assert metrics.find("accuracy", "multiclass").k is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("map@0", "map@0: k is '0'; it has to be a whole number of 1 or more"),
        ("accuracy@-1", "accuracy@-1: k is '-1'; it has to be a whole number of 1 or more"),
        ("recall@2.5", "recall@2.5: k is '2.5'; it has to be a whole number of 1 or more"),
        ("map@five", "map@five: k is 'five'; it has to be a whole number of 1 or more"),
        ("map@k", "map@k needs a whole number of 1 or more for k, such as map@5"),
        ("accuracy@", "accuracy@ needs a whole number of 1 or more for k, such as accuracy@5"),
        ("map@4", "map@4 looks at 4 classes and there are 3; give a k from 1 to 3"),
        ("pauc@1", "pauc@1: tpr is '1'; it has to be a true-positive rate above 0 and below 1"),
        ("pauc@nan", "pauc@nan: tpr is 'nan'; it has to be a true-positive rate above 0 and"),
        ("kappa@3", "no metric is called 'kappa@3'; did you mean 'kappa', "),
        ("map", "the metric 'map' is for the task multilabel, and the task is multiclass; "),
        ("expected-cost", "expected-cost needs 'cost': a CSV with one row per true class and one "),
    ],
)
def test_a_wrong_name_or_parameter_is_told(name, told):
    with pytest.raises(UsageError) as error:
        metrics.find(name, "multiclass", classes=CLASSES)
    assert str(error.value).startswith(told)


def test_a_k_above_the_number_of_classes_is_told_where_these_are_first_seen():
    found = metrics.find("accuracy@4", "multiclass")
    with pytest.raises(UsageError, match="accuracy@4 looks at 4 classes and there are 3"):
        found.score(TARGETS, P)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("accuracy", {"beta": 1}, "the metric 'accuracy' takes no 'beta'; it takes no options"),
        ("map@2", {"k": 2}, "map@2 says its k, and an option says it again"),
        ("macro-f-beta", {"beta": 0}, "macro-f-beta: beta is '0'; it has to be a number above 0"),
        ("weighted-logloss", {"class-weights": [1, 2]},
         "weighted-logloss: class-weights has 2 numbers and there are 3 classes"),
        ("weighted-logloss", {"class-weights": [0, 0, 0]},
         "weighted-logloss: class-weights is the list 0, 0, 0 (all are 0); it has to be a number"),
        ("weighted-logloss", {"class-weights": [1, -1, 1]},
         "weighted-logloss: class-weights is the list 1, -1, 1; it has to be a number of 0"),
        ("weighted-logloss", {"class-weights": 3},
         "weighted-logloss: class-weights is '3'; it has to be a"),
        ("pauc@0.8", {"positive-class": "cow"},
         "pauc@0.8: positive-class is 'cow' (did you mean 'dog', 'cat', 'eel'?)"),
        ("expected-cost", {"cost": [[0, 1], [1]]}, "expected-cost: cost is the list [0, 1], [1]"),
        ("expected-cost", {"cost": [[0, 1], [1, 0]]},
         "expected-cost: cost has 2 rows and columns and there are 3 classes"),
        ("expected-cost", {"cost": [["a", 1], [1, 0]]}, "expected-cost: cost is the list ['a', 1]"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told(name, options, told):
    with pytest.raises(UsageError) as error:
        task = "multilabel" if name == "macro-f-beta" else "multiclass"
        metrics.find(name, task, options, classes=CLASSES)
    assert str(error.value).startswith(told)


def test_a_matrix_with_names_is_brought_into_class_order(tmp_path):
    path = tmp_path / "cost.csv"
    path.write_text(COSTS)
    found = metrics.find("expected-cost", "multiclass", {"cost": str(path)}, classes=CLASSES)
    assert found.given["cost"] == [[0, 3, 4], [7, 0, 8], [5, 6, 0]]
    assert found.score(TARGETS, P) == (0 + 8 + 0 + 6) / 4
    again = metrics.find(
        "expected-cost", "multiclass", json.loads(json.dumps(found.record)), classes=CLASSES
    )
    assert again == found
    path.write_text("0,3,4\n7,0,8\n5,6,0\n")
    plain = metrics.find("expected-cost", "multiclass", {"cost": str(path)}, classes=CLASSES)
    assert plain.given == found.given
    # Class names that are numbers.
    path.write_text("0,1,2\n1,0,5\n2,6,0\n")
    named = metrics.find("expected-cost", "multiclass", {"cost": str(path)}, classes=("1", "2"))
    assert named.given["cost"] == [[0, 5], [6, 0]]


def test_weights_with_names_are_brought_into_class_order(tmp_path):
    path = tmp_path / "weights.csv"
    path.write_text("class,weight\neel,3\ncat,1\ndog,2\n")
    options = {"class-weights": str(path)}
    found = metrics.find("weighted-logloss", "multiclass", options, classes=CLASSES)
    assert found.given["class_weights"] == [1, 2, 3]
    path.write_text("eel,3\ncat,1\ndog,2\n")
    assert metrics.find("weighted-auc", "multilabel", options, classes=CLASSES).given == found.given


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("true,cat,dog\ncat,0,1\ndog,1,0\n", "has no row or column for classes (found 'eel')"),
        ("t,cat,dog,eel\ncat,0,1,1\ndog,1,0,1\neel,1,x,0\n",
         "row 3, column 'dog': is not a number (found 'x')"),
        ("0,1,1\n1,0\n1,1,0\n", "row 2: has 2 cells and the first row has 3"),
        ("t,cat,dog,dog\ncat,0,1,1\ndog,1,0,1\ndog,1,1,0\n", "names a class twice (found 'dog')"),
        ("t,cat,dog,eel,fox\ncat,0,1,1,1\ndog,1,0,1,1\neel,1,1,0,1\nfox,1,1,1,0\n",
         "has classes that there are not (found 'fox')"),
    ],
)  # fmt: skip
def test_a_matrix_that_cannot_be_used_is_refused_by_its_place(tmp_path, text, told):
    path = tmp_path / "cost.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        metrics.find("expected-cost", "multiclass", {"cost": str(path)}, classes=CLASSES)
    assert str(error.value).removeprefix(str(path)).lstrip(",: ") == told


def test_a_metric_of_some_of_the_classes_takes_their_options():
    cost = [[0, 3, 4], [7, 0, 8], [5, 6, 0]]
    found = metrics.find("expected-cost", "multiclass", {"cost": cost}, classes=CLASSES)
    kept = found.subset([0, 2])
    assert (kept.given["cost"], kept.classes) == ([[0, 4], [5, 0]], ("cat", "eel"))
    weighted = metrics.find("weighted-logloss", "multiclass", {"class-weights": [1, 2, 3]})
    assert weighted.subset([0, 2]).given["class_weights"] == [1, 3]
    positive = metrics.find("pf1", "multiclass", {"positive-class": "dog"}, classes=CLASSES)
    with pytest.raises(UsageError, match="pf1 needs its positive class 'dog'"):
        positive.subset([0, 2])


def test_one_of_more_than_two_classes_has_to_be_named_as_positive():
    with pytest.raises(UsageError, match="one of the 3 classes has to be the positive one"):
        metrics.find("pf1", "multiclass", classes=CLASSES).score(TARGETS, P)
    for name, other in (("pf1", "dog"), ("pauc@0.5", "cat")):
        named = metrics.find(name, "multiclass", {"positive-class": other}, classes=CLASSES)
        place = CLASSES.index(other)
        cells = (TARGETS == place).astype(int)[:, None], P[:, place, None]
        assert named.score(TARGETS, P) == metrics.find(name, "multilabel").score(*cells)
    two = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    named = metrics.find("pf1", "multiclass", {"positive-class": "b"}, classes=("a", "b"))
    assert metrics.find("pf1", "multiclass").score(*two) == named.score(*two)


def test_text_is_read_as_numbers_where_it_is_numbers():
    assert [from_text(text) for text in ("2", "0.5", "1,2.5", "a,b", "x.csv", "nan")] == [
        2, 0.5, [1, 2.5], "a,b", "x.csv", "nan"
    ]  # fmt: skip


def test_the_name_alone_is_checked_without_a_file():
    assert wrong_name("gone.py:score") is None
    assert wrong_name("samples-f-beta@2") is None
    assert wrong_name(3) == "the name of a metric is a text, not 3"
    assert str(wrong_name("acuracy")).startswith("no metric is called 'acuracy'; did you mean 'acc")


def test_the_options_of_a_metric_are_listed(tmp_path):
    assert metrics.options_in_words("samples-f-beta") == {"beta": "a number above 0 (default: 1)"}
    assert metrics.options_in_words("map@5") == {}
    assert list(metrics.options_in_words("weighted-logloss")) == [
        "class-weights",
        "positive-weight",
    ]
    with pytest.raises(UsageError, match="no metric is called 'f-betta'"):
        metrics.options_in_words("f-betta")
    (tmp_path / "own.py").write_text("def f(targets, p, limit, other=1):\n    return 0.5\n")
    assert metrics.options_in_words(f"{tmp_path / 'own.py'}:f") == {
        "limit": "needed", "other": "may be given"
    }  # fmt: skip


@pytest.mark.parametrize("targets", [np.array([0, 1, 2]), np.eye(3, dtype=np.int8)])
def test_weights_of_classes_are_no_weights_of_rows(targets):
    p = np.array([[0.8, 0.5, 0.1], [0.9, 0.6, 0.2], [0.3, 0.2, 0.4]])
    of_rows, given = np.array([1.0, 2, 1]), [1, 2, 3]
    for name, called in {
        "weighted-logloss": metrics.weighted_logloss,
        "weighted-auc": metrics.weighted_auc,
    }.items():
        found = metrics.by_shape(name, targets, {"class-weights": given})
        assert called(targets, p, class_weights=given) == found.score(targets, p)
        assert called(targets, p, of_rows, class_weights=given) == found.score(targets, p, of_rows)
        others = called(targets, p, class_weights=[3, 2, 1])
        assert others != pytest.approx(found.score(targets, p))


def test_a_metric_by_shape_checks_its_options_whatever_the_targets_are():
    numbers, classes = np.array([0.5, 2.0]), np.array([0, 1])
    for name, targets in (("rmse", numbers), ("accuracy", classes)):
        with pytest.raises(UsageError, match="nonsense"):
            metrics.by_shape(name, targets, {"nonsense": 1})
    assert metrics.by_shape("rmse", numbers).reads == "numbers"


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.parameter in row.needs])
def test_a_missing_parameter_is_asked_for_by_an_example_that_can_be_found(name):
    row = next(row for row in ROWS if row.name == name)
    with pytest.raises(UsageError) as error:
        metrics.find(name, row.tasks[0])
    example = str(error.value).rpartition("such as ")[2]
    assert metrics.find(example, row.tasks[0]).given[row.parameter] > 0


def test_every_option_has_an_example_of_its_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.csv").write_text("class,weight\na,1\nill,2\n")
    (tmp_path / "cost.csv").write_text("0,1\n2,0\n")
    for name, option in OPTIONS.items():
        checked(name, {name: from_text(option.example)}, ("a", "ill"))
