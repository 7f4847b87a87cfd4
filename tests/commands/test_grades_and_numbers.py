"""Grades and numbers through the commands, and what they refuse, by the name of the task."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from sklearn.metrics import cohen_kappa_score

from comptool.io.provenance import PredictionFacts, facts
from comptool.tasks import find

TINY = (
    *("--model", "eurosat-baseline", "--pretrained", "no", "--img-size", "32"),
    *("--epochs", "1", "-b", "16", "-j", "0", "--fold", "all"),
)
TASKS = {"rust": ("regression", "rmse"), "rust-grades": ("ordinal", "quadratic-kappa")}
SUBMISSIONS = Path("submissions")


@pytest.fixture
def run(comptool):
    """A command that succeeds: its result as JSON, or its text."""

    def command(*arguments, text=False):
        result = comptool(*arguments, *(() if text else ("--json",)))
        assert result.exit_code == 0, result.stderr or result.exception
        return result.stdout if text else json.loads(result.stdout)

    return command


@pytest.fixture
def started(run):
    """A practice competition of that name, split into three folds."""

    def start(name):
        run("simulate", name, "-o", "data", "--scale", "0.01", "-j", "1")
        run("init", "data", "--name", "cup")
        text = Path("comptool.toml").read_text()
        assert all(f'"{one}"' in text for one in TASKS[name])
        return run("split", "--folds", "3")

    return start


def labels(name):
    frame = pd.read_csv("folds.csv").set_index("image_id")
    return frame[name]


def refused(result, code):
    assert result.exit_code == code, result.stdout
    return result.stderr.splitlines()[-1]


def test_numbers_go_from_the_download_to_the_score(run, started):
    split = started("rust")
    assert split["strategy"] == "stratified 3 folds"
    assert [name.partition(":")[0] for name in split["classes"]] == ["bin 1", "bin 2", "bin 3"]
    assert facts(Path("folds.csv"), PredictionFacts).class_counts in (None, {})
    trained = run("train", *TINY, "--mixup", "0.2")
    oof = find("regression").read(Path("weights/eurosat-baseline/oof.csv"))
    truth = labels("covered")[list(oof.ids)].to_numpy()
    error = np.sqrt(np.mean((oof.probabilities[:, 0] - truth) ** 2))
    assert trained["score"] == pytest.approx(error, rel=1e-6)
    run("train", *TINY, "--loss", "huber", "--loss-option", "delta=0.5", "--run-name", "huber")
    run("infer", "eurosat-baseline", "-j", "0")
    run("infer", "huber", "-j", "0", "--backend", "onnx", "-o", "submissions/preds_huber.csv")
    run("tta", "huber", "-j", "0", "--search", "greedy")
    figures = run("evaluate", "huber", "--bootstrap", "20", "--pictures", "pictures")
    assert list(figures["figures"]) == ["rmse", "mae", "r2", "spearman"]
    assert list(figures["per_class"]) == ["covered"]
    assert [Path(path).name for path in figures["pictures"]] == ["numbers.png"]
    run("ensemble", "submissions/preds.csv", "submissions/preds_huber.csv")
    one, other, both = (
        find("regression").read(SUBMISSIONS / f"{name}.csv").probabilities
        for name in ("preds", "preds_huber", "ensemble")
    )
    np.testing.assert_allclose(both, (one.astype(float) + other) / 2)
    run("submit")
    sent = pd.read_csv("submissions/cup.csv")
    np.testing.assert_allclose(sent["covered"], both[:, 0], rtol=1e-6)
    graded = run("score", "submissions/cup.csv", "--answers", "data/answers.csv")
    answers = pd.read_csv("data/answers.csv")["covered"].to_numpy()
    squares = sum(graded[part] ** 2 * graded[f"num_{part}"] for part in ("public", "private"))
    assert squares / len(answers) == pytest.approx(np.mean((both[:, 0] - answers) ** 2), rel=1e-4)


def test_the_onnx_graph_gives_the_numbers_of_torch(run, started):
    started("rust")
    run("train", *TINY)
    for backend in ("torch", "onnx"):
        run("infer", "-j", "0", "--backend", backend, "-o", f"{backend}.csv")
    ours, theirs = (find("regression").read(Path(f"{name}.csv")) for name in ("torch", "onnx"))
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=1e-4)


def test_a_run_from_another_keeps_its_scale_unless_the_head_is_new(run, started):
    started("rust")
    once = (*TINY[:-2], "--fold", "0")
    run("train", *once)
    table = pd.read_csv("folds.csv")
    table.assign(covered=table["covered"] + 1000).to_csv("data/moved.csv", index=False)
    more = (*once, "--folds", "data/moved.csv", "--init-from", "eurosat-baseline")
    run("train", *more, "--run-name", "kept")
    run("train", *more, "--run-name", "new", "--reset-head")
    middle = labels("covered")[table.set_index("image_id")["fold"] != 0].mean()
    means = {
        name: load_file(f"weights/{name}/best.safetensors")["output.mean"].item()
        for name in ("eurosat-baseline", "kept", "new")
    }
    assert means["eurosat-baseline"] == means["kept"] == pytest.approx(middle, rel=1e-6)
    assert means["new"] == pytest.approx(middle + 1000, rel=1e-6)


def test_grades_go_from_the_download_to_thresholds_and_the_score(run, started):
    split = started("rust-grades")
    assert list(split["classes"]) == ["0", "1", "2", "3", "4"]
    run("train", *TINY, "--balance", "weights")
    more = ("--loss", "coral", "--run-name", "coral", "--mixup", "0.4")
    run("train", "--model", "eurosat-baseline+coral", *TINY[2:], *more)
    run("infer", "eurosat-baseline", "-j", "0")
    run("infer", "coral", "-j", "0", "-o", "submissions/preds_coral.csv")
    run("tta", "coral", "-j", "0", "--merge", "gmean")
    for method in ("mean", "rank-mean", "vote"):
        files = ("submissions/preds.csv", "submissions/preds_coral.csv")
        run("ensemble", *files, "--method", method, "--force")
    made = run("recalibrate", "submissions/preds.csv", "--method", "thresholds")
    before, after = (pd.read_csv(SUBMISSIONS / f"{n}.csv") for n in ("preds", "recalibrated"))
    pd.testing.assert_frame_equal(before, after.drop(columns="pred"))
    expected = before[list("01234")].to_numpy() @ np.arange(5)
    cuts = np.array(made["thresholds"])
    assert (after["pred"] == (expected[:, None] > cuts).sum(axis=1)).all()
    oof = find("ordinal").read(Path("weights/eurosat-baseline/oof.csv"))
    truth = labels("severity")[list(oof.ids)].to_numpy()
    answers = (oof.probabilities @ np.arange(5)[:, None] > cuts).sum(axis=1)
    kappa = cohen_kappa_score(truth, answers, weights="quadratic")
    assert made["in_sample"] == pytest.approx(kappa)
    assert -1 <= made["nested"] <= 1
    compared = run("recalibrate", "submissions/preds.csv", "--compare", "--method", "thresholds")
    assert {one["method"] for one in compared["comparisons"][0]["methods"]} == {
        "none",
        "thresholds",
    }
    figures = run("evaluate", "--bootstrap", "20")["figures"]
    assert next(iter(figures)) == "quadratic-kappa"
    kept = run("pseudolabel", "submissions/preds.csv", "--quantile", "0.5")
    assert kept["rows"] > 0
    run("train", *TINY[:-1], "0", "--extra", "pseudo.csv", "--run-name", "more")
    run("review", "eurosat-baseline")
    run("features", "eurosat-baseline", "-j", "0")
    run("submit", "submissions/recalibrated.csv")
    sent = pd.read_csv("submissions/cup.csv")
    assert sent["severity"].tolist() == after["pred"].tolist()
    graded = [
        run("score", f"submissions/{name}.csv", "--answers", "data/answers.csv")
        for name in ("recalibrated", "cup")
    ]
    assert graded[0]["metric"] == "quadratic-kappa"
    assert {**graded[0], "submission": ""} == {**graded[1], "submission": ""}


REFUSED = {
    "rust": [
        (("train", *TINY, "--balance", "weights"), 2,
         "train: --balance is for classes, and the task is regression"),
        (("train", *TINY, "--balance", "class-aware"), 2,
         "train: --balance is for classes, and the task is regression"),
        (("train", *TINY, "--drop-classes", "3"), 2,
         "train: --drop-classes is for classes, and the task is regression"),
        (("train", *TINY, "--balanced-mixup", "0.5"), 2,
         "train: --balanced-mixup is for classes, and the task is regression"),
        (("train", *TINY, "--loss", "ce"), 2,
         "train: the loss 'ce' is for one class per image and the task is regression; take 'mse', "
         "'smooth-l1' or 'huber'"),
        (("train", *TINY, "--metric", "accuracy"), 2, None),
        (("split", "--balance", "under", "--force"), 2,
         "split: --balance under is for classes; this competition has numbers"),
        (("recalibrate", "preds.csv", "--method", "thresholds"), 2,
         "recalibrate: recalibration is of class probabilities, and the task is regression; submit "
         "the numbers as they are, or average those of several runs (comptool ensemble)"),
        (("recalibrate", "preds.csv", "--compare"), 2,
         "recalibrate: recalibration is of class probabilities, and the task is regression; submit "
         "the numbers as they are, or average those of several runs (comptool ensemble)"),
        (("pseudolabel", "preds.csv"), 2,
         "pseudolabel: pseudo-labels are chosen by the probability of each class, and the task is "
         "regression"),
        (("ensemble", "preds.csv", "again.csv", "--method", "vote"), 2,
         "ensemble: --method vote is of probabilities, and the task is regression; take mean or "
         "rank-mean"),
    ],
    "rust-grades": [
        (("train", *TINY, "--drop-classes", "3"), 2,
         "train: --drop-classes leaves a class out, and an output is of all grades above another, "
         "and the task is ordinal"),
        (("train", *TINY, "--loss", "focal"), 2,
         "train: the loss 'focal' is for one class per image and the task is ordinal; take 'corn', "
         "'coral', 'mse', 'smooth-l1' or 'huber'"),
        (("recalibrate", "preds.csv", "--method", "thresholds", "--average", "macro"), 2,
         "recalibrate: --average is for several labels per image"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused_by_the_name_of_the_task(comptool, started, name):
    started(name)
    task = find(TASKS[name][0])
    columns = ["covered"] if task.numbers else list("01234")
    test = pd.read_csv("data/test.csv")[["image_id"]]
    values = np.full((len(test), len(columns)), 1 / len(columns))
    for path in ("preds.csv", "again.csv"):
        test.join(pd.DataFrame(values, columns=columns)).to_csv(path, index=False)
    for command, code, sentence in REFUSED[name]:
        told = refused(comptool(*command), code)
        assert sentence is None or told == f"comptool {sentence}"
    assert not Path("weights").exists()
    assert not SUBMISSIONS.exists()


def test_ranks_of_numbers_are_submitted_for_a_metric_of_ranks_alone(
    comptool, run, started, monkeypatch
):
    started("rust")
    test = pd.read_csv("data/test.csv")[["image_id"]]
    for number, path in enumerate(("one.csv", "two.csv"), 1):
        test.assign(covered=np.arange(len(test)) ** number).to_csv(path, index=False)
    command = ("ensemble", "one.csv", "two.csv", "--method", "rank-mean", "-o", "ranks.csv")
    assert "right for spearman alone" in "".join(run(*command)["notes"])
    assert pd.read_csv("ranks.csv")["covered"].tolist() == [
        (n + 1) / len(test) for n in range(len(test))
    ]
    assert refused(comptool("submit", "ranks.csv"), 3) == (
        "comptool submit: ranks.csv: its numbers are ranks among these rows, and the metric reads "
        "their size. Combine the members anew: comptool ensemble --method mean"
    )
    monkeypatch.setenv("COMPTOOL_METRIC", "spearman")
    run("submit", "ranks.csv")


def download(cells, *, label="y", ids=None):
    """A download of noise with these labels in its training table."""
    ids = ids or [f"i{number:02}" for number in range(len(cells))]
    Path("data/images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in [*ids, "t0", "t1"]:
        image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        cv2.imwrite(f"data/images/{name}.png", image)
    paths = [f"images/{name}.png" for name in ids]
    pd.DataFrame({"id": ids, "path": paths, label: cells}).to_csv("data/train.csv", index=False)
    test = pd.DataFrame({"id": ["t0", "t1"], "path": ["images/t0.png", "images/t1.png"]})
    test.to_csv("data/test.csv", index=False)
    test[["id"]].assign(**{label: 0}).to_csv("data/sample_submission.csv", index=False)


TOML = """\
task = "{task}"
metric = "{metric}"
[data]
folder = "data"
train = "train.csv"
test = "test.csv"
sample-submission = "sample_submission.csv"
id = "id"
label = {label}
{more}
[modalities]
image = "path"
"""


def described(task, label='"y"', more=""):
    metric = {"ordinal": "quadratic-kappa", "regression": "rmse"}[task]
    text = TOML.format(task=task, metric=metric, label=label, more=more)
    Path("comptool.toml").write_text(text)


MEND = "Write finite numbers such as 3.5, and leave rows without one out of the table"


@pytest.mark.parametrize(
    ("cell", "shown"), [("3,5", "3,5"), ("", ""), ("none", "none"), ("inf", "inf")]
)
def test_a_number_that_is_no_number_is_named(comptool, cell, shown):
    download([*map(str, range(23)), cell])
    described("regression")
    for command in (("split",), ("train", *TINY)):
        assert refused(comptool(*command), 3) == (
            f"comptool {command[0]}: data/train.csv, row 24, column 'y': the label is not a number "
            f"(found '{shown}'). {MEND}"
        )


def test_numbers_that_are_all_equal_are_refused(comptool):
    download(["7.5"] * 24)
    described("regression")
    assert refused(comptool("split"), 3) == (
        "comptool split: data/train.csv, column 'y': all rows have the same label; there is "
        "nothing to learn (found '7.5')"
    )
    table = pd.read_csv("data/train.csv", dtype=str).assign(fold=["0", "-1"] * 12)
    table.loc[0, "y"] = "8"
    table.to_csv("data/folds.csv", index=False)
    told = refused(comptool("train", *TINY, "--folds", "data/folds.csv"), 3)
    assert told == (
        "comptool train: data/folds.csv: the 12 rows to train on all have one number; there is "
        "nothing to learn (found 'y')"
    )


def test_a_grade_outside_the_range_is_named(comptool):
    download(["0", "1", "2", "7"] * 6)
    described("ordinal", more='classes = ["0", "1", "2"]')
    assert refused(comptool("split"), 3) == (
        "comptool split: data/train.csv, row 4, column 'y': the label is not one of 'classes' in "
        "comptool.toml (found '7')"
    )


def test_grades_in_words_need_their_order(comptool):
    download(["mild", "none", "severe"] * 8)
    described("ordinal")
    assert comptool("split").exit_code == 0
    told = refused(comptool("train", *TINY), 3)
    assert told == (
        "comptool train: folds.csv, column 'y': the order of these grades is not known (found "
        "'mild', 'none', 'severe'). Write all grades into [data] of comptool.toml, the lowest "
        'first: classes = ["mild", "severe"]'
    )
    described("ordinal", more='classes = ["none", "mild", "severe"]')
    result = comptool("train", *TINY)
    assert result.exit_code == 0, result.stderr
    oof = pd.read_csv("weights/eurosat-baseline/oof.csv")
    assert list(oof.columns) == ["id", "fold", "none", "mild", "severe"]


def test_classes_of_numbers_are_refused(comptool):
    download(list(map(str, range(24))))
    described("regression", more='classes = ["0", "1"]')
    assert refused(comptool("split"), 3) == (
        "comptool split: 'classes' are given, and the task is regression, which has numbers (found "
        "'0', '1'). Leave 'classes' out of comptool.toml, or set task = \"ordinal\""
    )


def test_declared_grades_of_one_number_are_refused(comptool):
    download(list(map(str, range(24))))
    described("ordinal", more='classes = ["0", "1", "1.0"]')
    assert refused(comptool("split"), 3) == (
        "comptool split: two texts of 'classes' are one grade (found '1', '1.0'). "
        "Write each grade in one way"
    )


def test_a_label_called_like_a_column_of_predictions_is_refused(comptool):
    download(list(map(str, range(24))), label="fold")
    described("regression", label='"fold"')
    assert refused(comptool("split"), 3) == (
        "comptool split: data/train.csv: a label cannot be called like a column of prediction "
        "files (found 'fold'). Rename the column in all tables, and in the submission back"
    )


def test_several_numbers_are_predicted_together(run):
    download(list(map(str, range(40))))
    table = pd.read_csv("data/train.csv").assign(z=np.linspace(-1e5, 1e5, 40))
    table.to_csv("data/train.csv", index=False)
    described("regression", label='["y", "z"]')
    split = run("split", "--folds", "3")
    assert list(split["classes"]) == ["bin 1", "bin 2"]
    run("train", *TINY)
    run("infer", "-j", "0")
    made = pd.read_csv("submissions/preds.csv")
    assert list(made.columns) == ["id", "y", "z"]
    # On the scale of each label.
    assert made["y"].abs().max() < 1e4 < made["z"].abs().max()
    assert set(run("evaluate", "--bootstrap", "0")["per_class"]) == {"y", "z"}


def test_copies_with_different_numbers_are_found(run):
    download(["1", "2.0", "2", *map(str, range(20))])
    table = pd.read_csv("data/train.csv").assign(z=0.0)
    table.loc[2, "path"] = table.loc[1, "path"]
    table.to_csv("data/train.csv", index=False)
    described("regression", label='["y", "z"]')
    found = run("inspect")
    assert found["findings"].get("label-conflict", 0) == 0
    assert found["tables"]["train"]["classes"] == {}
    table.loc[2, "y"] = 3
    table.to_csv("data/train.csv", index=False)
    assert run("inspect", "--force")["findings"]["label-conflict"] == 2
    made = pd.read_csv("findings.csv")
    assert "2.0 0.0 / 3.0 0.0" in set(made["value"])


def test_groups_are_kept_and_numbers_stratified(run):
    numbers = np.arange(120) % 40
    download(list(map(str, numbers)))
    table = pd.read_csv("data/train.csv", dtype=str)
    table.assign(scene=[str(n // 3) for n in range(120)]).to_csv("data/train.csv", index=False)
    described("regression", more='group = "scene"')
    run("split", "--folds", "4")
    made = pd.read_csv("folds.csv")
    assert (made.groupby("scene")["fold"].nunique() == 1).all()
    means = made.groupby("fold")["y"].mean()
    assert means.max() - means.min() < 4
