"""Metrics of one class per row, in numpy.

scikit-learn has all of them and takes two seconds to import, which every command of the chain
would wait for; the tests hold these to its values. Targets are N class indices, probabilities an
(N, K) array, weights (N,) or None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.metrics.metric_registry import Floats, Targets, Weighted, Weights, weighted

Numbers = npt.NDArray[np.number]

# What scikit-learn clips float64 probabilities to; a sure and wrong answer costs 36 and not inf.
SMALLEST = float(np.finfo(np.float64).eps)


@weighted
def accuracy(targets: Targets, probabilities: Floats) -> Weighted:
    """Share of rows whose most probable class is the true one; the first of equals is answered.

    Examples
    --------
    >>> accuracy(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]))
    0.5
    """
    hits = probabilities.argmax(axis=1) == targets
    return lambda weights=None: float(np.average(hits, weights=weights))


@dataclass(frozen=True)
class Confusion:
    """Answers of one class per row, to be counted with other weights each time.

    Parameters
    ----------
    cells
        True class times K plus answered class of each row, shape (N,).
    num_classes
        K.
    """

    cells: npt.NDArray[np.int64]
    num_classes: int

    @classmethod
    def of(cls, targets: Targets, probabilities: Floats) -> Confusion:
        """Of class indices (N,) and probabilities (N, K)."""
        num_classes = probabilities.shape[1]
        cells = np.asarray(targets, np.int64) * num_classes + probabilities.argmax(axis=1)
        return cls(cells, num_classes)

    def matrix(self, weights: Weights | None = None) -> Numbers:
        """Weight of the rows by true class (row) and most probable class (column), (K, K)."""
        found = np.bincount(self.cells, weights=weights, minlength=self.num_classes**2)
        return found.reshape(self.num_classes, self.num_classes)


def confusion_matrix(
    targets: Targets, probabilities: Floats, weights: Weights | None = None
) -> Numbers:
    """Number of rows by true class (row) and most probable class (column), shape (K, K)."""
    return Confusion.of(targets, probabilities).matrix(weights)


def recalls(targets: Targets, probabilities: Floats, weights: Weights | None = None) -> Floats:
    """Share of each class's rows that are answered rightly, shape (K,); NaN without a row."""
    return class_shares(confusion_matrix(targets, probabilities, weights))


def class_shares(confusion: Numbers) -> Floats:
    """Share of each row of a matrix (K, K) that is on the diagonal, (K,); NaN without a row."""
    return _shares(np.diag(confusion), confusion.sum(axis=1))


def _shares(part: Numbers, whole: Numbers) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares


def _mean(values: Floats) -> float:
    return float(values[~np.isnan(values)].mean())


@weighted
def balanced_accuracy(targets: Targets, probabilities: Floats) -> Weighted:
    """Mean over the classes that occur in ``targets`` of the share answered rightly, 0 to 1."""
    rows = Confusion.of(targets, probabilities)
    return lambda weights=None: _mean(class_shares(rows.matrix(weights)))


@weighted
def macro_f1(targets: Targets, probabilities: Floats) -> Weighted:
    """Mean of F1 over the classes that occur in ``targets`` or are answered, 0 to 1."""
    rows = Confusion.of(targets, probabilities)

    def value(weights: Weights | None = None) -> float:
        confusion = rows.matrix(weights)
        both = confusion.sum(axis=0) + confusion.sum(axis=1)
        return _mean(_shares(2 * np.diag(confusion), both))

    return value


@weighted
def kappa(targets: Targets, probabilities: Floats) -> Weighted:
    """Cohen's kappa, (observed - chance agreement) / (1 - chance agreement), -1 to 1.

    Where one class is both the only truth and the only answer, agreement is complete and chance
    explains all of it; the value there is 1 (scikit-learn's is NaN).
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
    """Mean of ``-log p`` of the true class, natural logarithm, rows normalised first."""
    rows = probabilities.astype(np.float64)
    rows = rows / rows.sum(axis=1, keepdims=True)
    true = rows[np.arange(len(targets)), targets]
    losses = -np.log(np.clip(true, SMALLEST, 1 - SMALLEST))
    return lambda weights=None: float(np.average(losses, weights=weights))
