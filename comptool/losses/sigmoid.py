"""Losses of several labels per image: one sigmoid per class, over the cells that are annotated.

A cell is one image and one class. A target of -1 marks a cell that nobody annotated; it gives
neither loss nor gradient. Every loss is called ``loss(logits, targets)``, both of shape (B, K), and
computes in float32 or better inside autocast.

The terms are written with the log of the sigmoid, which loses no digit at either end. They are
written here, and not taken from timm, because timm's count -1 as a target, let a positive below
p = 1e-8 go without a gradient, and give NaN for a focusing exponent between 0 and 1; the tests hold
ours equal to timm's everywhere else.
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
from comptool.losses.softmax import checked_epsilon, checked_smoothing

UNKNOWN = -1
REDUCTIONS = ("mean", "batchmean", "sum")
ZLPR_REDUCTIONS = ("mean", "sum")
Reduction = Literal["mean", "batchmean", "sum"]


class Cells(NamedTuple):
    """A batch of B images and K classes.

    Parameters
    ----------
    logits
        (B, K), float32 or float64, 0 where the target is unknown.
    targets
        (B, K), of the logits' type, in [0, 1], 0 where unknown.
    known
        (B, K), bool.
    """

    logits: Tensor
    targets: Tensor
    known: Tensor


class Term(NamedTuple):
    """The loss of cells as positives or as negatives, in two factors of shape (B, K).

    Parameters
    ----------
    focus
        (1 - p_t) ** gamma, p_t being the probability of what the cell should be.
    entropy
        -log p_t.
    """

    focus: Tensor
    entropy: Tensor


class CellLoss(nn.Module, ABC):
    """A loss that is a sum over cells.

    Parameters
    ----------
    smoothing
        Label smoothing e, in [0, 1): a known target y becomes (1 - e) y + e / 2.
    reduction
        ``mean`` over the known cells; ``batchmean``: sum over the classes, mean over the images
        that have a known cell; ``sum`` over everything, which grows with the batch.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    def __init__(self, *, smoothing: float, reduction: Reduction) -> None:
        super().__init__()
        self.smoothing = checked_smoothing(smoothing)
        self.reduction = checked_reduction(reduction)

    @abstractmethod
    def cell_losses(self, cells: Cells) -> Tensor:
        """Loss of every cell, (B, K); what stands in unknown cells has no effect."""

    def cell_weights(self, cells: Cells) -> Tensor | float:
        """What the loss of every cell is multiplied by, from targets before smoothing."""
        return 1.0

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against targets (B, K) in [0, 1] or -1: a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            cells = cells_of(logits, targets)
            weights = self.cell_weights(cells)
            smoothed = cells.targets * (1 - self.smoothing) + self.smoothing / 2
            losses = weights * self.cell_losses(cells._replace(targets=smoothed))
            return reduced(losses, cells.known, self.reduction)


