"""Columns scaled until the mean probability of each class is its presumed share.

R. Sinkhorn and P. Knopp, "Concerning nonnegative matrices and doubly stochastic matrices", Pacific
Journal of Mathematics 21(2), 1967. The result is, of all tables whose rows sum to one and whose
columns have the wanted means, the one of least Kullback-Leibler divergence from the predictions:
quotas for probabilities instead of answers. A probability of 0 counts as 1e-12, without which
there may be no such table.
"""

from __future__ import annotations

import numpy as np

from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    answered,
)

ITERATIONS = 2000
TOLERANCE = 1e-9
FLOOR = 1e-12


def sinkhorn(context: CalibrationContext) -> Apply:
    """Scale each test set to the presumed shares."""
    target = context.target_shares()

    def apply(probabilities: Floats) -> Answer:
        scales, gap = column_scales(probabilities, target)
        return answered(np.maximum(probabilities, FLOOR) * scales, largest_gap=gap)

    return apply


def column_scales(probabilities: Floats, target: Doubles) -> tuple[Doubles, float]:
    """Factors of the columns, and the largest distance of a mean from its share."""
    table = np.maximum(probabilities, FLOOR, dtype=np.float64)
    scales = np.ones(table.shape[1])
    gap = np.inf
    for _ in range(ITERATIONS):
        means = scales * (table.T @ (1 / (table @ scales))) / len(table)
        gap = float(np.abs(means - target).max())
        if gap < TOLERANCE:
            break
        scales = scales * target / means
        scales /= scales.max()
    return scales, gap
