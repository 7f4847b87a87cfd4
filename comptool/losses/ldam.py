"""Margins that are the wider the rarer the class: LDAM.

Cao, Wei, Gaidon, Arechiga, Ma 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware
Margin Loss", arXiv:1906.07413, equations 11 to 13; deferred re-weighting (section 3.3) is
:class:`comptool.losses.deferred.DeferredWeights`.

Differs from the paper: the logits come scaled from the head. The paper's ``s (z - margin)`` of
cosines z is here ``logits - s margin`` with ``logits = s z``, as the head ``cosine`` gives them. So
softmax of a model's logits are its probabilities, with this loss as with any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from comptool.errors import UsageError
from comptool.losses.arguments import (
    checked_counts,
    checked_smoothing,
    checked_weights,
    prepared,
    shares_of,
)


class Ldam(nn.Module):
    """Cross-entropy of ``logits - scale margin_c`` at the target class c.

    With n_c the training rows of class c, ``margin_c = max_margin (n_min / n_c)^(1/4)``: the rarest
    class has the whole of it. A sample of several classes (mixup) has each margin in its share.

    Parameters
    ----------
    class_counts
        n_c, one per class; below 1 counts as 1.
    max_margin
        Margin of the rarest class, in cosines, 0 or more.
    scale
        s, above 0: what the head multiplies its cosines by, 30 for the head ``cosine``. Logits of
        a plain linear head have no fixed scale; there a smaller one, such as 1 to 5, does.
    smoothing, class_weights
        As for :class:`comptool.losses.cross_entropy.CrossEntropy`.

    Raises
    ------
    UsageError
        If the counts are missing, or a value is out of its range.

    Examples
    --------
    >>> Ldam(class_counts=[1600, 100], max_margin=0.5).margins
    tensor([0.2500, 0.5000])
    """

    margins: Tensor
    class_weights: Tensor | None

    def __init__(
        self,
        *,
        class_counts: Sequence[float] | Tensor | None = None,
        max_margin: float = 0.5,
        scale: float = 30.0,
        smoothing: float = 0.0,
        class_weights: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= max_margin < float("inf"):
            raise UsageError(f"max_margin is {max_margin}; it has to be 0 or more, and finite")
        if not 0 < scale < float("inf"):
            raise UsageError(f"scale is {scale}; it has to be above 0, and finite")
        self.max_margin, self.scale = max_margin, scale
        self.smoothing = checked_smoothing(smoothing)
        counts = checked_counts(class_counts, "the loss 'ldam'")
        margins = max_margin * (counts.min() / counts) ** 0.25
        self.register_buffer("margins", margins.float(), persistent=False)
        self.register_buffer("class_weights", checked_weights(class_weights), persistent=False)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"max_margin={self.max_margin:g}, scale={self.scale:g}"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            held_back = shares_of(targets, logits) * self.margins.to(logits)  # (B, K)
            weight = None if self.class_weights is None else self.class_weights.to(logits)
            return functional.cross_entropy(
                logits - self.scale * held_back,
                targets,
                weight=weight,
                label_smoothing=self.smoothing,
            )
