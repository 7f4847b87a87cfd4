"""How well multi-label probabilities rank images: average precision and ROC area per class.

scikit-learn's values (ties included) without its import and its half a dozen passes over each
class: a non-negative float orders as its bits do, so that bits and label fit into one whole number,
the label lowest; one sort of those ranks the cells, puts the absent ones of a tie before the
present ones, and leaves the labels beside them. What follows looks at the present cells only, which
are few. A class is small enough to stay in the processor's cache while all of that happens, and
large tables are shared out among threads by class: sorting lets go of Python's lock.

Targets are integers of shape (N, K): 1 present, 0 absent, -1 unknown; unknown cells count nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.machine import compute_threads, threads

# Below it threads cost more than they save.
MANY_CELLS = 1 << 20
Targets = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Ranked:
    """Where the M present cells of K classes stand among the known cells of their class.

    Parameters
    ----------
    known, positives
        Known and present cells of each class, shape (K,).
    below
        Known cells with a smaller probability than each present cell, class by class, shape (M,).
    positives_below
        Present cells among those.
    absent_before
        Absent cells with a smaller or equal probability, shape (M,).
    """

    known: Integers
    positives: Integers
    below: Integers
    positives_below: Integers
    absent_before: Integers

    def mean_over_positives(self, values: Floats) -> Floats:
        """Mean of M values over the present cells of each class, NaN where there are none."""
        means = np.full(len(self.positives), np.nan)
        there = self.positives > 0
        firsts = (np.cumsum(self.positives) - self.positives)[there]
        means[there] = np.add.reduceat(values, firsts) / self.positives[there]
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
    _check(targets, probabilities)
    # Contiguous, class by class; probabilities become so as they are copied into the keys.
    labels = np.ascontiguousarray(targets.T)
    known = np.full(len(labels), len(targets), dtype=np.int64)
    if targets.size and targets.min() < 0:
        known -= np.count_nonzero(labels < 0, axis=1)
    return _ranked(_sorted_rows(labels, probabilities.T, known), known)


def rank_sorted(keys: Keys, known: Integers) -> Ranked:
    """`rank` of cells that have been turned into keys and sorted.

    Parameters
    ----------
    keys
        Unsigned integers of shape (K, N), rising along each row: twice the bits of a number that is
        not negative, plus one for a present cell; unknown cells have a larger, even one.
    known
        Known cells of each class, shape (K,).
    """
    return _ranked(keys, known)


def _check(targets: Targets, probabilities: Floats) -> None:
    if targets.shape != probabilities.shape or targets.ndim != 2:
        raise ValueError(
            f"targets {targets.shape} and probabilities {probabilities.shape} must share a "
            "shape (N, K)"
        )
    if not targets.size:
        return
    # A NaN is the least and the largest of its table.
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("probabilities must be numbers in [0, 1]")
    if not -1 <= targets.min() <= targets.max() <= 1:
        raise ValueError(f"targets must be 1, 0 or -1, not {np.unique(targets).tolist()}")


def _sorted_rows(labels: Targets, probabilities: Floats, known: Integers) -> Iterator[Keys]:
    """Rising keys of one class after the other, unknown cells last, all in the same memory.

    ``labels`` and ``probabilities`` have the shape (K, N).
    """
    narrow = probabilities.dtype in (np.float16, np.float32)
    wide, bits = (np.float32, np.uint32) if narrow else (np.float64, np.uint64)
    keys: Keys = np.empty(labels.shape[1], dtype=bits)
    numbers = keys.view(wide)
    for row, values, num_known in zip(labels, probabilities, known, strict=True):
        numbers[:] = values
        # Shifting drops the sign, and with it the difference between 0.0 and -0.0.
        keys <<= bits(1)
        keys |= row == 1
        if num_known < len(row):
            # Even, like an absent cell, so that it is not taken for a present one.
            keys[row == -1] = np.iinfo(bits).max - 1
        keys.sort()
        yield keys


def _ranked(rows: Iterable[Keys], known: Integers) -> Ranked:
    found = [_present_cells(keys) for keys in rows]
    nothing = (np.empty(0, dtype=np.int64),) * 3  # there may be no class
    absent_before, below, positives_below = map(np.concatenate, zip(nothing, *found, strict=True))
    positives = np.array([len(cells[0]) for cells in found], dtype=np.int64)
    return Ranked(known, positives, below, positives_below, absent_before)


def _present_cells(keys: Keys) -> tuple[Integers, Integers, Integers]:
    """Of the present cells of a class: absent ones before, cells below, present ones below."""
    one = keys.dtype.type(1)
    places = (keys & one).astype(np.bool_).nonzero()[0]
    earlier = np.arange(len(places))
    own = keys[places]
    # As probable as the cell before. (Where that of the first is the last, it is searched for.)
    tied = (own ^ keys[places - 1]) <= one
    if not tied.any():
        return places - earlier, places, earlier
    below, positives_below = places.copy(), earlier.copy()
    # An odd key less one is that of an absent cell with the same probability.
    below[tied] = np.searchsorted(keys, own[tied] - one)
    positives_below[tied] = np.searchsorted(places, below[tied])
    return places - earlier, below, positives_below


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
    return _by_class(precisions, targets, probabilities)


def _by_class(
    measure: Callable[[Ranked], Floats], targets: Targets, probabilities: Floats
) -> Floats:
    """What ``measure`` says of each class, the last axis of its answer."""
    num_parts = 1 if targets.size < MANY_CELLS else min(compute_threads(), targets.shape[-1])
    if num_parts == 1:
        return measure(rank(targets, probabilities))
    parts = zip(
        np.array_split(targets, num_parts, axis=1),
        np.array_split(probabilities, num_parts, axis=1),
        strict=True,
    )
    with threads(num_parts) as pool:
        measured = list(pool.map(lambda part: measure(rank(*part)), parts))
    return np.concatenate(measured, axis=-1)


def precisions(ranked: Ranked) -> Floats:
    """`average_precisions` of ranked cells."""
    found = np.repeat(ranked.positives, ranked.positives) - ranked.positives_below
    answered = np.repeat(ranked.known, ranked.positives) - ranked.below
    return ranked.mean_over_positives(found / answered)


def roc_areas(targets: Targets, probabilities: Floats) -> Floats:
    """Area under the ROC curve of each class, shape (K,).

    Equal probabilities count half. NaN for a class without a present or without an absent cell.
    """
    return _by_class(areas, targets, probabilities)


def areas(ranked: Ranked) -> Floats:
    """`roc_areas` of ranked cells."""
    below = ranked.below - ranked.positives_below
    wins = ranked.mean_over_positives((below + ranked.absent_before) / 2)
    with np.errstate(invalid="ignore"):
        shares: Floats = wins / (ranked.known - ranked.positives)
    return shares


def precisions_and_areas(targets: Targets, probabilities: Floats) -> tuple[Floats, Floats]:
    """`average_precisions` and `roc_areas` of one sort."""
    both = _by_class(lambda r: np.stack([precisions(r), areas(r)]), targets, probabilities)
    return both[0], both[1]


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
