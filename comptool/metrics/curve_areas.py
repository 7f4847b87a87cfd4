"""Areas under curves, per class: average precision and ROC area.

The values are scikit-learn's, ties included, without its import time and several passes per class:
non-negative floats sort like their bits, so bits and label form one integer, the label lowest.
Sorting these ranks the cells, puts absent cells before present ones in a tie, and keeps the labels;
then only the few present cells are visited. One class at a time fits the processor's cache. Large
tables are split among threads by class, as sorting releases the GIL. With weights, rows are ranked
by argsort, once for all weights.

Targets are integers of shape (N, K): 1 present, 0 absent, -1 unknown; unknown cells do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.machine import compute_threads, threads
from comptool.metrics.metric_registry import Floats, Targets, Weighted, Weights, weighted
from comptool.metrics.multiclass import shares_or_nan
from comptool.metrics.multilabel import positive_cells

# Fewer cells are not worth threads.
MANY_CELLS = 1 << 20
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Ranked:
    """Ranks of the M present cells of K classes among the known cells of their class."""

    known: Integers  # known cells of each class, (K,)
    positives: Integers  # present cells of each class, (K,)
    below: Integers  # known cells with a smaller probability, class by class, (M,)
    positives_below: Integers  # present cells among those
    absent_before: Integers  # absent cells with a smaller or equal probability, (M,)

    def mean_over_positives(self, values: Floats) -> Floats:
        """Mean of M values over the present cells of each class; NaN without any."""
        means = np.full(len(self.positives), np.nan)
        nonempty = self.positives > 0
        firsts = (np.cumsum(self.positives) - self.positives)[nonempty]
        means[nonempty] = np.add.reduceat(values, firsts) / self.positives[nonempty]
        return means


def rank(targets: Targets, probabilities: Floats) -> Ranked:
    """Rank the cells (N, K) of every class; a ValueError for wrong shapes or values."""
    _check(targets, probabilities)
    # Contiguous by class; probabilities are copied into keys later.
    labels = np.ascontiguousarray(targets.T)
    known = np.full(len(labels), len(targets), dtype=np.int64)
    if targets.size and targets.min() < 0:
        known -= np.count_nonzero(labels < 0, axis=1)
    return _ranked(_sorted_rows(labels, probabilities.T, known), known)


def rank_sorted(keys: Keys, known: Integers) -> Ranked:
    """`rank` of cells that are already sorted keys.

    Parameters
    ----------
    keys
        Unsigned integers of shape (K, N), ascending in each row: twice the bits of a non-negative
        number, plus one for a present cell; unknown cells have a larger, even key.
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
    # min and max propagate NaN.
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("probabilities must be numbers in [0, 1]")
    if not -1 <= targets.min() <= targets.max() <= 1:
        raise ValueError(f"targets must be 1, 0 or -1, not {np.unique(targets).tolist()}")


def _sorted_rows(labels: Targets, probabilities: Floats, known: Integers) -> Iterator[Keys]:
    """Ascending keys of one class after the other, unknown cells last, in reused memory.

    ``labels`` and ``probabilities`` have the shape (K, N).
    """
    narrow = probabilities.dtype in (np.float16, np.float32)
    wide, bits = (np.float32, np.uint32) if narrow else (np.float64, np.uint64)
    keys: Keys = np.empty(labels.shape[1], dtype=bits)
    numbers = keys.view(wide)
    for row, values, num_known in zip(labels, probabilities, known, strict=True):
        numbers[:] = values
        # Shifting drops the sign, so that 0.0 and -0.0 are equal.
        keys <<= bits(1)
        keys |= row == 1
        if num_known < len(row):
            # Even, like an absent cell.
            keys[row == -1] = np.iinfo(bits).max - 1
        keys.sort()
        yield keys


