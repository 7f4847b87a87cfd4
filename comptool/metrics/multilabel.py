"""Precision, recall and F-scores of multi-label answers: a probability above a threshold.

Targets are integers of shape (N, K): 1 present, 0 absent, -1 unknown; unknown cells count nowhere.
An answer is a probability strictly above its threshold, as a logit above 0 is one above 0.5.
F-beta is van Rijsbergen's (1979): beta times as much weight on recall as on precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.metrics.ranking import Floats, Integers, Targets

Thresholds = float | Floats


@dataclass(frozen=True)
class Counts:
    """Answers by their truth, one number per class, per row, or for all; integers.

    Parameters
    ----------
    right
        Present and answered.
    answered
        Answered, known cells only.
    present
        Present.
    """

    right: Integers
    answered: Integers
    present: Integers

    def precision(self) -> Floats:
        """Share of the answers that are right; 0 without an answer."""
        return _ratio(self.right, self.answered)

    def recall(self) -> Floats:
        """Share of the present cells that are answered; 0 without a present cell."""
        return _ratio(self.right, self.present)

    def f_beta(self, beta: float = 1.0) -> Floats:
        """F-beta; 0 where nothing is present and nothing is answered, as scikit-learn has it."""
        return _ratio((1 + beta**2) * self.right, beta**2 * self.present + self.answered)


def _ratio(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)
    return ratio


def count(
    targets: Targets, probabilities: Floats, threshold: Thresholds = 0.5, axis: int | None = 0
) -> Counts:
    """Count the answers.

    Parameters
    ----------
    targets
        Integers of shape (N, K): 1 present, 0 absent, -1 unknown.
    probabilities
        Floats of shape (N, K).
    threshold
        One for all classes, or one per class, shape (K,).
    axis
        0 to count by class, 1 by row, None all cells together.
    """
    answered = (probabilities > threshold) & (targets != -1)
    present = targets == 1
    return Counts(
        right=np.count_nonzero(answered & present, axis=axis, keepdims=axis is None).ravel(),
        answered=np.count_nonzero(answered, axis=axis, keepdims=axis is None).ravel(),
        present=np.count_nonzero(present, axis=axis, keepdims=axis is None).ravel(),
    )


def macro_f_beta(
    targets: Targets, probabilities: Floats, threshold: Thresholds = 0.5, beta: float = 1.0
) -> float:
    """Mean F-beta over the classes that have a present cell, 0 to 1.

    Raises
    ------
    InputError
        If no class has one.
    """
    counts = count(targets, probabilities, threshold)
    measured = counts.present > 0
    if not measured.any():
        raise InputError("macro F is not defined: no class has a present cell")
    return float(counts.f_beta(beta)[measured].mean())


def micro_f_beta(
    targets: Targets, probabilities: Floats, threshold: Thresholds = 0.5, beta: float = 1.0
) -> float:
    """F-beta of all known cells counted together, 0 to 1."""
    return float(count(targets, probabilities, threshold, axis=None).f_beta(beta)[0])


def sample_f_beta(
    targets: Targets, probabilities: Floats, threshold: Thresholds = 0.5, beta: float = 2.0
) -> float:
    """Mean of F-beta over the rows that have a known cell, 0 to 1.

    A row without a present cell and without an answer counts 0, as in scikit-learn, by which
    organisers grade; a row of which nothing is known counts nowhere.

    Raises
    ------
    InputError
        If every cell is unknown.
    """
    measured = (targets != -1).any(axis=1)
    if not measured.any():
        raise InputError("the F of rows is not defined: every cell is unknown")
    counts = count(targets[measured], probabilities[measured], threshold, axis=1)
    return float(counts.f_beta(beta).mean())


def macro_f1(targets: Targets, probabilities: Floats) -> float:
    """Macro F1 at the threshold 0.5."""
    return macro_f_beta(targets, probabilities)


def micro_f1(targets: Targets, probabilities: Floats) -> float:
    """Micro F1 at the threshold 0.5."""
    return micro_f_beta(targets, probabilities)


def at_thresholds(
    targets: Targets, probabilities: Floats, thresholds: Sequence[float], beta: float = 1.0
) -> list[dict[str, float]]:
    """Macro, micro and sample F-beta at each threshold, by name, with the threshold."""
    return [
        {
            "threshold": threshold,
            "macro": macro_f_beta(targets, probabilities, threshold, beta),
            "micro": micro_f_beta(targets, probabilities, threshold, beta),
            "samples": sample_f_beta(targets, probabilities, threshold, beta),
        }
        for threshold in thresholds
    ]


def log_loss(targets: Targets, probabilities: Floats) -> float:
    """Mean binary cross-entropy over the known cells, natural logarithm.

    Raises
    ------
    InputError
        If every cell is unknown.
    """
    known = targets != -1
    if not known.any():
        raise InputError("logloss is not defined: every cell is unknown")
    of_truth = np.where(targets == 1, probabilities, 1 - probabilities)[known].astype(np.float64)
    smallest = float(np.finfo(np.float64).eps)
    return float(-np.mean(np.log(np.clip(of_truth, smallest, 1))))
