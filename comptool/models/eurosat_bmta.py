"""The EuroSAT network of twelve layers with balanced multi-task attention (BMTA).

Vir 2025, "Balanced Multi-Task Attention for Satellite Image Classification", arXiv:2510.15527:
residual blocks whose output is weighed in two ways, where things are (coordinate attention, Hou et
al. 2021, arXiv:2103.02907) and what they look like (squeeze-and-excitation, Hu et al. 2018,
arXiv:1709.01507), and mixed by one learnt number per block. DropBlock rises with depth.

Differs from the published code: DropBlock drops the share that is asked for (see
:mod:`comptool.models.drop_block`), and each channel has a mask of its own, as in torchvision.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from timm.layers.coord_attn import CoordAttn
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn
from torch.nn import functional

from comptool.models.drop_block import DropBlock
from comptool.models.scratch import as_encoder
from comptool.models.staged import StagedNetwork
from comptool.models.streams import Encoder

STEM = 64
WIDTHS = (64, 128, 256, 512)
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
        super().__init__(in_chans, stem, BalancedBlock, (STEM, *WIDTHS), BLOCKS, drop_block)


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


def build(
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
        See :mod:`comptool.models.scratch`; any size is taken.
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