class BinaryCrossEntropy(CellLoss):
    """Mean over the known cells of ``-w y log p - (1 - y) log(1 - p)``, p = sigmoid(logit).

    On targets without -1 this is :class:`torch.nn.BCEWithLogitsLoss`.

    Source: :class:`torch.nn.BCEWithLogitsLoss`, over annotated cells.

    Parameters
    ----------
    pos_weight
        w, above 0: one number, or one per class. A common choice is negatives per positive.
    smoothing, reduction
        See :class:`CellLoss`.

    Raises
    ------
    UsageError
        If a value is out of its range.
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

    def cell_losses(self, cells: Cells) -> Tensor:
        """Loss of every cell, (B, K)."""
        missed = self.pos_weight.to(cells.logits) * positive(cells.logits).entropy
        return cells.targets * missed + (1 - cells.targets) * negative(cells.logits).entropy


class SigmoidFocal(CellLoss):
    """Mean over the known cells of ``-a_t (1 - p_t)^gamma log p_t``.

    p_t is p for a positive and 1 - p for a negative, a_t is alpha and 1 - alpha. A target between
    0 and 1 takes its share of both terms. ``gamma=0, alpha=None`` is binary cross-entropy.

    Source: Lin, Goyal, Girshick, He, Dollar 2017, "Focal Loss for Dense Object Detection",
    arXiv:1708.02002, equation 5: FL(p_t) = -alpha_t (1 - p_t)^gamma log p_t, one sigmoid per class.

    Differs from the paper: the mean is over the cells, where a detector divides by the number of
    anchors that were assigned to an object.

    Parameters
    ----------
    gamma
        Focusing exponent, 0 or more.
    alpha
        Weight of the positives, in [0, 1]; None weighs both sides 1.
    smoothing, reduction
        See :class:`CellLoss`.

    Raises
    ------
    UsageError
        If a value is out of its range.

    Examples
    --------
    >>> loss = SigmoidFocal(gamma=2, alpha=0.25)
    >>> float(loss(torch.zeros(1, 1), torch.ones(1, 1)))  # 0.25 * 0.5^2 * log 2
    0.0433...
    """

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

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"gamma={self.gamma:g}, alpha={self.alpha}"

    def cell_losses(self, cells: Cells) -> Tensor:
        """Loss of every cell, (B, K)."""
        missed, claimed = positive(cells.logits, self.gamma), negative(cells.logits, self.gamma)
        weights = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        as_positive = weights[0] * missed.focus * missed.entropy
        as_negative = weights[1] * claimed.focus * claimed.entropy
        return cells.targets * as_positive + (1 - cells.targets) * as_negative


class Poly(CellLoss):
    """Mean over the known cells of ``a_t (1 - p_t)^gamma (-log p_t + epsilon (1 - p_t))``.

    p_t is p = sigmoid(logit) for a positive and 1 - p for a negative, a_t is alpha and 1 - alpha.
    A target between 0 and 1 takes its share of both terms. ``epsilon=0`` is
    :class:`SigmoidFocal`, which is binary cross-entropy without gamma
    and alpha.

    Source: Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov 2022, "PolyLoss: A Polynomial Expansion
    Perspective of Classification Loss Functions", arXiv:2204.12511, Poly-1. timm's
    PolyBinaryCrossEntropy is the same on targets of 0 and 1. The softmax and the sigmoid form are
    two losses because shares of shape (B, K) do not say which is meant.

    Differs from the paper: the mean is over cells, where a detector divides by the number of
    assigned anchors.

    Parameters
    ----------
    epsilon
        Weight of the first term, -1 or more; the paper has 2 for images and -1 with gamma 2 for
        detection.
    gamma
        Focusing exponent, 0 or more.
    alpha
        Weight of the positives, in [0, 1]; None weighs both sides 1.
    smoothing, reduction
        See :class:`CellLoss`.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    def __init__(
        self,
        *,
        epsilon: float = 2.0,
        gamma: float = 0.0,
        alpha: float | None = None,
        smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(smoothing=smoothing, reduction=reduction)
        self.epsilon = checked_epsilon(epsilon)
        self.gamma = checked("gamma", gamma)
        self.alpha = None if alpha is None else checked("alpha", alpha, most=1)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"epsilon={self.epsilon:g}, gamma={self.gamma:g}, alpha={self.alpha}"

    def cell_losses(self, cells: Cells) -> Tensor:
        """Loss of every cell, (B, K)."""
        missed, claimed = positive(cells.logits, self.gamma), negative(cells.logits, self.gamma)
        rest = torch.sigmoid(-cells.logits), torch.sigmoid(cells.logits)
        weights = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        as_positive = weights[0] * missed.focus * (missed.entropy + self.epsilon * rest[0])
        as_negative = weights[1] * claimed.focus * (claimed.entropy + self.epsilon * rest[1])
        return cells.targets * as_positive + (1 - cells.targets) * as_negative


class Asymmetric(CellLoss):
    """Sum over the classes, mean over the batch, of ``-y L+ - (1 - y) L-``.

    With p_m = max(p - clip, 0): ``L+ = (1 - p)^gamma_pos log p`` and
    ``L- = p_m^gamma_neg log(1 - p_m)``. Exponents and clip of 0 make it binary cross-entropy.

    Source: Ben-Baruch, Ridnik, Zamir, Noy, Friedman, Protter, Zelnik-Manor 2021, "Asymmetric Loss
    For Multi-Label Classification" (ASL), arXiv:2009.14119, section 2.

    Differs from the authors' code (and timm's): no floor of 1e-8 under the probabilities, so that a
    positive far on the wrong side keeps its gradient; unknown cells are left out; the mean over the
    batch, where theirs is the sum (``reduction="sum"`` is theirs).

    Parameters
    ----------
    gamma_neg, gamma_pos
        Focusing exponents of negatives and positives, 0 or more.
    clip
        Probability m at and below which a negative costs nothing, in [0, 1).
    smoothing, reduction
        See :class:`CellLoss`.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

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
        self.clip = checked_clip(clip)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"gamma_neg={self.gamma_neg:g}, gamma_pos={self.gamma_pos:g}, clip={self.clip:g}"

    def cell_losses(self, cells: Cells) -> Tensor:
        """Loss of every cell, (B, K)."""
        missed = positive(cells.logits, self.gamma_pos)
        claimed = negative(cells.logits, self.gamma_neg, self.clip)
        as_positive = missed.focus * missed.entropy
        as_negative = claimed.focus * claimed.entropy
        return cells.targets * as_positive + (1 - cells.targets) * as_negative


class DistributionBalanced(CellLoss):
    """Mean over the known cells of ``r (y L+(z) + (1 - y) L-(lambda z) / lambda)``.

    With n_c the positives of class c among the N_c images on which it is annotated:
    ``r = alpha + sigmoid(beta (P - mu))``, P = (1 / n_c) / sum_j(y_j / n_j) being how much rarer
    the class is than the image's labels together;
    ``z = logit - kappa / lambda log(N_c / n_c - 1)``; L+ and L- are the focal terms, which
    ``gamma=0`` makes binary cross-entropy. An image without a positive takes the largest weight,
    alpha + 1. Unknown cells count for nothing in the sum over j.

    Source: Wu, Huang, Liu, Wang, Lin 2020, "Distribution-Balanced Loss for Multi-Label
    Classification in Long-Tailed Datasets", ECCV, arXiv:2007.09654, section 3: re-balanced
    weighting and negative-tolerant regularisation. timm's DistributionBalancedLoss is the same on
    targets of 0 and 1.

    Differs from the paper, as the authors' code and timm do: the class bias
    kappa log(1 / prior - 1) is divided by lambda as well.

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
        See :class:`CellLoss`; the weights r take unsmoothed targets.

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
    # A class that is never or always there would have an infinite weight or bias.
    return torch.minimum(counts.clamp_min(1), known - 1), known


class Zlpr(nn.Module):
    """Mean over the batch of ``log(1 + sum_neg e^s) + log(1 + sum_pos e^-s)``.

    It ranks every positive above every negative with 0 between them, so the label is decided by
    s > 0; the sigmoid of s is not a calibrated probability. It has no settings of its own.

    Source: Su, Zhu, Murtadha, Pan, Wen, Liu 2022, "ZLPR: A Novel Loss for Multi-label
    Classification", arXiv:2208.02955: zero-bounded log-sum-exp and pairwise rank-based loss. timm's
    is the same on targets of 0 and 1; written here because timm's counts -1 as a negative and
    rounds shares between 0 and 1.

    Differs from the paper: a target y between 0 and 1 (mixup, cutmix) weighs exp(s) by 1 - y in the
    negatives' sum and exp(-s) by y in the positives'; the paper's is its case of 0 and 1.

    Parameters
    ----------
    reduction
        ``mean`` over the images that have a known cell, or ``sum``.

    Raises
    ------
    UsageError
        If ``reduction`` is neither.
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


class TwoWay(nn.Module):
    """Contrast of positives with negatives among the classes of a sample and samples of a class.

    Each way is the mean of ``softplus(tn LSE_neg(s / tn) + tp LSE_pos(-s / tp))`` over the samples
    (over the classes) that have a positive, LSE being log-sum-exp; the loss is the sum of the two.
    Targets above 0.5 are positives, those in [0, 0.5] negatives, -1 is neither: shares from mixup
    or cutmix lose what is not the larger part. Logits are scores for ranking; their sigmoid is no
    calibrated probability.

    The way among the samples of a class sees the whole batch, so the loss of a batch is not the
    mean of its parts'. Where torch.distributed is initialised, the logits of all processes are
    gathered, with gradient: every process computes the loss of the global batch, and the mean of
    the processes' gradients, which DistributedDataParallel takes, is its exact gradient. Processes
    may hold different numbers of images. Logits that require no gradient are not gathered, so that
    a process may evaluate alone.

    Source: Kobayashi 2023, "Two-Way Multi-Label Loss", CVPR, section 3. timm's is the same where no
    target is -1 and no logit is beyond 1e4; written here because timm's counts -1 as a negative,
    fills what is masked with -1e4, and knows nothing of other processes.

    Differs from the paper: a batch without any positive gives 0, not NaN.

    Parameters
    ----------
    tp, tn
        Temperatures of positives and negatives, above 0.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    def __init__(self, *, tp: float = 4.0, tn: float = 1.0) -> None:
        super().__init__()
        for name, value in (("tp", tp), ("tn", tn)):
            if checked(name, value) == 0:
                raise UsageError(f"{name} is 0; a temperature has to be above 0")
        self.tp, self.tn = tp, tn

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"tp={self.tp:g}, tn={self.tn:g}"

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
        # Without a negative the softplus is of -inf, which is 0.
        losses = functional.softplus(high + low).masked_fill(~(counted & is_negative.any(dim)), 0)
        return losses.sum() / counted.sum().clamp_min(1)


def _log_sum_exp(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Log-sum-exp of the masked values; an arbitrary finite number where none is."""
    # Over nothing but -inf its gradient would be NaN.
    empty = ~mask.any(dim, keepdim=True)
    return torch.logsumexp(values.masked_fill(~mask, -torch.inf).masked_fill(empty, 0), dim)


def _of_all_processes(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets of every process, one below the other, padded with unknown cells."""
    most = torch.tensor(len(logits), device=logits.device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    missing = int(most) - len(logits)
    padding = (0, 0, 0, missing)
    logits = _Gather.apply(functional.pad(logits, padding))
    return logits, _Gather.apply(functional.pad(targets, padding, value=UNKNOWN))


class _Gather(torch.autograd.Function):
    """Tensors (B, K) of W processes as one (W B, K); the gradient is the sum of all processes'."""

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
    """Logits in float32 or better, targets in the same type, and which of them are known.

    Parameters
    ----------
    logits
        Floating, of any precision, shape (B, K).
    targets
        Of any real type, shape (B, K): 0, 1, shares between them, or -1.

    Raises
    ------
    ValueError
        If the shapes are others; names those found.
    """
    if logits.ndim != 2 or targets.shape != logits.shape:
        raise ValueError(
            f"multi-label losses take logits and targets of one shape (B, K); got "
            f"{tuple(logits.shape)} and {tuple(targets.shape)}"
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    known = targets != UNKNOWN
    # Filled before anything is computed: even an infinite logit there is without effect.
    logits = logits.masked_fill(~known, 0)
    return Cells(logits, targets.to(logits.dtype).masked_fill(~known, 0), known)


def reduced(losses: Tensor, counted: Tensor, reduction: Reduction) -> Tensor:
    """One number of the losses (B, K) of the cells that are ``counted`` (B, K); 0 if none is.

    The reductions are those of :class:`CellLoss`.
    """
    total = losses.masked_fill(~counted, 0).sum()
    if reduction == "sum":
        return total
    counts = counted if reduction == "mean" else counted.any(dim=1)
    return total / counts.sum().clamp_min(1)


def positive(logits: Tensor, gamma: float = 0.0) -> Term:
    """The factors of cells (B, K) that should be 1: p_t is the sigmoid."""
    focus = torch.exp(gamma * functional.logsigmoid(-logits))
    return Term(focus, -functional.logsigmoid(logits))


def negative(logits: Tensor, gamma: float = 0.0, clip: float = 0.0) -> Term:
    """The factors of cells (B, K) that should be 0: p_t = min(1 - sigmoid + clip, 1).

    ``clip`` is the margin by which a probability may exceed 0 at no loss, in [0, 1).
    """
    if clip == 0:
        focus = torch.exp(gamma * functional.logsigmoid(logits))
        return Term(focus, -functional.logsigmoid(-logits))
    margin = logits.new_tensor(math.log(clip))
    log_p_t = torch.logaddexp(functional.logsigmoid(-logits), margin).clamp(max=0)
    # The power's slope is infinite at 0 for gamma below 1.
    rest = (-torch.expm1(log_p_t)).clamp_min(torch.finfo(logits.dtype).tiny)
    return Term(rest**gamma, -log_p_t)


def checked(name: str, value: float, *, most: float = math.inf, least: float = 0.0) -> float:
    """The value if it is finite and in [least, most]; UsageError naming it otherwise."""
    if least <= value <= most and math.isfinite(value):
        return value
    wanted = f"in [{least:g}, {most:g}]" if most < math.inf else f"{least:g} or more, and finite"
    raise UsageError(f"{name} is {value}; it has to be {wanted}")


def checked_clip(clip: float) -> float:
    """The probability margin, in [0, 1); UsageError otherwise."""
    if not 0 <= clip < 1:
        raise UsageError(f"clip is {clip}; it has to be in [0, 1)")
    return clip


def checked_reduction(reduction: Reduction) -> Reduction:
    """The reduction if it is one; UsageError naming those there are otherwise."""
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    return reduction
