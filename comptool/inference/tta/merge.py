"""Merges of the predictions of several views; the softmax is numpy's, as SciPy imports slowly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool import tasks
from comptool.errors import UsageError, unknown_name

Numbers = npt.NDArray[np.floating[Any]]


def merge_mean(logits: Numbers, weights: Sequence[float] = ()) -> Numbers:
    """Arithmetic mean, by V weights that sum to one, of probabilities of (V, ..., K) logits."""
    return _mean(_softmax(logits), weights)


def _mean(values: Numbers, weights: Sequence[float]) -> Numbers:
    if not weights:
        return np.asarray(values.mean(axis=0))
    return np.tensordot(np.asarray(weights, values.dtype), values, axes=1)


def merge_gmean(logits: Numbers) -> Numbers:
    """Normalised geometric mean of the probabilities, by logarithms to avoid underflow."""
    return _softmax(_log_softmax(logits).mean(axis=0))


def merge_max(logits: Numbers) -> Numbers:
    """Largest probability of each class, made to sum to one."""
    largest = _softmax(logits).max(axis=0)
    return np.asarray(largest / largest.sum(axis=-1, keepdims=True))


MERGES: dict[str, Callable[[Numbers], Numbers]] = {
    "mean": merge_mean,
    "gmean": merge_gmean,
    "max": merge_max,
}


def merge(logits: Numbers, how: str, task: str, weights: Sequence[float] = ()) -> Numbers:
    """Merge the logits (V, B, K) of V views into probabilities (B, K) of the same type.

    ``how`` is one of `MERGES`; classes are independent in a ``task`` of several labels, and numbers
    have only the mean; ``weights`` of the V views in a mean sum to one, empty for equal ones.
    Raises a UsageError if the merge is unknown or not one of the task, or weights are given for
    another merge than the mean.
    """
    if how not in MERGES:
        raise unknown_name("merge", how, MERGES)
    if weights and how != "mean":
        raise UsageError(f"weights of views are those of the mean, not of {how}")
    kind = tasks.find(task)
    if kind.numbers:
        if how != "mean":
            raise UsageError(
                f"--merge {how} is of probabilities, and the task is {task}; take mean"
            )
        return _mean(kind.probabilities(logits), weights)
    merged = partial(merge_mean, weights=weights) if weights else MERGES[how]
    return kind.chosen(merged(kind.choices(logits)))


def _softmax(logits: Numbers) -> Numbers:
    powers = np.exp(_below_largest(logits))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _log_softmax(logits: Numbers) -> Numbers:
    below = _below_largest(logits)
    return np.asarray(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)))


def _below_largest(logits: Numbers) -> Numbers:
    return np.asarray(logits - logits.max(axis=-1, keepdims=True))
