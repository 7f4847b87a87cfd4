"""Isotonic regression per class: a rising step curve from predicted to observed frequency.

B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass probability
estimates", KDD 2002: each class against the rest, then normalised. Between two out-of-fold
probabilities the curve is a straight line, as in scikit-learn. Curves are flat in parts, so that
answers may tie that did not; among tied classes the one that was more probable is answered.
"""

from __future__ import annotations

import numpy as np
import scipy

from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
)

# What is added of the old probability, so that ties are broken and no row is empty.
OLD_SHARE = 1e-6


def isotonic(context: CalibrationContext) -> Apply:
    """Fit one curve per class on the out-of-fold rows."""
    rows = context.rows()
    num_classes = rows.probabilities.shape[1]
    curves = [
        curve(rows.probabilities[:, index], rows.targets == index) for index in range(num_classes)
    ]

    def apply(probabilities: Floats) -> Answer:
        columns = [np.interp(probabilities[:, c], *curves[c]) for c in range(num_classes)]
        fitted = np.stack(columns, axis=1) + OLD_SHARE * probabilities
        fitted /= fitted.sum(axis=1, keepdims=True)
        return Answer(fitted, fitted.argmax(axis=1))

    return apply


def curve(probabilities: Floats, truth: np.ndarray) -> tuple[Doubles, Doubles]:
    """The corners of the rising curve that is nearest to the truth in squares."""
    places, which, weights = np.unique(
        probabilities.astype(np.float64), return_inverse=True, return_counts=True
    )
    means = np.bincount(which, weights=truth) / weights
    return places, scipy.optimize.isotonic_regression(means, weights=weights).x
