"""Hold-outs and folds of labels: which row is validated when, and which rows balancing keeps.

Stratified and grouped folds are scikit-learn's; what it lacks is written here: a hold-out whose
size per class is exact, under-sampling, and the guarantee that no class is validated that the
training rows lack.
"""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from importlib import import_module

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import InputError
from comptool.samples import Samples, class_counts

TRAINING = -1
MAX_PARTS = 20
MOST_ALONE = 2000
Integers = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]


def under_sample(
    labels: npt.NDArray[np.generic], cap: int | None = None, seed: int = 0
) -> Integers:
    """Rows of a balanced subset: as many of every class as the smallest has.

    Parameters
    ----------
    labels
        Class names or indices of shape (N,).
    cap
        At most this many per class.
    seed
        Seed of the draw, which is without replacement.

    Returns
    -------
    numpy.ndarray
        Rising row indices.
    """
    classes, counts = np.unique(labels, return_counts=True)
    size = min(counts.min(), cap or len(labels))
    random = np.random.default_rng(seed)
    drawn = [random.choice(np.flatnonzero(labels == one), size, replace=False) for one in classes]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def hold_out(samples: Samples, fraction: float, seed: int = 0) -> Integers:
    """Fold 0 for the rows held out, -1 for the others; shape (N,).

    Without groups, floor(``fraction`` x n) rows of a class of n are held out, at least one of a
    class of two or more, and none of a class of one. With groups the share is met as nearly as
    whole groups allow, and a class that one group has alone is always trained on.

    Parameters
    ----------
    samples
        N labelled samples.
    fraction
        Share between 0 and 1.
    seed
        Seed of every random choice.
    """
    labels, groups = _labels_and_groups(samples)
    if groups is not None:
        return _hold_out_groups(labels, groups, fraction, seed)
    fold = np.full(len(labels), TRAINING, dtype=np.int64)
    random = np.random.default_rng(seed)
    for name, count in class_counts(labels).items():
        shuffled = random.permutation(np.flatnonzero(labels == name))
        # 0.29 * 100 is 28.999... in floating point.
        wanted = math.floor(fraction * count + 1e-9)
        fold[shuffled[: max(wanted, 1) if count > 1 else 0]] = 0
    return fold


def k_folds(samples: Samples, num_folds: int, seed: int = 0) -> Integers:
    """The fold 0..K-1 in which each row is validated, or -1 if it is always trained on.

    A class of one sample, or of one group, is always trained on.

    Parameters
    ----------
    samples
        N labelled samples.
    num_folds
        K, at least 2.
    seed
        Seed of every random choice.

    Raises
    ------
    InputError
        If every class has fewer than K samples, or there are fewer than K groups.
    """
    return _k_folds(*_labels_and_groups(samples), num_folds, seed)


def _labels_and_groups(samples: Samples) -> tuple[Texts, Texts | None]:
    assert samples.label is not None
    labels = samples.frame[samples.label].to_numpy(dtype=object)
    if samples.group is None:
        return labels, None
    return labels, samples.frame[samples.group].to_numpy(dtype=object)


def _hold_out_groups(labels: Texts, groups: Texts, fraction: float, seed: int) -> Integers:
    """Some of the parts of a grouped split whose number makes the share nearly exact."""
    free = ~np.isin(groups, _units_of_lonely_classes(labels, groups))
    if not free.any():
        return np.full(len(labels), TRAINING, dtype=np.int64)
    largest = max(class_counts(labels[free]).values())
    limit = min(MAX_PARTS, len(set(groups[free])), largest)
    if limit < 2:
        return _always_trained_on(labels, groups, np.where(free, 0, TRAINING))
    share = Fraction(fraction).limit_denominator(limit)
    parts = max(2, share.denominator if share else limit)
    taken = min(max(1, share.numerator), parts - 1)
    fold = _k_folds(labels, groups, parts, seed)
    fold = np.where((fold >= 0) & (fold < taken), 0, TRAINING)
    return _always_trained_on(labels, groups, fold)


