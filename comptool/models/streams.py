"""What the parts of a model promise one another, and what a model promises its users."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from timm.models import group_parameters
from torch import Tensor, nn


@dataclass(frozen=True)
class DataConfig:
    """What a backbone's published weights expect of an image.

    Parameters
    ----------
    mean, std
        Per channel, of images scaled to [0, 1].
    input_size
        Height and width in pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: tuple[int, int]

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation for images of so many channels.

        Where the number is not the backbone's own, every channel takes the average of them.
        """
        if channels == len(self.mean):
            return self.mean, self.std
        mean, std = (sum(values) / len(values) for values in (self.mean, self.std))
        return (mean,) * channels, (std,) * channels


@dataclass(frozen=True)
class Encoder:
    """One stream's network.

    Parameters
    ----------
    module
        Maps images (B, C, H, W) to pooled features (B, ``width``);
        :mod:`comptool.models.heads.query_heads` says what else it has if it gives feature maps too.
    width
        Number of features.
    data_config
        What its published weights expect.
    image_shape
        (C, H, W) of an image that it takes.
    drop_rate
        Share of the features that its own classifier drops in training, in [0, 1).
    """

    module: nn.Module
    width: int
    data_config: DataConfig
    image_shape: tuple[int, int, int]
    drop_rate: float = 0.0


class Junction(nn.Module):
    """Where the streams end and the heads begin; here every head sees what the streams give.

    Training may put another in its place (``model.junction``), which gives the same and does
    something to the gradients on their way back. It has no weights.
    """

    def forward(self, streams: Sequence[Tensor], num_heads: int) -> list[list[Tensor]]:
        """For each head a list of the tensors of all streams."""
        return [list(streams)] * num_heads


class StreamModel(nn.Module, ABC):
    """A classifier of samples of one or more images; every model of comptool is one.

    ``streams`` is the number M of images per sample, ``data_config`` what the backbone's published
    weights expect, ``classifier`` the last layer, ``junction`` what stands before it.
    """

    streams: int
    data_config: DataConfig
    encoders: nn.ModuleList
    classifier: nn.Module
    junction: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.junction = Junction()

    @abstractmethod
    def forward(self, *images: Tensor) -> Tensor:
        """Logits (B, K) of M tensors (B, C, H, W), whose C, H and W may differ."""

    @abstractmethod
    def forward_features(self, *images: Tensor) -> Tensor:
        """What the classifier sees, (B, F), before any dropout."""

    def no_weight_decay(self) -> set[str]:
        """Parameters that timm's optimizers leave without decay, as each part names its own."""
        return {
            f"{path}.{name}"
            for path, part in self.named_modules()
            if path
            for name in getattr(part, "no_weight_decay", set)()
        }

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[float]]:
        """What gives each parameter's layer by its name, for timm's layer-wise learning rates.

        The layers of an encoder are numbered as timm numbers them, those of all encoders alike;
        what follows the encoders is the last layer.
        """
        layers: dict[str, int] = {}
        for index, encoder in enumerate(self.encoders):
            matcher = getattr(encoder, "group_matcher", None)
            if matcher is not None:
                own = group_parameters(encoder, matcher(coarse), reverse=True)
                layers |= {f"encoders.{index}.{name}": layer for name, layer in own.items()}
        return lambda name: (layers.get(name, 0 if name.startswith("encoders.") else math.inf),)

    def check_streams(self, images: Sequence[Tensor]) -> None:
        """ValueError unless there is one tensor per stream."""
        if len(images) != self.streams:
            raise ValueError(f"the model takes {self.streams} images per sample; got {len(images)}")
