"""The plain three-layer network that the EuroSAT networks are measured against.

Vir 2025, "Balanced Multi-Task Attention for Satellite Image Classification", arXiv:2510.15527.
Three times a 3x3 convolution, batch normalisation, ReLU and 2x2 pooling, 32, 64 and 128 wide; a
hidden layer of 512; dropout of one half.

Differs from the published code: a ReLU follows the hidden layer. Without one, the two linear layers
at the end are a single linear map.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn

from comptool.models.scratch import ScratchNetwork, as_encoder, check_least_side, initialise
from comptool.models.streams import Encoder

WIDTHS = (32, 64, 128)
HIDDEN = 512


class EurosatBaseline(ScratchNetwork):
    """The network without its classifier.

    Parameters
    ----------
    in_chans
        C of the images.
    img_size
        Their height and width, 8 or more: the hidden layer sees every cell of the last map.
    """

    own_size = (64, 64)
    drop_rate = 0.5

    def __init__(self, in_chans: int, img_size: tuple[int, int]) -> None:
        super().__init__(in_chans, WIDTHS[-1], HIDDEN)
        self.stages = nn.Sequential(
            *(_stage(narrow, wide) for narrow, wide in pairwise((in_chans, *WIDTHS)))
        )
        height, width = (side >> len(WIDTHS) for side in img_size)
        self.hidden = nn.Linear(WIDTHS[-1] * height * width, HIDDEN)
        self.activation = nn.ReLU(inplace=True)
        initialise(self)

    def forward_features(self, images: Tensor) -> Tensor:
        """The map (B, F, H / 8, W / 8), rounded down, of images (B, C, H, W)."""
        features: Tensor = self.stages(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 512) of images (B, C, H, W)."""
        features: Tensor = self.activation(self.hidden(self.forward_features(images).flatten(1)))
        return features


def _stage(in_chans: int, out_chans: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_chans, out_chans, 3, padding=1),
        nn.BatchNorm2d(out_chans),
        nn.ReLU(inplace=True),
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
        See :mod:`comptool.models.scratch`; the network is built for images of this height and
        width, 8 or more each; None: 64.

    Raises
    ------
    UsageError
        If the images are too small.
    InputError
        If weights are asked for that there are not.
    """
    size = img_size or EurosatBaseline.own_size
    check_least_side(name, size, 2 ** len(WIDTHS))
    return as_encoder(EurosatBaseline(in_chans, size), name, pretrained, img_size)
