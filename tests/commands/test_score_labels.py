"""``comptool score`` of multi-label answers, as it is typed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from comptool.io import provenance

ANSWERS = 'id,sea,"roof, tiled",pier\n1,1,0,0\n2,0,1,0\n3,1,1,0\n4,0,0,0\n5,1,-1,0\n'
SUBMISSION = (
    'id,sea,"roof, tiled",pier\n5,0.9,0.1,0.5\n4,0.3,0.2,0.5\n3,0.4,0.8,0.5\n2,0.6,0.3,0.5\n'
    "1,0.7,0.35,0.5\n"
)


@pytest.fixture
def cup(tmp_path) -> Path:
    Path(tmp_path / "answers.csv").write_text(ANSWERS)
    Path(tmp_path / "s.csv").write_text(SUBMISSION)
    return tmp_path


def score(comptool, *arguments):
    return comptool("score", "s.csv", "--answers", "answers.csv", "--public", "0", *arguments)


def test_the_result_is_one_line_and_the_rest_is_told(comptool, cup):
    """By hand: sea 1, 1, then 3 of 4 (5 1 2 3); roof 1, then 2 of 3 (3 1 2)."""
    result = score(comptool)
    wanted = ((1 + 1 + 3 / 4) / 3 + (1 + 2 / 3) / 2) / 2
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"map  private {wanted:.5f} (5 rows)\n"
    first, second = result.stderr.splitlines()
    assert first.startswith(f"all 5 rows: map {wanted:.5f}, micro-map ")
    assert second == "without a present cell, so left out of map and auc: private 'pier'"
    assert score(comptool, "-q").stderr == ""


def test_the_table_of_classes_has_the_worst_first(comptool, cup):
    result = score(comptool, "--per-class", "classes.csv")
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv("classes.csv")
    assert table["class"].tolist() == ["roof, tiled", "sea", "pier"]
    assert table["average_precision"].tolist()[:2] == pytest.approx([5 / 6, 11 / 12])
    assert table[["present", "absent", "unknown"]].to_numpy().tolist() == [
        [2, 2, 1], [3, 2, 0], [0, 5, 0],
    ]  # fmt: skip
    text = result.stderr.splitlines()
    assert text[2].split() == [
        "class", "average_precision", "roc_area", "precision", "recall", "f1", "present", "absent",
        "unknown",
    ]  # fmt: skip
    assert text[3].split()[:3] == ["roof,", "tiled", "0.8333"]
    assert text[-1] == "left out, without a present cell: 'pier'"
    record = provenance.recall(Path("classes.csv"))
    assert sorted(record.inputs) == ["answers.csv", "s.csv"]
    again = score(comptool, "--per-class", "classes.csv")
    assert (again.exit_code, again.stdout) == (3, "")
    assert score(comptool, "--per-class", "classes.csv", "--force").exit_code == 0


def test_f1_at_thresholds(comptool, cup):
    result = score(comptool, "--thresholds", "0.5,0.25", "--json")
    found = json.loads(result.stdout)
    # At 0.5: sea answers 5, 1, 2; two right of three. Roof answers 3; right, of two.
    assert found["f1"][0]["macro"] == pytest.approx((4 / 6 + 2 / 3 + 0) / 3)
    assert found["f1"][1]["threshold"] == 0.25
    assert found["all"]["macro-f1"] == found["f1"][0]["macro"]
    assert found["left_out"] == {"private": ["pier"]}
    assert found["submission"] == "s.csv"
    lines = result.stderr.splitlines()
    assert lines[2:4] == ["F1", " threshold  macro  micro  samples"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--thresholds", "0.5,high"], "--thresholds must be numbers from 0 to 1 with commas, not "
         "'0.5,high'"),
        (["--metric", "accuracy"], "the metric 'accuracy' is for the task multiclass or ordinal, "),
    ],
)  # fmt: skip
def test_a_mistaken_option_is_named(comptool, cup, arguments, message):
    result = score(comptool, *arguments, "-q")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"comptool score: {message}")


def test_a_table_of_classes_is_for_multi_label_answers(comptool, cup):
    Path("answers.csv").write_text("id,y\n1,a\n2,b\n")
    Path("s.csv").write_text("id,y\n1,a\n2,b\n")
    result = score(comptool, "--per-class", "classes.csv")
    assert (result.exit_code, result.stderr) == (
        2,
        "comptool score: --per-class and --thresholds are for multi-label answers\n",
    )
    assert not Path("classes.csv").exists()


def test_a_zip_as_submit_writes_it_is_graded_too(comptool, cup):
    with zipfile.ZipFile("s.zip", "w") as archive:
        archive.write("s.csv", "results.csv")
    result = comptool("score", "s.zip", "--answers", "answers.csv", "--public", "0")
    assert (result.exit_code, result.stdout) == (0, score(comptool).stdout)


def test_a_dry_run_writes_nothing(comptool, cup):
    result = score(comptool, "--per-class", "classes.csv", "--dry-run")
    assert result.stderr == "would read s.csv and answers.csv; would write classes.csv\n"
    assert not Path("classes.csv").exists()
