"""Multi-label losses: one sigmoid per class, over the annotated cells.

A cell is one image and one class. A target of -1 marks a cell that is not annotated; it has neither
loss nor gradient. Every loss is called as ``loss(logits, targets)``, both of shape (B, K), and
computes in float32 or better inside autocast.

The terms use the log of the sigmoid, which is precise at both ends. timm's losses count -1 as a
target, give no gradient to a positive below p = 1e-8, and NaN for a focusing exponent between 0
and 1; elsewhere the tests hold ours equal to timm's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from comptool.errors import UsageError, unknown_name
from comptool.losses.softmax import Criterion, checked

UNKNOWN = -1
REDUCTIONS = ("mean", "batchmean", "sum")
ZLPR_REDUCTIONS = ("mean", "sum")
Reduction = Literal["mean", "batchmean", "sum"]
Mode = Literal["negative", "ignore", "ignore-normalize", "selective"]
MODES = ("negative", "ignore", "ignore-normalize", "selective")


class Cells(NamedTuple):
    """A batch of B images and K classes, each of shape (B, K)."""

    logits: Tensor  # float32 or float64, 0 where the target is unknown
    targets: Tensor  # of the logits' type, in [0, 1], 0 where unknown
    known: Tensor  # bool


class Term(NamedTuple):
    """Factors of the loss of cells (B, K); p_t is the probability of the right answer."""

    focus: Tensor  # (1 - p_t) ** gamma
    entropy: Tensor  # -log p_t


class CellLoss(Criterion, ABC):
    """A sum of losses over cells; a target between 0 and 1 has its share of both terms.

    Parameters
    ----------
    smoothing
        Label smoothing e, in [0, 1): a known target y becomes (1 - e) y + e / 2.
    reduction
        ``mean`` over the known cells; ``batchmean``: sum over the classes, mean over the images
        with a known cell; ``sum`` over everything, which grows with the batch.
    """

    def __init__(self, *, smoothing: float, reduction: Reduction) -> None:
        super().__init__()
        self.smoothing = checked("the label smoothing", smoothing, below=1)
        self.reduction = checked_reduction(reduction)

    @abstractmethod
    def terms(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every cell as a positive and as a negative, each (B, K)."""

    def cell_weights(self, cells: Cells) -> Tensor | float:
        """Factor of the loss of every cell, from targets before smoothing."""
        return 1.0

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against targets (B, K) in [0, 1] or -1: a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            cells = cells_of(logits, targets)
            weights = self.cell_weights(cells)
            targets = cells.targets * (1 - self.smoothing) + self.smoothing / 2
            as_positive, as_negative = self.terms(cells.logits)
            losses = weights * (targets * as_positive + (1 - targets) * as_negative)
            return reduced(losses, cells.known, self.reduction)


