"""The size that images are resized to, from ``--img-size`` or from the images; no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median

from comptool.data.files import ImageFiles, spread
from comptool.errors import UsageError, unknown_name
from comptool.samples import Samples

LOOKED_AT = 16  # images per modality
STEP = 32  # the stride of usual backbones
LEAST, MOST = 64, 224  # pixels; below, a stride of 32 leaves one pixel, above, users decide

Size = tuple[int, int]
_SIZE = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<height>\d+)(?:x(?P<width>\d+))?")


def parse_sizes(texts: Sequence[str], modalities: Sequence[str]) -> dict[str, Size]:
    """Height and width of the modalities that ``--img-size`` speaks of.

    Parameters
    ----------
    texts
        ``64`` or ``64x48`` (height, width) for all modalities; ``sar=64`` for one.
    modalities
        Their names.

    Raises
    ------
    UsageError
        If a text is no size or names no modality.

    Examples
    --------
    >>> parse_sizes(["64", "eo=32x48"], ["sar", "eo"])
    {'sar': (64, 64), 'eo': (32, 48)}
    """
    found: dict[str, Size] = {}
    for text in texts:
        match = _SIZE.fullmatch(text)
        if match is None or not int(match["height"]) or match["width"] == "0":
            raise UsageError(f"--img-size is '{text}'; it is 64, 64x48 (height, width) or sar=64")
        if match["name"] is not None and match["name"] not in modalities:
            raise unknown_name("modality", match["name"], modalities)
        size = int(match["height"]), int(match["width"] or match["height"])
        found |= dict.fromkeys([match["name"]] if match["name"] else modalities, size)
    return found


def native_sizes(samples: Samples, missing: str) -> dict[str, Size]:
    """A square for each modality that holds its median image, in steps of 32 from 64 to 224.

    Parameters
    ----------
    samples
        The training rows, of which a few are looked at.
    missing
        ``"error"`` or ``"zero"``; see `comptool.data.files.ImageFiles`.

    Raises
    ------
    InputError
        If an image is missing or damaged.
    """
    files = ImageFiles(samples, missing)
    looked_at = spread(len(samples), LOOKED_AT)
    sizes = {}
    for place, name in enumerate(samples.paths):
        images = [files.read(int(row), place) for row in looked_at]
        sides = [max(image.shape[:2]) for image in images if image is not None] or [LEAST]
        side = min(max(-(-int(median(sides)) // STEP) * STEP, LEAST), MOST)
        sizes[name] = (side, side)
    return sizes


def document(sizes: Mapping[str, Size]) -> dict[str, list[int]]:
    """The sizes as JSON values."""
    return {name: list(size) for name, size in sizes.items()}
