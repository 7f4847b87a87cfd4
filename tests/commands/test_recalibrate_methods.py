"""``comptool recalibrate`` with the methods beyond the quota, and the comparison of all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from comptool.io import provenance
from comptool.io.predictions import read_predictions

COUNTS = {"a": 800, "b": 150, "c": 50}
BIASED = {"presumed": (0.8, 0.15, 0.05), "skills": (1.5,), "tests": 60, "class_counts": COUNTS}
FAMILY = [
    "quota-optimal", "prior", "logit-adjust", "sinkhorn", "temperature", "vector", "isotonic",
]  # fmt: skip


def labels_of(path="submissions/recalibrated.csv"):
    return read_predictions(Path(path))


@pytest.mark.parametrize("method", FAMILY)
def test_every_method_writes_decided_predictions_and_what_they_rest_on(runs, method):
    (source,) = runs(**BIASED)
    result = runs.run(
        "recalibrate", source, "--method", method, "--target-prior", "uniform", "--json"
    )
    assert result.exit_code == 0, result.stderr
    made = labels_of()
    assert len(made) == 60
    assert set(made.pred) <= {"a", "b", "c"}
    told = json.loads(result.stdout)
    assert told["method"] == method
    np.testing.assert_allclose(list(told["target_prior"].values()), [1 / 3] * 3)
    assert "assuming that the test classes are equally frequent" in result.stderr
    facts = provenance.recall(Path("submissions/recalibrated.csv")).facts
    assert facts["recalibration"]["method"] == method
    if method == "prior":
        assert list(told["trained_shares"].values()) == pytest.approx(BIASED["presumed"])
    elif method not in ("quota-optimal", "sinkhorn"):
        assert told["out_of_fold"] == "weights/run0/oof.csv"


@pytest.mark.parametrize(
    ("options", "target"), [(["--target-prior", "uniform"], 1 / 3), ([], None)]
)
def test_shares_are_exchanged_without_rows_that_were_held_out(runs, options, target):
    (source,) = runs(**BIASED)
    before = read_predictions(Path(source)).probabilities
    Path("weights/run0/oof.csv").unlink()
    result = runs.run("recalibrate", source, "--method", "prior", *options, "--json")
    assert result.exit_code == 0, result.stderr
    assert "from the shares trained on: a 0.800, b 0.150, c 0.050" in result.stderr
    shares = target or np.array(json.loads(result.stdout)["shares"])
    moved = before * shares / np.array(BIASED["presumed"])
    wanted = moved / moved.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(labels_of().probabilities, wanted, atol=1e-5)
    assert (labels_of().pred == np.array(list("abc"))[wanted.argmax(axis=1)]).all()


def test_shares_of_a_run_whose_checkpoint_is_gone_are_those_of_its_held_out_rows(runs):
    (source,) = runs(**BIASED)
    Path("weights/run0/best.safetensors").unlink()
    options = ("--method", "prior", "--oof", "weights/run0/oof.csv", "--json")
    result = runs.run("recalibrate", source, *options)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["out_of_fold"] == "weights/run0/oof.csv"


def test_optimal_quotas_for_all_classes_are_met(runs):
    (source,) = runs(**BIASED)
    options = ("--method", "quota-optimal", "--target-prior", "uniform")
    assert runs.run("recalibrate", source, *options).exit_code == 0
    assert np.unique(labels_of().pred, return_counts=True)[1].tolist() == [20, 20, 20]


def test_a_table_of_shares_is_a_target_prior(runs):
    (source,) = runs(**BIASED)
    Path("prior.csv").write_text("class,share\nb,0.5\na,0.3\nc,0.2\n")
    options = ("--method", "quota-optimal", "--target-prior", "prior.csv")
    assert runs.run("recalibrate", source, *options).exit_code == 0
    assert np.unique(labels_of().pred, return_counts=True)[1].tolist() == [18, 30, 12]


def test_a_comparison_prints_a_table_for_each_prior_and_writes_nothing(runs):
    (source,) = runs(**BIASED)
    result = runs.run("recalibrate", source, "--compare", "--top-k-head", "1")
    assert result.exit_code == 0, result.stderr
    assert "classes equally frequent" in result.stdout
    assert "classes as frequent as in training" in result.stdout
    first = result.stdout.split("\n\n")[0]
    for method in ("none", "quota", "can", *FAMILY):
        assert f"\n{method} " in first
    assert not Path("submissions/recalibrated.csv").exists()


def test_a_comparison_names_the_best_for_a_biased_run_and_nothing_for_a_calibrated_one(runs):
    (source,) = runs(**BIASED, rows=600)
    options = ("--compare", "--method", "logit-adjust", "--target-prior", "uniform", "--json")
    told = json.loads(runs.run("recalibrate", source, *options).stdout)["comparisons"][0]
    assert told["methods"][0]["method"] == "logit-adjust"
    assert "doing nothing is best" not in told["verdict"]
    assert told["rows"] == 60
    told = json.loads(
        runs.run("recalibrate", source, "--compare", "--method", "temperature", "--json").stdout
    )
    assert "doing nothing is best" in told["comparisons"][0]["verdict"]


def test_a_comparison_presumes_estimated_shares_and_says_them(runs):
    (source,) = runs(**{**BIASED, "tests": 300}, rows=400)
    result = runs.run("recalibrate", source, "--compare", "--json")
    assert result.exit_code == 0, result.stderr
    equal, train, estimated = json.loads(result.stdout)["comparisons"]
    assert estimated["prior"] == "as frequent as estimated from the predictions"
    # The rows of the fixture are equally frequent in both tables, whatever the model presumes.
    assert estimated["note"] == (
        "the estimated shares do not differ from those of the out-of-fold rows by more than "
        "chance: these are presumed"
    )
    assert (equal["other"], train["other"]) == ("as frequent as in training", "equally frequent")
    assert estimated["other"] == "as frequent as in training"
    lines = {one["method"]: one for one in equal["methods"]}
    assert lines["prior"]["instead"] < lines["prior estimated"]["instead"]
    assert equal["accepted_risk"] == 0.2


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "sinkhorn", "--target-prior", "estimated"),
        ("--head-classes", "a", "--fraction", "0.3"),
    ],
)
def test_the_seed_is_that_of_the_simulation_and_is_recorded(runs, options):
    source = runs(tests=240)[0]
    rows = pd.read_csv(source)
    # The estimate shows its interval if the shares differ: most rows of c are not there.
    rows[(rows["c"] < 0.5) | (rows.index % 8 == 0)].to_csv(source, index=False)
    said = []
    for seed in (0, 7):
        result = runs.run("recalibrate", source, *options, "--seed", seed, "-o", f"{seed}.csv")
        assert result.exit_code == 0, result.stderr
        said.append(result.stderr)
        assert provenance.recall(Path(f"{seed}.csv")).arguments["seed"] == seed
    assert said[0] != said[1]


def test_estimated_shares_are_a_target_prior_of_methods(runs):
    (source,) = runs(**{**BIASED, "tests": 300}, rows=400)
    options = ("--method", "sinkhorn", "--target-prior", "estimated", "--json")
    result = runs.run("recalibrate", source, *options)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    shares = np.array(list(told["target_prior"].values()))
    made = labels_of()
    np.testing.assert_allclose(made.probabilities.mean(axis=0), shares, atol=1e-4)
    assert "as frequent as estimated from the predictions" in result.stderr
    assert "do not differ from those of the out-of-fold rows by more than chance" in result.stderr
    held = np.array([line.split(",")[2] for line in Path("folds.csv").read_text().split()[1:]])
    np.testing.assert_allclose(shares, [(held == name).mean() for name in "abc"])


def test_a_greater_risk_recommends_more(runs):
    (source,) = runs(skills=(1.2,), rows=300, tests=60)
    verdicts = {}
    for risk in ("0", "0.5"):
        options = ("--compare", "--target-prior", "uniform", "--risk", risk, "--json")
        found = runs.run("recalibrate", source, *options)
        verdicts[risk] = json.loads(found.stdout)["comparisons"][0]
    assert verdicts["0"]["choice"] == "none"
    first = verdicts["0.5"]["methods"][0]
    assert (verdicts["0.5"]["choice"] == "none") == (first["method"] == "none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("submissions/preds_run0.csv", "--method", "vector", "--risk", "0.1"), "--risk is for "
         "--compare"),
        (("--compare", "--oof", "run0", "--target-prior", "estimated"), "--target-prior estimated "
         "needs the predictions of the test set and out-of-fold rows"),
    ],
)  # fmt: skip
def test_what_a_comparison_cannot_presume(runs, options, message):
    runs(**BIASED)
    result = runs.run("recalibrate", *options, "-q")
    assert result.stderr == f"comptool recalibrate: {message}\n"
    assert result.exit_code == 2


def test_a_comparison_needs_no_predictions_if_a_run_is_named(runs):
    runs(**BIASED)
    result = runs.run(
        "recalibrate", "--compare", "--oof", "weights/run0/oof.csv", "--target-prior", "uniform",
        "--method", "sinkhorn",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "test sets of 240 rows drawn from 240 out-of-fold rows" in result.stdout


@pytest.mark.parametrize("known", [True, False])
def test_a_run_alone_is_compared_for_the_class_shares_that_are_known(runs, known):
    runs(**{**BIASED, "class_counts": COUNTS if known else {}})
    oof = Path("weights/run0/oof.csv")
    provenance.meta_path(oof).unlink()  # A training writes none.
    result = runs.run("recalibrate", "--compare", "--oof", "run0")
    assert result.exit_code == 0, result.stderr
    titles = [part.splitlines()[0] for part in result.stdout.split("\n\n")]
    shares = ["equally frequent", *(["as frequent as in training"] if known else [])]
    assert [one.partition("classes ")[2] for one in titles] == shares


def test_the_quota_as_typed_says_what_out_of_fold_rows_say_of_it(runs):
    (source,) = runs(**{**BIASED, "tests": 300}, rows=400)
    result = runs.run(
        "recalibrate", source, "--top-k-head", "1", "--fraction", "0.33", "-o", "r.csv"
    )
    assert result.exit_code == 0, result.stderr
    line = next(one for one in result.stderr.splitlines() if one.startswith("by 400 out-of-fold"))
    assert "quota helps if the test classes are equally frequent (+" in line
    assert "hurts if the test classes are as frequent as in training (-" in line


def test_evidence_that_cannot_be_used_does_not_stop_the_quota(runs):
    (source,) = runs(**BIASED, leak="it saw fold 2")
    result = runs.run("recalibrate", source, "--top-k-head", "1")
    assert result.exit_code == 0, result.stderr
    assert (
        "no out-of-fold rows to estimate whether this helps: weights/run0/oof.csv" in result.stderr
    )


def test_shares_that_do_not_sum_to_one_are_refused(runs):
    (source,) = runs(**BIASED)
    Path("prior.csv").write_text("class,share\nb,0.5\na,0.3\nc,0.1\n")
    result = runs.run("recalibrate", source, "--method", "sinkhorn", "--target-prior", "prior.csv")
    assert result.exit_code == 3
    assert "prior.csv, column 'share': the shares do not sum to one (found '0.9000')" in (
        result.stderr
    )
    assert not Path("submissions/recalibrated.csv").exists()


def test_a_class_without_out_of_fold_rows_is_named(runs):
    (source,) = runs(**BIASED)
    for name in ("folds.csv", "weights/run0/oof.csv"):
        lines = Path(name).read_text().splitlines()
        if name == "folds.csv":
            kept = {line.split(",")[0] for line in lines[1:] if line.split(",")[2] != "c"}
        Path(name).write_text(
            "\n".join([lines[0], *(one for one in lines[1:] if one.split(",")[0] in kept)]) + "\n"
        )
    result = runs.run("recalibrate", source, "--method", "temperature")
    assert result.exit_code == 3
    assert (
        "these classes have no out-of-fold row, so nothing can be estimated for them (found 'c')"
        in (result.stderr)
    )


def test_one_row_is_no_test_set(runs):
    (source,) = runs(**{**BIASED, "tests": 1})
    result = runs.run("recalibrate", source, "--method", "sinkhorn", "--target-prior", "uniform")
    assert result.exit_code == 3
    assert "one row is not a test set, and sinkhorn uses all rows together" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "sinkhorn"], "--target-prior uniform, train or a file"),
        (["--method", "can", "--target-prior", "uniform"], "no meaning for --method can"),
        (
            ["--compare", "--method", "temperature", "--alpha", "2"],
            "--alpha belongs to --method can, not to temperature",
        ),
        (["--compare", "--beta", "2"], "--beta is for several labels per image"),
        (["--method", "temprature"], "no recalibration method is called 'temprature'"),
        (["--method-option", "alhpa=2"], "no option of a method is called 'alhpa'; did you mean"),
        (
            ["--method", "can", "--alpha", "2", "--method-option", "alpha=3"],
            "--alpha and --method-option alpha are the same option",
        ),
        (
            ["--method", "can", "--method-option", "alpha=much"],
            "--method-option alpha is 'much'; it has to be a number",
        ),
        (
            ["--compare", "--top-k-head", "1", "--head-classes", "a"],
            "--head-classes and --top-k-head exclude each other",
        ),
        (["--beta", "2"], "--beta belongs to --method thresholds"),
        (
            ["--method", "quota-optimal", "--top-k-head", "3", "--fraction", "0.5"],
            "3 quotas of 0.5 are more than all rows",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(runs, options, message):
    (source,) = runs(**BIASED)
    result = runs.run("recalibrate", source, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_ensemble_is_weighed_by_the_mixed_rows_of_its_members(runs):
    files = runs(skills=(2.0, 1.0), rows=300, tests=50)
    assert runs.run("ensemble", *files, "--weights", "3,1").exit_code == 0
    result = runs.run(
        "recalibrate", "submissions/ensemble.csv", "--compare", "--method", "temperature",
        "--target-prior", "uniform", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    comparison = json.loads(result.stdout)["comparisons"][0]
    held = [read_predictions(Path(f"weights/run{n}/oof.csv")).probabilities for n in (0, 1)]
    labels = [line.split(",")[2] for line in Path("folds.csv").read_text().splitlines()[1:]]
    targets = np.array(["abc".index(label) for label in labels])
    accuracy = ((0.75 * held[0] + 0.25 * held[1]).argmax(axis=1) == targets).mean()
    none = next(one for one in comparison["methods"] if one["method"] == "none")
    assert none["score"] == pytest.approx(accuracy, abs=0.03)
    assert none["score"] > (held[1].argmax(axis=1) == targets).mean() + 0.1


def test_a_comparison_uses_the_methods_own_options(runs):
    (source,) = runs(**BIASED)

    def scores(*options):
        result = runs.run(
            "recalibrate", source, "--compare", "--target-prior", "uniform", "--json", *options
        )
        assert result.exit_code == 0, result.stderr
        (told,) = json.loads(result.stdout)["comparisons"]
        return {one["method"]: one["score"] for one in told["methods"]}

    plain = scores()
    other = scores("--entropy-threshold", "0", "--method-option", "alpha=3")
    assert {name for name in plain if plain[name] != other[name]} == {"can"}


def test_an_option_of_a_method_is_the_same_by_its_flag_and_by_name(runs):
    (source,) = runs(**BIASED)
    for number, options in enumerate((["--alpha", "2"], ["--method-option", "alpha=2"])):
        result = runs.run(
            "recalibrate", source, "--method", "can", *options, "-o", f"{number}.csv", "--json"
        )
        assert json.loads(result.stdout)["alpha"] == 2
    assert Path("0.csv").read_bytes() == Path("1.csv").read_bytes()
