"""Points in the plane, coloured by class, in panels side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from comptool.evaluation.canvas import (
    GREY,
    SWATCH,
    Colour,
    Pixels,
    blank,
    class_colours,
    text_width,
    writable,
    write,
)

SIDE, GAP, HEAD = 400, 16, 48  # of a panel, in pixels: its square, around it, above it
ACROSS = 4  # panels in a row
LEGEND_LINE = 22
RADIUS = 3.5  # of a point, in pixels
SUBPIXEL = 4  # bits of a fraction of a pixel
OPACITY = 0.75  # so that points below others are seen
LETTERS = SIDE // 9  # of a panel's title


@dataclass(frozen=True)
class Panel:
    """One of the panels.

    Parameters
    ----------
    title, subtitle
        The two lines above it.
    points
        Where, float of shape (N, 2), on any scale: a panel has its own, one for both directions.
    targets
        Class index of each point, shape (N,).
    """

    title: str
    subtitle: str
    points: npt.NDArray[np.floating]
    targets: npt.NDArray[np.integer]


def draw_scatter(
    panels: Sequence[Panel], classes: Sequence[str], highlighted: Collection[int] = ()
) -> Pixels:
    """Panels side by side, four in a row, and below them the colour of each class.

    Parameters
    ----------
    panels
        One or more.
    classes
        The K names.
    highlighted
        Indices of classes that stand out: above all others, larger, the others paled.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), blue first.
    """
    colours = class_colours(len(classes), highlighted)
    across = min(len(panels), ACROSS)
    down = -(-len(panels) // across)
    width = GAP + across * (SIDE + GAP)
    places = _legend_places(classes, width)
    top = down * (HEAD + SIDE + GAP)
    canvas = blank(top + places[-1][1] + LEGEND_LINE, width)
    for number, panel in enumerate(panels):
        row, column = divmod(number, across)
        corner = GAP + column * (SIDE + GAP), HEAD + row * (HEAD + SIDE + GAP)
        _draw_panel(canvas, panel, corner, colours)
    for index, (name, (x, y)) in enumerate(zip(writable(classes), places, strict=True)):
        _dot(canvas, (x + 8, top + y), colours[index])
        write(canvas, name, (x + SWATCH - 6, top + y + 5))
    return canvas


def _legend_places(classes: Sequence[str], width: int) -> list[tuple[int, int]]:
    """Where each class's mark stands below the panels: side by side, as many lines as it takes."""
    places, x, y = [], GAP, 0
    for name in writable(classes):
        taken = SWATCH + text_width(name) + GAP
        if x > GAP and x + taken > width:
            x, y = GAP, y + LEGEND_LINE
        places.append((x, y))
        x += taken
    return places


def _draw_panel(
    canvas: Pixels, panel: Panel, corner: tuple[int, int], colours: Sequence[Colour]
) -> None:
    left, top = corner
    # Folders of runs differ at their end.
    title = panel.title if len(panel.title) <= LETTERS else f"..{panel.title[2 - LETTERS :]}"
    title, subtitle = writable([title, panel.subtitle], LETTERS)
    write(canvas, title, (left, top - 28))
    write(canvas, subtitle, (left, top - 9))
    cv2.rectangle(canvas, corner, (left + SIDE, top + SIDE), GREY, 1)
    pixels = _inside(panel.points) + corner
    # Mixed, so that no class covers another.
    for number in np.random.default_rng(0).permutation(len(pixels)):
        _dot(canvas, pixels[number].tolist(), colours[int(panel.targets[number])])


def _inside(points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Points (N, 2) in the pixels of a panel, upwards what is large in the second direction."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (SIDE - 4 * RADIUS) / max(float(np.max(high - low)), 1e-30)
    centred = (points - (low + high) / 2) * scale
    return np.asarray(SIDE / 2 + centred * (1, -1), np.float64)


def _dot(canvas: Pixels, place: Sequence[float], colour: Colour) -> None:
    left, top = (int(value - RADIUS) - 1 for value in place)
    x, y = place
    side = round(2 * RADIUS) + 4
    below = canvas[top : top + side, left : left + side]
    above = below.copy()
    middle = round((x - left) * 2**SUBPIXEL), round((y - top) * 2**SUBPIXEL)
    cv2.circle(above, middle, round(RADIUS * 2**SUBPIXEL), colour, -1, cv2.LINE_AA, SUBPIXEL)
    below[:] = cv2.addWeighted(above, OPACITY, below, 1 - OPACITY, 0)
