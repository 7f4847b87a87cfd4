"""Metrics of predicted numbers.

Targets and predictions are floats of shape (N,), or (N, T) for T targets, over which a metric is
averaged.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.metrics.metric_registry import Floats, Weighted, Weights, weighted

Doubles = npt.NDArray[np.float64]


def _mean_over_targets(
    targets: Floats, predictions: Floats, measure: Callable[[Doubles, Doubles, Doubles], float]
) -> Weighted:
    """The mean of ``measure(truth, predicted, weights)`` of each target, all of shape (N,)."""
    truth, predicted = (
        np.asarray(values, np.float64).reshape(len(targets), -1).T
        for values in (targets, predictions)
    )
    if truth.shape != predicted.shape:
        raise ValueError(f"targets {targets.shape} and predictions {predictions.shape} differ")

    def value(weights: Weights | None = None) -> float:
        counts = np.ones(len(targets)) if weights is None else np.asarray(weights, np.float64)
        pairs = zip(truth, predicted, strict=True)
        return float(np.mean([measure(one, other, counts) for one, other in pairs]))

    return value


@weighted
def rmse(targets: Floats, predictions: Floats) -> Weighted:
    """Root of the mean squared error, in the unit of the target."""
    return _mean_over_targets(
        targets,
        predictions,
        lambda truth, predicted, w: float(np.sqrt(np.average((truth - predicted) ** 2, weights=w))),
    )


@weighted
def mae(targets: Floats, predictions: Floats) -> Weighted:
    """Mean absolute error, in the unit of the target."""
    return _mean_over_targets(
        targets,
        predictions,
        lambda truth, predicted, w: float(np.average(np.abs(truth - predicted), weights=w)),
    )


@weighted
def r2(targets: Floats, predictions: Floats) -> Weighted:
    """Share of the variance that is explained, at most 1; an InputError for constant targets."""
    return _mean_over_targets(targets, predictions, _r2)


def _r2(truth: Doubles, predicted: Doubles, weights: Doubles) -> float:
    _refuse_constant(truth, weights, "r2")
    spread = (weights * (truth - np.average(truth, weights=weights)) ** 2).sum()
    return float(1 - (weights * (truth - predicted) ** 2).sum() / spread)


@weighted
def spearman(targets: Floats, predictions: Floats) -> Weighted:
    """Correlation of the ranks, -1 to 1, ties with their mean rank.

    0 for constant predictions; an InputError for constant targets.
    """
    return _mean_over_targets(targets, predictions, _spearman)


def _spearman(truth: Doubles, predicted: Doubles, weights: Doubles) -> float:
    _refuse_constant(truth, weights, "spearman")
    x, y = (_centred_ranks(values, weights) for values in (truth, predicted))
    spread = np.sqrt((weights * x * x).sum() * (weights * y * y).sum())
    return float((weights * x * y).sum() / spread) if spread > 0 else 0.0


def _centred_ranks(values: Doubles, weights: Doubles) -> Doubles:
    """Mean rank of each value among the weighted rows, minus its weighted mean."""
    distinct, place = np.unique(values, return_inverse=True)
    if np.count_nonzero(np.bincount(place, weights=weights)) < 2:
        return np.zeros(len(values))  # exactly, which differences of large ranks are not
    mass = np.bincount(place, weights=weights, minlength=len(distinct))
    rank = (np.cumsum(mass) - mass / 2)[place]
    return np.asarray(rank - np.average(rank, weights=weights))


def _refuse_constant(truth: Doubles, weights: Doubles, name: str) -> None:
    counted = truth[weights > 0]
    if not counted.size or (counted == counted[0]).all():
        raise InputError(f"{name} is not defined on rows that all have the same target")
