"""Gradient calibration by hand: what the junction does, from autograd and the definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.nn import functional


@dataclass(frozen=True)
class Twin:
    """What calibration finds and does: tensors (M,), (M,), (T,), and gradients by parameter."""

    norms: Any
    ratios: Any
    weights: Any
    gradients: dict[str, Any]


def weighed(rows: torch.Tensor, inter: bool) -> torch.Tensor:
    if not inter:
        return torch.ones(len(rows), dtype=torch.float64)
    units = rows / rows.norm(dim=1, keepdim=True)
    apart, aside = rows[:1] - rows[1:], units[:1] - units[1:]
    rest = rows[0] @ aside.T @ torch.linalg.pinv(apart @ aside.T)
    return torch.cat([1 - rest.sum().view(1), rest])


@pytest.fixture(scope="session")
def twin() -> Callable[..., Twin]:
    """``twin(model, images, targets, calibration)``: cross-entropy, concatenated features.

    Each objective's gradient is taken at the features by itself, weighed, scaled, and sent back.
    """

    def by_hand(model, images, targets, calibration):
        features = [encoder(image) for encoder, image in zip(model.encoders, images, strict=True)]
        leaves = [feature.detach().requires_grad_() for feature in features]
        seen = [torch.cat(leaves, dim=1), *leaves][: 1 + len(model.auxiliary)]
        heads = [model.classifier, *model.auxiliary]
        tasks = [
            functional.cross_entropy(head(one).float(), targets)
            for head, one in zip(heads, seen, strict=True)
        ]
        parts = [
            torch.autograd.grad(
                task, leaves, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for task in tasks
        ]
        rows = torch.stack([torch.cat(own, dim=1).flatten() for own in parts]).double()
        weights = weighed(rows, calibration.inter)
        summed = (weights @ rows).view(len(targets), -1).float()
        summed = summed.split([leaf.shape[1] for leaf in leaves], dim=1)
        norms = torch.stack([part.norm() for part in summed])
        level = {"mean": norms.mean(), "max": norms.max(), "min": norms.min()}
        ratios = torch.ones(2)
        if calibration.intra:
            ratios = (level[calibration.intra] / norms).clamp(*calibration.limits)
        model.zero_grad()
        for feature, part, ratio in zip(features, summed, ratios, strict=True):
            feature.backward((part * ratio).to(feature.dtype))
        gradients = {
            name: parameter.grad
            for name, parameter in model.named_parameters()
            if name.startswith("encoders.")
        }
        others = [name for name, _ in model.named_parameters() if name not in gradients]
        of_heads = torch.autograd.grad(sum(tasks), [model.get_parameter(name) for name in others])
        gradients |= dict(zip(others, of_heads, strict=True))
        of_one_image = norms * len(targets) ** 0.5
        return Twin(of_one_image.detach(), ratios.detach(), weights, gradients)

    return by_hand
