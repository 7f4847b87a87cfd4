"""Views of an image in relative coordinates, valid for all modalities and sizes; no torch."""

from __future__ import annotations

from typing import NamedTuple

from comptool.errors import UsageError, unknown_name

CROP_SHARE = 0.875
SCALE_PREFIX = "scale-"
LARGEST_SCALE = 4.0


class Turn(NamedTuple):
    """An element of D4: transposition, then each axis reversed or not."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


D4 = {
    "identity": Turn(),
    "horizontal": Turn(columns_reversed=True),
    "vertical": Turn(rows_reversed=True),
    "rotate-90": Turn(True, rows_reversed=True),
    "rotate-180": Turn(rows_reversed=True, columns_reversed=True),
    "rotate-270": Turn(True, columns_reversed=True),
    "transpose": Turn(True),
    "anti-transpose": Turn(True, True, True),
}
# Position of the crop, 0 to 1 from the top left; it is resized to the image's size.
CROPS = {
    "crop-top-left": (0.0, 0.0),
    "crop-top-right": (0.0, 1.0),
    "crop-bottom-left": (1.0, 0.0),
    "crop-bottom-right": (1.0, 1.0),
    "crop-centre": (0.5, 0.5),
}
VIEW_NAMES = (*D4, *CROPS)


def seen_box(view: str, height: int, width: int) -> Box:
    """The part of an image that a view shows."""
    if view not in CROPS:
        return Box(0, 0, height, width)
    rows, columns = round(CROP_SHARE * height), round(CROP_SHARE * width)
    down, right = CROPS[view]
    return Box(round(down * (height - rows)), round(right * (width - columns)), rows, columns)


def seen_size(view: str, height: int, width: int) -> tuple[int, int]:
    """Height and width at which a view shows an image."""
    if view in CROPS:
        return height, width
    if view in D4:
        return (width, height) if D4[view].transposed else (height, width)
    factor = scale_of(view)
    return max(1, round(factor * height)), max(1, round(factor * width))


def check_view(view: str) -> None:
    """Raise a UsageError for an unknown view."""
    seen_size(view, 1, 1)


def scale_of(view: str) -> float:
    """The factor of ``scale-FACTOR``."""
    if not view.startswith(SCALE_PREFIX):
        raise unknown_name("view", view, (*VIEW_NAMES, f"{SCALE_PREFIX}1.25"))
    try:
        factor = float(view.removeprefix(SCALE_PREFIX))
    except ValueError:
        factor = 0.0
    if not 0 < factor <= LARGEST_SCALE:
        raise UsageError(f"the view '{view}' needs a factor above 0 and up to {LARGEST_SCALE:g}")
    return factor
