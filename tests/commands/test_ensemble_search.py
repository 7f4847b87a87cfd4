"""``comptool ensemble --search`` and ``--weights ensemble.json`` through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from comptool.competition.config import load
from comptool.io import provenance
from comptool.io.predictions import read_predictions
from comptool.io.records import EnsembleWeights, FittedCombination, parse
from comptool.postprocess.ensemble.stacking import restored
from comptool.postprocess.oof import own_evidence
from comptool.tasks import find


def test_a_search_writes_weights_and_the_ensemble_and_prints_both_scores(runs):
    runs()
    result = runs.run("ensemble", "--search", "greedy", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["in_sample"] >= told["nested"]["low"]
    assert told["nested"]["low"] < told["nested"]["value"] < told["nested"]["high"]
    assert np.isclose(sum(told["weights"]), 1)
    assert told["weights"][0] >= told["weights"][2]
    assert "nested, 4 searches" in result.stderr
    assert "in-sample" in result.stderr
    made = read_predictions(Path("submissions/ensemble.csv"))
    members = [read_predictions(Path(path)).probabilities for path in told["members"]]
    mixed = sum(w * m for w, m in zip(told["weights"], members, strict=True))
    np.testing.assert_allclose(made.probabilities, mixed, atol=1e-12)
    facts = provenance.recall(Path("submissions/ensemble.csv")).facts
    assert facts["ensemble"]["scores"]["nested"] == told["nested"]
    assert provenance.recall(Path("submissions/ensemble.json")).command == "ensemble"


def test_saved_weights_go_to_the_files_of_their_runs_whatever_their_order(runs):
    one, two, three = runs()
    assert runs.run("ensemble", one, two, three, "--search", "continuous").exit_code == 0
    first = read_predictions(Path("submissions/ensemble.csv")).probabilities
    result = runs.run(
        "ensemble", three, one, two, "--weights", "submissions/ensemble.json", "-o", "again.csv"
    )
    assert result.exit_code == 0, result.stderr
    assert "each file has the weight of its run" in result.stderr
    np.testing.assert_allclose(read_predictions(Path("again.csv")).probabilities, first, atol=1e-12)


def test_a_run_on_all_rows_joins_with_the_weight_of_its_folded_sibling(runs):
    one, two = runs(skills=(2.0, 1.2))
    facts = provenance.recall(two).facts | {"runs": ["weights/whole"]}
    provenance.record(two, command="infer", arguments={}, facts=facts)
    whole = Path("weights/whole")
    whole.mkdir()
    checkpoint = Path("weights/run1/best.safetensors")
    whole.joinpath(checkpoint.name).write_bytes(checkpoint.read_bytes())
    result = runs.run("ensemble", one, two, "--search", "greedy")
    assert result.exit_code == 3
    assert "weights/whole: this run held no rows out" in result.stderr
    siblings = ("--oof", "run0", "--oof", "run1")
    result = runs.run("ensemble", one, two, "--search", "greedy", *siblings)
    assert result.exit_code == 0, result.stderr
    members = json.loads(Path("submissions/ensemble.json").read_text())["members"]
    assert members[1]["runs"] == ["weights/whole"]
    assert members[1]["out_of_fold"] == "weights/run1/oof.csv"


def test_multi_label_weights_may_be_per_class_and_are_applied_again(runs):
    files = runs("multilabel")
    result = runs.run("ensemble", *files, "--search", "greedy", "--per-class", "--json")
    assert result.exit_code == 0, result.stderr
    weights = np.array(json.loads(result.stdout)["weights"])
    assert weights.shape == (3, 3)
    members = [read_predictions(path, sums_to_one=False).probabilities for path in files]
    expected = sum(w * m for w, m in zip(weights, members, strict=True))
    for output in ("submissions/ensemble.csv", "again.csv"):
        if output == "again.csv":
            saved = ("--weights", "submissions/ensemble.json", "-o", output)
            assert runs.run("ensemble", *files, *saved).exit_code == 0
        made = read_predictions(Path(output), sums_to_one=False).probabilities
        np.testing.assert_allclose(made, expected, atol=1e-12)


def test_a_member_that_leaks_is_named(runs):
    files = runs()
    facts = provenance.recall(Path("weights/run1/oof.csv")).facts | {"leak": "it saw fold 2"}
    provenance.record(Path("weights/run1/oof.csv"), command="train", arguments={}, facts=facts)
    result = runs.run(
        "ensemble", *files, "--search", "greedy",
        "--oof", "weights/run0/oof.csv", "--oof", "weights/run1/oof.csv",
        "--oof", "weights/run2/oof.csv",
    )  # fmt: skip
    assert result.exit_code == 3
    assert "run1/oof.csv: cannot serve as evidence: it saw fold 2" in result.stderr
    assert not Path("submissions/ensemble.csv").exists()
    assert not Path("submissions/ensemble.json").exists()


def change(path, edit):
    lines = Path(path).read_text().splitlines()
    Path(path).write_text("\n".join([lines[0], *edit(lines[1:])]) + "\n")


def test_a_member_that_lacks_rows_is_named(runs):
    files = runs()
    change("weights/run2/oof.csv", lambda rows: rows[1:])
    result = runs.run("ensemble", *files, "--search", "greedy")
    assert result.exit_code == 3
    assert "run2/oof.csv: lacks 1 rows of its folds in folds.csv (found 'r0000')" in result.stderr


def test_members_of_other_folds_are_refused(runs):
    files = runs()
    Path("folds.csv").write_text(Path("folds.csv").read_text().replace(",fold\n", ",other\n"))
    change(
        "weights/run1/oof.csv",
        lambda rows: [row.replace("r0001,1,", "r0001,2,") for row in rows],
    )
    result = runs.run("ensemble", *files, "--search", "greedy")
    assert result.exit_code == 3
    assert "1 rows are in another fold than in weights/run0/oof.csv" in result.stderr
    assert "'r0001'" in result.stderr


def test_the_order_of_rows_members_and_files_does_not_matter(runs):
    files = runs()
    first = runs.run("ensemble", *files, "--search", "greedy", "--json")
    change("weights/run1/oof.csv", lambda rows: rows[::-1])
    second = runs.run("ensemble", *files[::-1], "--search", "greedy", "--json", "--force")
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    np.testing.assert_allclose(one["weights"], two["weights"][::-1])
    assert one["nested"] == two["nested"]


def probabilities(path, **how):
    return read_predictions(Path(path), **how).probabilities


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize(
    "options",
    [("--search", "stack", "--take", "searched"), ("--method", "temperature-mean")],
    ids=["stack", "temperature-mean"],
)
def test_a_fitted_combination_is_applied_again_whatever_the_order_of_the_files(runs, task, options):
    one, two, three = runs(task, tests=40)
    result = runs.run("ensemble", one, two, three, *options, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    name = "stack" if "stack" in options else "temperature-mean"
    assert (told["method"], told["taken"]) == (name, name)
    sums = {"sums_to_one": task == "multiclass"}
    first = probabilities("submissions/ensemble.csv", **sums)
    again = ("--weights", "submissions/ensemble.json", "-o", "again.csv", "--json")
    result = runs.run("ensemble", three, one, two, *again)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["method"] == name
    np.testing.assert_allclose(probabilities("again.csv", **sums), first, atol=1e-12)
    mean = sum(probabilities(path, **sums) for path in (one, two, three)) / 3
    assert np.abs(first - mean).max() > 1e-3
    members = [probabilities(f"weights/run{n}/oof.csv", **sums) for n in range(3)]
    record = json.loads(Path("submissions/ensemble.json").read_text())
    combination = restored(
        parse(FittedCombination, record["combination"], Path("ensemble.json")), 3, 3, find(task)
    )
    # An ensemble of the replayed file has the rows of the fitted combination.
    facts = provenance.facts(Path("again.csv"), provenance.PredictionFacts)
    rows = own_evidence(None, facts, load())
    np.testing.assert_allclose(rows.predictions.probabilities, combination(members), atol=1e-12)
    assert "may have been chosen on these rows" in rows.note


def recorded_choice():
    """Options and outcome in ensemble.json, which its record and that of the ensemble repeat."""
    path = Path("submissions/ensemble.json")
    made = parse(EnsembleWeights, json.loads(path.read_text()), path)
    facts = provenance.facts(Path("submissions/ensemble.csv"), provenance.PredictionFacts)
    assert (facts.ensemble.search, facts.ensemble.scores) == (made.search, made.scores)
    assert provenance.recall(path).arguments == made.search
    search, scores = made.search, made.scores
    return search["take"], search["oof"], scores["recommended"], scores["taken"]


def test_what_has_no_evidence_is_not_taken_unless_asked_for(runs):
    files = runs(skills=(1.0, 1.0, 1.0), rows=120)
    result = runs.run("ensemble", *files, "--search", "greedy", "--json")
    told = json.loads(result.stdout)
    assert (told["taken"], told["recommended"]) == ("equal weights", "equal weights")
    np.testing.assert_allclose(told["weights"], [1 / 3] * 3)
    assert "no evidence that another choice is better" in result.stderr
    assert recorded_choice() == ("recommended", [], "equal weights", "equal weights")
    named = [part for n in range(3) for part in ("--oof", f"run{n}")]
    asked = ("--search", "greedy", "--take", "searched", "--json", "--force")
    told = json.loads(runs.run("ensemble", *files, *named, *asked).stdout)
    assert (told["taken"], told["recommended"]) == ("greedy", "equal weights")
    assert recorded_choice() == ("searched", ["run0", "run1", "run2"], "equal weights", "greedy")
    method = ("--method", "temperature-mean", "--force")
    assert runs.run("ensemble", *files, *method).exit_code == 0
    assert recorded_choice()[::3] == ("searched", "temperature-mean")


def test_auto_compares_the_searches_and_takes_one_with_evidence(runs):
    files = runs(presumed=(20, 1, 1))
    told = json.loads(runs.run("ensemble", *files, "--search", "auto", "--json").stdout)
    assert set(told["gains"]) == {"best single member", "temperature-mean", "greedy", "stack"}
    gain = told["gains"][told["taken"]]
    assert gain["log_loss"]["low"] > 0
    better = [one["log_loss"]["value"] for one in told["gains"].values()]
    assert gain["log_loss"]["value"] == max(better)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bias", [0.0], "combination.bias must have the shape (3,)"),
        ("across", [[[1.0]]], "combination.across must have the shape (3, 3, 3)"),
        ("per_class", [[1.0, 2.0], [1.0]], "combination.per_class must have the shape (3, 3)"),
        ("shared", None, "combination.shared must be a list, found null"),
        ("method", "magic", "combination.method must be temperature-mean or stack"),
    ],
)
def test_a_damaged_combination_is_refused(runs, key, value, message):
    files = runs()
    assert runs.run("ensemble", *files, "--search", "stack", "--take", "searched").exit_code == 0
    path = Path("submissions/ensemble.json")
    document = json.loads(path.read_text())
    document["combination"][key] = value
    Path("w.json").write_text(json.dumps(document))
    result = runs.run("ensemble", *files, "--weights", "w.json", "-o", "again.csv")
    assert result.exit_code == 3, result.stderr
    assert message in result.stderr


def test_a_combination_of_other_classes_or_of_another_task_is_refused(runs):
    files = runs()
    assert runs.run("ensemble", *files, "--search", "stack", "--take", "searched").exit_code == 0
    document = json.loads(Path("submissions/ensemble.json").read_text())
    again = ("--weights", "w.json", "-o", "again.csv")
    Path("w.json").write_text(json.dumps(document | {"classes": ["a", "b", "z"]}))
    result = runs.run("ensemble", *files, *again)
    assert result.exit_code == 3, result.stderr
    assert "preds_run0.csv" in result.stderr
    assert "the weights" in result.stderr
    Path("w.json").write_text(json.dumps(document | {"task": "multilabel"}))
    result = runs.run("ensemble", *files, *again)
    assert result.exit_code == 3, result.stderr
    assert "w.json: has weights for multilabel predictions" in result.stderr
    assert not Path("again.csv").exists()


@pytest.mark.parametrize("how", [("--search", "stack"), ("--method", "temperature-mean")])
def test_ranks_have_no_logarithm(runs, how):
    one, two, three = runs(scores="ranks")
    result = runs.run("ensemble", one, two, three, *how)
    assert result.exit_code == 3, result.stderr
    assert "rank" in result.stderr


@pytest.mark.parametrize(
    "how", [("--search", "stack", "--take", "searched"), ("--method", "temperature-mean")]
)
def test_a_combination_is_not_applied_again_to_ranks(runs, how):
    one, two, three = runs()
    assert runs.run("ensemble", one, two, three, *how).exit_code == 0
    facts = provenance.recall(two).facts | {"scores": "ranks"}
    provenance.record(two, command="ensemble", arguments={}, facts=facts)
    again = ("--weights", "submissions/ensemble.json", "-o", "again.csv")
    result = runs.run("ensemble", one, two, three, *again)
    assert result.exit_code == 3, result.stderr
    assert f"{two}: its numbers are ranks" in result.stderr
    assert not Path("again.csv").exists()
    # Weights of a mean take ranks as they are.
    assert runs.run("ensemble", one, two, three, "--weights", "1,1,1", "-o", "m.csv").exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--per-class"], "--per-class belongs to --search"),
        (["--take", "searched"], "--take belongs to --search"),
        (["--method", "temperature-mean", "--take", "searched"], "--take belongs to --search"),
        (
            ["--search", "stack", "--per-class"],
            "--per-class belongs to --search greedy and continuous, not to stack",
        ),
        (
            ["--method", "temperature-mean", "--search", "greedy"],
            "--method temperature-mean and --search exclude each other",
        ),
        (
            ["--method", "temperature-mean", "--weights", "1,1,1"],
            "--method temperature-mean and --weights exclude each other",
        ),
        (["--search", "continuous", "--bags", "3"], "--steps and --bags belong to --search greedy"),
        (["--search", "greedy", "--weights", "1,1,1"], "--search and --weights exclude each other"),
        (
            ["--search", "greedy", "--method", "vote"],
            "searched weights are for --method mean, not vote",
        ),
        (["--search", "greedy", "--per-class"], "accuracy is not one here"),
        (["--search", "greedy", "--oof", "run0"], "1 times --oof for 3 prediction files"),
    ],
)
def test_what_contradicts_itself_is_refused(runs, options, message):
    result = runs.run("ensemble", *runs(), *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_file_that_holds_no_weights_is_refused(runs):
    files = runs()
    Path("w.json").write_text('{"format": 1}')
    result = runs.run("ensemble", *files, "--weights", "w.json")
    assert result.exit_code == 3
    assert "w.json: its record of weights lacks classes, members" in result.stderr


def test_weights_of_other_members_are_refused(runs):
    files = runs()
    assert runs.run("ensemble", *files[:2], "--search", "greedy").exit_code == 0
    saved = ["--weights", "submissions/ensemble.json", "--force"]
    result = runs.run("ensemble", *files, *saved)
    assert "has weights of 2 members, but 3 prediction files are given" in result.stderr
    result = runs.run("ensemble", files[0], files[2], *saved)
    assert result.exit_code == 3
    assert "has no weights for these runs" in result.stderr
    assert "weights/run2" in result.stderr


def test_a_dry_run_names_all_files_and_writes_none(runs):
    files = runs()
    before = sorted(Path().rglob("*"))
    result = runs.run("ensemble", *files, "--search", "greedy", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1] == (
        "would write submissions/ensemble.csv, submissions/ensemble.json, "
        "submissions/oof_ensemble.csv"
    )
    assert sorted(Path().rglob("*")) == before
