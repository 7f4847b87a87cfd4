"""Rows of a multi-label table in which a run of adjacent columns is marked, as by filling down.

The order of the columns is mostly the alphabet's, so that which labels are neighbours says nothing
about a picture. By chance a row of n labels has a run of r adjacent ones as often as rows of n
labels have one when the columns are shuffled, which keeps what goes with what. Runs of which no
more than a twentieth can be chance are told (an estimated false discovery rate; Storey 2002, "A
Direct Approach to False Discovery Rates", Journal of the Royal Statistical Society B 64).

Where labels that go together do stand together, as in a table ordered by theme, runs are no error.
That is seen from the other rows: if adjacent labels meet in them more often than by chance, only
runs are told whose own labels do not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from comptool.label_matrix import PRESENT, Matrix

SHUFFLES = 50
MOST_BY_CHANCE = 0.05
TOGETHER = np.log(1.5)  # of labels that meet one and a half times as often as by chance
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def longest_runs(present: npt.NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """The length of each row's longest run of present labels, and its last column.

    Parameters
    ----------
    present
        bool of shape (N, K).

    Returns
    -------
    tuple of numpy.ndarray
        Both of shape (N,). Of equal runs the first counts; of a row without labels the length is 0.

    Examples
    --------
    >>> longest_runs(np.array([[1, 1, 0, 1], [0, 0, 0, 0]], bool))
    (array([2, 0]), array([1, 0]))
    """
    length, end, current = (np.zeros(len(present), np.int64) for _ in range(3))
    for column, cells in enumerate(np.ascontiguousarray(present.T)):
        current = (current + 1) * cells
        longer = current > length
        length[longer], end[longer] = current[longer], column
    return length, end


def doubtful_runs(matrix: Matrix) -> tuple[Integers, Integers, Integers, Floats]:
    """Rows whose longest run of labels is longer than chance allows.

    Parameters
    ----------
    matrix
        int8 of shape (N, K); see `comptool.label_matrix`.

    Returns
    -------
    tuple of numpy.ndarray
        Rows, the first and the last column of each run, and the share of rows with as many labels
        and such a run that is not chance, 0.95 to 1.
    """
    present = matrix == PRESENT
    length, end = longest_runs(present)
    chance = _share_by_chance(present, length)
    doubtful = chance <= MOST_BY_CHANCE
    if doubtful.any() and not doubtful.all():
        doubtful &= ~_of_one_theme(present, doubtful, length, end)
    rows = np.flatnonzero(doubtful)
    return rows, (end - length + 1)[rows], end[rows], 1 - chance[rows]


def _share_by_chance(present: npt.NDArray[np.bool_], length: Integers) -> Floats:
    """Of rows with as many labels and a run as long or longer, the share that shuffling gives."""
    counts, columns = present.sum(axis=1), present.shape[1]
    random = np.random.default_rng(0)
    observed = _longer(counts, length, columns)
    # One more than was seen: of what never happened in 50 shuffles nobody knows that it cannot.
    shuffled = np.ones_like(observed)
    for _ in range(SHUFFLES):
        order = random.permutation(columns)
        shuffled += _longer(counts, longest_runs(present[:, order])[0], columns)
    share: Floats = np.minimum(shuffled / SHUFFLES / np.maximum(observed, 1), 1.0)[counts, length]
    return share


def _longer(counts: Integers, length: Integers, columns: int) -> Floats:
    """Rows by their number of labels and the length that their longest run has at least."""
    table = np.zeros((columns + 1, columns + 1))
    np.add.at(table, (counts, length), 1)
    at_least: Floats = table[:, ::-1].cumsum(axis=1)[:, ::-1]
    return at_least


def _of_one_theme(
    present: npt.NDArray[np.bool_],
    doubtful: npt.NDArray[np.bool_],
    length: Integers,
    end: Integers,
) -> npt.NDArray[np.bool_]:
    """Which rows have a run whose labels go together in the rows that nobody doubts, too."""
    others = present[~doubtful].astype(np.float64)
    totals = others.sum(axis=0)
    by_chance = np.outer(totals, totals) / len(others)
    lift = np.log((others.T @ others + 0.5) / (by_chance + 0.5))
    themed = np.zeros(len(present), np.bool_)
    if np.diagonal(lift, 1).mean() <= 0:
        return themed
    for last, size in set(zip(end[doubtful].tolist(), length[doubtful].tolist(), strict=True)):
        run = slice(last - size + 1, last + 1)
        # Not their mean: in a run that is filled down over two themes many pairs go together.
        usual = np.median(lift[run, run][np.triu_indices(size, 1)])
        themed |= (usual > TOGETHER) & (end == last) & (length == size)
    return themed
