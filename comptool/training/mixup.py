"""Mixup, CutMix and balanced mixup of whole batches.

Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412, section 2. Yun et
al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
arXiv:1905.04899, section 3. Galdran, Carneiro & González Ballester 2021, "Balanced-MixUp for Highly
Imbalanced Medical Image Classification", arXiv:2109.09850, section 2, with the authors' code for
which image gets the drawn share. Not timm's, which takes one tensor with an even batch, draws from
numpy's global generator and has no multi-label targets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comptool.tasks.labels import UNKNOWN

Mixed = tuple[list[Tensor], Tensor]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mixing:
    """Mixing of the training batches."""

    mixup: float  # alpha of Beta(alpha, alpha); 0: off
    cutmix: float  # the same; if both are on, each batch takes one at random
    balanced: float  # alpha of Beta(alpha, 1), instead of the other two; 0: off
    num_classes: int  # K
    numbers: bool = False  # whether targets are numbers, of which -1 is one

    def left(self, drawn: int) -> int:
        """Number of samples after mixing."""
        return drawn // 2 if self.balanced else drawn

    def __call__(
        self, images: Sequence[Tensor], targets: Tensor, random: np.random.Generator
    ) -> Mixed:
        """Mixed images and targets (B, K); unchanged if all are off.

        Parameters
        ----------
        images
            One float tensor (B, C, H, W) per modality; balanced: (2 B, C, H, W).
        targets
            Class indices (B,), class shares (B, K), multi-label cells (B, K) of 1, 0 and -1, or
            numbers (B, T).
        random
            The only source of randomness, so that a resumed run draws the same shares.
        """
        if not (self.mixup or self.cutmix or self.balanced):
            return list(images), targets
        if targets.ndim == 1:
            # Faster than one_hot, which checks every index on a CPU.
            targets = targets[:, None] == torch.arange(self.num_classes, device=targets.device)
        targets = targets.float()
        if self.balanced:
            return balanced_mixup(images, targets, self.balanced, random)
        cuts = self.cutmix > 0 and (not self.mixup or random.random() < 0.5)
        if cuts:
            return cutmix(images, targets, self.cutmix, random, numbers=self.numbers)
        return mixup(images, targets, self.mixup, random, numbers=self.numbers)


def mixup(
    images: Sequence[Tensor],
    targets: Tensor,
    alpha: float,
    random: np.random.Generator,
    *,
    numbers: bool = False,
) -> Mixed:
    """Mix each sample i of a batch with sample B - 1 - i.

    Parameters
    ----------
    images
        One float tensor (B, C, H, W) per modality, all mixed with one partner and share.
    targets
        Float class shares or cells (B, K), or numbers (B, T).
    alpha
        The share of a batch is drawn from Beta(alpha, alpha), alpha above 0.
    random
        Source of the share.
    numbers
        Whether the targets are numbers.
    """
    share = float(random.beta(alpha, alpha))
    mixed = [torch.lerp(tensor.flip(0), tensor, share) for tensor in images]
    return mixed, mixed_targets(targets, targets.flip(0), share, numbers=numbers)


def balanced_mixup(
    images: Sequence[Tensor], targets: Tensor, alpha: float, random: np.random.Generator
) -> Mixed:
    """Mix each sample of the first half of a batch with its partner in the second half.

    Parameters
    ----------
    images
        One float tensor (2 B, C, H, W) per modality: B samples in the order of the epoch, then B
        samples drawn class by class. The result has B.
    targets
        Float class shares or cells (2 B, K).
    alpha
        The share of the second half is drawn from Beta(alpha, 1), alpha above 0; its mean is
        alpha / (1 + alpha).
    random
        Source of the share.
    """
    share = 1 - float(random.beta(alpha, 1))
    halves = [tensor.chunk(2) for tensor in images]
    mixed = [torch.lerp(drawn, own, share) for own, drawn in halves]
    own_targets, drawn_targets = targets.chunk(2)
    return mixed, mixed_targets(own_targets, drawn_targets, share)


def cutmix(
    images: Sequence[Tensor],
    targets: Tensor,
    alpha: float,
    random: np.random.Generator,
    *,
    numbers: bool = False,
) -> Mixed:
    """Replace a box in each sample i of a batch by that of sample B - 1 - i.

    Parameters
    ----------
    images, targets, numbers
        As for :func:`mixup`. The box is at the same relative place in all modalities. The share of
        the targets is that of the pixels that are kept after clipping, the mean over modalities.
    alpha
        The share of pixels to keep is drawn from Beta(alpha, alpha), alpha above 0.
    random
        Source of share and place.
    """
    box = _box(float(random.beta(alpha, alpha)), random)
    mixed, kept = [], []
    for tensor in images:
        height, width = tensor.shape[2:]
        rows = slice(round(box[0] * height), round(box[1] * height))
        columns = slice(round(box[2] * width), round(box[3] * width))
        changed = tensor.clone()
        changed[:, :, rows, columns] = tensor.flip(0)[:, :, rows, columns]
        mixed.append(changed)
        cut = (rows.stop - rows.start) * (columns.stop - columns.start)
        kept.append(1 - cut / (height * width))
    share = sum(kept) / len(kept)
    return mixed, mixed_targets(targets, targets.flip(0), share, numbers=numbers)


def mixed_targets(
    targets: Tensor, partners: Tensor, share: float, *, numbers: bool = False
) -> Tensor:
    """Targets (B, K) with ``share`` of the sample and the rest of its partner.

    A cell is unknown (-1) if it is in either sample with a positive share.
    """
    if numbers:
        return torch.lerp(partners, targets, share)
    unknown = torch.zeros_like(targets, dtype=torch.bool)
    if share > 0:
        unknown |= targets == UNKNOWN
    if share < 1:
        unknown |= partners == UNKNOWN
    return torch.lerp(partners, targets, share).masked_fill(unknown, UNKNOWN)


def _box(share: float, random: np.random.Generator) -> Box:
    """Top, bottom, left and right in [0, 1] of a box of area 1 - share, clipped at the border."""
    half = math.sqrt(1 - share) / 2
    middle = random.random(2)
    spans = [(max(at - half, 0.0), min(at + half, 1.0)) for at in middle.tolist()]
    return (*spans[0], *spans[1])
