"""Query2Label: a transformer with one query per class, in a light and the official form.

Liu, Zhang, Yang, Su, Zhu 2021, "Query2Label: A Simple Transformer Way to Multi-Label
Classification", arXiv:2107.10834, section 3, and the authors' code for what the paper leaves open
(4 heads, 8192 inner features, no self-attention among the queries, normalised sine positions). The
light form is the AICOSS 2023 solution's: torch's own transformer, 256 wide, without positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from comptool.models.heads.query_heads import (
    Decoder,
    FeedForward,
    GroupLinear,
    QueryClassifier,
    checked_dropout,
    checked_hidden,
)
from comptool.models.streams import Encoder

LIGHT_HEADS, LIGHT_INNER = 8, 2048
FULL_HEADS, FULL_INNER = 4, 8192
ENCODER_LAYERS, DECODER_LAYERS = 1, 2
WAVELENGTH = 10_000.0  # of the slowest sine


class LightDecoder(Decoder):
    """torch's transformer, 1 + 2 layers and 8 heads, from projected maps to trained queries."""

    def __init__(
        self, widths: Sequence[int], *, num_queries: int, hidden: int, dropout: float
    ) -> None:
        super().__init__(widths, hidden)
        self.queries = nn.Parameter(torch.randn(num_queries, hidden))
        self.transformer = nn.Transformer(
            hidden,
            LIGHT_HEADS,
            ENCODER_LAYERS,
            DECODER_LAYERS,
            LIGHT_INNER,
            dropout,
            batch_first=True,
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Queries (B, Q, D) after reading maps (B, F, h, w) of M streams."""
        memory = self.memory(maps)
        decoded: Tensor = self.transformer(memory, self.queries.expand(memory.shape[0], -1, -1))
        return decoded


class FullDecoder(Decoder):
    """The official decoder: sine positions, zero targets, queries only as positions.

    As in the authors' code, the map of a single stream is not projected if it is already D wide.
    """

    def __init__(
        self, widths: Sequence[int], *, num_queries: int, hidden: int, dropout: float
    ) -> None:
        super().__init__(widths, hidden)
        if tuple(widths) == (hidden,):
            self.projections = nn.ModuleList([nn.Identity()])
        self.queries = nn.Parameter(torch.randn(num_queries, hidden))
        self.encoder = nn.ModuleList(_Layer(hidden, dropout) for _ in range(ENCODER_LAYERS))
        self.decoder = nn.ModuleList(_Layer(hidden, dropout) for _ in range(DECODER_LAYERS))
        self.norm = nn.LayerNorm(hidden)
        for parameter in (*self.encoder.parameters(), *self.decoder.parameters()):
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Queries (B, Q, D) after reading maps (B, F, h, w) of M streams."""
        memory = self.memory(maps)  # (B, N, D)
        positions = torch.cat([sine_positions(image, memory.shape[2]) for image in maps])  # (N, D)
        for layer in self.encoder:
            memory = layer(memory, positions, memory, positions)
        queries = torch.zeros_like(self.queries).expand(memory.shape[0], -1, -1)  # (B, Q, D)
        for layer in self.decoder:
            queries = layer(queries, self.queries, memory, positions)
        decoded: Tensor = self.norm(queries)
        return decoded


class _Layer(nn.Module):
    """Attention of tokens to a memory and feed-forward, each added and normalised."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            hidden, FULL_HEADS, dropout=dropout, batch_first=True
        )
        self.feed_forward = FeedForward(hidden, FULL_INNER, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, position: Tensor, memory: Tensor, memory_position: Tensor
    ) -> Tensor:
        """Update tokens x (B, T, D); positions enter the keys and queries, not the values."""
        keys = memory + memory_position
        read, _ = self.attention(x + position, keys, memory, need_weights=False)
        x = self.norms[0](x + self.dropout(read))
        out: Tensor = self.norms[1](x + self.dropout(self.feed_forward(x)))
        return out


def sine_positions(features: Tensor, hidden: int) -> Tensor:
    """Two-dimensional sine positions of a map (B, F, h, w): (h w, hidden).

    The first half of the features encodes the row, the second the column, at 2 pi (i + 1) / n.
    Carion et al. 2020, arXiv:2005.12872, appendix A.4.
    """
    height, width = features.shape[2:]
    exponents = torch.arange(0, hidden // 2, 2, device=features.device) / (hidden // 2)
    rates = WAVELENGTH**-exponents  # (hidden / 4,)
    waves = []
    for length in (height, width):
        places = torch.arange(1, length + 1, device=features.device) * (2 * math.pi / length)
        angles = places[:, None] * rates
        waves.append(torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1))
    rows = waves[0][:, None].expand(-1, width, -1)
    columns = waves[1][None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1).to(features.dtype)


def build_light(
    encoders: Sequence[Encoder], num_classes: int, *, hidden_dim: int = 256, dropout: float = 0.1
) -> QueryClassifier:
    """Query2Label of the AICOSS solution: one dense layer from all queries to the logits."""
    hidden = checked_hidden(hidden_dim, LIGHT_HEADS)
    decoder = partial(
        LightDecoder, num_queries=num_classes, hidden=hidden, dropout=checked_dropout(dropout)
    )
    return QueryClassifier(encoders, decoder, nn.Linear(num_classes * hidden, num_classes))


def build_full(
    encoders: Sequence[Encoder], num_classes: int, *, hidden_dim: int = 2048, dropout: float = 0.1
) -> QueryClassifier:
    """Query2Label of its authors, with a linear layer per class."""
    hidden = checked_hidden(hidden_dim, FULL_HEADS)
    decoder = partial(
        FullDecoder, num_queries=num_classes, hidden=hidden, dropout=checked_dropout(dropout)
    )
    classifier = GroupLinear(num_classes, hidden, num_classes)
    bound = hidden**-0.5
    nn.init.uniform_(classifier.weight, -bound, bound)
    nn.init.uniform_(classifier.bias, -bound, bound)
    return QueryClassifier(encoders, decoder, classifier)
