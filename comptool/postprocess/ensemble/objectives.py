"""What a search of ensemble weights maximises, fast enough to be asked a thousand times.

A search adds up members and asks what the sum is worth, so each objective keeps members in the
form that it reads fastest: average precision and ROC area need nothing but the order of a class's
cells, hence class-major float32, whose bits sort as whole numbers; the log-loss needs nothing but
the probability of the truth. Any other metric is computed from the mean as it is. Higher is better
throughout: a metric that falls has its sign turned.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from comptool import metrics
from comptool.errors import UsageError
from comptool.metrics.metric_registry import Floats, Metric, Targets
from comptool.metrics.multiclass import SMALLEST
from comptool.metrics.ranking import areas, precisions, rank_sorted

Doubles = npt.NDArray[np.float64]


class Objective(Protocol):
    """What a search maximises."""

    by_class: bool

    def arrange(self, member: Floats) -> Floats:
        """A member's probabilities, (N, K), in the objective's own form."""

    def values(self, total: Floats, weight: float) -> Doubles:
        """What a sum of members is worth, whose mean is the objective."""


class Ranking:
    """Average precision or ROC area of each class.

    Which class the present cells are of, and how many of them are as probable or more, does not
    change with the order: only where they stand among all cells does. Classes with ties, which do
    change that, are left to `rank_sorted`.
    """

    by_class = True

    def __init__(self, targets: Targets, *, area: bool = False) -> None:
        rows = np.ascontiguousarray(targets.T)
        self._present = (rows == 1).astype(np.uint32)
        self._unknown = np.flatnonzero(rows == -1)
        self._known = rows.shape[1] - (rows == -1).sum(axis=1)
        self._area = area
        self._positives = (rows == 1).sum(axis=1)
        of_class = np.repeat(np.arange(len(rows)), self._positives)
        self._class = of_class
        first = np.cumsum(self._positives) - self._positives
        # Of each present cell: those as probable or more, and one past its class's last place.
        self._found = self._positives[of_class] + first[of_class] - np.arange(len(of_class))
        self._past = of_class * rows.shape[1] + self._known[of_class]
        self._firsts = first[self._positives > 0]
        self._keys = np.empty(rows.shape, dtype=np.uint32)

    def arrange(self, member: Floats) -> Floats:
        """Class-major float32."""
        # Adding 0 makes 0.0 of -0.0, whose bits would sort last.
        return np.ascontiguousarray(np.add(member.T, 0, dtype=np.float32))

    def values(self, total: Floats, weight: float) -> Doubles:
        """One value per class; the weight does not matter to an order."""
        keys = self._keys
        np.left_shift(total.astype(np.float32, copy=False).view(np.uint32), np.uint32(1), out=keys)
        keys |= self._present
        keys.ravel()[self._unknown] = np.iinfo(np.uint32).max - 1
        keys.sort(axis=1)
        if self._area:
            return areas(rank_sorted(keys, self._known)).astype(np.float64)
        flat = keys.ravel()
        places = np.flatnonzero((flat & np.uint32(1)).astype(np.bool_))
        shares = self._found / (self._past - places)
        values = np.full(len(keys), np.nan)
        there = self._positives > 0
        values[there] = np.add.reduceat(shares, self._firsts) / self._positives[there]
        tied = (flat[places] ^ flat[np.maximum(places - 1, 0)]) <= 1
        some = np.unique(self._class[tied])
        values[some] = precisions(rank_sorted(keys[some], self._known[some]))
        return values


class MeanOverClasses:
    """A metric that is the mean of its values of the classes."""

    by_class = True

    def __init__(self, metric: Metric, targets: Targets) -> None:
        self._values = metric.load_per_class()
        self._sign = metric.sign
        self._targets = targets

    def arrange(self, member: Floats) -> Floats:
        """Class-major float64: an answer is a matter of the last digit."""
        return np.ascontiguousarray(member.T, dtype=np.float64)

    def values(self, total: Floats, weight: float) -> Doubles:
        """One value per class, NaN for a class that cannot be measured."""
        values = self._values(self._targets, np.minimum(total.T / weight, 1))
        return self._sign * values.astype(np.float64)


class LogLoss:
    """The log-loss, its sign turned; of one class per image or of cells."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self.by_class = targets.ndim == 2
        self._cells = np.ones(len(targets), dtype=np.bool_)
        if self.by_class:
            self._cells = np.ascontiguousarray((targets != -1).T)

    def arrange(self, member: Floats) -> Floats:
        """The probability of the truth, (N,), or class-major, (K, N)."""
        if not self.by_class:
            return member[np.arange(len(member)), self._targets].astype(np.float64)
        of_truth = np.where(self._targets == 1, member, 1 - member.astype(np.float64))
        return np.ascontiguousarray(of_truth.T)

    def values(self, total: Floats, weight: float) -> Doubles:
        """Share of the mean log-probability of the truth that falls to each class."""
        terms = np.log(np.clip(total / weight, SMALLEST, 1)) * self._cells
        scale = np.atleast_2d(self._cells).shape[0] / self._cells.sum()
        sums: Doubles = np.atleast_1d(terms.sum(axis=-1)) * scale
        return sums


class AnyMetric:
    """Any metric, of the mean of the members."""

    by_class = False

    def __init__(self, metric: Metric, targets: Targets) -> None:
        self._metric = metric
        self._targets = targets
        # The most probable class of a sum is that of the mean.
        self._of_sum = metric.of_decisions and targets.ndim == 1 and not metric.is_users

    def arrange(self, member: Floats) -> Floats:
        """As it is, float64."""
        return member.astype(np.float64)

    def values(self, total: Floats, weight: float) -> Doubles:
        """One value."""
        mean = total if self._of_sum else np.minimum(total / weight, 1)
        return np.array([self._metric.sign * self._metric.prepare(self._targets, mean)()])


def objective(name: str, targets: Targets, *, per_class: bool = False) -> Objective:
    """The objective of a metric."""
    found = _objective(name, targets)
    if per_class and not (targets.ndim == 2 and found.by_class):
        raise UsageError(
            "weights per class can be searched for multi-label metrics that are means over "
            f"classes (map, auc, macro-f1, logloss), and {name} is none here"
        )
    return found


def _objective(name: str, targets: Targets) -> Objective:
    metric = metrics.find(name, targets)
    if metric.name == "logloss":
        return LogLoss(targets)
    if targets.ndim == 1 or not metric.per_class:
        return AnyMetric(metric, targets)
    if metric.of_order:
        return Ranking(targets, area=metric.name == "auc")
    return MeanOverClasses(metric, targets)
