"""What can be wrong with out-of-fold rows, priors, quotas and test sets, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from comptool.io import provenance
from comptool.postprocess.calibration.methods import METHODS

OOF = Path("weights/run1/oof.csv")
FILES = ("submissions/preds_run0.csv", "submissions/preds_run1.csv")
DECIDING = {
    "ensemble": ("ensemble", *FILES, "--search", "greedy"),
    "mixed": ("recalibrate", "mixed.csv", "--method", "temperature"),
    "recalibrate": ("recalibrate", FILES[1], "--method", "temperature"),
    "compare": ("recalibrate", FILES[1], "--compare"),
    "pseudolabel": ("pseudolabel", FILES[1], "--precision", "0.5"),
}


@pytest.fixture
def bad(runs):
    """Two runs and their mean; ``bad(arguments, code, message)`` holds that nothing is written."""
    runs(skills=(2.0, 1.2), rows=40, tests=12)
    assert runs.run("ensemble", *FILES, "-o", "mixed.csv", "-q").exit_code == 0

    def check(arguments, code, message):
        before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        result = runs.run(*arguments, "-q")
        assert result.stderr == f"comptool {arguments[0]}: {message}\n"
        assert (result.exit_code, result.stdout) == (code, "")
        after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        assert after == before

    return check


def lines(change):
    """The out-of-fold file of run1 with its rows changed, a list of lists of cells."""
    header, *rows = OOF.read_text().splitlines()
    changed = change([row.split(",") for row in rows])
    OOF.write_text("\n".join([header, *(",".join(row) for row in changed)]) + "\n")


def moved(rows, fold="3"):
    """The second row, r0001, which was validated in fold 1, in another one."""
    return [[row[0], fold, *row[2:]] if row[0] == "r0001" else row for row in rows]


def header_of(run, **changes):
    path = Path(f"weights/{run}/best.safetensors")
    with safe_open(path, framework="numpy") as checkpoint:
        header = json.loads(checkpoint.metadata()["comptool"]) | changes
    save_file(load_file(path), path, metadata={"comptool": json.dumps(header)})


def other_classes():
    OOF.write_text(OOF.read_text().replace("id,fold,a,b,c", "id,fold,b,a,c"))


def copied_fold():
    best = Path("weights/run1/best.safetensors")
    for fold in ("fold-0", "fold-1"):
        (best.parent / fold).mkdir()
        (best.parent / fold / best.name).write_bytes(best.read_bytes())
        header_of(f"run1/{fold}", fold=0)
    best.unlink()


ROWS = {
    "an id is missing": (
        lambda: lines(lambda rows: [row for row in rows if row[0] != "r0001"]),
        f"{OOF}: lacks 1 rows of its folds in folds.csv (found 'r0001'). Let the run finish: "
        "comptool train --resume",
    ),
    "an id is there twice": (
        lambda: lines(lambda rows: [*rows, rows[1]]),
        f"{OOF}, row 41, column 'id': duplicate id (found 'r0001')",
    ),
    "an id is of no row": (
        lambda: lines(lambda rows: [*rows, ["x", *rows[1][1:]]]),
        f"{OOF}: 1 of the 41 rows that this run held out are not in folds.csv (found 'x'). Restore "
        "these rows of the training table, or train again",
    ),
    "another class order": (
        other_classes,
        f"{OOF}: its class columns differ from those of its record: the same 3 in another "
        f"order. If the file is right, delete {OOF}.meta.json",
    ),
    "a fold validated twice": (
        copied_fold,
        "weights/run1: two of its members validated the same fold (found 'fold 0'). Train it "
        "again: comptool train --fold all --run-name run1 --force",
    ),
    "a row validated in another fold": (
        lambda: lines(moved),
        f"{OOF}: 1 rows were validated in another fold than their fold in folds.csv, so a model "
        "may have been trained on them (found 'r0001'). Train on the current folds",
    ),
    "constant predictions": (
        lambda: lines(lambda rows: [[*row[:2], "0.5", "0.25", "0.25"] for row in rows]),
        f"{OOF}: all 40 rows have the same probabilities: nothing has been learnt",
    ),
    "a leak": (
        lambda: header_of("run1", leak="it started from weights that saw fold 2"),
        f"{OOF}: cannot serve as evidence: it started from weights that saw fold 2. Leave this "
        f"run out, or "
        "train it again on these folds",
    ),
    "no rows": (
        OOF.unlink,
        "weights/run1: this run held no rows out. Train with a validation fold",
    ),
}


@pytest.mark.parametrize("command", DECIDING)
@pytest.mark.parametrize("fault", ROWS)
def test_rows_that_are_no_evidence(bad, command, fault):
    apply, message = ROWS[fault]
    apply()
    bad(DECIDING[command], 3, message)


@pytest.mark.parametrize("command", ["ensemble", "mixed"])
def test_members_that_were_trained_on_one_anothers_validation_rows(bad, command):
    """The table of the folds has been made anew in between, so that it says nothing."""
    table = Path("folds.csv")
    table.write_text(table.read_text().replace(",fold\n", ",was\n"))
    held = OOF.read_text()
    lines(moved)
    bad(
        DECIDING[command], 3,
        f"{OOF}: 1 rows are in another fold than in weights/run0/oof.csv: each member would "
        "have been trained on validation rows of the other (found 'r0001'). Leave one out, or "
        "train "
        "both on the same folds",
    )  # fmt: skip
    OOF.write_text(held)
    lines(lambda rows: [row for row in rows if row[1] != "2"])
    bad(
        DECIDING[command], 3,
        "weights/run0/oof.csv: 10 of its validation rows are not in "
        f"{OOF}, whose run may have been trained on them (found 'r0002', 'r0006', 'r0010' and 7 "
        "more). Leave one out, or train both on the same folds",
    )  # fmt: skip


def test_a_class_that_no_out_of_fold_row_is_of(bad):
    table = Path("folds.csv")
    header, *rows = table.read_text().splitlines()
    kept = [row for row in rows if row.split(",")[2] != "c"]
    table.write_text("\n".join([header, *kept]) + "\n")
    ids = {row.split(",")[0] for row in kept}
    lines(lambda rows: [row for row in rows if row[0] in ids])
    for command in ("recalibrate", "compare"):
        bad(
            DECIDING[command], 3,
            f"{OOF}: these classes have no out-of-fold row, so nothing can be estimated for "
            f"them (found "
            "'c'). Validate more rows: comptool split --folds 5 and comptool train --fold all",
        )  # fmt: skip


PRIORS = {
    "class,share\na,0.5\nb,0.3\nc,0.1\n": "prior.csv, column 'share': the shares do not sum to one "
    "(found '0.9000'). Divide each by their sum",
    "class,share\na,0.5\nb,0\nc,0.5\n": "prior.csv, row 2, column 'share': a share is a number "
    "above 0; a class that cannot occur needs a small one too (found '0')",
    "class,share\na,0.5\nb,-0.5\nc,1\n": "prior.csv, row 2, column 'share': a share is a number "
    "above 0; a class that cannot occur needs a small one too (found '-0.5')",
    "class,share\na,0.5\nb,0.5\n": "prior.csv: its classes are not those of the predictions: a, b "
    "against a, b, c",
}


@pytest.mark.parametrize("content", PRIORS)
@pytest.mark.parametrize("how", ["--method=sinkhorn", "--method=prior", "--compare"])
def test_priors_that_are_none(bad, content, how):
    Path("prior.csv").write_text(content)
    options = (how, "--target-prior", "prior.csv")
    bad(("recalibrate", FILES[1], *options), 3, PRIORS[content])


def test_quotas_above_one(bad, runs):
    result = runs.run("recalibrate", FILES[1], "--fraction", "1.5")
    assert result.exit_code == 2
    assert "--fraction is 1.5; it has to be 0 or more and at most 1" in result.stderr
    options = ("--method", "quota-optimal", "--top-k-head", "3", "--fraction", "0.4")
    bad(
        ("recalibrate", FILES[1], *options), 2,
        "3 quotas of 0.4 are more than all rows; lower --fraction",
    )  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [row.name for row in METHODS if row.name != "none" and not row.ordered and not row.grouped],
)
def test_a_test_set_of_one_row(bad, runs, method):
    for path in map(Path, FILES):
        path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    Path("test.csv").write_text("id,path\nt0,t0.png\n")
    options = ["--method", method]
    if METHODS.find(method).of_sets:
        if method == "sinkhorn":
            options += ["--target-prior", "uniform"]
        bad(
            ("recalibrate", FILES[1], *options), 3,
            f"{FILES[1]}: one row is not a test set, and {method} uses all rows together. "
            "Submit the most probable class: comptool submit",
        )  # fmt: skip
    else:
        options += ["--target-prior", "uniform"] if method == "logit-adjust" else []
        if METHODS.find(method).costs:
            Path("tree.csv").write_text("class,parent\na,\nb,\nc,\n")
            options += ["--tree", "tree.csv"]
        result = runs.run("recalibrate", FILES[1], *options)
        assert result.exit_code == 0, result.stderr
    for command in (("ensemble", *FILES, "-o", "one.csv"), ("pseudolabel", "--threshold", "0")):
        result = runs.run(*command, *(FILES[:1] if command[0] == "pseudolabel" else ()))
        assert result.exit_code == 0, result.stderr


def test_a_record_is_needed_to_know_whose_rows_they_are(bad):
    provenance.meta_path(Path(FILES[1])).unlink()
    bad(
        DECIDING["ensemble"], 2,
        f"no run is recorded with {FILES[1]}: give the run of each member, in the order of the "
        "files, with --oof RUN",
    )  # fmt: skip
