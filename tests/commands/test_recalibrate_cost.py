"""``comptool recalibrate --method cost``: answers of least expected cost, and wrong files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from comptool.io import provenance
from comptool.io.predictions import read_predictions
from comptool.postprocess.calibration.cost import cheapest

# Missing c costs ten times a false alarm.
MATRIX = "true,c,a,b\nc,0,10,10\nb,1,1,0\na,1,0,1\n"
SOURCE = "submissions/preds_run0.csv"


@pytest.fixture
def two_files(runs):
    """Predictions of a run, a matrix and a taxonomy of its classes."""
    runs(skills=(1.2,), tests=60)
    Path("cost.csv").write_text(MATRIX)
    Path("tree.csv").write_text("class,family\na,x\nb,x\nc,y\n")
    return runs.run


@pytest.mark.parametrize("options", [("--cost", "cost.csv"), ("--tree", "tree.csv")])
def test_the_command_keeps_probabilities_and_says_what_the_answers_cost(two_files, options):
    result = two_files("recalibrate", SOURCE, "--method", "cost", *options, "--json")
    assert result.exit_code == 0, result.stderr
    made, before = (read_predictions(Path(p)) for p in ("submissions/recalibrated.csv", SOURCE))
    assert (made.probabilities == before.probabilities).all()
    costs = {
        "--cost": [[0, 1, 1], [1, 0, 1], [10, 10, 0]],
        "--tree": [[0, 1, 2], [1, 0, 2], [2, 2, 0]],
    }
    wanted = cheapest(before.probabilities, np.array(costs[options[0]], float))
    assert made.pred.tolist() == [made.classes[label] for label in wanted]
    told = json.loads(result.stdout)
    assert told["costs"] == costs[options[0]]
    rows = read_predictions(Path("weights/run0/oof.csv")).probabilities
    labels = [line.split(",")[2] for line in Path("folds.csv").read_text().splitlines()[1:]]
    truth = np.array(["abc".index(one) for one in labels])
    own = np.array(costs[options[0]])[truth, cheapest(rows, np.array(costs[options[0]], float))]
    assert told["out_of_fold_cost"] == pytest.approx(own.mean())
    assert f"{told['plain']:.4f} of the most probable classes" in result.stderr
    record = provenance.recall(Path("submissions/recalibrated.csv"))
    assert options[1] in record.inputs


def test_the_cost_of_the_metric_is_the_default_and_a_comparison_knows_it(two_files):
    toml = Path("comptool.toml")
    text = toml.read_text().replace('metric = "accuracy"', 'metric = "expected-cost"')
    toml.write_text(text + '[metric-options]\ncost = "cost.csv"\n')
    result = two_files("recalibrate", SOURCE, "--method", "cost", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["costs"][2] == [10, 10, 0]
    found = two_files("recalibrate", SOURCE, "--compare", "--target-prior", "uniform", "--json")
    methods = json.loads(found.stdout)["comparisons"][0]["methods"]
    assert next(one for one in methods if one["method"] == "cost")["gain_low"] > 0


def test_without_out_of_fold_rows_only_the_promise_is_shown(two_files):
    Path("weights/run0/oof.csv").unlink()
    result = two_files("recalibrate", SOURCE, "--method", "cost", "--cost", "cost.csv")
    assert result.exit_code == 0
    assert "expected cost by the predictions themselves: " in result.stderr
    assert "no out-of-fold rows to measure the cost: " in result.stderr


WRONG = {
    "a class is missing": (
        "true,a,b\na,0,1\nb,1,0\n",
        "bad.csv: has no row or column for classes (found 'c')",
    ),
    "an unknown class": (
        MATRIX.replace("\n", ",9\n").replace("c,a,b,9", "c,a,b,d") + "d,1,1,1,0\n",
        "bad.csv: has classes that there are not (found 'd')",
    ),
    "rows of other classes than columns": (
        MATRIX.replace("\nb,", "\nd,"),
        "bad.csv: has no row or column for classes (found 'b')",
    ),
    "a class twice": (
        "true,a,b,c\na,0,1,1\nb,1,0,1\nb,1,1,0\n",
        "bad.csv: names a class twice (found 'b')",
    ),
    "a negative cost": (
        MATRIX.replace("b,1,1,0", "b,1,-1,0"),
        "bad.csv, row 2, column 'a': is below 0 (found '-1')",
    ),
    "not a number": (
        MATRIX.replace("b,1,1,0", "b,1,nan,0"),
        "bad.csv, row 2, column 'a': is not a number (found 'nan')",
    ),
    "blank": (
        MATRIX.replace("b,1,1,0", "b,1,,0"),
        "bad.csv, row 2, column 'a': is not a number (found '')",
    ),
    "no names": (
        "0,1,2\n1,0,1\n2,1,0\n",
        "bad.csv: has no row or column for classes (found 'a', 'b', 'c')",
    ),
    "a short row": (MATRIX.replace("b,1,1,0", "b,1"), "bad.csv, row 3: has 2 cells and the first "
                    "row has 4"),
}  # fmt: skip
TREES = {
    "a class is missing": (
        "class,family\na,x\nb,y\n",
        "bad.csv, column 'class': has no row for classes (found 'c')",
    ),
    "no levels": (
        "class\na\nb\nc\n",
        "bad.csv: a taxonomy has the column 'class' and either 'parent' or one column for each "
        "level (found 'class')",
    ),
    "no classes": (
        "name,family\na,x\n",
        "bad.csv: no column is called 'class' (found 'name', 'family')",
    ),
    "a class twice": (
        "class,family\na,x\na,y\nc,y\n",
        "bad.csv, row 2, column 'class': this class has a row already (found 'a')",
    ),
    "a blank level": (
        "class,family\na,x\nb,\nc,y\n",
        "bad.csv, row 2, column 'family': is blank (found '')",
    ),
    "levels that are not nested": (
        "class,genus,family\na,g,x\nb,g,y\nc,h,y\n",
        "bad.csv, row 2, column 'family': this row has another 'family' than an earlier one of the "
        "same 'genus', and levels are nested (found 'y')",
    ),
    "a circle": (
        "class,parent\na,b\nb,a\nc,\n",
        "bad.csv, row 1, column 'parent': the parents go in a circle (found 'b')",
    ),
}


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [("--cost", *case) for case in WRONG.values()] + [("--tree", *case) for case in TREES.values()],
    ids=[f"matrix: {name}" for name in WRONG] + [f"tree: {name}" for name in TREES],
)
def test_costs_that_are_none(two_files, option, text, message):
    Path("bad.csv").write_text(text)
    result = two_files("recalibrate", SOURCE, "--method", "cost", option, "bad.csv", "-q")
    assert result.stderr == f"comptool recalibrate: {message}\n"
    assert result.exit_code == 3
    assert not Path("submissions/recalibrated.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "cost"), "--method cost needs the costs: --cost MATRIX.csv (true class by "
         "answered class) or --tree TAXONOMY.csv"),
        (("--method", "cost", "--cost", "cost.csv", "--tree", "tree.csv"), "--cost and --tree "
         "exclude each other"),
        (("--method", "vector", "--cost", "cost.csv"), "--cost belongs to --method cost, not to "
         "vector"),
        (("--method", "cost", "--cost", "cost.csv", "--target-prior", "uniform"), "--target-prior "
         "has no meaning for --method cost"),
    ],
)  # fmt: skip
def test_options_that_have_no_meaning(two_files, options, message):
    result = two_files("recalibrate", SOURCE, *options, "-q")
    assert result.stderr == f"comptool recalibrate: {message}\n"
    assert result.exit_code == 2


def test_several_labels_have_no_matrix_of_mistakes(runs):
    runs("multilabel", skills=(1.0,))
    Path("cost.csv").write_text(MATRIX)
    result = runs.run("recalibrate", SOURCE, "--method", "cost", "--cost", "cost.csv", "-q")
    assert result.exit_code == 3
    assert "these predictions are multi-label" in result.stderr
