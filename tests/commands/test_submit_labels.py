"""comptool submit where a row may have several classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

from comptool.io import provenance
from comptool.io.predictions import read_predictions
from comptool.postprocess.calibration.group_context import blended
from comptool.postprocess.calibration.methods import CELL_METHODS
from comptool.postprocess.calibration.multilabel_methods import best_thresholds

MANY = "image_id,golf course,sea\nq,0.2,0.1\np,0.9,0.6\nr,0.5,0.7\n"


@pytest.fixture
def many(tmp_path) -> None:
    """A competition called cup with three test rows and two classes that may both be present."""
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submissions" / "preds.csv").write_text(MANY)
    (tmp_path / "sample.csv").write_text("image_id,labels\np,\nq,\nr,\n")
    (tmp_path / "comptool.toml").write_text(
        'name = "cup"\ntask = "multilabel"\nmetric = "micro-f1"\n[data]\n'
        'sample-submission = "sample.csv"\nid = "image_id"\nlabel = ["golf course", "sea"]\n'
        '[modalities]\nimage = "{id}.png"\n'
    )


def test_lists_of_a_multi_label_competition(comptool, many):
    result = comptool("submit")
    assert result.exit_code == 0, result.stderr
    assert Path("submissions/cup.csv").read_text() == (
        'image_id,labels\np,"golf course,sea"\nq,""\nr,sea\n'
    )
    assert result.stderr.splitlines()[2:] == [
        "answer form: a list of classes, as the metric micro-f1 reads classes",
        "classes are joined by commas, for 'golf course' hold a blank",
        "classes above 0.5 are answered: no run is known whose out-of-fold rows could say better",
        "warning: no class is above 0.5 in 1 of 3 rows",
        "checked: 3 rows of image_id,labels (a list of classes), ids as expected",
    ]
    assert comptool("submit", "--check-only", "submissions/cup.csv").exit_code == 0
    result = comptool("submit", "--threshold", "0.05", "--force")
    assert "warning" not in result.stderr
    assert Path("submissions/cup.csv").read_text().count("golf course,sea") == 3
    assert provenance.recall(Path("submissions/cup.csv")).arguments["threshold"] == 0.05


def test_ranks_are_submitted_as_columns_and_never_thresholded(comptool, many):
    Path("other.csv").write_text(MANY.replace("0.9", "0.3"))
    members = ("submissions/preds.csv", "other.csv")
    assert comptool("ensemble", *members, "--method", "rank-mean", "-q").exit_code == 0
    result = comptool("submit", "-q")
    assert result.exit_code == 3
    assert "ensemble.csv: its numbers are ranks among these rows" in result.stderr
    assert "comptool ensemble --method mean" in result.stderr
    Path("sample.csv").write_text("image_id,golf course,sea\np,0,0\nq,0,0\nr,0,0\n")
    assert comptool("submit", "--threshold", "0.5").exit_code == 3
    assert comptool("submit").exit_code == 3
    assert comptool("submit", "--form", "probabilities").exit_code == 0
    again = comptool("ensemble", *members, "--method", "mean", "--force")
    assert again.exit_code == 0
    assert comptool("submit", "--threshold", "0.5", "--force").exit_code == 0


def test_classes_of_another_order_or_fewer_are_refused(comptool, many):
    for text, message in (
        (MANY.replace("golf course,sea", "sea,golf course"), "the same 2 in another order"),
        ("image_id,sea\np,0.9\nq,0.1\nr,0.2\n", "sea against golf course, sea"),
    ):
        Path("submissions/preds.csv").write_text(text)
        result = comptool("submit", "-q")
        assert (result.exit_code, result.stderr) == (
            4,
            "comptool submit: submissions/preds.csv: its classes are not those of the "
            f"competition: {message}\n",
        )


def test_a_sample_that_lacks_a_class_column_is_refused(comptool, many):
    Path("sample.csv").write_text("image_id,sea,pier\np,0,0\nq,0,0\nr,0,0\n")
    result = comptool("submit", "-q")
    assert (result.exit_code, result.stderr) == (
        4,
        "comptool submit: sample.csv: the sample submission asks for 'pier', which is not a class; "
        "it has no column for 'golf course'\n",
    )


@pytest.mark.parametrize(
    ("metric", "written"),
    [("map", "r,0.5,0.7\nq,0.2,0.1\np,0.9,0.6\n"), ("micro-f1", "r,0,1\nq,0,0\np,1,1\n")],
)
def test_a_column_per_class_has_what_the_metric_reads(comptool, many, metric, written):
    Path("sample.csv").write_text("image_id,golf course,sea\nr,0,0\nq,0,0\np,0,0\n")
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace("micro-f1", metric))
    assert comptool("submit").exit_code == 0
    assert Path("submissions/cup.csv").read_text() == f"image_id,golf course,sea\n{written}"
    assert comptool("submit", "--check-only", "submissions/cup.csv").exit_code == 0


LISTS = {"task": "multilabel", "skills": (1.5,), "rows": 400, "tests": 50}


def ask(metric: str, header: str = "id,y", cell: str = "") -> None:
    """A sample submission for the 50 test rows of `runs`, and the metric."""
    Path("sample.csv").write_text(f"{header}\n" + "".join(f"t{n},{cell}\n" for n in range(50)))
    toml = Path("comptool.toml")
    changed = toml.read_text().replace('metric = "map"', f'metric = "{metric}"')
    toml.write_text(changed.replace("[data]", '[data]\nsample-submission = "sample.csv"'))


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        ("macro-f1", lambda truth, said: sk.f1_score(truth, said, average="macro")),
        ("micro-f1", lambda truth, said: sk.f1_score(truth, said, average="micro")),
    ],
)
def test_thresholds_are_those_of_the_out_of_fold_rows(runs, metric, score):
    (source,) = runs(**LISTS)
    ask(metric)
    result = runs.run("submit", source)
    assert result.exit_code == 0, result.stderr
    (told,) = [line for line in result.stderr.splitlines() if "thresholds" in line]
    assert told.startswith(
        f"classes above their thresholds of best {metric} on 400 out-of-fold "
        "rows (weights/run0/oof.csv) are answered, 0."
    )
    assert told.endswith("; --threshold 0.5 sets one for all")
    assert " 0.5 " not in Path("submissions/x.csv").read_text()
    bounds = np.array(provenance.recall(Path("submissions/x.csv")).arguments["threshold"])
    held = read_predictions(Path("weights/run0/oof.csv"), sums_to_one=False).probabilities
    truth = np.array([line.split(",")[2:5] for line in Path("folds.csv").read_text().split()[1:]])
    truth = truth.astype(int)
    best = score(truth, held > bounds)
    assert best > score(truth, held > 0.5)
    # No other threshold of a class is better.
    for place in range(3):
        for other in np.linspace(0, 1, 41):
            moved = np.where(np.arange(3) == place, other, bounds)
            assert score(truth, held > moved) <= best + 1e-12
    given = read_predictions(source, sums_to_one=False).probabilities > bounds
    lists = [" ".join(np.array(["a", "b", "c"])[row]) for row in given]
    assert Path("submissions/x.csv").read_text().replace('""', "").splitlines()[1:] == [
        f"t{number},{names}" for number, names in enumerate(lists)
    ]


def test_a_given_threshold_wins(runs):
    (source,) = runs(**LISTS)
    ask("macro-f1")
    result = runs.run("submit", source, "--threshold", "0.5")
    assert "out-of-fold" not in result.stderr
    assert provenance.recall(Path("submissions/x.csv")).arguments["threshold"] == 0.5


def test_after_a_recalibration_one_half_is_the_threshold(runs):
    (source,) = runs(**LISTS)
    ask("macro-f1")
    assert runs.run("recalibrate", source, "--method", "thresholds").exit_code == 0
    result = runs.run("submit", "-o", "submissions/after.csv")
    assert "classes above 0.5 are answered: recalibrated by thresholds\n" in result.stderr
    assert runs.run("submit", source).exit_code == 0
    assert Path("submissions/after.csv").read_text() == Path("submissions/x.csv").read_text()


@pytest.mark.parametrize("method", ["temperature", "vector", "isotonic"])
def test_after_another_recalibration_thresholds_are_those_of_rows_recalibrated_alike(runs, method):
    (source,) = runs(**LISTS)
    ask("macro-f1")
    assert runs.run("submit", source).exit_code == 0
    plain = np.array(provenance.recall(Path("submissions/x.csv")).arguments["threshold"])
    assert runs.run("recalibrate", source, "--method", method).exit_code == 0
    result = runs.run("submit", "-o", "submissions/after.csv")
    assert f"(weights/run0/oof.csv), recalibrated by {method} as well, are answer" in result.stderr
    bounds = np.array(provenance.recall(Path("submissions/after.csv")).arguments["threshold"])
    held = read_predictions(Path("weights/run0/oof.csv"), sums_to_one=False).probabilities
    truth = np.array([line.split(",")[2:5] for line in Path("folds.csv").read_text().split()[1:]])
    moved = CELL_METHODS.find(method).load()(truth.astype(int), held).move(held)
    # An increasing map moves the thresholds and keeps the answers.
    assert np.array_equal(moved > bounds, held > plain)


def test_after_a_blend_with_groups_thresholds_are_those_of_blended_rows(runs):
    (source,) = runs(**LISTS)
    ask("macro-f1")
    rows = [line.split(",")[0] for line in Path("folds.csv").read_text().split()[1:]]
    tests = [line.split(",")[0] for line in Path(source).read_text().split()[1:]]
    scenes = [f"{name},s{number // 3}" for number, name in enumerate(rows)]
    scenes += [f"{name},t{number // 3}" for number, name in enumerate(tests)]
    Path("scenes.csv").write_text("\n".join(["id,scene", *scenes]) + "\n")
    options = ("--method", "context", "--by", "scenes.csv:scene", "--strength", "0.5")
    assert runs.run("recalibrate", source, *options).exit_code == 0
    result = runs.run("submit", "-o", "submissions/after.csv")
    assert "recalibrated by context as well" in result.stderr
    bounds = np.array(provenance.recall(Path("submissions/after.csv")).arguments["threshold"])
    held = read_predictions(Path("weights/run0/oof.csv"), sums_to_one=False).probabilities
    truth = np.array([line.split(",")[2:5] for line in Path("folds.csv").read_text().split()[1:]])
    moved = blended(held, np.arange(len(held)) // 3, strength=0.5, one=False)
    wanted = best_thresholds(truth.astype(int), moved)
    np.testing.assert_allclose(bounds, wanted, atol=1e-6)


def test_rows_that_were_trained_on_are_no_evidence(runs):
    (source,) = runs(**LISTS)
    ask("macro-f1")
    lines = Path("folds.csv").read_text().splitlines()
    lines[3] = lines[3][:-1] + "3"
    Path("folds.csv").write_text("\n".join(lines) + "\n")
    result = runs.run("submit", source)
    assert result.exit_code == 0
    assert (
        "classes above 0.5 are answered, as out-of-fold rows are of no use: weights/run0/oof.csv: "
        "1 rows were validated in another fold"
    ) in result.stderr


def test_columns_of_1_and_0_have_the_same_thresholds(runs):
    (source,) = runs(**LISTS)
    ask("macro-f1", "id,a,b,c", "0,0,0")
    result = runs.run("submit", source, "--json")
    assert json.loads(result.stdout)["form"] == "indicators"
    assert "on 400 out-of-fold rows" in result.stderr
    assert set(Path("submissions/x.csv").read_text().split("\n", 1)[1]) <= {*"t,\n0123456789"}


def test_a_list_sample_and_a_metric_of_probabilities(runs):
    (source,) = runs(**LISTS)
    ask("map")
    result = runs.run("submit", source, "-q")
    assert result.exit_code == 4
    assert result.stderr == (
        "comptool submit: sample.csv: the metric map reads probabilities, and the sample "
        "submission has one column, 'y', for 3 classes. Say what is asked for: --form list, or "
        "correct 'metric' in comptool.toml\n"
    )
    assert runs.run("submit", source, "--form", "list").exit_code == 0
    check = ("submit", "--check-only", "submissions/x.csv")
    assert runs.run(*check).exit_code == 4
    assert runs.run(*check, "--form", "list").exit_code == 0
