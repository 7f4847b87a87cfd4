"""Thresholds per class that are best on out-of-fold rows, for multi-label answers.

An answer is a probability strictly above the threshold of its class, so that of n distinct
probabilities there are n + 1 different sets of answers per class, and one sort counts them all.
F-beta of a class, and so the mean over classes, is best where each class is best by itself. The
F-beta of all cells together is a ratio of two sums over classes: W. Dinkelbach's iteration ("On
nonlinear fractional programming", Management Science 13(7), 1967) finds its exact optimum, a
class at a time for a given ratio, the ratio anew from the thresholds, until it stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import UsageError

Targets = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

AVERAGES = ("macro", "micro")


@dataclass(frozen=True)
class Choices:
    """What every threshold of one class would answer."""

    thresholds: Doubles
    right: Doubles
    answered: Doubles
    present: int


def best_thresholds(
    targets: Targets, probabilities: Floats, *, average: str = "macro", beta: float = 1.0
) -> Doubles:
    """The thresholds of greatest F-beta."""
    if average not in AVERAGES or not beta > 0:
        raise UsageError(f"an F-score is {' or '.join(AVERAGES)}, with beta above 0")
    choices = [_choices(targets[:, c], probabilities[:, c]) for c in range(targets.shape[1])]
    pick = _best_together if average == "micro" else _best_alone
    places = pick(choices, beta**2)
    found = [one.thresholds[place] for one, place in zip(choices, places, strict=True)]
    measured = [average == "micro" or one.present > 0 for one in choices]
    return np.where(measured, found, 0.5)


def to_half(probabilities: Floats, thresholds: Floats) -> Doubles:
    """The probabilities moved so that each class's threshold becomes one half.

    Two straight lines per class, from 0 over (threshold, 0.5) to 1: the order within a class stays,
    and what was above its threshold is above one half.
    """
    bounds = np.clip(thresholds, 0, 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = 0.5 * probabilities / bounds
        above = 0.5 + 0.5 * (probabilities - bounds) / (1 - bounds)
    moved = np.where(probabilities > bounds, above, below)
    moved = np.where(bounds == 0, 0.5 + 0.5 * probabilities, moved)
    # Rounding must not carry an answer over the half, and a threshold below 0 answers zeros too.
    answered = probabilities > thresholds
    least = np.nextafter(0.5, 1)
    return np.where(answered, np.clip(moved, least, 1), np.clip(moved, 0, 0.5))


def _choices(targets: npt.NDArray[np.integer], probabilities: Floats) -> Choices:
    known = targets != -1
    values, present = probabilities[known].astype(np.float64), targets[known] == 1
    order = np.argsort(-values, kind="stable")
    values, present = values[order], present[order]
    # Cells of one probability are answered together: only the last of each is a place to stop.
    last = np.append(values[1:] != values[:-1], True)[: len(values)]
    distinct = values[last]
    return Choices(
        _between(distinct),
        np.append(0.0, np.cumsum(present)[last]),
        np.append(0.0, np.flatnonzero(last) + 1.0),
        int(present.sum()),
    )


def _between(distinct: Doubles) -> Doubles:
    """Thresholds above all, between neighbours, and below all of the falling values."""
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
    there = [one if one.present else _nothing(one) for one in choices]
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


def _nothing(one: Choices) -> Choices:
    return Choices(one.thresholds[:1], one.right[:1], one.answered[:1], 0)
