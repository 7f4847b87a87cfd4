"""ML-Decoder: one layer of cross-attention, and a linear layer per query.

Ridnik, Sharir, Ben-Cohen, Ben-Baruch, Noy 2023, "ML-Decoder: Scalable and Versatile Classification
Head", WACV, arXiv:2111.12933, sections 2.2 and 2.3. Not timm's, which fails with current torch:
nn.TransformerDecoder passes arguments that its layers do not accept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.models.heads.query_heads import (
    Decoder,
    FeedForward,
    GroupLinear,
    QueryClassifier,
    checked_dropout,
)
from comptool.models.streams import Encoder

HIDDEN, HEADS, INNER = 768, 8, 2048


class MlDecoder(Decoder):
    """Queries q that read a memory in one layer without self-attention.

    ``t = LN(q + drop q)``, ``t = LN(t + drop MHA(t, memory, memory))``, ``t = LN(t + drop W2 drop
    relu(W1 t))``; the memory is the ReLU of the projected maps. Width 768, 8 heads, 2048 inner
    features. Queries that are not learnable stay random, saved with the model.
    """

    queries: Tensor

    def __init__(
        self, widths: Sequence[int], *, num_queries: int, dropout: float, learnable_queries: bool
    ) -> None:
        super().__init__(widths, HIDDEN)
        queries = torch.randn(num_queries, HIDDEN)
        if learnable_queries:
            self.queries = nn.Parameter(queries)
        else:
            self.register_buffer("queries", queries)
        self.attention = nn.MultiheadAttention(HIDDEN, HEADS, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(HIDDEN, INNER, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Queries (B, Q, 768) after reading maps (B, F, h, w) of M streams."""
        memory = torch.relu(self.memory(maps))
        queries = self.queries.expand(memory.shape[0], -1, -1)  # (B, Q, D)
        queries = self.norms[0](queries + self.dropout(queries))
        read, _ = self.attention(queries, memory, memory, need_weights=False)
        queries = self.norms[1](queries + self.dropout(read))
        decoded: Tensor = self.norms[2](queries + self.dropout(self.feed_forward(queries)))
        return decoded


def build(
    encoders: Sequence[Encoder],
    num_classes: int,
    *,
    num_queries: int = 100,
    dropout: float = 0.1,
    learnable_queries: bool = False,
) -> QueryClassifier:
    """The ML-Decoder on encoders; by default the queries are not trained.

    At most K queries, each for K / ``num_queries`` classes, rounded up.
    """
    if num_queries < 1:
        raise UsageError(f"num_queries is {num_queries}; it has to be 1 or more")
    num_queries = min(num_queries, num_classes)
    decoder = partial(
        MlDecoder,
        num_queries=num_queries,
        dropout=checked_dropout(dropout),
        learnable_queries=learnable_queries,
    )
    return QueryClassifier(encoders, decoder, GroupLinear(num_queries, HIDDEN, num_classes))


def build_learnable(
    encoders: Sequence[Encoder], num_classes: int, *, num_queries: int = 100, dropout: float = 0.1
) -> QueryClassifier:
    """The ML-Decoder with trained queries.

    The AICOSS solution also raised ``dropout`` to 0.5 for trained queries.
    """
    return build(
        encoders, num_classes, num_queries=num_queries, dropout=dropout, learnable_queries=True
    )
