"""Figures of weighted rows: what predictions are worth, and again in every bootstrap resample.

A resample is a count of how often each row was drawn, so every figure here is a function of such
counts; counts of one give the figure itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]
Numbers = npt.NDArray[np.number]

BINS = 15


def bin_of(confidence: Floats) -> Integers:
    """Bin of each confidence: 15 of equal width, each open below and closed above.

    Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    bins: Integers = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(np.intp)
    return bins


@dataclass(frozen=True)
class Reliability:
    """What was promised and what came true, per bin of confidence.

    Parameters
    ----------
    number
        Weight of each of the bins, shape (B,).
    confidence, accuracy
        Means in each bin, shape (B,); 0 in an empty one.
    """

    number: Floats
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Expected calibration error, 0 to 1: the mean gap of the bins, by their weight.

        NaN without an answer.
        """
        if not self.number.any():
            return float("nan")
        gaps = np.abs(self.accuracy - self.confidence)
        return float((self.number * gaps).sum() / self.number.sum())


@dataclass(frozen=True)
class Confidences:
    """Answers with the probability that each is right.

    Parameters
    ----------
    confidence
        Of M answers, float64 of shape (M,).
    right
        Whether each came true, shape (M,).
    """

    confidence: Floats
    right: npt.NDArray[np.bool_]

    @cached_property
    def _bins(self) -> Integers:
        return bin_of(self.confidence)

    def reliability(self, counts: Floats) -> Reliability:
        """The bins, each answer counted ``counts`` times, (M,)."""
        number, promised, true = (
            np.bincount(self._bins, weights=weights, minlength=BINS).astype(np.float64)
            for weights in (counts, counts * self.confidence, counts * self.right)
        )
        some = np.maximum(number, np.finfo(float).tiny)
        return Reliability(number, promised / some, true / some)

    @cached_property
    def _sums(self) -> Floats:
        """What the gap adds up: confidence and number of the right answers, then of the wrong."""
        right = self.right.astype(np.float64)
        parts = [self.confidence * right, right, self.confidence * (1 - right), 1 - right]
        return np.array(parts)

    def gap(self, counts: Floats) -> float:
        """100 * (mean confidence of the right answers - of the wrong ones), in points."""
        right, num_right, wrong, num_wrong = self._sums @ counts
        if not num_right or not num_wrong:
            return float("nan")
        return float(100 * (right / num_right - wrong / num_wrong))


@dataclass(frozen=True)
class Answers:
    """Answers of one class per row.

    Parameters
    ----------
    targets, answered
        True and answered class index of each row, shape (N,).
    confidence
        Probability of the answered class, float64 of shape (N,).
    num_classes
        K.
    """

    targets: Integers
    answered: Integers
    confidence: Floats
    num_classes: int

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def promises(self) -> Confidences:
        """The answers with their confidence."""
        return Confidences(self.confidence, np.asarray(self.targets == self.answered))

    @cached_property
    def _cells(self) -> Integers:
        return np.asarray(self.targets, np.intp) * self.num_classes + self.answered

    def confusion(self, counts: Floats) -> Floats:
        """Rows by true class (row) and answered class (column), shape (K, K)."""
        found = np.bincount(self._cells, weights=counts, minlength=self.num_classes**2)
        return found.astype(np.float64).reshape(self.num_classes, self.num_classes)

    def reliability(self, counts: Floats) -> Reliability:
        """Confidence and accuracy by bins."""
        return self.promises.reliability(counts)

    def figures(self, counts: Floats) -> dict[str, float]:
        """Each figure by its name; NaN where it is not defined."""
        confusion = self.confusion(counts)
        accuracy = np.trace(confusion) / confusion.sum()
        both = confusion.sum(axis=0) + confusion.sum(axis=1)
        f1 = _shares(2 * np.diag(confusion), both)
        chance = confusion.sum(axis=0) @ confusion.sum(axis=1) / confusion.sum() ** 2
        return {
            "accuracy": float(accuracy),
            "balanced-accuracy": _mean(_shares(np.diag(confusion), confusion.sum(axis=1))),
            "macro-f1": _mean(f1),
            "kappa": 1.0 if chance == 1 else float((accuracy - chance) / (1 - chance)),
            "ece": self.reliability(counts).error,
            "confidence-gap": self.promises.gap(counts),
        }

    def per_class(self, counts: Floats) -> Floats:
        """Share of each class's rows that are answered rightly, shape (K,); NaN without a row."""
        confusion = self.confusion(counts)
        return _shares(np.diag(confusion), confusion.sum(axis=1))


@dataclass(frozen=True)
class WeightedCells:
    """Probabilities of several classes per row.

    Parameters
    ----------
    targets
        1 present, 0 absent, -1 unknown, shape (N, K).
    probabilities
        Floats of shape (N, K).
    """

    targets: Integers
    probabilities: Floats

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def _order(self) -> Integers:
        """Rows of each class, the most probable first, shape (N, K)."""
        return np.argsort(-self.probabilities, axis=0, kind="stable")

    @cached_property
    def _last(self) -> Integers:
        """Place of the last row of the same probability in that order, shape (N, K)."""
        ranked = np.take_along_axis(self.probabilities, self._order, axis=0)
        ends = np.vstack([ranked[1:] != ranked[:-1], np.ones((1, ranked.shape[1]), bool)])
        places = np.where(ends, np.arange(len(ranked))[:, None], len(ranked))
        return np.asarray(np.minimum.accumulate(places[::-1], axis=0)[::-1], np.intp)

    @cached_property
    def _ranked(self) -> Integers:
        return np.take_along_axis(self.targets, self._order, axis=0)

    @cached_property
    def _known(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.targets >= 0)

    @cached_property
    def _promises(self) -> Confidences:
        return Confidences(self.probabilities[self._known], self.targets[self._known] == 1)

    def per_class(self, counts: Floats) -> Floats:
        """Average precision of each class, shape (K,); NaN without a present cell.

        scikit-learn's, with sample weights: equal probabilities are one threshold.
        """
        weights = counts[self._order]
        present, known = weights * (self._ranked == 1), weights * (self._ranked >= 0)
        above = [
            np.take_along_axis(np.cumsum(part, axis=0), self._last, axis=0)
            for part in (present, known)
        ]
        precision = np.divide(above[0], above[1], out=np.zeros_like(above[0]), where=above[1] > 0)
        return _shares((present * precision).sum(axis=0), present.sum(axis=0))

    def reliability(self, counts: Floats) -> Reliability:
        """Probability of presence and presence by bins, over the known cells."""
        return self._promises.reliability(
            np.broadcast_to(counts[:, None], self._known.shape)[self._known]
        )

    def figures(self, counts: Floats) -> dict[str, float]:
        """Each figure by its name; NaN where it is not defined."""
        said, there = self.probabilities > 0.5, self.targets == 1
        right, answered, present = (
            counts @ part for part in (said & there, said & (self.targets >= 0), there)
        )
        f1 = _shares(2 * right, answered + present)
        return {
            "map": _mean(self.per_class(counts)),
            "macro-f1": _mean(np.where(present > 0, f1, np.nan)),
            "ece": self.reliability(counts).error,
        }


def _shares(part: Numbers, whole: Numbers) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares


def _mean(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")
