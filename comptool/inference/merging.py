"""How the predictions of several views of an image become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, softmax

from comptool.errors import UsageError, unknown_name

Numbers = npt.NDArray[np.floating[Any]]


def merge_mean(logits: Numbers, weights: Sequence[float] = ()) -> Numbers:
    """Arithmetic mean, by V weights that sum to one, of probabilities of (V, ..., K) logits."""
    probabilities: Numbers = softmax(logits, axis=-1)
    if not weights:
        return np.asarray(probabilities.mean(axis=0))
    return np.tensordot(np.asarray(weights, probabilities.dtype), probabilities, axes=1)


def merge_gmean(logits: Numbers) -> Numbers:
    """Geometric mean of the probabilities, made to sum to one.

    It is taken of logarithms: products of small probabilities would vanish.
    """
    return np.asarray(softmax(log_softmax(logits, axis=-1).mean(axis=0), axis=-1))


def merge_max(logits: Numbers) -> Numbers:
    """Largest probability of each class, made to sum to one."""
    largest = softmax(logits, axis=-1).max(axis=0)
    return np.asarray(largest / largest.sum(axis=-1, keepdims=True))


MERGES: dict[str, Callable[[Numbers], Numbers]] = {
    "mean": merge_mean,
    "gmean": merge_gmean,
    "max": merge_max,
}


def merge(logits: Numbers, how: str, task: str, weights: Sequence[float] = ()) -> Numbers:
    """Probabilities of B samples from the logits of V views.

    Parameters
    ----------
    logits
        Of shape (V, B, K).
    how
        One of `MERGES`.
    task
        ``multiclass``: softmax over the classes. ``multilabel``: each class is a choice of its own
        between yes and no, so that the same three merges apply to it.
    weights
        Of the V views in a mean, summing to one; empty for equal ones.

    Returns
    -------
    numpy.ndarray
        Of shape (B, K) and the type of ``logits``.

    Raises
    ------
    UsageError
        If no merge is called so, or another than the mean is given weights.
    """
    if how not in MERGES:
        raise unknown_name("merge", how, MERGES)
    if weights and how != "mean":
        raise UsageError(f"weights of views are those of the mean, not of {how}")
    merged = partial(merge_mean, weights=weights) if weights else MERGES[how]
    if task == "multiclass":
        return merged(logits)
    against_no = np.stack([np.zeros_like(logits), logits], axis=-1)  # (V, B, K, 2)
    return merged(against_no)[..., 1]
