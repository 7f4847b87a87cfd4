"""The whole chain with ugly but allowed ids and classes: they come back in the submission."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.io.predictions import read_predictions
from comptool.io.runs import read_header

CLASSES = [
    "a, b",
    'q"q',
    "=1+1",
    "<script>alert(1)</script>",
    "cafe\u0301",
    "caf\u00e9",
    "two\nlines",
]
IDS = [
    "=1+1", "-2", "@x", "\x1b[31mred", "\u202eleft", "\ufeffmark", " blank ", 'q"q', "a,b", "a\rb",
    "a\nb", "007", "1e5", "NA", "cafe\u0301", "caf\u00e9", "\u6771" * 70, "x" * 10_000,
]  # fmt: skip
TINY = ("--model", "test_efficientnet", "--pretrained", "no", "--img-size", "32", "-j", "0")


def write_table(name: str, header: list[str], rows: list[list[str]]) -> None:
    with Path(name).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
        writer.writerows([header, *rows])


@pytest.fixture
def ugly(comptool):
    """A competition of 42 labelled images of seven classes, and 18 test images."""
    random = np.random.default_rng(0)
    Path("data").mkdir()
    for number in range(60):
        chip = random.integers(0, 255, (32, 32), dtype=np.uint8)
        cv2.imwrite(f"data/{number}.png", chip)
    train = [[f"{IDS[n % 18]}#{n}", f"{n}.png", CLASSES[n % 7]] for n in range(42)]
    write_table("data/train.csv", ["id", "path", "y"], train)
    test = [[name, f"{42 + place}.png"] for place, name in enumerate(IDS)]
    write_table("data/test.csv", ["id", "path"], test)
    write_table("data/sample.csv", ["id", "y"], [[name, CLASSES[0]] for name in IDS])
    write_table("data/answers.csv", ["id", "y"], [[n, CLASSES[p % 7]] for p, n in enumerate(IDS)])
    Path("comptool.toml").write_text(
        'task = "multiclass"\nmetric = "accuracy"\n[data]\nfolder = "data"\ntrain = "train.csv"\n'
        'test = "test.csv"\nsample-submission = "sample.csv"\nid = "id"\nlabel = "y"\n'
        '[modalities]\nrgb = "path"\n'
    )
    return comptool


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_every_name_survives_from_the_download_to_the_grade(ugly, suffix):
    preds, joined, called = f"p{suffix}", f"e{suffix}", f"r{suffix}"
    steps = [
        ("split", "--folds", "2"),
        ("train", *TINY, "--epochs", "1", "-b", "8", "--fold", "0", "--run-name", "net"),
        ("infer", "net", "-j", "0", "-o", preds),
        ("ensemble", preds, preds, "-o", joined),
        ("recalibrate", joined, "--top-k-head", "1", "-o", called),
        ("submit", preds, "-o", "s.csv"),
        ("score", "s.csv", "--answers", "data/answers.csv", "--record"),
        ("review", "net"),
        ("evaluate", "net"),
        ("runs",),
    ]  # fmt: skip
    for step in steps:
        result = ugly(*step)
        assert result.exit_code == 0, (step, result.stderr, result.exception)
        assert "\x1b" not in result.stderr and "\u202e" not in result.stderr, step
    classes = read_header(Path("weights/net")).classes
    assert sorted(classes) == sorted(CLASSES)
    for path in (preds, joined, called):
        found = read_predictions(Path(path))
        assert (found.ids.tolist(), list(found.classes)) == (IDS, classes)
    held_out = read_predictions(Path("weights/net/oof.csv"))
    assert set(held_out.ids) < {f"{IDS[n % 18]}#{n}" for n in range(42)}
    with Path("s.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert (header, [row[0] for row in rows]) == (["id", "y"], IDS)
    assert {row[1] for row in rows} <= set(CLASSES)
    assert json.loads(Path(f"{preds}.meta.json").read_text())
    page = Path("review.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
