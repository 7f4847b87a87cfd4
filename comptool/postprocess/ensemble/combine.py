"""Combination of predictions: mean, geometric mean, power mean, rank mean, vote.

All means are computed in float64. An ensemble of one member is that member, whatever the method. A
tied vote results in equal probabilities, whose most probable class is the first in class order;
unequal weights break such ties.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from comptool import tasks
from comptool.errors import UsageError
from comptool.machine import compute_threads, threads

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

POWER = 3.0


def mean(members: Sequence[Floats], weights: Sequence[float]) -> Doubles:
    """Weighted arithmetic mean."""
    total = np.zeros(members[0].shape)
    for member, weight in zip(members, weights, strict=True):
        total += weight * member.astype(np.float64)
    return total


def geometric_mean(members: Sequence[Floats], weights: Sequence[float]) -> Doubles:
    """Weighted geometric mean, computed in log space against underflow; rows do not sum to one.

    A probability of 0 counts as the smallest normal float64, so that classes with zeros are still
    ordered by the number of members with a zero.
    """
    total = np.zeros(members[0].shape)
    for member, weight in zip(members, weights, strict=True):
        total += weight * np.log(np.maximum(member.astype(np.float64), np.finfo(np.float64).tiny))
    return np.exp(total)


def power_mean(
    members: Sequence[Floats], weights: Sequence[float], power: float = POWER
) -> Doubles:
    """Weighted power mean: larger powers favour confident members; rows do not sum to one.

    A power of 1 is the arithmetic mean, the limit 0 the geometric mean, infinity the maximum.
    "Power averaging" in competitions omits the root, which changes neither the most probable class
    of a row nor the order of the rows within a class; with it, averaging a member with itself
    changes nothing. Source: P. S. Bullen, "Handbook of Means and Their Inequalities", 2003, chapter
    III.

    >>> power_mean([np.array([[0.6]]), np.array([[0.8]])], [0.5, 0.5], power=2).round(4)
    array([[0.7071]])
    """
    largest = np.max([member.astype(np.float64) for member in members], axis=0)
    # Relative to the maximum, so that powers of small probabilities do not underflow.
    scale = np.where(largest > 0, largest, 1.0)
    shares = mean([(member / scale) ** power for member in members], weights)
    return scale * shares ** (1 / power)


def rank_mean(members: Sequence[Floats], weights: Sequence[float]) -> Doubles:
    """Weighted mean of each class's ranks, as shares of N in (0, 1].

    Within a class the most probable row has the rank 1 and the least probable 1/N; ties share the
    mean of their ranks. Sharp and flat members so count equally. The rows do not sum to one.

    >>> rank_mean([np.array([[0.9], [0.2], [0.2], [0.1]])], [1.0]).ravel()
    array([1.   , 0.625, 0.625, 0.25 ])
    """

    def of_class(columns: Sequence[Floats]) -> Doubles:
        return mean([_average_ranks(values) for values in columns], weights)

    # Copying and sorting release the global interpreter lock.
    with threads(compute_threads()) as pool:
        by_class = list(pool.map(lambda member: np.ascontiguousarray(member.T), members))
        return np.array(list(pool.map(of_class, zip(*by_class, strict=True)))).T


def _average_ranks(values: Floats) -> Doubles:
    order = values.argsort()
    rising = values[order]
    ends = np.flatnonzero(np.concatenate([rising[1:] != rising[:-1], [True]])) + 1
    counts = np.diff(ends, prepend=0)
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((ends - (counts - 1) / 2) / len(values), counts)
    return ranks


METHODS: dict[str, Callable[[Sequence[Floats], Sequence[float]], Doubles]] = {
    "mean": mean,
    "gmean": geometric_mean,
    "power": power_mean,
    "rank-mean": rank_mean,
    # of ballots
    "vote": mean,
}
OF_NUMBERS = ("mean", "rank-mean")


def combine(
    members: Sequence[Floats],
    method: str = "mean",
    weights: Sequence[float] | None = None,
    task: str = tasks.DEFAULT_TASK,
    *,
    power: float = POWER,
) -> Floats:
    """Combine members, (N, K) each, into the probabilities of the ensemble, (N, K) in [0, 1].

    Numbers have a mean and a mean of ranks, which are shares of N.

    With one class per image, the rows of the result sum to one; with several labels, classes are
    independent and a member votes for those above one half. A single member is returned itself.
    ``method`` is one of `METHODS`; weights, one per member, are at least 0 and not all 0, None for
    equal ones.
    UsageError if the weights or the power (above 0) are invalid, or the task has no such method.
    """
    shares = normalised_weights(weights, len(members))
    if not 0 < power < float("inf"):
        raise UsageError(f"--power must be a number above 0, not {power:g}")
    if len(members) == 1:
        return members[0]
    kind = tasks.find(task)
    if kind.numbers and method not in OF_NUMBERS:
        raise UsageError(
            f"--method {method} is of probabilities, and the task is {task}; take "
            f"{' or '.join(OF_NUMBERS)}"
        )
    methods = METHODS | {"power": partial(power_mean, power=power)}
    if method == "vote":
        members = [kind.ballots(member) for member in members]
    found = methods[method](members, shares)
    return found if kind.numbers else kind.normalised(np.minimum(found, 1.0))


def by_class(members: Sequence[Floats], weights: Doubles) -> Doubles:
    """Weighted arithmetic mean with weights of shape (M,) or (M, K)."""
    total = np.zeros(members[0].shape)
    for member, weight in zip(members, weights, strict=True):
        total += member * weight
    # A mean is no larger than its largest member, as rounding may make it.
    return np.minimum(total, max(float(member.max()) for member in members))


def normalised_weights(weights: Sequence[float] | None, num_members: int) -> list[float]:
    """The weights divided by their sum; equal weights for None."""
    if weights is None:
        return [1 / num_members] * num_members
    if len(weights) != num_members:
        raise UsageError(f"--weights has {len(weights)} values for {num_members} members")
    total = sum(weights)
    if not all(weight >= 0 for weight in weights) or not 0 < total < float("inf"):
        given = ",".join(f"{weight:g}" for weight in weights)
        raise UsageError(f"--weights must be numbers of at least 0, not all 0; got {given}")
    return [weight / total for weight in weights]
