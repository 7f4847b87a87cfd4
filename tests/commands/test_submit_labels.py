"""comptool submit where a row may have several classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from comptool.io import provenance

MANY = "image_id,golf course,sea\nq,0.2,0.1\np,0.9,0.6\nr,0.5,0.7\n"


@pytest.fixture
def many(tmp_path) -> None:
    """A competition called cup with three test rows and two classes that may both be present."""
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submissions" / "preds.csv").write_text(MANY)
    (tmp_path / "sample.csv").write_text("image_id,labels\np,\nq,\nr,\n")
    (tmp_path / "comptool.toml").write_text(
        'name = "cup"\ntask = "multilabel"\nmetric = "micro-f1"\n[data]\n'
        'sample-submission = "sample.csv"\nid = "image_id"\nlabel = ["golf course", "sea"]\n'
        '[modalities]\nimage = "{id}.png"\n'
    )


def test_lists_of_a_multi_label_competition(comptool, many):
    result = comptool("submit")
    assert result.exit_code == 0, result.stderr
    assert Path("submissions/cup.csv").read_text() == (
        'image_id,labels\np,"golf course,sea"\nq,""\nr,sea\n'
    )
    assert result.stderr.splitlines()[2:] == [
        "answer form: a list of classes, as the metric micro-f1 reads classes",
        "classes are joined by commas, for 'golf course' hold a blank",
        "classes above 0.5 are answered: no run is known whose out-of-fold rows could say better",
        "warning: no class is above 0.5 in 1 of 3 rows",
        "checked: 3 rows of image_id,labels (a list of classes), ids as wanted",
    ]
    assert comptool("submit", "--check-only", "submissions/cup.csv").exit_code == 0
    result = comptool("submit", "--threshold", "0.05", "--force")
    assert "warning" not in result.stderr
    assert Path("submissions/cup.csv").read_text().count("golf course,sea") == 3
    assert provenance.recall(Path("submissions/cup.csv")).arguments["threshold"] == 0.05


def test_ranks_are_submitted_as_columns_and_never_thresholded(comptool, many):
    Path("other.csv").write_text(MANY.replace("0.9", "0.3"))
    members = ("submissions/preds.csv", "other.csv")
    assert comptool("ensemble", *members, "--method", "rank-mean", "-q").exit_code == 0
    result = comptool("submit", "-q")
    assert result.exit_code == 3
    assert "ensemble.csv: its numbers are ranks among these rows" in result.stderr
    assert "comptool ensemble --method mean" in result.stderr
    Path("sample.csv").write_text("image_id,golf course,sea\np,0,0\nq,0,0\nr,0,0\n")
    assert comptool("submit", "--threshold", "0.5").exit_code == 3
    assert comptool("submit").exit_code == 3
    assert comptool("submit", "--form", "probabilities").exit_code == 0
    again = comptool("ensemble", *members, "--method", "mean", "--force")
    assert again.exit_code == 0
    assert comptool("submit", "--threshold", "0.5", "--force").exit_code == 0


def test_classes_of_another_order_or_fewer_are_refused(comptool, many):
    for text, message in (
        (MANY.replace("golf course,sea", "sea,golf course"), "the same 2 in another order"),
        ("image_id,sea\np,0.9\nq,0.1\nr,0.2\n", "sea against golf course, sea"),
    ):
        Path("submissions/preds.csv").write_text(text)
        result = comptool("submit", "-q")
        assert (result.exit_code, result.stderr) == (
            4,
            "comptool submit: submissions/preds.csv: its classes are not those of the "
            f"competition: {message}\n",
        )


def test_a_sample_that_lacks_a_class_column_is_refused(comptool, many):
    Path("sample.csv").write_text("image_id,sea,pier\np,0,0\nq,0,0\nr,0,0\n")
    result = comptool("submit", "-q")
    assert (result.exit_code, result.stderr) == (
        4,
        "comptool submit: sample.csv: the sample submission asks for 'pier', which is not a class; "
        "it has no column for 'golf course'\n",
    )


@pytest.mark.parametrize(
    ("metric", "written"),
    [("map", "r,0.5,0.7\nq,0.2,0.1\np,0.9,0.6\n"), ("micro-f1", "r,0,1\nq,0,0\np,1,1\n")],
)
def test_a_column_per_class_has_what_the_metric_reads(comptool, many, metric, written):
    Path("sample.csv").write_text("image_id,golf course,sea\nr,0,0\nq,0,0\np,0,0\n")
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace("micro-f1", metric))
    assert comptool("submit").exit_code == 0
    assert Path("submissions/cup.csv").read_text() == f"image_id,golf course,sea\n{written}"
    assert comptool("submit", "--check-only", "submissions/cup.csv").exit_code == 0
