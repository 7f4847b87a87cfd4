"""Label rules: rows of a multi-label table that contradict the others.

Rows of a multi-label table in which a run of adjacent columns is marked, as by filling down.

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

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition import findings
from comptool.competition.samples import Samples
from comptool.tasks.label_matrix import ABSENT, PRESENT, UNKNOWN, Matrix

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
        int8 of shape (N, K); see `comptool.tasks.label_matrix`.
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


SHUFFLES = 50
MOST_BY_CHANCE = 0.05
TOGETHER = np.log(1.5)  # of labels that meet one and a half times as often as by chance


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
        int8 of shape (N, K); see `comptool.tasks.label_matrix`.

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


def label_findings(samples: Samples) -> list[pd.DataFrame]:
    """Rows with runs of labels, far too many, none or an odd set, and classes that lost theirs.

    Parameters
    ----------
    samples
        Multi-label samples. Lists of labels have no columns that runs could be seen in.
    """
    matrix, classes = _in_columns(samples)
    ids = samples.frame[samples.id].to_numpy(dtype=object)
    counts = (matrix == PRESENT).sum(axis=1)
    runs = np.empty(0, np.int64)
    found = []
    if samples.label is None:
        runs, first, last, share = doubtful_runs(matrix)
        found.append(
            findings.made(
                findings.LABEL_RUN,
                findings.TRAIN,
                ids[runs],
                column=classes[first],
                other_column=classes[last],
                value=last - first + 1,
                score=share.round(4),
            )
        )
    far, away = far_counts(matrix)
    found.append(_rows(findings.LABEL_COUNT, ids[far], value=counts[far], score=away.round(2)))
    odd, column, times = rare_sets(matrix)
    told = np.where(matrix[odd, column] == PRESENT, "present", "absent")
    where = {"column": classes[column], "other_column": classes[column]}
    found.append(_rows(findings.LABEL_SET, ids[odd], **where, value=told, score=times.round(1)))
    found.append(_rows(findings.NO_LABEL, ids[rare_empty(matrix)]))
    lost = lost_classes(matrix, np.union1d(runs, far))
    marked = (matrix[:, lost] == PRESENT).sum(axis=0)
    found.append(_rows(findings.LOST_LABEL, [""] * len(lost), column=classes[lost], value=marked))
    return found


def _rows(kind: str, ids: Iterable[str], **columns: object) -> pd.DataFrame:
    return findings.made(kind, findings.TRAIN, ids, **columns)


def _in_columns(samples: Samples) -> tuple[Matrix, npt.NDArray[np.object_]]:
    """The cells and classes in the order of the table's columns, not of the sample submission."""
    matrix, classes = samples.label_matrix(), np.array(samples.labels, dtype=object)
    if samples.label is not None:
        return matrix, classes
    places = {str(name): place for place, name in enumerate(samples.frame.columns)}
    order = np.argsort([places[name] for name in samples.labels])
    return matrix[:, order], classes[order]
