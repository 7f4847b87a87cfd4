"""Labels that cannot be split or trained on: one class, one sample, classes of one part only."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

TRAIN = "data/train.csv"
NO_FOLDS = {"folds.csv": None, "folds.csv.meta.json": None}


def relabelled(label: Callable[[int, str], str]) -> Callable[[str], str]:
    """A change of the label of each row, the fourth column."""

    def change(text: str) -> str:
        header, *lines = text.splitlines()
        rows = [line.split(",") for line in lines]
        for index, row in enumerate(rows):
            row[3] = label(index, row[3])
        return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"

    return change


@pytest.mark.parametrize("command", ["split", "train"])
def test_one_class_only(refused, damage, command):
    damage(NO_FOLDS | {TRAIN: relabelled(lambda index, label: "a")})
    refused(
        command,
        3,
        f"{TRAIN}, column 'y': all rows have the same label; there is nothing to learn (found 'a')",
    )


def test_one_class_in_the_folds(refused, damage):
    damage({"folds.csv": relabelled(lambda index, label: "a")})
    refused(
        "train",
        3,
        "folds.csv: the 16 rows to train on are all of one class; there is nothing to tell apart "
        "(found 'a')",
    )


def test_a_class_in_validation_that_training_lacks(refused, damage):
    def only_in_fold_1(text: str) -> str:
        lines = text.splitlines()
        row = next(index for index, line in enumerate(lines) if line.endswith(",1"))
        cells = lines[row].split(",")
        lines[row] = ",".join([*cells[:3], "z", "1"])
        return "\n".join(lines) + "\n"

    damage({"folds.csv": only_in_fold_1})
    refused(
        ("train", "--model", "test_efficientnet-dual", "--run-name", "new", "--fold", "1"),
        3,
        "folds.csv: fold 1 validates classes that no training row has (found 'z'). Give such a row "
        "the fold -1, or split again with fewer folds",
    )


def folds_of(name: str) -> Counter[str]:
    with Path("new.csv").open() as stream:
        return Counter(row["fold"] for row in csv.DictReader(stream) if row["y"] == name)


@pytest.mark.parametrize("options", [(), ("--folds", "4"), ("--val", "0.5")])
def test_a_class_with_one_sample_is_always_trained_on(chain, damage, run, options):
    damage({TRAIN: relabelled(lambda index, label: "z" if index == 5 else label)})
    result = run("split", *options)
    assert result.exit_code == 0, result.stderr
    assert "z" in result.stderr
    assert folds_of("z") == {"-1": 1}
    Path("folds.csv").unlink()
    Path("new.csv").rename("folds.csv")
    Path("new.csv.meta.json").replace("folds.csv.meta.json")
    assert run("train", "-q").exit_code == 0


def test_a_class_with_one_sample_cannot_be_balanced_down_to(refused, damage):
    damage({TRAIN: relabelled(lambda index, label: "z" if index == 5 else label)})
    refused(
        ("split", "--balance", "under", "-o", "new.csv"),
        3,
        f"{TRAIN}: every class has one sample, or one group, alone; nothing can be validated",
    )


@pytest.mark.parametrize("command", ["split", "train"])
def test_nothing_but_classes_of_one_sample(refused, damage, command):
    damage(NO_FOLDS | {TRAIN: relabelled(lambda index, label: f"class-{index}")})
    refused(
        command,
        3,
        f"{TRAIN}: every class has one sample, or one group, alone; nothing can be validated",
    )


@pytest.mark.parametrize("command", ["split", "train", "pseudolabel"])
def test_a_blank_label(refused, damage, command):
    damage(NO_FOLDS | {TRAIN: relabelled(lambda index, label: " " if index == 5 else label)})
    refused(command, 3, f"{TRAIN}, row 6, column 'y': the label is blank")


@pytest.mark.parametrize("name", ["pred", "fold", "id"])
@pytest.mark.parametrize("command", ["split", "train"])
def test_a_class_called_like_a_column_of_prediction_files(refused, damage, command, name):
    damage(NO_FOLDS | {TRAIN: relabelled(lambda index, label: name if label == "b" else label)})
    refused(
        command,
        3,
        f"{TRAIN}, row 2, column 'y': a class cannot be called like a column of prediction files "
        f"(found '{name}'). Rename the class in all tables, a sample submission among them, and in "
        "the submission back",
    )
