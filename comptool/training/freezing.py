"""Parts of a model that stay as they are, and parts that begin anew."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from comptool.models.streams import StreamModel
from comptool.training.config import BACKBONE

ENCODERS = "encoders"


def freeze(model: StreamModel, part: str | None) -> None:
    """Take the gradients from a part of a model; the optimizer is made of the others."""
    for name, parameter in model.named_parameters():
        if part is not None and _is_of(name, part):
            parameter.requires_grad_(False)


def set_training(model: StreamModel, part: str | None) -> None:
    """Training mode for the model, evaluation mode for its frozen part.

    So the statistics of frozen batch normalisation do not move, and nothing in front of what
    trains is dropped at random.
    """
    model.train()
    if part is not None:
        for module in _modules(model, part):
            module.eval()


def head_weights(model: StreamModel) -> dict[str, Tensor]:
    """Copies of the weights of everything behind the encoders, by name."""
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
