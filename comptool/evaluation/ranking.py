"""How well multi-label probabilities rank images: average precision and ROC area per class.

scikit-learn's values (ties included) without its loop over classes and its import: one sort of
all classes at once. A non-negative float orders as its bits do, so that bits and label fit into
one whole number, the label lowest; one sort of those ranks the cells, puts the absent ones of a
tie before the present ones, and leaves the labels beside them. What follows looks at the present
cells only, which are few.

Targets are integers of shape (N, K): 1 present, 0 absent, -1 unknown; unknown cells count nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError

Targets = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ranked:
    """Where the M present cells of K classes stand among the known cells of their class.

    Parameters
    ----------
    known, positives
        Known and present cells of each class, shape (K,).
    class_index
        Class of each present cell, shape (M,).
    below
        Known cells with a smaller probability, shape (M,).
    positives_below
        Present cells among those.
    absent_before
        Absent cells with a smaller or equal probability, shape (M,).
    """

    known: Integers
    positives: Integers
    class_index: Integers
    below: Integers
    positives_below: Integers
    absent_before: Integers

    def mean_over_positives(self, values: Floats) -> Floats:
        """Mean of M values over the present cells of each class, NaN where there are none."""
        sums = np.bincount(self.class_index, weights=values, minlength=len(self.known))
        with np.errstate(invalid="ignore"):
            means: Floats = sums / self.positives
        return means


def rank(targets: Targets, probabilities: Floats) -> Ranked:
    """Sort the cells of every class.

    Parameters
    ----------
    targets
        Integers of shape (N, K): 1 present, 0 absent, -1 unknown.
    probabilities
        Floats of shape (N, K) in [0, 1].

    Raises
    ------
    ValueError
        If the shapes differ, a target is none of the three, or a number is no probability.
    """
    return rank_sorted(*_sorted_keys(targets, probabilities))


def rank_sorted(keys: npt.NDArray[np.unsignedinteger], known: Integers) -> Ranked:
    """`rank` of cells that have been turned into keys and sorted.

    Parameters
    ----------
    keys
        Unsigned integers of shape (K, N), rising along each row: twice the bits of a number that is
        not negative, plus one for a present cell; unknown cells have a larger, even one.
    known
        Known cells of each class, shape (K,).
    """
    num_rows = keys.shape[1]
    places = np.flatnonzero((keys & keys.dtype.type(1)).astype(np.bool_))
    class_index = places // num_rows
    offset = class_index * num_rows
    positives = np.bincount(class_index, minlength=len(keys))
    first = np.cumsum(positives) - positives
    earlier = np.arange(len(places)) - first[class_index]
    starts, positives_below = places.copy(), earlier.copy()
    tied = np.flatnonzero(_tied(keys.ravel(), places, offset))
    starts[tied] = _starts_of_ties(keys, places[tied])
    positives_below[tied] = np.searchsorted(places, starts[tied]) - first[class_index[tied]]
    return Ranked(
        known=known,
        positives=positives,
        class_index=class_index,
        below=starts - offset,
        positives_below=positives_below,
        absent_before=places - offset - earlier,
    )


def _sorted_keys(
    targets: Targets, probabilities: Floats
) -> tuple[npt.NDArray[np.unsignedinteger], Integers]:
    """Rising keys of shape (K, N), unknown cells last, and the number of known ones, (K,)."""
    if targets.shape != probabilities.shape or targets.ndim != 2:
        raise ValueError(
            f"targets {targets.shape} and probabilities {probabilities.shape} must share a "
            "shape (N, K)"
        )
    if not (probabilities >= 0).all() or not (probabilities <= 1).all():
        raise ValueError("probabilities must be numbers in [0, 1]")
    if targets.size and not -1 <= targets.min() <= targets.max() <= 1:
        raise ValueError(f"targets must be 1, 0 or -1, not {np.unique(targets).tolist()}")
    narrow = probabilities.dtype in (np.float16, np.float32)
    wide, bits = (np.float32, np.uint32) if narrow else (np.float64, np.uint64)
    # Adding 0 makes 0.0 of -0.0, whose bits would sort last.
    values = np.add(probabilities, 0, dtype=wide, order="C")
    keys: npt.NDArray[np.unsignedinteger] = values.view(bits)
    keys <<= bits(1)
    keys |= targets == 1
    known = np.full(keys.shape[1], len(keys))
    unknown = targets == -1
    if unknown.any():
        # Even, like an absent cell, so that it is not taken for a present one.
        keys[unknown] = np.iinfo(bits).max - 1
        known -= unknown.sum(axis=0)
    keys = np.ascontiguousarray(keys.T)
    keys.sort(axis=1)
    return keys, known


def _tied(
    keys: npt.NDArray[np.unsignedinteger], places: Integers, offset: Integers
) -> npt.NDArray[np.bool_]:
    """Whether the cell before each of ``places`` has the same class and probability."""
    before = np.maximum(places - 1, 0)
    same = (keys[places] ^ keys[before]) <= 1
    tied: npt.NDArray[np.bool_] = same & (places > offset)
    return tied


def _starts_of_ties(keys: npt.NDArray[np.unsignedinteger], places: Integers) -> Integers:
    num_classes, num_rows = keys.shape
    starts = np.empty_like(places)
    ends = np.searchsorted(places, np.arange(num_classes + 1) * num_rows)
    for index in np.flatnonzero(np.diff(ends)):
        cells = slice(ends[index], ends[index + 1])
        # An odd key less one is that of an absent cell with the same probability.
        wanted = keys[index, places[cells] - index * num_rows] - keys.dtype.type(1)
        starts[cells] = np.searchsorted(keys[index], wanted) + index * num_rows
    return starts


def average_precisions(targets: Targets, probabilities: Floats) -> Floats:
    """Average precision of each class, shape (K,); NaN for a class without a present cell.

    The mean over the present cells of the precision at their probability, which is scikit-learn's
    sum over thresholds of (R_n - R_{n-1}) P_n.

    Parameters
    ----------
    targets
        Integers of shape (N, K): 1 present, 0 absent, -1 unknown.
    probabilities
        Floats of shape (N, K) in [0, 1].

    Examples
    --------
    >>> targets = np.array([[1, 0], [0, 0], [1, -1]])
    >>> average_precisions(targets, np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3]])).round(4)
    array([0.8333,    nan])
    """
    return precisions(rank(targets, probabilities))


def precisions(ranked: Ranked) -> Floats:
    """`average_precisions` of ranked cells."""
    found = ranked.positives[ranked.class_index] - ranked.positives_below
    answered = ranked.known[ranked.class_index] - ranked.below
    return ranked.mean_over_positives(found / answered)


def roc_areas(targets: Targets, probabilities: Floats) -> Floats:
    """Area under the ROC curve of each class, shape (K,).

    Equal probabilities count half. NaN for a class without a present or without an absent cell.
    """
    return areas(rank(targets, probabilities))


def areas(ranked: Ranked) -> Floats:
    """`roc_areas` of ranked cells."""
    below = ranked.below - ranked.positives_below
    wins = ranked.mean_over_positives((below + ranked.absent_before) / 2)
    with np.errstate(invalid="ignore"):
        shares: Floats = wins / (ranked.known - ranked.positives)
    return shares


def precisions_and_areas(targets: Targets, probabilities: Floats) -> tuple[Floats, Floats]:
    """`average_precisions` and `roc_areas` of one sort."""
    ranked = rank(targets, probabilities)
    return precisions(ranked), areas(ranked)


def macro_average_precision(targets: Targets, probabilities: Floats) -> float:
    """Mean average precision over the classes that have a present cell ("mAP"), 0 to 1.

    Raises
    ------
    InputError
        If no class has one.
    """
    return _mean(average_precisions(targets, probabilities), "map", "a present cell")


def micro_average_precision(targets: Targets, probabilities: Floats) -> float:
    """Average precision of all known cells ranked together, 0 to 1.

    Raises
    ------
    InputError
        If no cell is present.
    """
    pooled = average_precisions(targets.reshape(-1, 1), probabilities.reshape(-1, 1))
    return _mean(pooled, "micro-map", "a present cell")


def macro_roc_area(targets: Targets, probabilities: Floats) -> float:
    """Mean ROC area over the classes that have both present and absent cells, 0 to 1.

    Raises
    ------
    InputError
        If no class has both.
    """
    return _mean(roc_areas(targets, probabilities), "auc", "both present and absent cells")


def _mean(values: Floats, name: str, needs: str) -> float:
    defined = values[~np.isnan(values)]
    if not defined.size:
        raise InputError(f"{name} is not defined: no class has {needs}")
    return float(defined.mean())
