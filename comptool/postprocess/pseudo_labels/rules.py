"""Rules that select pseudo-labels: thresholds, quotas and shares, per row or per cell.

Which predictions are sure enough to be trained on.

Source: D.-H. Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep
Neural Networks" (ICML workshop, 2013); the threshold of 0.96 on the largest softmax probability is
that of "Dual-stream Fusion and Data Augmentation for Imbalanced SAR and EO Multi-modal
Classification" (2023). Quantiles per class in place of one threshold follow the class-balanced
self-training of Y. Zou et al. (ECCV 2018, arXiv 1810.07911): rare classes are rarely sure, and one
threshold for all would leave them out.

Which cells, image by class, of multi-label predictions are sure enough to be trained on.

Source: M. N. Rizve, K. Duarte, Y. S. Rawat, M. Shah, "In Defense of Pseudo-Labeling: An
Uncertainty-Aware Pseudo-label Selection Framework for Semi-Supervised Learning" (ICLR 2021, arXiv
2101.06329), section 3: a class is present from one threshold on, absent up to a lower one, and has
no label in between. Differs from the paper: the thresholds stand alone, without its uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import UsageError
from comptool.postprocess.calibration.quota import largest
from comptool.postprocess.pseudo_labels.config import Rule
from comptool.tasks.label_matrix import ABSENT, PRESENT, UNKNOWN, Matrix

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

NONE = -1


def sure(probabilities: Floats, rule: Rule, answers: Indices | None = None) -> Mask:
    """Rows that pass the threshold and the quantile of ``rule``."""
    if answers is None:
        answers = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(answers)), answers]
    mask = np.ones(len(confidence), dtype=np.bool_)
    if rule.bound is not None:
        mask &= confidence > rule.bound
    if rule.class_thresholds is not None:
        mask &= confidence > np.array(rule.class_thresholds)[answers]
    if rule.quantile is not None:
        for answer in np.unique(answers):
            rows = answers == answer
            mask[rows] &= confidence[rows] >= np.quantile(confidence[rows], rule.quantile)
    return mask


def limited(labels: Indices, confidence: Floats, rule: Rule) -> Indices:
    """The labels after the cap and the balance of ``rule``; rows cut away become -1."""
    sizes = [] if rule.per_class_cap is None else [rule.per_class_cap]
    if rule.balance and (labels != NONE).any():
        sizes.append(int(np.unique(labels[labels != NONE], return_counts=True)[1].min()))
    if not sizes:
        return labels
    kept = np.full_like(labels, NONE)
    for label in np.unique(labels[labels != NONE]):
        rows = np.flatnonzero(labels == label)
        kept[rows[largest(confidence[rows], min(sizes))]] = label
    return kept


Bound = float | npt.NDArray[np.float64]


@dataclass(frozen=True)
class PseudoCells:
    """Multi-label pseudo-labels of the N rows of a test table."""

    labels: Matrix
    round: npt.NDArray[np.int64]

    def or_else(self, earlier: PseudoCells) -> PseudoCells:
        """These labels and, in cells that have none, the earlier ones."""
        own = self.labels != UNKNOWN
        return PseudoCells(
            np.where(own, self.labels, earlier.labels),
            np.where(own.any(axis=1), self.round, earlier.round),
        )


def bounds(rule: Rule) -> tuple[Bound, Bound]:
    """The probability below which a class is absent, and the one above which it is present.

    They are numbers, or of shape (K,) if each class has its own.
    """
    if rule.quantile is not None:
        raise UsageError(
            "--quantile is for one class per image; multi-label cells take --threshold and --lower"
        )
    if rule.class_thresholds is not None and rule.class_lowers is not None:
        return np.array(rule.class_lowers), np.array(rule.class_thresholds)
    upper = rule.bound
    assert upper is not None
    lower = min(round(1 - upper, 12), upper) if rule.lower is None else rule.lower
    if lower > upper:
        raise UsageError(f"--lower is {lower:g}, above --threshold, which is {upper:g}")
    return lower, upper


def sure_cells(probabilities: Floats, rule: Rule) -> Matrix:
    """The labels of the cells that are sure."""
    lower, upper = bounds(rule)
    labels = np.full(probabilities.shape, UNKNOWN, dtype=np.int8)
    labels[probabilities < lower] = ABSENT
    labels[probabilities > upper] = PRESENT
    return labels


def limited_cells(labels: Matrix, probabilities: Floats, rule: Rule) -> Matrix:
    """The labels after the cap and the balance of ``rule``."""
    counts = (labels == PRESENT).sum(axis=0)
    sizes = [] if rule.per_class_cap is None else [rule.per_class_cap]
    if rule.balance and counts.any():
        sizes.append(int(counts[counts > 0].min()))
    if not sizes:
        return labels
    kept = labels.copy()
    for column in np.flatnonzero(counts > min(sizes)).tolist():
        rows = np.flatnonzero(labels[:, column] == PRESENT)
        kept[rows, column] = UNKNOWN
        kept[rows[largest(probabilities[rows, column], min(sizes))], column] = PRESENT
    return kept


def confidences(labels: Matrix, probabilities: Floats) -> npt.NDArray[np.float64]:
    """Mean over each row's known cells of the probability of the label that it has, shape (N,).

    Rows without a known cell have 0.
    """
    known = labels != UNKNOWN
    of_label = np.where(labels == PRESENT, probabilities, 1 - probabilities.astype(np.float64))
    sums = np.where(known, of_label, 0.0).sum(axis=1)
    means: npt.NDArray[np.float64] = sums / np.maximum(known.sum(axis=1), 1)
    return means
