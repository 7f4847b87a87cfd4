"""Rows of a multi-label table that contradict the others.

Runs of adjacent labels, as by filling down: columns are mostly in alphabetical order, so that
neighbouring labels have no relation. The number of runs of r among n labels that occur by chance is
estimated by shuffling the columns, which keeps the co-occurrence of labels. Runs of which at most a
twentieth are by chance are findings (estimated false discovery rate; Storey 2002, "A Direct
Approach to False Discovery Rates", Journal of the Royal Statistical Society B 64).

In a table ordered by theme, related labels do stand together, and runs are not errors. The other
rows show it: if adjacent labels occur together in them more often than by chance, only runs of
unrelated labels are findings.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition import findings
from comptool.competition.samples import Samples
from comptool.tasks.labels import ABSENT, PRESENT, UNKNOWN, Matrix

# Deviations of a row's number of labels from the median; 109,161 real rows reach 2.7.
FAR = 5.0
# Share of rows without a label up to which they are an error.
FEW = 0.01
# With one cell flipped in 2,000 of 109,161 real rows, precision is 94 % and recall one quarter
# (benchmarks/inspection.py).
TIMES = 300
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def far_counts(matrix: Matrix) -> tuple[Integers, Floats]:
    """Rows with far more labels than others, and by how many deviations from the median.

    The deviation is that of the middle half of the rows, or the square root of the median where
    that is larger (counts of rare labels scatter so), and at least one.
    """
    counts = (matrix == PRESENT).sum(axis=1)
    median = float(np.median(counts))
    spread = 1.4826 * float(np.median(np.abs(counts - median)))
    away = (counts - median) / max(spread, median**0.5, 1.0)
    rows = np.flatnonzero(away >= FAR)
    return rows, away[rows]


def rare_empty(matrix: Matrix) -> Integers:
    """Rows with neither labels nor unknown cells, if such rows are rare."""
    empty = (matrix == ABSENT).all(axis=1)
    return np.flatnonzero(empty) if empty.mean() < FEW else np.empty(0, np.int64)


def rare_sets(matrix: Matrix) -> tuple[Integers, Integers, Floats]:
    """Rows with a rare set of labels that would be frequent if one cell were flipped.

    If one in 300 rows had the same cell wrong, a set of n rows would make n/300 rows of the
    neighbouring set; a set that is no larger has no evidence of its own. Unknown cells are not
    flipped.

    Returns the rows, the contradicting column, and how many times more frequent the set is without
    the contradiction (300 or more).
    """
    names, first, of_row, counts = np.unique(
        _named(matrix), return_index=True, return_inverse=True, return_counts=True
    )
    best, column = np.zeros(len(names)), np.zeros(len(names), np.int64)
    for place, key in enumerate(_keys(matrix.shape[1])[0]):
        cells = matrix[first, place]
        turned = names + np.where(cells == PRESENT, -key, key)
        at = np.minimum(np.searchsorted(names, turned), len(names) - 1)
        flipped = np.where((names[at] == turned) & (cells != UNKNOWN), counts[at], 0)
        times = flipped / counts
        column[times > best] = place
        best = np.maximum(best, times)
    rows = np.flatnonzero(best[of_row] >= TIMES)
    return rows, column[of_row[rows]], best[of_row[rows]]


def _keys(columns: int) -> Integers:
    """A random number for each present cell, and one for each unknown cell."""
    return np.random.default_rng(0).integers(2**63, size=(2, columns), dtype=np.int64)


def _named(matrix: Matrix) -> Integers:
    """A number for each set of labels: the sum of the numbers of its cells, with overflow.

    Flipping a cell adds or subtracts one number, so that neighbouring sets can be looked up.
    """
    present, unknown = _keys(matrix.shape[1])
    names: Integers = (matrix == PRESENT) @ present + (matrix == UNKNOWN) @ unknown
    return names


def lost_classes(matrix: Matrix, doubtful: Integers) -> Integers:
    """Classes of which all rows are doubtful."""
    present = matrix == PRESENT
    total = present.sum(axis=0)
    return np.flatnonzero((total > 0) & (total == present[doubtful].sum(axis=0)))


SHUFFLES = 50
MOST_BY_CHANCE = 0.05
TOGETHER = np.log(1.5)  # labels together 1.5 times as often as by chance


def longest_runs(present: npt.NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """The length (0 without labels) and last column of the first longest run of labels of each row.

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
    """Rows with a longest run of labels too long for chance.

    Returns the rows, the first and last column of each run, and the estimated share of such runs
    that are not chance, 0.95 to 1.
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
    """Expected share of chance runs among rows with as many labels and so long a run."""
    counts, columns = present.sum(axis=1), present.shape[1]
    random = np.random.default_rng(0)
    observed = _longer(counts, length, columns)
    # Add one: what did not occur in 50 shuffles may still be possible.
    shuffled = np.ones_like(observed)
    for _ in range(SHUFFLES):
        order = random.permutation(columns)
        shuffled += _longer(counts, longest_runs(present[:, order])[0], columns)
    share: Floats = np.minimum(shuffled / SHUFFLES / np.maximum(observed, 1), 1.0)[counts, length]
    return share


def _longer(counts: Integers, length: Integers, columns: int) -> Floats:
    """Number of rows by their number of labels and a lower bound of their longest run."""
    table = np.zeros((columns + 1, columns + 1))
    np.add.at(table, (counts, length), 1)
    return table[:, ::-1].cumsum(axis=1)[:, ::-1]


def _of_one_theme(
    present: npt.NDArray[np.bool_], doubtful: npt.NDArray[np.bool_], length: Integers, end: Integers
) -> npt.NDArray[np.bool_]:
    """Whether a row has a run of labels that also occur together in the other rows."""
    others = present[~doubtful].astype(np.float64)
    totals = others.sum(axis=0)
    by_chance = np.outer(totals, totals) / len(others)
    lift = np.log((others.T @ others + 0.5) / (by_chance + 0.5))
    themed = np.zeros(len(present), np.bool_)
    if np.diagonal(lift, 1).mean() <= 0:
        return themed
    for last, size in set(zip(end[doubtful].tolist(), length[doubtful].tolist(), strict=True)):
        run = slice(last - size + 1, last + 1)
        # Not the mean: in a run over two themes many pairs are related.
        usual = np.median(lift[run, run][np.triu_indices(size, 1)])
        themed |= (usual > TOGETHER) & (end == last) & (length == size)
    return themed


def label_findings(samples: Samples) -> list[pd.DataFrame]:
    """Rows with runs of labels, far too many, none or an odd set, and lost classes."""
    matrix, classes = _in_columns(samples)
    ids = samples.frame[samples.id].to_numpy(dtype=object)
    counts = (matrix == PRESENT).sum(axis=1)
    runs = np.empty(0, np.int64)
    found = []
    if samples.label is None:
        runs, first, last, share = doubtful_runs(matrix)
        where = {"column": classes[first], "other_column": classes[last]}
        length = last - first + 1
        found.append(
            _rows(findings.LABEL_RUN, ids[runs], **where, value=length, score=share.round(4))
        )
    far, away = far_counts(matrix)
    found.append(_rows(findings.LABEL_COUNT, ids[far], value=counts[far], score=away.round(2)))
    odd, column, times = rare_sets(matrix)
    value = np.where(matrix[odd, column] == PRESENT, "present", "absent")
    where = {"column": classes[column], "other_column": classes[column]}
    found.append(_rows(findings.LABEL_SET, ids[odd], **where, value=value, score=times.round(1)))
    found.append(_rows(findings.NO_LABEL, ids[rare_empty(matrix)]))
    lost = lost_classes(matrix, np.union1d(runs, far))
    marked = (matrix[:, lost] == PRESENT).sum(axis=0)
    found.append(_rows(findings.LOST_LABEL, [""] * len(lost), column=classes[lost], value=marked))
    return found


def _rows(kind: str, ids: Iterable[str], **columns: object) -> pd.DataFrame:
    return findings.made(kind, findings.TRAIN, ids, **columns)


def _in_columns(samples: Samples) -> tuple[Matrix, npt.NDArray[np.object_]]:
    """The cells and classes in the order of the table, not of the sample submission."""
    matrix, classes = samples.label_matrix(), np.array(samples.labels, dtype=object)
    if samples.label is not None:
        return matrix, classes
    places = {str(name): place for place, name in enumerate(samples.frame.columns)}
    order = np.argsort([places[name] for name in samples.labels])
    return matrix[:, order], classes[order]
