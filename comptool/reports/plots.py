"""Plots: curves, confusion matrix, reliability diagram and scatter plots."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from comptool.io.atomic import atomic_output
from comptool.metrics.reliability import BINS, Reliability

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


WIDTH, HEIGHT = 520, 220  # of a panel's axes, in pixels
LEFT, RIGHT, HEAD, FOOT = 70, 30, 64, 36  # around them
RADIUS = 3
EPOCHS, STEPS = 8, 4  # ticks across, at most; steps up, at least
LEAST = 1e-9  # of a range; below it there is nothing to see
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Curves:
    """Lines that share their axes.

    Parameters
    ----------
    title
        What is shown.
    series
        By name, one value for each of E epochs; None where there is none.
    level
        A value to compare with, drawn across in grey.
    """

    title: str
    series: Mapping[str, Sequence[float | None]]
    level: float | None = None


def draw_curves(panels: Sequence[Curves]) -> Pixels:
    """Panels below one another, epochs across; a name has one colour in all of them.

    Parameters
    ----------
    panels
        One or more, all of as many epochs. The axis of values begins at 0 or below.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), blue first.
    """
    each = HEAD + HEIGHT + FOOT
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    colours = dict(zip(names, class_colours(len(names)), strict=True))
    canvas = blank(each * len(panels) + 10, LEFT + WIDTH + RIGHT)
    for place, panel in enumerate(panels):
        _draw_panel(canvas, panel, each * place + HEAD, colours)
    return canvas


def ticks(low: float, high: float) -> list[float]:
    """Round values, evenly spaced: those that enclose a range, and those between them.

    Examples
    --------
    >>> ticks(0, 0.83)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = (high - low if high - low > LEAST else 1.0) / STEPS
    size = 10 ** math.floor(math.log10(raw))
    step = size * max(nice for nice in NICE if nice * size <= raw * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{step * index:.12g}") for index in range(first, max(last, first + 1) + 1)]


def _draw_panel(canvas: Pixels, panel: Curves, top: int, colours: Mapping[str, Colour]) -> None:
    known = [value for line in panel.series.values() for value in line if value is not None]
    levels = [] if panel.level is None else [panel.level]
    marks = ticks(min([0.0, *known]), max([0.0, *known, *levels]))
    epochs = max(len(line) for line in panel.series.values())

    def at(epoch: int, value: float) -> tuple[int, int]:
        share = (value - marks[0]) / (marks[-1] - marks[0])
        across = (epoch - 1) / max(epochs - 1, 1)
        return LEFT + round(WIDTH * across), top + round(HEIGHT * (1 - share))

    for mark in marks:
        text = f"{mark:g}"
        write(canvas, text, (LEFT - 10 - text_width(text), at(1, mark)[1] + 5))
    for epoch in range(1, epochs + 1, math.ceil(epochs / EPOCHS)):
        write(canvas, str(epoch), (at(epoch, 0)[0] - 4, top + HEIGHT + 18))
    write(canvas, "epoch", (LEFT + WIDTH // 2 - 18, top + HEIGHT + 32))
    for level in levels:
        cv2.line(canvas, at(1, level), (LEFT + WIDTH, at(1, level)[1]), GREY, 1)
    _write_head(canvas, panel, top, colours)
    for name, line in panel.series.items():
        points = [
            None if value is None else at(epoch, value) for epoch, value in enumerate(line, 1)
        ]
        _draw_line(canvas, points, colours[name])
    cv2.rectangle(canvas, (LEFT, top), (LEFT + WIDTH, top + HEIGHT), BLACK, 1)


def _write_head(canvas: Pixels, panel: Curves, top: int, colours: Mapping[str, Colour]) -> None:
    write(canvas, panel.title, (LEFT, top - 36))
    x = LEFT
    for name, shown in zip(panel.series, writable(list(panel.series)), strict=True):
        cv2.line(canvas, (x, top - 16), (x + SWATCH - 8, top - 16), colours[name], 2)
        write(canvas, shown, (x + SWATCH, top - 11))
        x += SWATCH + text_width(shown) + 20


def _draw_line(canvas: Pixels, points: Sequence[tuple[int, int] | None], colour: Colour) -> None:
    """A dot for each epoch; no line where one is missing."""
    for before, point in zip([None, *points], points, strict=False):
        if point is None:
            continue
        cv2.circle(canvas, point, RADIUS, colour, -1, cv2.LINE_AA)
        if before is not None:
            cv2.line(canvas, before, point, colour, 2, cv2.LINE_AA)


BLUE, RED = (160, 90, 30), (60, 60, 220)
MOST_NUMBERED = 25  # classes beyond which cells are too small for their numbers
TITLE = 540  # pixels that the line above the confusion matrix takes
SIDE, MARGIN = 480, 70  # of the reliability diagram, in pixels


def draw_confusion(confusion: npt.NDArray[np.number], classes: Sequence[str]) -> Pixels:
    """The confusion matrix: true classes down, answers across.

    Parameters
    ----------
    confusion
        Rows by true class (row) and answered class (column), shape (K, K); a cell is the darker
        the larger its share of the true class.
    classes
        The K names.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), blue first.
    """
    num_classes = len(classes)
    cell = 44 if num_classes <= MOST_NUMBERED else max(4, 1100 // num_classes)
    left, top = 40 + max(text_width(name) for name in writable(classes)), 60
    side = cell * num_classes
    below = left if cell > 12 else 20
    canvas = blank(top + side + below, max(left + side + 20, TITLE))
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    for row in range(num_classes):
        for column in range(num_classes):
            corner = (left + column * cell, top + row * cell)
            share, number = float(shares[row, column]), int(confusion[row, column])
            _fill(canvas, corner, cell, share)
            if number and num_classes <= MOST_NUMBERED:
                _centred(canvas, str(number), corner, cell, WHITE if share > 0.5 else BLACK)
    cv2.rectangle(canvas, (left, top), (left + side, top + side), BLACK, 1)
    write(canvas, "rows: true class, columns: answer; darker: larger share of the class", (10, 24))
    if cell > 12:
        _name_sides(canvas, writable(classes), left, top, cell)
    return canvas


def draw_reliability(found: Reliability, error: float) -> Pixels:
    """The reliability diagram: mean accuracy of each bin of confidence, with the diagonal.

    Parameters
    ----------
    found
        The bins. A bar is the accuracy, a red mark the mean confidence.
    error
        Expected calibration error, for the title.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), blue first.
    """
    canvas = blank(SIDE + 2 * MARGIN, SIDE + 2 * MARGIN)

    def at(x: float, y: float) -> tuple[int, int]:
        return MARGIN + round(SIDE * x), MARGIN + round(SIDE * (1 - y))

    for index in np.flatnonzero(found.number > 0):
        low, high = index / BINS, (index + 1) / BINS
        accuracy, confidence = float(found.accuracy[index]), float(found.confidence[index])
        cv2.rectangle(canvas, at(low, 0), at(high, accuracy), BLUE, -1)
        cv2.rectangle(canvas, at(low, 0), at(high, accuracy), WHITE, 1)
        cv2.line(canvas, at(low, confidence), at(high, confidence), RED, 3)
    cv2.line(canvas, at(0, 0), at(1, 1), GREY, 1, cv2.LINE_AA)
    cv2.rectangle(canvas, at(0, 0), at(1, 1), BLACK, 1)
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        write(canvas, f"{tick:.1f}", (at(tick, 0)[0] - 12, MARGIN + SIDE + 22))
        write(canvas, f"{tick:.1f}", (MARGIN - 38, at(0, tick)[1] + 5))
    write(canvas, f"reliability: ECE {error:.4f}, {BINS} bins", (MARGIN, 28))
    write(canvas, "bars: share that is right; red: mean confidence", (MARGIN, 52))
    write(canvas, "confidence", (MARGIN + SIDE // 2 - 40, MARGIN + SIDE + 48))
    return canvas


def _fill(canvas: Pixels, corner: tuple[int, int], cell: int, share: float) -> None:
    colour = [round(255 + (full - 255) * share) for full in BLUE]
    x, y = corner
    canvas[y : y + cell, x : x + cell] = colour


def _name_sides(canvas: Pixels, names: Sequence[str], left: int, top: int, cell: int) -> None:
    side = cell * len(names)
    for place, name in enumerate(names):
        middle = place * cell + cell // 2 + 5
        write(canvas, name, (left - 10 - text_width(name), top + middle))
        # Written across and turned, so that long names do not meet.
        strip = blank(20, left)
        write(strip, name, (left - 10 - text_width(name), 15))
        turned = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)
        x = left + middle - 15
        canvas[top + side + 1 : top + side + 1 + left - 1, x : x + 20] = turned[: left - 1]


def _centred(canvas: Pixels, text: str, corner: tuple[int, int], cell: int, colour: Colour) -> None:
    (width, height), _ = cv2.getTextSize(text, FONT, 0.4, 1)
    place = corner[0] + (cell - width) // 2, corner[1] + (cell + height) // 2
    cv2.putText(canvas, text, place, FONT, 0.4, colour, 1, cv2.LINE_AA)


SCATTER_SIDE, GAP, SCATTER_HEAD = (
    400,
    16,
    48,
)  # of a panel, in pixels: its square, around it, above it
ACROSS = 4  # panels in a row
LEGEND_LINE = 22
SCATTER_RADIUS = 3.5  # of a point, in pixels
SUBPIXEL = 4  # bits of a fraction of a pixel
OPACITY = 0.75  # so that points below others are seen
LETTERS = SCATTER_SIDE // 9  # of a panel's title


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
    width = GAP + across * (SCATTER_SIDE + GAP)
    places = _legend_places(classes, width)
    top = down * (SCATTER_HEAD + SCATTER_SIDE + GAP)
    canvas = blank(top + places[-1][1] + LEGEND_LINE, width)
    for number, panel in enumerate(panels):
        row, column = divmod(number, across)
        corner = (
            GAP + column * (SCATTER_SIDE + GAP),
            SCATTER_HEAD + row * (SCATTER_HEAD + SCATTER_SIDE + GAP),
        )
        _draw_scatter_panel(canvas, panel, corner, colours)
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


def _draw_scatter_panel(
    canvas: Pixels, panel: Panel, corner: tuple[int, int], colours: Sequence[Colour]
) -> None:
    left, top = corner
    # Folders of runs differ at their end.
    title = panel.title if len(panel.title) <= LETTERS else f"..{panel.title[2 - LETTERS :]}"
    title, subtitle = writable([title, panel.subtitle], LETTERS)
    write(canvas, title, (left, top - 28))
    write(canvas, subtitle, (left, top - 9))
    cv2.rectangle(canvas, corner, (left + SCATTER_SIDE, top + SCATTER_SIDE), GREY, 1)
    pixels = _inside(panel.points) + corner
    # Mixed, so that no class covers another.
    for number in np.random.default_rng(0).permutation(len(pixels)):
        _dot(canvas, pixels[number].tolist(), colours[int(panel.targets[number])])


def _inside(points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Points (N, 2) in the pixels of a panel, upwards what is large in the second direction."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (SCATTER_SIDE - 4 * SCATTER_RADIUS) / max(float(np.max(high - low)), 1e-30)
    centred = (points - (low + high) / 2) * scale
    return np.asarray(SCATTER_SIDE / 2 + centred * (1, -1), np.float64)


def _dot(canvas: Pixels, place: Sequence[float], colour: Colour) -> None:
    left, top = (int(value - SCATTER_RADIUS) - 1 for value in place)
    x, y = place
    side = round(2 * SCATTER_RADIUS) + 4
    below = canvas[top : top + side, left : left + side]
    above = below.copy()
    middle = round((x - left) * 2**SUBPIXEL), round((y - top) * 2**SUBPIXEL)
    cv2.circle(
        above, middle, round(SCATTER_RADIUS * 2**SUBPIXEL), colour, -1, cv2.LINE_AA, SUBPIXEL
    )
    below[:] = cv2.addWeighted(above, OPACITY, below, 1 - OPACITY, 0)
