"""Percentile bootstrap intervals of metrics, by resampling rows.

Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Resamples have as many
rows as the table. This matters for average precision, which is higher for few positive rows: the
interval may lie above the value on a large test set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from comptool.errors import InputError
from comptool.io.records import Figure
from comptool.metrics.metric_registry import Floats, Weighted

LEVEL = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class IntervalEstimate:
    """A value and its 95 % interval.

    ``value`` is NaN if undefined; ``low`` and ``high`` are NaN without resamples, or if the value
    is undefined on all of them.
    """

    value: Figure
    low: Figure
    high: Figure

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "undefined"
        shown = [f"{number:.4f}" for number in (self.value, self.low, self.high)]
        return shown[0] if np.isnan(self.low) else f"{shown[0]} ({shown[1]} to {shown[2]})"

    def document(self) -> dict[str, float | None]:
        """The value as JSON; None if undefined."""
        named = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(number) else number for name, number in named.items()}


def figures_with_intervals(
    figures: Callable[[Floats], Floats], num_rows: int, resamples: int, seed: int
) -> list[IntervalEstimate]:
    """Values on all rows, each with its interval over resamples of the rows.

    Parameters
    ----------
    figures
        Computes F values from how often each row counts, (N,) -> (F,); NaN if undefined.
    num_rows
        N, 1 or more.
    resamples
        Number of resamples; 0 for no intervals.
    seed
        Random seed.
    """
    values = figures(np.ones(num_rows))
    drawn = np.array([figures(counts) for counts in _resamples(num_rows, resamples, seed)])
    ends = np.full((2, len(values)), np.nan)
    for index in range(len(values)):
        column = drawn[:, index] if resamples else np.empty(0)
        defined = column[~np.isnan(column)]
        if defined.size:
            ends[:, index] = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [IntervalEstimate(*map(float, row)) for row in zip(values, *ends, strict=True)]


def metric_with_interval(
    value: Weighted, num_rows: int, resamples: int, seed: int
) -> IntervalEstimate:
    """A metric on all rows, with its interval over resamples of the rows.

    Parameters
    ----------
    value
        The metric as a function of row weights; a resample with an `InputError` (undefined) is
        skipped.
    num_rows, resamples, seed
        See `figures_with_intervals`.

    Raises
    ------
    InputError
        If the metric is undefined on all rows.
    """
    value()  # raises if undefined
    return figures_with_intervals(
        lambda counts: np.array([value_or_nan(value, counts)]), num_rows, resamples, seed
    )[0]


def value_or_nan(value: Weighted, weights: Floats) -> float:
    """The metric for these row weights; NaN if undefined."""
    try:
        return value(weights)
    except InputError:
        return float("nan")


def _resamples(num_rows: int, number: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    for _ in range(number):
        rows = rng.integers(num_rows, size=num_rows)
        yield np.bincount(rows, minlength=num_rows).astype(np.float64)