def _k_folds(labels: Texts, groups: Texts | None, num_folds: int, seed: int) -> Integers:
    units = np.arange(len(labels)).astype(object) if groups is None else groups
    free = ~np.isin(units, _units_of_lonely_classes(labels, units))
    fold = np.full(len(labels), TRAINING, dtype=np.int64)
    if not free.any():
        return fold
    _check_enough(labels[free], None if groups is None else groups[free], num_folds)
    # Only here: the import takes two seconds, and most hold-outs do without.
    selection = import_module("sklearn.model_selection")
    kind = selection.StratifiedKFold if groups is None else selection.StratifiedGroupKFold
    splitter = kind(num_folds, shuffle=True, random_state=seed)
    random = np.random.default_rng(seed)
    rows, alone = np.flatnonzero(free), np.empty(0, np.int64)
    if groups is not None:
        rows, alone = _without_some_alone(rows, groups, random)
    with warnings.catch_warnings():
        # A class smaller than K is told to the user by `comptool.data.splitting`, by its name.
        warnings.simplefilter("ignore", UserWarning)
        for index, (_, validated) in enumerate(splitter.split(rows, labels[rows], units[rows])):
            fold[rows[validated]] = index
    _fill(fold, labels, alone, num_folds, random)
    return fold if groups is None else _always_trained_on(labels, groups, fold)


def _without_some_alone(
    rows: Integers, groups: Texts, random: np.random.Generator
) -> tuple[Integers, Integers]:
    """Rows whose groups have to be weighed against one another, and rows that can follow singly.

    scikit-learn takes half a millisecond for each group: half a minute where nearly every row of a
    large table is a group of its own.
    """
    _, of_row, counts = np.unique(groups[rows], return_inverse=True, return_counts=True)
    alone = random.permutation(rows[counts[of_row] == 1])[MOST_ALONE:]
    return np.setdiff1d(rows, alone), alone


def _fill(
    fold: Integers, labels: Texts, rows: Integers, num_folds: int, random: np.random.Generator
) -> None:
    """Give rows their folds, of each class always to the one that has the fewest of it."""
    for name in class_counts(labels[rows]):
        ours = rows[labels[rows] == name]
        order = random.permutation(num_folds)
        there = np.bincount(fold[(labels == name) & (fold >= 0)], minlength=num_folds)[order]
        levels = (there[:, None] + np.arange(len(ours))).ravel()
        fold[ours] = order[np.argsort(levels, kind="stable")[: len(ours)] // len(ours)]


def _units_of_lonely_classes(labels: Texts, units: Texts) -> Texts:
    """Samples, or groups, that hold the whole of a class."""
    pairs = pd.DataFrame({"label": labels, "unit": units}).drop_duplicates()
    return pairs["unit"][~pairs["label"].duplicated(keep=False)].to_numpy(dtype=object)


def _check_enough(labels: Texts, groups: Texts | None, num_folds: int) -> None:
    largest = max(class_counts(labels).values())
    if groups is not None and len(set(groups)) < num_folds:
        raise InputError(
            f"too few groups can be validated ({len(set(groups))}) for {num_folds} parts",
            mend="Ask for fewer folds, or split without groups",
        )
    if largest < num_folds:
        raise InputError(
            f"every class has fewer samples than the {num_folds} folds (the largest {largest})",
            mend="Ask for fewer folds",
        )


def _always_trained_on(labels: Texts, groups: Texts, fold: Integers) -> Integers:
    """Take a group out of each fold that holds the whole of a class, and always train on it."""
    fold = fold.copy()
    for name in class_counts(labels):
        rows = labels == name
        if len(set(fold[rows])) == 1 and (fold[rows] != TRAINING).any():
            counts = class_counts(groups[rows])
            smallest = min(counts, key=lambda group: counts[group])
            fold[groups == smallest] = TRAINING
    return fold


def share_deviation(labels: Texts, fold: Integers) -> float:
    """Largest difference of a class's share between a fold and its training rows.

    Parameters
    ----------
    labels, fold
        Arrays of shape (N,).

    Returns
    -------
    float
        Percentage points, 0 to 100.
    """
    worst = 0.0
    for index in set(fold) - {TRAINING}:
        inside = pd.Series(labels[fold == index]).value_counts(normalize=True)
        outside = pd.Series(labels[fold != index]).value_counts(normalize=True)
        worst = max(worst, float(inside.sub(outside, fill_value=0).abs().max()))
    return 100 * worst
