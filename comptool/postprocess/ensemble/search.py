"""Search of ensemble weights: greedy forward selection and a continuous pattern search.

Greedy: R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes, "Ensemble selection from libraries
of models", ICML 2004. It starts from the best few members (sorted initialisation) and adds, with
replacement, the member that improves the metric most; the weights are the counts at the best step.
Bagging averages the results of searches on random halves of the members, which overfits less.

Continuous: a pattern search (R. Hooke and T. A. Jeeves, 1961) over non-negative weights that sum to
one. Each weight in turn is raised and lowered by a step, which is halved when no move is an
improvement. It needs no gradient, which accuracy and average precision do not have.

Members are first sorted by their scores, ties by log-loss, so that the result does not depend on
the order or the names of the files. Identical members are searched as one and share its weight.

An objective keeps members in the form in which sums of them are fastest to score: for average
precision and ROC area, which only depend on the order within a class, class-major float32, whose
bits sort as integers; for the log-loss, the probability of the truth. Other metrics are computed
from the mean. Higher is better: the sign of a metric that falls is turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from comptool.errors import UsageError
from comptool.metrics.curve_areas import areas, precisions, rank_sorted
from comptool.metrics.metric_registry import Floats, Metric, Targets
from comptool.metrics.multiclass import SMALLEST
from comptool.tasks import of_targets

Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

# Scores are rounded: the order of a sum changes the last digits, which must not decide.
DIGITS = 12
STEPS = 50
BAGS = 0
BAG_SHARE = 0.5
FIRST_STEP = 0.5
LAST_STEP = 0.01
SEARCHES = ("greedy", "continuous")


class Objective(Protocol):
    """The objective of a search; by class, members are kept class-major, (K, N)."""

    by_class: bool

    def arrange(self, member: Floats) -> Floats:
        """Probabilities, (N, K), in the form that the objective sums."""

    def values(self, total: Floats, weight: float) -> Doubles:
        """Values of a sum of arranged members: (K,) by class, NaN if undefined, else (1,)."""


class Ranking:
    """Average precision or ROC area of each class.

    The number of present cells that are as probable or more is known in advance; only their places
    among all cells depend on the order. `rank_sorted` handles classes with ties.
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
        # For each present cell: the number as probable or more, and the end of its class.
        self._found = self._positives[of_class] + first[of_class] - np.arange(len(of_class))
        self._past = of_class * rows.shape[1] + self._known[of_class]
        self._firsts = first[self._positives > 0]
        self._keys = np.empty(rows.shape, dtype=np.uint32)

    def arrange(self, member: Floats) -> Floats:
        """Class-major float32."""
        # Adding 0 turns -0.0 into 0.0; its bits would sort last.
        return np.ascontiguousarray(np.add(member.T, 0, dtype=np.float32))

    def values(self, total: Floats, weight: float) -> Doubles:
        """One value per class; the order does not depend on the weight."""
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
    """A metric that is a mean over classes."""

    by_class = True

    def __init__(self, metric: Metric, targets: Targets) -> None:
        self._values = metric.load_per_class()
        self._sign = metric.sign
        self._targets = targets

    def arrange(self, member: Floats) -> Floats:
        """Class-major float64: answers depend on the last digit."""
        return np.ascontiguousarray(member.T, dtype=np.float64)

    def values(self, total: Floats, weight: float) -> Doubles:
        """One value per class, NaN if undefined."""
        values = self._values(self._targets, np.minimum(total.T / weight, 1))
        return self._sign * values.astype(np.float64)


class LogLoss:
    """The negative log-loss, for one class per image or for cells."""

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
        """Contribution of each class to the mean log-probability of the truth."""
        terms = np.log(np.clip(total / weight, SMALLEST, 1)) * self._cells
        scale = np.atleast_2d(self._cells).shape[0] / self._cells.sum()
        sums: Doubles = np.atleast_1d(terms.sum(axis=-1)) * scale
        return sums


class SquaredError:
    """The negative mean squared error of numbers."""

    by_class = False

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def arrange(self, member: Floats) -> Floats:
        """Unchanged, as float64."""
        return member.astype(np.float64)

    def values(self, total: Floats, weight: float) -> Doubles:
        """One value."""
        return np.array([-((total / weight - self._targets) ** 2).mean()])


