"""comptool split --from-column and --seeds, with one label per row."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.io import provenance

HEADER = "id,label,part"


def write(rows: list[str], header: str = HEADER) -> None:
    lines = [f"{number},{row}" for number, row in enumerate(rows)]
    Path("t.csv").write_text("\n".join([header, *lines, ""]))


def folds(path: str = "folds.csv") -> dict[str, int]:
    frame = pd.read_csv(path, dtype={"id": str})
    return dict(zip(frame["id"], frame["fold"], strict=True))


def test_a_given_split_is_taken_and_its_test_rows_are_left_out(comptool):
    write(["a,train", "b,Train ", "a,val", "b,validation", "a,test", "b,training"])
    result = comptool("split", "t.csv", "--from-column", "part")
    assert result.exit_code == 0, result.stderr
    assert folds() == {"0": -1, "1": -1, "2": 0, "3": 0, "5": -1}
    assert "warning: 1 rows are 'test' and left out\n" in result.stderr
    found = provenance.recall(Path("folds.csv")).facts
    assert found["class_counts"] == {"a": 2, "b": 3}
    assert found["strategy"] == "split given by column part"


def test_train_and_val_folders_are_a_split_to_take(comptool):
    chip = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()
    for part, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 8))):
        for number in numbers:
            path = Path(part, "ab"[number % 2] if part != "test" else "", f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(chip)
    result = comptool("split", "-o", "other.csv")
    assert "warning: column 'split' holds a split; use it with --from-column split" in (
        result.stderr
    )
    result = comptool("split", "--from-column", "split")
    assert result.exit_code == 0, result.stderr
    assert folds() == {"0": -1, "2": -1, "1": -1, "3": -1, "4": 0, "5": 0}


def test_given_fold_numbers_are_kept(comptool):
    write(["a,0", "b,1", "a,2", "b,-1"])
    assert comptool("split", "t.csv", "--from-column", "part").exit_code == 0
    assert folds() == {"0": 0, "1": 1, "2": 2, "3": -1}
    assert comptool("split", "folds.csv", "--from-column", "fold", "-o", "f.csv").exit_code == 0
    assert folds("f.csv") == folds()


def test_classes_that_a_given_split_tears_from_training_are_named(comptool, monkeypatch):
    monkeypatch.setenv("COMPTOOL_GROUP", "scene")
    write(["a,train,p", "b,train,p", "a,val,q", "c,val,p"], "id,label,part,scene")
    result = comptool("split", "t.csv", "--from-column", "part")
    assert result.exit_code == 0
    assert result.stderr.endswith(
        "warning: the given split divides 1 groups ('p')\n"
        "warning: class 'b' has training rows only: never validated\n"
        "warning: class 'c' has no training row: validated but never trained on\n"
    )


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        (["a,train", "b,val"], "prat", "t.csv: no column is called 'prat' (found 'part', "),
        (
            ["a,train", "b,val", "b,tset"],
            "part",
            "t.csv, row 3, column 'part': a given split is train, val or test, or a fold number "
            "from -1 (found 'tset')\n",
        ),
        (["a,train", "b,train"], "part", "t.csv, column 'part': no row is validated; some rows"),
        (["a,val", "b,test"], "part", "t.csv, column 'part': no row is left to train on; all"),
    ],
)
def test_a_given_split_that_cannot_be_used_is_refused(comptool, rows, column, message):
    write(rows)
    result = comptool("split", "t.csv", "--from-column", column)
    assert result.exit_code == 3
    assert f"\ncomptool split: {message}" in result.stderr
    assert not Path("folds.csv").exists()


def test_a_column_that_looks_like_a_split_is_pointed_out(comptool):
    write(["a,train", "b,train", "a,val", "b,val"] * 3, "id,label,split")
    result = comptool("split", "t.csv", "--val", "0.5")
    assert result.exit_code == 0
    assert "warning: column 'split' holds a split; use it with --from-column split\n" in (
        result.stderr
    )


def test_the_best_of_many_seeds_keeps_the_shares_of_grouped_classes(comptool):
    rows = [f"{'abc'[(n * n + n // 7) % 3]},{n // 5}" for n in range(150)]
    write(rows, "id,label,scene")
    one = comptool("split", "t.csv", "--folds", "5", "--seed", "3", "-o", "one.csv")
    best = comptool("split", "t.csv", "--folds", "5", "--seed", "3", "--seeds", "6")
    assert best.exit_code == 0, best.stderr
    worst = "worst deviation of a class's share: "
    deviations = [float(result.stderr.split(worst)[1].split()[0]) for result in (one, best)]
    assert deviations[1] <= deviations[0]
    assert "\n6 seeds: a class's share differs by at most " in best.stderr
    assert f"differs by at most {deviations[1]:.2f} percentage points (best, seed " in best.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "9"], "--seeds has no effect here: with one label per row and no gro"),
        (["--strategy", "random"], "--strategy is for several labels per row; this competition"),
        (["--no-refine"], "--no-refine is for several labels per row; this competition has one ("),
        (["--map-zero-to-unknown"], "--map-zero-to-unknown is for several labels per row; this"),
        (
            ["--findings", "f.csv", "--mask", "label-run"],
            "--mask is for several labels per row; this competition has one (if that is wrong",
        ),
    ],
)
def test_what_only_several_labels_can_be_asked_is_refused(comptool, arguments, message):
    write(["a,1", "b,1"] * 4)
    result = comptool("split", "t.csv", *arguments)
    assert result.exit_code == 2
    assert f"\ncomptool split: {message}" in result.stderr
    assert not Path("folds.csv").exists()


def test_the_split_that_eurosat_gives(comptool, real_data):
    comptool("init", real_data / "eurosat")
    assert comptool("split", "--from-column", "split").exit_code == 0
    assert pd.read_csv("folds.csv")["fold"].value_counts().to_dict() == {-1: 6400, 0: 1600}
