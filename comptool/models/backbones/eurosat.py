"""The three EuroSAT networks trained from scratch: baseline, CBAM and BMTA.

The plain three-layer network that the EuroSAT networks are measured against.

Vir 2025, "Balanced Multi-Task Attention for Satellite Image Classification", arXiv:2510.15527.
Three times a 3x3 convolution, batch normalisation, ReLU and 2x2 pooling, 32, 64 and 128 wide; a
hidden layer of 512; dropout of one half.

Differs from the published code: a ReLU follows the hidden layer. Without one, the two linear layers
at the end are a single linear map.

The EuroSAT network of seven layers with convolutional block attention.

Vir 2025, "Balanced Multi-Task Attention for Satellite Image Classification", arXiv:2510.15527. Five
blocks of two 3x3 convolutions, 32 to 512 wide, and a sixth of 512; all but the first end in CBAM
(Woo et al. 2018, arXiv:1807.06521, reduction 16); pooling after each; a 1x1 convolution, global
pooling, a hidden layer of 256, dropout of 0.4.

The channel attention is timm's. Its spatial attention has a batch normalisation that the network
has not, so that part is here.

The EuroSAT network of twelve layers with balanced multi-task attention (BMTA).

Vir 2025, "Balanced Multi-Task Attention for Satellite Image Classification", arXiv:2510.15527:
residual blocks whose output is weighed in two ways, where things are (coordinate attention, Hou et
al. 2021, arXiv:2103.02907) and what they look like (squeeze-and-excitation, Hu et al. 2018,
arXiv:1709.01507), and mixed by one learnt number per block. DropBlock rises with depth.

Differs from the published code: DropBlock drops the share that is asked for (see
:mod:`comptool.models.backbones.drop_block`), and each channel has a mask of its own, as in
torchvision.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import torch
from timm.layers.cbam import ChannelAttn
from timm.layers.coord_attn import CoordAttn
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn
from torch.nn import functional

from comptool.models.backbones.drop_block import DropBlock
from comptool.models.backbones.resnet_stages import (
    ScratchNetwork,
    StagedNetwork,
    as_encoder,
    check_least_side,
    initialise,
)
from comptool.models.streams import Encoder

BASELINE_WIDTHS = (32, 64, 128)
BASELINE_HIDDEN = 512


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
        super().__init__(in_chans, BASELINE_WIDTHS[-1], BASELINE_HIDDEN)
        self.stages = nn.Sequential(
            *(
                _baseline_stage(narrow, wide)
                for narrow, wide in pairwise((in_chans, *BASELINE_WIDTHS))
            )
        )
        height, width = (side >> len(BASELINE_WIDTHS) for side in img_size)
        self.hidden = nn.Linear(BASELINE_WIDTHS[-1] * height * width, BASELINE_HIDDEN)
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


def _baseline_stage(in_chans: int, out_chans: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_chans, out_chans, 3, padding=1),
        nn.BatchNorm2d(out_chans),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


def build_baseline(
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
        See :mod:`comptool.models.backbones.resnet_stages`; the network is built for images of this
        height and width, 8 or more each; None: 64.

    Raises
    ------
    UsageError
        If the images are too small.
    InputError
        If weights are asked for that there are not.
    """
    size = img_size or EurosatBaseline.own_size
    check_least_side(name, size, 2 ** len(BASELINE_WIDTHS))
    return as_encoder(EurosatBaseline(in_chans, size), name, pretrained, img_size)


CBAM_WIDTHS = (32, 64, 128, 256, 512, 512)
CBAM_HIDDEN = 256
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
        super().__init__(in_chans, CBAM_WIDTHS[-1], CBAM_HIDDEN)
        widths = pairwise((in_chans, *CBAM_WIDTHS))
        self.stages = nn.Sequential(
            *(_cbam_stage(narrow, wide, index > 0) for index, (narrow, wide) in enumerate(widths))
        )
        self.last = nn.Sequential(*_convolution(CBAM_WIDTHS[-1], CBAM_WIDTHS[-1], 1))
        self.hidden = nn.Linear(CBAM_WIDTHS[-1], CBAM_HIDDEN)
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


def _cbam_stage(in_chans: int, out_chans: int, attends: bool) -> nn.Sequential:
    attention = [ChannelAttn(out_chans, rd_ratio=1 / REDUCTION), SpatialAttention()]
    return nn.Sequential(
        *_convolution(in_chans, out_chans, 3),
        *_convolution(out_chans, out_chans, 3),
        *(attention if attends else []),
        nn.MaxPool2d(2),
    )


