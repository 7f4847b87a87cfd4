"""Ranges of pixels that are no bytes, and their scaling to bytes.

The range of a modality is found once, in images from all over the training rows, so that brightness
stays comparable between images. Of floating-point pixels, and of 16-bit ones in images of neither
one nor three channels, it is

1. 0 to 1, if all values lie there and some are above one half;
2. 0 to 255, if all are whole numbers of that range;
3. otherwise from the 0.1th to the 99.9th percentile of the values, beyond which they are clipped:

   - one range for all channels, so that they stay comparable too;
   - or one for each channel, if some channel would get less than an eighth of the grey levels;
   - or one for each image, if half of the images would get less than a sixteenth of them: nothing
     would be left of these, as of spectrograms without a common unit.

Infinities become black and white, and what is no number black; both are left out of the ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

WHITE = 255
SHARES = (0.1, 99.9)  # percentiles
CHANNEL_LEVELS, IMAGE_LEVELS = 1 / 8, 1 / 16
VALUES = 4096  # per image and channel, or a few times as many

# Black and white of all channels, or of each channel; none: of each image its own.
Ranges = tuple[tuple[float, float], ...]
UNIT, BYTES = (0.0, 1.0), (0.0, float(WHITE))
Values = npt.NDArray[np.float32]


def some_values(pixels: npt.NDArray[Any]) -> Values:
    """Pixels of an image (H, W, C) on a grid over all of it, float32 of shape (n, C)."""
    height, width, channels = pixels.shape
    step = max(1, isqrt(height * width // VALUES))
    # From half a step on, but never past the end of a narrow image.
    rows, columns = (slice(min(step, side) // 2, None, step) for side in (height, width))
    return np.asarray(pixels[rows, columns].reshape(-1, channels), np.float32)


def needs_range(pixels: npt.NDArray[Any]) -> bool:
    """Whether the pixels of an image (H, W, C) are scaled by a range."""
    return pixels.dtype == np.float32 or (
        pixels.dtype == np.uint16 and pixels.shape[2] not in (1, 3)
    )


def ranges_of(document: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Ranges]:
    """The ranges of the modalities in a header."""
    return {name: tuple((pair[0], pair[1]) for pair in pairs) for name, pairs in document.items()}


def find_ranges(images: Sequence[Values]) -> Ranges:
    """The ranges of the images of a modality, from `some_values` of some of them.

    Examples
    --------
    >>> find_ranges([np.array([[0.0], [0.25], [0.75]], np.float32)])
    ((0.0, 1.0),)
    """
    values = np.concatenate(list(images))
    known = values[np.isfinite(values)]
    if not known.size:
        return (UNIT,)
    low, high = float(known.min()), float(known.max())
    if low >= 0 and 0.5 < high <= 1:
        return (UNIT,)
    if low >= 0 and 1 < high <= WHITE and bool((known == np.rint(known)).all()):
        return (BYTES,)
    channels = [_range(channel) for channel in values.T]
    shared = min(pair[0] for pair in channels), max(pair[1] for pair in channels)
    width = shared[1] - shared[0]
    if np.median([np.ptp(_range(image)) for image in images]) < width * IMAGE_LEVELS:
        return ()
    if min(np.ptp(pair) for pair in channels) < width * CHANNEL_LEVELS:
        return tuple(channels)
    return (shared,)


def _range(values: npt.NDArray[Any]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return UNIT
    low, high = (float(value) for value in np.percentile(known, SHARES))
    return (low, high) if low < high else (low, low + 1)


def ranged(pixels: npt.NDArray[Any], ranges: Ranges) -> npt.NDArray[np.uint8]:
    """Pixels (H, W, C) as uint8, rounded, by the ranges of their modality.

    Examples
    --------
    >>> ranged(np.array([[[-1.0], [0.5], [np.nan]]], np.float32), ((0.0, 1.0),)).ravel().tolist()
    [0, 128, 0]
    """
    low, high = np.array(ranges or [_range(some_values(pixels))], np.float32).T
    scaled = (pixels.astype(np.float32) - low) * (WHITE / (high - low))
    bounded = np.nan_to_num(np.clip(scaled, 0, WHITE), nan=0)
    return np.asarray(np.rint(bounded), np.uint8)


def spelled_ranges(ranges: Ranges) -> str:
    """The ranges in words, after "scaled"."""
    if not ranges:
        return "image by image, as their ranges differ too much"
    pairs = [f"{low:g} to {high:g}" for low, high in ranges]
    if len(pairs) == 1:
        return f"so that {pairs[0]} is black to white"
    return f"channel by channel: {', '.join(pairs)}"
