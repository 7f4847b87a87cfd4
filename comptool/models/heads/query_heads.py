"""Feature maps of any backbone in one layout, and the base of heads that query them.

The feature map of any backbone that has one, in one layout.

An encoder whose map is asked for has, as timm's backbones do, ``forward_features(images)`` and
``num_features``; ``output_fmt`` is ``"NHWC"`` if that is the layout of its maps, and
``feature_info[-1]["reduction"]`` the pixels per token if it gives tokens.
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


class Decoder(nn.Module, ABC):
    """Queries that read the feature maps of M streams.

    Every stream's map has a projection of its own and the tokens of all streams make one memory, so
    modalities may differ in size, and a query can tell them apart.

    Parameters
    ----------
    widths
        Channels of each stream's map.
    hidden
        D, the width of a query.
    """

    def __init__(self, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(width, hidden) for width in widths)

    def memory(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, F, h, w) of M streams, projected: (B, N, D), N the positions of all of them."""
        projected = [
            project(features.flatten(2).transpose(1, 2))
            for project, features in zip(self.projections, maps, strict=True)
        ]
        return torch.cat(projected, dim=1)

    @abstractmethod
    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Queries (B, Q, D) that have read maps (B, F, h, w) of M streams."""


class QueryClassifier(StreamModel):
    """Feature maps of M independent encoders, queries that read them, and a last layer.

    ``forward_features`` gives the queries side by side, (B, Q D), and ``classifier`` maps those to
    logits, so ``classifier(forward_features(x))`` are the logits as in every model. Freezing
    everything but ``classifier`` freezes the queries and what they have learnt to look for as well.

    Parameters
    ----------
    encoders
        One per stream, in the order of the images; see
        :func:`comptool.models.heads.query_heads.as_map`.
    decoder
        Makes the decoder from the widths of the streams' maps.
    classifier
        Of Q D inputs.

    Raises
    ------
    UsageError
        If a backbone gives no feature map.
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
        """Queries (B, Q D) that have read M images (B, C, H, W)."""
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
        logits: Tensor = self.classifier(self.forward_features(*images))
        return logits


class GroupLinear(nn.Module):
    """Each of Q queries gives the logits of f classes of its own, f = ceil(K / Q).

    Parameters
    ----------
    num_queries, hidden
        Q and D.
    num_classes
        K; what Q f has beyond it is cut off.
    """

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
    """The share that is dropped, in [0, 1); UsageError otherwise."""
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout is {dropout}; it has to be in [0, 1)")
    return dropout


def checked_hidden(hidden_dim: int, heads: int) -> int:
    """The width of a query, a positive multiple of ``heads``; UsageError otherwise."""
    if hidden_dim < heads or hidden_dim % heads:
        raise UsageError(f"hidden_dim is {hidden_dim}; it has to be a positive multiple of {heads}")
    return hidden_dim
