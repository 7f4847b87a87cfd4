"""Single-label losses: cross-entropy over a softmax of the logits, and its variants.

Every loss is called as ``loss(logits, targets)`` with logits (B, K) and targets that are class
indices (B,) or class shares (B, K) as from mixup, and computes in float32 or better inside
autocast. ``smoothing`` is label smoothing e in [0, 1): targets y (one-hot for class indices) become
``q = (1 - e) y + e / K``. ``class_weights`` w are positive numbers, one per class; as in torch, the
sum over the batch is divided by the summed weights of the target classes for class indices, and by
B for class shares. p is the softmax of the logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from comptool.errors import UsageError, unknown_name

FOCAL_REDUCTIONS = ("mean", "batch")


class Criterion(nn.Module):
    """A loss that is printed with its settings ``shown``."""

    shown: tuple[str, ...] = ()

    def extra_repr(self) -> str:
        """Settings for printing."""
        values = {name: getattr(self, name) for name in self.shown}
        return ", ".join(
            f"{name}={value:g}" if isinstance(value, int | float) else f"{name}={value!r}"
            for name, value in values.items()
        )


class CrossEntropy(Criterion):
    """Mean over the batch of ``-sum_k w_k q_k log p_k``.

    Source: torch's cross-entropy; smoothing of Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """

    shown: tuple[str, ...] = ("smoothing",)
    class_weights: Tensor | None

    def __init__(
        self, *, smoothing: float = 0.0, class_weights: Sequence[float] | Tensor | None = None
    ) -> None:
        super().__init__()
        self.smoothing = checked("the label smoothing", smoothing, below=1)
        self.register_buffer("class_weights", checked_weights(class_weights), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            return self.entropy(logits, targets, "mean")

    def entropy(self, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
        """Weighted and smoothed cross-entropy of `prepared` logits and targets."""
        weight = None if self.class_weights is None else self.class_weights.to(logits)
        return functional.cross_entropy(
            logits, targets, weight=weight, label_smoothing=self.smoothing, reduction=reduction
        )


class Focal(CrossEntropy):
    """Mean over the batch of ``(1 - p_t)^gamma CE``, CE and p_t being those of each sample.

    ``p_t = sum_k y_k p_k`` is the probability of the true class, or for class shares (mixup) the
    weighted mean of the probabilities. ``gamma=0`` is :class:`CrossEntropy`.

    Source: Lin, Goyal, Girshick, He, Dollar 2017, "Focal Loss for Dense Object Detection",
    arXiv:1708.02002, equation 4: FL(p_t) = -(1 - p_t)^gamma log p_t.

    Differs from the paper: p is a softmax over K classes, not a sigmoid, so class weights replace
    alpha_t; the cross-entropy takes smoothed labels (by 0.1 by default, as in the MAVOC solution),
    the focusing factor does not.

    Parameters
    ----------
    gamma
        Focusing exponent, 0 or more.
    reduction
        ``mean``, or ``batch``: ``(1 - exp(-CE))^gamma CE`` of the mean cross-entropy CE of the
        batch. This is not a focal loss, since all samples get the same weight, but the first
        published solution was trained with it.

    Examples
    --------
    >>> logits = torch.log(torch.tensor([[0.8, 0.2]]))
    >>> float(Focal(gamma=2, smoothing=0)(logits, torch.tensor([0])))  # 0.2^2 * -log 0.8
    0.00892...
    """

    shown: tuple[str, ...] = ("gamma", "smoothing")

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        smoothing: float = 0.1,
        class_weights: Sequence[float] | Tensor | None = None,
        reduction: Literal["mean", "batch"] = "mean",
    ) -> None:
        super().__init__(smoothing=smoothing, class_weights=class_weights)
        if reduction not in FOCAL_REDUCTIONS:
            raise unknown_name("reduction", reduction, FOCAL_REDUCTIONS)
        self.gamma = checked("gamma", gamma)
        self.reduction = reduction
        if reduction != "mean":
            self.shown = (*self.shown, "reduction")

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            if self.reduction == "batch":
                entropy = self.entropy(logits, targets, "mean")
                # The slope of the power is infinite at 0 for gamma below 1.
                floor = torch.finfo(entropy.dtype).tiny
                return (-torch.expm1(-entropy)).clamp_min(floor) ** self.gamma * entropy
            entropy = self.entropy(logits, targets, "none")  # (B,)
            focus = torch.exp(self.gamma * _log_of_rest(logits, targets))  # (B,) (1 - p_t)^gamma
            total = (focus * entropy).sum()
            if self.class_weights is None or targets.is_floating_point():
                return total / len(targets)
            return total / self.class_weights[targets].sum()


def _log_of_rest(logits: Tensor, targets: Tensor) -> Tensor:
    """log(1 - p_t), (B,), from the classes that are not the target.

    1 - p_t would lose all digits of a well classified sample and make the slope of the power
    infinite.
    """
    rest = torch.log1p(-shares_of(targets, logits).clamp(max=1))  # (B, K), -inf at the target class
    return torch.logsumexp(logits + rest, dim=1) - torch.logsumexp(logits, dim=1)


class PolySoftmax(Criterion):
    """Mean over the batch of ``-sum_k q_k log p_k + epsilon (1 - sum_k q_k p_k)``.

    ``epsilon``, -1 or more, is the weight of the first polynomial term; 0 is cross-entropy.

    Source: Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov 2022, "PolyLoss: A Polynomial Expansion
    Perspective of Classification Loss Functions", arXiv:2204.12511, Poly-1; on targets of 0 and 1
    identical to timm's PolyCrossEntropy. The sigmoid form is another loss because shares of shape
    (B, K) do not reveal which one is meant.
    """

    shown = ("epsilon", "smoothing")

    def __init__(self, *, epsilon: float = 2.0, smoothing: float = 0.0) -> None:
        super().__init__()
        self.epsilon = checked("epsilon", epsilon, least=-1)
        self.smoothing = checked("the label smoothing", smoothing, below=1)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            shares = shares_of(targets, logits)
            shares = shares * (1 - self.smoothing) + self.smoothing / logits.shape[1]
            log_p = functional.log_softmax(logits, dim=1)
            entropy = -(shares * log_p).sum(dim=1)
            rest = 1 - (shares * log_p.exp()).sum(dim=1)
            return (entropy + self.epsilon * rest).mean()


class BalancedSoftmax(CrossEntropy):
    """Cross-entropy of ``logits + tau log(n_c / N)`` with n_c training rows of class c, N in total.

    The frequencies are added in training only, so that predictions assume equally frequent classes.

    Source: Ren et al. 2020, "Balanced Meta-Softmax for Long-Tailed Visual Recognition",
    arXiv:2007.10740, equation 3; identical to Menon et al. 2021, "Long-tail learning via logit
    adjustment", arXiv:2007.07314, equation 10, with tau 1.

    Parameters
    ----------
    class_counts
        n_c, one per class; below 1 counts as 1.
    tau
        0 or more: 1 for a test set of equally frequent classes, 0 is plain cross-entropy.
    """

    shown = ("tau", "smoothing")
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
        offsets = checked("tau", tau) * torch.log(counts / counts.sum()).float()
        self.tau = tau
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        return super().forward(logits + self.offsets, targets)  # in float32


class Ldam(CrossEntropy):
    """Cross-entropy of ``logits - scale margin_c`` at the target class c.

    ``margin_c = max_margin (n_min / n_c)^(1/4)`` with n_c training rows of class c. A sample of
    several classes (mixup) has the margins in its shares.

    Source: Cao, Wei, Gaidon, Arechiga, Ma 2019, "Learning Imbalanced Datasets with
    Label-Distribution-Aware Margin Loss", arXiv:1906.07413, equations 11 to 13; deferred
    re-weighting (section 3.3) is :class:`comptool.losses.wrappers.DeferredWeights`.

    Differs from the paper: the head, not the loss, scales the cosines z. The paper's ``s (z -
    margin)`` is ``logits - s margin`` with ``logits = s z`` of the head ``cosine``, so that the
    softmax of the logits is the probabilities for this loss too.

    Parameters
    ----------
    class_counts
        n_c, one per class; below 1 counts as 1.
    max_margin
        Margin of the rarest class, in cosines, 0 or more.
    scale
        s, above 0: the factor of the cosines, 30 for the head ``cosine``. Logits of a linear head
        have no fixed scale; use 1 to 5.

    Examples
    --------
    >>> Ldam(class_counts=[1600, 100], max_margin=0.5).margins
    tensor([0.2500, 0.5000])
    """

    shown = ("max_margin", "scale")
    margins: Tensor

    def __init__(
        self,
        *,
        class_counts: Sequence[float] | Tensor | None = None,
        max_margin: float = 0.5,
        scale: float = 30.0,
        smoothing: float = 0.0,
        class_weights: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__(smoothing=smoothing, class_weights=class_weights)
        if not 0 < scale < math.inf:
            raise UsageError(f"scale is {scale}; it has to be above 0, and finite")
        self.max_margin, self.scale = checked("max_margin", max_margin), scale
        counts = checked_counts(class_counts, "the loss 'ldam'")
        margins = max_margin * (counts.min() / counts) ** 0.25
        self.register_buffer("margins", margins.float(), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            margins = shares_of(targets, logits) * self.margins.to(logits)  # (B, K)
            return self.entropy(logits - self.scale * margins, targets, "mean")


def checked(
    name: str, value: float, *, least: float = 0.0, most: float = math.inf, below: float = math.inf
) -> float:
    """The value if it is in [least, most] and less than ``below``; a UsageError otherwise."""
    if least <= value <= most and value < below:
        return value
    wanted = f"{least:g} or more, and finite"
    if most < math.inf:
        wanted = f"in [{least:g}, {most:g}]"
    elif below < math.inf:
        wanted = f"in [{least:g}, {below:g})"
    raise UsageError(f"{name} is {value}; it has to be {wanted}")


def checked_weights(weights: Sequence[float] | Tensor | None) -> Tensor | None:
    """Class weights (K,) as float32; a UsageError if one is not positive and finite."""
    if weights is None:
        return None
    tensor = torch.as_tensor(weights, dtype=torch.float32).detach().clone()
    wrong = tensor[~((tensor > 0) & tensor.isfinite())]
    if tensor.ndim != 1 or wrong.numel():
        shown = ", ".join(f"{value:g}" for value in wrong.flatten()[:3].tolist())
        raise UsageError(
            f"class weights have to be one positive, finite number per class (found {shown})"
            if shown
            else f"class weights have to be one list, not of shape {tuple(tensor.shape)}"
        )
    return tensor


def checked_counts(counts: Sequence[float] | Tensor | None, owner: str) -> Tensor:
    """Training rows of each class (K,), float64, at least 1; ``owner`` is for messages."""
    if counts is None:
        raise UsageError(f"{owner} needs class_counts, the training rows of each class")
    tensor = torch.as_tensor(counts, dtype=torch.float64).detach().clone()
    if tensor.ndim != 1 or not len(tensor) or not ((tensor >= 0) & tensor.isfinite()).all():
        raise UsageError(f"class_counts have to be one number per class, 0 or more, for {owner}")
    return tensor.clamp_min(1)


def shares_of(targets: Tensor, logits: Tensor) -> Tensor:
    """Class shares (B, K) in the logits' type, from class indices (B,) or class shares."""
    if targets.is_floating_point():
        return targets
    return functional.one_hot(targets, logits.shape[1]).to(logits)


def prepared(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits in float32 or better, and targets as int64 (B,) or in the logits' type (B, K)."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"logits have to be of shape (B, K), K >= 2; got {tuple(logits.shape)}")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if targets.is_floating_point() and targets.shape == logits.shape:
        return logits, targets.to(logits.dtype)
    is_index = not targets.is_floating_point() and targets.dtype != torch.bool
    if is_index and targets.shape == logits.shape[:1]:
        return logits, targets.long()
    raise ValueError(
        f"targets have to be integers of shape ({len(logits)},) or floats of shape "
        f"{tuple(logits.shape)}; got {targets.dtype} of shape {tuple(targets.shape)}"
    )
