"""What the single-label losses are given: logits, targets, smoothing, class weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from comptool.errors import UsageError


def checked_smoothing(smoothing: float) -> float:
    """The label smoothing, in [0, 1); UsageError otherwise."""
    if not 0 <= smoothing < 1:
        raise UsageError(f"the label smoothing is {smoothing}; it has to be in [0, 1)")
    return smoothing


def checked_gamma(gamma: float) -> float:
    """The focusing exponent, 0 or more and finite; UsageError otherwise."""
    if not 0 <= gamma < math.inf:
        raise UsageError(f"gamma is {gamma}; it has to be 0 or more, and finite")
    return gamma


def checked_weights(weights: Sequence[float] | Tensor | None) -> Tensor | None:
    """Class weights of shape (K,) as float32; UsageError if one is not positive and finite."""
    if weights is None:
        return None
    tensor = torch.as_tensor(weights, dtype=torch.float32).detach().clone()
    wrong = tensor[~((tensor > 0) & tensor.isfinite())]
    if tensor.ndim != 1 or wrong.numel():
        shown = ", ".join(f"{value:g}" for value in wrong.flatten()[:3].tolist())
        raise UsageError(
            f"class weights have to be one positive, finite number per class (found {shown})"
            if shown
            else f"class weights have to be one list, not of shape {tuple(tensor.shape)}"
        )
    return tensor


def checked_counts(counts: Sequence[float] | Tensor | None, owner: str) -> Tensor:
    """Training rows of each class, (K,), float64, at least 1; UsageError if there are none.

    Parameters
    ----------
    counts
        0 or more and finite, one per class.
    owner
        What needs them, for messages: ``the loss 'ldam'``.
    """
    if counts is None:
        raise UsageError(f"{owner} needs class_counts, the training rows of each class")
    tensor = torch.as_tensor(counts, dtype=torch.float64).detach().clone()
    if tensor.ndim != 1 or not len(tensor) or not ((tensor >= 0) & tensor.isfinite()).all():
        raise UsageError(f"class_counts have to be one number per class, 0 or more, for {owner}")
    return tensor.clamp_min(1)


def checked_tau(tau: float) -> float:
    """The weight of the classes' frequencies, 0 or more and finite; UsageError otherwise."""
    if not 0 <= tau < math.inf:
        raise UsageError(f"tau is {tau}; it has to be 0 or more, and finite")
    return tau


def shares_of(targets: Tensor, logits: Tensor) -> Tensor:
    """Class shares (B, K) in the logits' type, of class indices (B,) or class shares."""
    if targets.is_floating_point():
        return targets
    return functional.one_hot(targets, logits.shape[1]).to(logits)


def prepared(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits in float32 or float64, and targets as torch's cross-entropy takes them.

    Parameters
    ----------
    logits
        Floating, of any precision, shape (B, K) with K of 2 or more.
    targets
        Class indices of shape (B,), any integer type; or class shares of shape (B, K), floating,
        each row summing to one.

    Returns
    -------
    tuple
        ``logits`` (B, K), and ``targets`` as int64 (B,) or in the logits' type (B, K).

    Raises
    ------
    ValueError
        If the shapes or types are others; names those found.
    """
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"logits have to be of shape (B, K), K >= 2; got {tuple(logits.shape)}")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if targets.is_floating_point() and targets.shape == logits.shape:
        return logits, targets.to(logits.dtype)
    is_index = not targets.is_floating_point() and targets.dtype != torch.bool
    if is_index and targets.shape == logits.shape[:1]:
        return logits, targets.long()
    raise ValueError(
        f"targets have to be integers of shape ({len(logits)},) or floats of shape "
        f"{tuple(logits.shape)}; got {targets.dtype} of shape {tuple(targets.shape)}"
    )
