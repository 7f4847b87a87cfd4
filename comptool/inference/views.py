"""The views of a batch of images in torch, wherever the batch is."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from comptool.inference.geometry import D4, seen_box, seen_size


def see(images: Tensor, view: str) -> Tensor:
    """A view of images [B, C, H, W]; see :mod:`comptool.inference.geometry`.

    Raises
    ------
    UsageError
        If no view is called so; names the three nearest.
    """
    if view in D4:
        turn = D4[view]
        if turn.transposed:
            images = images.transpose(-2, -1)
        reversals = {-2: turn.rows_reversed, -1: turn.columns_reversed}
        axes = [axis for axis, reversed_ in reversals.items() if reversed_]
        return images.flip(axes) if axes else images
    height, width = images.shape[-2:]
    top, left, rows, columns = seen_box(view, height, width)
    part = images[..., top : top + rows, left : left + columns]
    size = seen_size(view, height, width)
    if tuple(part.shape[-2:]) == size:
        return part
    return functional.interpolate(part, size, mode="bilinear", antialias=True)
