"""The scripts of submissions/ from their first line to a checked submission."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.io.tables import read_table

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
PRACTICE = {
    "eurosat": {"SCALE": "0.003", "EPOCHS": "2"},
    "three-stage": {"SCALE": "0.001", "EPOCHS": "1", "ROWS": "30"},
}


def run(name: str, folder: Path, **variables: str) -> str:
    """Run a copy of a submission's script in an empty folder; what it says."""
    for file in SUBMISSIONS.joinpath(name).iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(folder / "run.sh")],
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def submitted(said: str, sample: Path) -> list[str]:
    """The answers of the submission that the last line names; its ids are the sample's."""
    told, _, path = said.splitlines()[-1].partition(": ")
    assert told == "checked submission"
    table, wanted = read_table(Path(path)), read_table(sample)
    assert list(table.columns) == list(wanted.columns)
    assert list(table.iloc[:, 0]) == list(wanted.iloc[:, 0])
    return list(table.iloc[:, 1])


@pytest.mark.slow
@pytest.mark.parametrize("name", PRACTICE)
def test_without_data_a_practice_competition_is_submitted(name, tmp_path):
    said = run(name, tmp_path, **PRACTICE[name])
    answers = submitted(said, tmp_path / "practice/data/sample_submission.csv")
    assert set(answers) <= set("0123456789")


@pytest.mark.slow
def test_class_folders_of_eurosat_become_70_15_and_15_percent(tmp_path):
    weights = tomllib.loads((SUBMISSIONS / "eurosat/class-weights.toml").read_text())
    images = tmp_path / "EuroSAT_RGB"
    random = np.random.default_rng(0)
    for number, label in enumerate(weights):
        (images / label).mkdir(parents=True)
        for index in range(60):
            chip = random.integers(25 * number, 25 * number + 20, (16, 16, 3), dtype=np.uint8)
            cv2.imwrite(str(images / label / f"{label}_{index}.jpg"), chip)
    work = tmp_path / "work"
    work.mkdir()
    said = run("eurosat", work, DATA=str(images), MODEL="eurosat-baseline", EPOCHS="4")
    data = work / "real/data"
    folds = read_table(work / "real/folds.csv")["fold"]
    assert [(folds == "-1").sum(), (folds == "0").sum()] == [420, 90]
    answers = read_table(data / "answers.csv")
    assert answers["label"].value_counts().to_dict() == dict.fromkeys(weights, 9)
    given = submitted(said, data / "sample_submission.csv")
    # A few updates tell chips of such brightness apart better than by chance, which is a tenth.
    assert np.mean(np.array(given) == answers["label"].to_numpy()) > 0.3
