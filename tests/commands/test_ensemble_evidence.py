"""An ensemble is weighed by out-of-fold rows that are combined as its predictions were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from comptool.competition.config import load
from comptool.errors import InputError
from comptool.io import provenance
from comptool.io.predictions import read_predictions
from comptool.metrics import find
from comptool.postprocess.ensemble.combine import combine
from comptool.postprocess.ensemble.search import search
from comptool.postprocess.oof import own_evidence

ENSEMBLE = Path("submissions/ensemble.csv")


def rows_of(output=ENSEMBLE):
    return own_evidence(
        None, provenance.facts(Path(output), provenance.PredictionFacts), load()
    ).predictions.probabilities


def held(number, task="multiclass"):
    """The rows of a run; their ids are in order."""
    path = Path(f"weights/run{number}/oof.csv")
    return read_predictions(path, sums_to_one=task == "multiclass").probabilities


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("method", ["mean", "gmean", "power", "rank-mean", "vote"])
def test_rows_are_combined_by_the_method_and_the_weights(runs, task, method):
    files = runs(task, rows=40)
    assert runs.run("ensemble", *files, "--method", method, "--weights", "3,2,1").exit_code == 0
    expected = combine([held(n, task) for n in range(3)], method, [3, 2, 1], task)
    np.testing.assert_allclose(rows_of(), expected)


def test_a_power_is_that_of_the_record(runs):
    files = runs(rows=40)
    for options, message in (
        (("--power", "2"), "--power belongs to --method power"),
        (("--method", "power", "--power", "0"), "--power must be a number above 0, not 0"),
    ):
        result = runs.run("ensemble", *files, *options)
        assert (result.exit_code, ENSEMBLE.exists()) == (2, False)
        assert message in result.stderr
    assert runs.run("ensemble", *files, "--method", "power", "--power", "7").exit_code == 0
    expected = combine([held(n) for n in range(3)], "power", power=7)
    np.testing.assert_allclose(rows_of(), expected)
    assert provenance.recall(ENSEMBLE).facts["ensemble"]["power"] == 7


def test_a_searched_ensemble_has_rows_by_searches_that_did_not_see_them(runs):
    files = runs()
    taken = ("--search", "greedy", "--take", "searched")
    result = runs.run("ensemble", *files, *taken, "--json")
    told = json.loads(result.stdout)
    rows = own_evidence(None, provenance.facts(ENSEMBLE, provenance.PredictionFacts), load())
    assert rows.path == Path("submissions/oof_ensemble.csv")
    answers = rows.predictions.probabilities.argmax(axis=1)
    assert (answers == rows.targets).mean() == pytest.approx(told["nested"]["value"])
    members = [held(number) for number in range(3)]
    folds = np.arange(240) % 4
    for fold in range(4):
        seen, truth = folds != fold, rows.targets
        weights = search(
            [one[seen] for one in members], truth[seen], find("accuracy", "multiclass")
        )
        mixed = sum(w * one for w, one in zip(weights, members, strict=True))
        np.testing.assert_allclose(rows.predictions.probabilities[~seen], mixed[~seen])
    result = runs.run("recalibrate", ENSEMBLE, "--method", "temperature")
    assert "by 240 out-of-fold rows (submissions/oof_ensemble.csv)" in result.stderr


def test_weights_per_class_of_a_file_are_those_of_the_record_and_it_is_told(runs):
    files = runs("multilabel")
    result = runs.run("ensemble", *files, "--search", "greedy", "--per-class", "--json")
    weights = np.array(json.loads(result.stdout)["weights"])
    saved = "submissions/ensemble.json"
    assert runs.run("ensemble", *files, "--weights", saved, "-o", "again.csv").exit_code == 0
    expected = sum(w * held(n, "multilabel") for n, w in enumerate(weights))
    np.testing.assert_allclose(rows_of("again.csv"), expected)
    note = own_evidence(
        None, provenance.facts(Path("again.csv"), provenance.PredictionFacts), load()
    ).note
    assert note == f"the weights of {saved} may have been chosen on these rows"


def test_an_ensemble_of_ensembles_is_taken_apart(runs):
    one, two, three = runs(rows=40)
    inner = ("--method", "gmean", "--weights", "1,2", "-o", "inner.csv")
    assert runs.run("ensemble", one, two, *inner).exit_code == 0
    assert runs.run("ensemble", "inner.csv", three, "--weights", "3,1").exit_code == 0
    gmean = combine([held(0), held(1)], "gmean", [1, 2])
    np.testing.assert_allclose(rows_of(), 0.75 * gmean + 0.25 * held(2))
    result = runs.run("ensemble", "inner.csv", three, "--search", "greedy", "--force", "--json")
    assert result.exit_code == 0, result.stderr
    truth = own_evidence("run0", provenance.PredictionFacts(), load()).targets
    alone = json.loads(result.stdout)["alone"]
    assert alone[0] == pytest.approx((gmean.argmax(axis=1) == truth).mean())


def test_predictions_of_several_runs_are_the_mean_of_their_networks(runs):
    one, *_ = runs(rows=40)
    facts = provenance.recall(one).facts | {"runs": ["weights/run0", "weights/run1"]}
    provenance.record(one, command="infer", arguments={}, facts=facts)
    np.testing.assert_allclose(rows_of(one), (held(0) + held(1)) / 2)
    for fold in ("fold-0", "fold-1", "fold-2"):
        folder = Path("weights/run0") / fold
        folder.mkdir()
        (folder / "best.safetensors").write_bytes(
            Path("weights/run0/best.safetensors").read_bytes()
        )
    Path("weights/run0/best.safetensors").unlink()
    np.testing.assert_allclose(rows_of(one), 0.75 * held(0) + 0.25 * held(1))


def test_a_member_of_no_recorded_run_leaves_an_ensemble_without_evidence(runs):
    one, two, _ = runs(rows=40)
    provenance.record(two, command="infer", arguments={}, facts={})
    assert runs.run("ensemble", one, two).exit_code == 0
    with pytest.raises(InputError, match="no run is recorded with a member of this ensemble"):
        rows_of()


SETTINGS = {"fold": "all", "seed": 0, "epochs": 9, "lr": 0.1, "patience": 3, "workers": 2}
WHOLE = {**SETTINGS, "fold": "none", "epochs": 7, "patience": None, "workers": 4}


def rewrite(run, **changes):
    """Changes in the header of a run's checkpoint."""
    path = Path(f"weights/{run}/best.safetensors")
    header = json.loads(_metadata(path)) | changes
    save_file(load_file(path), path, metadata={"comptool": json.dumps(header)})


