"""``comptool recalibrate --method context --by GROUP``, for one class and for several labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from comptool import metrics
from comptool.io import provenance
from comptool.io.predictions import read_predictions
from comptool.postprocess.calibration.group_context import blended
from comptool.tasks import find

SOURCE = "submissions/preds_run0.csv"
CONTEXT = ("recalibrate", SOURCE, "--method", "context", "--by")


@pytest.fixture
def scenes(runs):
    """A run of a task; rows of a class are in pairs of one scene, test rows in scenes of three."""

    def make(task="multiclass", **more):
        runs(task, skills=(1.0,), tests=60, **more)
        folds = pd.read_csv("folds.csv", dtype=str)
        kind = folds["y"] if "y" in folds else folds["a"]
        # The n-th row of a class is in its scene n // 2.
        place = folds.groupby(kind).cumcount() // 2
        folds["scene"] = kind + place.astype(str)
        folds.to_csv("folds.csv", index=False)
        test = pd.read_csv("test.csv", dtype=str)
        test["scene"] = [f"s{row // 3}" for row in range(60)]
        test.loc[59, "scene"] = ""
        test.to_csv("test.csv", index=False)
        toml = Path("comptool.toml")
        if "test = " not in toml.read_text():
            toml.write_text(toml.read_text().replace("[data]", '[data]\ntest = "test.csv"'))
        return runs.run

    return make


def oof():
    frame = pd.read_csv("weights/run0/oof.csv", dtype={"id": str}).sort_values("id")
    return frame[["a", "b", "c"]].to_numpy()


def test_the_rows_of_a_scene_are_blended_and_the_gain_is_shown(scenes):
    run = scenes()
    result = run(*CONTEXT, "scene", "--pool", "max", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    before, made = (read_predictions(Path(p)) for p in (SOURCE, "submissions/recalibrated.csv"))
    groups = np.append(np.arange(59) // 3, 99)
    wanted = blended(before.probabilities, groups, strength=told["strength"], pool="max")
    np.testing.assert_allclose(made.probabilities, wanted, atol=1e-6)
    assert (made.probabilities[59] == before.probabilities[59]).all()
    assert (told["by"], told["pool"]) == ("scene", "max")
    assert told["nested"] > told["plain"] + 0.03
    assert f"{told['nested']:.4f} by context fitted to other rows" in result.stderr
    assert "60 test rows in 21 groups by scene; 1 are alone and stay" in result.stderr
    assert provenance.recall(Path("submissions/recalibrated.csv")).facts["recalibration"] == {
        key: value for key, value in told.items()
        if key not in ("output", "input", "rows", "before", "after", "warnings")
    }  # fmt: skip


def test_groups_in_several_folds_are_warned_of(scenes):
    run = scenes()
    told = json.loads(run(*CONTEXT, "scene", "--json").stdout)
    assert "groups are in several folds, so networks were trained on neighbours" in " ".join(
        told["warnings"]
    )


def test_groups_of_a_table_of_its_own(scenes):
    run = scenes()
    plain = run(*CONTEXT, "scene", "-o", "one.csv", "--json")
    tables = [pd.read_csv(name, dtype=str)[["id", "scene"]] for name in ("folds.csv", "test.csv")]
    pd.concat(tables).rename(columns={"scene": "place"}).to_csv("groups.csv", index=False)
    for name in ("folds.csv", "test.csv"):
        pd.read_csv(name, dtype=str).drop(columns="scene").to_csv(name, index=False)
    other = run(*CONTEXT, "groups.csv:place", "-o", "two.csv", "--json")
    assert (plain.exit_code, other.exit_code) == (0, 0), other.stderr
    assert Path("one.csv").read_bytes() == Path("two.csv").read_bytes()
    assert "groups.csv" in provenance.recall(Path("two.csv")).inputs


def test_a_given_strength_needs_no_out_of_fold_rows(scenes):
    run = scenes()
    Path("weights/run0/oof.csv").unlink()
    result = run(*CONTEXT, "scene", "--strength", "0.5")
    assert result.exit_code == 0, result.stderr
    assert "no out-of-fold rows say whether this helps" in result.stderr
    assert run(*CONTEXT, "scene", "-o", "other.csv").exit_code == 3


def test_the_strength_is_chosen_on_the_rows_that_are_named(scenes):
    run = scenes()
    Path("weights/other").mkdir()
    for name in ("oof.csv", "oof.csv.meta.json"):
        if (file := Path("weights/run0", name)).is_file():
            file.rename(Path("weights/other", name))
    result = run(*CONTEXT, "scene", "--oof", "weights/other/oof.csv")
    assert result.exit_code == 0, result.stderr
    assert "rows of weights/other/oof.csv" in result.stderr


def test_the_comparison_has_a_line_for_each_pool(scenes):
    run = scenes()
    options = ("--compare", "--by", "scene", "--target-prior", "uniform", "--json")
    result = run("recalibrate", SOURCE, *options)
    assert result.exit_code == 0, result.stderr
    found = {one["method"]: one for one in json.loads(result.stdout)["comparisons"][0]["methods"]}
    assert {"context mean", "context max", "context power", "vector"} <= set(found)
    assert found["context mean"]["gain"] > 0.03
    one = run("recalibrate", SOURCE, *options, "--method", "context", "--pool", "mean")
    names = [one["method"] for one in json.loads(one.stdout)["comparisons"][0]["methods"]]
    assert sorted(names) == ["context", "none"]


def test_a_class_in_one_group_cannot_be_compared(scenes):
    run = scenes()
    folds = pd.read_csv("folds.csv", dtype=str)
    folds.loc[folds["y"] == "c", "scene"] = "c"
    folds.to_csv("folds.csv", index=False)
    result = run("recalibrate", SOURCE, "--compare", "--by", "scene", "-q")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool recalibrate: all out-of-fold rows of a class are in one group: there are no "
        "halves with the class (found 'c')\n"
    )


def test_several_labels_are_blended_and_their_thresholds_follow(scenes):
    run = scenes("multilabel", rows=240)
    result = run(*CONTEXT, "scene", "--strength", "1", "--pool", "mean", "--json")
    assert result.exit_code == 0, result.stderr
    task = find("multilabel")
    made = task.read(Path("submissions/recalibrated.csv"), ())
    before = task.read(Path(SOURCE), ())
    groups = np.append(np.arange(59) // 3, 99)
    wanted = blended(before.probabilities, groups, strength=1, one=False)
    np.testing.assert_allclose(made.probabilities, wanted, atol=1e-6)
    told = json.loads(result.stdout)
    folds = pd.read_csv("folds.csv", dtype={"scene": str}).sort_values("id")
    truth, rows = folds[["a", "b", "c"]].to_numpy(), pd.factorize(folds["scene"])[0]
    assert told["plain"] == pytest.approx(metrics.score("map", truth, oof()))
    moved = blended(oof(), rows, strength=1, one=False)
    assert told["nested"] == pytest.approx(metrics.score("map", truth, moved))
    compared = run("recalibrate", SOURCE, "--compare", "--by", "scene", "--json")
    names = [one["method"] for one in json.loads(compared.stdout)["comparisons"][0]["methods"]]
    assert {"context mean", "context max", "context power", "none"} <= set(names)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((*CONTEXT, "town"), 3, "test.csv: no column is called 'town' (found 'id', 'path', "
         "'scene')"),
        ((*CONTEXT, "few.csv:scene"), 3, "few.csv, column 'id': lacks 59 of the 60 ids whose "
         "groups are asked for (found 't1', 't2', 't3' and 56 more)"),
        ((*CONTEXT, "none.csv:scene"), 3, "none.csv: there is no such file"),
        ((*CONTEXT, "twice.csv:scene"), 3, "twice.csv, column 'scene': an id is in two groups "
         "(found 't0')"),
        (CONTEXT[:-1], 2, "--method context needs the groups: --by COLUMN, or --by "
         "FILE.csv:COLUMN"),
        (("recalibrate", SOURCE, "--method", "vector", "--by", "scene"), 2, "--by has no meaning "
         "for --method vector"),
        ((*CONTEXT, "scene", "--target-prior", "uniform"), 2, "--target-prior has no meaning for "
         "--method context"),
        ((*CONTEXT, "scene", "--oof", "no_run"), 3, "weights: no trained run is called "
         "'no_run'. Did you mean run0?"),
        ((*CONTEXT, "id"), 2, "--by id is the column of the ids: every row would be alone"),
        ((*CONTEXT, "few.csv:id"), 2, "--by few.csv:id is the column of the ids: every row would "
         "be alone"),
        (("recalibrate", SOURCE, "--compare", "--by", "id"), 2, "--by id is the column of the ids: "
         "every row would be alone"),
        (("recalibrate", SOURCE, "--compare", "--strength", "0.5"), 2, "--strength is for groups: "
         "name them with --by COLUMN, or --by FILE.csv:COLUMN"),
        (("recalibrate", SOURCE, "--compare", "--method-option", "exponent=2"), 2,
         "--method-option exponent is for groups: name them with --by COLUMN, or --by "
         "FILE.csv:COLUMN"),
        (("recalibrate", SOURCE, "--compare", "--pool", "max", "--dry-run"), 2, "--pool is for "
         "groups: name them with --by COLUMN, or --by FILE.csv:COLUMN"),
        (("recalibrate", SOURCE, "--method", "vector", "--strength", "1"), 2, "--strength belongs "
         "to --method context, not to vector"),
    ],
)  # fmt: skip
def test_groups_that_cannot_be_used(scenes, options, code, message):
    run = scenes()
    Path("few.csv").write_text("id,scene\nt0,x\n")
    Path("twice.csv").write_text("id,scene\nt0,x\nt0,y\n")
    result = run(*options, "-q")
    assert result.stderr == f"comptool recalibrate: {message}\n"
    assert result.exit_code == code
    assert not Path("submissions/recalibrated.csv").exists()
