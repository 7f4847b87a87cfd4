"""Which rows are trained on and which are validated."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from comptool.competition.config import load
from comptool.competition.samples import training_samples
from comptool.errors import InputError, UsageError
from comptool.splits.config import SplitOptions
from comptool.splits.splitting import split_samples
from comptool.training.config import Files, TrainSettings
from comptool.training.data import divide, make_plan, read_rows


def edit(path: Path, change) -> None:
    rows = list(csv.reader(path.open()))
    rows[1:] = [change(index, row) for index, row in enumerate(rows[1:])]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def rows_of(folds: Path | None = Path("folds.csv"), **settings):
    return read_rows(load(), TrainSettings(**settings), folds, None)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_hold_out_is_what_split_makes(seed, folder):
    rows = rows_of(None, seed=seed)
    made = split_samples(training_samples(load()), SplitOptions(seed=seed))
    assert rows.fold.tolist() == made.frame["fold"].tolist()
    assert rows.notes[0] == (
        f"no folds.csv here: stratified hold-out of 0.2 of train.csv, seed {seed} ('comptool "
        "split' makes others)"
    )


def test_training_and_validation_are_disjoint_and_complete(folds):
    rows = rows_of()
    for fold in rows.folds:
        train, valid = divide(rows, TrainSettings(), fold)
        assert sorted([*train, *valid]) == list(range(24))
        assert (rows.fold[valid] == fold).all()
    train, valid = divide(rows, TrainSettings(), None)
    assert (len(train), len(valid)) == (24, 0)


def test_under_sampling_cuts_training_only(folds):
    # Class a has two rows left beside the validated ones.
    edit(folds, lambda index, row: [*row[:3], "b" if index in (3, 6, 12) else row[3], row[4]])
    rows = rows_of(balance="under")
    train, valid = divide(rows, TrainSettings(balance="under"), 0)
    assert rows.counts(train) == {"a": 2, "b": 2, "c": 2}
    assert len(valid) == 9
    again, _ = divide(rows, TrainSettings(balance="under"), 0)
    other, _ = divide(rows, TrainSettings(balance="under", seed=3), 0)
    assert train.tolist() == again.tolist() != other.tolist()


def test_a_fold_that_does_not_exist_names_those_that_do(folds):
    with pytest.raises(UsageError) as refusal:
        divide(rows_of(), TrainSettings(), 5)
    assert str(refusal.value) == "there is no fold 5 in folds.csv; its folds are 0, 1, 2"


def test_a_validated_class_that_training_lacks_is_named(folds):
    edit(folds, lambda index, row: [*row[:3], "tank" if index == 0 else row[3], row[4]])
    with pytest.raises(InputError) as refusal:
        divide(rows_of(), TrainSettings(), 0)
    assert str(refusal.value) == (
        "folds.csv: fold 0 validates classes that no training row has (found 'tank'). Give such a "
        "row the fold -1, or split again with fewer folds"
    )


def test_a_class_of_one_row_can_be_trained_on(folds):
    edit(folds, lambda index, row: [*row[:3], "tank" if index == 5 else row[3], row[4]])
    rows = rows_of()
    train, _ = divide(rows, TrainSettings(), 0)
    assert rows.counts(train)["tank"] == 1


def test_a_metric_that_the_validated_rows_do_not_define_is_told_before_training(folds):
    edit(folds, lambda index, row: [*row[:-1], "1" if row[3] == "a" and index < 9 else "0"])
    files = Files(folds=Path("folds.csv"))
    plan = make_plan(TrainSettings(metric="logloss", fold="1"), files, Path("weights/run"))
    assert len(plan.members[0].valid) == 3
    with pytest.raises(InputError) as refusal:
        make_plan(TrainSettings(metric="auc", fold="1"), files, Path("weights/run"))
    assert str(refusal.value) == (
        "folds.csv: fold 1 cannot be validated: auc is not defined on rows that are all of one "
        "class. Split again, or give another --metric"
    )
    assert not Path("weights").exists()


def test_one_class_is_refused(folds):
    edit(folds, lambda index, row: [*row[:3], "a", row[4]])
    with pytest.raises(InputError) as refusal:
        rows_of()
    assert str(refusal.value) == "folds.csv: there is only one class (found 'a')"


def test_a_table_without_folds_says_how_to_make_them(folder):
    with pytest.raises(InputError) as refusal:
        rows_of(Path("train.csv"))
    assert str(refusal.value) == (
        "train.csv: no column is called 'fold' (found 'image_id', 'sar_path', 'eo_path' and 1 "
        "more). Make the folds: comptool split"
    )


def test_the_digest_sees_every_change_that_matters(folds):
    before = rows_of().digest()
    assert rows_of().digest() == before
    for column, value in ((1, "images/sar_05.png"), (3, "b"), (4, "2")):
        text = folds.read_text()
        first = text.splitlines()[1].split(",")
        first[column] = value
        edit(folds, lambda index, row, first=first: row if index else first)
        assert rows_of().digest() != before
        folds.write_text(text)


def test_rows_without_an_image_are_left_out_before_folds_are_made(folder):
    Path("images/eo_00.png").unlink()
    rows = rows_of(None, missing_modality="drop")
    assert len(rows.fold) == 23
    assert rows.notes[-1] == "leaving out 1 of 24 rows of train.csv: an image is missing"
    assert np.isin([-1, 0], rows.fold).all()
