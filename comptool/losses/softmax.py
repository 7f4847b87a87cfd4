"""Losses of one class per image: cross-entropy over a softmax of the logits, and its variants.

Every loss is called ``loss(logits, targets)`` with logits (B, K) and targets that are class
indices (B,) or class shares (B, K), as mixup makes them. Each computes in float32 or better inside
autocast.
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


class CrossEntropy(nn.Module):
    """Mean over the batch of ``-sum_k w_k q_k log p_k``, with p the softmax of the logits.

    q are the targets smoothed to ``(1 - e) y + e / K``, y being one-hot for class indices.

    Source: torch's cross-entropy, kept in float32 inside autocast; smoothing of Szegedy et al.
    2016, arXiv:1512.00567, section 7.

    Parameters
    ----------
    smoothing
        e, in [0, 1).
    class_weights
        w, one positive number per class; None weighs all alike. As in torch, the sum over the
        batch is divided by the sum of the weights of the target classes where the targets are
        class indices, and by B where they are class shares.

    Raises
    ------
    UsageError
        If ``smoothing`` or ``class_weights`` is out of its range.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        smoothing: float = 0.0,
        class_weights: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        self.smoothing = checked_smoothing(smoothing)
        self.register_buffer("class_weights", checked_weights(class_weights), persistent=False)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"smoothing={self.smoothing:g}"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            weight = None if self.class_weights is None else self.class_weights.to(logits)
            return functional.cross_entropy(
                logits, targets, weight=weight, label_smoothing=self.smoothing
            )