def build_cbam(
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
        See :mod:`comptool.models.backbones.resnet_stages`; height and width have to be 64 or more.

    Raises
    ------
    UsageError
        If the images are too small.
    InputError
        If weights are asked for that there are not.
    """
    check_least_side(name, img_size or EurosatCbam.own_size, 2 ** len(CBAM_WIDTHS))
    return as_encoder(EurosatCbam(in_chans), name, pretrained, img_size)


STEM = 64
BMTA_WIDTHS = (64, 128, 256, 512)
BLOCKS = (3, 3, 3, 2)
COORDINATE_REDUCTION, CHANNEL_REDUCTION = 8, 16
FIRST_THETA = 0.5  # alpha starts at 0.622


class BalancedAttention(nn.Module):
    """``alpha * coordinate(x) + (1 - alpha) * channel(x)`` with alpha = sigmoid(theta), learnt.

    Parameters
    ----------
    channels
        C of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coordinate = CoordAttn(
            channels,
            rd_channels=channels // COORDINATE_REDUCTION,
            bias=False,
            act_layer=nn.ReLU,
        )
        self.channel = SEModule(channels, rd_channels=channels // CHANNEL_REDUCTION, bias=False)
        self.theta = nn.Parameter(torch.tensor(FIRST_THETA))

    @property
    def alpha(self) -> Tensor:
        """Share of the coordinate attention, in (0, 1)."""
        return self.theta.sigmoid()

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W), weighed."""
        alpha = self.alpha.to(images.dtype)
        weighed: Tensor = torch.lerp(self.channel(images), self.coordinate(images), alpha)
        return weighed


class BalancedBlock(nn.Module):
    """Two 3x3 convolutions with DropBlock between them and BMTA behind, added to the shortcut.

    Parameters
    ----------
    in_chans, out_chans
        C before and after.
    stride
        Of the first convolution.
    drop_block
        Rate of DropBlock.
    """

    def __init__(self, in_chans: int, out_chans: int, stride: int, drop_block: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_chans, out_chans, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_chans),
            nn.ReLU(inplace=True),
            DropBlock(drop_block),
            nn.Conv2d(out_chans, out_chans, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_chans),
        )
        self.attention = BalancedAttention(out_chans)
        self.shortcut: nn.Module = nn.Identity()
        if in_chans != out_chans or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_chans, out_chans, 1, stride, bias=False), nn.BatchNorm2d(out_chans)
            )

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out_chans, H / stride, W / stride), rounded up."""
        weighed = self.attention(self.residual(images))
        return functional.relu(weighed + self.shortcut(images))


class EurosatBmta(StagedNetwork):
    """The network without its classifier; its map is an eighth as high and wide as the image.

    Parameters
    ----------
    in_chans
        C of the images.
    drop_block
        Rate of DropBlock in the last stage.
    """

    own_size = (64, 64)
    drop_rate = 0.5

    def __init__(self, in_chans: int, drop_block: float) -> None:
        stem = nn.Sequential(
            nn.Conv2d(in_chans, STEM, 3, 1, 1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(inplace=True),
        )
        super().__init__(in_chans, stem, BalancedBlock, (STEM, *BMTA_WIDTHS), BLOCKS, drop_block)


def fusion_weights(model: nn.Module) -> dict[str, float]:
    """The learnt alpha of every block of a model, in (0, 1), from the first block to the last.

    Empty for models without balanced attention. A key is ``alpha_<stage>_<block>``, both from 1;
    of several streams, ``alpha_<stream>_<stage>_<block>``.

    Examples
    --------
    >>> from comptool import models
    >>> alphas = fusion_weights(models.create("eurosat-bmta", 10))
    >>> len(alphas), round(alphas["alpha_1_1"], 3)
    (11, 0.622)
    """
    found = {
        tuple(int(number) + 1 for number in re.findall(r"\d+", path)): float(module.alpha.detach())
        for path, module in model.named_modules()
        if isinstance(module, BalancedAttention)
    }
    several = len({place[0] for place in found if len(place) > 2}) > 1
    return {
        "_".join(["alpha", *map(str, place if several else place[-2:])]): alpha
        for place, alpha in found.items()
    }


def build_bmta(
    name: str,
    *,
    in_chans: int,
    pretrained: bool | Path,
    img_size: tuple[int, int] | None = None,
    drop_block: float = 0.2,
    grad_checkpointing: bool = False,
) -> Encoder:
    """The network as an encoder.

    Parameters
    ----------
    name, in_chans, pretrained, img_size
        See :mod:`comptool.models.backbones.resnet_stages`; any size is taken.
    drop_block
        Share of the map that DropBlock drops in the last of the four stages, in [0, 1); a quarter
        of it in the first, a half in the second, three quarters in the third.
    grad_checkpointing
        Whether to compute a block's activations twice rather than keep them.

    Raises
    ------
    UsageError
        If ``drop_block`` is out of its range.
    InputError
        If weights are asked for that there are not.
    """
    module = EurosatBmta(in_chans, drop_block)
    module.set_grad_checkpointing(grad_checkpointing)
    return as_encoder(module, name, pretrained, img_size)
