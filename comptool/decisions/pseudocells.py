"""Which cells, image by class, of multi-label predictions are sure enough to be trained on.

Source: M. N. Rizve, K. Duarte, Y. S. Rawat, M. Shah, "In Defense of Pseudo-Labeling: An
Uncertainty-Aware Pseudo-label Selection Framework for Semi-Supervised Learning" (ICLR 2021, arXiv
2101.06329), section 3: a class is present from one threshold on, absent up to a lower one, and has
no label in between. Differs from the paper: the thresholds stand alone, without its uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.decisions.config import Rule
from comptool.decisions.quotas import largest
from comptool.errors import UsageError
from comptool.label_matrix import ABSENT, PRESENT, UNKNOWN, Matrix

Floats = npt.NDArray[np.floating]
Bound = float | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Multi-label pseudo-labels of the N rows of a test table.

    Parameters
    ----------
    labels
        int8 of shape (N, K): 1 present, 0 absent, -1 not known.
    round
        Integers of shape (N,): the latest round that labelled one of the row's cells, from 1; 0 in
        a row that has none.
    """

    labels: Matrix
    round: npt.NDArray[np.int64]

    def or_else(self, earlier: Cells) -> Cells:
        """These labels and, in cells that have none, the earlier ones."""
        own = self.labels != UNKNOWN
        return Cells(
            np.where(own, self.labels, earlier.labels),
            np.where(own.any(axis=1), self.round, earlier.round),
        )


def bounds(rule: Rule) -> tuple[Bound, Bound]:
    """The probability below which a class is absent, and the one above which it is present.

    They are numbers, or of shape (K,) if each class has its own.

    Raises
    ------
    UsageError
        If the first is above the second, or the rule has a part that is for one class per image.

    Examples
    --------
    >>> bounds(Rule(threshold=0.75)), bounds(Rule(threshold=0.75, lower=0.5))
    ((0.25, 0.75), (0.5, 0.75))
    >>> bounds(Rule(threshold=0.25))
    (0.25, 0.25)
    """
    if rule.quantile is not None:
        raise UsageError(
            "--quantile is for one class per image; multi-label cells take --threshold and --lower"
        )
    if rule.class_thresholds is not None and rule.class_lowers is not None:
        return np.array(rule.class_lowers), np.array(rule.class_thresholds)
    upper = rule.bound
    assert upper is not None
    lower = min(round(1 - upper, 12), upper) if rule.lower is None else rule.lower
    if lower > upper:
        raise UsageError(f"--lower is {lower:g}, above --threshold, which is {upper:g}")
    return lower, upper


def sure_cells(probabilities: Floats, rule: Rule) -> Matrix:
    """The labels of the cells that are sure.

    Parameters
    ----------
    probabilities
        Floats of shape (N, K) in [0, 1].
    rule
        Its cap and balance are not looked at.

    Returns
    -------
    numpy.ndarray
        int8 of shape (N, K): 1 strictly above the threshold, 0 strictly below the lower one, -1 in
        between.

    Examples
    --------
    >>> sure_cells(np.array([[0.97, 0.96, 0.03]]), Rule())
    array([[ 1, -1,  0]], dtype=int8)
    """
    lower, upper = bounds(rule)
    labels = np.full(probabilities.shape, UNKNOWN, dtype=np.int8)
    labels[probabilities < lower] = ABSENT
    labels[probabilities > upper] = PRESENT
    return labels


def limited_cells(labels: Matrix, probabilities: Floats, rule: Rule) -> Matrix:
    """The labels after the cap and the balance of ``rule``.

    Parameters
    ----------
    labels
        int8 of shape (N, K).
    probabilities
        Floats of shape (N, K): of the present cells of a class those with the largest stay.
    rule
        Its thresholds are not looked at.

    Returns
    -------
    numpy.ndarray
        int8 of shape (N, K); present cells that are cut away become -1, for they are not absent.
    """
    counts = (labels == PRESENT).sum(axis=0)
    sizes = [] if rule.per_class_cap is None else [rule.per_class_cap]
    if rule.balance and counts.any():
        sizes.append(int(counts[counts > 0].min()))
    if not sizes:
        return labels
    kept = labels.copy()
    for column in np.flatnonzero(counts > min(sizes)).tolist():
        rows = np.flatnonzero(labels[:, column] == PRESENT)
        kept[rows, column] = UNKNOWN
        kept[rows[largest(probabilities[rows, column], min(sizes))], column] = PRESENT
    return kept


def confidences(labels: Matrix, probabilities: Floats) -> npt.NDArray[np.float64]:
    """Mean over each row's known cells of the probability of the label that it has, shape (N,).

    Rows without a known cell have 0.
    """
    known = labels != UNKNOWN
    of_label = np.where(labels == PRESENT, probabilities, 1 - probabilities.astype(np.float64))
    sums = np.where(known, of_label, 0.0).sum(axis=1)
    means: npt.NDArray[np.float64] = sums / np.maximum(known.sum(axis=1), 1)
    return means
