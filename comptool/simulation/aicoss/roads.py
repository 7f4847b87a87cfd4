"""Ways of every kind: roads with their markings, crossings, rails, runways and trails."""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.shapes import (
    Points,
    bent,
    beside,
    length_of,
    placed,
    rectangle,
    stations,
    strip,
)
from comptool.simulation.aicoss.surfaces import Colour, Surface, mix, shade

WHITE: Colour = (228, 228, 224)
YELLOW: Colour = (206, 178, 84)


def straight(canvas: Canvas, angle: float, offset: float = 0.0) -> Points:
    """A straight line across the scene, ``offset`` metres beside its middle."""
    ends = np.array([[-canvas.metres, offset], [canvas.metres, offset]])
    ends = placed(ends, 0.0, 0.0, angle)
    return bent(ends[0], ends[1], 0.0)


def crossing(canvas: Canvas, bend: float = 0.15) -> Points:
    """A gently bent line across the scene, through the neighbourhood of its middle."""
    rng, span = canvas.rng, 0.8 * canvas.metres
    turn, offset = rng.uniform(0, np.pi), rng.uniform(-0.3, 0.3) * canvas.metres
    ends = placed(np.array([[-span, offset], [span, offset]]), 0.0, 0.0, turn)
    return bent(ends[0], ends[1], rng.uniform(-bend, bend) * canvas.metres)


def dashes(canvas: Canvas, line: Points, colour: Colour, length: float = 3.0) -> None:
    """A broken line along another."""
    places = np.arange(0.0, length_of(line), 2.6 * length)
    points, angle = stations(line, places)
    if len(points):
        width = 0.22 + 0 * angle
        canvas.mark(rectangle(points[:, 0], points[:, 1], length + 0 * angle, width, angle), colour)


def road(
    canvas: Canvas,
    line: Points,
    width: float,
    surface: Surface = Surface.ROAD,
    *,
    walks: bool = False,
    lanes: int = 2,
) -> None:
    """A paved road along a line, with markings and perhaps pavements for walking beside it."""
    colour = canvas.palette.asphalt
    if walks:
        canvas.fill(strip(line, width + 4.4), Surface.ASPHALT, canvas.palette.concrete)
    canvas.fill(strip(line, width), surface, colour)
    paint = mix(colour, WHITE, 0.75)
    for lane in range(1, lanes):
        offset = (lane / lanes - 0.5) * width
        if lanes % 2 == 0 and lane == lanes // 2:
            canvas.line(beside(line, offset), 0.25, mix(colour, YELLOW, 0.75))
        else:
            dashes(canvas, beside(line, offset), paint)
    if lanes > 2:
        for side in (-0.47, 0.47):
            canvas.line(beside(line, side * width), 0.22, paint)


def crosswalk(canvas: Canvas, x: float, y: float, angle: float, width: float) -> None:
    """Stripes across a road of some width that runs along ``angle``."""
    across = np.arange(-width / 2 + 0.6, width / 2 - 0.3, 1.5)
    stripes = rectangle(0 * across, across, 4.0 + 0 * across, 0.75 + 0 * across, 0.0)
    canvas.mark(placed(stripes, x, y, angle), WHITE)
    canvas.zone("crosswalk", rectangle(x, y, 4.0, width, angle))


def freeway(canvas: Canvas, line: Points, lanes: int, median: float) -> None:
    """Two carriageways of ``lanes`` lanes each, ``median`` metres apart."""
    width = 3.7 * lanes + 3.0
    rng = canvas.rng
    shoulder = mix(canvas.palette.asphalt, canvas.palette.concrete, 0.5)
    canvas.fill(strip(line, 2 * width + median), Surface.ASPHALT, shoulder)
    if median > 4 and rng.random() < 0.7:
        canvas.fill(strip(line, median), Surface.GRASS, shade(canvas.palette.grass, 0.95))
    else:
        canvas.line(line, 0.9, (200, 200, 198))
    for side in (-1, 1):
        way = beside(line, side * (width + median) / 2)
        road(canvas, way, width - 1.2, Surface.FREEWAY, lanes=lanes + (lanes % 2 == 0))


def lanes_of(line: Points, lanes: int, median: float) -> list[Points]:
    """Middle lines of every lane of a freeway."""
    width = 3.7 * lanes + 3.0
    middle = [(lane + 0.5 - lanes / 2) * 3.7 for lane in range(lanes)]
    return [
        beside(line, side * (width + median) / 2 + offset) for side in (-1, 1) for offset in middle
    ]


