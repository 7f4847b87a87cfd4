"""Frozen parts of a model, and the weights of its head."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from comptool.models.streams import StreamModel
from comptool.training.config import BACKBONE

ENCODERS = "encoders"


def freeze(model: StreamModel, part: str | None) -> None:
    """Turn off gradients in a part of the model, before the optimizer is created."""
    for name, parameter in model.named_parameters():
        if part is not None and _is_of(name, part):
            parameter.requires_grad_(False)


def set_training(model: StreamModel, part: str | None) -> None:
    """Training mode, but evaluation mode (BatchNorm, dropout) in the frozen part."""
    model.train()
    if part is not None:
        for module in _modules(model, part):
            module.eval()


def head_weights(model: StreamModel) -> dict[str, Tensor]:
    """Copies of all weights outside the encoders, by name."""
    return {
        name: tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if not _is_of(name, BACKBONE)
    }


def _is_of(name: str, part: str) -> bool:
    return name.startswith(f"{ENCODERS}.") == (part == BACKBONE)


def _modules(model: StreamModel, part: str) -> Iterator[nn.Module]:
    for name, child in model.named_children():
        if (name == ENCODERS) == (part == BACKBONE):
            yield child
