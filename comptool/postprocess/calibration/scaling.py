"""Temperature, vector and isotonic scaling, fitted to out-of-fold rows.

Temperature and vector scaling: C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of
Modern Neural Networks", ICML 2017, arXiv 1706.04599, section 4.2. Log-probabilities replace logits,
which differ by a constant per row: a temperature is not affected, vector scaling becomes a slightly
different family. Differs from the paper: vector scaling is regularised towards scale 1 and shift 0,
with the weight of a hundredth of a row, so that the parameters of a class without rows are finite.

Isotonic regression: B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate
multiclass probability estimates", KDD 2002: one class against the rest, then normalised, with
linear interpolation as in scikit-learn. Curves have flat parts, which produce ties; among tied
classes the one that was more probable before is predicted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    LabelledRows,
    logarithms,
)

LARGEST_TEMPERATURE = 50.0
PULL = 0.01
# Weight of the previous probability: breaks ties, and no row sums to 0.
OLD_SHARE = 1e-6


def temperature(context: CalibrationContext) -> Apply:
    """Divide log-probabilities by a temperature fitted to the out-of-fold rows."""
    value = best_temperature(context.rows())

    def apply(probabilities: Floats) -> Answer:
        scaled = scipy.special.softmax(logarithms(probabilities) / value, axis=1)
        # Labels as predicted: rounding may create ties, and a temperature changes no answer.
        return Answer(scaled, probabilities.argmax(axis=1), {"temperature": value})

    return apply


def best_temperature(evidence: LabelledRows) -> float:
    """Temperature, 0.02 to 50, of minimal log-loss; above 1 predictions were overconfident."""
    logs, rows = logarithms(evidence.probabilities), np.arange(len(evidence))

    def loss(temperature: float) -> float:
        return float(
            -scipy.special.log_softmax(logs / temperature, axis=1)[rows, evidence.targets].mean()
        )

    return least_temperature(loss)


def least_temperature(loss: Callable[[float], float]) -> float:
    """Temperature, 0.02 to 50, of minimal ``loss``."""
    bound = np.log(LARGEST_TEMPERATURE)
    found = scipy.optimize.minimize_scalar(
        lambda log_temperature: loss(np.exp(log_temperature)),
        bounds=(-bound, bound),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(found.x))


def vector(context: CalibrationContext) -> Apply:
    """Scale and shift the log-probabilities of each class, fitted to the out-of-fold rows."""
    scales, shifts = best_vector(context.rows())
    facts: dict[str, object] = {"scales": scales.tolist(), "shifts": shifts.tolist()}

    def apply(probabilities: Floats) -> Answer:
        scaled = scipy.special.softmax(logarithms(probabilities) * scales + shifts, axis=1)
        return Answer(scaled, scaled.argmax(axis=1), facts)

    return apply


def best_vector(evidence: LabelledRows) -> tuple[Doubles, Doubles]:
    """Scales and shifts, (K,) each, of minimal log-loss; the problem is convex."""
    logs = logarithms(evidence.probabilities)
    truth = np.zeros(logs.shape)
    truth[np.arange(len(evidence)), evidence.targets] = 1

    def loss(scaled: Doubles) -> tuple[float, Doubles]:
        logs_of_shares = scipy.special.log_softmax(scaled, axis=1)
        return -float((logs_of_shares * truth).sum()), np.exp(logs_of_shares) - truth

    return least_scales(logs, loss)


def least_scales(
    logs: Doubles, loss: Callable[[Doubles], tuple[float, Doubles]], *, least: float = -np.inf
) -> tuple[Doubles, Doubles]:
    """Scales and shifts of columns that minimise a convex ``loss`` given with its gradient."""
    num_rows, num_classes = logs.shape
    start = np.concatenate([np.ones(num_classes), np.zeros(num_classes)])

    def pulled(values: Doubles) -> tuple[float, Doubles]:
        away = values - start
        total, error = loss(logs * values[:num_classes] + values[num_classes:])
        slope = np.concatenate([(error * logs).sum(axis=0), error.sum(axis=0)])
        return (total + PULL * (away @ away) / 2) / num_rows, (slope + PULL * away) / num_rows

    options = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7}
    bounds = [(least, np.inf)] * num_classes + [(-np.inf, np.inf)] * num_classes
    found = scipy.optimize.minimize(
        pulled, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    ).x
    return found[:num_classes], found[num_classes:]


def isotonic(context: CalibrationContext) -> Apply:
    """Fit one curve per class to the out-of-fold rows."""
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
    """Isotonic regression: distinct probabilities, increasing, and the frequency at each."""
    places, which, weights = np.unique(
        probabilities.astype(np.float64), return_inverse=True, return_counts=True
    )
    means = np.bincount(which, weights=truth) / weights
    return places, scipy.optimize.isotonic_regression(means, weights=weights).x
