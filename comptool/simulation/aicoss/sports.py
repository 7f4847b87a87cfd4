"""Courts and fields for sport, with their lines."""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.shapes import Points, arc, placed, rectangle
from comptool.simulation.aicoss.surfaces import Colour, Surface, mix, shade

WHITE: Colour = (238, 238, 234)
COURTS: tuple[tuple[Colour, Colour], ...] = (
    ((58, 98, 150), (72, 122, 84)), ((64, 118, 78), (150, 78, 62)), ((92, 70, 132), (70, 116, 80)),
    ((182, 104, 74), (168, 96, 70)), ((70, 120, 82), (70, 120, 82)),
    ((66, 106, 160), (66, 106, 160)),
)  # fmt: skip


def _lines(canvas: Canvas, lines: list[list[list[float]]], x: float, y: float, angle: float,
           width: float = 0.3) -> None:  # fmt: skip
    for points in lines:
        canvas.line(placed(np.array(points), x, y, angle), width, WHITE)


def tennis(
    canvas: Canvas, x: float, y: float, angle: float, colours: tuple[Colour, Colour]
) -> None:
    """A tennis court, 23.77 by 10.97 metres in a run-off of 36 by 18; colours inside and out."""
    inner, outer = colours
    whole = rectangle(x, y, 36.0, 18.0, angle)
    canvas.fill(whole, Surface.ASPHALT, outer)
    canvas.zone("tennis court", whole)
    canvas.mark(rectangle(x, y, 23.77, 10.97, angle), inner)
    a, b, single, service = 11.885, 5.485, 4.115, 6.4
    _lines(
        canvas,
        [
            [[-a, -b], [a, -b], [a, b], [-a, b], [-a, -b]],
            [[-a, -single], [a, -single]],
            [[-a, single], [a, single]],
            [[-service, -single], [-service, single]],
            [[service, -single], [service, single]],
            [[-service, 0], [service, 0]],
        ],
        x, y, angle,
    )  # fmt: skip
    net = placed(np.array([[0, -b - 0.9], [0, b + 0.9]]), x, y, angle)
    canvas.line(net, 0.35, (60, 62, 60))


