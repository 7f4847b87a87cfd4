"""Numbers over the epochs of a training, drawn as lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2

from comptool.evaluation.canvas import (
    BLACK,
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
