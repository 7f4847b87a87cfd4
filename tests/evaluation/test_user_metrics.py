"""Metric functions of a user's file: of arrays, and of tables as on Kaggle."""

from __future__ import annotations

import numpy as np
import pytest

from comptool import metrics
from comptool.errors import InputError, UsageError, UserFunctionError
from comptool.metrics import AnswerColumns
from comptool.metrics.bootstrap import metric_with_interval
from comptool.registry import load_user_object

TARGETS = np.array([0, 1, 2, 1])
P = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.5, 0.1, 0.4], [0.1, 0.6, 0.3]])
CELLS = np.array([[1, 0, 1], [0, 1, -1], [0, 0, 0], [1, 0, 0]], np.int8)

FILE = """
import numpy as np

def brier(targets, probabilities):
    return ((np.eye(probabilities.shape[1])[targets] - probabilities) ** 2).sum(axis=1).mean()
brier.greater_is_better = False

def within(targets, probabilities, weights=None, *, grades=1):
    near = np.abs(probabilities.argmax(axis=1) - targets) <= grades
    return np.average(near, weights=weights)
within.reads = "classes"

def needy(targets, probabilities, limit):
    return limit

SEEN = []
def score(solution, submission, row_id_column_name, power: float = 1.0):
    SEEN.append((solution.copy(), submission.copy(), row_id_column_name))
    del solution[row_id_column_name], submission[row_id_column_name]
    same = solution.to_numpy() == submission.to_numpy()
    return float(same.mean()) ** power

def accuracy(solution, submission, row_id_column_name):
    return score(solution, submission, row_id_column_name)
accuracy.reads = "classes"

def top(solution, submission, row_id_column_name):
    pairs = zip(solution.iloc[:, 1], submission.iloc[:, 1])
    return np.mean([str(true) in answer.split() for true, answer in pairs])
top.reads, top.k = "ranking", 2

def none(targets, probabilities): return None
def pair(targets, probabilities): return np.array([1.0, 2.0])
def nan(targets, probabilities): return np.nan
def infinite(targets, probabilities): return np.float32("inf")
def zero_d(targets, probabilities): return np.array(0.5)
def fails(targets, probabilities):
    raise ValueError("no\\nmore")
def patients(solution, submission, row_id_column_name):
    return solution["patient"].nunique()
def three(a): return a
def exits(targets, probabilities):
    raise SystemExit(0)
def prints(targets, probabilities):
    import sys
    print("hello")
    sys.stdout.close()
    print("again")
    return 0.3
def odd(targets, probabilities): return 0.5
odd.reads = "bananas"
def unsure(targets, probabilities): return 0.5
unsure.greater_is_better = "yes"
def unranked(targets, probabilities): return 0.5
unranked.reads = "ranking"
def one_class_fails(targets, probabilities):
    if len(set(targets)) == 1:
        raise ValueError("Only one class")
    return 0.5
"""


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(FILE)


def find(name, task="multiclass", options=None, **facts):
    return metrics.find(f"score.py:{name}", task, options, **facts)


def seen():
    """The tables that the function of this test's file got last, without their ids."""
    made = load_user_object("score.py:score", "metric")
    solution, submission, row_id = made.__globals__["SEEN"][-1]
    assert solution.pop(row_id).tolist() == submission.pop(row_id).tolist() == [0, 1, 2, 3]
    assert list(solution.columns) == list(submission.columns)
    return solution, submission, row_id


def test_attributes_say_what_a_function_of_arrays_is():
    brier, within = find("brier"), find("within", options={"grades": 1})
    assert (brier.greater_is_better, brier.sign, brier.reads) == (False, -1, "")
    assert (within.greater_is_better, within.needs_decisions) == (True, True)
    assert brier.score(TARGETS, P) == pytest.approx(0.27)
    assert within.score(TARGETS, P) == 0.75
    assert within.score(TARGETS, P, np.array([1.0, 1, 3, 1])) == 0.5
    assert within.score(TARGETS, P, pred=np.array([0, 1, 2, 1])) == 1
    assert find("within").record == {}
    assert find("within", options={"grades": 2}).score(TARGETS, P) == 1


