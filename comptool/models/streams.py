"""Interfaces of encoders and models."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from timm.models import group_parameters
from torch import Tensor, nn


@dataclass(frozen=True)
class DataConfig:
    """Image statistics and size that a backbone's published weights expect.

    ``mean`` and ``std`` are per channel, of images scaled to [0, 1]; ``input_size`` is (height,
    width) in pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: tuple[int, int]

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel; averages if the number of channels differs."""
        if channels == len(self.mean):
            return self.mean, self.std
        mean, std = (sum(values) / len(values) for values in (self.mean, self.std))
        return (mean,) * channels, (std,) * channels


@dataclass(frozen=True)
class Encoder:
    """One stream's network."""

    # Maps images (B, C, H, W) to pooled features (B, width); see `query_heads` for feature maps.
    module: nn.Module
    width: int
    data_config: DataConfig
    image_shape: tuple[int, int, int]  # (C, H, W) of an example image
    drop_rate: float = 0.0  # dropout of its own classifier, in [0, 1)


class Junction(nn.Module):
    """Pass the outputs of the streams to the heads.

    Training may replace it (``model.junction``) by one that changes the gradients. No weights.
    """

    def forward(self, streams: Sequence[Tensor], num_heads: int) -> list[list[Tensor]]:
        """For each head a list of the tensors of all streams."""
        return [list(streams)] * num_heads


class OutputScale(nn.Module):
    """Outputs in standard deviations (..., T), brought to the scale of the labels.

    ``mean`` and ``std`` of the T numbers are saved with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, outputs: Tensor) -> Tensor:
        """Numbers (..., T) in float32."""
        # Half precision has three digits, and ends at 65,504.
        with torch.autocast(outputs.device.type, enabled=False):
            return outputs.float() * self.std + self.mean


class StreamModel(nn.Module, ABC):
    """Base of all models: a classifier of samples of one or more images.

    ``streams`` is the number M of images per sample, ``data_config`` the preprocessing of the
    backbone's published weights, ``classifier`` the last layer, ``junction`` the module before it.
    ``output`` is applied to the logits; an :class:`OutputScale` where the model predicts numbers.
    """

    streams: int
    data_config: DataConfig
    encoders: nn.ModuleList
    classifier: nn.Module
    junction: nn.Module
    output: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.junction = Junction()
        self.output = nn.Identity()

    @abstractmethod
    def forward(self, *images: Tensor) -> Tensor:
        """Logits (B, K) of M tensors (B, C, H, W), whose C, H and W may differ."""

    @abstractmethod
    def forward_features(self, *images: Tensor) -> Tensor:
        """Inputs of the classifier (B, F), before any dropout."""

    def no_weight_decay(self) -> set[str]:
        """Parameters without weight decay, collected from the parts for timm's optimizers."""
        return {
            f"{path}.{name}"
            for path, part in self.named_modules()
            if path
            for name in getattr(part, "no_weight_decay", set)()
        }

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[float]]:
        """Layer of each parameter by its name, for timm's layer-wise learning rate decay.

        Layers of all encoders are numbered alike, as by timm; everything else is the last layer.
        """
        layers: dict[str, int] = {}
        for index, encoder in enumerate(self.encoders):
            matcher = getattr(encoder, "group_matcher", None)
            if matcher is not None:
                own = group_parameters(encoder, matcher(coarse), reverse=True)
                layers |= {f"encoders.{index}.{name}": layer for name, layer in own.items()}
        return lambda name: (layers.get(name, 0 if name.startswith("encoders.") else math.inf),)

    def check_streams(self, images: Sequence[Tensor]) -> None:
        """Raise a ValueError unless there is one tensor per stream."""
        if len(images) != self.streams:
            raise ValueError(f"the model takes {self.streams} images per sample; got {len(images)}")
