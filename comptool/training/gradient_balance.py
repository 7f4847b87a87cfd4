"""How much each objective and each modality may count: the arithmetic of gradient calibration.

Between objectives, IMTL-G of Liu et al. 2021, "Towards Impartial Multi-task Learning", ICLR;
between modalities, the rule that :mod:`comptool.training.gradient_calibration` speaks of.
"""

from __future__ import annotations

import torch
from torch import Tensor

from comptool.training.calibration import LIMITS, Reference


def modality_ratios(
    norms: Tensor, reference: Reference, limits: tuple[float, float] = LIMITS
) -> Tensor:
    """The factor r_m = reference / norm_m of each modality's gradient, within limits.

    Parameters
    ----------
    norms
        Norms of the gradients of M modalities, (M,), 0 or more.
    reference, limits
        See :class:`~comptool.training.calibration.Calibration`.

    Returns
    -------
    Tensor
        Shape (M,). A norm of 0 has the largest factor, unless all are 0.

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

    Parameters
    ----------
    products
        Inner products g_s . g_t, (T, T).

    Returns
    -------
    Tensor
        a, of shape (T,), float64, on the CPU. An objective without a gradient has weight 0 and does
        not bear on the others; where a product is not finite, all have 1 / T.

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
