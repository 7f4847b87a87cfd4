"""Intervals of metrics: the percentile bootstrap over rows, and Jeffreys' of a share of rows.

Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Resamples have as many
rows as the table. This matters for average precision, which is higher for few positive rows: the
interval may lie above the value on a large test set.

A share has the interval of equal tails under H. Jeffreys' prior, Beta(1/2, 1/2), with the end 0 of
a share of 0 and 1 of a share of 1 (L. D. Brown, T. T. Cai, A. DasGupta, "Interval Estimation for a
Binomial Proportion", Statistical Science 16(2), 2001): resamples of rows that are all right are all
right, too. Of shares near 1 on few rows it covers 94 to 98 %, Wilson's interval 90 to 98 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from comptool.errors import InputError
from comptool.io.records import Figure
from comptool.metrics.metric_registry import Floats, Weighted

LEVEL = 0.95
NORMAL = 1.959963984540054  # quantile of a normal interval of that level
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
RESAMPLES = 1000


@dataclass(frozen=True)
class IntervalEstimate:
    """A value and its 95 % interval.

    ``value`` is NaN if undefined; ``low`` and ``high`` are NaN without an interval, or if the value
    is undefined on all resamples.
    """

    value: Figure
    low: Figure
    high: Figure

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "undefined"
        shown = [f"{number:.4f}" for number in (self.value, self.low, self.high)]
        return shown[0] if np.isnan(self.low) else f"{shown[0]} ({shown[1]} to {shown[2]})"

    def alone(self) -> IntervalEstimate:
        """The value without an interval."""
        return IntervalEstimate(self.value, np.nan, np.nan)

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
            ends[:, index] = np.quantile(defined, ENDS)
    return [IntervalEstimate(*map(float, row)) for row in zip(values, *ends, strict=True)]


def share_with_interval(right: float, rows: float) -> IntervalEstimate:
    """A share of independent rows with Jeffreys' interval; NaN of no rows."""
    if not rows:
        return IntervalEstimate(np.nan, np.nan, np.nan)
    # The quantiles by numpy alone, as scipy takes as long to import as all the rest. With the share
    # as the squared sine of an angle, the posterior is this bell of the same width everywhere.
    centre, width = math.asin(math.sqrt((right + 0.5) / (rows + 1))), 0.5 / math.sqrt(rows + 1)
    angles = np.linspace(max(centre - 10 * width, 0), min(centre + 10 * width, math.pi / 2), 5_001)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = 2 * right * np.log(np.sin(angles)) if right else np.zeros_like(angles)
        logs = logs + (2 * (rows - right) * np.log(np.cos(angles)) if right < rows else 0)
    bell = np.exp(logs - logs.max())
    area = np.append(0, np.cumsum(bell[1:] + bell[:-1]))
    low, high = (float(end) for end in np.sin(np.interp(ENDS, area / area[-1], angles)) ** 2)
    return IntervalEstimate(right / rows, low if right else 0.0, high if right < rows else 1.0)


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
