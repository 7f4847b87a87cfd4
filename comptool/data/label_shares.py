"""How well a split of a multi-label table keeps the class shares.

The criterion is the one of the winning AICOSS 2023 entry (source B of the toolkit): for each class
the share of positive rows in training less that in validation, in percentage points; then their
population standard deviation over the classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from comptool.data.label_units import Floats, Mask, Units


def share_differences(units: Units, validated: Mask) -> Floats:
    """Share in training less share in validation, of every class, for many splits at once.

    Unknown cells count on neither side. A side without a known cell of a class counts as share 0.

    Parameters
    ----------
    units
        U rows or groups of C classes.
    validated
        Which units each of S splits validates, shape (S, U); the others are trained on.

    Returns
    -------
    numpy.ndarray
        Percentage points, float64 of shape (S, C).
    """
    masks = validated.astype(np.float32)
    # Whole numbers below 2^24: float32 sums are exact in any order.
    inside = (masks @ units.positives).astype(np.float64)
    everywhere = np.ones(len(units), dtype=np.float32)
    outside = (everywhere @ units.positives).astype(np.float64) - inside
    known = (everywhere @ units.known).astype(np.float64)
    if units.single_rows and bool((known == len(units)).all()):
        # Without unknown cells every class has the same known ones: one count says it all.
        known_inside = np.count_nonzero(validated, axis=1).astype(np.float64)[:, None]
    else:
        known_inside = (masks @ units.known).astype(np.float64)
    return 100 * (_shares(outside, known - known_inside) - _shares(inside, known_inside))


def _shares(positives: Floats, known: Floats) -> Floats:
    shares: Floats = positives / np.maximum(known, 1)
    return shares


def criterion(differences: Floats) -> Floats:
    """Population standard deviation over the classes, the last axis; percentage points."""
    deviation: Floats = np.std(differences, axis=-1)
    return deviation


def scores(units: Units, folds: npt.NDArray[np.integer]) -> Floats:
    """The criterion of many splits; of K folds the mean over the folds.

    Parameters
    ----------
    units
        U rows or groups.
    folds
        Fold 0..K-1 of each unit in each of S splits, shape (S, U); -1 is always trained on.

    Returns
    -------
    numpy.ndarray
        Percentage points, float64 of shape (S,); the smaller the better.
    """
    of_fold = [
        criterion(share_differences(units, folds == fold))
        for fold in range(max(folds.max(), 0) + 1)
    ]
    mean: Floats = np.mean(of_fold, axis=0)
    return mean


def score(units: Units, fold: npt.NDArray[np.integer]) -> float:
    """`scores` of one split, ``fold`` of shape (U,)."""
    return float(scores(units, fold[None])[0])
