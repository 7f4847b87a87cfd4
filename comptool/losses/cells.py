"""What the multi-label losses are made of: cells, one per image and class.

A target of -1 marks a cell that nobody annotated; it gives neither loss nor gradient. The terms are
written with the log of the sigmoid, which loses no digit at either end. They are written here,
and not taken from timm, because timm's count -1 as a target, let a positive below p = 1e-8 go
without a gradient, and give NaN for a focusing exponent between 0 and 1; the tests hold ours equal
to timm's everywhere else.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from comptool.errors import UsageError, unknown_name
from comptool.losses.arguments import checked_smoothing

UNKNOWN = -1
REDUCTIONS = ("mean", "batchmean", "sum")
Reduction = Literal["mean", "batchmean", "sum"]


class Cells(NamedTuple):
    """A batch of B images and K classes.

    Parameters
    ----------
    logits
        (B, K), float32 or float64, 0 where the target is unknown.
    targets
        (B, K), of the logits' type, in [0, 1], 0 where unknown.
    known
        (B, K), bool.
    """

    logits: Tensor
    targets: Tensor
    known: Tensor


class Term(NamedTuple):
    """The loss of cells as positives or as negatives, in two factors of shape (B, K).

    Parameters
    ----------
    focus
        (1 - p_t) ** gamma, p_t being the probability of what the cell should be.
    entropy
        -log p_t.
    """

    focus: Tensor
    entropy: Tensor


class CellLoss(nn.Module, ABC):
    """A loss that is a sum over cells.

    Parameters
    ----------
    smoothing
        Label smoothing e, in [0, 1): a known target y becomes (1 - e) y + e / 2.
    reduction
        ``mean`` over the known cells; ``batchmean``: sum over the classes, mean over the images
        that have a known cell; ``sum`` over everything, which grows with the batch.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    def __init__(self, *, smoothing: float, reduction: Reduction) -> None:
        super().__init__()
        self.smoothing = checked_smoothing(smoothing)
        self.reduction = checked_reduction(reduction)

    @abstractmethod
    def cell_losses(self, cells: Cells) -> Tensor:
        """Loss of every cell, (B, K); what stands in unknown cells has no effect."""

    def cell_weights(self, cells: Cells) -> Tensor | float:
        """What the loss of every cell is multiplied by, from targets before smoothing."""
        return 1.0

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against targets (B, K) in [0, 1] or -1: a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            cells = cells_of(logits, targets)
            weights = self.cell_weights(cells)
            smoothed = cells.targets * (1 - self.smoothing) + self.smoothing / 2
            losses = weights * self.cell_losses(cells._replace(targets=smoothed))
            return reduced(losses, cells.known, self.reduction)


def cells_of(logits: Tensor, targets: Tensor) -> Cells:
    """Logits in float32 or better, targets in the same type, and which of them are known.

    Parameters
    ----------
    logits
        Floating, of any precision, shape (B, K).
    targets
        Of any real type, shape (B, K): 0, 1, shares between them, or -1.

    Raises
    ------
    ValueError
        If the shapes are others; names those found.
    """
    if logits.ndim != 2 or targets.shape != logits.shape:
        raise ValueError(
            f"multi-label losses take logits and targets of one shape (B, K); got "
            f"{tuple(logits.shape)} and {tuple(targets.shape)}"
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    known = targets != UNKNOWN
    # Filled before anything is computed: even an infinite logit there is without effect.
    logits = logits.masked_fill(~known, 0)
    return Cells(logits, targets.to(logits.dtype).masked_fill(~known, 0), known)


def reduced(losses: Tensor, counted: Tensor, reduction: Reduction) -> Tensor:
    """One number of the losses (B, K) of the cells that are ``counted`` (B, K); 0 if none is.

    The reductions are those of :class:`CellLoss`.
    """
    total = losses.masked_fill(~counted, 0).sum()
    if reduction == "sum":
        return total
    counts = counted if reduction == "mean" else counted.any(dim=1)
    return total / counts.sum().clamp_min(1)


def positive(logits: Tensor, gamma: float = 0.0) -> Term:
    """The factors of cells (B, K) that should be 1: p_t is the sigmoid."""
    focus = torch.exp(gamma * functional.logsigmoid(-logits))
    return Term(focus, -functional.logsigmoid(logits))


def negative(logits: Tensor, gamma: float = 0.0, clip: float = 0.0) -> Term:
    """The factors of cells (B, K) that should be 0: p_t = min(1 - sigmoid + clip, 1).

    ``clip`` is the margin by which a probability may exceed 0 at no loss, in [0, 1).
    """
    if clip == 0:
        focus = torch.exp(gamma * functional.logsigmoid(logits))
        return Term(focus, -functional.logsigmoid(-logits))
    margin = logits.new_tensor(math.log(clip))
    log_p_t = torch.logaddexp(functional.logsigmoid(-logits), margin).clamp(max=0)
    # The power's slope is infinite at 0 for gamma below 1.
    rest = (-torch.expm1(log_p_t)).clamp_min(torch.finfo(logits.dtype).tiny)
    return Term(rest**gamma, -log_p_t)


def checked(name: str, value: float, *, most: float = math.inf, least: float = 0.0) -> float:
    """The value if it is finite and in [least, most]; UsageError naming it otherwise."""
    if least <= value <= most and math.isfinite(value):
        return value
    wanted = f"in [{least:g}, {most:g}]" if most < math.inf else f"{least:g} or more, and finite"
    raise UsageError(f"{name} is {value}; it has to be {wanted}")


def checked_clip(clip: float) -> float:
    """The probability margin, in [0, 1); UsageError otherwise."""
    if not 0 <= clip < 1:
        raise UsageError(f"clip is {clip}; it has to be in [0, 1)")
    return clip


def checked_reduction(reduction: Reduction) -> Reduction:
    """The reduction if it is one; UsageError naming those there are otherwise."""
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    return reduction
