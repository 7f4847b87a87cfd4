"""Rules that select pseudo-labels: thresholds, quantiles, caps and balance, per row or per cell.

Rows: D.-H. Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep
Neural Networks" (ICML workshop, 2013); the threshold of 0.96 on the largest softmax probability is
that of "Dual-stream Fusion and Data Augmentation for Imbalanced SAR and EO Multi-modal
Classification" (2023). Quantiles per class follow the class-balanced self-training of Y. Zou et al.
(ECCV 2018, arXiv 1810.07911): a single threshold would leave out rare classes, which are rarely
predicted with confidence.

Cells, image by class: M. N. Rizve, K. Duarte, Y. S. Rawat, M. Shah, "In Defense of Pseudo-Labeling:
An Uncertainty-Aware Pseudo-label Selection Framework for Semi-Supervised Learning" (ICLR 2021,
arXiv 2101.06329), section 3: a class is present above one threshold, absent below a lower one, and
not annotated in between. Differs from the paper: no uncertainty, only the thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import UsageError
from comptool.postprocess.calibration.quota import largest
from comptool.postprocess.pseudo_labels.config import Rule
from comptool.tasks.labels import ABSENT, PRESENT, UNKNOWN, Matrix

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

NONE = -1


def sure(probabilities: Floats, rule: Rule, answers: Indices | None = None) -> Mask:
    """Mask of the rows above the thresholds and the quantile; by default of the likeliest class."""
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
    """Labels after the cap and the balance; removed rows become -1, ties keep the earlier row."""
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

    labels: Matrix  # (N, K): 1 present, 0 absent, -1 not annotated
    round: npt.NDArray[np.int64]  # (N,): latest round that labelled a cell, from 1; 0 without

    def or_else(self, earlier: PseudoCells) -> PseudoCells:
        """These labels, in cells without one the earlier labels."""
        own = self.labels != UNKNOWN
        return PseudoCells(
            np.where(own, self.labels, earlier.labels),
            np.where(own.any(axis=1), self.round, earlier.round),
        )


def bounds(rule: Rule) -> tuple[Bound, Bound]:
    """The thresholds below which a class is absent and above which it is present, or K of each."""
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
    """Labels of cells strictly outside the thresholds; others are -1."""
    lower, upper = bounds(rule)
    labels = np.full(probabilities.shape, UNKNOWN, dtype=np.int8)
    labels[probabilities < lower] = ABSENT
    labels[probabilities > upper] = PRESENT
    return labels


def limited_cells(labels: Matrix, probabilities: Floats, rule: Rule) -> Matrix:
    """Labels after the cap and the balance; removed present cells become -1, not absent."""
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
    """Mean probability of the labels of each row's annotated cells, shape (N,); 0 without one."""
    known = labels != UNKNOWN
    of_label = np.where(labels == PRESENT, probabilities, 1 - probabilities.astype(np.float64))
    sums = np.where(known, of_label, 0.0).sum(axis=1)
    means: npt.NDArray[np.float64] = sums / np.maximum(known.sum(axis=1), 1)
    return means
