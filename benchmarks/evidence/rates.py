"""Shares of repetitions with their intervals."""

from __future__ import annotations

from scipy.stats import binomtest


def rate(hits: int, of: int) -> list[float]:
    """Share of ``hits`` among ``of`` repetitions, and its Clopper-Pearson interval of 95 %."""
    interval = binomtest(hits, of).proportion_ci(0.95, "exact")
    return [round(number, 3) for number in (hits / of, interval.low, interval.high)]
