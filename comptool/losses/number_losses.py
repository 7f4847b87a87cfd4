"""Losses of numbers: the distance of an output to its target.

Every loss is called as ``loss(logits, targets)`` with outputs and targets of shape (B, T), both in
standard deviations of the training rows (:class:`comptool.losses.wrappers.Standardised`), or with
the conditional logits (B, K - 1) and the grades (B,) or shares (B, K) of the task ``ordinal``: then
the distance is that of the expected grade to the grade. It computes in float32 or better inside
autocast and returns the mean over rows and numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from comptool.errors import UsageError
from comptool.losses.ordinal_losses import expected_grade
from comptool.losses.softmax import Criterion, checked


class MeanSquared(Criterion):
    """Mean of the squared distances: the output is the mean of what the target may be.

    Source: torch.nn.MSELoss.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of outputs (B, T) against numbers, or of logits (B, K - 1) against grades."""
        with torch.autocast(logits.device.type, enabled=False):
            return functional.mse_loss(*as_numbers(logits, targets))


class SmoothL1(Criterion):
    """Squared distance up to ``beta``, above it the distance: outliers pull less.

    Source: Girshick 2015, "Fast R-CNN", arXiv:1504.08083, equation 3; torch.nn.SmoothL1Loss.

    Parameters
    ----------
    beta
        Where the square ends, above 0: in standard deviations of the labels, or in grades.
    """

    shown = ("beta",)

    def __init__(self, *, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = above_zero("beta", beta)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of outputs (B, T) against numbers, or of logits (B, K - 1) against grades."""
        with torch.autocast(logits.device.type, enabled=False):
            return functional.smooth_l1_loss(*as_numbers(logits, targets), beta=self.beta)


class Huber(Criterion):
    """Half the squared distance up to ``delta``, above it ``delta`` times the distance.

    Source: Huber 1964, "Robust Estimation of a Location Parameter", doi:10.1214/aoms/1177703732;
    torch.nn.HuberLoss. It is ``delta`` times the smooth L1 loss of the same bound.

    Parameters
    ----------
    delta
        Where the square ends, above 0: in standard deviations of the labels, or in grades.
    """

    shown = ("delta",)

    def __init__(self, *, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = above_zero("delta", delta)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of outputs (B, T) against numbers, or of logits (B, K - 1) against grades."""
        with torch.autocast(logits.device.type, enabled=False):
            return functional.huber_loss(*as_numbers(logits, targets), delta=self.delta)


def above_zero(name: str, value: float) -> float:
    """The value if it is above 0 and finite; a UsageError otherwise."""
    checked(name, value)
    if not value:
        raise UsageError(f"{name} is {value}; it has to be above 0, and finite")
    return value


def as_numbers(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and targets as numbers of one shape, in float32 or better."""
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    # Numbers have the shape of the outputs, grades and shares of K grades never have.
    if targets.shape == logits.shape and targets.is_floating_point():
        return logits, targets.to(logits)
    found = expected_grade(logits)
    if targets.is_floating_point() and targets.shape == (len(logits), logits.shape[1] + 1):
        places = torch.arange(targets.shape[1], device=targets.device)
        return found, (targets * places).sum(dim=1).to(found)
    if targets.is_floating_point() or targets.shape != found.shape:
        raise ValueError(
            f"targets have to be numbers of shape {tuple(logits.shape)}, or grades of shape "
            f"({len(logits)},) or ({len(logits)}, {logits.shape[1] + 1}); got {targets.dtype} of "
            f"shape {tuple(targets.shape)}"
        )
    return found, targets.to(found)
