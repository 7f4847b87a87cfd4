"""Class shares that a test set is presumed to have, as a person gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.classes import against
from comptool.errors import InputError, UsageError, quoted
from comptool.tables import read_table, refuse_rows

Doubles = npt.NDArray[np.float64]

UNIFORM, TRAIN = "uniform", "train"
TOLERANCE = 1e-3
LIKE_TRAINING = "as frequent as in training"
EQUALLY = "equally frequent"


def shares_of(
    text: str, classes: Sequence[str], counts: Callable[[], npt.NDArray[np.int64]]
) -> tuple[Doubles, str]:
    """The shares and what they are, in words that follow "the classes are".

    Parameters
    ----------
    text
        ``"uniform"``, ``"train"`` or the path of a table with a class and its share in each row.
    classes
        The K class names.
    counts
        Gives the training images of each class as published; called for ``"train"`` alone.

    Returns
    -------
    numpy.ndarray, str
        Shares of shape (K,), above 0, summing to one.

    Raises
    ------
    UsageError
        If a class has no training image and the training set's shares are asked for.
    InputError
        If the file cannot be used, its classes differ, a share is no number above 0, or the shares
        do not sum to one.
    """
    if text == UNIFORM:
        return np.full(len(classes), 1 / len(classes)), EQUALLY
    if text == TRAIN:
        known = counts()
        absent = [name for name, n in zip(classes, known, strict=True) if n == 0]
        if absent:
            raise UsageError(
                f"the training set has no {quoted(absent)}; give the shares in a file: "
                "--target-prior FILE"
            )
        return known / known.sum(), LIKE_TRAINING
    return _read(Path(text), classes), f"in the shares of {text}"


def _read(path: Path, classes: Sequence[str]) -> Doubles:
    if not path.exists():
        raise InputError(
            "there is no such file of class shares",
            file=path,
            mend="--target-prior takes uniform, train or a table with a class and its share a row",
        )
    table = read_table(path)
    if len(table.columns) < 2:
        raise InputError("a table of shares has two columns, class and share", file=path)
    names, column = table.iloc[:, 0].tolist(), str(table.columns[1])
    if sorted(names) != sorted(classes):
        raise InputError(
            f"its classes are not those of the predictions: {against(names, classes)}", file=path
        )
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    told = "a share is a number above 0; a class that cannot occur is still given a small one"
    refuse_rows(path, table[column], ~(numbers > 0), told)
    if abs(numbers.sum() - 1) > TOLERANCE:
        raise InputError(
            "the shares do not sum to one",
            file=path,
            column=column,
            values=[f"{numbers.sum():.4f}"],
            mend="Divide each by their sum",
        )
    by_name = dict(zip(names, (numbers / numbers.sum()).tolist(), strict=True))
    return np.array([by_name[name] for name in classes])