def _ranked(rows: Iterable[Keys], known: Integers) -> Ranked:
    cells = [_present_cells(keys) for keys in rows]
    nothing = (np.empty(0, dtype=np.int64),) * 3  # for no class
    absent_before, below, positives_below = map(np.concatenate, zip(nothing, *cells, strict=True))
    positives = np.array([len(of_class[0]) for of_class in cells], dtype=np.int64)
    return Ranked(known, positives, below, positives_below, absent_before)


def _present_cells(keys: Keys) -> tuple[Integers, Integers, Integers]:
    """For each present cell of a class: absent cells before, cells below, present cells below."""
    one = keys.dtype.type(1)
    places = (keys & one).astype(np.bool_).nonzero()[0]
    earlier = np.arange(len(places))
    own = keys[places]
    # Tied with the cell before; for the first cell the comparison with the last is harmless.
    tied = (own ^ keys[places - 1]) <= one
    if not tied.any():
        return places - earlier, places, earlier
    below, positives_below = places.copy(), earlier.copy()
    # An odd key minus one is the key of an absent cell of the same probability.
    below[tied] = np.searchsorted(keys, own[tied] - one)
    positives_below[tied] = np.searchsorted(places, below[tied])
    return places - earlier, below, positives_below


def average_precisions(
    targets: Targets, probabilities: Floats, weights: Weights | None = None
) -> Floats:
    """Average precision of each class, shape (K,); NaN without a present cell.

    The mean precision at the probabilities of the present cells, which is scikit-learn's sum over
    thresholds of (R_n - R_{n-1}) P_n; equal probabilities are one threshold. Targets, probabilities
    in [0, 1] and row weights have the shapes (N, K), (N, K) and (N,).

    Examples
    --------
    >>> targets = np.array([[1, 0], [0, 0], [1, -1]])
    >>> average_precisions(targets, np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3]])).round(4)
    array([0.8333,    nan])
    """
    return WeightedRanking(targets, probabilities).precisions(weights)


def _by_class(
    measure: Callable[[Ranked], Floats], targets: Targets, probabilities: Floats
) -> Floats:
    """Values of ``measure`` with the classes on the last axis, computed in threads."""
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
    correct = np.repeat(ranked.positives, ranked.positives) - ranked.positives_below
    predicted = np.repeat(ranked.known, ranked.positives) - ranked.below
    return ranked.mean_over_positives(correct / predicted)


def roc_areas(targets: Targets, probabilities: Floats, weights: Weights | None = None) -> Floats:
    """ROC area of each class, shape (K,); NaN without a present or without an absent cell.

    Ties count half. See :func:`average_precisions` for the parameters.
    """
    return WeightedRanking(targets, probabilities).areas(weights)


def areas(ranked: Ranked) -> Floats:
    """`roc_areas` of ranked cells."""
    below = ranked.below - ranked.positives_below
    wins = ranked.mean_over_positives((below + ranked.absent_before) / 2)
    with np.errstate(invalid="ignore"):
        shares: Floats = wins / (ranked.known - ranked.positives)
    return shares


def precisions_and_areas(targets: Targets, probabilities: Floats) -> tuple[Floats, Floats]:
    """`average_precisions` and `roc_areas` from one sort."""
    both = _by_class(lambda r: np.stack([precisions(r), areas(r)]), targets, probabilities)
    return both[0], both[1]


