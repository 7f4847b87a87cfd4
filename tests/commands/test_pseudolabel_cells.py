"""``comptool pseudolabel`` of a multi-label competition: sure cells, and the rows kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

CLASSES = ["sea", "golf course", "roof, tiled"]
TOML = """
task = "multilabel"
metric = "map"
[data]
folder = "data"
train = "train.csv"
test = "test.csv"
id = "img_id"
label = ["sea", "golf course", "roof, tiled"]
[modalities]
image = "img_path"
"""
HEADER = 'img_id,sea,golf course,"roof, tiled"\n'
PREDS = (
    HEADER
    + "d,0.01,0.02,0.03\n"  # nothing is surely there
    + "c,0.5,0.5,0.5\n"
    + "b,0.97,0.99,0.5\n"
    + "a,0.98,0.04,0.01\n"
)


@pytest.fixture
def download(comptool, put):
    """A multi-label competition in the empty folder, with predictions of its four test images."""
    put("comptool.toml", TOML)
    header = HEADER.replace("img_id,", "img_id,img_path,")
    put("data/train.csv", header + "t1,a/1.png,1,0,-1\nt2,a/2.png,0,1,0\n")
    put("data/test.csv", "img_id,img_path\n" + "".join(f"{i},t/{i}.png\n" for i in "abcd"))
    put("submissions/preds.csv", PREDS, task="multilabel", runs=["one"])
    return comptool


def kept(path: str = "pseudo.csv") -> dict[str, list[str]]:
    """Cells, confidence and round by id."""
    with Path(path).open() as stream:
        header, *rows = csv.reader(stream)
    assert header == ["img_id", "img_path", *CLASSES, "confidence", "round", "fold"]
    assert all(row[1] == f"t/{row[0]}.png" and row[-1] == "-1" for row in rows)
    return {row[0]: row[2:-1] for row in rows}


def test_sure_cells_are_labelled_and_rows_with_a_present_one_are_kept(download):
    result = download("pseudolabel")
    assert result.exit_code == 0, result.stderr
    found = kept()
    # 0.04 is not below 0.04, 0.97 is above 0.96.
    assert {name: row[:3] for name, row in found.items()} == {
        "a": ["1", "-1", "0"],
        "b": ["1", "1", "-1"],
    }
    assert float(found["a"][3]) == pytest.approx((0.98 + 0.99) / 2)
    assert float(found["b"][3]) == pytest.approx((0.97 + 0.99) / 2)
    assert result.stderr.splitlines()[1:] == [
        "class        predicted  sure  absent  unknown  kept",
        "sea                  2     2       0        0     2",
        "golf course          1     1       0        1     1",
        "roof, tiled          0     0       1        1     0",
        "sum                  3     3       1        2     3",
    ]


def test_the_table_is_read_as_labelled_samples_with_unknown_cells(download):
    from comptool.competition.config import load
    from comptool.competition.samples import read_samples

    download("pseudolabel")
    samples = read_samples(Path("pseudo.csv"), load(), labelled=True)
    np.testing.assert_array_equal(samples.label_matrix(), [[1, -1, 0], [1, 1, -1]])
    assert samples.frame["fold"].tolist() == [-1, -1]
    assert samples.folder.resolve() == Path("data").resolve()


@pytest.mark.parametrize(
    ("options", "cells"),
    [
        (["--threshold", 0.98], {"b": ["-1", "1", "-1"]}),
        (["--lower", 0.5], {"a": ["1", "0", "0"], "b": ["1", "1", "-1"]}),
        (["--threshold", 0.9, "--lower", 0], {"a": ["1", "-1", "-1"], "b": ["1", "1", "-1"]}),
        (["--per-class-cap", 1], {"a": ["1", "-1", "0"], "b": ["-1", "1", "-1"]}),
        (["--balance"], {"a": ["1", "-1", "0"], "b": ["-1", "1", "-1"]}),
    ],
)
def test_rules(download, options, cells):
    result = download("pseudolabel", *options)
    assert result.exit_code == 0, result.stderr
    assert {name: row[:3] for name, row in kept().items()} == cells


def test_ranks_are_not_taken_for_probabilities(download, put):
    put("ranks.csv", PREDS, task="multilabel", scores="ranks")
    result = download("pseudolabel", "ranks.csv", "-q")
    assert result.exit_code == 3
    assert "ranks.csv: its numbers are ranks among these rows" in result.stderr
    assert not Path("pseudo.csv").exists()


def test_a_threshold_below_one_half_leaves_nothing_in_between(download):
    result = download("pseudolabel", "--threshold", 0.3)
    assert result.exit_code == 0, result.stderr
    assert {cell for row in kept().values() for cell in row[:3]} <= {"0", "1", "-1"}
    assert kept()["b"][:2] == ["1", "1"]


def test_in_a_second_round_the_newest_cell_wins_and_the_others_stay(download, put):
    download("pseudolabel")
    put("second.csv", HEADER + "a,0.5,0.99,0.99\nb,0.5,0.5,0.5\nc,0.99,0.5,0.5\nd,0.5,0.5,0.5\n")
    result = download("pseudolabel", "second.csv", "--previous", "pseudo.csv", "--force")
    assert result.exit_code == 0, result.stderr
    assert {name: [*row[:3], row[4]] for name, row in kept().items()} == {
        "a": ["1", "1", "1", "2"],
        "b": ["1", "1", "-1", "1"],
        "c": ["1", "-1", "-1", "2"],
    }


def test_an_earlier_cell_that_is_no_label_is_named(download, put):
    put("old.csv", HEADER.rstrip() + ",round\na,1,2,0,1\n")
    result = download("pseudolabel", "--previous", "old.csv", "-q")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool pseudolabel: old.csv, row 1, column 'golf course': a label is 1 (present), "
        "0 (absent), -1 or blank (not annotated) (found '2')\n"
    )


def test_no_sure_row_is_an_error_unless_allowed(download):
    result = download("pseudolabel", "--threshold", 0.99, "-q")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool pseudolabel: submissions/preds.csv: no row is confident enough; the most "
        "confident "
        "of 4 rows has 0.9900. Lower --threshold, or accept an empty table with --allow-empty\n"
    )
    assert not Path("pseudo.csv").exists()
    assert download("pseudolabel", "--threshold", 0.99, "--allow-empty").exit_code == 0
    assert kept() == {}


def test_label_lists_are_written_where_the_competition_has_them(download, put):
    """A list cannot say that a class is not known: only rows without such a class are kept."""
    put("comptool.toml", TOML.replace('["sea", "golf course", "roof, tiled"]', '"labels"'))
    put("data/train.csv", "img_id,img_path,labels\nt1,a/1.png,sea pier\nt2,a/2.png,pier\n")
    put("preds.csv", "img_id,pier,sea\na,0.99,0.98\nb,0.99,0.5\nc,0.01,0.99\nd,0.01,0.02\n")
    result = download("pseudolabel", "preds.csv")
    assert result.exit_code == 0, result.stderr
    with Path("pseudo.csv").open() as stream:
        rows = [(row["img_id"], row["labels"]) for row in csv.DictReader(stream)]
    assert rows == [("a", "pier sea"), ("c", "sea")]
    put("second.csv", "img_id,pier,sea\na,0.01,0.5\nb,0.99,0.5\nc,0.5,0.5\nd,0.01,0.02\n")
    download("pseudolabel", "second.csv", "--previous", "pseudo.csv", "-o", "both.csv")
    with Path("both.csv").open() as stream:
        rows = [(row["img_id"], row["labels"]) for row in csv.DictReader(stream)]
    assert rows == [("a", "sea"), ("c", "sea")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--soft"], "--soft is for one class per image; multi-label cells are 1, 0 or -1"),
        (["--quantile", 0.5], "--quantile is for one class per image; multi-label cells take "
         "--threshold and --lower"),
        (["--threshold", 0.6, "--lower", 0.7], "--lower is 0.7, above --threshold, which is 0.6"),
    ],
)  # fmt: skip
def test_options_that_have_no_meaning_here_are_refused(download, options, message):
    result = download("pseudolabel", *options, "-q")
    assert (result.exit_code, result.stderr) == (2, f"comptool pseudolabel: {message}\n")


@pytest.mark.parametrize(
    ("text", "facts", "message"),
    [
        ('img_id,golf course,sea,"roof, tiled"\na,1,0,0\nb,1,0,0\nc,1,0,0\nd,1,0,0\n', {},
         "its classes are not those of the competition: the same 3 in another order"),
        ("img_id,sea,golf course\na,1,0\nb,1,0\nc,1,0\nd,1,0\n", {},
         "its classes are not those of the competition: sea, golf course against sea, golf course,"
         " roof, tiled"),
        (PREDS, {"task": "multiclass"},
         "these predictions are multiclass, and the competition is multilabel. Give the "
         "predictions of a run of this competition"),
    ],
)  # fmt: skip
def test_predictions_that_do_not_fit_are_refused(download, text, facts, message, put):
    put("other.csv", text, **facts)
    result = download("pseudolabel", "other.csv", "-q")
    assert result.exit_code == 3
    assert result.stderr == f"comptool pseudolabel: other.csv: {message}\n"


def test_the_result_as_json(download):
    answer = json.loads(download("pseudolabel", "--json", "-q").stdout)
    assert answer["rows"] == 2
    assert answer["kept"] == {"sea": 2, "golf course": 1, "roof, tiled": 0}
    assert answer["unknown"] == {"sea": 0, "golf course": 1, "roof, tiled": 1}
