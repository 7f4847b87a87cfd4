"""Focal loss for single-label classification, with label smoothing.

Lin, Goyal, Girshick, He, Dollar 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002,
equation 4: FL(p_t) = -(1 - p_t)^gamma log p_t.

Differs from the paper: p is a softmax over K classes, not a sigmoid, so there is no alpha_t (class
weights stand in for it); the cross-entropy factor takes smoothed labels (by 0.1 unless told
otherwise, as the MAVOC solution does), while the focusing factor keeps the probability of the true
class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from comptool.errors import unknown_name
from comptool.losses.arguments import (
    checked_gamma,
    checked_smoothing,
    checked_weights,
    prepared,
    shares_of,
)

REDUCTIONS = ("mean", "batch")


class Focal(nn.Module):
    """Mean over the batch of ``(1 - p_t)^gamma CE``, each sample focused by its own p_t.

    With y the targets (one-hot for class indices), q = (1 - e) y + e / K and p the softmax of the
    logits: ``CE = -sum_k w_k q_k log p_k`` and ``p_t = sum_k y_k p_k``, which for class indices is
    the probability of the true class and for class shares (mixup) the share-weighted mean of the
    probabilities. ``gamma=0`` is :class:`~comptool.losses.cross_entropy.CrossEntropy`.

    Parameters
    ----------
    gamma
        Focusing exponent, 0 or more.
    smoothing
        e, in [0, 1).
    class_weights
        w, one positive number per class; None weighs all alike. The sum over the batch is divided
        as torch's cross-entropy divides it: by the sum of the weights of the target classes for
        class indices, by B for class shares.
    reduction
        ``mean`` as above. ``batch`` averages the cross-entropy over the batch first and modulates
        that one number, ``(1 - exp(-CE))^gamma CE``: no focal loss, since every sample is weighed
        alike, but what the first published solution trained with.

    Raises
    ------
    UsageError
        If a value is out of its range.

    Examples
    --------
    >>> logits = torch.log(torch.tensor([[0.8, 0.2]]))
    >>> float(Focal(gamma=2, smoothing=0)(logits, torch.tensor([0])))  # 0.2^2 * -log 0.8
    0.00892...
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        smoothing: float = 0.1,
        class_weights: Sequence[float] | Tensor | None = None,
        reduction: Literal["mean", "batch"] = "mean",
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise unknown_name("reduction", reduction, REDUCTIONS)
        self.gamma = checked_gamma(gamma)
        self.smoothing = checked_smoothing(smoothing)
        self.reduction = reduction
        self.register_buffer("class_weights", checked_weights(class_weights), persistent=False)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        shown = f"gamma={self.gamma:g}, smoothing={self.smoothing:g}"
        return shown if self.reduction == "mean" else f"{shown}, reduction='{self.reduction}'"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            if self.reduction == "batch":
                return self._focused_batch(logits, targets)
            entropy = self._entropy(logits, targets, "none")  # (B,)
            focus = torch.exp(self.gamma * _log_of_rest(logits, targets))  # (B,) (1 - p_t)^gamma
            return (focus * entropy).sum() / self._divisor(targets)

    def _entropy(self, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
        weight = None if self.class_weights is None else self.class_weights.to(logits)
        return functional.cross_entropy(
            logits, targets, weight=weight, label_smoothing=self.smoothing, reduction=reduction
        )

    def _divisor(self, targets: Tensor) -> Tensor | int:
        if self.class_weights is None or targets.is_floating_point():
            return len(targets)
        return self.class_weights[targets].sum()

    def _focused_batch(self, logits: Tensor, targets: Tensor) -> Tensor:
        entropy = self._entropy(logits, targets, "mean")
        # The power's slope is infinite at 0 for gamma below 1.
        floor = torch.finfo(entropy.dtype).tiny
        return (-torch.expm1(-entropy)).clamp_min(floor) ** self.gamma * entropy


def _log_of_rest(logits: Tensor, targets: Tensor) -> Tensor:
    """log(1 - p_t), (B,), from the classes that are not the target.

    Subtracting p_t from 1 would lose every digit of a well classified sample, and make the slope of
    the power infinite there.
    """
    rest = torch.log1p(-shares_of(targets, logits).clamp(max=1))  # (B, K), -inf at the target class
    return torch.logsumexp(logits + rest, dim=1) - torch.logsumexp(logits, dim=1)
