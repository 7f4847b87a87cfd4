"""Metrics of the K most probable classes of a row: hit rate, recall and mean average precision.

Of equally probable classes the first in class order is the more probable one, as in `argmax`.
Targets are class indices (N,), or 1, 0 and -1 (unknown) of shape (N, C); unknown cells are ranked
last and count as no label. Rows without a label have no recall and are left out of it, and an
average precision of 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.metrics.metric_registry import Floats, Targets, Weighted, Weights, weighted


def ranks(targets: Targets, probabilities: Floats) -> npt.NDArray[np.int64]:
    """Rank of the true class of each row, from 1, shape (N,)."""
    true = np.take_along_axis(probabilities, targets[:, None], axis=1)
    earlier = np.arange(probabilities.shape[1]) < targets[:, None]
    before = (probabilities > true) | ((probabilities == true) & earlier)
    return np.asarray(1 + np.count_nonzero(before, axis=1))


def hits(targets: Targets, probabilities: Floats, k: int) -> npt.NDArray[np.bool_]:
    """Whether the class at each of the first ``k`` ranks is present, shape (N, k)."""
    ranked = np.where(targets == -1, -np.inf, probabilities)
    first = np.argsort(-ranked, axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(targets, first, axis=1) == 1)


@weighted
def accuracy(targets: Targets, probabilities: Floats, k: int = 1) -> Weighted:
    """Share of rows whose class is among the ``k`` most probable, 0 to 1."""
    found = ranks(targets, probabilities) <= k
    return lambda weights=None: float(np.average(found, weights=weights))


@weighted
def recall(targets: Targets, probabilities: Floats, k: int = 1) -> Weighted:
    """Mean over rows of the share of its labels among the ``k`` most probable classes, 0 to 1.

    For one class per row it is the top-k accuracy.
    """
    if targets.ndim == 1:
        return accuracy.prepare(targets, probabilities, k)
    found = hits(targets, probabilities, k).sum(axis=1)
    labelled = (targets == 1).any(axis=1)
    none = f"recall@{k} is not defined: no row has a label"
    return _mean_of(labelled, found / _labels(targets), none)


@weighted
def average_precision(targets: Targets, probabilities: Floats, k: int = 1) -> Weighted:
    """Mean over rows of the average precision of the ``k`` most probable classes, 0 to 1.

    The precision at each rank that is a hit, summed and divided by the smaller of ``k`` and the
    number of labels; for one class per row it is 1 / rank, or 0 beyond ``k``. A row without a label
    counts 0, as on Kaggle; one without a known cell does not count, and an InputError says that
    there is no other.

    Examples
    --------
    >>> average_precision(np.array([[1, 0, 1]]), np.array([[0.9, 0.5, 0.1]]), k=3)
    0.8333333333333333
    """
    if targets.ndim == 1:
        rank = ranks(targets, probabilities)
        reciprocal = np.where(rank <= k, 1 / rank, 0)
        return lambda weights=None: float(np.average(reciprocal, weights=weights))
    hit = hits(targets, probabilities, k)
    precision = np.cumsum(hit, axis=1) / np.arange(1, hit.shape[1] + 1)
    values = (precision * hit).sum(axis=1) / np.minimum(_labels(targets), k)
    measured = (targets != -1).any(axis=1)
    return _mean_of(measured, values, f"map@{k} is not defined: every cell is unknown")


def _labels(targets: Targets) -> npt.NDArray[np.int64]:
    """Labels of each row, at least 1."""
    return np.asarray(np.maximum(np.count_nonzero(targets == 1, axis=1), 1))


def _mean_of(measured: npt.NDArray[np.bool_], values: Floats, none: str) -> Weighted:
    def value(weights: Weights | None = None) -> float:
        counted = measured if weights is None else measured * weights
        if not counted.any():
            raise InputError(none)
        return float(np.average(values, weights=counted))

    return value
