"""A model with the normalisation of its images, as it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class OfPixels(nn.Module):
    """A model that takes images as they are decoded: float32 [B, H, W, C] of 0 to 255.

    Parameters
    ----------
    model
        Takes normalised images [B, C, H, W], one tensor per modality.
    mean, std
        For each modality one number per channel, on the scale 0 to 1.
    """

    def __init__(
        self, model: nn.Module, mean: Sequence[Sequence[float]], std: Sequence[Sequence[float]]
    ) -> None:
        super().__init__()
        self.model = model
        for number, (middle, width) in enumerate(zip(mean, std, strict=True)):
            self.register_buffer(f"mean{number}", 255 * torch.tensor(middle).view(-1, 1, 1))
            self.register_buffer(f"std{number}", 255 * torch.tensor(width).view(-1, 1, 1))

    def forward(self, *images: Tensor) -> Tensor:
        """Logits [B, K]."""
        logits: Tensor = self.model(*self.normalised(images))
        return logits

    def normalised(self, images: Sequence[Tensor]) -> list[Tensor]:
        """What the model itself takes, [B, C, H, W]."""
        return [
            (pixels.permute(0, 3, 1, 2) - self.get_buffer(f"mean{number}"))
            / self.get_buffer(f"std{number}")
            for number, pixels in enumerate(images)
        ]


def of_pixels(model: nn.Module, header: Mapping[str, Any]) -> OfPixels:
    """The model with the normalisation that its checkpoint's header names."""
    names = header["modalities"]
    means, stds = ([header[key][name] for name in names] for key in ("mean", "std"))
    return OfPixels(model, means, stds).eval()