def _metadata(path):
    with safe_open(path, framework="numpy") as checkpoint:
        return checkpoint.metadata()["comptool"]


@pytest.fixture
def whole(runs):
    """Three runs in folds, and ``weights/whole``, which is the second one on all rows."""
    files = runs(skills=(2.0, 1.2, 0.2))
    for number in range(3):
        own = SETTINGS | {"lr": 0.1 + number}
        rewrite(f"run{number}", arguments=own, inputs={"folds.csv": "0"})
    folder = Path("weights/whole")
    folder.mkdir()
    folder.joinpath("best.safetensors").write_bytes(
        Path("weights/run1/best.safetensors").read_bytes()
    )
    rewrite("whole", arguments=WHOLE | {"lr": 1.1}, inputs={"folds.csv": "0"})
    facts = provenance.recall(files[1]).facts | {"runs": ["weights/whole"]}
    provenance.record(files[1], command="infer", arguments={}, facts=facts)
    return files


SAID = "weights/whole held no rows out: those of weights/run1, the same training in folds, are used"


def test_a_run_on_all_rows_joins_with_the_weight_that_its_folded_sibling_earns(runs, whole):
    result = runs.run("ensemble", *whole, "--search", "greedy", "--json")
    assert result.exit_code == 0, result.stderr
    assert SAID in result.stderr.splitlines()
    told = json.loads(result.stdout)
    assert SAID in told["notes"]
    members = json.loads(Path("submissions/ensemble.json").read_text())["members"]
    assert members[1]["runs"] == ["weights/whole"]
    assert members[1]["out_of_fold"] == "weights/run1/oof.csv"
    named = [option for n in range(3) for option in ("--oof", f"run{n}")]
    again = runs.run("ensemble", *whole, "--search", "greedy", "--json", "--force", *named)
    assert json.loads(again.stdout)["weights"] == told["weights"]


