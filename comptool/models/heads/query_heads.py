"""Feature maps of any backbone in one layout, and the base of heads that query them.

As in timm, an encoder with a feature map has ``forward_features(images)`` and ``num_features``;
``output_fmt`` is ``"NHWC"`` for maps of that layout, and ``feature_info[-1]["reduction"]`` is the
number of pixels per token if it returns tokens.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from comptool.errors import UsageError
from comptool.models.streams import Encoder, StreamModel


def feature_map(module: Any, images: Tensor) -> Tensor:
    """The last feature map, (B, F, h, w), of images (B, C, H, W).

    Tokens (B, N, F) become the map of their grid, without the class, distillation and register
    tokens before it. :func:`as_map` has to accept the module first.
    """
    features: Tensor = module.forward_features(images)
    if features.ndim == 3:
        height, width = _grid(module, images.shape)
        grid = features[:, features.shape[1] - height * width :]
        return grid.transpose(1, 2).reshape(grid.shape[0], -1, height, width)
    return features.permute(0, 3, 1, 2) if _channels_last(module) else features


def as_map(encoder: Encoder) -> tuple[nn.Module, int]:
    """The encoder's module without the layers after the map, and the map's F.

    Those layers become identities, in place: without gradients they would stop
    DistributedDataParallel. Raises a UsageError if the backbone has no feature map.
    """
    module: Any = encoder.module
    if not hasattr(module, "forward_features"):
        raise _no_map(module, "no forward_features")
    was_training = module.training
    module.eval()  # protects the statistics of batch normalisation
    shape = (1, *encoder.image_shape)
    features, tensors = _trial(module, shape)
    _check(module, shape, features)
    used, parameters = _leaves(features), dict(module.named_parameters())
    _remove_unused(
        module, {id(parameters[name]) for name in parameters if id(tensors[name]) in used}
    )
    module.train(was_training)
    return module, module.num_features


class _Map(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Any:
        return self.module.forward_features(images)  # type: ignore[operator]


def _trial(module: nn.Module, shape: tuple[int, ...]) -> tuple[Any, dict[str, Tensor]]:
    """Output for images of a shape, and the parameters it was computed from."""
    with torch.enable_grad():
        try:
            return _run(module, shape, "meta")  # without values it takes no time
        except (RuntimeError, NotImplementedError):
            # A module that reads values, or has tensors that are not buffers, needs a real device.
            return _run(module, shape, "cpu")


def _run(module: nn.Module, shape: tuple[int, ...], device: str) -> tuple[Any, dict[str, Tensor]]:
    parameters = dict(module.named_parameters())
    copies: dict[str, Tensor] = {
        name: tensor.detach().to(device, copy=True).requires_grad_(name in parameters)
        for name, tensor in chain(parameters.items(), module.named_buffers())
    }
    given = {f"module.{name}": tensor for name, tensor in copies.items()}
    with torch.device(device):
        # tie_weights=True would leave copies in blocks that share a module.
        return functional_call(_Map(module), given, torch.zeros(shape), tie_weights=False), copies


def _grid(module: Any, images: tuple[int, ...]) -> tuple[int, int]:
    stride = module.feature_info[-1]["reduction"]
    return math.ceil(images[2] / stride), math.ceil(images[3] / stride)


def _check(module: Any, images: tuple[int, ...], features: Any) -> None:
    if not isinstance(features, Tensor):
        raise _no_map(module, "several outputs")
    channels = {3: 2, 4: 3 if _channels_last(module) else 1}.get(features.ndim)
    fits = channels is not None and features.shape[channels] == module.num_features
    if features.ndim == 3:
        fits = fits and features.shape[1] >= math.prod(_grid(module, images))
    if not fits:
        raise _no_map(module, f"features of shape {tuple(features.shape)}")


def _channels_last(module: Any) -> bool:
    return getattr(module, "output_fmt", "NCHW") == "NHWC"


def _no_map(module: nn.Module, why: str) -> UsageError:
    return UsageError(
        f"the head needs a feature map and the backbone {type(module).__name__} has none ({why})"
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


def _remove_unused(module: nn.Module, used: set[int]) -> None:
    for name, child in list(module.named_children()):
        owned = [id(parameter) for parameter in child.parameters()]
        if owned and used.isdisjoint(owned):
            setattr(module, name, nn.Identity())
        else:
            _remove_unused(child, used)


class Decoder(nn.Module, ABC):
    """Queries, D wide, that read the feature maps of M streams.

    Each stream's map has its own projection and all tokens form one memory, so modalities may
    differ in size and queries can distinguish them.
    """

    def __init__(self, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(width, hidden) for width in widths)

    def memory(self, maps: Sequence[Tensor]) -> Tensor:
        """Projected maps (B, F, h, w) of M streams as (B, N, D), N all positions."""
        projected = [
            project(features.flatten(2).transpose(1, 2))
            for project, features in zip(self.projections, maps, strict=True)
        ]
        return torch.cat(projected, dim=1)

    def no_weight_decay(self) -> set[str]:
        """Parameters without weight decay, for timm's optimizers."""
        return {"queries"}

    @abstractmethod
    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Queries (B, Q, D) after reading maps (B, F, h, w) of M streams."""


class QueryClassifier(StreamModel):
    """Feature maps of M independent encoders, queries that read them, and a last layer.

    ``forward_features`` returns the concatenated queries (B, Q D), the input of ``classifier``.
    Freezing all but ``classifier`` also freezes the queries.
    """

    def __init__(
        self,
        encoders: Sequence[Encoder],
        decoder: Callable[[Sequence[int]], Decoder],
        classifier: nn.Module,
    ) -> None:
        super().__init__()
        modules, widths = zip(*(as_map(encoder) for encoder in encoders), strict=True)
        self.streams = len(encoders)
        self.data_config = encoders[0].data_config
        self.encoders = nn.ModuleList(modules)
        self.decoder = decoder(widths)
        self.classifier = classifier

    def forward_features(self, *images: Tensor) -> Tensor:
        """Queries (B, Q D) after reading M images (B, C, H, W)."""
        self.check_streams(images)
        maps = [
            feature_map(encoder, image)
            for encoder, image in zip(self.encoders, images, strict=True)
        ]
        (joined,) = self.junction(maps, 1)
        queries: Tensor = self.decoder(joined)
        return queries.flatten(1)

    def forward(self, *images: Tensor) -> Tensor:
        """Logits (B, K) of M tensors (B, C, H, W)."""
        logits: Tensor = self.output(self.classifier(self.forward_features(*images)))
        return logits


class GroupLinear(nn.Module):
    """Each of Q queries yields the logits of its own ceil(K / Q) classes; the excess is cut off."""

    def __init__(self, num_queries: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.in_features, self.out_features = num_queries * hidden, num_classes
        per_query = -(-num_classes // num_queries)
        self.weight = nn.Parameter(torch.empty(num_queries, hidden, per_query))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        nn.init.xavier_normal_(self.weight)

    def extra_repr(self) -> str:
        """The sizes, for printing."""
        return f"weight={tuple(self.weight.shape)}, out_features={self.out_features}"

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of queries (B, Q D)."""
        queries = features.reshape(-1, *self.weight.shape[:2])
        logits = torch.einsum("bqd,qdf->bqf", queries, self.weight).flatten(1)
        return logits[:, : self.out_features] + self.bias


class FeedForward(nn.Sequential):
    """Linear, ReLU, dropout, linear: the second half of a transformer layer."""

    def __init__(self, hidden: int, inner: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(hidden, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, hidden)
        )


def checked_dropout(dropout: float) -> float:
    """Check a dropout rate, in [0, 1)."""
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout is {dropout}; it has to be in [0, 1)")
    return dropout


def checked_hidden(hidden_dim: int, heads: int) -> int:
    """Check the width of a query, a positive multiple of ``heads``."""
    if hidden_dim < heads or hidden_dim % heads:
        raise UsageError(f"hidden_dim is {hidden_dim}; it has to be a positive multiple of {heads}")
    return hidden_dim
