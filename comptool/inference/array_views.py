"""The views of a batch of images in numpy: those of `comptool.inference.views` without torch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool.inference.geometry import D4, seen_box, seen_size

Images = npt.NDArray[np.float32]


def see(images: npt.NDArray[Any], view: str) -> Images:
    """A view of images (B, H, W, C), float32 and contiguous.

    Parameters
    ----------
    images
        Of any type of number.
    view
        See :mod:`comptool.inference.geometry`.

    Raises
    ------
    UsageError
        If no view is called so; names the three nearest.
    """
    if view in D4:
        turn = D4[view]
        if turn.transposed:
            images = images.swapaxes(1, 2)
        rows, columns = (slice(None, None, -1 if turned else 1) for turned in turn[1:])
        return np.ascontiguousarray(images[:, rows, columns], np.float32)
    height, width = images.shape[1:3]
    top, left, rows_, columns_ = seen_box(view, height, width)
    part = images[:, top : top + rows_, left : left + columns_].astype(np.float32)
    return resized(part, seen_size(view, height, width))


def resized(images: Images, size: tuple[int, int]) -> Images:
    """Images (B, h, w, C) at another height and width, bilinear and, made smaller, averaged.

    As ``torch.nn.functional.interpolate(mode="bilinear", antialias=True)``, which is Pillow's
    bilinear filter: each pixel is a mean weighted by a triangle that is as wide as two pixels of
    the smaller of both images. OpenCV has no such filter.
    """
    down, across = (
        _triangles(now, wanted) for now, wanted in zip(images.shape[1:3], size, strict=True)
    )
    rows = np.einsum("Hh,bhwc->bHwc", down, images, optimize=True)
    return np.ascontiguousarray(np.einsum("Ww,bhwc->bhWc", across, rows, optimize=True))


@lru_cache
def _triangles(now: int, wanted: int) -> npt.NDArray[np.float32]:
    """The weight of each of ``now`` pixels in each of ``wanted``, (wanted, now)."""
    ratio = now / wanted
    centres = (np.arange(wanted)[:, None] + 0.5) * ratio
    distances = np.abs(np.arange(now)[None, :] + 0.5 - centres) / max(ratio, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
