"""Several images per answer, through every command: the rows of predictions are bags."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from comptool.competition.config import load
from comptool.io import provenance
from comptool.io.provenance import PredictionFacts
from comptool.postprocess.oof import own_evidence

sys.path.insert(0, str(Path(__file__).parent))
from layouts import paired_views, slices

TINY = ("--model", "test_efficientnet", "--pretrained", "no", "--img-size", "32", "--epochs", "1",
        "--batch-size", "8", "--workers", "0", "--quiet")  # fmt: skip


def invoke(*arguments: object):
    app = import_module("comptool.commands.app").app
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run(*arguments: object):
    done = invoke(*arguments)
    assert done.exit_code == 0, (arguments, done.stderr, done.exception)
    return done


def refused(code: int, *arguments: object) -> str:
    done = invoke(*arguments)
    assert done.exit_code == code, (arguments, done.stderr, done.exception)
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Pairs of views with folds and a run over two folds."""
    folder = tmp_path_factory.mktemp("bags")
    paired_views(folder / "data").to_csv(folder / "answers.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("init", "data", "--name", "mine")
        run("split", "--folds", "2")
        run("train", *TINY, "--fold", "all", "--run-name", "net")
    return folder


@pytest.fixture
def chain(trained, tmp_path, monkeypatch) -> Path:
    """A copy of it, as the working directory."""
    work = tmp_path / "work"
    shutil.copytree(trained, work)
    monkeypatch.chdir(work)
    return work


def read(path: str | Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={0: str}).set_index("bag")


def by_bag(images: str, table: str, how: str) -> pd.DataFrame:
    """Class '1' of each bag, by pandas."""
    bags = pd.read_csv(table, dtype=str)
    if "bag" not in bags:
        bags["bag"] = bags["prediction_id"]
    of_image = bags.set_index("image_id")["bag"]
    found = pd.read_csv(images, dtype={"image_id": str})
    return found["1"].groupby(found["image_id"].map(of_image)).agg(how)


def test_init_composes_the_bag_of_the_columns_that_the_test_table_joins(chain):
    facts = load()
    assert (facts.id, facts.bag, facts.group) == (
        "image_id", "{patient_id}_{laterality}", "patient_id",
    )  # fmt: skip


def test_folds_keep_bags_and_groups_whole_and_stratify_bags(chain):
    folds = pd.read_csv("folds.csv")
    assert len(folds) == 80
    for column in ("bag", "patient_id"):
        assert (folds.groupby(column)["fold"].nunique() == 1).all()
    bags = folds.drop_duplicates("bag").groupby("fold")["cancer"].agg(["size", "sum"])
    assert bags["size"].tolist() == [20, 20]


def test_out_of_fold_rows_are_bags_and_those_of_images_stand_beside_them(chain):
    bags, images = read("weights/net/oof.csv"), pd.read_csv("weights/net/oof_images.csv")
    assert (len(bags), len(images)) == (40, 80)
    expected = by_bag("weights/net/oof_images.csv", "folds.csv", "mean")
    np.testing.assert_allclose(bags["1"], expected.loc[bags.index], atol=1e-6)
    recorded = provenance.facts(Path("weights/net/oof.csv"), PredictionFacts)
    assert (recorded.pool, recorded.images) == ("mean", 80)


def test_the_score_of_a_run_is_that_of_its_bags(chain):
    figures = json.loads(run("evaluate", "net", "--json", "--bootstrap", "0").stdout)
    assert figures["rows"] == 40
    record = json.loads(Path("weights/net/run.json").read_text())
    assert figures["figures"]["auc"]["value"] == pytest.approx(record["score"])


@pytest.mark.parametrize("how", ["mean", "max"])
def test_predictions_are_pooled_as_asked_and_their_evidence_with_them(chain, how):
    run("infer", "net", "-j", "0", "--pool", "none", "-o", "images.csv")
    run("infer", "net", "-j", "0", "--pool", how, "-o", "bags.csv", "-b", "7")
    asked = read("bags.csv")
    assert asked.index.tolist() == pd.read_csv("data/sample_submission.csv").iloc[:, 0].tolist()
    expected = by_bag("images.csv", "data/test.csv", how).loc[asked.index]
    np.testing.assert_allclose(asked["1"], expected, atol=1e-5)
    recorded = provenance.facts(Path("bags.csv"), PredictionFacts)
    assert (recorded.pool, recorded.images) == (how, 40)
    rows = own_evidence(None, recorded, load()).predictions
    held = by_bag("weights/net/oof_images.csv", "folds.csv", how).loc[rows.ids]
    np.testing.assert_allclose(rows.probabilities[:, 1], held, atol=1e-6)


def test_predictions_of_images_have_evidence_of_images(chain):
    run("infer", "net", "-j", "0", "--pool", "none", "-o", "images.csv")
    recorded = provenance.facts(Path("images.csv"), PredictionFacts)
    assert len(own_evidence(None, recorded, load())) == 80


def test_parts_of_a_prediction_end_with_whole_bags(chain, monkeypatch):
    run("infer", "net", "-j", "0", "-o", "whole.csv")
    monkeypatch.setattr("comptool.inference.infer.ROWS_WRITTEN", 3)
    run("infer", "net", "-j", "0", "-o", "parts.csv", "-b", "1")
    pd.testing.assert_frame_equal(read("whole.csv"), read("parts.csv"), atol=1e-5)


def test_the_chain_after_prediction_takes_bags(chain):
    run("tta", "net", "-j", "0", "--pool", "max")
    assert len(pd.read_csv("submissions/oof_preds_tta.csv")) == 40
    run("infer", "net", "-j", "0")
    run("ensemble", "submissions/preds.csv", "submissions/preds_tta.csv", "--search", "greedy")
    assert len(pd.read_csv("submissions/ensemble.csv")) == 20
    run("recalibrate", "submissions/ensemble.csv", "--method", "temperature")
    run("submit")
    scored = run("score", "submissions/mine.csv", "--answers", "answers.csv")
    assert "auc" in scored.stdout + scored.stderr
    run("review", "net")
    page = Path("review.html").read_text(encoding="utf-8")
    # Both views of each bag.
    assert page.count("<img ") == 2 * page.count('<li class="cell"') > 0


def test_pseudo_labels_of_bags_are_rows_of_images_that_a_run_trains_on(chain):
    run("infer", "net", "-j", "0")
    run("pseudolabel", "submissions/preds.csv", "--threshold", "0.4")
    pseudo = pd.read_csv("pseudo.csv")
    assert pseudo["image_id"].is_unique and (pseudo.groupby("bag").size() == 2).all()
    assert (pseudo.groupby("bag")["cancer"].nunique() == 1).all()
    run("pseudolabel", "submissions/preds.csv", "--threshold", "0.45", "--previous", "pseudo.csv",
        "-o", "second.csv")  # fmt: skip
    run("train", *TINY, "--extra", "pseudo.csv", "--run-name", "more", "--dry-run")


def test_corrections_of_a_bag_are_those_of_its_images(chain):
    Path("corrections.csv").write_text("id,label\n10000_L,1\n10000_R,\n")
    run("split", "--corrections", "corrections.csv", "-o", "corrected.csv")
    folds = pd.read_csv("corrected.csv")
    assert (folds[folds["bag"] == "10000_L"]["cancer"] == 1).all()
    assert "10000_R" not in set(folds["bag"])


def test_a_folder_of_images_is_a_row_per_image_in_the_order_of_numbers(tmp_path, monkeypatch):
    slices(tmp_path / "data")
    folder = tmp_path / "data/train_images/1.2.826.10000"
    shutil.copy(folder / "1.png", folder / "10.png")
    monkeypatch.chdir(tmp_path)
    run("init", "data")
    run("split", "--folds", "2")
    folds = pd.read_csv("folds.csv")
    own = folds[folds["bag"] == "1.2.826.10000"]
    assert own["StudyInstanceUID"].tolist() == [f"1.2.826.10000/{n}" for n in (1, 2, 10)]
    assert (folds.groupby("bag")["fold"].nunique() == 1).all()


def changed(path: str, column: str, row: int, value: str) -> None:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[row, column] = value
    table.to_csv(path, index=False)


def test_a_bag_with_different_labels(chain):
    changed("data/train.csv", "cancer", 1, "other")
    first = pd.read_csv("data/train.csv")["cancer"][0]
    assert refused(3, "split", "--force") == (
        "comptool split: data/train.csv, row 2, column 'cancer': the images of bag '10000_L' have "
        f"different labels (found '{first}', 'other')"
    )


def test_a_bag_in_two_folds_of_a_table(chain):
    fold = pd.read_csv("folds.csv")["fold"][0]
    changed("folds.csv", "fold", 1, "-1")
    assert refused(3, "train", *TINY, "--run-name", "new") == (
        "comptool train: folds.csv, row 2, column 'fold': the images of bag '10000_L' are in "
        f"different folds (found '{fold}', '-1')"
    )


def test_an_extra_image_of_a_bag_that_is_validated(chain):
    table = pd.read_csv("folds.csv", dtype=str)
    row = table[table.fold == "0"].iloc[:1].drop(columns="fold")
    identity = "image_id"
    row.assign(**{identity: "x1"}).to_csv("extra_view.csv", index=False)
    shown = refused(3, "train", *TINY, "--extra", "extra_view.csv", "--run-name", "x", "--dry-run")
    assert shown == (
        f"comptool train: extra_view.csv, column '{identity}': these extra rows are images of bags "
        "of folds.csv, which are validated (found 'x1')"
    )


def test_a_bag_in_two_parts_of_a_given_split(chain):
    table = pd.read_csv("data/train.csv", dtype=str)
    table["part"] = ["val", "train"] * (len(table) // 2)
    table.to_csv("data/train.csv", index=False)
    assert refused(3, "split", "--from-column", "part", "-o", "given.csv") == (
        "comptool split: data/train.csv, row 2, column 'part': the images of bag '10000_L' are in "
        "different parts (found 'val', 'train')"
    )
    assert not Path("given.csv").exists()


def test_a_bag_in_two_groups(chain, monkeypatch):
    monkeypatch.setenv("COMPTOOL_GROUP", "view")
    assert refused(3, "split", "-o", "new.csv") == (
        "comptool split: data/train.csv, row 2, column 'view': the images of bag '10000_L' are in "
        "different groups (found 'CC', 'MLO')"
    )


def test_a_blank_part_of_a_bag(chain):
    changed("data/train.csv", "laterality", 4, "")
    assert refused(3, "split", "-o", "new.csv").startswith(
        "comptool split: data/train.csv, row 5, column 'laterality': the bag is blank"
    )


@pytest.mark.parametrize("bag", ["side", "{patient_id}_{side}"])
def test_a_bag_of_a_column_that_is_not_there(chain, monkeypatch, bag):
    monkeypatch.setenv("COMPTOOL_BAG", bag)
    message = refused(3, "split", "-o", "new.csv")
    assert message.startswith("comptool split: data/train.csv: no column is called 'side', which ")
    assert "Correct 'bag' in comptool.toml, or give --bag" in message


@pytest.mark.parametrize(("part", "first"), [("train", "1.2.826.10000"), ("test", "1.2.826.20000")])
def test_a_bag_without_images(tmp_path, monkeypatch, part, first):
    slices(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    run("init", "data")
    shutil.rmtree(tmp_path / f"data/{part}_images/{first}")
    says = (
        f"data/{part}.csv, row 1, column 'StudyInstanceUID': this bag has no image: none matches "
        f"{{id}}/* (found '{first}')"
    )
    if part == "test":
        assert f"problem: {says}" in run("init", "data", "--force").stderr
    else:
        assert refused(3, "split", "-o", "new.csv").startswith(f"comptool split: {says}")
        monkeypatch.setenv("COMPTOOL_MISSING_IMAGES", "drop")
        run("split", "--val", "0.3")
        assert first not in set(pd.read_csv("folds.csv")["bag"])


def test_a_pool_without_bags_and_one_without_meaning(chain, monkeypatch):
    monkeypatch.setenv("COMPTOOL_BAG", "")
    says = (
        "--pool is for several images per answer, and comptool.toml names no 'bag' "
        "(init --bag COLUMN)"
    )
    trained = refused(2, "train", *TINY, "--pool", "max", "--run-name", "new")
    assert trained == f"comptool train: {says}"
    assert refused(2, "infer", "net", "--pool", "max", "-o", "new.csv") == f"comptool infer: {says}"
