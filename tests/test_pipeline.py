"""The whole chain as a person types it, from a practice competition to its score."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest

TINY = (
    *("--model", "test_efficientnet-dual", "--pretrained", "no", "--img-size", "32"),
    *("--epochs", "1", "-b", "16", "-j", "0"),
)
CHAIN = (
    ("simulate", "mavoc", "-o", "data", "--scale", "0.001", "-j", "1"),
    ("init", "data", "--name", "cup"),
    ("split", "--balance", "under", "--val", "0.2"),
    ("train", *TINY, "--loss", "focal", "--run-name", "first"),
    ("tta", "--transforms", "flips", "-j", "0"),
    ("pseudolabel", "--quantile", "0.8"),
    ("train", *TINY, "--extra", "pseudo.csv", "--init-from", "first", "--run-name", "second"),
    ("infer", "first", "second", "-j", "0"),
    ("ensemble",),
    ("recalibrate", "--top-k-head", "4", "--fraction", "0.1"),
    ("submit", "--zip"),
    ("submit", "--check-only", "submissions/cup.zip"),
    ("score", "submissions/cup.zip", "--answers", "data/answers.csv", "--json"),
)
# What each command says on standard output: the file that the next one finds by itself.
RESULTS = (
    "data", "comptool.toml", "folds.csv", "weights/first", "submissions/preds_tta.csv",
    "pseudo.csv", "weights/second", "submissions/preds.csv", "submissions/ensemble.csv",
    "submissions/recalibrated.csv", "submissions/cup.zip", "submissions/cup.zip",
)  # fmt: skip


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def said(program) -> list[str]:
    """Standard output of every command of the chain."""
    outputs = []
    for command in CHAIN:
        result = program(*command, "--quiet")
        assert (result.returncode, result.stderr) == (0, ""), (command, result.stderr)
        outputs.append(result.stdout)
    return outputs


def test_a_download_becomes_a_checked_submission_command_by_command(said, tmp_path):
    assert [text.removesuffix("\n") for text in said[:-1]] == list(RESULTS)
    wanted = [row["image_id"] for row in table((tmp_path / "data/test.csv").read_text())]
    for name in ("preds_tta", "preds", "ensemble", "recalibrated", "cup"):
        rows = table((tmp_path / f"submissions/{name}.csv").read_text())
        assert [row["image_id"] for row in rows] == wanted
    pseudo = table((tmp_path / "pseudo.csv").read_text())
    assert {row["fold"] for row in pseudo} == {"-1"}
    assert {row["image_id"] for row in pseudo} < set(wanted)
    with zipfile.ZipFile(tmp_path / "submissions/cup.zip") as archive:
        assert archive.namelist() == ["results.csv"]
        submitted = table(archive.read("results.csv").decode())
    decided = table((tmp_path / "submissions/recalibrated.csv").read_text())
    assert [row["class_id"] for row in submitted] == [row["pred"] for row in decided]
    answers = {
        row["image_id"]: row["class_id"]
        for row in table((tmp_path / "data/answers.csv").read_text())
    }
    hits = sum(answers[row["image_id"]] == row["class_id"] for row in submitted)
    graded = json.loads(said[-1])
    assert hits == pytest.approx(
        graded["public"] * graded["num_public"] + graded["private"] * graded["num_private"]
    )
    trained_on = json.loads((tmp_path / "weights/second/run.json").read_text())["files"]
    assert Path(trained_on["extra"]) == Path("pseudo.csv")
