"""Several labels per image: what looks odd and is in order, from the download to the score."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

CLASSES = ["sea", "golf course", "roof, tiled", "quay/pier", "Österreich 東", 'the "port"']
JOINED = ["sea", "pier", "Österreich", "quay/port", "007", "NA"]
TRAIN = [f"{number:03}" for number in range(30)]
TEST = ["1e5", "NA", "a,b", "Straße 東", 'q"q', "x"]
NEVER, UNKNOWN_ROW = 4, 7  # a class without a present cell, a row without a known one


def write(path: str, header, rows) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def lines(path: str) -> list[list[str]]:
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def cells(count: int, seed: int) -> np.ndarray:
    found = (np.random.default_rng(seed).random((count, 6)) < 0.4).astype(int)
    found[:, NEVER] = 0
    return found


def images(part: str, ids: list[str]) -> list[str]:
    """Coarse pictures; their files have plain names."""
    Path(f"data/{part}").mkdir(parents=True)
    rng = np.random.default_rng(len(ids))
    names = [f"{part}/{number}.png" for number in range(len(ids))]
    for name in names:
        cv2.imwrite(f"data/{name}", rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    return names


@pytest.fixture
def columns(comptool):
    """A download with one column per class, two kinds of unknown cells among them."""
    labels = cells(len(TRAIN), 0).astype(object)
    labels[UNKNOWN_ROW] = -1
    labels[3, 0], labels[4, 1] = -1, ""
    paths = images("train", TRAIN)
    rows = [[i, p, *row] for i, p, row in zip(TRAIN, paths, labels.tolist(), strict=True)]
    write("data/train.csv", ["id", "path", *CLASSES], rows)
    paths = images("test", TEST)
    write("data/test.csv", ["id", "path"], zip(TEST, paths, strict=True))
    write("data/sample_submission.csv", ["id", *CLASSES], [[i, *[0] * 6] for i in TEST[::-1]])
    rows = [[i, *row] for i, row in zip(TEST, cells(6, 1).tolist(), strict=True)]
    write("data/answers.csv", ["id", *CLASSES], rows)
    return comptool


TRAINED = (
    "train", "--model", "test_efficientnet", "--pretrained", "no", "--img-size", "16",
    "--epochs", "1", "-j", "0", "--run-name", "new",
)  # fmt: skip


def done(comptool, *arguments):
    result = comptool(*arguments)
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result


def test_awkward_classes_and_unknown_cells_survive_the_whole_chain(columns):
    for arguments in (
        ("init", "data", "--name", "cup"),
        ("split", "--folds", "2"),
        (*TRAINED, "--fold", "all"),
        ("infer", "new", "-j", "0"),
        ("tta", "new", "-j", "0"),
        ("pseudolabel", "--threshold", "0.5", "--allow-empty"),
        ("ensemble", "--method", "gmean"),
        ("submit", "submissions/ensemble.csv"),
        ("submit", "--check-only", "submissions/cup.csv"),
        ("review", "new"),
    ):
        done(columns, *arguments, "-q")
    for name in ("preds", "preds_tta", "ensemble"):
        header, *rows = lines(f"submissions/{name}.csv")
        assert header == ["id", *CLASSES]
        assert [row[0] for row in rows] == TEST
    header, *rows = lines("submissions/cup.csv")
    assert header == ["id", *CLASSES]
    assert [row[0] for row in rows] == TEST[::-1]
    assert len(lines("weights/new/oof.csv")) == len(TRAIN) + 1
    assert TRAIN[UNKNOWN_ROW] not in {row[0] for row in lines("review.csv")[1:]}
    graded = done(
        columns, "score", "submissions/cup.csv", "--answers", "data/answers.csv", "--public", "0",
        "--per-class", "classes.csv", "--json",
    )  # fmt: skip
    assert CLASSES[NEVER] in json.loads(graded.stdout)["left_out"]["private"]
    assert {row[0] for row in lines("classes.csv")[1:]} == set(CLASSES)
    oof = done(columns, "score", "weights/new/oof.csv", "--answers", "data/train.csv")
    assert oof.stdout.endswith("(30 out-of-fold rows)\n")


def test_lists_of_labels_go_through_the_whole_chain(columns):
    """Names that look like numbers and like nothing, in lists; an empty list is no label."""
    present = cells(len(TRAIN), 0) == 1
    present[:3], present[0, NEVER] = False, True
    rows = [
        [i, f"train/{place}.png", " ".join(np.array(JOINED)[row])]
        for place, (i, row) in enumerate(zip(TRAIN, present, strict=True))
    ]
    write("data/train.csv", ["id", "path", "labels"], rows)
    write("data/sample_submission.csv", ["id", "labels"], [[i, "sea pier"] for i in TEST])
    answers = cells(6, 1) == 1
    rows = [[i, " ".join(np.array(JOINED)[row])] for i, row in zip(TEST, answers, strict=True)]
    write("data/answers.csv", ["id", "labels"], rows)
    for arguments in (
        ("init", "data", "--name", "cup"),
        ("split",),
        TRAINED,
        ("infer", "new", "-j", "0"),
        ("submit", "--threshold", "0.3"),
        ("submit", "--check-only", "submissions/cup.csv"),
    ):
        done(columns, *arguments, "-q")
    assert lines("submissions/preds.csv")[0] == ["id", *sorted(JOINED)]
    for row, listed in zip(
        lines("submissions/preds.csv")[1:], lines("submissions/cup.csv")[1:], strict=True
    ):
        wanted = [name for name, p in zip(sorted(JOINED), row[1:], strict=True) if float(p) > 0.3]
        assert listed == [row[0], " ".join(wanted)]
    done(columns, "score", "submissions/cup.csv", "--answers", "data/answers.csv",
         "--metric", "micro-f1")  # fmt: skip


def untouched(comptool, *arguments) -> str:
    """The message of a refusal that has changed no file."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = comptool(*arguments, "-q")
    assert result.exit_code in (2, 3, 4), result.output
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    return result.stderr.partition(": ")[2]


