"""A loss over some of the classes of a model: the logits of the others are left out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

NOT_KEPT = -1


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
