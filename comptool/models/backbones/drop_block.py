"""DropBlock: dropout of squares of a feature map.

Ghiasi, Lin, Le 2018, "DropBlock: A regularization method for convolutional networks",
arXiv:1810.12890. The mask is torchvision's; timm's also draws seeds over the border and drops 84 %
of an 8 x 8 map for a rate of 20 %. Wrapped because torchvision's refuses maps of an even side
smaller than the block, and counts kept cells in the map's type, which overflows in half precision
from 65,504 elements on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import drop_block2d

from comptool.errors import UsageError

BLOCK_SIZE = 7


class DropBlock(nn.Module):
    """Drop squares of a map in training at ``rate``; the rest is scaled to keep the mean.

    ``block_size`` is the odd side of a square, or the largest odd side that fits a smaller map.
    """

    def __init__(self, rate: float, block_size: int = BLOCK_SIZE) -> None:
        super().__init__()
        if block_size < 1 or block_size % 2 == 0:
            raise UsageError(f"the block size of DropBlock is {block_size}; it has to be odd")
        self.rate = checked_rate(rate)
        self.block_size = block_size

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"rate={self.rate:g}, block_size={self.block_size}"

    def forward(self, images: Tensor) -> Tensor:
        """A map (B, C, H, W) with squares of each channel set to zero."""
        if not self.training or self.rate == 0:
            return images
        side = min(self.block_size, *images.shape[2:])
        ones = torch.ones_like(images, dtype=torch.float32)
        mask = drop_block2d(ones, self.rate, side - (side + 1) % 2)
        dropped: Tensor = images * mask.to(images.dtype)
        return dropped


def checked_rate(rate: float) -> float:
    """Check a drop rate, in [0, 1)."""
    if not 0 <= rate < 1:
        raise UsageError(f"drop_block is {rate}; it has to be in [0, 1)")
    return rate


def progressive_rates(rate: float, num_stages: int) -> list[float]:
    """Rates of the stages, in equal steps up to the last.

    Examples
    --------
    >>> [round(share, 3) for share in progressive_rates(0.2, 4)]
    [0.05, 0.1, 0.15, 0.2]
    """
    return [checked_rate(rate) * (stage + 1) / num_stages for stage in range(num_stages)]


def insert_drop_block(module: Any, name: str, rate: float) -> None:
    """Replace timm's DropBlock in the blocks of ``layer1`` and on by ours, in place.

    ``rate`` is that of the last stage, see :func:`progressive_rates`; ``name`` is for messages.
    """
    places: dict[str, list[Any]] = {}
    for path, block in module.named_modules():
        if path.startswith("layer") and hasattr(block, "drop_block"):
            places.setdefault(path.partition(".")[0], []).append(block)
    if not places:
        raise UsageError(f"the backbone '{name}' takes no 'drop_block'")
    for share, blocks in zip(progressive_rates(rate, len(places)), places.values(), strict=True):
        for block in blocks:
            block.drop_block = DropBlock(share)
