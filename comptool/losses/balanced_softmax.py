"""Cross-entropy that knows how frequent the classes are: balanced softmax, logit adjustment.

Ren et al. 2020, "Balanced Meta-Softmax for Long-Tailed Visual Recognition", arXiv:2007.10740,
equation 3, which is Menon et al. 2021, "Long-tail learning via logit adjustment", arXiv:2007.07314,
equation 10, with tau 1. The frequencies are added in training only, so that the model itself learns
what classes look like, and predicts as if all were equally frequent.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from comptool.losses.arguments import checked_counts, checked_tau
from comptool.losses.cross_entropy import CrossEntropy


class BalancedSoftmax(CrossEntropy):
    """Cross-entropy of ``logits + tau log(n_c / N)``, n_c being the training rows of class c.

    Parameters
    ----------
    class_counts
        n_c, one per class; below 1 counts as 1. N is their sum.
    tau
        0 or more: 1 for a test set of equally frequent classes, 0 is plain cross-entropy.
    smoothing, class_weights
        As for :class:`comptool.losses.cross_entropy.CrossEntropy`.

    Raises
    ------
    UsageError
        If the counts are missing, or a value is out of its range.
    """

    offsets: Tensor

    def __init__(
        self,
        *,
        class_counts: Sequence[float] | Tensor | None = None,
        tau: float = 1.0,
        smoothing: float = 0.0,
        class_weights: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__(smoothing=smoothing, class_weights=class_weights)
        counts = checked_counts(class_counts, "the loss 'balanced-softmax'")
        offsets = checked_tau(tau) * torch.log(counts / counts.sum()).float()
        self.tau = tau
        self.register_buffer("offsets", offsets, persistent=False)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"tau={self.tau:g}, smoothing={self.smoothing:g}"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        return super().forward(logits + self.offsets, targets)  # float32, whatever the logits are