def test_a_sibling_that_is_a_member_too_shares_its_weight(runs, whole):
    sibling = Path("submissions/preds_sibling.csv")
    sibling.write_bytes(whole[1].read_bytes())
    facts = provenance.recall(whole[1]).facts | {"runs": ["weights/run1"]}
    provenance.record(sibling, command="infer", arguments={}, facts=facts)
    alone = runs.run("ensemble", *whole, "--search", "continuous", "--json")
    both = runs.run("ensemble", *whole, sibling, "--search", "continuous", "--json", "--force")
    one, two = (json.loads(result.stdout)["weights"] for result in (alone, both))
    assert one[1] > 0
    np.testing.assert_allclose(two, [one[0], one[1] / 2, one[2], one[1] / 2], atol=1e-12)


def test_what_follows_the_ensemble_is_told_of_the_sibling(runs, whole):
    assert runs.run("ensemble", *whole[:2]).exit_code == 0
    np.testing.assert_allclose(rows_of(), (held(0) + held(1)) / 2)
    for command in ("recalibrate", "pseudolabel"):
        options = {"recalibrate": ["--method", "temperature"], "pseudolabel": ["--threshold", "0"]}
        result = runs.run(command, ENSEMBLE, *options[command])
        assert result.exit_code == 0, result.stderr
        assert SAID in result.stderr


UNLIKE = {
    "settings": {"arguments": SETTINGS | {"lr": 9.0}},
    "tables": {"inputs": {"folds.csv": "1"}},
    "no folds": {"arguments": SETTINGS | {"lr": 1.1, "fold": "0"}},
}


@pytest.mark.parametrize("what", UNLIKE)
def test_a_run_that_is_no_sibling_does_not_stand_in(runs, whole, what):
    rewrite("run1", **UNLIKE[what])
    result = runs.run("ensemble", *whole, "--search", "greedy")
    assert result.exit_code == 3
    assert "weights/whole: this run held no rows out" in result.stderr
    assert not ENSEMBLE.exists()


def test_of_several_siblings_the_one_of_the_same_seed_and_epochs_is_taken_or_one_must_be_named(
    runs, whole
):
    rewrite("run2", arguments=SETTINGS | {"lr": 1.1, "seed": 5})
    result = runs.run("ensemble", *whole, "--search", "greedy")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == (
        "comptool ensemble: weights/whole: held no rows out, and it has several "
        "folded siblings (found 'weights/run1', 'weights/run2'). Name a run for each prediction "
        "file: "
        "--oof RUN"
    )
    rewrite("run1", arguments=SETTINGS | {"lr": 1.1, "epochs": 7})
    result = runs.run("ensemble", *whole, "--search", "greedy")
    assert SAID in result.stderr


def test_runs_stand_for_their_prediction_files(runs):
    files = runs(rows=40)
    assert runs.run("ensemble", *files, "-o", "files.csv").exit_code == 0
    result = runs.run("ensemble", "run0", "weights/run1", files[2], "-o", "runs.csv")
    assert result.exit_code == 0, result.stderr
    assert Path("runs.csv").read_text() == Path("files.csv").read_text()
    members = provenance.recall(Path("runs.csv")).facts["ensemble"]["members"]
    assert members == [str(path) for path in files]


OF_RUN = {
    "none": "weights/run1: no file of submissions has the predictions of only this run. Make it: "
    "comptool infer run1 -o submissions/preds_run1.csv",
    "several": "weights/run1: several files have predictions of this run (found "
    "'submissions/again.csv', 'submissions/preds_run1.csv'). Name the file",
    "no run": "weights: no trained run is called 'run9'. Did you mean run2 or run1 or run0?",
}


@pytest.mark.parametrize("what", OF_RUN)
def test_a_run_without_one_file_of_its_own_is_refused(runs, what):
    files = runs(rows=40)
    if what == "none":
        files[1].unlink()
    if what == "several":
        Path("submissions/again.csv").write_bytes(files[1].read_bytes())
        facts = provenance.recall(files[1]).facts
        provenance.record(Path("submissions/again.csv"), command="tta", arguments={}, facts=facts)
    result = runs.run("ensemble", "run0", "run9" if what == "no run" else "run1")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == f"comptool ensemble: {OF_RUN[what]}"
    assert not ENSEMBLE.exists()
