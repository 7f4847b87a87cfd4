"""Losses of numbers: the distance of an output to its target.

Every loss is called as ``loss(logits, targets)`` with outputs and targets of shape (B, T), both in
standard deviations of the training rows (:class:`comptool.losses.wrappers.Standardised`), or with
the conditional logits (B, K - 1) and the grades (B,) or shares (B, K) of the task ``ordinal``: then
the distance is that of the expected grade to the grade, ``class_weights`` are one positive number
per grade, as in :mod:`comptool.losses.ordinal_losses`, and ``corn`` times the loss of that name is
added. Without it many probabilities have the same mean, and the gradient vanishes where a network
is sure and wrong. A loss computes in float32 or better inside autocast and returns the mean over
rows and numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from comptool.errors import UsageError
from comptool.losses.ordinal_losses import grade_shares, log_shares, weighted_mean
from comptool.losses.softmax import Criterion, checked, checked_weights

CORN = 0.1


class Distance(Criterion):
    """Mean of a distance between an output, or the expected grade, and its target."""

    class_weights: Tensor | None

    def __init__(
        self, *, corn: float = CORN, class_weights: Sequence[float] | Tensor | None = None
    ) -> None:
        super().__init__()
        self.corn = checked("corn", corn)
        self.register_buffer("class_weights", checked_weights(class_weights), persistent=False)

    @abstractmethod
    def distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Distance of each element."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of outputs (B, T) against numbers, or of logits (B, K - 1) against grades."""
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
            # Numbers have the shape of the outputs, grades and shares of K grades never have.
            if targets.is_floating_point() and targets.shape == logits.shape:
                if self.class_weights is not None:
                    raise ValueError("class weights are for grades, and these are numbers")
                return self.distance(logits, targets.to(logits)).mean()
            return self._of_grades(logits, targets)

    def _of_grades(self, logits: Tensor, targets: Tensor) -> Tensor:
        num_rows, num_grades = len(logits), logits.shape[1] + 1
        shapes = (num_rows, num_grades) if targets.is_floating_point() else (num_rows,)
        if targets.shape != shapes:
            raise ValueError(
                f"targets have to be numbers of shape {tuple(logits.shape)}, or grades of shape "
                f"({num_rows},) or ({num_rows}, {num_grades}); got {targets.dtype} of shape "
                f"{tuple(targets.shape)}"
            )
        found = log_shares(logits)
        shares = grade_shares(targets, found.grades)
        grades = shares @ torch.arange(num_grades, device=shares.device).to(shares)
        each = self.distance(found.above.exp().sum(dim=1), grades)  # (B,)
        each = each - self.corn * (shares * found.grades).sum(dim=1)
        return weighted_mean(each, shares, targets, self.class_weights)


class MeanSquared(Distance):
    """Mean of the squared distances: the output is the mean of what the target may be.

    Source: torch.nn.MSELoss.
    """

    def distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Distance of each element."""
        return functional.mse_loss(found, wanted, reduction="none")


class SmoothL1(Distance):
    """Squared distance up to ``beta``, above it the distance: outliers pull less.

    Source: Girshick 2015, "Fast R-CNN", arXiv:1504.08083, equation 3; torch.nn.SmoothL1Loss.

    Parameters
    ----------
    beta
        Where the square ends, above 0: in standard deviations of the labels, or in grades.
    """

    shown = ("beta",)

    def __init__(
        self,
        *,
        beta: float = 1.0,
        corn: float = CORN,
        class_weights: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__(corn=corn, class_weights=class_weights)
        self.beta = above_zero("beta", beta)

    def distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Distance of each element."""
        return functional.smooth_l1_loss(found, wanted, reduction="none", beta=self.beta)


class Huber(Distance):
    """Half the squared distance up to ``delta``, above it ``delta`` times the distance.

    Source: Huber 1964, "Robust Estimation of a Location Parameter", doi:10.1214/aoms/1177703732;
    torch.nn.HuberLoss. It is ``delta`` times the smooth L1 loss of the same bound.

    Parameters
    ----------
    delta
        Where the square ends, above 0: in standard deviations of the labels, or in grades.
    """

    shown = ("delta",)

    def __init__(
        self,
        *,
        delta: float = 1.0,
        corn: float = CORN,
        class_weights: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__(corn=corn, class_weights=class_weights)
        self.delta = above_zero("delta", delta)

    def distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Distance of each element."""
        return functional.huber_loss(found, wanted, reduction="none", delta=self.delta)


def above_zero(name: str, value: float) -> float:
    """The value if it is above 0 and finite; a UsageError otherwise."""
    checked(name, value)
    if not value:
        raise UsageError(f"{name} is {value}; it has to be above 0, and finite")
    return value
