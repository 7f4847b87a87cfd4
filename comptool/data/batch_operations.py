"""Operations on whole batches of images, with a parameter for each sample.

Written here because no library has them. torchvision's ``v2`` draws one parameter per call, so
that a whole batch would be turned by one angle (issue 8484 of pytorch/vision: no path to anything
else). kornia draws parameters per sample, but its ``RandAugment`` and ``AutoAugment`` choose one
operation for the whole batch, mean other magnitudes by the same names (issue 4655 of
kornia/kornia: posterizing to black, shear in degrees), draw from torch's global generator, and
give no photometry of its own to each image of a pair; what would be left of it is `grid_sample`,
which torch has.

Each operation gives what albumentations gives where `comptool.data.policies` names it, but for
one grey level where rounding differs. ``autocontrast`` gives what Pillow gives: albumentations'
histogram leaves out the brightest level and may be three levels off. Images are uint8
[n, H, W, C] and stay uint8 from one operation to the next, as they do there. Nothing here waits
for the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 256
# ITU-R BT.601 in 14 bits, as OpenCV has it.
_LUMINANCE, _HALF, _LUMINANCE_BITS = (4899, 9617, 1868), 1 << 13, 14

# Takes images and what has been drawn for them, and gives images.
Operation = Callable[..., Tensor]


def affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Images moved; what comes from outside is black.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    matrices
        float32 [n, 2, 3]: from where in the given image each place takes its pixel, in coordinates
        (x, y) of -1 to 1 from edge to edge.
    """
    chips = images.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(matrices, list(chips.shape), align_corners=False)
    return _to_bytes(functional.grid_sample(chips, grid, align_corners=False).permute(0, 2, 3, 1))


def painted(images: Tensor, edges: Tensor, colours: Tensor) -> Tensor:
    """Images with a rectangle painted over.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    edges
        int64 [n, 4]: first row, first column, row after the last, column after the last.
    colours
        uint8 [n, C].
    """
    count, height, width, channels = images.shape
    top, left, bottom, right = edges[:, :, None].unbind(dim=1)
    row, column = (torch.arange(side, device=images.device) for side in (height, width))
    rows = (row >= top) & (row < bottom)
    # Channels beside columns: a mask that is as long as the rows of memory is several times faster.
    columns = ((column >= left) & (column < right)).repeat_interleave(channels, dim=1)
    pattern = colours.repeat(1, width)[:, None]
    lines = images.reshape(count, height, width * channels)
    return torch.where(rows[:, :, None] & columns[:, None], pattern, lines).view(images.shape)


def toned(images: Tensor, thresholds: Tensor, steps: Tensor, gains: Tensor) -> Tensor:
    """Images whose levels from a threshold on are inverted, cut down to steps, and multiplied.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    thresholds, steps, gains
        float32 [n]; 256, 1 and 1 change nothing.
    """
    levels = _levels(images)
    tones = torch.where(levels >= thresholds[:, None], LEVELS - 1 - levels, levels)
    tones = torch.floor(tones / steps[:, None]) * steps[:, None] * gains[:, None]
    return _looked_up(images, _truncated(tones)[:, :, None])


def contrasted(images: Tensor, gains: Tensor) -> Tensor:
    """Images pushed away from their mean luminance, or towards it.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    gains
        float32 [n]; 1 changes nothing.
    """
    means = _grey(images).float().mean(dim=(1, 2, 3))
    tones = _levels(images) * gains[:, None] + (means * (1 - gains))[:, None]
    return _looked_up(images, _truncated(tones)[:, :, None])


def autocontrasted(images: Tensor) -> Tensor:
    """Images uint8 [n, H, W, C], each channel stretched to all levels."""
    pixels = images.flatten(1, 2)
    low, high = (one.float()[:, None] for one in (pixels.amin(dim=1), pixels.amax(dim=1)))
    levels = _levels(images)[:, None]
    stretched = (levels - low) * ((LEVELS - 1) / (high - low))
    return _looked_up(images, _to_bytes(torch.where(high > low, stretched, levels)))


def equalized(images: Tensor) -> Tensor:
    """Images uint8 [n, H, W, C], each channel with all levels as often as can be."""
    count, channels = len(images), images.shape[3]
    places = _places(images, channels).long().flatten()
    counts = torch.zeros(count * LEVELS * channels, dtype=torch.int32, device=images.device)
    counts.scatter_add_(0, places, torch.ones_like(places, dtype=torch.int32))
    below = counts.view(count, LEVELS, channels).cumsum(dim=1)
    total = below[:, -1:]
    darkest = torch.where(below > 0, below, total).amin(dim=1, keepdim=True)
    spread = (below - darkest) * ((LEVELS - 1) / (total - darkest).float())
    # An image of one level stays as it is.
    tones = torch.where(total > darkest, spread, _levels(images)[:, None])
    return _looked_up(images, _to_bytes(tones))


def coloured(images: Tensor, gains: Tensor) -> Tensor:
    """Images pushed away from their luminance, or towards it.

    Parameters
    ----------
    images
        uint8 [n, H, W, 3].
    gains
        float32 [n]; 1 changes nothing.
    """
    return _blended(images.float(), _grey(images).float(), gains)


def sharpened(images: Tensor, gains: Tensor) -> Tensor:
    """Images pushed away from their smoothed selves, or towards them.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    gains
        float32 [n]; 1 changes nothing.
    """
    chips = images.permute(0, 3, 1, 2).float()
    around = functional.avg_pool2d(functional.pad(chips, (1, 1, 1, 1), mode="reflect"), 3, 1)
    smooth = (9 * around + 4 * chips) / 13
    return _blended(chips.permute(0, 2, 3, 1), smooth.permute(0, 2, 3, 1), gains)


def _blended(images: Tensor, plain: Tensor, gains: Tensor) -> Tensor:
    return _to_bytes(torch.lerp(plain, images, gains[:, None, None, None]))


def _grey(images: Tensor) -> Tensor:
    """Luminance, int32 [n, H, W, 1]."""
    if images.shape[3] == 1:
        return images.int()
    weighed = [images[..., place : place + 1].int() * one for place, one in enumerate(_LUMINANCE)]
    return (weighed[0] + weighed[1] + weighed[2] + _HALF) >> _LUMINANCE_BITS


def _levels(images: Tensor) -> Tensor:
    return torch.arange(LEVELS, device=images.device, dtype=torch.float32)


def _looked_up(images: Tensor, tables: Tensor) -> Tensor:
    """Levels replaced as tables uint8 [n, 256, C], or [n, 256, 1] for all channels, say."""
    places = _places(images, tables.shape[2]).flatten()
    return tables.flatten().index_select(0, places).view(images.shape)


def _places(images: Tensor, channels: int) -> Tensor:
    """Where the level of each pixel lies in tables [n, 256, channels], int32 [n, H, W, C]."""
    first = torch.arange(len(images), device=images.device, dtype=torch.int32) * LEVELS * channels
    channel = torch.arange(channels, device=images.device, dtype=torch.int32)
    return images.int() * channels + (first[:, None, None, None] + channel)


def _to_bytes(images: Tensor) -> Tensor:
    return _truncated(images.round())


def _truncated(images: Tensor) -> Tensor:
    return images.clamp(0, LEVELS - 1).to(torch.uint8)
