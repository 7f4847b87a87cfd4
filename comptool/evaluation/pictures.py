"""Pictures of an evaluation: the confusion matrix and the reliability diagram, as PNG."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from comptool.evaluation.canvas import (
    BLACK,
    FONT,
    GREY,
    WHITE,
    Colour,
    Pixels,
    blank,
    text_width,
    writable,
    write,
)
from comptool.evaluation.figures import BINS, Reliability

BLUE, RED = (160, 90, 30), (60, 60, 220)
MOST_NUMBERED = 25  # classes beyond which cells are too small for their numbers
TITLE = 540  # pixels that the line above the confusion matrix takes
SIDE, MARGIN = 480, 70  # of the reliability diagram, in pixels


def draw_confusion(confusion: npt.NDArray[np.floating], classes: Sequence[str]) -> Pixels:
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
