"""Encoders of their own for each modality, joined before one linear classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.models.streams import Encoder, StreamModel


class FusedClassifier(StreamModel):
    """Pooled features of M independent encoders, concatenated, and one linear layer.

    With M = 1 this is the plain classifier of the backbone.

    Parameters
    ----------
    encoders
        One per stream, in the order of the images.
    num_classes
        K.
    drop_rate
        Share of the features dropped before the classifier in training, in [0, 1); None is the
        largest that one of the encoders has with its own classifier, 0 for most.

    Raises
    ------
    UsageError
        If ``drop_rate`` is out of its range.
    """

    classifier: nn.Linear

    def __init__(
        self, encoders: Sequence[Encoder], num_classes: int, *, drop_rate: float | None = None
    ) -> None:
        super().__init__()
        if drop_rate is None:
            drop_rate = max(encoder.drop_rate for encoder in encoders)
        if not 0 <= drop_rate < 1:
            raise UsageError(f"drop_rate is {drop_rate}; it has to be in [0, 1)")
        self.streams = len(encoders)
        self.data_config = encoders[0].data_config
        self.encoders = nn.ModuleList(encoder.module for encoder in encoders)
        self.dropout = nn.Dropout(drop_rate)
        self.classifier = nn.Linear(sum(encoder.width for encoder in encoders), num_classes)

    def forward_features(self, *images: Tensor) -> Tensor:
        """Features (B, F) of M tensors (B, C, H, W), those of the first stream first."""
        self.check_streams(images)
        pooled = [
            encoder(image) for encoder, image in zip(self.encoders, images, strict=True)
        ]  # M of (B, width)
        return torch.cat(pooled, dim=1)

    def forward(self, *images: Tensor) -> Tensor:
        """Logits (B, K) of M tensors (B, C, H, W)."""
        logits: Tensor = self.classifier(self.dropout(self.forward_features(*images)))
        return logits
