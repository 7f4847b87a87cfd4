"""Calibration of confidences: expected calibration error and confidence gap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Weight, mean confidence and accuracy of each bin, shape (B,); 0 in an empty bin."""

    number: Floats
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Expected calibration error, 0 to 1: the weighted mean gap of the bins; NaN if empty."""
        if not self.number.any():
            return float("nan")
        gaps = np.abs(self.accuracy - self.confidence)
        return float((self.number * gaps).sum() / self.number.sum())


@dataclass(frozen=True)
class Confidences:
    """Predictions with the probability that each is right."""

    confidence: Floats  # of M predictions, (M,)
    right: npt.NDArray[np.bool_]  # (M,)
    row: Integers  # row of each prediction, (M,)

    @classmethod
    def of(
        cls, targets: Integers, probabilities: Floats, answered: Integers | None = None
    ) -> Confidences:
        """Confidences of the predicted classes, or of all known cells of several labels.

        Parameters
        ----------
        targets
            Class indices of shape (N,); or 1, 0 and -1 (unknown) of shape (N, K).
        probabilities
            Floats of shape (N, K).
        answered
            Predicted class indices of shape (N,); None: the most probable.
        """
        rows = np.arange(len(targets))
        if targets.ndim == 2:
            known = targets >= 0
            of_rows = np.broadcast_to(rows[:, None], known.shape)[known]
            return cls(probabilities[known], targets[known] == 1, of_rows)
        answered = probabilities.argmax(axis=1) if answered is None else answered
        confidence = probabilities[rows, answered].astype(np.float64)
        return cls(confidence, np.asarray(targets == answered), rows)

    @cached_property
    def _bins(self) -> Integers:
        """Bin of each confidence, of equal width; Guo et al. 2017, arXiv:1706.04599, section 2."""
        bins: Integers = np.clip(np.ceil(self.confidence * BINS) - 1, 0, BINS - 1).astype(np.intp)
        return bins

    def reliability(self, weights: Floats) -> Reliability:
        """The bins, with row weights (N,)."""
        counts = weights[self.row]
        number, confidence, right = (
            np.bincount(self._bins, weights=each, minlength=BINS).astype(np.float64)
            for each in (counts, counts * self.confidence, counts * self.right)
        )
        divisor = np.maximum(number, np.finfo(float).tiny)
        return Reliability(number, confidence / divisor, right / divisor)

    def errors_if_calibrated(self, draws: int, seed: int) -> Floats:
        """Calibration errors of answers that are right as often as their confidences say, (draws,).

        The error of a calibrated model is not 0 but what the chance of M answers makes of it.
        """
        rng = np.random.default_rng(seed)
        sums = np.bincount(self._bins, weights=self.confidence, minlength=BINS)
        errors = np.empty(draws)
        for index in range(draws):
            right = self._bins[rng.random(len(self._bins)) < self.confidence]
            errors[index] = np.abs(np.bincount(right, minlength=BINS) - sums).sum()
        return errors / max(len(self._bins), 1)

    @cached_property
    def _sums(self) -> Floats:
        """Confidence and number of the right predictions, then of the wrong, (4, M)."""
        right = self.right.astype(np.float64)
        return np.array([self.confidence * right, right, self.confidence * (1 - right), 1 - right])

    def gap(self, weights: Floats) -> float:
        """100 * (mean confidence of right predictions - of wrong ones), in points."""
        right, num_right, wrong, num_wrong = self._sums @ weights[self.row]
        if not num_right or not num_wrong:
            return float("nan")
        return float(100 * (right / num_right - wrong / num_wrong))
