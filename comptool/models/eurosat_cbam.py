"""The EuroSAT network of seven layers with convolutional block attention.

Vir 2025, "Balanced Multi-Task Attention for Satellite Image Classification", arXiv:2510.15527. Five
blocks of two 3x3 convolutions, 32 to 512 wide, and a sixth of 512; all but the first end in CBAM
(Woo et al. 2018, arXiv:1807.06521, reduction 16); pooling after each; a 1x1 convolution, global
pooling, a hidden layer of 256, dropout of 0.4.

The channel attention is timm's. Its spatial attention has a batch normalisation that the network
has not, so that part is here.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from timm.layers.cbam import ChannelAttn
from torch import Tensor, nn

from comptool.models.scratch import ScratchNetwork, as_encoder, check_least_side, initialise
from comptool.models.streams import Encoder

WIDTHS = (32, 64, 128, 256, 512, 512)
HIDDEN = 256
REDUCTION = 16


class SpatialAttention(nn.Module):
    """Weighs every place of a map by the mean and the maximum of its channels around it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W), every place weighed."""
        summary = torch.cat([images.mean(1, keepdim=True), images.amax(1, keepdim=True)], dim=1)
        weighed: Tensor = images * self.conv(summary).sigmoid()
        return weighed


class EurosatCbam(ScratchNetwork):
    """The network without its classifier.

    Parameters
    ----------
    in_chans
        C of the images.
    """

    own_size = (64, 64)
    drop_rate = 0.4

    def __init__(self, in_chans: int) -> None:
        super().__init__(in_chans, WIDTHS[-1], HIDDEN)
        widths = pairwise((in_chans, *WIDTHS))
        self.stages = nn.Sequential(
            *(_stage(narrow, wide, index > 0) for index, (narrow, wide) in enumerate(widths))
        )
        self.last = nn.Sequential(*_convolution(WIDTHS[-1], WIDTHS[-1], 1))
        self.hidden = nn.Linear(WIDTHS[-1], HIDDEN)
        self.activation = nn.ReLU(inplace=True)
        initialise(self)

    def forward_features(self, images: Tensor) -> Tensor:
        """The map (B, F, H / 64, W / 64), rounded down, of images (B, C, H, W)."""
        features: Tensor = self.last(self.stages(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 256) of images (B, C, H, W)."""
        pooled = self.forward_features(images).mean((2, 3))
        features: Tensor = self.activation(self.hidden(pooled))
        return features


def _convolution(in_chans: int, out_chans: int, size: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_chans, out_chans, size, padding=size // 2),
        nn.BatchNorm2d(out_chans),
        nn.ReLU(inplace=True),
    ]


def _stage(in_chans: int, out_chans: int, attends: bool) -> nn.Sequential:
    attention = [ChannelAttn(out_chans, rd_ratio=1 / REDUCTION), SpatialAttention()]
    return nn.Sequential(
        *_convolution(in_chans, out_chans, 3),
        *_convolution(out_chans, out_chans, 3),
        *(attention if attends else []),
        nn.MaxPool2d(2),
    )


def build(
    name: str,
    *,
    in_chans: int,
    pretrained: bool | Path,
    img_size: tuple[int, int] | None = None,
) -> Encoder:
    """The network as an encoder.

    Parameters
    ----------
    name, in_chans, pretrained, img_size
        See :mod:`comptool.models.scratch`; height and width have to be 64 or more.

    Raises
    ------
    UsageError
        If the images are too small.
    InputError
        If weights are asked for that there are not.
    """
    check_least_side(name, img_size or EurosatCbam.own_size, 2 ** len(WIDTHS))
    return as_encoder(EurosatCbam(in_chans), name, pretrained, img_size)
