"""Losses around a loss: class weights that act late, and classes that are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.losses.softmax import checked_weights

NOT_KEPT = -1


class DeferredWeights(nn.Module):
    """A loss whose class weights act from an epoch on, and are all alike before.

    Source: Cao et al. 2019, arXiv:1906.07413, section 3.3 and algorithm 1: learn the features from
    all samples alike first, and let rare classes count more once the learning rate has come down.

    Parameters
    ----------
    criterion
        A loss with the option ``class_weights``, which is set here.
    class_weights
        One positive number per class; those of the effective number in the paper.
    first_epoch
        The first epoch, counted from 0, in which they act.

    Raises
    ------
    UsageError
        If the loss takes no class weights, or one is not positive and finite.
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
        """The settings, for printing."""
        return f"first_epoch={self.first_epoch}"

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins, counted from 0."""
        self.criterion.class_weights = self.weights if epoch >= self.first_epoch else None

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The criterion's loss of logits (B, K): a scalar."""
        loss: Tensor = self.criterion(logits, targets)
        return loss


def begin_epoch(criterion: nn.Module, epoch: int) -> None:
    """Tell every part of a loss that waits for an epoch that one begins, counted from 0."""
    for part in criterion.modules():
        if isinstance(part, DeferredWeights):
            part.set_epoch(epoch)


class WithoutClasses(nn.Module):
    """A loss of the logits of the classes that are kept; the others get no gradient at all.

    This is a softmax over the kept classes alone. A sample of a dropped class, or one that has a
    share of it (mixup), does not count; a batch of nothing else costs 0.

    Parameters
    ----------
    criterion
        For the kept classes: its class counts and weights are theirs, in their order.
    dropped
        Indices of the classes that are left out.
    num_classes
        K, of the model.

    Raises
    ------
    ValueError
        If a class is not one of the model's, or none or all are dropped.
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
        if targets.is_floating_point():
            chosen = targets[:, self.kept]
            counts = targets[:, self.place == NOT_KEPT].sum(dim=1) == 0
        else:
            chosen = self.place[targets.long()]
            counts = chosen != NOT_KEPT
        if not counts.any():
            return logits.float().sum() * 0  # a gradient of 0, as the other batches have one
        loss: Tensor = self.criterion(logits[counts][:, self.kept], chosen[counts])
        return loss
