"""``shift.csv``: how much each row, or bag, looks like the test set, from ``inspect --shift``.

The importance weight of a training row is the ratio of the densities of test and training set at
it, from the probability p of a classifier between the two that has not seen the row: (p / (1 - p))
(n_train / n_test), scaled to a mean of 1 (Bickel, Brückner, Scheffer 2009, "Discriminative Learning
Under Covariate Shift", JMLR 10). Weights above their 99th percentile are cut to it: single rows
would decide otherwise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.findings import TRAIN
from comptool.errors import InputError
from comptool.io.tables import read_table

Floats = npt.NDArray[np.float64]
LIKE_TEST, WEIGHT = "like_test", "weight"
COLUMNS = ("table", "id", LIKE_TEST, WEIGHT)
CUT = 0.99
MEND = "Make it with comptool inspect --shift"


def importance(probability: Floats, num_test: int) -> Floats:
    """Weights of N training rows from their ``probability`` to be of the test set, mean 1; (N,)."""
    odds = probability / np.maximum(1 - probability, 1e-3)
    ratio = odds * len(probability) / num_test
    ratio = np.minimum(ratio, np.quantile(ratio, CUT))
    return np.asarray(ratio / max(float(ratio.mean()), 1e-12))


def effective_rows(weights: Floats) -> float:
    """The number of equally weighted rows with the same variance of a mean, 1 to N (Kish 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def read_weights(path: Path, ids: npt.NDArray[np.object_], table: Path) -> Floats:
    """The importance weights of training rows or bags, (N,), in the order of their ``ids``.

    ``table`` is theirs, for messages.

    Raises
    ------
    InputError
        If the file is not from ``inspect --shift``, or lacks a row.
    """
    known = read_table(path, required=COLUMNS)
    known = known[known["table"] == TRAIN].drop_duplicates("id").set_index("id")
    column = known[WEIGHT]
    lacking = ids[~pd.Index(ids).isin(known.index)].tolist()
    if lacking:
        raise InputError(
            f"{len(lacking)} rows of {table} are not in it", file=path, values=lacking, mend=MEND
        )
    cells = column.loc[ids.tolist()]
    weights = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        what = "a weight is a number from 0"
        raise InputError(what, file=path, column=WEIGHT, values=cells[wrong].tolist(), mend=MEND)
    if not weights.any():
        raise InputError("all weights are 0", file=path, column=WEIGHT, mend=MEND)
    return np.asarray(weights, np.float64)
