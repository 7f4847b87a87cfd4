"""``comptool pseudolabel`` in later rounds: which label wins, what an earlier table has to be."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

NEXT = "image_id,bus,van\n007,0.5,0.5\n1e5,0.01,0.99\nNA,0.98,0.02\nx,0.6,0.4\ny,0.5,0.5\n"


def test_in_a_second_round_the_newest_label_wins_and_the_others_stay(vehicles, put, kept):
    vehicles("pseudolabel")
    put("second.csv", NEXT)
    first = sha256(Path("pseudo.csv").read_bytes()).hexdigest()
    result = vehicles("pseudolabel", "second.csv", "--previous", "pseudo.csv", "--force")
    assert result.exit_code == 0, result.stderr
    assert kept() == {
        "007": ["bus", "0.98", "1"],  # not sure this time
        "1e5": ["van", "0.99", "2"],  # another answer
        "NA": ["bus", "0.98", "2"],  # new
        "x": ["van", "0.97", "1"],
    }
    record = json.loads(Path("pseudo.csv.meta.json").read_text())
    assert record["facts"]["round"] == 2
    assert record["inputs"]["pseudo.csv"] == first  # as read, although it was written over
    vehicles("pseudolabel", "second.csv", "--previous", "pseudo.csv", "-o", "third.csv")
    assert {entry[2] for entry in kept("third.csv").values()} == {"1", "3"}


def test_a_cap_holds_for_all_rounds_together(vehicles, put, kept):
    vehicles("pseudolabel")
    put("second.csv", NEXT)
    vehicles(
        "pseudolabel", "second.csv", "--previous", "pseudo.csv", "--per-class-cap", 1, "--force"
    )
    assert list(kept()) == ["007", "1e5"]


def test_soft_labels_of_an_earlier_round_stay_and_are_needed(vehicles, put):
    vehicles("pseudolabel", "--soft", "-o", "soft.csv")
    vehicles("pseudolabel", "-o", "hard.csv")
    put("second.csv", NEXT)
    vehicles("pseudolabel", "second.csv", "--previous", "soft.csv", "--soft")
    softs = [line.split(",")[-2:] for line in Path("pseudo.csv").read_text().splitlines()[1:]]
    assert softs == [["0.98", "0.02"], ["0.01", "0.99"], ["0.98", "0.02"], ["0.03", "0.97"]]
    result = vehicles("pseudolabel", "second.csv", "--previous", "hard.csv", "--soft", "--force")
    assert result.exit_code == 3
    assert "hard.csv: no column is called 'soft:bus'" in result.stderr


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("z,bus,0.98,1", "row 1, column 'image_id': the id is not in data/test.csv (found 'z')"),
        ("x,car,0.98,1", "row 1, column 'kind': is not a class of the predictions (found 'car')"),
        ("x,bus,1.5,1", "row 1, column 'confidence': is out of range (found '1.5')"),
        ("x,bus,0.98,one", "row 1, column 'round': is out of range (found 'one')"),
    ],
)
def test_an_earlier_round_that_does_not_fit_is_refused(vehicles, row, message, put):
    put("old.csv", f"image_id,kind,confidence,round\n{row}\n")
    result = vehicles("pseudolabel", "--previous", "old.csv")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == f"comptool pseudolabel: old.csv, {message}"
