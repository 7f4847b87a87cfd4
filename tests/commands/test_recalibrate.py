"""``comptool recalibrate`` from file to file."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

COUNTS = {"sedan": 900, "bus": 40, "van": 3}


def write_header(run: Path, counts: dict[str, int]) -> None:
    run.mkdir(parents=True)
    header = {
        "format": 1,
        "model": {"name": "x", "options": {}},
        "task": "multiclass",
        "classes": list(counts),
        "class_counts": counts,
        "modalities": ["sar"],
        "img_size": {"sar": [8, 8]},
        "channels": {"sar": 1},
        "mean": {"sar": [0.5]},
        "std": {"sar": [0.5]},
    }
    weights = {"weight": np.zeros(1, dtype=np.float32)}
    save_file(weights, run / "best.safetensors", metadata={"comptool": json.dumps(header)})


def test_the_quota_from_file_to_file(comptool, predictions):
    source = predictions(facts={"class_counts": COUNTS, "task": "multiclass"})
    result = comptool(
        "recalibrate", source, "--top-k-head", 1, "--fraction", 0.25, "-o", "out/r.csv"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "out/r.csv\n"
    assert Path("out/r.csv").read_text(encoding="utf-8") == (
        "image_id,sedan,bus,van,pred\n"
        "007,0.9,0.1,0.0,sedan\n1e5,0.8,0.0,0.2,van\nNA,0.7,0.2,0.1,bus\nü,0.6,0.1,0.3,van\n"
    )
    assert result.stderr.splitlines() == [
        f"taking {source}",
        "head classes in order of priority: sedan (the 1 with the most training images)",
        "each takes 1 of 4 rows; this presumes that the test classes are nearly equally "
        "frequent, and does harm otherwise",
        "no run is recorded with these predictions: --oof RUN estimates whether this helps",
        "class  before  after  role",
        "sedan       4      1  head",
        "bus         0      1  tail",
        "van         0      2  tail",
        "sum         4      4",
    ]


def test_the_record_says_what_was_decided_and_hands_the_facts_on(comptool, predictions):
    facts = {"class_counts": COUNTS, "task": "multiclass", "metric": "accuracy", "runs": ["a"]}
    source = predictions(facts=facts)
    comptool("recalibrate", source, "--top-k-head", 2, "--fraction", 0.25, "-o", "r.csv")
    record = json.loads(Path("r.csv.meta.json").read_text())
    assert record["command"] == "recalibrate"
    assert record["inputs"] == {str(source): hashlib.sha256(source.read_bytes()).hexdigest()}
    assert record["facts"] == facts | {
        "recalibration": {
            "method": "quota",
            "head": ["sedan", "bus"],
            "fraction": 0.25,
            "rows_per_head_class": 1,
        }
    }


def test_head_classes_by_name_take_rows_in_the_order_given(comptool, predictions):
    source = predictions()  # without a record
    result = comptool(
        "recalibrate", source, "--head-classes", "van,sedan", "--fraction", 0.25, "--json"
    )
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["head"] == ["van", "sedan"]
    assert answer["before"] == {"sedan": 4, "bus": 0, "van": 0}
    assert answer["after"] == {"sedan": 1, "bus": 2, "van": 1}
    assert answer["output"] == "submissions/recalibrated.csv"
    assert Path(answer["output"]).read_text(encoding="utf-8").splitlines()[1:] == [
        "007,0.9,0.1,0.0,sedan",
        "1e5,0.8,0.0,0.2,bus",
        "NA,0.7,0.2,0.1,bus",
        "ü,0.6,0.1,0.3,van",
    ]


def test_head_classes_come_from_the_runs_header_where_the_record_has_none(comptool, predictions):
    write_header(Path("weights/one"), {"sedan": 5, "bus": 7, "van": 6})
    source = predictions(facts={"runs": ["gone", "one"]})
    result = comptool("recalibrate", source, "--top-k-head", 1, "--json")
    assert json.loads(result.stdout)["head"] == ["bus"]
    facts = json.loads(Path("submissions/recalibrated.csv.meta.json").read_text())["facts"]
    assert facts["class_counts"] == {"sedan": 5, "bus": 7, "van": 6}


def test_without_class_counts_it_asks_for_the_head_classes(comptool, predictions):
    result = comptool("recalibrate", predictions("p.csv"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith(
        "p.csv: neither p.csv.meta.json nor a run has the number of training images of each class. "
        "Name the head classes: --head-classes a,b,c,d"
    )
    assert not Path("submissions").exists()


def test_equal_counts_at_the_boundary_are_said(comptool, predictions):
    source = predictions(facts={"class_counts": {"sedan": 9, "bus": 9, "van": 3}})
    result = comptool("recalibrate", source, "--top-k-head", 1)
    assert "sedan (the 1 with the most training images; bus has as many (9) but is later in " in (
        result.stderr
    )


def test_counts_that_lack_a_class_are_refused(comptool, predictions):
    source = predictions(facts={"class_counts": {"sedan": 9, "bus": 8}})
    result = comptool("recalibrate", source, "--top-k-head", 1)
    assert result.exit_code == 3
    assert "the recorded class counts lack a class (found 'van')" in result.stderr


@pytest.mark.parametrize(
    ("present", "taken"),
    [
        (["preds", "preds_tta", "ensemble"], "ensemble"),
        (["preds", "preds_tta"], "preds_tta"),
        (["preds"], "preds"),
    ],
)
def test_without_an_argument_it_takes_the_last_step_of_the_chain(
    comptool, predictions, present, taken
):
    for name in reversed(present):
        predictions(f"submissions/{name}.csv", facts={"class_counts": COUNTS})
    result = comptool("recalibrate", "--top-k-head", 1, "--json")
    assert json.loads(result.stdout)["input"] == f"submissions/{taken}.csv"
    assert f"taking submissions/{taken}.csv, the last step of the chain" in result.stderr


def test_an_ensemble_older_than_its_members_is_said(comptool, predictions):
    old = predictions("submissions/ensemble.csv", facts={"class_counts": COUNTS})
    predictions("submissions/preds.csv")
    os.utime(old, (1, 1))
    result = comptool("recalibrate", "--top-k-head", 1)
    assert "made before submissions/preds.csv, so it may be out of date" in result.stderr


def test_without_any_predictions_it_says_how_to_make_them(comptool):
    result = comptool("recalibrate")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool recalibrate: no predictions here (looked for submissions/ensemble.csv, "
        "submissions/preds_tta.csv, submissions/preds.csv). Make them: comptool infer\n"
    )


def test_alternating_normalisation_writes_what_the_rows_became(comptool, predictions):
    rows = "".join(f"{row},0.98,0.01,0.01\n" for row in range(8)) + "8,0.01,0.98,0.01\n"
    source = predictions(text="id,a,b,c\n" + rows + "9,0.41,0.4,0.19\n")
    result = comptool("recalibrate", source, "--method", "can", "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["uncertain_rows"] == 1
    assert (answer["alpha"], answer["iterations"], answer["top_k"]) == (1.0, 1, 3)
    lines = Path("submissions/recalibrated.csv").read_text().splitlines()
    assert lines[1] == "0,0.98,0.01,0.01,a"
    # Column sums 7.85 + 0.41, 1.06 + 0.4, 0.09 + 0.19; each of b's values over its sum, rescaled.
    shares = np.array([0.41 / 8.26, 0.4 / 1.46, 0.19 / 0.28])
    *numbers, answered = lines[-1].split(",")[1:]
    np.testing.assert_allclose(np.array(numbers, dtype=float), shares / shares.sum())
    assert answered == "c"


def test_the_training_prior_is_the_published_one(comptool, predictions):
    source = predictions(facts={"class_counts": COUNTS})
    result = comptool("recalibrate", source, "--method", "can", "--prior", "train", "--json")
    assert json.loads(result.stdout)["prior"] == pytest.approx(
        {"sedan": 900 / 943, "bus": 40 / 943, "van": 3 / 943}
    )
    assert "have the training set's shares" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--alpha", 2], "--alpha belongs to --method can, not to quota"),
        (["--prior", "train"], "--prior belongs to --method can, not to quota"),
        (
            ["--method", "can", "--fraction", 0.1],
            "--fraction belongs to --method quota and quota-optimal, not to can",
        ),
        (
            ["--head-classes", "van", "--top-k-head", 1],
            "--head-classes and --top-k-head exclude each other",
        ),
        (
            ["--head-classes", "vam"],
            "no class is called 'vam'; did you mean 'van', 'sedan' or 'bus'?",
        ),
        (["--head-classes", "van,van"], "--head-classes names a class twice: van,van"),
        (["--method", "can", "--alpha", 0], "--alpha is 0.0; it has to be above 0"),
        (
            ["--method", "can", "--top-k", 4],
            "--top-k must be 2 to 3 (the number of classes), not 4",
        ),
        (["--method", "can", "--oof", "r"], "--oof has no meaning for --method can"),
        (["--top-k-head", 4], "--top-k-head 4 is more than the number of classes, 3"),
    ],
)
def test_options_that_do_not_go_together(comptool, predictions, options, message):
    source = predictions(facts={"class_counts": COUNTS})
    result = comptool("recalibrate", source, "-q", *options)
    assert result.exit_code == 2
    assert result.stderr == f"comptool recalibrate: {message}\n"
    assert not Path("submissions/recalibrated.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a,b\n1,2.5,-1.5\n", "is not a probability between 0 and 1"),
        ("id,a,b\n1,,1\n", "is not a number"),
        ("id,a,b\n1,0.5,0.1\n", "do not sum to one"),
        ("id,a,b\n1,x,0.1\n", "is not a number"),
        ("id,a,b\n1,1,0\n1,0,1\n", "duplicate id"),
        ("id,a,b\n", "has a header and no rows"),
        ("", "is empty"),
    ],
)
def test_bad_predictions_are_refused_and_nothing_is_written(comptool, predictions, text, message):
    result = comptool("recalibrate", predictions(text=text), "--head-classes", "a")
    assert result.exit_code == 3
    assert message in result.stderr
    assert not Path("submissions").exists()


def test_multilabel_predictions_are_refused(comptool, predictions):
    source = predictions(facts={"task": "multilabel", "class_counts": COUNTS})
    result = comptool("recalibrate", source)
    assert result.exit_code == 3
    assert "this step is for one class per image" in result.stderr


def test_an_output_is_replaced_only_by_force(comptool, predictions):
    source = predictions()
    Path("r.csv").write_text("mine")
    arguments = ("recalibrate", source, "--head-classes", "sedan", "-o", "r.csv")
    result = comptool(*arguments)
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool recalibrate: r.csv: exists already. Replace it with --force\n"
    )
    assert Path("r.csv").read_text() == "mine"
    assert comptool(*arguments, "--force").exit_code == 0
    assert Path("r.csv").read_text() != "mine"


def test_a_dry_run_writes_nothing(comptool, predictions):
    source = predictions()
    result = comptool("recalibrate", source, "--dry-run", "-o", "r.csv")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == f"would read {source} and write r.csv"
    assert not Path("r.csv").exists()


def test_recalibrating_twice_changes_nothing(comptool, predictions):
    source = predictions()
    comptool("recalibrate", source, "--head-classes", "sedan", "-o", "a.csv")
    comptool("recalibrate", "a.csv", "--head-classes", "sedan", "-o", "b.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_the_program_itself_without_torch(program, predictions):
    predictions("submissions/preds.csv", facts={"class_counts": COUNTS})
    result = program("recalibrate", "--top-k-head", "1", "--fraction", "0.25", "-q")
    assert (result.returncode, result.stdout) == (0, "submissions/recalibrated.csv\n")
    assert result.stderr == ""


TOML = """
task = "multiclass"
[data]
train = "train.csv"
id = "image_id"
label = "kind"
[modalities]
sar = "sar_path"
"""


@pytest.mark.parametrize("table", ["folds.csv", "train.csv"])
def test_class_counts_that_are_not_recorded_are_counted_in_the_label_table(
    comptool, predictions, table
):
    labels = ["bus"] * 5 + ["sedan"] * 3 + ["van"]
    rows = "".join(f"{n},a/{n}.png,{label},0\n" for n, label in enumerate(labels))
    Path("comptool.toml").write_text(TOML)
    Path("train.csv").write_text("image_id,sar_path,kind,fold\n0,a.png,van,0\n")
    Path(table).write_text("image_id,sar_path,kind,fold\n" + rows)
    result = comptool("recalibrate", predictions("p.csv"), "--top-k-head", 1, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["head"] == ["bus"]
    assert f"bus (the 1 with the most training images in {table})" in result.stderr
