"""Metrics that cannot be used: names, parameters, options, and functions of a user's file."""

from __future__ import annotations

import pytest

from .conftest import TINY, TOML

FUNCTIONS = """
def raises(targets, probabilities):
    raise ZeroDivisionError("no rows")

def nan(targets, probabilities):
    return float("nan")

def text(targets, probabilities):
    return "0.5"

def one(targets):
    return 1.0

def limited(targets, probabilities, limit):
    return 1.0

def patients(solution, submission, row_id_column_name):
    return solution["patient"].nunique()
"""
SCORE = ("score", "submissions/preds.csv", "--answers", "data/answers.csv", "--metric")
TRAIN = ("train", *TINY, "--run-name", "new", "--metric")


@pytest.mark.parametrize(
    ("metric", "code", "message"),
    [
        ("map@0", 2, "map@0: k is '0'; it has to be a whole number of 1 or more"),
        ("map@x", 2, "map@x: k is 'x'; it has to be a whole number of 1 or more"),
        ("accuracy@4", 2, "accuracy@4 looks at 4 classes and there are 3; give a k from 1 to 3"),
        ("recall@k", 2, "recall@k needs a whole number of 1 or more for k, such as recall@5"),
        ("pauc@2", 2, "pauc@2: tpr is '2'; it has to be a true-positive rate above 0 and below 1"),
        ("pf1", 2, "one of the 3 classes has to be the positive one: positive-class = NAME in "
         "[metric-options]"),
        ("map", 2, "the metric 'map' is for the task multilabel, and the task is multiclass; "
         "'comptool metrics' lists those of each task"),
        ("expected-cost", 2, "expected-cost needs 'cost': a CSV with one row per true class and "
         "one column per answered class. Give it: comptool init --metric expected-cost "
         "--metric-option cost=VALUE"),
        ("gone.py:f", 3, "gone.py: this file of a metric does not exist. Give FILE.py:name"),
        ("own.py:raises", 3, "own.py:raises (line 3) raised ZeroDivisionError: no rows"),
        ("own.py:nan", 3, "own.py:nan returned nan, which is not a score"),
        ("own.py:text", 3, "own.py:text returned '0.5' (str), not one number"),
        ("own.py:one", 2, "own.py:one takes (targets); a metric is a function of (targets, "
         "probabilities), of (targets, probabilities, weights), or of (solution, submission, "
         "row_id_column_name)"),
        ("own.py:limited", 2, "the metric 'own.py:limited' needs 'limit': limit = VALUE under "
         "[metric-options] in comptool.toml (comptool init --metric-option limit=VALUE)"),
        ("own.py:patients", 3, "own.py:patients (line 18) raised KeyError: 'patient'; its tables "
         "have the columns 'y'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", [SCORE, TRAIN], ids=["score", "train"])
def test_a_metric_that_cannot_be_used(refused, damage, command, metric, code, message):
    damage({"own.py": FUNCTIONS})
    refused((*command, metric), code, message)


OPTIONS = "[metric-options]\n"


@pytest.mark.parametrize(
    ("metric", "options", "code", "message"),
    [
        ("map@0", "", 3, "comptool.toml: 'metric' is wrong: map@0: k is '0'; it has to be a whole "
         "number of 1 or more"),
        ("accuracy", "beta = 2", 2, "the metric 'accuracy' takes no 'beta'; it takes no options"),
        ("accuracy", "beta = true\ngamma = {}", 3, "comptool.toml: 'metric-options' gives 'gamma' "
         "as {}; a number, a list of numbers or a path is needed"),
        ("weighted-auc", "class-weights = [1, 2]", 2,
         "weighted-auc: class-weights has 2 numbers and there are 3 classes"),
        ("expected-cost", 'cost = "gone.csv"', 3, "data/gone.csv: there is no such file or folder. "
         "Correct 'metric-options' in comptool.toml (or its option or variable)"),
        ("expected-cost", 'cost = "cost.csv"', 3,
         "data/cost.csv: has no row or column for classes (found 'c')"),
        ("own.py:limited", "", 2, "the metric 'own.py:limited' needs 'limit': {}"),
        ("own.py:limited", "limit = 1\nother = 2", 2,
         "no option of the metric 'own.py:limited' is called 'other'; did you mean 'limit'?"),
    ],
)  # fmt: skip
def test_options_that_the_metric_of_the_competition_does_not_take(
    refused, damage, metric, options, code, message
):
    toml = TOML.replace('"accuracy"', f'"{metric}"') + OPTIONS + options + "\n"
    damage({"own.py": FUNCTIONS, "comptool.toml": toml, "data/cost.csv": "t,a,b\na,0,1\nb,1,0\n"})
    refused("train", code, message)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("--metric", "map@0"), "--metric is wrong: map@0: k is '0'; it has to be a whole number "
         "of 1 or more"),
        (("--metric-option", "beta"), "--metric-option is 'beta'; it is name=value"),
        (("--metric-option", "=2"), "--metric-option is '=2'; it is name=value"),
        (("--metric-option", "beta=1", "--metric-option", "beta=2"),
         "--metric-option gives the same name twice"),
        (("--metric-option", "beta=2"),
         "the metric 'accuracy' takes no 'beta'; it takes no options"),
        (("--metric", "weighted-auc", "--metric-option", "class-weights=1,x"),
         "weighted-auc: class-weights is '1,x'; it has to be a number of 0 or more for each class, "
         "not all 0, or a CSV with class and weight"),
    ],
)  # fmt: skip
def test_options_that_init_refuses(refused, typed, message):
    refused(("init", "data", "-o", "new.toml", "--metric", "accuracy", *typed), 2, message)


@pytest.mark.parametrize("command", ["tta", "recalibrate", "evaluate", "ensemble"])
def test_a_function_that_fails_is_told_by_all_that_score_rows(chain, invoked, damage, command):
    toml = TOML.replace('"accuracy"', '"own.py:raises"')
    damage({"own.py": FUNCTIONS, "comptool.toml": toml})
    arguments = {
        "recalibrate": ("recalibrate", "--compare", "submissions/preds.csv", "--oof", "net"),
        "evaluate": ("evaluate", "net"),
        "ensemble": ("ensemble", "submissions/preds.csv", "--search", "greedy", "--oof", "net"),
        "tta": ("tta", "net", "-j", "0", "-o", "new.csv"),
    }[command]
    result = invoked(*arguments, "-q")
    if command == "tta":  # by the metric that the run was validated by
        assert result.exit_code == 0
        return
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"comptool {command}: own.py:raises (line 3) raised ZeroDivisionError: no rows\n"
    )
