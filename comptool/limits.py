"""Limits on what a file may unfold to: pixels of an image, bytes of an archive or a packed table.

A file of three megabytes can hold gigabytes. The limits are far above what competitions have; a
file beyond them is most likely damaged, or made to fill the memory. Standard library only.
"""

from __future__ import annotations

import math
import os
from os import PathLike

from comptool.errors import InputError, UsageError

PIXELS, UNPACKED = "COMPTOOL_MAX_PIXELS", "COMPTOOL_MAX_UNPACKED_GB"
DEFAULT_PIXELS = 1 << 29
CHANNELS_PER_PIXEL = 4  # of more channels, each four count as one pixel
# What packing gains at most on tables and images, and how much is allowed whatever it gains.
RATIO, ALWAYS = 100, 1 << 30
GIGABYTE = 10**9

_asked: int | None = None


def limit_pixels(count: int | None) -> None:
    """Limit the pixels of images in this process and its forks; None: by the environment."""
    global _asked
    _asked = count


def most_pixels() -> int:
    """Pixels of the largest image that is decoded: as asked for, ``$COMPTOOL_MAX_PIXELS``, 2^29."""
    return _asked or int(_variable(PIXELS) or DEFAULT_PIXELS)


def check_pixels(path: str | PathLike[str], height: int, width: int, channels: int = 1) -> None:
    """Raise an InputError if an image, by its header, has too many pixels to be decoded."""
    pixels = height * width * math.ceil(max(channels, 1) / CHANNELS_PER_PIXEL)
    if pixels > (limit := most_pixels()):
        size = (
            f"{width}x{height} pixels"
            if channels <= CHANNELS_PER_PIXEL
            else (f"{width}x{height} pixels of {channels} channels")
        )
        raise InputError(
            f"this image has {size}; {limit:,} are allowed",
            file=path,
            mend=f"If it is sound, allow it with --max-pixels {pixels} or {PIXELS}",
        )


def check_unpacked(path: str | PathLike[str], num_bytes: int, packed: int) -> None:
    """Raise an InputError if what ``packed`` bytes hold, so far or in all, is too large."""
    asked = _variable(UNPACKED)
    limit = int(asked * GIGABYTE) if asked else max(ALWAYS, RATIO * packed)
    if num_bytes > limit:
        raise InputError(
            f"holds more than {limit / GIGABYTE:.1f} GB in {packed / 1e6:.1f} MB",
            file=path,
            mend=f"If that is right, unpack it by hand, or set {UNPACKED} to the gigabytes allowed",
        )


def _variable(name: str) -> float | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise UsageError(f"the variable {name} has to be a number above 0, not '{text}'")
    return value