class AnyMetric:
    """Any metric, computed from the mean of the members."""

    by_class = False

    def __init__(self, metric: Metric, targets: Targets) -> None:
        self._metric = metric
        self._targets = targets
        # A sum and its mean have the same most probable class.
        self._of_sum = metric.needs_decisions and targets.ndim == 1 and not metric.is_users
        self._most = np.inf if of_targets(targets).numbers else 1.0

    def arrange(self, member: Floats) -> Floats:
        """Unchanged, as float64."""
        return member.astype(np.float64)

    def values(self, total: Floats, weight: float) -> Doubles:
        """One value."""
        mean = total if self._of_sum else np.minimum(total / weight, self._most)
        return np.array([self._metric.sign * self._metric.prepare(self._targets, mean)()])


def objective(metric: Metric, targets: Targets, *, per_class: bool = False) -> Objective:
    """The objective of a metric."""
    found: Objective
    if metric.name == "logloss":
        found = LogLoss(targets)
    elif targets.ndim == 1 or not metric.per_class:
        found = AnyMetric(metric, targets)
    elif metric.order_only:
        found = Ranking(targets, area=metric.name == "auc")
    else:
        found = MeanOverClasses(metric, targets)
    if per_class and not (targets.ndim == 2 and found.by_class):
        raise UsageError(
            "weights per class can be searched for multi-label metrics that are means over "
            f"classes (map, auc, macro-f1, logloss), and {metric.name} is not one here"
        )
    return found


def search(
    members: Sequence[Floats],
    targets: Targets,
    metric: Metric,
    *,
    how: str = "greedy",
    per_class: bool = False,
    steps: int = STEPS,
    bags: int = BAGS,
    seed: int = 0,
) -> Doubles:
    """Search the weights with the best metric on labelled rows.

    ``members`` are M arrays of probabilities, (N, K); ``targets`` are class indices, (N,), or 1, 0
    and -1, (N, K). The weights are at least 0, of shape (M,), or (M, K) if ``per_class``; their sum
    over members is one. ``how`` is one of `SEARCHES`; the greedy search adds at most ``steps`` (1
    or more) members and averages ``bags`` searches over random halves of the members (0: one search
    over all), drawn by ``seed``; the continuous one reads neither. UsageError if there is no such
    metric or search, or classes cannot have their own weights.
    """
    if how not in SEARCHES:
        raise UsageError(f"a search is {' or '.join(SEARCHES)}, not '{how}'")
    goal = objective(metric, targets, per_class=per_class)
    stack = np.stack([goal.arrange(member) for member in members])
    alone = np.array([_score(goal.values(member, 1)) for member in stack])
    order = best_first(alone, members, targets)
    first = _first_of_copies(stack[order], alone[order])
    distinct, which, copies = np.unique(first, return_inverse=True, return_counts=True)
    stack = stack[order[distinct]]
    if how == "continuous":
        found = _continuous_by_class(stack, goal) if per_class else _continuous(stack, goal)
    else:
        found = _bagged(stack, goal, per_class, steps, bags, seed)
    weights = np.empty((len(order), *found.shape[1:]))
    weights[order] = (found.T / copies).T[which]
    return weights


def best_first(alone: Doubles, members: Sequence[Floats], targets: Targets) -> Rows:
    """The order of M members by their scores, best first; ties by log-loss or squared error."""
    ties = np.zeros(len(members))
    if len(np.unique(alone)) < len(alone):
        goal = SquaredError(targets) if of_targets(targets).numbers else LogLoss(targets)
        ties = np.array([_score(goal.values(goal.arrange(member), 1)) for member in members])
    return np.lexsort((-ties, -alone))


def _first_of_copies(stack: Floats, alone: Doubles) -> Rows:
    """Index of the first identical member for each member, shape (M,)."""
    first = np.arange(len(stack))
    for place in range(1, len(stack)):
        for earlier in np.flatnonzero(alone[:place] == alone[place]):
            if np.array_equal(stack[earlier], stack[place]):
                first[place] = first[earlier]
                break
    return first


def _score(values: Doubles) -> float:
    return round(float(np.nanmean(values)), DIGITS)


