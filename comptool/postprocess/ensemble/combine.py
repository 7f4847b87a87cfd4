"""Several predictions made one: mean, geometric mean, power mean, rank mean, vote.

All means are taken in float64, whatever the files hold. An ensemble of one member is that member,
whatever the method. Ties: a vote that is tied leaves equal probabilities behind, and whoever takes
the most probable class then takes the first in class order; uneven weights break such ties.
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
    """Weighted geometric mean, taken in log space so that nothing underflows.

    A probability of 0 counts as the smallest normal float64, so that classes that each have been
    ruled out by somebody are still told apart by how many members ruled them out. The rows do not
    sum to one.
    """
    total = np.zeros(members[0].shape)
    for member, weight in zip(members, weights, strict=True):
        total += weight * np.log(np.maximum(member.astype(np.float64), np.finfo(np.float64).tiny))
    result: Doubles = np.exp(total)
    return result


def power_mean(
    members: Sequence[Floats], weights: Sequence[float], power: float = POWER
) -> Doubles:
    """Weighted power mean, the root of the mean of the powers: sure members have more say.

    A power of 1 is the arithmetic mean; towards 0 it becomes the geometric mean, towards infinity
    the largest value. "Power averaging", as competitors know it, leaves out the root, which changes
    neither a row's most probable class nor, of a class that stands alone, the order of the rows;
    with it a member averaged with itself stays what it was. The rows do not sum to one.

    Parameters
    ----------
    members
        Probabilities of shape (N, K) each.
    weights
        One weight per member, summing to one.
    power
        Above 0.

    References
    ----------
    P. S. Bullen, "Handbook of Means and Their Inequalities", 2003, chapter III.

    Examples
    --------
    >>> power_mean([np.array([[0.6]]), np.array([[0.8]])], [0.5, 0.5], power=2).round(4)
    array([[0.7071]])
    """
    largest = np.max([member.astype(np.float64) for member in members], axis=0)
    # As shares of the largest, so that powers of small probabilities do not vanish.
    scale = np.where(largest > 0, largest, 1.0)
    shares = mean([(member / scale) ** power for member in members], weights)
    result: Doubles = scale * shares ** (1 / power)
    return result


def rank_mean(members: Sequence[Floats], weights: Sequence[float]) -> Doubles:
    """Weighted mean of each class's ranks, as shares of N in (0, 1].

    Within a class the most probable row has the rank 1 and the least probable 1/N; equal
    probabilities share the mean of their ranks. Members that are sharp and members that are flat
    so have the same say. The rows do not sum to one.

    Parameters
    ----------
    members
        Probabilities of shape (N, K) each.
    weights
        One weight per member, summing to one.

    Examples
    --------
    >>> rank_mean([np.array([[0.9], [0.2], [0.2], [0.1]])], [1.0]).ravel()
    array([1.   , 0.625, 0.625, 0.25 ])
    """

    def of_class(columns: Sequence[Floats]) -> Doubles:
        return mean([_average_ranks(values) for values in columns], weights)

    # Copying and sorting let go of Python's lock.
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
    # Of ballots, see `combine`.
    "vote": mean,
}


def combine(
    members: Sequence[Floats],
    method: str = "mean",
    weights: Sequence[float] | None = None,
    task: str = tasks.DEFAULT_TASK,
    *,
    power: float = POWER,
) -> Floats:
    """Probabilities of the ensemble.

    Parameters
    ----------
    members
        Probabilities of shape (N, K) each, same rows and classes; at least one.
    method
        ``"mean"``, ``"gmean"``, ``"power"``, ``"rank-mean"`` or ``"vote"``.
    weights
        One weight per member, at least 0, not all 0; None for equal weights.
    task
        Name of the task: of one class per image the rows of the result sum to one; of several
        labels every class stands alone, and a member votes for it with more than one half.
    power
        Of the power mean, above 0.

    Returns
    -------
    numpy.ndarray
        Floats of shape (N, K) in [0, 1]; the member itself if there is only one.

    Raises
    ------
    UsageError
        If the weights or the power do not fit.
    """
    shares = normalised_weights(weights, len(members))
    if not 0 < power < float("inf"):
        raise UsageError(f"--power must be a number above 0, not {power:g}")
    if len(members) == 1:
        return members[0]
    kind = tasks.find(task)
    methods = METHODS | {"power": partial(power_mean, power=power)}
    if method == "vote":
        members = [kind.ballots(member) for member in members]
    return kind.normalised(np.minimum(methods[method](members, shares), 1.0))


def by_class(members: Sequence[Floats], weights: Doubles) -> Doubles:
    """Weighted arithmetic mean with weights of each class by itself."""
    total = np.zeros(members[0].shape)
    for member, weight in zip(members, weights, strict=True):
        total += member * weight
    return np.minimum(total, 1.0)


def normalised_weights(weights: Sequence[float] | None, num_members: int) -> list[float]:
    """The weights divided by their sum; equal ones for None."""
    if weights is None:
        return [1 / num_members] * num_members
    if len(weights) != num_members:
        raise UsageError(f"--weights has {len(weights)} values and there are {num_members} members")
    total = sum(weights)
    if not all(weight >= 0 for weight in weights) or not 0 < total < float("inf"):
        given = ",".join(f"{weight:g}" for weight in weights)
        raise UsageError(f"--weights must be numbers from 0 on, not all 0; got {given}")
    return [weight / total for weight in weights]
