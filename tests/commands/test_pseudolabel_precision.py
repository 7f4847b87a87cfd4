"""``comptool pseudolabel`` told by out-of-fold rows how right its labels will be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from comptool.io import provenance
from comptool.io.predictions import read_predictions, write_predictions

ROWS = {"rows": 600, "tests": 120}


def told(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_expected_precision_at_the_threshold_is_reported_and_recorded(runs):
    (source,) = runs(skills=(2.0,), **ROWS)
    result = runs.run("pseudolabel", source, "--threshold", "0.8", "--json")
    expected = told(result)["expected"]
    held = read_predictions(Path("weights/run0/oof.csv")).probabilities
    assert expected["precision"]["answered"] == (held.max(axis=1) > 0.8).sum()
    assert expected["precision"]["low"] < expected["precision"]["value"]
    assert f"expected precision {expected['precision']['value']:.3f} (" in result.stderr
    assert provenance.recall(Path("pseudo.csv")).facts["expected"] == expected


def test_a_wanted_precision_chooses_the_threshold(runs):
    (source,) = runs(skills=(2.0,), **ROWS)
    high = told(runs.run("pseudolabel", source, "--precision", "0.95", "--json"))
    low = told(runs.run("pseudolabel", source, "--precision", "0.8", "--json", "--force"))
    # The test of a threshold is the lower end of the interval where the risk is 2.5 %.
    assert high["expected"]["precision"]["low"] >= 0.95
    assert low["expected"]["precision"]["low"] >= 0.8
    assert low["expected"]["promise"] == {"precision": 0.8, "risk": 0.025}
    (note,) = (one for one in low["notes"] if one.startswith("threshold "))
    assert note.endswith("(a precision of at least 0.8 with 97.5 % confidence)")
    assert low["rows"] > high["rows"] > 0


def test_a_higher_risk_keeps_more_rows(runs):
    (source,) = runs(skills=(2.0,), **ROWS)
    found = [
        told(runs.run("pseudolabel", source, "--precision", "0.9", *options, "--json", "--force"))
        for options in ((), ("--risk", "0.3"))
    ]
    assert found[0]["rows"] < found[1]["rows"]
    assert found[1]["expected"]["promise"] == {"precision": 0.9, "risk": 0.3}


def is_clopper_pearson(one):
    theirs = binomtest(one["right"], one["answered"]).proportion_ci(0.95, "exact")
    return (one["low"], one["high"]) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_promise_is_no_end_of_the_interval(runs):
    (source,) = runs(skills=(2.0,), **ROWS)
    asked = ("--precision", "0.95", "--risk", "0.5", "--json")
    result = runs.run("pseudolabel", source, *asked)
    expected = told(result)["expected"]
    found = expected["precision"]
    assert found["low"] < 0.95 < found["value"]
    assert is_clopper_pearson(found)
    assert f"({found['low']:.3f} to {found['high']:.3f})" in result.stderr
    assert "(a precision of at least 0.95 with 50 % confidence)" in result.stderr
    assert expected["promise"] == {"precision": 0.95, "risk": 0.5}
    result = runs.run("pseudolabel", source, *asked, "--per-class", "--force")
    expected = told(result)["expected"]
    assert all(map(is_clopper_pearson, [expected["precision"], *expected["by_class"].values()]))


def test_each_class_can_have_its_own_threshold(runs):
    (source,) = runs(skills=(2.0,), presumed=(0.8, 0.15, 0.05), **ROWS)
    result = runs.run("pseudolabel", source, "--precision", "0.85", "--per-class", "--json")
    assert told(result)["rows"] > 0
    line = next(one for one in result.stderr.splitlines() if one.startswith("thresholds: a "))
    numbers = [part.split()[1] for part in line.removeprefix("thresholds: ").split(", ")]
    # The class that the run favours has to be surer.
    assert float(numbers[0]) > float(numbers[1])


def test_a_precision_that_nothing_promises_is_refused_with_what_can_be_had(runs):
    (source,) = runs(skills=(0.5,), **ROWS)
    result = runs.run("pseudolabel", source, "--precision", "0.999")
    assert result.exit_code == 3
    assert (
        "no threshold reaches a precision of 0.999 at a risk of 0.025: the best is" in result.stderr
    )
    assert "Ask for at most --precision 0." in result.stderr
    assert not Path("pseudo.csv").exists()


def test_files_that_disagree_keep_a_row_out(runs):
    one, two = runs(skills=(2.0, 2.0), **ROWS)
    alone = told(runs.run("pseudolabel", one, "--threshold", "0.7", "--json"))
    result = runs.run("pseudolabel", one, "--threshold", "0.7", "--agree", two, "--json", "--force")
    both = told(result)
    assert 0 < both["rows"] < alone["rows"]
    answers = [read_predictions(path).probabilities.argmax(axis=1) for path in (one, two)]
    agreed = int(np.sum(answers[0] == answers[1]))
    assert f"the files agree on {agreed} of 120 rows" in result.stderr


def test_the_surest_row_that_is_told_is_one_on_which_the_files_agree(runs):
    one, two = runs(skills=(2.0, 2.0), tests=120)
    p, q = (read_predictions(path).probabilities for path in (one, two))
    surest = p.max(axis=1)[p.argmax(axis=1) == q.argmax(axis=1)]
    assert surest.size < 120
    result = runs.run("pseudolabel", one, "--threshold", surest.max(), "--agree", two)
    assert result.exit_code == 3
    told = (
        f"the most confident of {surest.size} rows that --agree leaves has "
        f"{surest.max():.4f}. Lower"
    )
    assert told in result.stderr


def test_files_that_agree_on_no_row_are_named_as_the_cause(runs):
    one, two = runs(skills=(2.0, 2.0))
    rows = read_predictions(one)
    write_predictions(
        two, replace(rows, probabilities=rows.probabilities[:, [1, 2, 0]]), force=True
    )
    result = runs.run("pseudolabel", one, "--threshold", "0.3", "--agree", two)
    assert result.exit_code == 3
    assert "the files of --agree differ in every row. Give fewer files" in result.stderr


def test_rows_on_which_files_disagree_are_not_counted_in_the_expected_precision(runs):
    one, two = runs(skills=(2.0, 2.0), **ROWS)
    result = runs.run("pseudolabel", one, "--threshold", "0.7", "--agree", two, "--json")
    expected = told(result)["expected"]["precision"]
    held = [read_predictions(Path(f"weights/run{n}/oof.csv")).probabilities for n in (0, 1)]
    same = held[0].argmax(axis=1) == held[1].argmax(axis=1)
    assert expected["answered"] == (same & (held[0].max(axis=1) > 0.7)).sum()
    note = f"expected precision of {same.sum()} of 600 out-of-fold rows, on which the files agree"
    assert note in result.stderr.splitlines()
    alone = told(runs.run("pseudolabel", one, "--threshold", "0.7", "--json", "--force"))
    assert expected["value"] > alone["expected"]["precision"]["value"]


def test_agreement_that_cannot_be_weighed_is_left_out_of_the_expected_precision(runs):
    one, two = runs(skills=(2.0, 2.0), **ROWS)
    provenance.record(two, command="infer", arguments={}, facts={})
    result = runs.run("pseudolabel", one, "--threshold", "0.7", "--agree", two, "--json")
    held = read_predictions(Path("weights/run0/oof.csv")).probabilities
    expected = told(result)["expected"]["precision"]
    assert expected["answered"] == (held.max(axis=1) > 0.7).sum()
    assert (
        "the expected precision ignores the agreement: no run is recorded with a file of --agree"
        in result.stderr.splitlines()
    )


def test_multi_label_cells_on_which_files_disagree_are_not_known(runs):
    one, two = runs("multilabel", skills=(2.0, 2.0), **ROWS)
    options = ("--threshold", "0.7", "--agree", two, "--json")
    made = told(runs.run("pseudolabel", one, *options))
    p, q = (read_predictions(path, sums_to_one=False) for path in (one, two))
    same = (p.probabilities > 0.5) == (q.probabilities > 0.5)
    assert (
        f"the files agree on {same.sum()} of 360 cells; others are not annotated" in made["notes"]
    )
    labelled = pd.read_csv("pseudo.csv", index_col="id")
    ids = p.ids.tolist()
    for name, row in labelled.iterrows():
        place = ids.index(name)
        sure = np.where(p.probabilities[place] > 0.7, 1, -1)
        sure[p.probabilities[place] < 0.3] = 0
        assert row[["a", "b", "c"]].tolist() == np.where(same[place], sure, -1).tolist()
    held = [read_predictions(Path(f"weights/run{n}/oof.csv"), sums_to_one=False) for n in (0, 1)]
    a, b = (one.probabilities for one in held)
    counted = ((a > 0.7) & (b > 0.5)).sum()
    assert made["expected"]["present"]["answered"] == counted


def test_the_expected_precision_of_each_class_is_a_column_of_the_table(runs):
    (source,) = runs(skills=(2.0,), **ROWS)
    result = runs.run("pseudolabel", source, "--threshold", "0.8", "--json")
    expected = told(result)["expected"]
    table = [line for line in result.stderr.splitlines() if line.split()[:1] in (["a"], ["b"])]
    held = read_predictions(Path("weights/run0/oof.csv")).probabilities
    for place, line in enumerate(table):
        one = expected["by_class"]["ab"[place]]
        assert line.endswith(f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})")
        answered = (held.argmax(axis=1) == place) & (held[:, place] > 0.8)
        assert one["answered"] == answered.sum()
    counts = [one["right"] for one in expected["by_class"].values()]
    assert sum(counts) == expected["precision"]["right"]


def test_each_class_of_several_labels_can_have_its_own_two_thresholds(runs):
    (source,) = runs("multilabel", skills=(3.0,), **ROWS)
    result = runs.run("pseudolabel", source, "--precision", "0.85", "--per-class", "--json")
    expected = told(result)["expected"]
    assert all(one["low"] >= 0.85 for one in expected["by_class"].values())
    line = next(one for one in result.stderr.splitlines() if one.startswith("thresholds: a "))
    bounds = [tuple(map(float, pair)) for pair in re.findall(r"(\S+) \(absent below (\S+)\)", line)]
    assert len(bounds) == 3
    p = read_predictions(source, sums_to_one=False)
    labelled = pd.read_csv("pseudo.csv", index_col="id")
    for place, name in enumerate("abc"):
        upper, lower = bounds[place]
        rows = p.probabilities[[p.ids.tolist().index(one) for one in labelled.index], place]
        labels = labelled[name].to_numpy()
        assert (rows[labels == 1] > upper - 1e-4).all()
        assert (rows[labels == 0] < lower + 1e-4).all()
        assert (labels[(rows < upper - 1e-4) & (rows > lower + 1e-4)] == -1).all()


def test_multi_label_cells_have_a_threshold_on_either_side(runs):
    (source,) = runs("multilabel", skills=(3.0,), **ROWS)
    result = runs.run("pseudolabel", source, "--precision", "0.9", "--json")
    expected = told(result)["expected"]
    assert expected["present"]["low"] >= 0.9
    assert expected["absent"]["low"] >= 0.9
    assert "expected precision of absent cells" in result.stderr


def test_a_run_that_leaks_says_nothing_and_is_refused_where_it_is_needed(runs):
    (source,) = runs(skills=(2.0,), leak="it saw fold 1", **ROWS)
    result = runs.run("pseudolabel", source, "--threshold", "0.7")
    assert result.exit_code == 0, result.stderr
    assert "no out-of-fold rows to estimate the precision" in result.stderr
    result = runs.run("pseudolabel", source, "--precision", "0.9", "--force")
    assert result.exit_code == 3
    assert "cannot serve as evidence: it saw fold 1" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "0.9", "--threshold", "0.9"], "--precision chooses the threshold"),
        (["--per-class"], "--per-class needs --precision"),
        (["--risk", "0.1"], "--risk needs --precision"),
        (["--precision", "0.9", "--risk", "0"], "--risk is 0.0; it has to be above 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(runs, options, message):
    (source,) = runs(skills=(2.0,), **ROWS)
    result = runs.run("pseudolabel", source, *options)
    assert result.exit_code == 2
    assert message in result.stderr
