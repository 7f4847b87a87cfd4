"""Rows and cells of several labels: what is learnt from, what is measured, what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from comptool.competition.config import load
from comptool.errors import InputError
from comptool.io.predictions import read_predictions
from comptool.io.tables import read_table
from comptool.training.config import TrainSettings
from comptool.training.data import divide, read_rows

RUN = Path("weights/run")
CLASSES = ("sea", "golf course", "road", "ship")


def validated() -> np.ndarray:
    frame = read_table(Path("folds.csv"))
    return frame.loc[frame["fold"] == "0", list(CLASSES)].astype(int).to_numpy()


def test_a_class_without_a_positive_is_said_and_left_out_of_the_metric(scenes, learn, plan_scenes):
    def change(number, cells):
        without = [min(cells[0], 0), *cells[1:]] if number % 4 == 0 else cells
        return [*without[:3], min(without[3], 0)] if number % 4 else without

    scenes(change)
    assert plan_scenes().notes[1:] == (
        "weights/run: no positive row to train on: it cannot be learnt: class 'ship'",
        "weights/run: no positive row to validate: the metric leaves it out: class 'sea'",
    )
    outcome = learn(epochs=1)
    oof = read_predictions(RUN / "oof.csv", sums_to_one=False)
    cells = validated()
    measured = [average_precision_score(cells[:, k], oof.probabilities[:, k]) for k in (1, 2, 3)]
    assert outcome.score == pytest.approx(np.mean(measured))


def test_rows_without_an_annotated_cell_are_said(scenes, learn, plan_scenes):
    scenes(lambda number, cells: [-1] * 4 if number in (1, 2, 4) else cells)
    assert plan_scenes().notes[-1] == (
        "weights/run: 2 of the 24 rows to train on have no annotated cell"
    )
    learn(epochs=1)
    assert RUN.exists()


def test_nothing_to_learn_or_nothing_to_measure_is_told_before_training(scenes, plan_scenes):
    scenes(lambda number, cells: [-1] * 4 if number % 4 else cells)
    with pytest.raises(InputError) as refusal:
        plan_scenes()
    assert str(refusal.value) == "folds.csv: none of the 24 rows to train on has a class"
    scenes(lambda number, cells: cells if number % 4 else [min(cell, 0) for cell in cells])
    with pytest.raises(InputError) as refusal:
        plan_scenes()
    assert str(refusal.value).startswith("folds.csv: fold 0 cannot be validated: ")


def test_a_wrong_cell_is_counted_as_the_table_counts_it(scenes, folder):
    scenes(lambda number, cells: ["2", *cells[1:]] if number == 9 else cells)
    (folder / "images/scene3.png").unlink()
    settings = TrainSettings(missing_modality="drop")
    with pytest.raises(InputError) as refusal:
        read_rows(load(), settings, Path("folds.csv"), None)
    assert str(refusal.value).startswith("folds.csv, row 10, column 'sea': a label is 1 (present)")


def test_extra_rows_bring_their_unknown_cells(scenes):
    scenes()
    Path("pseudo.csv").write_text(
        "id,path,sea,golf course,road,ship,fold\n"
        "x1,images/scene0.png,1,-1,0,,-1\nx2,images/scene1.png,0,1,-1,1,-1\n"
    )
    rows = read_rows(load(), TrainSettings(), Path("folds.csv"), Path("pseudo.csv"))
    assert rows.targets[-2:].tolist() == [[1, -1, 0, -1], [0, 1, -1, 1]]
    train, valid = divide(rows, TrainSettings(), 0)
    assert (len(train), len(valid)) == (26, 8)


def test_all_folds_join_to_one_score(scenes, learn):
    scenes()
    rows = list(csv.reader(Path("folds.csv").open()))
    with Path("folds.csv").open("w", newline="") as stream:
        changed = [[*row[:-1], number % 2] for number, row in enumerate(rows[1:])]
        csv.writer(stream).writerows([rows[0], *changed])
    outcome = learn(fold="all", epochs=1)
    oof = read_predictions(RUN / "oof.csv", sums_to_one=False)
    assert oof.ids.tolist() == [row[0] for row in rows[1:]]
    cells = np.array([[int(cell) for cell in row[2:6]] for row in rows[1:]])
    measured = [
        average_precision_score(cells[known, k], oof.probabilities[known, k])
        for k in range(4)
        for known in [cells[:, k] >= 0]
    ]
    assert outcome.score == pytest.approx(np.mean(measured))
