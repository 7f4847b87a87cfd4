"""Distribution-balanced loss for a long tail of classes that occur together.

Wu, Huang, Liu, Wang, Lin 2020, "Distribution-Balanced Loss for Multi-Label Classification in
Long-Tailed Datasets", ECCV, arXiv:2007.09654, section 3: re-balanced weighting and
negative-tolerant regularisation. timm's DistributionBalancedLoss is the same on targets of 0 and 1.

Differs from the paper, as the authors' code and timm do: the class bias kappa log(1 / prior - 1)
is divided by lambda as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from comptool.errors import UsageError
from comptool.losses.cells import CellLoss, Cells, Reduction, checked, negative, positive


class DistributionBalanced(CellLoss):
    """Mean over the known cells of ``r (y L+(z) + (1 - y) L-(lambda z) / lambda)``.

    With n_c the positives of class c among the N_c images on which it is annotated:
    ``r = alpha + sigmoid(beta (P - mu))``, P = (1 / n_c) / sum_j(y_j / n_j) being how much rarer
    the class is than the image's labels together;
    ``z = logit - kappa / lambda log(N_c / n_c - 1)``; L+ and L- are the focal terms, which
    ``gamma=0`` makes binary cross-entropy. An image without a positive takes the largest weight,
    alpha + 1. Unknown cells count for nothing in the sum over j.

    Parameters
    ----------
    class_counts
        n_c, one per class, of the training table, 0 to N_c; below 1 counts as 1, above N_c - 1 as
        that.
    num_samples
        N_c, one per class or one for all of them; below 2 counts as 2.
    alpha, beta, mu
        Of the smoothing map, 0 or more.
    neg_scale
        lambda, above 0: how much more steeply a negative's loss falls once it is below 0.
    init_bias
        kappa, 0 or more; 0 leaves out the class bias.
    gamma
        Focusing exponent, 0 or more. The authors' DB-focal is ``gamma=2`` times 2.
    smoothing, reduction
        See :class:`comptool.losses.cells.CellLoss`; the weights r take unsmoothed targets.

    Raises
    ------
    UsageError
        If the counts or their number are missing, or a value is out of its range.
    """

    freq_inv: Tensor
    bias: Tensor

    def __init__(
        self,
        *,
        class_counts: Sequence[float] | Tensor | None = None,
        num_samples: int | Sequence[int] | Tensor | None = None,
        alpha: float = 0.1,
        beta: float = 10.0,
        mu: float = 0.2,
        neg_scale: float = 2.0,
        init_bias: float = 0.05,
        gamma: float = 0.0,
        smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(smoothing=smoothing, reduction=reduction)
        counts, known = _checked_counts(class_counts, num_samples)
        self.alpha, self.beta, self.mu = (
            checked(name, value) for name, value in (("alpha", alpha), ("beta", beta), ("mu", mu))
        )
        if checked("neg_scale", neg_scale) == 0:
            raise UsageError("neg_scale is 0; it has to be above 0")
        self.neg_scale = neg_scale
        self.gamma = checked("gamma", gamma)
        shift = checked("init_bias", init_bias) / neg_scale
        self.register_buffer("freq_inv", 1 / counts, persistent=False)
        self.register_buffer("bias", -shift * torch.log(known / counts - 1), persistent=False)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"neg_scale={self.neg_scale:g}, gamma={self.gamma:g}"

    def cell_losses(self, cells: Cells) -> Tensor:
        """Loss of every cell, (B, K)."""
        shifted = cells.logits + self.bias.to(cells.logits)
        missed = positive(shifted, self.gamma)
        claimed = negative(self.neg_scale * shifted, self.gamma)
        as_positive = missed.focus * missed.entropy
        as_negative = claimed.focus * claimed.entropy / self.neg_scale
        return cells.targets * as_positive + (1 - cells.targets) * as_negative

    def cell_weights(self, cells: Cells) -> Tensor:
        """The weight r of every cell, (B, K)."""
        rarity = self.freq_inv.to(cells.logits)
        if len(rarity) != cells.targets.shape[1]:
            raise ValueError(f"{len(rarity)} class counts for {cells.targets.shape[1]} classes")
        # Not a matrix product: tensor cores would round it.
        together = (cells.targets * rarity).sum(dim=1, keepdim=True)
        ratio = rarity / together.clamp_min(torch.finfo(rarity.dtype).tiny)
        return self.alpha + torch.sigmoid(self.beta * (ratio - self.mu))


def _checked_counts(
    class_counts: Sequence[float] | Tensor | None, num_samples: int | Sequence[int] | Tensor | None
) -> tuple[Tensor, Tensor]:
    """n_c and N_c, each of shape (K,)."""
    if class_counts is None or num_samples is None:
        raise UsageError("the loss 'distribution-balanced' needs class_counts and num_samples")
    counts = torch.as_tensor(class_counts, dtype=torch.float32).detach().clone()
    known = torch.as_tensor(num_samples, dtype=torch.float32).detach().clone()
    fitting = counts.ndim == 1 and known.shape in ((), counts.shape)
    if not fitting or not bool(((counts >= 0) & (counts <= known)).all()):
        raise UsageError(
            "class_counts have to be one number per class, each in [0, num_samples], and "
            f"num_samples (got {num_samples}) one number or one per class"
        )
    known = known.expand_as(counts).clamp_min(2)
    # A class that is never or always there would have an infinite weight or bias.
    return torch.minimum(counts.clamp_min(1), known - 1), known
