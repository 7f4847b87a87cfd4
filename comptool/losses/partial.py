"""Multi-label losses for partially annotated targets: how to treat -1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from comptool.errors import UsageError, unknown_name
from comptool.losses.sigmoid import (
    UNKNOWN,
    Reduction,
    cells_of,
    checked_reduction,
    negative,
    positive,
    reduced,
)
from comptool.losses.softmax import Criterion, checked

Mode = Literal["negative", "ignore", "ignore-normalize", "selective"]
MODES = ("negative", "ignore", "ignore-normalize", "selective")


class PartialAsymmetric(Criterion):
    """ASL of targets 1, 0 and -1, with exponents and weights of their own for -1.

    An unannotated cell has the form of a negative. Focusing factors carry no gradient: they are
    weights of the binary cross-entropy, unlike in :class:`comptool.losses.sigmoid.Asymmetric`.

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
    gamma_pos, gamma_neg, gamma_unann
        Focusing exponents, 0 or more.
    alpha_pos, alpha_neg, alpha_unann
        Weights, 0 or more.
    clip
        Probability up to which a negative or unannotated cell costs nothing, in [0, 1).
    likelihood_topk
        Unannotated cells to leave out per image of the batch, 0 or more.
    prior
        Probability of each class in [0, 1], estimated by a model trained with ``ignore``; None
        leaves out no class. Only for ``selective``.
    prior_threshold
        In [0, 1].
    reduction
        See :class:`comptool.losses.sigmoid.CellLoss`; a cell of weight 0 does not count.
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
