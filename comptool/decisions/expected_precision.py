"""How many pseudo-labels will be right: told by rows whose labels are known.

Of the out-of-fold rows whose confidence is above a threshold, the share that is answered rightly
estimates the precision of pseudo-labels taken above it, if the test rows are drawn as the training
rows were. The interval is C. J. Clopper and E. S. Pearson's (Biometrika 26(4), 1934), which is
never too short. A threshold for a wanted precision is the lowest at which the lower end of the
interval reaches it; looking at many thresholds and taking the one whose estimate looks right would
promise too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from comptool.decisions.ensemble import ANSWERED
from comptool.errors import InputError

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]

LEVEL = 0.95


@dataclass(frozen=True)
class Precision:
    """Share of answers that are right, with an interval.

    Parameters
    ----------
    right, answered
        Counts of out-of-fold answers above the threshold.
    value
        Their ratio, NaN without an answer.
    low, high
        Interval of 95 %; 0 and 1 without an answer.
    """

    right: int
    answered: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not self.answered:
            return "not known: no out-of-fold row is as sure"
        interval = f"({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f} {interval} by {self.answered} out-of-fold answers"

    def brief(self) -> str:
        """Value and interval alone, as in a table."""
        known = f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
        return known if self.answered else "not known"

    def summary(self) -> dict[str, object]:
        """The figures for a record; without an answer there is no value."""
        return {**asdict(self), "value": self.value if self.answered else None}


def precision(right: int, answered: int) -> Precision:
    """Precision by its counts.

    Examples
    --------
    >>> print(precision(98, 100))
    0.980 (0.930 to 0.998) by 100 out-of-fold answers
    """
    low, high = (float(end[0]) for end in _interval(np.array([right]), np.array([answered])))
    return Precision(right, answered, right / answered if answered else float("nan"), low, high)


def threshold_for(confidence: Floats, right: Mask, wanted: float) -> float | None:
    """The lowest threshold whose precision is at least ``wanted`` by the lower end of its interval.

    Parameters
    ----------
    confidence
        Floats of shape (M,) in [0, 1].
    right
        Whether each answer is right, shape (M,).
    wanted
        A precision, 0 to 1.

    Returns
    -------
    float or None
        0 if all answers will do; None if no threshold does.
    """
    order = np.argsort(-confidence, kind="stable")
    values, hits = confidence[order].astype(np.float64), right[order]
    # Rows of one confidence are kept together: only the last of each is a place to stop.
    stops = np.flatnonzero(np.append(values[1:] != values[:-1], True)[: len(values)])
    low, _ = _interval(np.cumsum(hits.astype(np.int64))[stops], stops + 1)
    good = np.flatnonzero(low >= wanted)
    if not good.size:
        return None
    last = int(good[-1])
    return float(values[stops[last + 1]]) if last + 1 < len(stops) else 0.0


def threshold_by_class(
    probabilities: Floats, targets: Indices, wanted: float
) -> list[float | None]:
    """`threshold_for` among the rows that each class is answered for, of K classes.

    Parameters
    ----------
    probabilities
        Floats of shape (M, K).
    targets
        Class indices of shape (M,).
    wanted
        A precision, 0 to 1.
    """
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found = []
    for index in range(probabilities.shape[1]):
        rows = answers == index
        found.append(threshold_for(confidence[rows], targets[rows] == index, wanted))
    return found


def answered(probabilities: Floats, task: str) -> npt.NDArray[Any]:
    """The most probable class of each row, (N,), or which cells are above one half, (N, K)."""
    return probabilities > ANSWERED if task == "multilabel" else probabilities.argmax(axis=1)


def agreeing(answers: npt.NDArray[Any], members: Sequence[Floats], task: str) -> Mask:
    """Rows, of multi-label predictions cells, that all members answer in this way.

    Parameters
    ----------
    answers
        As `answered` gives them.
    members
        Probabilities of shape (N, K) each.
    task
        ``"multiclass"`` or ``"multilabel"``.
    """
    same: Mask = np.all([answered(member, task) == answers for member in members], axis=0)
    return same


def not_reached(wanted: float, confidence: Floats, right: Mask) -> InputError:
    """No threshold gives the wanted precision; says what the surest rows give."""
    if not len(right):
        return InputError("no out-of-fold row says what a threshold promises")
    order = np.argsort(-confidence, kind="stable")
    low, _ = _interval(np.cumsum(right[order].astype(np.int64)), np.arange(1, len(right) + 1))
    best = int(low.argmax())
    return InputError(
        f"no threshold promises a precision of {wanted}: the best is "
        f"{precision(int(right[order[: best + 1]].sum()), best + 1)}",
        mend=f"Ask for at most --precision {np.floor(1000 * low[best]) / 1000:.3f}",
    )


def _interval(right: npt.NDArray[np.integer], answered: Indices) -> tuple[Doubles, Doubles]:
    tail = (1 - LEVEL) / 2
    wrong = answered - right
    low = betaincinv(np.maximum(right, 1), wrong + 1, tail)
    high = betaincinv(right + 1, np.maximum(wrong, 1), 1 - tail)
    return np.where(right > 0, low, 0.0), np.where(wrong > 0, high, 1.0)
