"""Gradients brought to balance before they enter the encoders: of objectives, of modalities.

Huang et al. 2023, "FULLER: Unified Multi-modality Multi-task 3D Perception via Multi-level Gradient
Calibration", arXiv:2307.16617. Its first level, between tasks, is IMTL-G of Liu et al. 2021,
"Towards Impartial Multi-task Learning", ICLR: the weights with which the sum of the gradients has
the same projection on each of them.

Differs from the paper, whose page gives no code: what it says of lidar and camera branches is done
here at the junction of a two-stream classifier, where each stream's features meet the heads; the
objectives are the joint head and one auxiliary head per stream. Norms are those of the batches of
all processes together, so that several processes do what one with the whole batch would.

Scales do not matter, neither that of the loss under fp16 nor that of a batch among accumulated
ones: only ratios enter. Each of accumulated batches is calibrated for itself. A gradient that is
not finite stays so, and its update is skipped as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from comptool.training.calibration import Calibration
from comptool.training.gradient_balance import modality_ratios, objective_weights
from comptool.training.processes import Processes

Average = Callable[[Tensor], Tensor]
Observe = Callable[[Tensor, Tensor, Tensor], None]


def nobody(norms: Tensor, ratios: Tensor, weights: Tensor) -> None:
    """Takes what a backward pass has found, and keeps nothing."""


class CalibratedJunction(nn.Module):
    """In a model's junction: heads see what the streams give, gradients come back balanced.

    Parameters
    ----------
    calibration
        What is done to them.
    average
        The mean over all processes of a tensor that each of them has; see :func:`average_over`.
    loss_scale
        What the mean loss of the batch is multiplied by at the moment; for ``observe`` alone.
    observe
        Called in every backward pass with the norms (M,) of the gradients between the two levels,
        the factors (M,) that followed, and the weights (T,) of the objectives. A norm is that of
        one image: the root mean square, over the images of all processes, of the gradient that
        the loss of an image has in the modality's features.
    """

    def __init__(
        self,
        calibration: Calibration,
        average: Average = lambda tensor: tensor,
        loss_scale: Callable[[], float] = lambda: 1.0,
        observe: Observe = nobody,
    ) -> None:
        super().__init__()
        self.calibration = calibration
        self.average = average
        self.loss_scale = loss_scale
        self.observe = observe

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"intra={self.calibration.intra}, inter={self.calibration.inter}"

    # What is observed is no part of a graph.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, streams: Sequence[Tensor], num_heads: int) -> list[list[Tensor]]:
        """For each head a list of the tensors of all streams, each of any shape (B, ...)."""
        if not torch.is_grad_enabled():
            return [list(streams)] * num_heads
        joined: tuple[Tensor, ...] = _Join.apply(self, num_heads, *streams)
        width = len(streams)
        return [list(joined[head * width : (head + 1) * width]) for head in range(num_heads)]

    def calibrated(self, gradients: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """What enters each of M streams, of the gradients that T objectives have there.

        Parameters
        ----------
        gradients
            For each objective, one per stream, of shape (B, ...).
        """
        weights = self._weights(gradients)
        summed = [
            torch.stack(
                [weight * part for weight, part in zip(weights.tolist(), parts, strict=True)]
            ).sum(0)
            for parts in zip(*gradients, strict=True)
        ]
        squares = torch.stack([part.float().square().sum() for part in summed])
        norms = self.average(squares).sqrt()
        ratios = torch.ones_like(norms)
        if self.calibration.intra is not None:
            ratios = modality_ratios(norms, self.calibration.intra, self.calibration.limits)
        of_one_image = norms * len(summed[0]) ** 0.5 / self.loss_scale()
        self.observe(of_one_image, ratios, weights)
        return [part * ratio.to(part.dtype) for part, ratio in zip(summed, ratios, strict=True)]

    def _weights(self, gradients: Sequence[Sequence[Tensor]]) -> Tensor:
        if not self.calibration.inter:
            return torch.ones(len(gradients), dtype=torch.float64)
        rows = [torch.cat([part.float().flatten() for part in own]) for own in gradients]
        # Not a matrix product: tensor cores would round it.
        products = torch.stack([torch.stack([(a * b).sum() for b in rows]) for a in rows])
        return objective_weights(self.average(products))


class _Join(Function):
    """Every stream once for each head; the gradients of all of them come back together."""

    @staticmethod
    def forward(ctx: Any, junction: Any, num_heads: int, *streams: Tensor) -> tuple[Tensor, ...]:
        ctx.junction, ctx.num_heads = junction, num_heads
        return tuple(stream.view_as(stream) for _ in range(num_heads) for stream in streams)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        width = len(gradients) // ctx.num_heads
        starts = range(0, len(gradients), width)
        tasks = [gradients[start : start + width] for start in starts]
        return (None, None, *ctx.junction.calibrated(tasks))


def average_over(processes: Processes) -> Average:
    """What gives the mean over all processes of a tensor that each of them has."""

    def average(tensor: Tensor) -> Tensor:
        if processes.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total / processes.size

    return average


def total_loss(criterion: nn.Module, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of one objective, or the sum over several.

    Parameters
    ----------
    criterion
        Called with logits (B, K) and targets.
    logits
        (B, K), or (T, B, K) as a model with auxiliary heads gives them in training.
    targets
        As the criterion takes them.
    """
    each = [logits] if logits.ndim == 2 else list(logits)
    return torch.stack([criterion(one, targets) for one in each]).sum()
