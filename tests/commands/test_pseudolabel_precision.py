"""``comptool pseudolabel`` told by out-of-fold rows how right its labels will be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from comptool import provenance
from comptool.predictions import read_predictions

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
    assert provenance.facts(Path("pseudo.csv"))["expected"] == expected


def test_a_wanted_precision_chooses_the_threshold(runs):
    (source,) = runs(skills=(2.0,), **ROWS)
    high = told(runs.run("pseudolabel", source, "--precision", "0.95", "--json"))
    low = told(runs.run("pseudolabel", source, "--precision", "0.8", "--json", "--force"))
    assert high["expected"]["precision"]["low"] >= 0.95
    assert low["expected"]["precision"]["low"] >= 0.8
    assert low["rows"] > high["rows"] > 0


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
    assert "no threshold promises a precision of 0.999: the best is" in result.stderr
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
    assert "no out-of-fold rows say how many will be right" in result.stderr
    result = runs.run("pseudolabel", source, "--precision", "0.9", "--force")
    assert result.exit_code == 3
    assert "is no evidence: it saw fold 1" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "0.9", "--threshold", "0.9"], "--precision chooses the threshold"),
        (["--per-class"], "--per-class chooses thresholds for a --precision"),
    ],
)
def test_options_that_do_not_go_together_are_refused(runs, options, message):
    (source,) = runs(skills=(2.0,), **ROWS)
    result = runs.run("pseudolabel", source, *options)
    assert result.exit_code == 2
    assert message in result.stderr
