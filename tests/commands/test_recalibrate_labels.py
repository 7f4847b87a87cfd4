"""``comptool recalibrate`` where a row may have several classes: each class by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from comptool.io import provenance
from comptool.io.predictions import read_predictions
from comptool.metrics.multilabel import logloss

SEVERAL = {"task": "multilabel", "skills": (1.5,), "rows": 400, "tests": 50}


def probabilities_of(path: str | Path) -> np.ndarray:
    return read_predictions(Path(path), sums_to_one=False).probabilities


def ranked_by(metric: str) -> None:
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace('metric = "map"', f'metric = "{metric}"'))


def test_thresholds_become_one_half(runs):
    (source,) = runs(**SEVERAL)
    plain = probabilities_of(source)
    result = runs.run("recalibrate", source, "--method", "thresholds", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    moved = probabilities_of("submissions/recalibrated.csv")
    bounds = list(told["thresholds"].values())
    np.testing.assert_array_equal(moved > 0.5, plain > bounds)
    assert told["average"] == "macro"
    assert told["in_sample"] >= told["plain"]
    assert "by thresholds fitted to other rows" in result.stderr


@pytest.mark.parametrize("method", ["temperature", "vector", "isotonic"])
def test_probabilities_are_moved_and_measured_on_rows_not_fitted_to(runs, method):
    (source,) = runs(**SEVERAL)
    result = runs.run("recalibrate", source, "--method", method, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    plain, moved = probabilities_of(source), probabilities_of("submissions/recalibrated.csv")
    assert (plain != moved).any()
    for column, now in zip(plain.T, moved.T, strict=True):
        assert (np.diff(now[np.argsort(column)]) >= 0).all()
    held = probabilities_of("weights/run0/oof.csv")
    labels = [line.split(",")[2:5] for line in Path("folds.csv").read_text().splitlines()[1:]]
    assert told["plain"] == pytest.approx(logloss(np.array(labels, dtype=int), held))
    assert told["in_sample"] <= told["nested"]
    assert f"by {method} fitted to other rows" in result.stderr
    recorded = provenance.recall(Path("submissions/recalibrated.csv")).facts["recalibration"]
    assert recorded["method"] == method


def test_a_comparison_names_what_is_best_for_an_f_score(runs):
    (source,) = runs(**SEVERAL)
    ranked_by("macro-f1")
    result = runs.run("recalibrate", source, "--compare")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("macro-f1 on 100 test sets of 50 rows drawn from 400 out-of-fold")
    methods = {"none", "thresholds macro", "thresholds micro", "temperature", "vector", "isotonic"}
    assert {line.split("  ")[0] for line in lines[2:8]} == methods
    assert lines[8].startswith("if the test classes are as frequent as in the out-of-fold rows, ")
    assert not Path("submissions/recalibrated.csv").exists()


def test_a_comparison_by_a_metric_of_order_says_that_doing_nothing_is_best(runs):
    runs(**SEVERAL)
    result = runs.run(
        "recalibrate", "--compare", "--oof", "weights/run0/oof.csv", "--method", "vector", "--json"
    )
    assert result.exit_code == 0, result.stderr
    (told,) = json.loads(result.stdout)["comparisons"]
    assert (told["rows"], [one["method"] for one in told["methods"]]) == (400, ["none", "vector"])
    assert told["note"].startswith("map depends on the order of the rows of each class")
    assert "doing nothing is best" in told["verdict"]


def test_thresholds_alone_are_compared_for_both_averages(runs):
    (source,) = runs(**SEVERAL)
    ranked_by("micro-f1")
    result = runs.run("recalibrate", source, "--compare", "--method", "thresholds", "--json")
    (told,) = json.loads(result.stdout)["comparisons"]
    assert {one["method"] for one in told["methods"]} == {
        "none", "thresholds macro", "thresholds micro",
    }  # fmt: skip
    assert told["metric"] == "micro-f1"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--compare", "--method", "sinkhorn"],
            2,
            "--method sinkhorn is for one class per image; for several labels there are "
            "thresholds, temperature, vector, isotonic",
        ),
        (
            ["--compare", "--target-prior", "uniform"],
            2,
            "--target-prior is for one class per image; here a row has several",
        ),
        (
            ["--compare", "--top-k-head", "2"],
            2,
            "--top-k-head is for one class per image; here a row has several",
        ),
        (
            ["--method", "isotonic", "--target-prior", "uniform"],
            2,
            "--target-prior is for one class per image; here a row has several",
        ),
        (["--method", "prior"], 3, "this step is for one class per image"),
        ([], 3, "this step is for one class per image"),
    ],
)
def test_what_is_for_one_class_per_image_is_refused(runs, options, code, message):
    (source,) = runs(**SEVERAL)
    result = runs.run("recalibrate", source, *options)
    assert result.exit_code == code
    assert message in result.stderr
    assert not Path("submissions/recalibrated.csv").exists()


def test_thresholds_of_one_class_per_image_are_not_compared(runs):
    (source,) = runs(skills=(1.5,), tests=20)
    result = runs.run("recalibrate", source, "--compare", "--method", "thresholds")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "comptool recalibrate: --method thresholds is for several labels or grades, and the task "
        "is multiclass"
    )


def test_thresholds_of_one_class_per_image_are_refused(runs):
    (source,) = runs(skills=(1.5,), tests=20)
    result = runs.run("recalibrate", source, "--method", "thresholds")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "comptool recalibrate: --method thresholds is for several labels or grades, and the task "
        "is multiclass"
    )


def test_ranks_and_other_classes_are_no_probabilities_to_move(runs):
    files = runs("multilabel", skills=(1.5, 1.0), tests=20)
    assert runs.run("ensemble", *files, "--method", "rank-mean").exit_code == 0
    for options in (["--method", "isotonic"], ["--compare"]):
        result = runs.run("recalibrate", "submissions/ensemble.csv", *options)
        assert result.exit_code == 3
        assert "its numbers are ranks" in result.stderr
    text = files[0].read_text().replace("id,a,b,c", "id,a,b,d")
    Path("other.csv").write_text(text)
    result = runs.run("recalibrate", "other.csv", "--method", "vector", "--oof", "run0")
    assert result.exit_code == 3
    assert "its classes are not those of the predictions" in result.stderr
