"""Stages of a long tail as they are typed: each starts from the run before."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

HEADER = ["image_id", "path", "class_id"]
TINY = [
    "--model", "test_efficientnet", "--pretrained", "no", "--img-size", "32", "--epochs", "1",
    "--batch-size", "8", "--workers", "0", "--device", "cpu", "--quiet",
]  # fmt: skip
ONWARD = [part for part in TINY if part not in ("--pretrained", "no")]


@pytest.fixture
def tail(tmp_path, monkeypatch) -> Path:
    """24 rows of class 0, six of 1 and six of 2, in ``train.csv`` of the working directory."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    Path("images").mkdir()
    rows = []
    for index in range(36):
        kind = 0 if index < 24 else 1 + index % 2
        chip = random.integers(0, 90, (32, 32), dtype=np.uint8)
        chip[4 : 8 + 5 * kind] += 100
        cv2.imwrite(f"images/{index}.png", chip)
        rows.append([f"s{index}", f"images/{index}.png", kind])
    with Path("train.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    return tmp_path


def test_three_stages_are_four_commands(tail, comptool):
    runs = {
        "s1": TINY,
        "s2": [*ONWARD, "--init-from", "s1", "--drop-classes", "0"],
        "s3a": [*ONWARD, "--init-from", "s2", "--per-class", "10"],
        "s3b": [*ONWARD, "--init-from", "s3a", "--per-class", "10", "--freeze", "backbone"],
    }
    for name, arguments in runs.items():
        result = comptool("train", *arguments, "--run-name", name, "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["run"] == f"weights/{name}"
    before, after = (load_file(f"weights/{name}/best.safetensors") for name in ("s3a", "s3b"))
    changed = {name for name in before if not (before[name] == after[name]).all()}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert "evidence" not in result.stderr


def test_infer_tells_of_classes_that_a_run_was_trained_without(tail, comptool):
    assert comptool("train", *TINY, "--drop-classes", "0", "--run-name", "part").exit_code == 0
    assert comptool("train", *TINY, "--run-name", "whole").exit_code == 0
    for run, told in {"part": True, "whole": False}.items():
        result = comptool("infer", run, "--test", "train.csv", "-o", f"{run}.csv", "-j", "0")
        assert result.exit_code == 0, result.stderr
        assert ("was trained without 0 (--drop-classes)" in result.stderr) is told


def test_a_stage_says_what_it_leaves_out(tail, comptool):
    said = comptool("train", *TINY[:-1], "--drop-classes", "0", "--per-class", "9", "--dry-run")
    assert said.exit_code == 0
    assert "rows of '0' are left out of training and of the score" in said.stderr
    assert "9 rows of each of 2 classes" in said.stderr
    assert "on 18 rows" in said.stderr
    assert not Path("weights").exists()