@dataclass(frozen=True)
class WeightedRanking:
    """Cells (N, K) to rank once and weight often; in [0, 1] if used without weights."""

    targets: Targets
    probabilities: Floats

    @cached_property
    def _order(self) -> Integers:
        """Rows of each class in descending order of probability, shape (N, K)."""
        return np.argsort(-self.probabilities, axis=0, kind="stable")

    @cached_property
    def _is_last(self) -> Mask:
        """Whether a place in that order is the last of its ties, shape (N, K)."""
        ranked = np.take_along_axis(self.probabilities, self._order, axis=0)
        return np.vstack([ranked[1:] != ranked[:-1], np.ones((1, ranked.shape[1]), bool)])

    @cached_property
    def _last(self) -> Integers:
        """Last place of the ties, shape (N, K)."""
        places = np.arange(len(self._order))[:, None]
        ends = np.where(self._is_last, places, len(self._order))
        return np.minimum.accumulate(ends[::-1], axis=0)[::-1]

    @cached_property
    def _first(self) -> Integers:
        """First place of the ties, shape (N, K)."""
        places = np.arange(len(self._order))[:, None]
        begins = np.vstack([np.ones((1, self._order.shape[1]), bool), self._is_last[:-1]])
        return np.maximum.accumulate(np.where(begins, places, 0), axis=0)

    @cached_property
    def _ranked(self) -> Targets:
        return np.take_along_axis(self.targets, self._order, axis=0)

    def _weights(self, weights: Weights, label: int) -> Floats:
        """Weights of the cells with a label in that order, shape (N, K)."""
        ordered: Floats = weights[self._order] * (self._ranked == label)
        return ordered

    def precisions(self, weights: Weights | None = None) -> Floats:
        """Average precision of each class, shape (K,); NaN without a present cell."""
        if weights is None:
            return _by_class(precisions, self.targets, self.probabilities)
        present, absent = (self._weights(weights, label) for label in (1, 0))
        correct, predicted = (
            np.take_along_axis(np.cumsum(part, axis=0), self._last, axis=0)
            for part in (present, present + absent)
        )
        precision = np.divide(correct, predicted, out=np.zeros_like(correct), where=predicted > 0)
        return shares_or_nan((present * precision).sum(axis=0), present.sum(axis=0))

    def areas(self, weights: Weights | None = None) -> Floats:
        """ROC area of each class, shape (K,); NaN without a present or an absent cell."""
        if weights is None:
            return _by_class(areas, self.targets, self.probabilities)
        present, absent = (self._weights(weights, label) for label in (1, 0))
        above = np.cumsum(absent, axis=0)
        to_first = np.take_along_axis(above - absent, self._first, axis=0)
        to_last = np.take_along_axis(above, self._last, axis=0)
        # Absent cells of smaller probability and half of the ties.
        below = above[-1] - (to_first + to_last) / 2
        return shares_or_nan(
            (present * below).sum(axis=0), present.sum(axis=0) * absent.sum(axis=0)
        )


@weighted
def macro_average_precision(targets: Targets, probabilities: Floats) -> Weighted:
    """Mean average precision (mAP) over the classes with a present cell, 0 to 1."""
    ranking = WeightedRanking(targets, probabilities)
    return lambda weights=None: _mean(ranking.precisions(weights), "map", "a present cell")


@weighted
def micro_average_precision(targets: Targets, probabilities: Floats) -> Weighted:
    """Average precision of all known cells ranked together, 0 to 1."""
    pooled = WeightedRanking(targets.reshape(-1, 1), probabilities.reshape(-1, 1))

    def value(weights: Weights | None = None) -> float:
        of_cells = None if weights is None else np.repeat(weights, targets.shape[1])
        return _mean(pooled.precisions(of_cells), "micro-map", "a present cell")

    return value


@weighted
def macro_roc_area(targets: Targets, probabilities: Floats) -> Weighted:
    """Mean ROC area over the classes with present and absent cells, 0 to 1.

    For one class per row, targets (N,), each class is ranked against the rest.
    """
    if targets.ndim == 2:
        ranking = WeightedRanking(targets, probabilities)
        return lambda weights=None: _mean(
            ranking.areas(weights), "auc", "both present and absent cells"
        )
    one_hot = WeightedRanking(_one_hot(targets, probabilities), probabilities)

    def value(weights: Weights | None = None) -> float:
        # With weights, because rounding errors of normalised rows may leave [0, 1].
        values = one_hot.areas(np.ones(len(targets)) if weights is None else weights)
        defined = values[~np.isnan(values)]
        if not defined.size:
            raise InputError("auc is not defined on rows that are all of one class")
        return float(defined.mean())

    return value


