"""Metrics of ordered grades, and of decisions with a cost.

A row is answered with its most probable class, the first of ties. Targets are class indices (N,) in
the order of the grades, probabilities (N, K). The kappas are of places in that order, as those of
scikit-learn; ``mae`` and ``rmse`` of the numbers that the grades are, where they are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from comptool.metrics.metric_registry import Floats, Targets, Weighted, Weights, weighted
from comptool.metrics.multiclass import Confusion


def _distances(num_classes: int, values: Floats | None = None) -> npt.NDArray[np.float64]:
    """Distance between true (row) and predicted grade (column), (K, K), by value or place."""
    grade = np.arange(num_classes) if values is None else values
    return np.abs(grade[:, None] - grade).astype(np.float64)


def values_of(classes: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """The numbers that class names are, (K,); None if one is no finite number."""
    try:
        values = np.array([float(name) for name in classes])
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _agreement(targets: Targets, probabilities: Floats, power: int) -> Weighted:
    """Cohen's kappa with disagreements weighted by a power of the distance of the grades."""
    rows = Confusion.of(targets, probabilities)
    penalty = _distances(rows.num_classes) ** power

    def value(weights: Weights | None = None) -> float:
        confusion = rows.matrix(weights)
        by_chance = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / confusion.sum()
        expected = (penalty * by_chance).sum()
        return 1.0 if expected == 0 else float(1 - (penalty * confusion).sum() / expected)

    return value


@weighted
def quadratic_kappa(targets: Targets, probabilities: Floats) -> Weighted:
    """Kappa with quadratic weights, -1 to 1; 1 if one grade is the only truth and prediction.

    Examples
    --------
    >>> quadratic_kappa(np.array([0, 1, 2]), np.eye(3)[[0, 2, 2]])
    0.8
    """
    return _agreement(targets, probabilities, 2)


@weighted
def linear_kappa(targets: Targets, probabilities: Floats) -> Weighted:
    """Kappa with linear weights, -1 to 1; 1 if one grade is the only truth and prediction."""
    return _agreement(targets, probabilities, 1)


@weighted
def expected_cost(targets: Targets, probabilities: Floats, cost: Floats) -> Weighted:
    """Mean cost of the answers; ``cost`` is (K, K): true class by answered class."""
    answered = probabilities.argmax(axis=1)
    costs = np.asarray(cost, np.float64)[targets, answered]
    return lambda weights=None: float(np.average(costs, weights=weights))


@weighted
def mae(targets: Targets, probabilities: Floats, values: Floats | None = None) -> Weighted:
    """Mean distance of the true and the answered grade, by ``values`` (K,), else by place."""
    distances = _distances(probabilities.shape[1], values)
    return expected_cost.prepare(targets, probabilities, distances)


@weighted
def rmse(targets: Targets, probabilities: Floats, values: Floats | None = None) -> Weighted:
    """Root of the mean squared distance; ``values`` as in `mae`."""
    squared = _distances(probabilities.shape[1], values) ** 2
    mean = expected_cost.prepare(targets, probabilities, squared)
    return lambda weights=None: float(np.sqrt(mean(weights)))
