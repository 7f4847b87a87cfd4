"""Layouts of real competitions, from the download to the organiser's score."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from layouts import LAYOUTS

TINY = ("--model", "test_efficientnet", "--pretrained", "no", "--img-size", "32", "--epochs", "1",
        "--batch-size", "8", "--workers", "0", "--quiet")  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_download_becomes_a_submission_that_its_organiser_scores_as_we_do(
    name, comptool, tmp_path
):
    layout = LAYOUTS[name]
    if layout.needs:
        pytest.importorskip(layout.needs)
    answers = layout.build(tmp_path / "data")
    answers.to_csv(tmp_path / "answers.csv", index=False)

    def run(*arguments: object):
        done = comptool(*arguments)
        assert done.exit_code == 0, (arguments, done.stderr, done.exception)
        return done

    run("init", "data", "--name", "mine")
    facts = tomllib.loads((tmp_path / "comptool.toml").read_text(encoding="utf-8"))
    assert facts["task"] == layout.task or not layout.task
    assert facts["metric"] == layout.metric
    run("split", "--val", "0.3")
    run("train", *TINY)
    run("infer")
    assert layout.form in run("submit").stderr
    submission = pd.read_csv(tmp_path / "submissions/mine.csv")
    sample = next(tmp_path.glob("data/*ample*ubmission*.csv"))
    assert submission.iloc[:, 0].tolist() == pd.read_csv(sample).iloc[:, 0].tolist()
    scored = run("score", "submissions/mine.csv", "--answers", "answers.csv", "--public", "0",
                 "--json")  # fmt: skip
    ours = json.loads(scored.stdout.splitlines()[-1])["private"]
    assert ours == pytest.approx(layout.grade(submission, answers), abs=1e-6)
