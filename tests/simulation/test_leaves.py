"""Rusty leaves: the label is what is drawn, as a number and as a rater's grade."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.practice.leaves import BOUNDS, as_grades
from comptool.practice.make_practice import make


def made(tmp_path, name, scale=0.01):
    said: list[str] = []
    facts = make(
        name, tmp_path / name, scale=scale, seed=0, options={}, say=said.append, processes=1,
        quiet=True,
    )  # fmt: skip
    return tmp_path / name, facts, said


def test_every_row_has_a_leaf_and_the_answers_are_kept_apart(tmp_path):
    folder, facts, said = made(tmp_path, "rust")
    assert facts["task"] == "regression"
    assert said == ["60 training leaves, 40 test"]
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("train", "test", "answers")}
    assert {name: list(table.columns) for name, table in tables.items()} == {
        "train": ["image_id", "path", "covered"],
        "test": ["image_id", "path"],
        "answers": ["image_id", "covered"],
    }
    listed = {*tables["train"]["path"], *tables["test"]["path"]}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.png")} == listed
    assert list(tables["answers"]["image_id"]) == list(tables["test"]["image_id"])


def test_the_label_is_the_share_of_rusty_pixels(tmp_path):
    folder, _, _ = made(tmp_path, "rust")
    train = pd.read_csv(folder / "train.csv")
    found = []
    for path in train["path"]:
        quiet = cv2.medianBlur(cv2.imread(str(folder / path)), 3).astype(float)
        blue, green, red = cv2.split(quiet)
        leaf, rusty = green > blue + 60, red > green + 55
        found.append(100 * rusty.sum() / max((leaf | rusty).sum(), 1))
    assert np.corrcoef(found, train["covered"])[0, 1] > 0.95
    assert train["covered"].between(0, 100).all()


def test_the_same_seed_gives_the_same_leaves(tmp_path):
    (tmp_path / "again").mkdir()
    first, again = made(tmp_path, "rust")[0], made(tmp_path / "again", "rust")[0]
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(first)).read_bytes()


@pytest.mark.parametrize(("share", "grade"), [(0, "0"), (2, "0"), (2.1, "1"), (20, "2"), (99, "4")])
def test_a_grade_is_a_step_of_the_share(share, grade):
    assert as_grades(np.array([float(share)]), None) == [grade]


def test_raters_are_one_step_off_in_a_tenth_of_the_rows():
    shares = np.repeat([1.0, 30.0], 2000)
    right = np.array(as_grades(shares, None), int)
    rated = np.array(as_grades(shares, np.random.default_rng(0)), int)
    assert np.abs(rated - right).max() == 1
    assert (rated[2000:] != right[2000:]).mean() == pytest.approx(0.1, abs=0.02)
    assert rated.min() == 0
    assert len(set(rated)) <= len(BOUNDS) + 1


def test_grades_are_those_of_the_same_leaves(tmp_path):
    folder, facts, _ = made(tmp_path, "rust-grades", scale=0.05)
    assert facts["classes"] == ["0", "1", "2", "3", "4"]
    assert facts["task"] == "ordinal"
    assert set(pd.read_csv(folder / "train.csv")["severity"]) == {0, 1, 2, 3, 4}
