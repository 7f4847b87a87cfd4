"""How far a figure might have been another on other rows: percentile bootstrap intervals.

Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Other rows are as many as
these. Of some figures that matters: average precision of few present rows is above that of many, so
that its interval may lie above what the same predictions would be worth on a large test set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from comptool.errors import InputError
from comptool.metrics.metric_registry import Floats, Weighted

LEVEL = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class IntervalEstimate:
    """A figure and its interval.

    Parameters
    ----------
    value
        On the rows themselves; NaN where it is not defined.
    low, high
        Ends of the 95 % interval; NaN without resamples, or where no resample defines the figure.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "undefined"
        shown = [f"{number:.4f}" for number in (self.value, self.low, self.high)]
        return shown[0] if np.isnan(self.low) else f"{shown[0]} ({shown[1]} to {shown[2]})"

    def document(self) -> dict[str, float | None]:
        """The figure as JSON values; what is not defined is None."""
        named = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(number) else number for name, number in named.items()}


def figures_with_intervals(
    figures: Callable[[Floats], Floats], num_rows: int, resamples: int, seed: int
) -> list[IntervalEstimate]:
    """Figures of all rows, and the interval of each over resamples of the rows.

    Parameters
    ----------
    figures
        Gives F figures of how often each row counts, (N,) -> (F,); NaN where one is not defined.
    num_rows
        N, 1 or more.
    resamples
        How many; 0 for no intervals.
    seed
        Of the draws.
    """
    values = figures(np.ones(num_rows))
    drawn = np.array([figures(counts) for counts in _resamples(num_rows, resamples, seed)])
    ends = np.full((2, len(values)), np.nan)
    for place in range(len(values)):
        column = drawn[:, place] if resamples else np.empty(0)
        defined = column[~np.isnan(column)]
        if defined.size:
            ends[:, place] = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [IntervalEstimate(*map(float, three)) for three in zip(values, *ends, strict=True)]


def metric_with_interval(
    value: Weighted, num_rows: int, resamples: int, seed: int
) -> IntervalEstimate:
    """A metric of all rows, and its interval over resamples of the rows.

    Parameters
    ----------
    value
        The metric as a function of the weights of the rows; an `InputError` where it is not
        defined, as with rows of one class alone, leaves the resample out.
    num_rows, resamples, seed
        As for `figures_with_intervals`.

    Raises
    ------
    InputError
        If it is not defined on all rows.
    """
    value()  # raises where the metric is not defined

    def figure(counts: Floats) -> Floats:
        return np.array([value_or_nan(value, counts)])

    return figures_with_intervals(figure, num_rows, resamples, seed)[0]


def value_or_nan(value: Weighted, weights: Floats) -> float:
    """The metric for these weights of the rows; NaN where it is not defined."""
    try:
        return value(weights)
    except InputError:
        return float("nan")


def _resamples(num_rows: int, number: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    for _ in range(number):
        rows = rng.integers(num_rows, size=num_rows)
        yield np.bincount(rows, minlength=num_rows).astype(np.float64)