def test_a_function_that_exits_is_named():
    with pytest.raises(UserFunctionError, match=r"^score.py:exits called sys.exit$"):
        find("exits").score(TARGETS, P)


def test_stdout_is_not_the_functions_to_print_on_or_to_close(capsys):
    assert find("prints").score(TARGETS, P) == 0.3
    print("the command's")
    assert capsys.readouterr() == ("the command's\n", "hello\nagain\n")


def test_a_function_without_weights_gets_rows_as_often_as_they_weigh():
    weights = np.array([0.0, 3, 0, 1])
    rows = [1, 1, 1, 3]
    assert find("brier").score(TARGETS, P, weights) == find("brier").score(TARGETS[rows], P[rows])
    assert find("score").score(TARGETS, P, weights) == 0  # probabilities are never one half...
    assert find("accuracy").score(TARGETS, P, np.array([1.0, 1, 3, 1])) == 0.5


def test_probabilities_are_one_column_per_class():
    columns = AnswerColumns("image", "kind", 3)
    find("score", classes=("a", "b", "c"), columns=columns).score(TARGETS, P)
    solution, submission, row_id = seen()
    assert (row_id, list(solution.columns)) == ("image", ["a", "b", "c"])
    assert solution.to_numpy().tolist() == np.eye(3)[TARGETS].tolist()
    assert submission.to_numpy().tolist() == P.tolist()


def test_one_answer_column_holds_the_class_as_pandas_reads_it():
    columns = AnswerColumns("image", "kind", 1)
    find("score", classes=("10", "20", "7"), columns=columns).score(TARGETS, P)
    solution, submission, _ = seen()
    assert solution["kind"].tolist() == [10, 20, 7, 20]
    assert submission["kind"].tolist() == [10, 20, 10, 20]
    find("accuracy", classes=("cat", "dog", "eel")).score(TARGETS, P)
    assert seen()[0]["label"].tolist() == ["cat", "dog", "eel", "dog"]


def test_a_class_in_the_tables_is_the_decided_one():
    facts = {"columns": AnswerColumns("image", "crop", 1)}
    decided = np.array([0, 1, 2, 0])
    for classes in (("oat", "rye", "rape"), ("3", "5", "10")):
        score = find("score", classes=classes, **facts)
        assert (score.reads, score.score(TARGETS, P)) == ("", 0.75)
        assert score.score(TARGETS, P, np.array([1.0, 1, 2, 0]), pred=decided) == 1
        answers = seen()[1]["crop"].tolist()
        assert [str(answer) for answer in answers] == [classes[k] for k in (0, 1, 2, 2)]
    # No class stands in these tables.
    cells, ranked = find("score"), find("top", **facts)
    assert cells.score(TARGETS, P, pred=decided) == cells.score(TARGETS, P)
    assert ranked.score(TARGETS, P, pred=decided) == ranked.score(TARGETS, P)


def test_one_answer_column_of_two_numbered_classes_is_the_probability_of_the_second():
    columns = AnswerColumns("image", "target", 1)
    targets, p = TARGETS.clip(0, 1), np.stack([1 - P[:, 1], P[:, 1]], axis=1)
    find("score", classes=("0", "1"), columns=columns).score(targets, p)
    solution, submission, _ = seen()
    assert solution["target"].tolist() == [0, 1, 1, 1]
    assert submission["target"].tolist() == P[:, 1].tolist()
    find("accuracy", classes=("0", "1"), columns=columns).score(targets, p)
    assert seen()[1]["target"].tolist() == [0, 1, 0, 1]
    find("score", classes=("no", "yes"), columns=columns).score(targets, p)
    assert seen()[1]["target"].tolist() == ["no", "yes", "no", "yes"]


