"""Out-of-fold rows with their labels: read, and refused where they are no evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comptool.competition.config import load
from comptool.errors import InputError
from comptool.io import provenance
from comptool.postprocess.oof import read_labelled

FACTS = """name = "x"
task = "{task}"
metric = "{metric}"
[data]
train = "folds.csv"
test = "folds.csv"
id = "id"
label = {label}
[modalities]
rgb = "path"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("comptool.toml").write_text(
        FACTS.format(task="multiclass", metric="accuracy", label='"y"')
    )
    write_folds("a0 a 0,a1 a 1,b0 b 0,b1 b 1,a2 a -1")
    return tmp_path


def write_folds(rows):
    lines = [f"{i},{i}.png,{y},{f}" for i, y, f in (row.split() for row in rows.split(","))]
    Path("folds.csv").write_text("\n".join(["id,path,y,fold", *lines]) + "\n")


def write_oof(rows, header="id,fold,a,b", facts=None):
    Path("weights/run").mkdir(parents=True, exist_ok=True)
    path = Path("weights/run/oof.csv")
    path.write_text("\n".join([header, *rows]) + "\n")
    if facts is not None:
        provenance.record(path, command="train", arguments={}, facts=facts)
    return path


ROWS = ["b1,1,0.3,0.7", "a0,0,0.9,0.1", "a1,1,0.6,0.4", "b0,0,0.2,0.8"]


def read(path):
    return read_labelled(str(path), load())


def test_rows_have_their_labels_in_the_order_of_their_ids(folder):
    found = read(write_oof(ROWS))
    assert found.predictions.ids.tolist() == ["a0", "a1", "b0", "b1"]
    assert found.targets.tolist() == [0, 0, 1, 1]
    assert found.trained is None
    np.testing.assert_array_equal(
        read(write_oof(ROWS[::-1])).predictions.probabilities, found.predictions.probabilities
    )


def test_multi_label_rows_have_their_cells(folder):
    facts = FACTS.format(task="multilabel", metric="map", label='["a", "b"]')
    Path("comptool.toml").write_text(facts)
    Path("folds.csv").write_text("id,path,a,b,fold\nx,x.png,1,0,0\ny,y.png,1,-1,0\n")
    found = read(write_oof(["y,0,0.5,0.5", "x,0,0.9,0.8"]))
    assert found.targets.tolist() == [[1, 0], [1, -1]]


def test_a_run_that_leaks_is_no_evidence(folder):
    path = write_oof(ROWS, facts={"leak": "it was trained on fold 0"})
    with pytest.raises(
        InputError, match=r"oof\.csv: cannot serve as evidence: it was trained on fold 0"
    ):
        read(path)


def test_missing_rows_are_named(folder):
    with pytest.raises(InputError, match=r"lacks 1 rows of its folds in folds.csv \(found 'b0'\)"):
        read(write_oof(ROWS[:3]))


def test_one_fold_of_two_is_whole_by_itself(folder):
    assert len(read(write_oof(["a0,0,0.9,0.1", "b0,0,0.2,0.8"]))) == 2


def test_rows_of_another_fold_are_named(folder):
    moved = [row.replace("a0,0", "a0,1") for row in ROWS]
    with pytest.raises(InputError, match=r"1 rows were validated in another fold.*'a0'"):
        read(write_oof(moved))


def test_repeated_ids_are_refused(folder):
    with pytest.raises(InputError, match="a0"):
        read(write_oof([*ROWS, "a0,1,0.5,0.5"]))


def test_another_class_order_than_the_recorded_one_is_refused(folder):
    path = write_oof(ROWS, header="id,fold,b,a", facts={"classes": ["a", "b"], "leak": None})
    with pytest.raises(InputError, match="the same 2 in another order"):
        read(path)


def test_constant_predictions_are_refused(folder):
    constant = [",".join([*row.split(",")[:2], "0.5,0.5"]) for row in ROWS]
    with pytest.raises(InputError, match="all 4 rows have the same probabilities"):
        read(write_oof(constant))


def test_labels_that_are_no_classes_are_refused(folder):
    with pytest.raises(InputError, match=r"labels of folds.csv are not classes.*'b'"):
        read(write_oof(ROWS, header="id,fold,a,c"))


def test_ids_without_labels_are_refused(folder):
    with pytest.raises(InputError, match=r"1 of the 5 rows .* not in folds.csv \(found 'zz'\)"):
        read(write_oof([*ROWS, "zz,0,0.5,0.5"]))
