"""Gradient balancing of two-stream models: between objectives and between modalities.

Huang et al. 2023, "FULLER: Unified Multi-modality Multi-task 3D Perception via Multi-level Gradient
Calibration", arXiv:2307.16617. Its inter-task level is IMTL-G of Liu et al. 2021, "Towards
Impartial Multi-task Learning", ICLR.

Differs from the paper, which has no code: the lidar and camera branches become the two streams of a
classifier, balanced where their features meet the heads; the objectives are the joint head and one
auxiliary head per stream. Norms are over the batches of all processes.

Only ratios matter, so loss scaling and gradient accumulation do not change the result; each
accumulated batch is balanced independently. Gradients that are not finite stay so, and the loss
scaler skips the update.
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

Average = Callable[[Tensor], Tensor]
Observe = Callable[[Tensor, Tensor, Tensor], None]
# Column prefixes in metrics.csv, followed by the modality.
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
    """IMTL-G weights of T objectives from the (T, T) products of their gradients.

    The weighted sum of the gradients g_t has the same projection on each u_t = g_t / |g_t|, and the
    weights sum to 1. Two objectives get weights inverse to their norms; of three or more, a weight
    may be negative.

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
    if len(norms) <= 2:  # also parallel gradients, for which the equations are singular
        return (1 / norms) / (1 / norms).sum()
    projections = products / norms  # g_s . u_t
    differences = projections[:, :1] - projections[:, 1:]  # g_s . (u_1 - u_t)
    rest = differences[0] @ torch.linalg.pinv(differences[:1] - differences[1:])
    return torch.cat([1 - rest.sum(dim=0, keepdim=True), rest])


class BalancedJunction(nn.Module):
    """Passes the streams' features to the heads, and balances the gradients on their way back.

    Each backward pass calls ``observe`` with the gradient norms (M,) after inter-objective
    balancing, the factors (M,) and the objective weights (T,). A norm is the root mean square over
    the images of all processes; ``loss_scale``, the factor of the mean loss, is taken out of it.
    """

    def __init__(
        self,
        calibration: Calibration,
        average: Average = lambda tensor: tensor,
        loss_scale: Callable[[], float | Tensor] = lambda: 1.0,
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

    # ``observe`` cannot be compiled.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, streams: Sequence[Tensor], num_heads: int) -> list[list[Tensor]]:
        """For each head the tensors (B, ...) of all streams."""
        if not torch.is_grad_enabled():
            return [list(streams)] * num_heads
        joined: tuple[Tensor, ...] = _Join.apply(self, num_heads, *streams)
        width = len(streams)
        return [list(joined[head * width : (head + 1) * width]) for head in range(num_heads)]

    def balanced(self, gradients: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Gradients (B, ...) of M streams from those of T objectives."""
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
    """Copies of each stream for each head, with one backward pass for all of them."""

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
    """A function for the mean of a tensor over all processes."""

    def average(tensor: Tensor) -> Tensor:
        if processes.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total / processes.size

    return average


def total_loss(criterion: nn.Module, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of logits (B, K), or its sum over T objectives of logits (T, B, K)."""
    each = [logits] if logits.ndim == 2 else list(logits)
    return torch.stack([criterion(one, targets) for one in each]).sum()


class GradientLogger:
    """Columns of ``metrics.csv``: epoch means of gradient norms, factors and objective weights.

    They are ``gradient_norm_<modality>``; with ``intra`` ``gradient_ratio_<modality>``; with
    ``inter`` ``joint_objective_weight`` and ``objective_weight_<modality>``. Backward passes with
    gradients that are not finite do not count.
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
        values = torch.cat([part.to(self._total, non_blocking=True) for part in found])
        finite = values.isfinite().all()
        self._total += torch.where(finite, values, 0)
        self._passes += finite

    def read(self) -> dict[str, float | None]:
        """The means by column, None without a finite backward pass; starts the next epoch."""
        passes = int(self._passes)
        means = [total / passes if passes else None for total in self._total.tolist()]
        self._total.zero_()
        self._passes.zero_()
        return dict(zip(self._columns, means, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Sums and number of the passes of the epoch so far, to resume within it."""
        return {"total": self._total.tolist(), "passes": int(self._passes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`."""
        self._total.copy_(torch.tensor(state["total"], dtype=torch.float64))
        self._passes.fill_(state["passes"])


def gradient_curves(history: Sequence[Mapping[str, float | None]]) -> list[Curves]:
    """Curves of the gradient columns of ``metrics.csv``; empty without any."""

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
