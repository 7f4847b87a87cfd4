"""Rows of a multi-label table that are unlike the others: by their labels alone, without images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from comptool.label_matrix import ABSENT, PRESENT, UNKNOWN, Matrix

# Deviations of a row's number of labels from the median; those of 109,161 real rows reach 2.7.
FAR = 5.0
# Rows that have no label are an error where few have none.
FEW = 0.01
# Of 109,161 real rows 2,000 had one cell turned: of the rows told 94 in 100 are such rows, and of
# these one in four is told (benchmarks/inspection.py).
TIMES = 300
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def far_counts(matrix: Matrix) -> tuple[Integers, Floats]:
    """Rows with far more labels than others, and by how many deviations from the median.

    The deviation is that of the middle half of the rows, or the square root of the median where
    that is larger (counts of rare labels scatter so), and at least one.

    Parameters
    ----------
    matrix
        int8 of shape (N, K); see `comptool.label_matrix`.
    """
    counts = (matrix == PRESENT).sum(axis=1)
    median = float(np.median(counts))
    spread = 1.4826 * float(np.median(np.abs(counts - median)))
    away = (counts - median) / max(spread, median**0.5, 1.0)
    rows = np.flatnonzero(away >= FAR)
    return rows, away[rows]


def rare_empty(matrix: Matrix) -> Integers:
    """Rows without a label and without an unknown cell, if such rows are rare."""
    empty = (matrix == ABSENT).all(axis=1)
    return np.flatnonzero(empty) if empty.mean() < FEW else np.empty(0, np.int64)


def rare_sets(matrix: Matrix) -> tuple[Integers, Integers, Floats]:
    """Rows whose set of labels is rare, and would be frequent if one cell was the other way round.

    If one in 300 rows had the same cell wrong, a set of n rows would make n/300 rows of the set
    beside it. Where that has no more rows, nothing says that it is a set of its own.

    Parameters
    ----------
    matrix
        int8 of shape (N, K); unknown cells are a third value, and are not turned round.

    Returns
    -------
    tuple of numpy.ndarray
        Rows, the column that contradicts the others, and how many times as frequent the set is
        without the contradiction, 300 or more.
    """
    names, first, of_row, counts = np.unique(
        _named(matrix), return_index=True, return_inverse=True, return_counts=True
    )
    best, column = np.zeros(len(names)), np.zeros(len(names), np.int64)
    for place, key in enumerate(_keys(matrix.shape[1])[0]):
        cells = matrix[first, place]
        turned = names + np.where(cells == PRESENT, -key, key)
        at = np.minimum(np.searchsorted(names, turned), len(names) - 1)
        beside = np.where((names[at] == turned) & (cells != UNKNOWN), counts[at], 0)
        times = beside / counts
        column[times > best] = place
        best = np.maximum(best, times)
    rows = np.flatnonzero(best[of_row] >= TIMES)
    return rows, column[of_row[rows]], best[of_row[rows]]


def _keys(columns: int) -> Integers:
    """A random number for each cell that is present, and one for each that is unknown."""
    return np.random.default_rng(0).integers(2**63, size=(2, columns), dtype=np.int64)


def _named(matrix: Matrix) -> Integers:
    """A number for each row's set of labels: the sum of its cells' numbers, which may wrap round.

    One cell turned is one number added or taken away, so that the sets beside one are looked up.
    """
    present, unknown = _keys(matrix.shape[1])
    names: Integers = (matrix == PRESENT) @ present + (matrix == UNKNOWN) @ unknown
    return names


def lost_classes(matrix: Matrix, doubtful: Integers) -> Integers:
    """Classes that some rows have and, doubtful rows aside, none."""
    present = matrix == PRESENT
    total = present.sum(axis=0)
    return np.flatnonzero((total > 0) & (total == present[doubtful].sum(axis=0)))
