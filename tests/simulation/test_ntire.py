"""A practice NTIRE 2021 as a download: SAR alone, and a head class of four fifths."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.practice import chips as mavoc
from comptool.practice.chips import train_counts_ntire
from comptool.practice.make_practice import make

COUNTS = [802, 28, 20, 20, 20, 20, 20, 20, 20, 20]


@pytest.fixture(scope="module")
def practice(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "ntire"
    said = []
    made = make(
        "ntire", folder, scale=0.001, seed=0, options={"looks": 3}, say=said.append, processes=1,
        quiet=True,
    )  # fmt: skip
    assert said == [f"990 training chips ({', '.join(map(str, COUNTS))}), 60 test"]
    assert made["class_counts"] == {str(kind): count for kind, count in enumerate(COUNTS)}
    assert made["metric"] == "accuracy"
    return folder


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("scale", [0.001, 0.01, 0.03, 0.1, 1])
def test_the_head_class_is_over_four_fifths_at_any_scale(scale):
    head, *tail = train_counts_ntire(scale)
    assert 0.81 <= head / (head + sum(tail)) < 0.811
    assert tail == mavoc.train_counts_mavoc(scale)[1:]


def test_every_row_has_its_chip_and_every_chip_its_row(practice):
    headers = {
        "train.csv": "image_id,sar_path,class_id",
        "test.csv": "image_id,sar_path",
        "answers.csv": "image_id,class_id",
        "sample_submission.csv": "image_id,class_id",
    }
    for name, header in headers.items():
        assert (practice / name).read_text().splitlines()[0] == header
    train, test = rows(practice / "train.csv"), rows(practice / "test.csv")
    listed = {row["sar_path"] for row in train + test}
    assert {str(path.relative_to(practice)) for path in practice.rglob("*.png")} == listed
    assert all(row["sar_path"] == f"train/{row['class_id']}/SAR_{row['image_id']}.png"
               for row in train)  # fmt: skip
    assert [Counter(row["class_id"] for row in train)[str(kind)] for kind in range(10)] == COUNTS
    assert [row["image_id"] for row in rows(practice / "answers.csv")] == [
        row["image_id"] for row in test
    ]


def test_chips_are_grey_squares_of_the_real_sizes(practice):
    chips = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in practice.rglob("*.png")]
    assert {chip.shape for chip in chips} == {(side, side) for side in range(54, 61)}
    assert {chip.dtype for chip in chips} == {np.dtype(np.uint8)}


def test_the_chain_understands_the_folder(practice, comptool):
    assert comptool("init", practice, "-q").exit_code == 0
    facts = Path("comptool.toml").read_text()
    for line in ('metric = "accuracy"', 'id = "image_id"', 'label = "class_id"',
                 'sar = "sar_path"'):  # fmt: skip
        assert line in facts
    assert "answers" not in facts
    assert "eo" not in facts.split("[modalities]")[1]
