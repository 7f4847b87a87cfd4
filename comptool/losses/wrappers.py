"""Wrappers of losses: deferred class weights, dropped classes, and standardised numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.losses.softmax import checked_weights

NOT_KEPT = -1  # no class: an error of the loss


class DeferredWeights(nn.Module):
    """A loss with class weights that take effect from an epoch on.

    Source: Cao et al. 2019, arXiv:1906.07413, section 3.3 and algorithm 1: learn the features from
    all samples alike first, and let rare classes count more after the learning rate has decreased.

    ``class_weights``, one positive number per class, in the paper by the effective number, are set
    in ``criterion`` from ``first_epoch`` on, counted from 0. Raises a UsageError if the loss has no
    class weights, or one is not positive and finite.
    """

    weights: Tensor

    def __init__(
        self, criterion: nn.Module, class_weights: Sequence[float] | Tensor, first_epoch: int
    ) -> None:
        super().__init__()
        if not hasattr(criterion, "class_weights"):
            raise UsageError(f"the loss {type(criterion).__name__} takes no class weights to defer")
        self.criterion: Any = criterion
        self.first_epoch = first_epoch
        self.register_buffer("weights", checked_weights(class_weights), persistent=False)
        self.set_epoch(0)

    def extra_repr(self) -> str:
        """Settings for printing."""
        return f"first_epoch={self.first_epoch}"

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that begins, counted from 0."""
        self.criterion.class_weights = self.weights if epoch >= self.first_epoch else None

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The criterion's loss of logits (B, K): a scalar."""
        loss: Tensor = self.criterion(logits, targets)
        return loss


def begin_epoch(criterion: nn.Module, epoch: int) -> None:
    """Set the epoch, counted from 0, of all parts of a loss that depend on it."""
    for part in criterion.modules():
        if isinstance(part, DeferredWeights):
            part.set_epoch(epoch)


class WithoutClasses(nn.Module):
    """A loss of the logits of the kept classes; the others have no gradient.

    No sample may be of a dropped class, or have a share of it: leaving those out here would wait
    for the device. ``criterion`` has the class counts and weights of the kept classes in their
    order; ``dropped`` are indices below the model's K, ``num_classes``. Raises a ValueError if a
    class is not one of the model's, or none or all are dropped.
    """

    kept: Tensor
    place: Tensor

    def __init__(self, criterion: nn.Module, dropped: Sequence[int], num_classes: int) -> None:
        super().__init__()
        kept = [index for index in range(num_classes) if index not in set(dropped)]
        if not 0 < len(kept) < num_classes or len(kept) + len(set(dropped)) != num_classes:
            raise ValueError(f"of {num_classes} classes, {list(dropped)} cannot be dropped")
        self.criterion = criterion
        place = torch.full((num_classes,), NOT_KEPT)
        place[kept] = torch.arange(len(kept))
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        self.register_buffer("place", place, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        shares = targets.is_floating_point()
        chosen = targets[:, self.kept] if shares else self.place[targets.long()]
        loss: Tensor = self.criterion(logits[:, self.kept], chosen)
        return loss


class Standardised(nn.Module):
    """A loss of outputs and targets in standard deviations of the training rows.

    So one learning rate, and one bound of a loss, serve numbers of any size.

    Parameters
    ----------
    criterion
        Loss of outputs (B, T) against numbers of this shape.
    mean, std
        Of the T numbers; ``std`` is above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, criterion: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.criterion = criterion
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of outputs (B, T) against numbers (B, T), both on the scale of the labels."""
        found, wanted = ((one.float() - self.mean) / self.std for one in (logits, targets))
        loss: Tensor = self.criterion(found, wanted)
        return loss