def rails(canvas: Canvas, line: Points, tracks: int, spacing: float = 4.6) -> None:
    """Tracks side by side in their ballast."""
    rng = canvas.rng
    ballast = mix((132, 118, 106), (104, 98, 94), rng.random())
    canvas.fill(strip(line, tracks * spacing + 1.5), Surface.RAIL, ballast)
    for track in range(tracks):
        way = beside(line, (track - (tracks - 1) / 2) * spacing)
        places = np.arange(0.0, length_of(way), max(1.3, 3 * canvas.pixel))
        points, angle = stations(way, places)
        ties = rectangle(points[:, 0], points[:, 1], 0.5 + 0 * angle, 2.6 + 0 * angle, angle)
        canvas.mark(ties, shade(ballast, 0.66))
        for side in (-0.75, 0.75):
            canvas.line(beside(way, side), 0.18, (212, 208, 204))


def train(canvas: Canvas, line: Points, start: float, coaches: int) -> None:
    """A train of coaches of 24 metres; it hides the track and counts as part of nothing."""
    colours: tuple[Colour, ...] = ((196, 200, 204), (150, 60, 50), (70, 100, 150), (120, 124, 120))
    colour = colours[int(canvas.rng.integers(len(colours)))]
    points, angle = stations(line, start + 25.0 * np.arange(coaches))
    bodies = rectangle(points[:, 0], points[:, 1], 24.0 + 0 * angle, 3.0 + 0 * angle, angle)
    canvas.fill(bodies, Surface.OTHER, colour, height=4.0)
    spine = rectangle(points[:, 0], points[:, 1], 22.0 + 0 * angle, 0.8 + 0 * angle, angle)
    canvas.mark(spine, shade(colour, 0.8))


def runway(canvas: Canvas, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A runway with threshold, centre line, touch-down marks and rubber."""
    asphalt = shade(canvas.palette.asphalt, 0.92)
    canvas.fill(rectangle(x, y, length, width * 1.3, angle), Surface.RUNWAY, shade(asphalt, 1.2))
    canvas.fill(rectangle(x, y, length, width, angle), Surface.RUNWAY, asphalt)
    places = np.arange(-length / 2 + 90, length / 2 - 90, 60.0)
    # Real lines would be thinner than a pixel; they are drawn as wide as they look.
    thick = max(0.9, 1.2 * canvas.pixel)
    centre = rectangle(places, 0 * places, 30 + 0 * places, thick + 0 * places, 0.0)
    canvas.mark(placed(centre, x, y, angle), WHITE)
    for side in (-1, 1):
        bars = (np.arange(6) - 2.5) * width / 7
        zebra = rectangle(
            side * (length / 2 - 25) + 0 * bars, bars, 30 + 0 * bars, width / 13 + 0 * bars, 0.0
        )
        canvas.mark(placed(zebra, x, y, angle), WHITE)
        edge = rectangle(0.0, side * 0.47 * width, length, max(0.9, canvas.pixel), 0.0)
        canvas.mark(placed(edge, x, y, angle), mix(asphalt, WHITE, 0.7))
        rubber = rectangle(side * (length / 2 - 200), 0.0, 260.0, width / 4, 0.0)
        canvas.mark(placed(rubber, x, y, angle), shade(asphalt, 0.72))
        aim = rectangle(np.array([1.0, 1.0]) * side * (length / 2 - 130),
                        np.array([-0.22, 0.22]) * width, np.full(2, 45.0),
                        np.full(2, width / 8), 0.0)  # fmt: skip
        canvas.mark(placed(aim, x, y, angle), WHITE)


def taxiway(canvas: Canvas, line: Points, width: float) -> None:
    """A paved way for airplanes with its yellow line; it is no road."""
    canvas.fill(
        strip(line, width),
        Surface.ASPHALT,
        mix(canvas.palette.asphalt, canvas.palette.concrete, 0.35),
    )
    canvas.line(line, max(0.4, 0.5 * canvas.pixel), YELLOW)


def trail(canvas: Canvas, line: Points, width: float) -> None:
    """An unpaved way."""
    pale = mix(canvas.palette.soil, (226, 212, 184), 0.55)
    canvas.fill(strip(line, width), Surface.TRAIL, pale)
    if width > 3:
        canvas.line(line, 0.25 * width, mix(pale, canvas.palette.grass, 0.35))


def streets(canvas: Canvas, angle: float, gap: float, width: float) -> list[Points]:
    """Parallel streets ``gap`` metres apart and one that crosses them; their middle lines."""
    rng, span = canvas.rng, canvas.metres
    ways = []
    for down in np.arange(-span, span, gap) + rng.uniform(0, gap):
        ends = placed(np.array([[-span, down], [span, down]]), 0.0, 0.0, angle)
        ways.append(bent(ends[0], ends[1], rng.uniform(-3, 3)))
    ways.append(straight(canvas, angle + np.pi / 2, rng.uniform(-0.4, 0.4) * span))
    walks = rng.random() < 0.6
    for way in ways:
        if np.abs(way).max(axis=1).min() < canvas.half * 1.1:
            road(canvas, way, width, walks=walks)
    return [way for way in ways if np.abs(way).max(axis=1).min() < canvas.half]
