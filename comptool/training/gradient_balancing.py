"""Gradients balanced before they enter the encoders: between objectives, between modalities.

Huang et al. 2023, "FULLER: Unified Multi-modality Multi-task 3D Perception via Multi-level Gradient
Calibration", arXiv:2307.16617. Its first level, between tasks, is IMTL-G of Liu et al. 2021,
"Towards Impartial Multi-task Learning", ICLR: the weights with which the sum of the gradients has
the same projection on each of them.

Differs from the paper, whose page gives no code: what it says of lidar and camera branches is done
here at the junction of a two-stream classifier, where each stream's features meet the heads; the
objectives are the joint head and one auxiliary head per stream. Norms are those of the batches of
all processes together, so that several processes do what one with the whole batch would.

Only ratios enter, so neither the loss scale under fp16 nor gradient accumulation matters; each of
the accumulated batches is balanced by itself. A gradient that is not finite stays so, and its
update is skipped as ever. Which levels are balanced is parsed, without torch, in
:mod:`comptool.training.config`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from comptool.reports.plots import Curves
from comptool.training.config import LIMITS, Calibration, Reference
from comptool.training.distributed import Processes
from comptool.training.epoch_loggers import EpochLogger

Average = Callable[[Tensor], Tensor]
Observe = Callable[[Tensor, Tensor, Tensor], None]
# Columns of metrics.csv; the name of a modality follows.
NORM, RATIO, WEIGHT = "gradient_norm_", "gradient_ratio_", "objective_weight_"
JOINT = "joint_objective_weight"


def modality_ratios(
    norms: Tensor, reference: Reference, limits: tuple[float, float] = LIMITS
) -> Tensor:
    """The factor r_m = reference / norm_m of each modality's gradient, within limits.

    Examples
    --------
    >>> modality_ratios(torch.tensor([1.0, 3.0]), "mean")
    tensor([2.0000, 0.6667])
    """
    levels: dict[str, Tensor] = {"mean": norms.mean(), "max": norms.amax(), "min": norms.amin()}
    tiny = torch.finfo(norms.dtype).tiny
    return (levels[reference] / norms.clamp_min(tiny)).clamp(*limits)


def objective_weights(products: Tensor) -> Tensor:
    """The weights of T objectives' gradients whose sum has one projection on each of them: IMTL-G.

    With g_t the gradients and u_t = g_t / |g_t|: ``sum_s a_s g_s . u_t`` is the same for every t,
    and the weights sum to 1. Two objectives get weights inverse to their norms. Of three and more,
    one that is at odds with the others may get a negative weight.

    Examples
    --------
    >>> objective_weights(torch.tensor([[4.0, 0.0], [0.0, 1.0]]))
    tensor([0.3333, 0.6667], dtype=torch.float64)
    """
    products = products.detach().to("cpu", torch.float64)
    norms = products.diagonal().clamp_min(0).sqrt()
    there = torch.nonzero(norms).flatten()
    if not products.isfinite().all() or not len(there):
        return torch.full_like(norms, 1 / len(norms))
    weights = torch.zeros_like(norms)
    weights[there] = _impartial(products[there][:, there], norms[there])
    return weights


def _impartial(products: Tensor, norms: Tensor) -> Tensor:
    if len(norms) <= 2:  # also where they are parallel, of which the equations say nothing
        return (1 / norms) / (1 / norms).sum()
    projections = products / norms  # g_s . u_t
    differences = projections[:, :1] - projections[:, 1:]  # g_s . (u_1 - u_t)
    rest = differences[0] @ torch.linalg.pinv(differences[:1] - differences[1:])
    return torch.cat([1 - rest.sum(dim=0, keepdim=True), rest])


class BalancedJunction(nn.Module):
    """A model's junction: heads see what the streams give, gradients come back balanced.

    Parameters
    ----------
    calibration
        Which levels are balanced.
    average
        The mean over all processes of a tensor that each of them has; see :func:`average_over`.
    loss_scale
        The current factor of the batch's mean loss; for ``observe`` alone.
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
        observe: Observe = lambda norms, ratios, weights: None,
    ) -> None:
        super().__init__()
        self.calibration = calibration
        self.average = average
        self.loss_scale = loss_scale
        self.observe = observe

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"intra={self.calibration.intra}, inter={self.calibration.inter}"

    # What is observed cannot be compiled.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, streams: Sequence[Tensor], num_heads: int) -> list[list[Tensor]]:
        """For each head a list of the tensors of all streams, each of any shape (B, ...)."""
        if not torch.is_grad_enabled():
            return [list(streams)] * num_heads
        joined: tuple[Tensor, ...] = _Join.apply(self, num_heads, *streams)
        width = len(streams)
        return [list(joined[head * width : (head + 1) * width]) for head in range(num_heads)]

    def balanced(self, gradients: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """The gradient (B, ...) that enters each of M streams, from those of T objectives there."""
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
        return (None, None, *ctx.junction.balanced(tasks))


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
    """The loss of logits (B, K), or the sum over T objectives of logits (T, B, K)."""
    each = [logits] if logits.ndim == 2 else list(logits)
    return torch.stack([criterion(one, targets) for one in each]).sum()


class GradientLogger(EpochLogger):
    """Means over the backward passes of an epoch: norms, and what the balancing made of them.

    The columns are ``gradient_norm_<modality>``; with ``intra``, ``gradient_ratio_<modality>``, the
    factor; with ``inter``, ``joint_objective_weight`` and ``objective_weight_<modality>``. Passes
    whose gradients were not finite do not count.

    Parameters
    ----------
    calibration
        Which of them there are.
    modalities
        M names, in the order of the streams.
    device
        Where the norms are.
    """

    def __init__(
        self, calibration: Calibration, modalities: Sequence[str], device: torch.device
    ) -> None:
        self._calibration = calibration
        self._columns = [NORM + name for name in modalities]
        if calibration.intra is not None:
            self._columns += [RATIO + name for name in modalities]
        if calibration.inter:
            self._columns += [JOINT, *(WEIGHT + name for name in modalities)]
        self._total = torch.zeros(len(self._columns), dtype=torch.float64, device=device)
        self._passes = torch.zeros((), dtype=torch.int64, device=device)

    def observe(self, norms: Tensor, ratios: Tensor, weights: Tensor) -> None:
        """Add a backward pass; see :class:`BalancedJunction`."""
        found = [norms]
        if self._calibration.intra is not None:
            found.append(ratios)
        if self._calibration.inter:
            found.append(weights)
        values = torch.cat([part.to(self._total) for part in found])
        finite = values.isfinite().all()
        self._total += torch.where(finite, values, 0)
        self._passes += finite

    def read(self) -> dict[str, float | None]:
        """The means by column, None for all if no pass counts."""
        passes = int(self._passes)
        means = [total / passes if passes else None for total in self._total.tolist()]
        self._total.zero_()
        self._passes.zero_()
        return dict(zip(self._columns, means, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Sums and number of the passes so far."""
        return {"total": self._total.tolist(), "passes": int(self._passes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        self._total.copy_(torch.tensor(state["total"], dtype=torch.float64))
        self._passes.fill_(state["passes"])


def gradient_curves(history: Sequence[Mapping[str, float | None]]) -> list[Curves]:
    """Curves of the gradients' columns in E rows of a ``metrics.csv``; empty without any."""

    def lines(prefix: str) -> dict[str, list[float | None]]:
        columns = [column for column in history[0] if column.startswith(prefix)]
        return {name.removeprefix(prefix): [row[name] for row in history] for name in columns}

    weights = lines(WEIGHT)
    if weights:
        weights["joint head"] = [row[JOINT] for row in history]
    panels = [
        Curves("norm of an image's gradient at the features", lines(NORM)),
        Curves("factor that it has on its way into the encoder", lines(RATIO), level=1.0),
        Curves("weight of each head's objective", weights),
    ]
    return [panel for panel in panels if panel.series]