@pytest.fixture
def predicted(columns):
    """The same, with predictions of its test set and an out-of-fold file."""
    done(columns, "init", "data", "--name", "cup", "-q")
    rows = np.random.default_rng(2).random((36, 6)).round(3).tolist()
    write(
        "submissions/preds.csv",
        ["id", *CLASSES],
        [[i, *p] for i, p in zip(TEST, rows[:6], strict=True)],
    )
    write(
        "oof.csv",
        ["id", "fold", *CLASSES],
        [[i, 0, *p] for i, p in zip(TRAIN, rows[6:], strict=True)],
    )
    return columns


USERS = {
    "submit": ("submit", "submissions/preds.csv"),
    "pseudolabel": ("pseudolabel", "submissions/preds.csv"),
    "score": ("score", "submissions/preds.csv", "--answers", "data/answers.csv"),
    "review": ("review", "oof.csv"),
}


def changed(names: list[str]) -> None:
    """Rename the class columns of both prediction files."""
    for path, given in (("submissions/preds.csv", ["id"]), ("oof.csv", ["id", "fold"])):
        _, *rows = lines(path)
        width = len(given) + len(names)
        write(path, [*given, *names], [row[:width] for row in rows])


@pytest.mark.parametrize("command", ["submit", "pseudolabel", "review"])
def test_class_columns_in_another_order(predicted, command):
    changed(CLASSES[::-1])
    assert "the same 6 in another order" in untouched(predicted, *USERS[command])


@pytest.mark.parametrize("command", USERS)
def test_a_class_column_that_is_absent(predicted, command):
    changed(CLASSES[:-1])
    message = untouched(predicted, *USERS[command])
    # Of many classes those that differ are named, of few both lists.
    assert message.count('the "port"') == 1
    assert 'without the "port"' in message or "no column for the class 'the \"port\"'" in message


@pytest.mark.parametrize("command", USERS)
def test_a_class_column_that_is_there_twice(predicted, command):
    changed([*CLASSES[:-1], CLASSES[0]])
    message = untouched(predicted, *USERS[command])
    assert message.endswith(": the header repeats a column (found 'sea')\n")


@pytest.mark.parametrize("command", ["score", "review", "split"])
def test_a_label_that_is_none(predicted, command):
    for name in ("train", "answers"):
        header, *rows = lines(f"data/{name}.csv")
        rows[1][-1] = "yes"
        write(f"data/{name}.csv", header, rows)
    arguments = USERS.get(command, ("split",))
    message = untouched(predicted, *arguments)
    assert "row 2, column 'the \"port\"': a label is 1 (present), 0 (absent), -1 or bl" in message
    assert message.endswith("(found 'yes')\n")


def test_one_class_per_image_is_decided_by_recalibrate_alone(predicted):
    assert untouched(predicted, "recalibrate", "submissions/preds.csv") == (
        "submissions/preds.csv: these predictions are multi-label, but this step is for one "
        "class per image. Their classes are independent: submit the probabilities, or answers "
        "above "
        "a threshold (comptool submit --threshold), or recalibrate each class (comptool "
        "recalibrate --method thresholds, temperature, vector or isotonic; --compare estimates "
        "which helps)\n"
    )
