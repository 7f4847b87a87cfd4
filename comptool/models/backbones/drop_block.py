"""DropBlock: whole squares of a feature map are dropped in training.

Ghiasi, Lin, Le 2018, "DropBlock: A regularization method for convolutional networks",
arXiv:1810.12890. The mask is torchvision's; timm's draws its seeds over the border too and drops
84 % of an 8 x 8 map where 20 % is asked for. Written here because torchvision's refuses maps of an
even side smaller than the block, and counts what it kept in the map's own type: in half precision
that is infinite from 65,504 elements on, and everything is dropped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import drop_block2d

from comptool.errors import UsageError

BLOCK_SIZE = 7


class DropBlock(nn.Module):
    """Drops squares of a map in training; what is kept is scaled so that the mean stays.

    Parameters
    ----------
    rate
        Share of the map to drop, in [0, 1).
    block_size
        Side of a square in cells of the map, odd; on a smaller map, the largest odd side that fits.

    Raises
    ------
    UsageError
        If a value is out of its range.
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
    """The share that DropBlock drops, in [0, 1); UsageError otherwise."""
    if not 0 <= rate < 1:
        raise UsageError(f"drop_block is {rate}; it has to be in [0, 1)")
    return rate


def progressive_rates(rate: float, num_stages: int) -> list[float]:
    """Rates that rise in equal steps to that of the last stage.

    Examples
    --------
    >>> [round(share, 3) for share in progressive_rates(0.2, 4)]
    [0.05, 0.1, 0.15, 0.2]
    """
    return [checked_rate(rate) * (stage + 1) / num_stages for stage in range(num_stages)]


def insert_drop_block(module: Any, name: str, rate: float) -> None:
    """Give a residual network of timm DropBlock in place of timm's own, stronger with its depth.

    Parameters
    ----------
    module
        A backbone of timm; changed in place. Its stages are what bears the names ``layer1`` and
        on, as in timm's ResNets, and each of its blocks has a place for it.
    name
        What to call the backbone in a message.
    rate
        Of the last stage; see :func:`progressive_rates`.

    Raises
    ------
    UsageError
        If the backbone has no such places, or the rate is out of its range.
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
