"""The chain on the 826 real pairs of UNICORN, which have defects and no labels."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from comptool.io.predictions import read_predictions
from comptool.io.tables import read_table

RUN = "test_efficientnet-dual"
ROWS = 826


@pytest.fixture
def chain(comptool, real_data, tmp_path):
    """A tiny network of a practice competition, and a caller of commands on the real pairs."""
    (tmp_path / "unicorn").symlink_to(real_data / "unicorn")

    def call(*arguments: object) -> dict:
        result = comptool(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    call("simulate", "mavoc", "-o", "practice", "--scale", "0.001", "-j", "1")
    call("init", "practice")
    call("split", "--balance", "under")
    call("train", "--model", RUN, "--pretrained", "no", "--img-size", "32", "--epochs", "1", "-q")
    # Nothing to train on: the file is written, and the exit code says so.
    assert comptool("init", "unicorn", "-o", "unicorn.toml").exit_code == 3
    return lambda *arguments: call(*arguments, "--competition", "unicorn.toml")


def test_826_real_pairs_become_a_checked_submission(chain, comptool):
    inferred = chain("infer", RUN)
    blank, same = inferred["warnings"]
    assert blank == "2 sar images are all zero: 109488, 199199"
    assert same.startswith("6 groups of pixel-identical sar images: 109488 = 199199, ")
    assert same.count(" = ") == 6

    assert chain("tta", RUN, "--transforms", "flips")["warnings"] == inferred["warnings"]
    for name in ("preds", "preds_tta"):
        # Reading refuses what is no number, is out of range or does not sum to one.
        predictions = read_predictions(Path(f"submissions/{name}.csv"))
        assert len(predictions) == ROWS
        assert predictions.classes == tuple("0123456789")

    kept = chain("pseudolabel", "--quantile", "0.9")["rows"]
    pseudo = read_table(Path("pseudo.csv"))
    assert 0 < kept < ROWS / 2
    assert len(pseudo) == kept
    assert set(pseudo["fold"]) == {"-1"}

    assert comptool("recalibrate", "--top-k-head", "4", "--fraction", "0.1").exit_code == 0
    taken = Counter(read_predictions(Path("submissions/recalibrated.csv")).pred)
    assert [taken[name] for name in "0123"] == [82, 82, 82, 82]
    assert sum(taken.values()) == ROWS

    assert chain("submit", "--zip")["zip"] == "submissions/unicorn.zip"
    checked = chain("submit", "--check-only", "submissions/unicorn.zip")
    assert checked == {"checked": "submissions/unicorn.zip", "rows": ROWS, "form": "label"}
    asked = read_table(Path("unicorn/sample_submission.csv"))
    given = read_table(Path("submissions/unicorn.csv"))
    np.testing.assert_array_equal(given["image_id"], asked["image_id"])
    assert Counter(given["class_id"]) == taken
