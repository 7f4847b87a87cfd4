"""Temperature and vector scaling of log-probabilities, fitted by the log-loss.

C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML
2017, arXiv 1706.04599, section 4.2. Log-probabilities stand in for logits, from which they differ
by a constant per row: to a temperature that is all the same, while vector scaling of the one is a
slightly different family from that of the other. Vector scaling has a weak pull towards scale 1
and shift 0 here, worth a hundredth of one row, so that a class without rows stays finite.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from comptool.decisions.recalibration.known import (
    Answer,
    Apply,
    Doubles,
    Evidence,
    Floats,
    Known,
    logarithms,
)

LARGEST_TEMPERATURE = 50.0
PULL = 0.01


def temperature(known: Known) -> Apply:
    """Divide log-probabilities by the number that is best on the out-of-fold rows.

    Raises
    ------
    UsageError
        If there are none.
    """
    value = best_temperature(known.rows())

    def apply(probabilities: Floats) -> Answer:
        scaled = softmax(logarithms(probabilities) / value, axis=1)
        # As predicted: rounding may make equal what was not, and no answer changes by design.
        return Answer(scaled, probabilities.argmax(axis=1), {"temperature": value})

    return apply


def best_temperature(evidence: Evidence) -> float:
    """The temperature, 0.02 to 50, of least log-loss; above 1 the predictions were too sure."""
    logs, rows = logarithms(evidence.probabilities), np.arange(len(evidence))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logs / np.exp(log_temperature), axis=1)
        return float(-scaled[rows, evidence.targets].mean())

    bound = np.log(LARGEST_TEMPERATURE)
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def vector(known: Known) -> Apply:
    """Scale and shift the log-probabilities of each class as is best on the out-of-fold rows.

    Raises
    ------
    UsageError
        If there are none.
    """
    scales, shifts = best_vector(known.rows())
    facts: dict[str, object] = {"scales": scales.tolist(), "shifts": shifts.tolist()}

    def apply(probabilities: Floats) -> Answer:
        scaled = softmax(logarithms(probabilities) * scales + shifts, axis=1)
        return Answer(scaled, scaled.argmax(axis=1), facts)

    return apply


def best_vector(evidence: Evidence) -> tuple[Doubles, Doubles]:
    """Scales and shifts of least log-loss, of shape (K,) each; the problem is convex."""
    logs = logarithms(evidence.probabilities)
    num_rows, num_classes = logs.shape
    truth = np.zeros(logs.shape)
    truth[np.arange(num_rows), evidence.targets] = 1
    start = np.concatenate([np.ones(num_classes), np.zeros(num_classes)])

    def loss(values: Doubles) -> tuple[float, Doubles]:
        away = values - start
        scaled = log_softmax(logs * values[:num_classes] + values[num_classes:], axis=1)
        error = (np.exp(scaled) - truth) / num_rows
        slope = np.concatenate([(error * logs).sum(axis=0), error.sum(axis=0)])
        pull = PULL / num_rows
        value = -(scaled * truth).sum() / num_rows + pull * (away @ away) / 2
        return value, slope + pull * away

    options = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return found[:num_classes], found[num_classes:]
