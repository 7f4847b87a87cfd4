"""``comptool tta``: averaged views, and whether they are worth it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from comptool.io.predictions import read_predictions
from comptool.io.tables import read_table

TTA = Path("submissions/preds_tta.csv")
HELD_OUT = [f"tr{number:03d}" for number in (1, 4, 5, 6, 8, 9, 11)]


def tta(comptool, *arguments):
    return comptool("tta", "-j", "0", "--device", "cpu", *arguments)


def error_of(comptool, *arguments, code=3):
    result = tta(comptool, *arguments)
    assert result.exit_code == code, result.output
    return result.stderr.splitlines()[-1].removeprefix("comptool tta: ")


def accuracy(comptool, command, ids, *arguments):
    """By hand: predict the training table with the command itself, and count."""
    arguments = ["--test", "data/train.csv", "-o", f"{command}.csv", "-q", "--force", *arguments]
    assert comptool(command, "-j", "0", *arguments).exit_code == 0
    predictions = read_predictions(Path(f"{command}.csv"))
    answers = dict(zip(predictions.ids, predictions.probabilities.argmax(axis=1), strict=True))
    table = read_table(Path("data/train.csv"))
    truth = dict(zip(table["id"], table["label"], strict=True))
    return accuracy_score([truth[one] for one in ids], ["abc"[answers[one]] for one in ids])


@pytest.mark.parametrize("transforms", ["flips", "d4", "5crop", "multiscale"])
@pytest.mark.parametrize("merge", ["mean", "gmean", "max"])
def test_views_are_predicted_and_weighed_on_the_rows_held_out(comptool, pairs, transforms, merge):
    pairs("one")
    pairs.held_out("one", HELD_OUT)
    result = tta(comptool, "--transforms", transforms, "--merge", merge, "--json")
    assert result.exit_code == 0, result.output
    evidence = json.loads(result.stdout)["evidence"]
    options = ("--transforms", transforms, "--merge", merge)
    assert evidence["rows"] == len(HELD_OUT)
    assert evidence["plain"] == pytest.approx(accuracy(comptool, "infer", HELD_OUT))
    assert evidence["tta"] == pytest.approx(accuracy(comptool, "tta", HELD_OUT, *options))
    assert evidence["gain"] == pytest.approx(evidence["tta"] - evidence["plain"])
    assert f"on 7 out-of-fold rows: {evidence['plain']:.4f} plain" in result.stderr
    assert ("TTA HURTS" in result.stderr) == (evidence["gain"] < 0)
    predictions = read_predictions(TTA)
    assert len(predictions) == 9
    facts = json.loads(Path(f"{TTA}.meta.json").read_text())["facts"]
    assert facts["merge"] == merge
    assert facts["evidence"] == evidence
    assert facts["class_counts"] == {"a": 4, "b": 4, "c": 4}


def test_a_tta_that_hurts_is_called_so(comptool, pairs):
    """The rows held out are chosen among those that only plain prediction gets right."""
    pairs("one")
    everyone = [f"tr{number:03d}" for number in range(12)]
    one_by_one = {
        name: [accuracy(comptool, command, [one], *options) for one in everyone]
        for name, command, options in (("plain", "infer", ()), ("d4", "tta", VIEWS))
    }
    better = [
        one
        for one, plain, augmented in zip(everyone, *one_by_one.values(), strict=True)
        if plain > augmented
    ]
    assert better, "no row is lost by augmentation; choose another seed"
    pairs.held_out("one", better)
    result = tta(comptool, *VIEWS)
    assert result.stderr.splitlines()[-1] == (
        f"accuracy on {len(better)} out-of-fold rows: 1.0000 plain, 0.0000 with TTA (-1.0000). "
        "TTA HURTS this run; submit what 'comptool infer' gives"
    )


VIEWS = ("--transforms", "5crop", "--merge", "max")


def test_each_member_of_a_folded_run_is_weighed_on_its_own_fold(comptool, pairs):
    folds = [[f"tr{number:03d}" for number in range(start, 12, 2)] for start in (0, 1)]
    for fold, ids in enumerate(folds):
        pairs(f"folded/fold-{fold}", seed=fold)
        pairs.held_out(f"folded/fold-{fold}", ids)
    evidence = json.loads(tta(comptool, "folded", "--json").stdout)["evidence"]
    each = [
        accuracy(comptool, "infer", ids, f"weights/folded/fold-{fold}")
        for fold, ids in enumerate(folds)
    ]
    assert evidence["rows"] == 12
    assert evidence["plain"] == pytest.approx(np.mean(each))


def test_a_row_that_two_runs_held_out_gets_their_mean(comptool, pairs):
    for number in range(2):
        pairs(f"run{number}", seed=number)
        pairs.held_out(f"run{number}", HELD_OUT)
    evidence = json.loads(tta(comptool, "run0", "run1", "--json").stdout)["evidence"]
    assert evidence["rows"] == len(HELD_OUT)
    assert evidence["plain"] == pytest.approx(accuracy(comptool, "infer", HELD_OUT, "run0", "run1"))


def test_an_error_metric_is_better_when_it_falls(comptool, pairs):
    pairs("one", metric="logloss")
    pairs.held_out("one", HELD_OUT)
    result = tta(comptool, "--transforms", "d4", "--json")
    evidence = json.loads(result.stdout)["evidence"]
    assert evidence["metric"] == "logloss"
    assert evidence["gain"] == pytest.approx(evidence["plain"] - evidence["tta"])
    assert ("TTA HURTS" in result.stderr) == (evidence["tta"] > evidence["plain"])


NO_EVIDENCE = {
    "nothing held out": "weights/one: this run held no rows out",
    "leak": "weights/one: it was trained on them",
    "table gone": "weights/one/oof.csv: no table here has labels of these 7 rows; searched: "
    "'elsewhere.csv'. Restore the training table; comptool evaluate takes other labels "
    "with --answers",
    "image gone": "data/train.csv, column 'eo_path': sample 'tr001' has no eo image; there "
    "is no data/EO_tr001.png. Allow it with --missing-modality zero",
}


@pytest.mark.parametrize("reason", NO_EVIDENCE)
def test_without_evidence_the_reason_is_told_and_the_predictions_are_made(comptool, pairs, reason):
    changes = {
        "leak": {"leak": "it was trained on them"},
        "table gone": {"inputs": {"elsewhere.csv": None}},
    }
    pairs("one", **changes.get(reason, {}))
    if reason != "nothing held out":
        pairs.held_out("one", HELD_OUT)
    if reason == "image gone":
        Path("data/EO_tr001.png").unlink()
    result = tta(comptool)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == f"no evidence that TTA helps: {NO_EVIDENCE[reason]}"
    assert len(read_predictions(TTA)) == 9
    facts = json.loads(Path(f"{TTA}.meta.json").read_text())["facts"]
    assert facts["evidence"] == f"no evidence that TTA helps: {NO_EVIDENCE[reason]}"


def test_the_conventional_folds_are_found_where_the_recorded_table_is_gone(comptool, pairs):
    pairs("one", inputs={"elsewhere.csv": None})
    pairs.held_out("one", HELD_OUT)
    lines = (
        Path("data/train.csv").read_text().replace("SAR_", "data/SAR_").replace("EO_", "data/EO_")
    )
    Path("folds.csv").write_text(lines)
    result = tta(comptool, "--json")
    assert json.loads(result.stdout)["evidence"]["rows"] == len(HELD_OUT)


def test_views_can_be_listed_in_a_file(comptool, pairs):
    pairs("one")
    Path("views.toml").write_text('views = ["identity"]\n')
    assert tta(comptool, "--transforms", "views.toml", "-q").exit_code == 0
    assert comptool("infer", "-j", "0", "-q").exit_code == 0
    plain = read_predictions(Path("submissions/preds.csv"))
    np.testing.assert_allclose(read_predictions(TTA).probabilities, plain.probabilities, atol=1e-6)


def test_mistaken_options_are_named(comptool, pairs):
    pairs("one")
    assert error_of(comptool, "--transforms", "d8", code=2).startswith(
        "no group of views is called 'd8'; did you mean 'd4'"
    )
    assert error_of(comptool, "--transforms", "views.json") == (
        "views.json: there is no such file of views"
    )
    assert tta(comptool, "--merge", "median").exit_code == 2
    assert not TTA.exists()


def test_a_dry_run_writes_nothing(comptool, pairs):
    pairs("one")
    before = sorted(Path().rglob("*"))
    assert tta(comptool, "--dry-run").exit_code == 0
    assert sorted(Path().rglob("*")) == before
