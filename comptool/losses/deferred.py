"""Class weights that begin to act late in training: deferred re-weighting.

Cao et al. 2019, arXiv:1906.07413, section 3.3 and algorithm 1: learn the features from all samples
alike first, and let rare classes count more once the learning rate has come down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.losses.arguments import checked_weights


class DeferredWeights(nn.Module):
    """A loss whose class weights act from an epoch on, and are all alike before.

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
