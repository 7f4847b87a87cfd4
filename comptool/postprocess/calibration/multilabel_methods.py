"""Recalibration methods for several labels per image, each class independently.

The probabilities of a class are mapped by an increasing curve fitted to out-of-fold cells.
Temperature and vector scaling (Guo et al. 2017) are applied to log-odds, where scaling one class is
J. Platt's sigmoid (1999); the step curve is that of Zadrozny & Elkan (see :mod:`.scaling`). Cells
that are not annotated are ignored. A class without a known present or a known absent cell is not
changed.

Thresholds: a class is predicted where its probability is strictly above its threshold. n distinct
probabilities give n + 1 sets of predictions, all counted after one sort. The mean F-beta over
classes is maximal where each class is; the F-beta of all cells together is a ratio of two sums over
classes, whose exact maximum W. Dinkelbach's iteration finds ("On nonlinear fractional programming",
Management Science 13(7), 1967): the best thresholds for a given ratio, then the ratio of these
thresholds, until it no longer increases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy

from comptool.errors import UsageError
from comptool.postprocess.calibration.context import SMALLEST, Doubles, Floats
from comptool.postprocess.calibration.scaling import (
    OLD_SHARE,
    curve,
    least_scales,
    least_temperature,
)
from comptool.tasks.labels import PRESENT, UNKNOWN

Targets = npt.NDArray[np.integer]

AVERAGES = ("macro", "micro")
# The identity.
UNMOVED = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
# A scale of 0 or below would not keep the order of the rows.
LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class Fitted:
    """A fitted recalibration, and its parameters for the record."""

    move: Callable[[Floats], Doubles]
    facts: dict[str, object] = field(default_factory=dict)


def nothing(targets: Targets, probabilities: Floats) -> Fitted:
    """The probabilities as predicted."""
    return Fitted(lambda given: given.astype(np.float64))


def thresholds(
    targets: Targets, probabilities: Floats, *, average: str = "macro", beta: float = 1.0
) -> Fitted:
    """Move the threshold of the best F-score of each class to one half."""
    found = best_thresholds(targets, probabilities, average=average, beta=beta)
    facts = {"average": average, "beta": beta, "thresholds": found.tolist()}
    return Fitted(lambda given: to_half(given, found), facts)


def temperature(targets: Targets, probabilities: Floats) -> Fitted:
    """Divide all log-odds by a temperature of minimal log-loss; answers at one half stay."""
    known = targets != UNKNOWN
    odds = log_odds(probabilities[known])
    against = np.where(targets[known] == PRESENT, -odds, odds)
    value = 1.0  # without annotated cells
    if against.size:
        value = least_temperature(lambda one: float(np.logaddexp(0, against / one).mean()))
    return Fitted(
        lambda given: scipy.special.expit(log_odds(given) / value), {"temperature": value}
    )


def vector(targets: Targets, probabilities: Floats) -> Fitted:
    """Scale and shift the log-odds of each class, with minimal log-loss."""
    usable = (targets != UNKNOWN) & _both(targets)
    present = targets == PRESENT

    def loss(scaled: Doubles) -> tuple[float, Doubles]:
        each = np.logaddexp(0, scaled) - present * scaled
        return float(each[usable].sum()), usable * (scipy.special.expit(scaled) - present)

    scales, shifts = least_scales(log_odds(probabilities), loss, least=LEAST_SCALE)
    facts: dict[str, object] = {"scales": scales.tolist(), "shifts": shifts.tolist()}
    return Fitted(lambda given: scipy.special.expit(log_odds(given) * scales + shifts), facts)


def isotonic(targets: Targets, probabilities: Floats) -> Fitted:
    """Map each class by isotonic regression."""
    curves = [
        curve(column[truth != UNKNOWN], truth[truth != UNKNOWN] == PRESENT) if both else UNMOVED
        for column, truth, both in zip(probabilities.T, targets.T, _both(targets), strict=True)
    ]

    def move(given: Floats) -> Doubles:
        moved = [np.interp(column, *one) for column, one in zip(given.T, curves, strict=True)]
        # The previous probability keeps the order of the rows where curves are flat.
        return (1 - OLD_SHARE) * np.stack(moved, axis=1) + OLD_SHARE * given

    return Fitted(move)


def log_odds(probabilities: Floats) -> Doubles:
    """log(p / (1 - p)), between -36 and 36."""
    bounded = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    odds: Doubles = scipy.special.logit(bounded)
    return odds


def _both(targets: Targets) -> npt.NDArray[np.bool_]:
    """Mask of the classes with a known present and a known absent cell, (K,)."""
    present, known = (targets == PRESENT).sum(axis=0), (targets != UNKNOWN).sum(axis=0)
    both: npt.NDArray[np.bool_] = (present > 0) & (present < known)
    return both


@dataclass(frozen=True)
class Choices:
    """Counts of correct and of all positive answers of one class at each threshold."""

    thresholds: Doubles
    right: Doubles
    answered: Doubles
    present: int


def best_thresholds(
    targets: Targets, probabilities: Floats, *, average: str = "macro", beta: float = 1.0
) -> Doubles:
    """Thresholds, (K,), of the greatest F-beta; one half for a class that cannot be measured."""
    if average not in AVERAGES or not beta > 0:
        raise UsageError(f"an F-score is {' or '.join(AVERAGES)}, with beta above 0")
    choices = [_choices(targets[:, c], probabilities[:, c]) for c in range(targets.shape[1])]
    pick = _best_together if average == "micro" else _best_alone
    places = pick(choices, beta**2)
    found = [one.thresholds[place] for one, place in zip(choices, places, strict=True)]
    measured = [average == "micro" or one.present > 0 for one in choices]
    return np.where(measured, found, 0.5)


def to_half(probabilities: Floats, thresholds: Floats) -> Doubles:
    """Probabilities mapped so that each class's threshold becomes one half, keeping the order.

    The map of a class is piecewise linear, from 0 through (threshold, 0.5) to 1.
    """
    bounds = np.clip(thresholds, 0, 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = 0.5 * probabilities / bounds
        above = 0.5 + 0.5 * (probabilities - bounds) / (1 - bounds)
    moved = np.where(probabilities > bounds, above, below)
    moved = np.where(bounds == 0, 0.5 + 0.5 * probabilities, moved)
    # Rounding must not cross one half; with a threshold below 0, zeros are positive too.
    answered = probabilities > thresholds
    least = np.nextafter(0.5, 1)
    return np.where(answered, np.clip(moved, least, 1), np.clip(moved, 0, 0.5))


def _choices(targets: npt.NDArray[np.integer], probabilities: Floats) -> Choices:
    known = targets != -1
    values, present = probabilities[known].astype(np.float64), targets[known] == 1
    order = np.argsort(-values, kind="stable")
    values, present = values[order], present[order]
    # Ties are answered together: only the last cell of each probability can be the end.
    last = np.append(values[1:] != values[:-1], True)[: len(values)]
    distinct = values[last]
    return Choices(
        _between(distinct),
        np.append(0.0, np.cumsum(present)[last]),
        np.append(0.0, np.flatnonzero(last) + 1.0),
        int(present.sum()),
    )


def _between(distinct: Doubles) -> Doubles:
    """Thresholds above, between and below the decreasing values."""
    if not distinct.size:
        return np.array([0.5])
    upper, lower = distinct[:-1], distinct[1:]
    middle = lower + (upper - lower) / 2
    middle = np.where(middle < upper, middle, lower)
    return np.concatenate([distinct[:1], middle, [-1.0]])


def _best_alone(choices: list[Choices], weight: float) -> list[int]:
    return [
        int(((1 + weight) * one.right / (weight * max(one.present, 1) + one.answered)).argmax())
        for one in choices
    ]


def _best_together(choices: list[Choices], weight: float) -> list[int]:
    # No positive answers for a class without a present cell.
    there = [
        one if one.present else Choices(one.thresholds[:1], one.right[:1], one.answered[:1], 0)
        for one in choices
    ]
    present = sum(one.present for one in there)
    ratio, places = -1.0, _best_alone(there, weight)
    while present:
        right = sum(one.right[place] for one, place in zip(there, places, strict=True))
        answered = sum(one.answered[place] for one, place in zip(there, places, strict=True))
        new = (1 + weight) * right / (weight * present + answered)
        if new <= ratio:
            break
        ratio = new
        places = [int(((1 + weight) * one.right - ratio * one.answered).argmax()) for one in there]
    return places