def test_several_labels_are_cells_or_lists():
    find("score", "multilabel", classes=("a", "b", "c")).score(CELLS, P)
    solution, submission, _ = seen()
    assert solution.isna().to_numpy().sum() == 1
    assert solution["a"].tolist() == [1, 0, 0, 1]
    assert submission["c"].tolist() == P[:, 2].tolist()
    lists = AnswerColumns("id", "tags", 1)
    find("score", "multilabel", classes=("a", "b", "c"), columns=lists).score(CELLS, P)
    solution, submission, _ = seen()
    assert solution["tags"].tolist() == ["a c", "b", "", "a"]
    assert submission["tags"].tolist() == ["a", "b", "", "b"]


def test_numbers_are_one_column_per_target():
    truth, predicted = np.array([[1.0], [2.5], [3], [0]]), np.array([[1.0], [2], [3], [1]])
    columns = AnswerColumns("id", "age", 1)
    found = find("score", "regression", classes=("age",), columns=columns)
    assert (found.reads, found.score(truth, predicted)) == ("numbers", 0.5)
    solution, submission, _ = seen()
    assert solution["age"].tolist() == truth[:, 0].tolist()
    assert submission["age"].tolist() == predicted[:, 0].tolist()


def test_a_ranking_is_a_list_of_the_first_k():
    top = find("top", classes=("cat", "dog", "eel"))
    assert (top.reads, top.k) == ("ranking", 2)
    assert top.score(TARGETS, P) == 1.0


def test_options_are_the_further_parameters():
    columns = AnswerColumns(num_answers=1)
    plain = find("score", classes=("a", "b", "c"), columns=columns).score(TARGETS, P)
    squared = find("score", options={"power": 2}, classes=("a", "b", "c"), columns=columns)
    assert (plain, squared.score(TARGETS, P)) == (0.75, 0.5625)
    assert squared.record == {"power": 2}
    assert find("needy", options={"limit": 0.25}).score(TARGETS, P) == 0.25


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none", "score.py:none returned None (NoneType), not one number"),
        ("pair", "score.py:pair returned array([1., 2.]) (ndarray), not one number"),
        ("nan", "score.py:nan returned nan, which is not a score"),
        ("infinite", "score.py:infinite returned inf, which is not a score"),
        ("fails", "score.py:fails (line 38) raised ValueError: no"),
        ("patients", "score.py:patients (line 40) raised KeyError: 'patient'; its tables have the "
         "columns '0', '1', '2'"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_be_used_is_told_in_one_sentence(name, told):
    with pytest.raises(UserFunctionError) as error:
        find(name).score(TARGETS, P)
    assert str(error.value) == told
    assert find("zero_d").score(TARGETS, P) == 0.5


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("three", {}, "score.py:three takes (a); a metric is a function of (targets, pr"),
        ("needy", {}, "the metric 'score.py:needy' needs 'limit': limit = VALUE under [metric-opt"),
        ("within", {"grade": 1}, "no option of the metric 'score.py:within' is called 'grade'; d"),
        ("brier", {"k": 1}, "the metric 'score.py:brier' takes no 'k'; it takes no options"),
        ("odd", {}, "score.py:odd.reads is 'bananas'; it can be probabilities, classes, ranking, "),
        ("unsure", {}, "score.py:unsure.greater_is_better is 'yes'; it is True or False"),
        ("unranked", {}, "score.py:unranked.k is None; a metric of rankings says how many classes"),
    ],
)  # fmt: skip
def test_a_function_that_is_no_metric_is_told_when_it_is_named(name, options, told):
    with pytest.raises(UsageError) as error:
        find(name, options=options)
    assert str(error.value).startswith(told)


def test_a_failure_on_some_rows_is_a_metric_that_is_not_defined_there():
    value = find("one_class_fails").prepare(TARGETS, P)
    with pytest.raises(InputError, match=r"is not defined on these rows: .* Only one class"):
        value(np.array([0.0, 2, 0, 2]))
    assert metric_with_interval(value, len(TARGETS), 50, seed=0).value == 0.5
    with pytest.raises(UserFunctionError, match="raised ValueError: Only one class"):
        find("one_class_fails").score(TARGETS[[1, 3]], P[[1, 3]])
