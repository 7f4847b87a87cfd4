"""``comptool features``: a picture and its points."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

IDS = [f"tr{number:03d}" for number in range(6)]


def rows():
    with Path("features.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_runs_are_drawn_side_by_side_and_the_points_are_kept(comptool, pairs):
    for number in range(2):
        pairs(f"run{number}", seed=number)
        pairs.held_out(f"run{number}", IDS)
    result = comptool("features", "run0", "run1", "--highlight", "a", "-j", 0, "--json")
    assert result.exit_code == 0, result.stderr
    assert "weights/run1: 6 rows of data/train.csv" in result.stderr
    document = json.loads(result.stdout)
    assert (document["output"], document["table"]) == ("features.png", "features.csv")
    assert [panel["run"] for panel in document["panels"]] == ["weights/run0", "weights/run1"]
    for panel in document["panels"]:
        assert panel["rows"] == 6
        assert 0 < panel["explained"][1] <= panel["explained"][0] <= 1
    assert cv2.imread("features.png").shape[1] > 800
    found = rows()
    assert list(found[0]) == ["id", "class", "run", "x", "y"]
    assert [(row["id"], row["class"]) for row in found[:6]] == list(zip(IDS, "abcabc", strict=True))
    assert [row["run"] for row in found] == ["weights/run0"] * 6 + ["weights/run1"] * 6
    for name in ("features.png", "features.csv"):
        record = json.loads(Path(f"{name}.meta.json").read_text())
        assert record["command"] == "features"
        assert record["arguments"]["highlight"] == ["a"]
        assert "weights/run1/best.safetensors" in record["inputs"]


def test_a_labelled_table_and_a_number_of_rows_of_each_class(comptool, pairs):
    pairs("one")
    result = comptool(
        "features", "--table", "data/train.csv", "--per-class", 2, "--method", "tsne", "-j", 0
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "features.png\n"
    classes = [row["class"] for row in rows()]
    assert sorted(classes) == list("aabbcc")
    arguments = json.loads(Path("features.csv.meta.json").read_text())["arguments"]
    assert (arguments["runs"], arguments["highlight"]) == (None, None)


def test_each_fold_is_a_panel_with_its_own_rows(comptool, pairs):
    for fold, ids in enumerate((IDS, [f"tr{number:03d}" for number in range(6, 12)])):
        pairs(f"folded/fold-{fold}", seed=fold)
        pairs.held_out(f"folded/fold-{fold}", ids)
    assert comptool("features", "folded", "-j", 0).exit_code == 0
    found = rows()
    assert [row["run"] for row in found[::6]] == [f"weights/folded/fold-{fold}" for fold in (0, 1)]
    assert [row["id"] for row in found] == [f"tr{number:03d}" for number in range(12)]


def test_the_same_command_gives_the_same_points(comptool, pairs):
    pairs("one")
    pairs.held_out("one", IDS)
    drawn = []
    for batch_size in (1, 6):
        assert comptool("features", "-b", batch_size, "-j", 0, "--force").exit_code == 0
        drawn.append([[float(row["x"]), float(row["y"])] for row in rows()])
    np.testing.assert_allclose(*drawn, atol=1e-4)


def test_a_dry_run_writes_nothing_and_outputs_are_not_replaced(comptool, pairs):
    pairs("one")
    pairs.held_out("one", IDS)
    result = comptool("features", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "would write features.png and features.csv" in result.stderr
    assert not Path("features.png").exists()
    Path("features.csv").write_text("mine")
    result = comptool("features", "-j", 0)
    assert result.exit_code == 3
    assert "features.csv: exists already" in result.stderr
    assert Path("features.csv").read_text() == "mine"


def test_a_run_that_may_have_seen_its_rows_is_told(comptool, pairs):
    pairs("one", leak="it started from another")
    pairs.held_out("one", IDS)
    told = comptool("features", "--dry-run").stderr
    assert "warning: weights/one may have been trained on these: it started from another" in told
    assert "warning" not in comptool("features", "--dry-run", "--table", "data/train.csv").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--highlight", "d"], 2, "no class is called 'd'"),
        (["-o", "features.jpg"], 2, "--output is 'features.jpg'; the picture is a .png"),
        (["other"], 3, "weights/other: this run held no rows out"),
        (["one", "other"], 3, "its classes are not those of weights/one, and they are not drawn"),
        (["two"], 3, "a projection needs 3 rows or more"),
    ],
)
def test_mistakes_are_named(comptool, pairs, arguments, code, message):
    pairs("other", classes=["b", "a", "c"])
    for run, ids in (("two", IDS[:2]), ("one", IDS)):
        pairs(run)
        pairs.held_out(run, ids)
    if "other" in arguments[:1]:
        shutil.rmtree("weights/other")
        pairs("other")
    result = comptool("features", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert not Path("features.png").exists()


def test_several_classes_per_row_are_refused(comptool, pairs):
    pairs("one", task="multilabel")
    result = comptool("features")
    assert result.exit_code == 2
    assert "features are drawn by the class of each row, and here it has several" in result.stderr
