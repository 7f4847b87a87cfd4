"""What pictures are drawn upon and with: OpenCV's arrays, its plain letters, a file at the end."""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from comptool.outputs import atomic_output

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]  # blue, green, red, as OpenCV has them

FONT, SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (200, 200, 200)
NAME = 22  # letters of a name that are shown
SWATCH = 26  # pixels of a mark in a legend, with the space after it
PALE = 0.5  # share of white in the colour of what is not highlighted


def blank(height: int, width: int) -> Pixels:
    """A white picture, uint8 of shape (height, width, 3)."""
    return np.full((height, width, 3), 255, np.uint8)


def write(canvas: Pixels, text: str, place: tuple[int, int]) -> None:
    """Write a line of text whose lower left corner is at ``place``, (x, y) in pixels."""
    cv2.putText(canvas, text, place, FONT, SIZE, BLACK, 1, cv2.LINE_AA)


def text_width(text: str) -> int:
    """Pixels that a line of text takes."""
    return int(cv2.getTextSize(text, FONT, SIZE, 1)[0][0])


def writable(names: Sequence[str], most: int = NAME) -> list[str]:
    """Names as OpenCV can write them: ASCII, and of ``most`` letters at most."""
    plain = [name.encode("ascii", "replace").decode() for name in names]
    return [name if len(name) <= most else name[: most - 2] + ".." for name in plain]


def class_colours(number: int, highlighted: Collection[int] = ()) -> list[Colour]:
    """A colour for each class: hues around the circle, every other one darker.

    Where some classes are highlighted, the others are mixed with white.
    """
    colours = []
    for index in range(number):
        value, saturation = (0.9, 0.85) if index % 2 == 0 else (0.6, 1.0)
        rgb = np.array(colorsys.hsv_to_rgb(index / number, saturation, value))
        if highlighted and index not in highlighted:
            rgb = PALE + (1 - PALE) * rgb
        red, green, blue = (round(255 * share) for share in rgb.tolist())
        colours.append((blue, green, red))
    return colours


def save_picture(path: Path, picture: Pixels, *, force: bool = False) -> None:
    """Write a picture as PNG, atomically.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    InputError
        If it cannot be written.
    """
    _, encoded = cv2.imencode(".png", picture)
    with atomic_output(path, force=force) as temporary:
        temporary.write_bytes(encoded.tobytes())