def _bagged(
    stack: Floats, goal: Objective, per_class: bool, steps: int, bags: int, seed: int
) -> Doubles:
    if not bags or len(stack) <= 2:
        return _greedy(stack, goal, per_class, steps)
    rng = np.random.default_rng(seed)
    size = max(2, round(BAG_SHARE * len(stack)))
    total: Doubles = np.zeros(1)
    for _ in range(bags):
        drawn = np.sort(rng.choice(len(stack), size, replace=False))
        found = _greedy(stack[drawn], goal, per_class, steps)
        spread = np.zeros((len(stack), *found.shape[1:]))
        spread[drawn] = found
        total = total + spread
    return total / bags


def _greedy(stack: Floats, goal: Objective, per_class: bool, steps: int) -> Doubles:
    """Weights, (M,) or (M, K), at the best step."""
    counts, total, values = _start(stack, goal)
    if per_class:
        return _greedy_by_class(stack, goal, counts, total, values, steps)
    best_counts, best = counts.copy(), _score(values)
    for _ in range(steps):
        weight = counts.sum() + 1
        scores = [_score(goal.values(total + member, weight)) for member in stack]
        taken = int(np.argmax(scores))
        counts[taken] += 1
        total += stack[taken]
        if scores[taken] > best:
            best_counts, best = counts.copy(), scores[taken]
    shares: Doubles = best_counts / best_counts.sum()
    return shares


def _start(stack: Floats, goal: Objective) -> tuple[Doubles, Floats, Doubles]:
    """Sorted initialisation: counts, sum and values of the best first members."""
    total, best = np.zeros_like(stack[0]), -np.inf
    for number, member in enumerate(stack, start=1):
        total = total + member
        values = goal.values(total, number)
        if _score(values) > best:
            best, found = _score(values), (number, total, values)
    number, total, values = found
    return (np.arange(len(stack)) < number).astype(np.float64), total, values


def _greedy_by_class(
    stack: Floats, goal: Objective, counts: Doubles, total: Floats, values: Doubles, steps: int
) -> Doubles:
    """Greedy selection for each class independently."""
    classes = np.arange(stack.shape[1])
    taken = np.repeat(counts[:, None], len(classes), axis=1)
    best_taken, best = taken.copy(), np.nan_to_num(values, nan=-np.inf)
    weight = float(counts.sum())
    for _ in range(steps):
        weight += 1
        scores = np.stack([goal.values(total + member, weight) for member in stack])
        scores = np.nan_to_num(scores, nan=-np.inf)
        pick = scores.argmax(axis=0)
        taken[pick, classes] += 1
        total = total + stack[pick, classes]
        better = scores[pick, classes] > best
        best_taken[:, better] = taken[:, better]
        best = np.maximum(best, scores[pick, classes])
    shares: Doubles = best_taken / best_taken.sum(axis=0)
    return shares


def _continuous(stack: Floats, goal: Objective) -> Doubles:

    def score_of(weights: Doubles) -> float:
        return _score(goal.values(np.tensordot(weights.astype(stack.dtype), stack, axes=1), 1))

    weights, _, _ = _start(stack, goal)
    weights /= weights.sum()
    best = score_of(weights)
    step = FIRST_STEP
    while step >= LAST_STEP:
        improved = False
        for place in range(len(stack)):
            for change in (step, -step):
                moved = weights.copy()
                moved[place] = max(moved[place] + change, 0)
                if moved.sum() == 0 or moved[place] == weights[place]:
                    continue
                moved /= moved.sum()
                if (score := score_of(moved)) > best:
                    weights, best, improved = moved, score, True
        step = step if improved else step / 2
    return weights


def _continuous_by_class(stack: Floats, goal: Objective) -> Doubles:
    """Pattern search for each class independently."""
    num_members, num_classes = stack.shape[:2]
    start, _, values = _start(stack, goal)
    weights = np.repeat(start[:, None] / start.sum(), num_classes, axis=1)
    best = np.nan_to_num(values, nan=-np.inf)
    step = FIRST_STEP
    while step >= LAST_STEP:
        improved = False
        for place in range(num_members):
            for change in (step, -step):
                moved = weights.copy()
                moved[place] = np.maximum(moved[place] + change, 0)
                sums = moved.sum(axis=0)
                moved = np.where(sums > 0, moved / np.where(sums > 0, sums, 1), weights)
                mixed = np.einsum("mk,mkn->kn", moved.astype(stack.dtype), stack)
                scores = np.nan_to_num(goal.values(mixed, 1), nan=-np.inf)
                better = scores > best
                weights[:, better], best[better] = moved[:, better], scores[better]
                improved |= bool(better.any())
        step = step if improved else step / 2
    return weights
