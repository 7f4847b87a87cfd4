"""``comptool pseudolabel`` from a prediction file and the test table to a training table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_sure_rows_become_training_rows_in_the_order_of_the_test_table(vehicles):
    result = vehicles("pseudolabel")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "pseudo.csv\n"
    assert Path("pseudo.csv").read_text() == (
        "image_id,sar_path,eo_path,kind,confidence,round,fold\n"
        "007,s/007.png,e/007.png,bus,0.98,1,-1\n"
        "1e5,s/1e5.png,e/1e5.png,bus,0.99,1,-1\n"
        "x,s/x.png,e/x.png,van,0.97,1,-1\n"
    )
    assert result.stderr.splitlines() == [
        "taking submissions/preds.csv, the last step of the chain that exists",
        "class  predicted  sure  kept",
        "bus            4     2     2",
        "van            1     1     1",
        "sum            5     3     3",
    ]


def test_the_record_hands_on_the_folder_and_the_published_counts(vehicles):
    vehicles("pseudolabel", "-o", "out/pseudo.csv")
    record = json.loads(Path("out/pseudo.csv.meta.json").read_text())
    assert record["arguments"]["threshold"] == 0.96
    assert list(record["inputs"]) == ["submissions/preds.csv", "data/test.csv"]
    assert record["facts"] == {
        "runs": ["one"],
        "class_counts": {"bus": 900, "van": 3},
        "folder": "../data",
        "classes": ["bus", "van"],
        "kept": {"bus": 2, "van": 1},
        "round": 1,
        "soft": False,
    }


def test_the_table_can_be_read_as_samples(vehicles):
    from comptool.competition.config import load
    from comptool.competition.samples import read_samples

    vehicles("pseudolabel")
    samples = read_samples(Path("pseudo.csv"), load(), labelled=True)
    assert samples.frame["fold"].tolist() == [-1, -1, -1]
    assert samples.folder.resolve() == Path("data").resolve()


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--threshold", 0.97], ["007", "1e5"]),
        (["--threshold", 0.5], ["007", "1e5", "NA", "x"]),
        (["--per-class-cap", 1], ["1e5", "x"]),
        (["--balance"], ["1e5", "x"]),
        (["--quantile", 0.5], ["007", "1e5", "x"]),
        (["--quantile", 1, "--threshold", 0.975], ["1e5"]),
    ],
)
def test_rules(vehicles, options, ids, kept):
    result = vehicles("pseudolabel", *options)
    assert result.exit_code == 0, result.stderr
    assert list(kept()) == ids


def test_balance_names_the_classes_that_it_leaves_out(vehicles, kept):
    result = vehicles("pseudolabel", "--threshold", 0.975, "--balance")
    assert "warning: classes without a row, ignored by --balance: van" in result.stderr
    assert list(kept()) == ["007", "1e5"]


def test_soft_labels_are_the_probabilities_under_their_classes_names(vehicles):
    vehicles("pseudolabel", "--soft", "--per-class-cap", 1)
    header, first, second = Path("pseudo.csv").read_text().splitlines()
    assert header.split(",")[-3:] == ["fold", "soft:bus", "soft:van"]
    assert first.split(",")[-3:] == ["-1", "0.99", "0.01"]
    assert second.split(",")[-3:] == ["-1", "0.03", "0.97"]


def test_no_sure_row_is_an_error(vehicles):
    result = vehicles("pseudolabel", "--threshold", 0.99, "-q")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool pseudolabel: submissions/preds.csv: no row is confident enough; the most "
        "confident "
        "of 5 rows has 0.9900. Lower --threshold, or accept an empty table with --allow-empty\n"
    )
    assert not Path("pseudo.csv").exists()


def test_an_empty_table_can_be_allowed(vehicles):
    result = vehicles("pseudolabel", "--threshold", 0.99, "--allow-empty", "--soft", "--balance")
    assert result.exit_code == 0, result.stderr
    assert Path("pseudo.csv").read_text() == (
        "image_id,sar_path,eo_path,kind,confidence,round,fold,soft:bus,soft:van\n"
    )


def test_labelled_ids_are_refused(vehicles):
    table = Path("data/train.csv")
    table.write_text(table.read_text() + "1e5,a/3.png,b/3.png,van\n")
    result = vehicles("pseudolabel", "-q")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool pseudolabel: data/test.csv: 1 of the rows to keep have ids that are "
        "already labelled in data/train.csv (found '1e5'). Remove these rows from the test table, "
        "or give another one with --test\n"
    )
    assert not Path("pseudo.csv").exists()


def test_without_a_training_table_it_says_that_it_could_not_compare(vehicles):
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace('train = "train.csv"\n', ""))
    result = vehicles("pseudolabel")
    assert result.exit_code == 0, result.stderr
    assert "no training table here: ids cannot be compared with training ids" in result.stderr


def test_another_test_table_by_its_path(vehicles, put, kept):
    put("more/extra.csv", "image_id,sar_path,eo_path\nq,s/q.png,e/q.png\n")
    put("q.csv", "image_id,bus,van\nq,0.99,0.01\n")
    result = vehicles("pseudolabel", "q.csv", "--test", "more/extra.csv")
    assert result.exit_code == 0, result.stderr
    assert kept() == {"q": ["bus", "0.99", "1"]}
    assert json.loads(Path("pseudo.csv.meta.json").read_text())["facts"]["folder"] == "more"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("y,", "z,0.5,0.5\ny,", "submissions/preds.csv: 1 ids are not in data/test.csv"),
        ("x,0.03,0.97\n", "", "submissions/preds.csv: lacks 1 ids of data/test.csv"),
        ("0.97", "9.7", "is not a probability between 0 and 1"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(vehicles, old, new, message):
    predictions = Path("submissions/preds.csv")
    predictions.write_text(predictions.read_text().replace(old, new, 1))
    result = vehicles("pseudolabel")
    assert result.exit_code == 3
    assert message in result.stderr
    assert not Path("pseudo.csv").exists()


DECIDED = (
    "image_id,bus,van,pred\ny,0.5,0.5,van\nx,0.03,0.97,bus\nNA,0.96,0.04,bus\n"
    "1e5,0.99,0.01,bus\n007,0.3,0.7,van\n"
)


def test_decisions_are_the_labels_and_as_sure_as_their_probability(vehicles, put, kept):
    put("decided.csv", DECIDED)
    result = vehicles("pseudolabel", "decided.csv", "--threshold", 0.6)
    assert result.exit_code == 0, result.stderr
    assert kept() == {"007": ["van", "0.7", "1"], "NA": ["bus", "0.96", "1"],
                      "1e5": ["bus", "0.99", "1"]}  # fmt: skip
    assert result.stderr.splitlines()[1:] == [
        "the labels are the decisions (column pred) of decided.csv, with their probabilities",
        "class  predicted  sure  kept",
        "bus            3     2     2",
        "van            2     1     1",
        "sum            5     3     3",
    ]
    result = vehicles("pseudolabel", "decided.csv", "--soft", "--force")
    assert "; the soft labels are the plain probabilities\n" in result.stderr


def test_a_decision_against_a_large_probability_is_never_sure(vehicles, put):
    rows = "".join(f"{one},0.01,0.99,bus\n" for one in ("007", "1e5", "NA", "x", "y"))
    put("decided.csv", f"image_id,bus,van,pred\n{rows}")
    result = vehicles("pseudolabel", "decided.csv", "-q")
    assert result.exit_code == 3
    assert "the most confident of 5 rows has 0.0100" in result.stderr


def test_a_decision_for_an_unknown_class_is_named(vehicles, put):
    put("decided.csv", DECIDED.replace("0.97,bus", "0.97,tram"))
    result = vehicles("pseudolabel", "decided.csv", "-q")
    assert (result.exit_code, result.stderr) == (
        3,
        "comptool pseudolabel: decided.csv, row 2, column 'pred': no such class; the classes are "
        "'bus', 'van' (found 'tram')\n",
    )


def test_an_ensemble_of_ranks_is_refused(vehicles):
    options = ("submissions/preds.csv", "submissions/preds.csv", "--method", "rank-mean")
    assert vehicles("ensemble", *options, "-q").exit_code == 0
    result = vehicles("pseudolabel", "submissions/ensemble.csv", "-q")
    assert result.exit_code == 3
    assert "its numbers are ranks" in result.stderr
    assert "comptool ensemble --method mean" in result.stderr


def test_a_lower_threshold_is_for_multi_label_predictions(vehicles):
    result = vehicles("pseudolabel", "--lower", 0.1, "-q")
    assert result.exit_code == 2
    assert result.stderr == (
        "comptool pseudolabel: --lower is for multi-label predictions; here each row has one "
        "class\n"
    )


def test_a_column_that_the_table_needs_is_refused(vehicles):
    for path in (Path("comptool.toml"), Path("data/train.csv")):
        path.write_text(path.read_text().replace("kind", "round"))
    result = vehicles("pseudolabel")
    assert result.exit_code == 2
    assert "the column round has the name of a column of pseudo-labels" in result.stderr


def test_an_output_is_replaced_only_by_force(vehicles, put):
    put("pseudo.csv", "mine")
    assert vehicles("pseudolabel").exit_code == 3
    assert Path("pseudo.csv").read_text() == "mine"
    assert vehicles("pseudolabel", "--force").exit_code == 0


def test_a_dry_run_writes_nothing(vehicles):
    result = vehicles("pseudolabel", "--dry-run")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == (
        "would read submissions/preds.csv, data/test.csv, data/train.csv and write pseudo.csv"
    )
    assert not Path("pseudo.csv").exists()


def test_the_result_as_json(vehicles):
    answer = json.loads(vehicles("pseudolabel", "--json", "-q").stdout)
    assert answer == {
        "output": "pseudo.csv",
        "input": "submissions/preds.csv",
        "round": 1,
        "rows": 3,
        "predicted": {"bus": 4, "van": 1},
        "sure": {"bus": 2, "van": 1},
        "kept": {"bus": 2, "van": 1},
        "notes": [],
    }


def test_the_program_itself(vehicles, program):
    result = program("pseudolabel", "-q")
    assert (result.returncode, result.stdout, result.stderr) == (0, "pseudo.csv\n", "")
