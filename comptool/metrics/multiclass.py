"""Metrics of one class per row, in numpy.

Tested against scikit-learn, which takes two seconds to import. Targets are N class indices,
probabilities an (N, K) array, weights (N,) or None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.metrics.metric_registry import Floats, Targets, Weighted, Weights, weighted

Numbers = npt.NDArray[np.number]

# Clipping of probabilities as in scikit-learn: the largest loss is 36, not infinite.
SMALLEST = float(np.finfo(np.float64).eps)


@weighted
def accuracy(targets: Targets, probabilities: Floats) -> Weighted:
    """Share of rows whose most probable class, the first of ties, is the true one.

    Examples
    --------
    >>> accuracy(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]))
    0.5
    """
    hits = probabilities.argmax(axis=1) == targets
    return lambda weights=None: float(np.average(hits, weights=weights))


@dataclass(frozen=True)
class Confusion:
    """Predictions to count with different row weights.

    ``cells`` is K times the true class plus the predicted class of each row, shape (N,).
    """

    cells: npt.NDArray[np.int64]
    num_classes: int

    @classmethod
    def of(cls, targets: Targets, probabilities: Floats) -> Confusion:
        """From class indices (N,) and probabilities (N, K)."""
        num_classes = probabilities.shape[1]
        cells = np.asarray(targets, np.int64) * num_classes + probabilities.argmax(axis=1)
        return cls(cells, num_classes)

    def matrix(self, weights: Weights | None = None) -> Numbers:
        """Weight of the rows by true class (row) and predicted class (column), (K, K)."""
        counts = np.bincount(self.cells, weights=weights, minlength=self.num_classes**2)
        return counts.reshape(self.num_classes, self.num_classes)


def class_shares(confusion: Numbers) -> Floats:
    """Share of the diagonal in each row of a matrix (K, K), shape (K,); NaN for an empty row."""
    return shares_or_nan(np.diag(confusion), confusion.sum(axis=1))


def shares_or_nan(part: Numbers, whole: Numbers) -> Floats:
    """Ratio of each part, (K,), to its whole; NaN where the whole is 0."""
    shares: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares


def _mean(values: Floats) -> float:
    return float(values[~np.isnan(values)].mean())


@weighted
def balanced_accuracy(targets: Targets, probabilities: Floats) -> Weighted:
    """Mean recall of the classes in ``targets``, 0 to 1."""
    rows = Confusion.of(targets, probabilities)
    return lambda weights=None: _mean(class_shares(rows.matrix(weights)))


@weighted
def macro_f1(targets: Targets, probabilities: Floats) -> Weighted:
    """Mean F1 of the classes that occur in ``targets`` or are predicted, 0 to 1."""
    rows = Confusion.of(targets, probabilities)

    def value(weights: Weights | None = None) -> float:
        confusion = rows.matrix(weights)
        both = confusion.sum(axis=0) + confusion.sum(axis=1)
        return _mean(shares_or_nan(2 * np.diag(confusion), both))

    return value


@weighted
def kappa(targets: Targets, probabilities: Floats) -> Weighted:
    """Cohen's kappa, (observed - chance agreement) / (1 - chance agreement), -1 to 1.

    1 if a single class is both the only truth and the only prediction (NaN in scikit-learn).
    """
    rows = Confusion.of(targets, probabilities)

    def value(weights: Weights | None = None) -> float:
        confusion = rows.matrix(weights)
        total = confusion.sum()
        chance = confusion.sum(axis=0) @ confusion.sum(axis=1) / total**2
        observed = np.trace(confusion) / total
        return 1.0 if chance == 1 else float((observed - chance) / (1 - chance))

    return value


@weighted
def logloss(targets: Targets, probabilities: Floats) -> Weighted:
    """Mean of ``-log p`` of the true class, natural logarithm, after normalising rows."""
    rows = probabilities.astype(np.float64)
    rows = rows / rows.sum(axis=1, keepdims=True)
    true = rows[np.arange(len(targets)), targets]
    losses = -np.log(np.clip(true, SMALLEST, 1 - SMALLEST))
    return lambda weights=None: float(np.average(losses, weights=weights))


@weighted
def weighted_logloss(targets: Targets, probabilities: Floats, class_weights: Floats) -> Weighted:
    """Log-loss in which a row counts as much as its class; ``class_weights`` are (K,)."""
    plain = logloss.prepare(targets, probabilities)
    of_rows = np.asarray(class_weights, np.float64)[targets]

    def value(weights: Weights | None = None) -> float:
        counted = of_rows if weights is None else of_rows * weights
        if not counted.any():
            raise InputError("weighted-logloss is not defined: every row has a class of weight 0")
        return plain(counted)

    return value
