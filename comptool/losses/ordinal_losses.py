"""Losses of grades in order, on the K - 1 conditional logits of the task ``ordinal``.

Every loss is called as ``loss(logits, targets)`` with logits z of shape (B, K - 1), where
P(y > k | y > k - 1) = sigmoid(z_k) for k = 0..K-2, and targets that are grades, 0 to K - 1, of
shape (B,), or their shares (B, K) as from mixup. It computes in float32 or better inside autocast.
``class_weights`` w are positive numbers, one per grade; the weighted sum over the batch is divided
by the sum of the weights, as in torch, or by B for shares.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from comptool.losses.softmax import Criterion, checked_weights


class LogShares(NamedTuple):
    """Logarithms of what conditional logits say: floats, (B, K), (B, K - 1) and (B, K - 1)."""

    grades: Tensor  # of P(y = k)
    above: Tensor  # of P(y > k)
    below: Tensor  # of P(y <= k)


class GradeLoss(Criterion):
    """A loss of conditional logits against grades, with class weights."""

    class_weights: Tensor | None

    def __init__(self, *, class_weights: Sequence[float] | Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("class_weights", checked_weights(class_weights), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of conditional logits against grades.

        Parameters
        ----------
        logits
            Floats of any size, of shape (B, K - 1).
        targets
            Whole numbers, 0 to K - 1, of shape (B,), or shares, 0 to 1, that sum to one, (B, K).

        Returns
        -------
        Tensor
            A scalar, 0 or more.

        Raises
        ------
        ValueError
            If the logits are not of two dimensions, or have no column.
        """
        with torch.autocast(logits.device.type, enabled=False):
            return self.of_shares(log_shares(logits), targets)

    @abstractmethod
    def of_shares(self, shares: LogShares, targets: Tensor) -> Tensor:
        """Loss of the logarithms of the shares, in float32 or better."""


class Corn(GradeLoss):
    """Mean over the batch of ``-w_y log P(y)``, which is CORN's sum of conditional losses.

    Source: Shi, Cao & Raschka 2021, "Deep Neural Networks for Rank-Consistent Ordinal Regression
    Based On Conditional Probabilities", arXiv:2111.08851, equation 7. The binary cross-entropies of
    a row, "above k" among the rows above k - 1, add up to -log P(y) by the chain rule.

    Differs from the paper: divided by B, not by the number of binary examples, so that the learning
    rate means the same as with other losses.

    Examples
    --------
    >>> logits = torch.logit(torch.tensor([[0.8, 0.5]]))
    >>> float(Corn()(logits, torch.tensor([1])))  # -log(0.8 * (1 - 0.5))
    0.9162...
    """

    def of_shares(self, shares: LogShares, targets: Tensor) -> Tensor:
        """Loss of the logarithms of the shares."""
        # Of logarithms of probabilities, the softmax in it is the identity.
        weight = None if self.class_weights is None else self.class_weights.to(shares.grades)
        wanted = targets.to(shares.grades) if targets.is_floating_point() else targets.long()
        return functional.cross_entropy(shares.grades, wanted, weight=weight)


class Coral(GradeLoss):
    """Mean over the batch of ``w_y sum_k BCE(P(y > k), [y > k])``: a distant grade costs more.

    Source: Cao, Mirjalili & Raschka 2020, "Rank consistent ordinal regression for neural networks
    with application to age estimation", arXiv:1901.07884, equation 4, with equal weights of the
    K - 1 questions.

    Differs from the paper: on the probabilities of conditional logits, so that it serves any head;
    the paper's one weight vector with a bias per question is the head ``coral``.

    Examples
    --------
    >>> logits = torch.logit(torch.tensor([[0.8, 0.5]]))
    >>> float(Coral()(logits, torch.tensor([1])))  # -log(0.8) - log(1 - 0.8 * 0.5)
    0.7339...
    """

    def of_shares(self, shares: LogShares, targets: Tensor) -> Tensor:
        """Loss of the logarithms of the shares."""
        wanted = grade_shares(targets, shares.grades)
        below = wanted.cumsum(dim=1)[:, :-1]  # (B, K - 1) share of grades up to k
        each = -((1 - below) * shares.above + below * shares.below).sum(dim=1)  # (B,)
        return weighted_mean(each, wanted, targets, self.class_weights)


def log_shares(logits: Tensor) -> LogShares:
    """What conditional logits (B, K - 1) say of the K grades, in float32 or better."""
    if logits.ndim != 2 or not logits.shape[1]:
        raise ValueError(f"logits have to be of shape (B, K - 1); got {tuple(logits.shape)}")
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    above = functional.logsigmoid(logits).cumsum(dim=1)
    none = torch.zeros_like(logits[:, :1])
    grades = torch.cat([none, above], dim=1) + torch.cat(
        [functional.logsigmoid(-logits), none], dim=1
    )
    # Not log(1 - P(y > k)), which is infinite where the network is sure.
    return LogShares(grades, above, torch.logcumsumexp(grades, dim=1)[:, :-1])


def weighted_mean(
    each: Tensor, wanted: Tensor, targets: Tensor, class_weights: Tensor | None
) -> Tensor:
    """Mean of the losses (B,) by the weights of their grades; divided by B for shares.

    ``wanted`` are the shares (B, K) of ``targets``.
    """
    if class_weights is None:
        return each.mean()
    weights = wanted @ class_weights.to(wanted)  # (B,)
    total = len(each) if targets.is_floating_point() else weights.sum()
    return (weights * each).sum() / total


def grade_shares(targets: Tensor, shares: Tensor) -> Tensor:
    """Shares (B, K) of each grade, from grades (B,) or shares; in the type of ``shares``."""
    if targets.is_floating_point():
        return targets.to(shares)
    return functional.one_hot(targets.long(), shares.shape[1]).to(shares)