class Focal(nn.Module):
    """Mean over the batch of ``(1 - p_t)^gamma CE``, each sample focused by its own p_t.

    With y the targets (one-hot for class indices), q = (1 - e) y + e / K and p the softmax of the
    logits: ``CE = -sum_k w_k q_k log p_k`` and ``p_t = sum_k y_k p_k``, which for class indices is
    the probability of the true class and for class shares (mixup) the share-weighted mean of the
    probabilities. ``gamma=0`` is :class:`CrossEntropy`.

    Source: Lin, Goyal, Girshick, He, Dollar 2017, "Focal Loss for Dense Object Detection",
    arXiv:1708.02002, equation 4: FL(p_t) = -(1 - p_t)^gamma log p_t.

    Differs from the paper: p is a softmax over K classes, not a sigmoid, so there is no alpha_t
    (class weights stand in for it); the cross-entropy factor takes smoothed labels (by 0.1 by
    default, as the MAVOC solution does), while the focusing factor keeps the probability of the
    true class.

    Parameters
    ----------
    gamma
        Focusing exponent, 0 or more.
    smoothing
        e, in [0, 1).
    class_weights
        w, one positive number per class; None weighs all alike. The sum over the batch is divided
        as torch's cross-entropy divides it: by the sum of the weights of the target classes for
        class indices, by B for class shares.
    reduction
        ``mean`` as above. ``batch`` averages the cross-entropy over the batch first and modulates
        that one number, ``(1 - exp(-CE))^gamma CE``: no focal loss, since every sample is weighed
        alike, but what the first published solution trained with.

    Raises
    ------
    UsageError
        If a value is out of its range.

    Examples
    --------
    >>> logits = torch.log(torch.tensor([[0.8, 0.2]]))
    >>> float(Focal(gamma=2, smoothing=0)(logits, torch.tensor([0])))  # 0.2^2 * -log 0.8
    0.00892...
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        smoothing: float = 0.1,
        class_weights: Sequence[float] | Tensor | None = None,
        reduction: Literal["mean", "batch"] = "mean",
    ) -> None:
        super().__init__()
        if reduction not in FOCAL_REDUCTIONS:
            raise unknown_name("reduction", reduction, FOCAL_REDUCTIONS)
        self.gamma = checked_gamma(gamma)
        self.smoothing = checked_smoothing(smoothing)
        self.reduction = reduction
        self.register_buffer("class_weights", checked_weights(class_weights), persistent=False)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        shown = f"gamma={self.gamma:g}, smoothing={self.smoothing:g}"
        return shown if self.reduction == "mean" else f"{shown}, reduction='{self.reduction}'"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            if self.reduction == "batch":
                return self._focused_batch(logits, targets)
            entropy = self._entropy(logits, targets, "none")  # (B,)
            focus = torch.exp(self.gamma * _log_of_rest(logits, targets))  # (B,) (1 - p_t)^gamma
            return (focus * entropy).sum() / self._divisor(targets)

    def _entropy(self, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
        weight = None if self.class_weights is None else self.class_weights.to(logits)
        return functional.cross_entropy(
            logits, targets, weight=weight, label_smoothing=self.smoothing, reduction=reduction
        )

    def _divisor(self, targets: Tensor) -> Tensor | int:
        if self.class_weights is None or targets.is_floating_point():
            return len(targets)
        return self.class_weights[targets].sum()

    def _focused_batch(self, logits: Tensor, targets: Tensor) -> Tensor:
        entropy = self._entropy(logits, targets, "mean")
        # The power's slope is infinite at 0 for gamma below 1.
        floor = torch.finfo(entropy.dtype).tiny
        return (-torch.expm1(-entropy)).clamp_min(floor) ** self.gamma * entropy


def _log_of_rest(logits: Tensor, targets: Tensor) -> Tensor:
    """log(1 - p_t), (B,), from the classes that are not the target.

    Subtracting p_t from 1 would lose every digit of a well classified sample, and make the slope of
    the power infinite there.
    """
    rest = torch.log1p(-shares_of(targets, logits).clamp(max=1))  # (B, K), -inf at the target class
    return torch.logsumexp(logits + rest, dim=1) - torch.logsumexp(logits, dim=1)


class PolySoftmax(nn.Module):
    """Mean over the batch of ``-sum_k q_k log p_k + epsilon (1 - sum_k q_k p_k)``, single-label.

    p is the softmax of the logits; q are the targets smoothed to ``(1 - e) y + e / K``, y being
    one-hot for class indices. ``epsilon=0`` is cross-entropy.

    Source: Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov 2022, "PolyLoss: A Polynomial Expansion
    Perspective of Classification Loss Functions", arXiv:2204.12511, Poly-1. timm's
    PolyCrossEntropy is the same on targets of 0 and 1. The softmax and the sigmoid form are two
    losses because shares of shape (B, K) do not say which is meant.

    Parameters
    ----------
    epsilon
        Weight of the first term, -1 or more.
    smoothing
        e, in [0, 1).

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    def __init__(self, *, epsilon: float = 2.0, smoothing: float = 0.0) -> None:
        super().__init__()
        self.epsilon = checked_epsilon(epsilon)
        self.smoothing = checked_smoothing(smoothing)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"epsilon={self.epsilon:g}, smoothing={self.smoothing:g}"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (B, K) against class indices (B,) or class shares (B, K): a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, targets = prepared(logits, targets)
            classes = logits.shape[1]
            if not targets.is_floating_point():
                targets = functional.one_hot(targets, classes).to(logits)
            shares = targets * (1 - self.smoothing) + self.smoothing / classes
            log_p = functional.log_softmax(logits, dim=1)
            entropy = -(shares * log_p).sum(dim=1)
            rest = 1 - (shares * log_p.exp()).sum(dim=1)
            return (entropy + self.epsilon * rest).mean()


