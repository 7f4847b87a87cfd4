"""A small competition, and commands on a CPU to compare with."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from server import Server

TOML = """
task = "multiclass"
metric = "accuracy"

[data]
train = "folds.csv"
test = "test.csv"
id = "id"
label = "label"

[modalities]
image = "images/{id}.png"
"""
# No batch normalisation, which makes rounding errors of so small batches large.
TRAIN = (
    "train", "--model", "test_vit", "--img-size", "16", "--pretrained", "no", "--augment", "none",
    "--optimizer", "sgd", "--lr", "0.05", "--epochs", "2", "--batch-size", "4", "--fold", "0",
)  # fmt: skip


def write_competition(folder: Path) -> None:
    """24 training and 27 test images of three classes, 16 x 16 pixels."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    rows = []
    for number in range(51):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        pixels[:, :, number % 3] //= 4
        rows.append({"id": f"i{number:02}", "label": "abc"[number % 3]})
        Image.fromarray(pixels).save(folder / "images" / f"i{number:02}.png")
    frame = pd.DataFrame(rows)
    frame[:24].assign(fold=np.arange(24) // 3 % 4).to_csv(folder / "folds.csv", index=False)
    frame[24:][["id"]].to_csv(folder / "test.csv", index=False)
    (folder / "comptool.toml").write_text(TOML)


CPU = Server({**os.environ, "OMP_NUM_THREADS": "1"})
atexit.register(CPU.close)


def on_cpu(*arguments: object, folder: Path | None = None) -> None:
    """Run comptool without a card, in this folder or the current one."""
    code, _, errors = CPU.run(None, [*map(str, arguments)], {}, folder)
    assert code == 0, errors


def probabilities(path: str) -> np.ndarray:
    """The numbers of a prediction file, (rows, 3)."""
    return pd.read_csv(path, index_col="id")[list("abc")].to_numpy()
