"""Which predictions are sure enough to be trained on.

Source: D.-H. Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep
Neural Networks" (ICML workshop, 2013); the threshold of 0.96 on the largest softmax probability is
that of "Dual-stream Fusion and Data Augmentation for Imbalanced SAR and EO Multi-modal
Classification" (2023). Quantiles per class in place of one threshold follow the class-balanced
self-training of Y. Zou et al. (ECCV 2018, arXiv 1810.07911): rare classes are rarely sure, and one
threshold for all would leave them out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from comptool.decisions.config import Rule
from comptool.decisions.quotas import largest

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

NONE = -1


def sure(probabilities: Floats, rule: Rule, answers: Indices | None = None) -> Mask:
    """Rows that pass the threshold and the quantile of ``rule``.

    Parameters
    ----------
    probabilities
        Floats of shape (N, K) in [0, 1].
    rule
        Its cap and balance are not looked at.
    answers
        Class indices of shape (N,) where something has decided them; None: the most probable ones.

    Returns
    -------
    numpy.ndarray
        Booleans of shape (N,).

    Examples
    --------
    >>> sure(np.array([[0.96, 0.04], [0.97, 0.03]]), Rule())
    array([False,  True])
    """
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
    """The labels after the cap and the balance of ``rule``; rows cut away become -1.

    Parameters
    ----------
    labels
        Class indices of shape (N,), -1 for a row that is not labelled.
    confidence
        Floats of shape (N,). Of equal ones the lower row is the surer.
    rule
        Its threshold and quantile are not looked at.

    Examples
    --------
    >>> limited(np.array([0, 0, 1, -1]), np.array([0.97, 0.99, 0.98, 0.1]), Rule(balance=True))
    array([-1,  0,  1, -1])
    """
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