class BalancedSoftmax(CrossEntropy):
    """Cross-entropy of ``logits + tau log(n_c / N)``, n_c being the training rows of class c.

    Source: Ren et al. 2020, "Balanced Meta-Softmax for Long-Tailed Visual Recognition",
    arXiv:2007.10740, equation 3, which is Menon et al. 2021, "Long-tail learning via logit
    adjustment", arXiv:2007.07314, equation 10, with tau 1. The frequencies are added in training
    only, so that the model itself learns what classes look like, and predicts as if all were
    equally frequent.

    Parameters
    ----------
    class_counts
        n_c, one per class; below 1 counts as 1. N is their sum.
    tau
        0 or more: 1 for a test set of equally frequent classes, 0 is plain cross-entropy.
    smoothing, class_weights
        As for :class:`CrossEntropy`.

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


class Ldam(nn.Module):
    """Cross-entropy of ``logits - scale margin_c`` at the target class c.

    With n_c the training rows of class c, ``margin_c = max_margin (n_min / n_c)^(1/4)``: the rarest
    class has the whole of it. A sample of several classes (mixup) has each margin in its share.

    Source: Cao, Wei, Gaidon, Arechiga, Ma 2019, "Learning Imbalanced Datasets with
    Label-Distribution-Aware Margin Loss", arXiv:1906.07413, equations 11 to 13; deferred
    re-weighting (section 3.3) is :class:`comptool.losses.wrappers.DeferredWeights`.

    Differs from the paper: the logits come scaled from the head. The paper's ``s (z - margin)`` of
    cosines z is here ``logits - s margin`` with ``logits = s z``, as the head ``cosine`` gives
    them. So softmax of a model's logits are its probabilities, with this loss as with any other.

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
        As for :class:`CrossEntropy`.

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


def checked_smoothing(smoothing: float) -> float:
    """The label smoothing, in [0, 1); UsageError otherwise."""
    if not 0 <= smoothing < 1:
        raise UsageError(f"the label smoothing is {smoothing}; it has to be in [0, 1)")
    return smoothing


def checked_gamma(gamma: float) -> float:
    """The focusing exponent, 0 or more and finite; UsageError otherwise."""
    if not 0 <= gamma < math.inf:
        raise UsageError(f"gamma is {gamma}; it has to be 0 or more, and finite")
    return gamma


def checked_weights(weights: Sequence[float] | Tensor | None) -> Tensor | None:
    """Class weights of shape (K,) as float32; UsageError if one is not positive and finite."""
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
    """Training rows of each class, (K,), float64, at least 1; UsageError if there are none.

    Parameters
    ----------
    counts
        0 or more and finite, one per class.
    owner
        What needs them, for messages: ``the loss 'ldam'``.
    """
    if counts is None:
        raise UsageError(f"{owner} needs class_counts, the training rows of each class")
    tensor = torch.as_tensor(counts, dtype=torch.float64).detach().clone()
    if tensor.ndim != 1 or not len(tensor) or not ((tensor >= 0) & tensor.isfinite()).all():
        raise UsageError(f"class_counts have to be one number per class, 0 or more, for {owner}")
    return tensor.clamp_min(1)


def checked_tau(tau: float) -> float:
    """The weight of the classes' frequencies, 0 or more and finite; UsageError otherwise."""
    if not 0 <= tau < math.inf:
        raise UsageError(f"tau is {tau}; it has to be 0 or more, and finite")
    return tau


def shares_of(targets: Tensor, logits: Tensor) -> Tensor:
    """Class shares (B, K) in the logits' type, of class indices (B,) or class shares."""
    if targets.is_floating_point():
        return targets
    return functional.one_hot(targets, logits.shape[1]).to(logits)


def prepared(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits in float32 or float64, and targets as torch's cross-entropy takes them.

    Parameters
    ----------
    logits
        Floating, of any precision, shape (B, K) with K of 2 or more.
    targets
        Class indices of shape (B,), any integer type; or class shares of shape (B, K), floating,
        each row summing to one.

    Returns
    -------
    tuple
        ``logits`` (B, K), and ``targets`` as int64 (B,) or in the logits' type (B, K).

    Raises
    ------
    ValueError
        If the shapes or types are others; names those found.
    """
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


def checked_epsilon(epsilon: float) -> float:
    """The weight of the first polynomial term, -1 or more and finite; UsageError otherwise."""
    # Below -1 the loss would fall towards the wrong answer.
    if not -1 <= epsilon < math.inf:
        raise UsageError(f"epsilon is {epsilon}; it has to be -1 or more, and finite")
    return epsilon
