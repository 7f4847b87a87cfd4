"""Practice competitions of vehicles for the benchmarks: a small training set, a full test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from program import comptool


def practice(folder: Path, name: str, scale: float, seed: int, counts: Sequence[int]) -> None:
    """A competition in ``folder/data``, and ``answers.csv`` in ``folder``.

    Of the training rows of class 0, 1, ... the table keeps as many as ``counts`` says.
    """
    comptool(folder, "simulate", name, "-o", "data", "--scale", scale, "--seed", seed, "-j", 1)
    (folder / "data" / "answers.csv").rename(folder / "answers.csv")
    path = folder / "data" / "train.csv"
    table = pd.read_csv(path, dtype=str)
    kept = table["class_id"].map({str(kind): count for kind, count in enumerate(counts)})
    table[table.groupby("class_id").cumcount() < kept].to_csv(path, index=False)
