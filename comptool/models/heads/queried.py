"""The model of a head whose queries read feature maps, and the layers that such heads share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.models.maps import as_map, feature_map
from comptool.models.streams import Encoder, StreamModel


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
        One per stream, in the order of the images; see :func:`comptool.models.maps.as_map`.
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
