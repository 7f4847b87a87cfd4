"""Confident learning: which rows of a table of one class each are probably labelled wrongly.

Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
Journal of Artificial Intelligence Research 70 (arXiv:1911.00068), section 3.1. A row is counted as
the class whose probability reaches its threshold, the mean probability of that class over the rows
labelled so (equation 2), and of several such classes as the most probable (equation 1). Counts by
label and class are the confident joint; scaled so that each label keeps its number of rows they
estimate how often each label stands for each class (equation 3).

Differs from the paper: a label of which no row is counted as itself counts one, as in the authors'
program, so that equation 3 never divides by zero; a threshold is reached within 1e-6; of equally
probable classes the label's own is counted.

Rows are ranked by `class_doubt`, which is the score of `comptool.evaluation.label_review` for
classes that exclude one another. Against the paper's rankings it is measured in
``benchmarks/class_review.py``.

Probabilities have to be out-of-fold ones: a model repeats the labels that it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.evaluation.label_review import SMALLEST, self_confidences

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

TOLERANCE = 1e-6
UNCOUNTED = -1


def thresholds(labels: Integers, probabilities: Floats) -> Floats:
    """Mean probability of each class over the rows labelled so, shape (K,); 2 without a row.

    Parameters
    ----------
    labels
        Class indices of shape (N,).
    probabilities
        Floats of shape (N, K) in [0, 1].
    """
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    means = self_confidences(_one_hot(labels, probabilities), probabilities)
    # No probability reaches 2: nothing can be counted as a class that no row shows.
    return np.where(counts > 0, means, 2.0)


def confident_classes(labels: Integers, probabilities: Floats) -> Integers:
    """The class that each row is counted as, shape (N,); -1 where none reaches its threshold.

    Of equally probable ones it is that of the label, else the first.

    Parameters
    ----------
    labels
        Class indices of shape (N,).
    probabilities
        Floats of shape (N, K) in [0, 1].
    """
    reached = probabilities >= thresholds(labels, probabilities) - TOLERANCE
    # What is as probable as another class does not speak against its label.
    own = _one_hot(labels, probabilities)
    value = np.where(reached, probabilities, -1.0)
    most = np.where(value == value.max(axis=1, keepdims=True), 1 + own, 0).argmax(axis=1)
    return np.where(reached.any(axis=1), most, UNCOUNTED)


@dataclass(frozen=True)
class ConfidentJoint:
    """How often each label stands for each class.

    Parameters
    ----------
    counts
        Rows by label (row) and by the class that they are counted as (column), shape (K, K).
    label_counts
        Rows of each label, shape (K,).
    """

    counts: npt.NDArray[np.int64]
    label_counts: npt.NDArray[np.int64]

    @property
    def estimated(self) -> Floats:
        """Estimated rows by label and true class, shape (K, K); each row sums to its label's."""
        counts = self.counts.astype(np.float64)
        diagonal = np.maximum(np.diag(counts), self.label_counts > 0)
        np.fill_diagonal(counts, diagonal)
        totals = np.maximum(counts.sum(axis=1), 1)
        scaled: Floats = counts * (self.label_counts / totals)[:, None]
        return scaled

    @property
    def share_of_label(self) -> Floats:
        """Share of the rows of each label (row) that are of each class, shape (K, K)."""
        return _shares(self.estimated, axis=1)

    @property
    def share_of_class(self) -> Floats:
        """Share of the rows of each class (column) that have each label, shape (K, K)."""
        return _shares(self.estimated, axis=0)

    @property
    def wrong(self) -> float:
        """Estimated number of rows whose label is wrong."""
        return float(self.estimated.sum() - np.trace(self.estimated))


def confident_joint(labels: Integers, probabilities: Floats) -> ConfidentJoint:
    """The confident joint of labels and classes.

    Parameters
    ----------
    labels
        Class indices of shape (N,).
    probabilities
        Out-of-fold floats of shape (N, K) in [0, 1].

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1, 1])
    >>> first = np.array([0.9, 0.8, 0.1, 0.2, 0.4])
    >>> joint = confident_joint(labels, np.stack([first, 1 - first], axis=1))
    >>> joint.counts
    array([[2, 1],
           [0, 1]])
    >>> joint.estimated, joint.wrong
    (array([[2., 1.],
           [0., 2.]]), 1.0)
    """
    num_classes = probabilities.shape[1]
    counted = confident_classes(labels, probabilities)
    sure = counted != UNCOUNTED
    cells = np.asarray(labels, np.int64)[sure] * num_classes + counted[sure]
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    return ConfidentJoint(counts, np.bincount(labels, minlength=num_classes))


def class_doubt(labels: Integers, probabilities: Floats) -> tuple[Floats, Integers]:
    """How much each label is doubted, and the class that speaks against it.

    With t the mean probability of each class over the rows labelled so (of all labels over their
    own rows where no row is), the class with the largest p / sqrt(t) of the others stands against
    the label:

        logit score = (log p - log t / 2) of that class - the same of the label

    so that the score lies between 0 and 1 and is above 0.5 where that class wins.

    Parameters
    ----------
    labels
        Class indices of shape (N,).
    probabilities
        Out-of-fold floats of shape (N, K) in [0, 1]; K is 2 or more.

    Returns
    -------
    tuple
        Scores and class indices, both of shape (N,); of equals the first class.
    """
    own = _one_hot(labels, probabilities)
    usual = np.maximum(self_confidences(own, probabilities), SMALLEST)
    adjusted = np.log(np.maximum(probabilities, SMALLEST, dtype=np.float64)) - np.log(usual) / 2
    others = np.where(own == 1, -np.inf, adjusted)
    rival = others.argmax(axis=1)
    places = np.arange(len(labels))
    against = others[places, rival] - adjusted[places, labels]
    scores: Floats = 1 / (1 + np.exp(-against))
    return scores, rival


def _one_hot(labels: Integers, probabilities: Floats) -> npt.NDArray[np.int64]:
    return np.eye(probabilities.shape[1], dtype=np.int64)[labels]


def _shares(estimated: Floats, axis: int) -> Floats:
    totals = estimated.sum(axis=axis, keepdims=True)
    shares: Floats = np.divide(estimated, totals, out=np.zeros_like(estimated), where=totals > 0)
    return shares
