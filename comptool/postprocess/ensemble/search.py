"""Searched ensemble weights: greedy forward selection and a continuous search.

Greedy: R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes, "Ensemble selection from libraries
of models", ICML 2004. Starting from the best few members by themselves (sorted initialisation),
the member whose addition is best is added, again and again, a member more than once if it is; the
weights are how often each was taken, up to the best step. Bagging repeats this with half of the
members, drawn anew each time, and averages, which overfits less.

Continuous: a pattern search (R. Hooke and T. A. Jeeves, 1961) over weights that are not negative
and sum to one. Each weight in turn is raised and lowered by a step; the step is halved when
nothing is gained. It needs no gradient, which accuracy and average precision do not have.

Members are put in the order of their own scores first, of equal ones by their log-loss, so that
neither their order nor the names of the files matter. Copies are searched as one member and share
its weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from comptool.errors import UsageError
from comptool.metrics.metric_registry import Floats, Targets
from comptool.postprocess.ensemble.objectives import Doubles, LogLoss, Objective, objective

Rows = npt.NDArray[np.intp]

# Sums in another order differ in the last digits, which is no reason to prefer a member.
DIGITS = 12
STEPS = 50
BAGS = 0
BAG_SHARE = 0.5
FIRST_STEP = 0.5
LAST_STEP = 0.01
SEARCHES = ("greedy", "continuous")


def search(
    members: Sequence[Floats],
    targets: Targets,
    metric: str,
    *,
    how: str = "greedy",
    per_class: bool = False,
    steps: int = STEPS,
    bags: int = BAGS,
    seed: int = 0,
) -> Doubles:
    """Weights that are best on labelled rows.

    Parameters
    ----------
    members
        M arrays of probabilities of shape (N, K).
    targets
        Class indices of shape (N,), or 1, 0 and -1 of shape (N, K).
    metric
        Name of a metric of the task.
    how
        ``"greedy"`` or ``"continuous"``.
    per_class
        Whether each class has its own weights.
    steps
        Greedy: members added at most, at least 1.
    bags
        Greedy: how many draws of half of the members are averaged; 0 takes all members once.
    seed
        Of the bags.

    Returns
    -------
    numpy.ndarray
        At least 0, shape (M,), or (M, K) if ``per_class``; the sum over members is one.

    Raises
    ------
    UsageError
        If there is no such metric or search, or classes cannot have their own weights.
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
    """The order of M members by their scores; of equal scores, by their log-loss."""
    ties = np.zeros(len(members))
    if len(np.unique(alone)) < len(alone):
        goal = LogLoss(targets)
        ties = np.array([_score(goal.values(goal.arrange(member), 1)) for member in members])
    return np.lexsort((-ties, -alone))


def _first_of_copies(stack: Floats, alone: Doubles) -> Rows:
    """Of each member the first that is the same, shape (M,)."""
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
    mean: Doubles = total / bags
    return mean


def _greedy(stack: Floats, goal: Objective, per_class: bool, steps: int) -> Doubles:
    """Shares of the members, (M,) or (M, K), after the best of all steps."""
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
    """The mean of the best few members, as many as is best."""
    total, best = np.zeros_like(stack[0]), -np.inf
    for number, member in enumerate(stack, start=1):
        total = total + member
        values = goal.values(total, number)
        if _score(values) > best:
            best, found = _score(values), (number, total, values)
    number, total, values = found
    return (np.arange(len(stack)) < number).astype(np.float64), total, values


def _greedy_by_class(
    stack: Floats,
    goal: Objective,
    counts: Doubles,
    total: Floats,
    values: Doubles,
    steps: int,
) -> Doubles:
    """Every class takes its own best member at each step."""
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
    weights, _, _ = _start(stack, goal)
    weights /= weights.sum()
    best = _score(goal.values(_mixed(stack, weights), 1))
    step = FIRST_STEP
    while step >= LAST_STEP:
        improved = False
        for place in range(len(stack)):
            for change in (step, -step):
                moved = _moved(weights, place, change)
                score = -np.inf if moved is None else _score(goal.values(_mixed(stack, moved), 1))
                if moved is not None and score > best:
                    weights, best, improved = moved, score, True
        step = step if improved else step / 2
    return weights


def _continuous_by_class(stack: Floats, goal: Objective) -> Doubles:
    """Every class keeps the moves that are good for itself."""
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


def _moved(weights: Doubles, place: int, change: float) -> Doubles | None:
    """The weights with one of them changed, normalised; None if nothing is left or changed."""
    moved = weights.copy()
    moved[place] = max(moved[place] + change, 0)
    if moved.sum() == 0 or moved[place] == weights[place]:
        return None
    result: Doubles = moved / moved.sum()
    return result


def _mixed(stack: Floats, weights: npt.NDArray[np.float64]) -> Floats:
    mixed: Floats = np.tensordot(weights.astype(stack.dtype), stack, axes=1)
    return mixed
