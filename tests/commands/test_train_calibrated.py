"""Calibrated gradients and auxiliary heads as they are typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

ASKED = [
    "--auxiliary-heads",
    "--calibrate-gradients",
    "intra:max",
    "--calibrate-gradients",
    "inter",
]


def test_a_calibrated_run_is_recorded_resumed_and_predicts_as_any_other(rows, comptool, tiny):
    limits = ["--calibration-limits", "0.5,2"]
    trained = comptool("train", *tiny, "--epochs", "1", "--run-name", "x", *ASKED, *limits)
    assert trained.exit_code == 0, trained.stderr
    arguments = json.loads(Path("weights/x/run.json").read_text())["arguments"]
    assert arguments["calibrate_gradients"] == ["intra:max", "inter"]
    assert (arguments["calibration_limits"], arguments["auxiliary_heads"]) == ("0.5,2", True)
    (row,) = csv.DictReader(Path("weights/x/metrics.csv").open())
    assert 0.5 <= float(row["gradient_ratio_sar"]) <= 2
    assert Path("weights/x/gradients.png").exists()

    other = comptool("train", "--run-name", "x", "--resume", "--calibrate-gradients", "intra")
    assert (other.exit_code, other.stdout) == (2, "")
    assert "was begun with --calibrate-gradients intra:max inter" in other.stderr
    again = comptool("train", "--run-name", "x", "--resume", *ASKED, *limits)
    assert again.exit_code == 0, again.stderr

    predicted = comptool("infer", "x", "--test", "train.csv", "-j0", "--device", "cpu")
    assert predicted.exit_code == 0, predicted.stderr
    assert len(Path("submissions/preds.csv").read_text().splitlines()) == 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--calibrate-gradients", "inter"],
            "--calibrate-gradients inter balances objectives, and the model has one; add "
            "--auxiliary-heads, or leave inter out",
        ),
        (
            ["--calibrate-gradients", "intra", "--model", "resnet18", "--modality", "sar"],
            "--calibrate-gradients is for models of several streams, and 'resnet18' has one; try "
            "'resnet18-dual'",
        ),
        (
            ["--calibrate-gradients", "itra"],
            "no gradient calibration is called 'itra'; did you mean 'intra', 'inter' or "
            "'intra:min'?",
        ),
        (
            ["--calibrate-gradients", "intra", "--calibration-limits", "2,3"],
            "factors of gradients are limited to 2 and 3; the smallest has to be above 0 and at "
            "most 1, the largest 1 or more and finite",
        ),
        (
            ["--model-option", "auxiliary_heads=true"],
            "no option of the model 'mobilenetv2-dual' is called 'auxiliary_heads'; did you mean ",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(options, message, rows, comptool):
    result = comptool("train", "-q", "--pretrained", "no", "--device", "cpu", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"comptool train: {message}")
    assert len(result.stderr.splitlines()) == 1
    assert not Path("weights").exists()
