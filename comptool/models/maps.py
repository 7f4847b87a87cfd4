"""The feature map of any backbone that has one, in one layout.

An encoder whose map is asked for has, as timm's backbones do, ``forward_features(images)`` and
``num_features``; ``output_fmt`` is ``"NHWC"`` if that is the layout of its maps, and
``feature_info[-1]["reduction"]`` the pixels per token if it gives tokens.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from comptool.errors import UsageError
from comptool.models.streams import Encoder


def feature_map(module: Any, images: Tensor) -> Tensor:
    """The last feature map, (B, F, h, w), of images (B, C, H, W).

    Tokens (B, N, F) become the map of their grid; those before the grid (class, distillation and
    register tokens) are left out.

    Parameters
    ----------
    module
        A module that :func:`as_map` has accepted.
    """
    features: Tensor = module.forward_features(images)
    if features.ndim == 3:
        height, width = _grid(module, images.shape)
        grid = features[:, features.shape[1] - height * width :]
        return grid.transpose(1, 2).reshape(grid.shape[0], -1, height, width)
    return features.permute(0, 3, 1, 2) if _channels_last(module) else features


def as_map(encoder: Encoder) -> tuple[nn.Module, int]:
    """The encoder's module without what only its pooled features need, and the map's F.

    The layers after the map are put out, in place: without a gradient they would stop
    DistributedDataParallel.

    Raises
    ------
    UsageError
        If the backbone gives no feature map.
    """
    module: Any = encoder.module
    if not hasattr(module, "forward_features"):
        raise _no_map(module, "it has none")
    was_training = module.training
    module.eval()  # the images of the trial would enter the statistics of batch normalisation
    shape = (1, *encoder.image_shape)
    features, tensors = _tried(module, shape)
    _check(module, shape, features)
    used, parameters = _leaves(features), dict(module.named_parameters())
    _put_out(module, {id(parameters[name]) for name in parameters if id(tensors[name]) in used})
    module.train(was_training)
    return module, module.num_features


class _Map(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Any:
        return self.module.forward_features(images)  # type: ignore[operator]


def _tried(module: nn.Module, shape: tuple[int, ...]) -> tuple[Any, dict[str, Tensor]]:
    """What the module gives for images of a shape, and the parameters that it was computed from."""
    with torch.enable_grad():
        try:
            return _run(module, shape, "meta")  # without numbers it takes no time
        except (RuntimeError, NotImplementedError):
            # A module that reads a number, or holds one that is no buffer, has to be run for real.
            return _run(module, shape, "cpu")


def _run(module: nn.Module, shape: tuple[int, ...], device: str) -> tuple[Any, dict[str, Tensor]]:
    parameters = dict(module.named_parameters())
    copies: dict[str, Tensor] = {
        name: tensor.detach().to(device, copy=True).requires_grad_(name in parameters)
        for name, tensor in chain(parameters.items(), module.named_buffers())
    }
    given = {f"module.{name}": tensor for name, tensor in copies.items()}
    with torch.device(device):
        # tie_weights=True would leave copies behind where blocks share a module.
        return functional_call(_Map(module), given, torch.zeros(shape), tie_weights=False), copies


def _grid(module: Any, images: tuple[int, ...]) -> tuple[int, int]:
    stride = module.feature_info[-1]["reduction"]
    return math.ceil(images[2] / stride), math.ceil(images[3] / stride)


def _check(module: Any, images: tuple[int, ...], features: Any) -> None:
    if not isinstance(features, Tensor):
        raise _no_map(module, "it gives several")
    channels = {3: 2, 4: 3 if _channels_last(module) else 1}.get(features.ndim)
    fits = channels is not None and features.shape[channels] == module.num_features
    if features.ndim == 3:
        fits = fits and features.shape[1] >= math.prod(_grid(module, images))
    if not fits:
        raise _no_map(module, f"it gives features of shape {tuple(features.shape)}")


def _channels_last(module: Any) -> bool:
    return getattr(module, "output_fmt", "NCHW") == "NHWC"


def _no_map(module: nn.Module, why: str) -> UsageError:
    return UsageError(
        f"the head needs one feature map and the backbone has none to give ({why}: "
        f"{type(module).__name__})"
    )


def _leaves(output: Tensor) -> set[int]:
    """Ids of the parameters that a tensor was computed from."""
    found: set[int] = set()
    seen: set[Any] = set()
    nodes: list[Any] = [output.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        nodes += [following for following, _ in node.next_functions]
    return found


def _put_out(module: nn.Module, used: set[int]) -> None:
    for name, child in list(module.named_children()):
        owned = [id(parameter) for parameter in child.parameters()]
        if owned and used.isdisjoint(owned):
            setattr(module, name, nn.Identity())
        else:
            _put_out(child, used)
