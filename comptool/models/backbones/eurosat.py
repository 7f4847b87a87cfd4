"""The three EuroSAT networks trained from scratch: baseline, CBAM and BMTA.

Vir 2025, "Balanced Multi-Task Attention for Satellite Image Classification", arXiv:2510.15527.

Baseline: three times a 3x3 convolution, batch normalisation, ReLU and 2x2 pooling, 32, 64 and 128
wide; a hidden layer of 512; dropout 0.5. Differs from the published code: a ReLU follows the hidden
layer; without it the last two linear layers are one linear map.

CBAM: five blocks of two 3x3 convolutions, 32 to 512 wide, and a sixth of 512; all but the first end
in CBAM (Woo et al. 2018, arXiv:1807.06521, reduction 16); pooling after each; a 1x1 convolution,
global pooling, a hidden layer of 256, dropout 0.4. The channel attention is timm's; its spatial
attention has a batch normalisation that this network lacks.

BMTA: residual blocks with coordinate attention (Hou et al. 2021, arXiv:2103.02907) and
squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507), mixed by one learnt number per block.
DropBlock rises with depth. Differs from the published code: DropBlock drops the requested share
(see :mod:`comptool.models.backbones.drop_block`) with one mask per channel, as in torchvision.
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
    """The baseline without classifier, for images of a fixed size."""

    own_size = (64, 64)
    drop_rate = 0.5

    def __init__(self, in_chans: int, img_size: tuple[int, int]) -> None:
        super().__init__(in_chans, BASELINE_WIDTHS[-1], BASELINE_HIDDEN)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(*_convolution(narrow, wide, 3), nn.MaxPool2d(2))
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


def _convolution(in_chans: int, out_chans: int, size: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_chans, out_chans, size, padding=size // 2),
        nn.BatchNorm2d(out_chans),
        nn.ReLU(inplace=True),
    ]


def build_baseline(
    name: str,
    *,
    in_chans: int,
    pretrained: bool | Path,
    img_size: tuple[int, int] | None = None,
) -> Encoder:
    """The baseline as an encoder for images of ``img_size``, 8 or more, by default 64."""
    size = img_size or EurosatBaseline.own_size
    check_least_side(name, size, 2 ** len(BASELINE_WIDTHS))
    return as_encoder(EurosatBaseline(in_chans, size), name, pretrained, img_size)


CBAM_WIDTHS = (32, 64, 128, 256, 512, 512)
CBAM_HIDDEN = 256
REDUCTION = 16


class SpatialAttention(nn.Module):
    """Weight every place of a map by the mean and the maximum of its channels around it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W), weighted."""
        summary = torch.cat([images.mean(1, keepdim=True), images.amax(1, keepdim=True)], dim=1)
        weighted: Tensor = images * self.conv(summary).sigmoid()
        return weighted


class EurosatCbam(ScratchNetwork):
    """The CBAM network without classifier."""

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
    """The CBAM network as an encoder; height and width have to be 64 or more."""
    check_least_side(name, img_size or EurosatCbam.own_size, 2 ** len(CBAM_WIDTHS))
    return as_encoder(EurosatCbam(in_chans), name, pretrained, img_size)


STEM = 64
BMTA_WIDTHS = (64, 128, 256, 512)
BLOCKS = (3, 3, 3, 2)
COORDINATE_REDUCTION, CHANNEL_REDUCTION = 8, 16
FIRST_THETA = 0.5  # alpha starts at 0.622


class BalancedAttention(nn.Module):
    """``alpha * coordinate(x) + (1 - alpha) * channel(x)`` with alpha = sigmoid(theta), learnt."""

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
        """Weight of the coordinate attention, in (0, 1)."""
        return self.theta.sigmoid()

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W), weighted."""
        alpha = self.alpha.to(images.dtype)
        weighted: Tensor = torch.lerp(self.channel(images), self.coordinate(images), alpha)
        return weighted


class BalancedBlock(nn.Module):
    """Two 3x3 convolutions with DropBlock between and BMTA after them, added to the shortcut."""

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
        weighted = self.attention(self.residual(images))
        return functional.relu(weighted + self.shortcut(images))


class EurosatBmta(StagedNetwork):
    """The BMTA network without classifier; its map has an eighth of the image's sides."""

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
    """The learnt alpha of every block of a model, in (0, 1), in the order of the blocks.

    Keys are ``alpha_<stage>_<block>``, counted from 1; with several streams
    ``alpha_<stream>_<stage>_<block>``. Empty for models without balanced attention.

    Examples
    --------
    >>> from comptool import models
    >>> alphas = fusion_weights(models.create("eurosat-bmta", 10))
    >>> len(alphas), round(alphas["alpha_1_1"], 3)
    (11, 0.622)
    """
    alphas = {
        tuple(int(number) + 1 for number in re.findall(r"\d+", path)): float(module.alpha.detach())
        for path, module in model.named_modules()
        if isinstance(module, BalancedAttention)
    }
    several = len({place[0] for place in alphas if len(place) > 2}) > 1
    return {
        "_".join(["alpha", *map(str, place if several else place[-2:])]): alpha
        for place, alpha in alphas.items()
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
    """The BMTA network as an encoder; any image size is supported.

    ``drop_block`` is the rate in the last of the four stages, reached in equal steps.
    """
    module = EurosatBmta(in_chans, drop_block)
    module.set_grad_checkpointing(grad_checkpointing)
    return as_encoder(module, name, pretrained, img_size)