class BinaryCrossEntropy(CellLoss):
    """Mean over the known cells of ``-w y log p - (1 - y) log(1 - p)``, p = sigmoid(logit).

    w is ``pos_weight``, above 0, one number or one per class; a common choice is the number of
    negatives per positive. On targets without -1 this is :class:`torch.nn.BCEWithLogitsLoss`.
    """

    pos_weight: Tensor

    def __init__(
        self,
        *,
        pos_weight: float | Sequence[float] | Tensor = 1.0,
        smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(smoothing=smoothing, reduction=reduction)
        weight = torch.as_tensor(pos_weight, dtype=torch.float32).detach().clone()
        if weight.ndim > 1 or not bool(((weight > 0) & weight.isfinite()).all()):
            raise UsageError(
                "pos_weight has to be a positive, finite number, or one such number per class"
            )
        self.register_buffer("pos_weight", weight, persistent=False)

    def terms(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every cell as a positive and as a negative, each (B, K)."""
        return self.pos_weight.to(logits) * positive(logits).entropy, negative(logits).entropy


class SigmoidFocal(CellLoss):
    """Mean over the known cells of ``-a_t (1 - p_t)^gamma log p_t``.

    p_t is p for a positive and 1 - p for a negative, a_t is alpha and 1 - alpha; None weights both
    by 1. ``gamma=0, alpha=None`` is binary cross-entropy.

    Source: Lin, Goyal, Girshick, He, Dollar 2017, "Focal Loss for Dense Object Detection",
    arXiv:1708.02002, equation 5: FL(p_t) = -alpha_t (1 - p_t)^gamma log p_t, one sigmoid per class.

    Differs from the paper: the mean is over the cells; a detector divides by the number of anchors
    assigned to an object.

    Examples
    --------
    >>> loss = SigmoidFocal(gamma=2, alpha=0.25)
    >>> float(loss(torch.zeros(1, 1), torch.ones(1, 1)))  # 0.25 * 0.5^2 * log 2
    0.0433...
    """

    shown: tuple[str, ...] = ("gamma", "alpha")

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float | None = 0.25,
        smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(smoothing=smoothing, reduction=reduction)
        self.gamma = checked("gamma", gamma)
        self.alpha = None if alpha is None else checked("alpha", alpha, most=1)

    def terms(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every cell as a positive and as a negative, each (B, K)."""
        missed, claimed = positive(logits, self.gamma), negative(logits, self.gamma)
        weights = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        as_positive = weights[0] * missed.focus * missed.entropy
        return as_positive, weights[1] * claimed.focus * claimed.entropy


class Poly(SigmoidFocal):
    """Mean over the known cells of ``a_t (1 - p_t)^gamma (-log p_t + epsilon (1 - p_t))``.

    ``epsilon``, -1 or more, is the weight of the first polynomial term: 2 in the paper for images,
    -1 with gamma 2 for detection; 0 is :class:`SigmoidFocal`.

    Source: Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov 2022, "PolyLoss: A Polynomial Expansion
    Perspective of Classification Loss Functions", arXiv:2204.12511, Poly-1; on targets of 0 and 1
    identical to timm's PolyBinaryCrossEntropy.

    Differs from the paper: the mean is over the cells; a detector divides by the number of assigned
    anchors.
    """

    shown = ("epsilon", "gamma", "alpha")

    def __init__(
        self,
        *,
        epsilon: float = 2.0,
        gamma: float = 0.0,
        alpha: float | None = None,
        smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(gamma=gamma, alpha=alpha, smoothing=smoothing, reduction=reduction)
        self.epsilon = checked("epsilon", epsilon, least=-1)

    def terms(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every cell as a positive and as a negative, each (B, K)."""
        missed, claimed = positive(logits, self.gamma), negative(logits, self.gamma)
        rest = torch.sigmoid(-logits), torch.sigmoid(logits)
        weights = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        as_positive = weights[0] * missed.focus * (missed.entropy + self.epsilon * rest[0])
        return as_positive, weights[1] * claimed.focus * (claimed.entropy + self.epsilon * rest[1])


class Asymmetric(CellLoss):
    """Sum over the classes, mean over the batch, of ``-y L+ - (1 - y) L-``.

    With p_m = max(p - clip, 0): ``L+ = (1 - p)^gamma_pos log p`` and ``L- = p_m^gamma_neg log(1 -
    p_m)``. Exponents are 0 or more, ``clip`` is in [0, 1); all 0 is binary cross-entropy.

    Source: Ben-Baruch, Ridnik, Zamir, Noy, Friedman, Protter, Zelnik-Manor 2021, "Asymmetric Loss
    For Multi-Label Classification" (ASL), arXiv:2009.14119, section 2.

    Differs from the authors' code (and timm's): no floor of 1e-8 under the probabilities, so that
    badly missed positives keep their gradient; unknown cells are left out; the mean over the batch
    instead of the sum (``reduction="sum"``).
    """

    shown = ("gamma_neg", "gamma_pos", "clip")

    def __init__(
        self,
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        smoothing: float = 0.0,
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__(smoothing=smoothing, reduction=reduction)
        self.gamma_neg = checked("gamma_neg", gamma_neg)
        self.gamma_pos = checked("gamma_pos", gamma_pos)
        self.clip = checked("clip", clip, below=1)

    def terms(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every cell as a positive and as a negative, each (B, K)."""
        missed = positive(logits, self.gamma_pos)
        claimed = negative(logits, self.gamma_neg, self.clip)
        return missed.focus * missed.entropy, claimed.focus * claimed.entropy


class PartialAsymmetric(Criterion):
    """ASL of targets 1, 0 and -1, with exponents and weights of their own for -1.

    An unannotated cell has the form of a negative. Focusing factors carry no gradient: they are
    weights of the binary cross-entropy, unlike in :class:`Asymmetric`.

    Source: Ben-Baruch, Ridnik, Friedman, Ben-Cohen, Zamir, Noy, Zelnik-Manor 2022, "Multi-label
    Classification with Partial Annotations using Class-aware Selective Loss", arXiv:2110.10955,
    section 3; the normalised mode is Durand et al. 2019, "Learning a Deep ConvNet for Multi-label
    Classification with Partial Labels", arXiv:1902.09720, with the constants of the former's code.

    Differs from the authors' code: no floor of 1e-8 under the probabilities; the mean over the
    batch instead of the sum (``reduction="sum"``); gamma_pos is 1 by default, as in the AICOSS 2023
    solution.

    Parameters
    ----------
    mode
        ``negative``: an unannotated cell is a negative with ``gamma_unann`` and ``alpha_unann``.
        ``ignore``: it is left out. ``ignore-normalize``: it is left out, and the n annotated cells
        of an image have the weight 1 / (1 + n) + 1. ``selective``: as ``negative``, but cells of a
        class with a prior above ``prior_threshold`` are left out, and so are the
        ``likelihood_topk`` x B unannotated cells of the batch (of this process) with the highest
        probability, among all classes.
    clip
        Probability up to which a negative or unannotated cell costs nothing, in [0, 1).
    prior
        Probability of each class in [0, 1], estimated by a model trained with ``ignore``; None
        leaves out no class. Only for ``selective``.
    """

    shown = ("mode", "gamma_pos", "gamma_neg", "gamma_unann")
    prior: Tensor | None

    def __init__(
        self,
        *,
        mode: Mode = "selective",
        gamma_pos: float = 1.0,
        gamma_neg: float = 1.0,
        gamma_unann: float = 2.0,
        alpha_pos: float = 1.0,
        alpha_neg: float = 1.0,
        alpha_unann: float = 1.0,
        clip: float = 0.0,
        likelihood_topk: int = 5,
        prior: Sequence[float] | Tensor | None = None,
        prior_threshold: float = 0.05,
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES)
        self.mode = mode
        self.gamma_pos = checked("gamma_pos", gamma_pos)
        self.gamma_neg = checked("gamma_neg", gamma_neg)
        self.gamma_unann = checked("gamma_unann", gamma_unann)
        self.alpha_pos = checked("alpha_pos", alpha_pos)
        self.alpha_neg = checked("alpha_neg", alpha_neg)
        self.alpha_unann = checked("alpha_unann", alpha_unann)
        self.clip = checked("clip", clip, below=1)
        self.likelihood_topk = int(checked("likelihood_topk", likelihood_topk))
        self.prior_threshold = checked("prior_threshold", prior_threshold, most=1)
        self.reduction = checked_reduction(reduction)
        if prior is not None and mode != "selective":
            raise UsageError(f"a prior has no meaning with mode '{mode}'; it is for 'selective'")
        self.register_buffer("prior", _checked_prior(prior), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against targets (B, K) of 0, 1 or -1: a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            unannotated = targets == UNKNOWN
            # Unannotated cells are masked by their weight, not by their target.
            cells = cells_of(logits, targets.masked_fill(unannotated, 0))
            weights = self._weights(cells.logits.detach(), unannotated)
            logits = cells.logits.masked_fill(weights == 0, 0)
            annotated = self._annotated(logits, cells.targets)
            losses = torch.where(unannotated, self._unannotated(logits), annotated)
            return reduced(weights * losses, weights > 0, self.reduction)

    def _annotated(self, logits: Tensor, targets: Tensor) -> Tensor:
        missed = positive(logits, self.gamma_pos)
        claimed = negative(logits, self.gamma_neg, self.clip)
        as_positive = self.alpha_pos * missed.focus.detach() * missed.entropy
        as_negative = self.alpha_neg * claimed.focus.detach() * claimed.entropy
        return targets * as_positive + (1 - targets) * as_negative

    def _unannotated(self, logits: Tensor) -> Tensor:
        claimed = negative(logits, self.gamma_unann, self.clip)
        return self.alpha_unann * claimed.focus.detach() * claimed.entropy

    def _weights(self, logits: Tensor, unannotated: Tensor) -> Tensor:
        """Weight of each cell, (B, K), 0 or more."""
        if self.mode == "negative":
            return torch.ones_like(logits)
        if self.mode == "selective":
            return 1 - self._left_out(logits, unannotated).to(logits.dtype)
        annotated = (~unannotated).to(logits.dtype)
        if self.mode == "ignore":
            return annotated
        return annotated * (1 + 1 / (1 + annotated.sum(dim=1, keepdim=True)))

    def _left_out(self, logits: Tensor, unannotated: Tensor) -> Tensor:
        """Unannotated cells that are likely positives, (B, K), bool."""
        likely = torch.zeros_like(unannotated).flatten()
        count = min(self.likelihood_topk * len(logits), logits.numel())
        scores = logits.masked_fill(~unannotated, -torch.inf).flatten()
        likely[scores.topk(count).indices] = True
        left_out = likely.view_as(unannotated)
        if self.prior is not None:
            if len(self.prior) != logits.shape[1]:
                raise ValueError(f"the prior has {len(self.prior)} classes, not {logits.shape[1]}")
            left_out = left_out | (self.prior.to(logits.device) > self.prior_threshold)
        return left_out & unannotated


def _checked_prior(prior: Sequence[float] | Tensor | None) -> Tensor | None:
    if prior is None:
        return None
    tensor = torch.as_tensor(prior, dtype=torch.float32).detach().clone()
    if tensor.ndim != 1 or not bool(((tensor >= 0) & (tensor <= 1)).all()):
        raise UsageError("a prior has to be one number per class, each in [0, 1]")
    return tensor


class DistributionBalanced(CellLoss):
    """Mean over the known cells of ``r (y L+(z) + (1 - y) L-(lambda z) / lambda)``.

    With n_c positives of class c among N_c annotated images: ``r = alpha + sigmoid(beta (P -
    mu))``, where P = (1 / n_c) / sum_j(y_j / n_j) compares the rarity of the class with that of all
    labels of the image; ``z = logit - kappa / lambda log(N_c / n_c - 1)``; L+ and L- are the focal
    terms, with ``gamma=0`` binary cross-entropy. An image without a positive has the largest
    weight, alpha + 1. Unknown cells do not count in the sum over j; r uses unsmoothed targets.

    Source: Wu, Huang, Liu, Wang, Lin 2020, "Distribution-Balanced Loss for Multi-Label
    Classification in Long-Tailed Datasets", ECCV, arXiv:2007.09654, section 3: re-balanced
    weighting and negative-tolerant regularisation; on targets of 0 and 1 identical to timm's
    DistributionBalancedLoss.

    Differs from the paper, as the authors' code and timm do: the class bias kappa log(1 / prior -
    1) is also divided by lambda.

    Parameters
    ----------
    class_counts
        n_c, one per class, of the training table, clipped to 1 to N_c - 1.
    num_samples
        N_c, one per class or one for all; below 2 counts as 2.
    alpha, beta, mu
        Of the smoothing map, 0 or more.
    neg_scale
        lambda, above 0: steepness of a negative's loss below 0.
    init_bias
        kappa, 0 or more; 0 for no class bias.
    gamma
        Focusing exponent, 0 or more. The authors' DB-focal is ``gamma=2`` times 2.
    """

    shown = ("neg_scale", "gamma")
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
        counts, known = _checked_positives(class_counts, num_samples)
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

    def terms(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every cell as a positive and as a negative, each (B, K)."""
        shifted = logits + self.bias.to(logits)
        missed = positive(shifted, self.gamma)
        claimed = negative(self.neg_scale * shifted, self.gamma)
        return missed.focus * missed.entropy, claimed.focus * claimed.entropy / self.neg_scale

    def cell_weights(self, cells: Cells) -> Tensor:
        """The weight r of every cell, (B, K)."""
        rarity = self.freq_inv.to(cells.logits)
        if len(rarity) != cells.targets.shape[1]:
            raise ValueError(f"{len(rarity)} class counts for {cells.targets.shape[1]} classes")
        # Not a matrix product, which tensor cores would round.
        together = (cells.targets * rarity).sum(dim=1, keepdim=True)
        ratio = rarity / together.clamp_min(torch.finfo(rarity.dtype).tiny)
        return self.alpha + torch.sigmoid(self.beta * (ratio - self.mu))


def _checked_positives(
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
    # A class that is always absent or always present would have an infinite weight or bias.
    return torch.minimum(counts.clamp_min(1), known - 1), known


class Zlpr(nn.Module):
    """Mean over the batch of ``log(1 + sum_neg e^s) + log(1 + sum_pos e^-s)``.

    It ranks every positive above 0 above every negative, so the label is decided by s > 0; the
    sigmoid of s is not a calibrated probability. ``reduction``: ``mean`` over the images with a
    known cell, or ``sum``.

    Source: Su, Zhu, Murtadha, Pan, Wen, Liu 2022, "ZLPR: A Novel Loss for Multi-label
    Classification", arXiv:2208.02955: zero-bounded log-sum-exp and pairwise rank-based loss. timm's
    counts -1 as a negative and rounds shares between 0 and 1; otherwise identical.

    Differs from the paper: a target y between 0 and 1 (mixup, cutmix) weights exp(s) by 1 - y in
    the negatives' sum and exp(-s) by y in the positives'.
    """

    def __init__(self, *, reduction: Literal["mean", "sum"] = "mean") -> None:
        super().__init__()
        if reduction not in ZLPR_REDUCTIONS:
            raise unknown_name("reduction", reduction, ZLPR_REDUCTIONS)
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against targets (B, K) in [0, 1] or -1: a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, shares, known = cells_of(logits, targets)
            as_negative = torch.log1p(-shares).masked_fill(~known, -torch.inf)
            as_positive = torch.log(shares).masked_fill(~known, -torch.inf)
            losses = _log_one_plus(logits + as_negative) + _log_one_plus(as_positive - logits)
            total = losses.sum()
            return total if self.reduction == "sum" else total / known.any(1).sum().clamp_min(1)


def _log_one_plus(exponents: Tensor) -> Tensor:
    """``log(1 + sum_k e^x_k)`` of exponents (B, K), any of which may be -inf: (B,)."""
    with_zero = torch.cat([exponents.new_zeros(len(exponents), 1), exponents], dim=1)
    return torch.logsumexp(with_zero, dim=1)


class TwoWay(Criterion):
    """Contrast of positives with negatives among the classes of a sample and samples of a class.

    Each way is the mean of ``softplus(tn LSE_neg(s / tn) + tp LSE_pos(-s / tp))`` over the samples
    (classes) with a positive, LSE being log-sum-exp; the loss is the sum of both. ``tp`` and
    ``tn``, above 0, are the temperatures of positives and negatives. Targets above 0.5 are
    positives, those in [0, 0.5] negatives, -1 neither: shares from mixup or cutmix are rounded.
    Logits are ranking scores; their sigmoid is not a calibrated probability.

    The contrast among samples depends on the whole batch. If torch.distributed is initialised,
    logits of all processes are gathered with gradient: every process computes the loss of the
    global batch, and the mean of the gradients in DistributedDataParallel is exact. Batch sizes may
    differ. Logits without gradient are not gathered, so that one process may evaluate alone.

    Source: Kobayashi 2023, "Two-Way Multi-Label Loss", CVPR, section 3. timm's counts -1 as a
    negative, fills masked cells with -1e4, and ignores other processes; otherwise identical.

    Differs from the paper: a batch without positives has a loss of 0, not NaN.
    """

    shown = ("tp", "tn")

    def __init__(self, *, tp: float = 4.0, tn: float = 1.0) -> None:
        super().__init__()
        for name, value in (("tp", tp), ("tn", tn)):
            if checked(name, value) == 0:
                raise UsageError(f"{name} is 0; a temperature has to be above 0")
        self.tp, self.tn = tp, tn

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against targets (B, K) of 0, 1 or -1: a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            cells = cells_of(logits, targets)
            targets = cells.targets.masked_fill(~cells.known, UNKNOWN)
            if cells.logits.requires_grad and dist.is_available() and dist.is_initialized():
                logits, targets = _of_all_processes(cells.logits, targets)
            else:
                logits = cells.logits
            return self._contrast(logits, targets, 1) + self._contrast(logits, targets, 0)

    def _contrast(self, logits: Tensor, targets: Tensor, dim: int) -> Tensor:
        is_positive = targets > 0.5
        is_negative = (targets >= 0) & ~is_positive
        low = self.tp * _log_sum_exp(-logits / self.tp, is_positive, dim)
        high = self.tn * _log_sum_exp(logits / self.tn, is_negative, dim)
        counted = is_positive.any(dim)
        losses = functional.softplus(high + low).masked_fill(~(counted & is_negative.any(dim)), 0)
        return losses.sum() / counted.sum().clamp_min(1)


def _log_sum_exp(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Log-sum-exp of the masked values; an arbitrary finite number for an empty mask."""
    # If all values are -inf the gradient is NaN.
    empty = ~mask.any(dim, keepdim=True)
    return torch.logsumexp(values.masked_fill(~mask, -torch.inf).masked_fill(empty, 0), dim)


def _of_all_processes(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenated logits and targets of all processes, padded with unknown cells."""
    most = torch.tensor(len(logits), device=logits.device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    missing = int(most) - len(logits)
    padding = (0, 0, 0, missing)
    logits = _Gather.apply(functional.pad(logits, padding))
    return logits, _Gather.apply(functional.pad(targets, padding, value=UNKNOWN))


class _Gather(torch.autograd.Function):
    """Tensors (B, K) of W processes as one (W B, K); gradients are summed over processes."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


def cells_of(logits: Tensor, targets: Tensor) -> Cells:
    """Logits in float32 or better with targets of the same type, -1 masked; all (B, K)."""
    if logits.ndim != 2 or targets.shape != logits.shape:
        raise ValueError(
            f"multi-label losses take logits and targets of one shape (B, K); got "
            f"{tuple(logits.shape)} and {tuple(targets.shape)}"
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    known = targets != UNKNOWN
    # Masked first, so that even infinite logits of unknown cells have no effect.
    logits = logits.masked_fill(~known, 0)
    return Cells(logits, targets.to(logits.dtype).masked_fill(~known, 0), known)


def reduced(losses: Tensor, counted: Tensor, reduction: Reduction) -> Tensor:
    """Reduce the losses of the ``counted`` cells (B, K) as in :class:`CellLoss`; 0 if none."""
    total = losses.masked_fill(~counted, 0).sum()
    if reduction == "sum":
        return total
    counts = counted if reduction == "mean" else counted.any(dim=1)
    return total / counts.sum().clamp_min(1)


def positive(logits: Tensor, gamma: float = 0.0) -> Term:
    """Factors of cells (B, K) that should be 1: p_t is the sigmoid."""
    focus = torch.exp(gamma * functional.logsigmoid(-logits))
    return Term(focus, -functional.logsigmoid(logits))


def negative(logits: Tensor, gamma: float = 0.0, clip: float = 0.0) -> Term:
    """Factors of cells (B, K) that should be 0: p_t = min(1 - sigmoid + clip, 1)."""
    if clip == 0:
        focus = torch.exp(gamma * functional.logsigmoid(logits))
        return Term(focus, -functional.logsigmoid(-logits))
    # Filled on the device: a tensor made from a number is copied to a GPU, which waits.
    margin = logits.new_full((), math.log(clip))
    log_p_t = torch.logaddexp(functional.logsigmoid(-logits), margin).clamp(max=0)
    # The power's slope is infinite at 0 for gamma below 1.
    rest = (-torch.expm1(log_p_t)).clamp_min(torch.finfo(logits.dtype).tiny)
    return Term(rest**gamma, -log_p_t)


def checked_reduction(reduction: Reduction) -> Reduction:
    """The reduction; a UsageError if unknown."""
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    return reduction