def _one_hot(targets: Targets, probabilities: Floats) -> Targets:
    classes = np.arange(probabilities.shape[1])
    return np.asarray((targets[:, None] == classes).astype(np.int8))


@weighted
def micro_roc_area(targets: Targets, probabilities: Floats) -> Weighted:
    """ROC area of all known cells ranked together, 0 to 1."""
    pooled = WeightedRanking(targets.reshape(-1, 1), probabilities.reshape(-1, 1))

    def value(weights: Weights | None = None) -> float:
        of_cells = None if weights is None else np.repeat(weights, targets.shape[1])
        return _mean(pooled.areas(of_cells), "micro-auc", "both present and absent cells")

    return value


@weighted
def weighted_roc_area(
    targets: Targets, probabilities: Floats, class_weights: Floats | None = None
) -> Weighted:
    """Mean ROC area of the classes by ``class_weights`` (K,), else by their present cells."""
    labels = targets if targets.ndim == 2 else _one_hot(targets, probabilities)
    ranking = WeightedRanking(labels, probabilities)
    importance = None if class_weights is None else np.asarray(class_weights, np.float64)

    def value(weights: Weights | None = None) -> float:
        counts = np.ones(len(labels)) if weights is None else weights
        values = ranking.areas(counts)
        shares = counts @ (labels == 1) if importance is None else importance
        defined = ~np.isnan(values) & (shares > 0)
        if not defined.any():
            raise InputError(
                "weighted-auc is not defined: no class with a weight has both present and absent "
                "cells"
            )
        return float(np.average(values[defined], weights=shares[defined]))

    return value


@weighted
def partial_roc_area(
    targets: Targets, probabilities: Floats, tpr: float = 0.8, positive: int | None = None
) -> Weighted:
    """Area between the ROC curve and the true-positive rate ``tpr``, 0 to 1 - ``tpr``.

    The mean over the classes with present and absent cells; of one class per row only the class
    ``positive``, by default the second of two. As in the ISIC 2024 competition: the integral of
    1 - false-positive rate over the true-positive rates from ``tpr`` to 1.
    """
    labels, p = positive_cells(targets, probabilities, positive)
    order = np.argsort(p, axis=0, kind="stable")
    ranked, sorted_labels = (np.take_along_axis(x, order, axis=0) for x in (p, labels))
    is_last = np.vstack([ranked[1:] != ranked[:-1], np.ones((1, ranked.shape[1]), bool)])

    def value(weights: Weights | None = None) -> float:
        counts = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
        ordered = counts[order]
        values = [
            _area_from_the_left(
                np.cumsum(ordered[:, c] * (sorted_labels[:, c] == 1))[is_last[:, c]],
                np.cumsum(ordered[:, c] * (sorted_labels[:, c] == 0))[is_last[:, c]],
                1 - tpr,
            )
            for c in range(labels.shape[1])
        ]
        return _mean(np.array(values), "pauc", "both present and absent cells")

    return value


def _area_from_the_left(missed: Floats, rejected: Floats, limit: float) -> float:
    """Area under the share of absent cells by that of present cells, from 0 to ``limit`` below 1.

    Both are cumulative weights of the cells of least probability; NaN if one of them has none.
    """
    if not missed[-1] or not rejected[-1]:
        return float("nan")
    x = np.concatenate([[0], missed / missed[-1]])
    y = np.concatenate([[0], rejected / rejected[-1]])
    end = int(np.searchsorted(x, limit, "right"))
    share = (limit - x[end - 1]) / (x[end] - x[end - 1])
    x = np.append(x[:end], limit)
    y = np.append(y[:end], y[end - 1] + share * (y[end] - y[end - 1]))
    return float(np.diff(x) @ (y[1:] + y[:-1]) / 2)


def _mean(values: Floats, name: str, needs: str) -> float:
    defined = values[~np.isnan(values)]
    if not defined.size:
        raise InputError(f"{name} is not defined: no class has {needs}")
    return float(defined.mean())
