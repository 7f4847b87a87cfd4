"""Recalibrations where a row may have several classes, each class by itself.

Its probabilities move along a rising curve that is fitted to out-of-fold cells. Temperature and
scales are those of Guo et al. 2017 (:mod:`.scaling`) upon log-odds, which for one class is
J. Platt's sigmoid (1999); the step curve is that of Zadrozny & Elkan (:mod:`.isotonic`); thresholds
are those of best F-score (:mod:`comptool.postprocess.calibration.thresholds`). Cells that are not
annotated
count nowhere. A class of which no present cell is known, or no absent one, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy

from comptool.postprocess.calibration.context import SMALLEST, Doubles, Floats
from comptool.postprocess.calibration.isotonic import OLD_SHARE, curve
from comptool.postprocess.calibration.scaling import least_scales, least_temperature
from comptool.postprocess.calibration.thresholds import Targets, best_thresholds, to_half
from comptool.tasks.label_matrix import PRESENT, UNKNOWN

# Along this line a class stays as it is.
UNMOVED = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
# Scales of 0 and below would lose or turn the order of the rows.
LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class Fitted:
    """A recalibration that has been fitted."""

    move: Callable[[Floats], Doubles]
    facts: dict[str, object] = field(default_factory=dict)


def nothing(targets: Targets, probabilities: Floats) -> Fitted:
    """The probabilities as they are."""
    return Fitted(lambda given: given.astype(np.float64))


def thresholds(
    targets: Targets, probabilities: Floats, *, average: str = "macro", beta: float = 1.0
) -> Fitted:
    """The threshold of best F-score of each class becomes one half."""
    found = best_thresholds(targets, probabilities, average=average, beta=beta)
    facts = {"average": average, "beta": beta, "thresholds": found.tolist()}
    return Fitted(lambda given: to_half(given, found), facts)


def temperature(targets: Targets, probabilities: Floats) -> Fitted:
    """Divide all log-odds by the number of least log-loss; no answer at one half changes."""
    known = targets != UNKNOWN
    odds = log_odds(probabilities[known])
    against = np.where(targets[known] == PRESENT, -odds, odds)
    value = 1.0  # where nothing is known
    if against.size:
        value = least_temperature(lambda one: float(np.logaddexp(0, against / one).mean()))
    return Fitted(
        lambda given: scipy.special.expit(log_odds(given) / value), {"temperature": value}
    )


def vector(targets: Targets, probabilities: Floats) -> Fitted:
    """Scale and shift the log-odds of each class as is of least log-loss."""
    usable = (targets != UNKNOWN) & _both(targets)
    present = targets == PRESENT

    def loss(scaled: Doubles) -> tuple[float, Doubles]:
        each = np.logaddexp(0, scaled) - present * scaled
        return float(each[usable].sum()), usable * (scipy.special.expit(scaled) - present)

    scales, shifts = least_scales(log_odds(probabilities), loss, least=LEAST_SCALE)
    facts: dict[str, object] = {"scales": scales.tolist(), "shifts": shifts.tolist()}
    return Fitted(lambda given: scipy.special.expit(log_odds(given) * scales + shifts), facts)


def isotonic(targets: Targets, probabilities: Floats) -> Fitted:
    """Move each class along the rising curve that is nearest to the truth in squares."""
    curves = [
        curve(column[truth != UNKNOWN], truth[truth != UNKNOWN] == PRESENT) if both else UNMOVED
        for column, truth, both in zip(probabilities.T, targets.T, _both(targets), strict=True)
    ]

    def move(given: Floats) -> Doubles:
        moved = [np.interp(column, *one) for column, one in zip(given.T, curves, strict=True)]
        # Curves are flat in parts: a little of the old keeps the order of the rows.
        mixed: Doubles = (1 - OLD_SHARE) * np.stack(moved, axis=1) + OLD_SHARE * given
        return mixed

    return Fitted(move)


def log_odds(probabilities: Floats) -> Doubles:
    """log(p / (1 - p)), between -36 and 36."""
    bounded = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    odds: Doubles = scipy.special.logit(bounded)
    return odds


def _both(targets: Targets) -> npt.NDArray[np.bool_]:
    """Classes, shape (K,), of which a present and an absent cell are known."""
    present, known = (targets == PRESENT).sum(axis=0), (targets != UNKNOWN).sum(axis=0)
    both: npt.NDArray[np.bool_] = (present > 0) & (present < known)
    return both