def basketball(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A basketball court, 28 by 15 metres in a run-off of 32 by 19."""
    rng = canvas.rng
    floors: tuple[Colour, ...] = (
        (172, 92, 70),
        (78, 128, 90),
        (84, 110, 156),
        (196, 158, 110),
        (150, 150, 148),
    )
    floor = floors[int(rng.integers(len(floors)))]
    key = floors[int(rng.integers(len(floors)))]
    whole = rectangle(x, y, 32.0, 19.0, angle)
    canvas.fill(whole, Surface.ASPHALT, shade(floor, 0.86))
    canvas.zone("basketball court", whole)
    canvas.mark(rectangle(x, y, 28.0, 15.0, angle), floor)
    frame: list[list[list[float]]] = [
        [[-14, -7.5], [14, -7.5], [14, 7.5], [-14, 7.5], [-14, -7.5]], [[0, -7.5], [0, 7.5]]
    ]  # fmt: skip
    for side in (-1, 1):
        lane = placed(rectangle(side * 11.1, 0.0, 5.8, 4.9, 0.0), x, y, angle)
        canvas.mark(lane, key)
        canvas.line(lane, 0.3, WHITE, closed=True)
        three = arc(side * 12.4, 0.0, 6.75, np.pi / 2, 3 * np.pi / 2)
        three = three if side == 1 else np.stack([-24.8 - three[:, 0] + 24.8, three[:, 1]], axis=1)
        canvas.line(placed(three, x, y, angle), 0.3, WHITE)
    _lines(canvas, frame, x, y, angle)
    canvas.line(placed(arc(0, 0, 1.8, 0, 2 * np.pi), x, y, angle), 0.3, WHITE)


def diamond(canvas: Canvas, x: float, y: float, angle: float, size: float = 27.4) -> None:
    """A baseball field; x, y is home plate, ``angle`` points to second base, ``size`` in metres."""
    rng = canvas.rng
    clay = mix((186, 128, 88), (198, 158, 118), rng.random())
    grass = shade(canvas.palette.grass, rng.uniform(1.0, 1.2))
    reach = size * rng.uniform(3.1, 3.8)
    fan = np.concatenate([[[0.0, 0.0]], arc(0, 0, reach, -np.pi / 4, np.pi / 4)])
    outfield = placed(fan * 1.05, x, y, angle)
    canvas.line(outfield, 0.06 * size, clay, closed=True)
    canvas.fill(outfield, Surface.TURF, grass)
    for ring in np.arange(2.1, 4.0, 0.5)[:: 1 if rng.random() < 0.6 else 9]:
        band = arc(0, 0, min(ring * size, reach * 0.97), -np.pi / 4, np.pi / 4)
        canvas.line(placed(band, x, y, angle), 0.2 * size, shade(grass, 0.93))
    skin = np.concatenate([[[-0.15 * size, 0.0]], arc(0.62 * size, 0, 1.1 * size, -1.9, 1.9)])
    skin = skin[np.abs(np.arctan2(skin[:, 1], skin[:, 0] + 0.16 * size)) < 0.84]
    canvas.fill(placed(skin, x, y, angle), Surface.CLAY, clay)
    half = size / np.sqrt(2)
    if rng.random() < 0.8:
        square = np.array(
            [[0.18 * size, 0], [half, 0.8 * half], [1.25 * size, 0], [half, -0.8 * half]]
        )
        canvas.fill(placed(square, x, y, angle), Surface.TURF, grass)
    mound = placed(np.array([[0.67 * size, 0.0]]), x, y, angle)[0]
    canvas.disc(mound[0], mound[1], 0.1 * size, Surface.CLAY, clay)
    canvas.disc(x, y, 0.16 * size, Surface.CLAY, clay)
    for turn in (-np.pi / 4, np.pi / 4):
        foul = placed(np.array([[0.0, 0], [reach, 0]]), x, y, angle + turn)
        canvas.line(foul, 0.3, WHITE)
    canvas.zone("baseball diamond", outfield)


def football(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """A marked football field."""
    rng = canvas.rng
    width = 0.62 * length
    grass = mix(shade(canvas.palette.grass, 1.05), (72, 132, 66), rng.uniform(0, 0.8))
    pitch = rectangle(x, y, length, width, angle)
    canvas.fill(pitch, Surface.TURF, grass)
    canvas.zone("football field", pitch)
    if rng.random() < 0.7:
        bands = np.arange(-0.5 + 1 / 20, 0.5, 1 / 5) * length
        stripes = rectangle(bands, 0 * bands, length / 10 + 0 * bands, width + 0 * bands, 0.0)
        canvas.mark(placed(stripes, x, y, angle), shade(grass, 1.1))
    a, b = 0.47 * length, 0.46 * width
    thick = max(0.3, 0.9 * canvas.pixel)
    frame = [[[-a, -b], [a, -b], [a, b], [-a, b], [-a, -b]], [[0, -b], [0, b]]]
    for side in (-a, a):
        inner = side * 0.7
        frame.append([[side, -0.5 * b], [inner, -0.5 * b], [inner, 0.5 * b], [side, 0.5 * b]])
    _lines(canvas, frame, x, y, angle, thick)
    canvas.line(placed(arc(0, 0, 0.09 * length, 0, 2 * np.pi), x, y, angle), thick, WHITE)


def running_track(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """A running track around grass; ``length`` is its outer length in metres."""
    rng = canvas.rng
    reds: tuple[Colour, ...] = ((178, 84, 66), (168, 100, 84), (156, 72, 60), (96, 112, 150))
    red = reds[int(rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)))]
    width = 0.52 * length
    canvas.fill(_oval(x, y, length, width, angle), Surface.TRACK, red)
    lane = 0.075 * length
    inside = _oval(x, y, length - 2 * lane, width - 2 * lane, angle)
    canvas.fill(inside, Surface.TURF, shade(canvas.palette.grass, 1.05))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        cut = 2 * lane * share
        ring = _oval(x, y, length - cut, width - cut, angle)
        canvas.line(ring, 0.25, mix(red, WHITE, 0.45), closed=True)


def _oval(x: float, y: float, length: float, width: float, angle: float) -> Points:
    straight = (length - width) / 2
    right = arc(straight, 0, width / 2, -np.pi / 2, np.pi / 2, 16)
    return placed(np.concatenate([right, -right]), x, y, angle)
