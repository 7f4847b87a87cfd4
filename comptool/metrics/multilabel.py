"""Precision, recall and F-scores of multi-label predictions: probabilities above a threshold.

Targets are integers of shape (N, K): 1 present, 0 absent, -1 unknown; unknown cells do not count. A
prediction is a probability strictly above its threshold, as a logit above 0 is one above 0.5.
F-beta is van Rijsbergen's (1979): recall has beta times the weight of precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError, UsageError
from comptool.metrics.metric_registry import Floats, Targets, Weighted, Weights, weighted

Thresholds = float | Floats
Numbers = npt.NDArray[np.number]


@dataclass(frozen=True)
class Counts:
    """Known cells by prediction and truth: one number per class, per row, or for all."""

    right: Numbers  # present and predicted
    answered: Numbers  # predicted
    present: Numbers

    def precision(self) -> Floats:
        """Share of correct predictions; 0 without predictions."""
        return _ratio(self.right, self.answered)

    def recall(self) -> Floats:
        """Share of present cells that are predicted; 0 without present cells."""
        return _ratio(self.right, self.present)

    def f_beta(self, beta: float = 1.0) -> Floats:
        """F-beta; 0 without present and predicted cells, as in scikit-learn."""
        return _ratio((1 + beta**2) * self.right, beta**2 * self.present + self.answered)


def _ratio(part: Numbers, whole: Numbers) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)
    return ratio


@dataclass(frozen=True)
class Answers:
    """Predictions to count with different row weights."""

    answered: npt.NDArray[np.bool_]  # known cells above the threshold, (N, K)
    present: npt.NDArray[np.bool_]  # (N, K)

    @classmethod
    def of(cls, targets: Targets, probabilities: Floats, threshold: Thresholds = 0.5) -> Answers:
        """See :func:`count`."""
        return cls((probabilities > threshold) & (targets != -1), targets == 1)

    def counts(self, weights: Weights | None = None, axis: int | None = 0) -> Counts:
        """Counts by class (axis 0), by row (1) or of all cells (None), with row weights."""
        parts = (self.answered & self.present, self.answered, self.present)
        if weights is None:
            whole = axis is None
            return Counts(*(np.count_nonzero(p, axis=axis, keepdims=whole).ravel() for p in parts))
        if axis == 1:
            return Counts(*(weights * np.count_nonzero(part, axis=1) for part in parts))
        by_class = [weights @ part for part in parts]
        return Counts(*by_class) if axis == 0 else Counts(*(p.sum(keepdims=True) for p in by_class))


def count(
    targets: Targets,
    probabilities: Floats,
    threshold: Thresholds = 0.5,
    axis: int | None = 0,
    weights: Weights | None = None,
) -> Counts:
    """Count predictions.

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
    weights
        Row weights, shape (N,); None: 1.
    """
    return Answers.of(targets, probabilities, threshold).counts(weights, axis)


@weighted
def macro_f_beta(
    targets: Targets,
    probabilities: Floats,
    threshold: Thresholds = 0.5,
    beta: float = 1.0,
) -> Weighted:
    """Mean F-beta over the classes with a known cell, 0 to 1.

    A class without a present cell counts 0, as in scikit-learn with ``zero_division=0``. An
    InputError if no class has a present cell.
    """
    answers = Answers.of(targets, probabilities, threshold)
    known = targets != -1

    def value(weights: Weights | None = None) -> float:
        counts = answers.counts(weights)
        measured = known.any(axis=0) if weights is None else weights @ known > 0
        if not (counts.present > 0).any():
            raise InputError("macro F is not defined: no class has a present cell")
        return float(counts.f_beta(beta)[measured].mean())

    return value


@weighted
def micro_f_beta(
    targets: Targets, probabilities: Floats, threshold: Thresholds = 0.5, beta: float = 1.0
) -> Weighted:
    """F-beta of all known cells together, 0 to 1; an InputError without any."""
    answers = Answers.of(targets, probabilities, threshold)
    measured = (targets != -1).any(axis=1)

    def value(weights: Weights | None = None) -> float:
        if not (measured if weights is None else measured * weights).any():
            raise InputError("the F-score of cells is not defined: every cell is unknown")
        return float(answers.counts(weights, axis=None).f_beta(beta)[0])

    return value


@weighted
def sample_f_beta(
    targets: Targets, probabilities: Floats, threshold: Thresholds = 0.5, beta: float = 2.0
) -> Weighted:
    """Mean F-beta over the rows with a known cell, 0 to 1; an InputError without any.

    A row without present and predicted cells counts 0, as in scikit-learn, which organisers use.
    """
    measured = (targets != -1).any(axis=1)
    values = count(targets[measured], probabilities[measured], threshold, axis=1).f_beta(beta)

    def value(weights: Weights | None = None) -> float:
        counted = None if weights is None else weights[measured]
        if not len(values) or (counted is not None and not counted.any()):
            raise InputError("the F-score of rows is not defined: every cell is unknown")
        return float(np.average(values, weights=counted))

    return value


@weighted
def macro_f1(targets: Targets, probabilities: Floats) -> Weighted:
    """Macro F1 at the threshold 0.5, 0 to 1; see `macro_f_beta`."""
    return macro_f_beta.prepare(targets, probabilities)


def f1_of_classes(
    targets: Targets, probabilities: Floats, weights: Weights | None = None
) -> Floats:
    """F1 of each class at the threshold 0.5, shape (K,); NaN without a known cell."""
    known = (targets != -1).astype(float)
    measured = (known.sum(axis=0) if weights is None else weights @ known) > 0
    scores = count(targets, probabilities, weights=weights).f_beta()
    return np.where(measured, scores, np.nan)


def at_thresholds(
    targets: Targets, probabilities: Floats, thresholds: Sequence[float], beta: float = 1.0
) -> list[dict[str, float]]:
    """Macro, micro and sample F-beta by threshold."""
    measures: dict[str, Callable[..., float]] = {
        "macro": macro_f_beta,
        "micro": micro_f_beta,
        "samples": sample_f_beta,
    }
    return [
        {"threshold": threshold}
        | {
            name: measure(targets, probabilities, threshold=threshold, beta=beta)
            for name, measure in measures.items()
        }
        for threshold in thresholds
    ]


@weighted
def logloss(targets: Targets, probabilities: Floats) -> Weighted:
    """Mean binary cross-entropy, natural logarithm, over known cells; an InputError without any."""
    known = targets != -1
    losses = _cross_entropies(targets, probabilities)

    def value(weights: Weights | None = None) -> float:
        cells = known if weights is None else known * weights[:, None]
        if not cells.any():
            raise InputError("logloss is not defined: every cell is unknown")
        return float(np.average(losses, weights=cells))

    return value


def _cross_entropies(targets: Targets, probabilities: Floats) -> Floats:
    """Loss of each cell, (N, K); of an unknown one as if it was absent."""
    of_truth = np.where(targets == 1, probabilities, 1 - probabilities).astype(np.float64)
    smallest = float(np.finfo(np.float64).eps)
    losses: Floats = -np.log(np.clip(of_truth, smallest, 1))
    return losses


@weighted
def weighted_logloss(
    targets: Targets, probabilities: Floats, class_weights: Floats, positive_weight: float = 1.0
) -> Weighted:
    """Mean over rows of the cross-entropy of the known cells, weighted by class.

    ``class_weights`` are (K,); a present cell counts ``positive_weight`` times as much as an absent
    one. The loss of a row is divided by the sum of its weights, as in the RSNA 2022 cervical spine
    competition; an InputError without a known cell of a class with a weight.
    """
    importance = np.asarray(class_weights, np.float64) * np.where(targets == 1, positive_weight, 1)
    importance = importance * (targets != -1)
    whole = importance.sum(axis=1)
    measured = whole > 0
    sums = (importance * _cross_entropies(targets, probabilities)).sum(axis=1)
    of_rows = _ratio(sums, whole)

    def value(weights: Weights | None = None) -> float:
        counted = measured if weights is None else measured * weights
        if not counted.any():
            raise InputError("weighted-logloss is not defined: every cell is unknown")
        return float(np.average(of_rows, weights=counted))

    return value


@weighted
def probabilistic_f1(
    targets: Targets, probabilities: Floats, positive: int | None = None
) -> Weighted:
    """F1 with probabilities for counts, the mean over the classes with a present cell, 0 to 1.

    Of one class per row, targets (N,), only the class ``positive`` is measured, by default the
    second of two. Yacouby and Axman 2020, doi:10.18653/v1/2020.eval4nlp-1.9; as in the RSNA breast
    cancer competition: 2 * sum of p of present cells / (present cells + sum of all p).
    """
    labels, p = positive_cells(targets, probabilities, positive)
    known = labels != -1
    present = labels == 1
    right, predicted = p * present, p * known

    def value(weights: Weights | None = None) -> float:
        counts = np.ones(len(labels)) if weights is None else weights
        of_classes = Counts(counts @ right, counts @ predicted, counts @ present)
        measured = of_classes.present > 0
        if not measured.any():
            raise InputError("pf1 is not defined: no row is positive")
        return float(of_classes.f_beta()[measured].mean())

    return value


def positive_cells(
    targets: Targets, probabilities: Floats, positive: int | None
) -> tuple[Targets, Floats]:
    """Cells of several labels as they are; of one class per row, those of the positive class.

    Raises
    ------
    UsageError
        If it is one of more than two classes and not named.
    """
    if targets.ndim == 2:
        return targets, probabilities
    num_classes = probabilities.shape[1]
    if positive is None and num_classes != 2:
        raise UsageError(
            f"one of the {num_classes} classes has to be the positive one: "
            "positive-class = NAME in [metric-options]"
        )
    place = num_classes - 1 if positive is None else positive
    return (targets == place).astype(np.int8)[:, None], probabilities[:, place, None]
