"""Buildings and yards: houses, blocks, factories, greenhouses, stations, stadiums, pools."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.objects import cars
from comptool.simulation.aicoss.shapes import Points, arc, blob, placed, rectangle
from comptool.simulation.aicoss.surfaces import Colour, Surface, mix, shade

PAINT: Colour = (226, 226, 222)


def roof_colour(canvas: Canvas) -> Colour:
    """The colour of one roof of this place."""
    roofs = canvas.palette.roofs
    return shade(roofs[int(canvas.rng.integers(len(roofs)))], canvas.rng.uniform(0.85, 1.12))


def facing(canvas: Canvas, angle: float) -> float:
    """How brightly a slope that faces ``angle`` is lit, about 0.8 to 1.2."""
    sun = np.arctan2(-canvas.sun[1], -canvas.sun[0])
    return 1 + 0.2 * float(np.cos(angle - sun))


def house(canvas: Canvas, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A house under a pitched roof, often with a wing."""
    rng, colour = canvas.rng, roof_colour(canvas)
    _pitched(canvas, x, y, length, width, angle, colour)
    if rng.random() < 0.45:
        wing = placed(np.array([[0.28 * length * rng.choice([-1, 1]), 0.45 * width]]), x, y, angle)[
            0
        ]
        _pitched(canvas, wing[0], wing[1], 0.8 * width, 0.45 * length, angle + np.pi / 2, colour)


def _pitched(
    canvas: Canvas, x: float, y: float, length: float, width: float, angle: float, colour: Colour
) -> None:
    lit = [shade(colour, facing(canvas, angle + side * np.pi / 2)) for side in (1, -1)]
    whole = rectangle(x, y, length, width, angle)
    canvas.fill(whole, Surface.ROOF, lit[1], height=5.0)
    half = rectangle(0.0, width / 4, length, width / 2, 0.0)
    canvas.mark(placed(half, x, y, angle), lit[0])
    hip = 0.42 * width
    for side in (1, -1):
        end = np.array([[length / 2, -width / 2], [length / 2, width / 2], [length / 2 - hip, 0]])
        lean = angle if side == 1 else angle + np.pi
        canvas.mark(placed(end * side, x, y, angle), shade(colour, facing(canvas, lean)))


def block(
    canvas: Canvas, x: float, y: float, length: float, width: float, angle: float, height: float
) -> None:
    """A building with a flat roof, its parapet and the plant on it."""
    rng = canvas.rng
    grey: Colour = shade((196, 192, 186), rng.uniform(0.62, 1.15))
    colour = grey if rng.random() < 0.7 else roof_colour(canvas)
    canvas.fill(rectangle(x, y, length, width, angle), Surface.ROOF, shade(colour, 1.14), height)
    inner = rectangle(x, y, length - 1.6, width - 1.6, angle)
    canvas.mark(inner, colour)
    count = int(rng.integers(1, 6))
    places = rng.uniform(-0.36, 0.36, (count, 2)) * [length, width]
    sizes = rng.uniform(0.05, 0.2, (count, 2)) * min(length, width) + 1
    for (across, down), (long, wide) in zip(places.tolist(), sizes.tolist(), strict=True):
        plant = placed(rectangle(across, down, long, wide, 0.0), x, y, angle)
        canvas.fill(plant, Surface.ROOF, shade(colour, rng.choice([0.7, 1.25])), height=2.5)


def factory(canvas: Canvas, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A hall with a ribbed or saw-toothed metal roof."""
    rng = canvas.rng
    metals: tuple[Colour, ...] = ((92, 130, 168), (196, 198, 200), (150, 160, 166), (172, 92, 76),
                                  (214, 212, 206), (96, 140, 132))  # fmt: skip
    colour = shade(metals[int(rng.integers(len(metals)))], rng.uniform(0.85, 1.08))
    canvas.fill(rectangle(x, y, length, width, angle), Surface.FACTORY, colour, height=9.0)
    teeth = int(max(width // rng.uniform(7, 14), 2))
    down = (np.arange(teeth) + 0.25) / teeth * width - width / 2
    bands = rectangle(0 * down, down, length + 0 * down, width / teeth / 2 + 0 * down, 0.0)
    dim = facing(canvas, angle + np.pi / 2) * rng.uniform(0.8, 0.92)
    canvas.mark(placed(bands, x, y, angle), shade(colour, dim))
    vents = (np.arange(8) + 0.5) / 8 * length - length / 2
    for across in (-width / 4, width / 4) if rng.random() < 0.6 else ():
        dots = rectangle(vents, 0 * vents + across, 2.2 + 0 * vents, 1.6 + 0 * vents, 0.0)
        canvas.mark(placed(dots, x, y, angle), shade(colour, 1.3))


def mobile_home(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A long narrow home with a bright roof and a carport."""
    rng = canvas.rng
    length, width = rng.uniform(15, 19), rng.uniform(4.4, 7.4)
    colour = shade((222, 220, 214), rng.uniform(0.78, 1.1))
    canvas.fill(rectangle(x, y, length, width, angle), Surface.HOME, colour, height=3.5)
    side = placed(rectangle(0.0, width / 4, length, width / 2, 0.0), x, y, angle)
    canvas.mark(side, shade(colour, facing(canvas, angle + np.pi / 2) * 0.92))
    if rng.random() < 0.5:
        port = rectangle(0.2 * length, width / 2 + 1.4, 0.45 * length, 2.6, 0.0)
        canvas.fill(placed(port, x, y, angle), Surface.HOME, shade(colour, 0.8), height=2.5)


def greenhouses(
    canvas: Canvas, x: float, y: float, angle: float, count: int, length: float
) -> None:
    """A row of ``count`` plastic tunnels, each about 8 metres wide."""
    rng, width = canvas.rng, 8.0
    film = mix((214, 220, 224), (170, 186, 178), rng.random())
    down = (np.arange(count) - (count - 1) / 2) * (width + rng.uniform(0.6, 2.5))
    tunnels = rectangle(0 * down, down, length + 0 * down, width + 0 * down, 0.0)
    canvas.fill(placed(tunnels, x, y, angle), Surface.GLASSHOUSE, film, height=3.0)
    for offset, tone in ((-0.32, 0.78), (0.28, 1.1)):
        ribs = rectangle(0 * down, down + offset * width, length + 0 * down, 1.6 + 0 * down, 0.0)
        canvas.mark(placed(ribs, x, y, angle), shade(film, tone * facing(canvas, angle) ** 0.5))
    for place in np.arange(-length / 2 + 4, length / 2, rng.uniform(4, 8)):
        ends = np.array([[place, down[0] - width / 2], [place, down[-1] + width / 2]])
        canvas.line(placed(ends, x, y, angle), 0.4, shade(film, 0.9))


def parking(
    canvas: Canvas, x: float, y: float, length: float, width: float, angle: float, full: float
) -> None:
    """A car park: bays with painted lines, ``full`` (0 to 1) of them taken."""
    rng = canvas.rng
    asphalt = shade(canvas.palette.asphalt, rng.uniform(0.9, 1.1))
    lot = rectangle(x, y, length, width, angle)
    canvas.fill(lot, Surface.ASPHALT, asphalt)
    canvas.zone("parking lot", lot)
    period, bay, deep = 17.0, 2.7, 5.2
    rows = np.arange(deep / 2 + 0.5, width - deep / 2, period / 2)
    # Two rows stand back to back, then an aisle: 5.2 + 5.2 + 6.6 metres.
    rows = np.where(np.arange(len(rows)) % 2 == 0, rows, rows - (period / 2 - deep)) - width / 2
    places = np.arange(bay, length - bay, bay) - length / 2 + bay / 2
    across, down = (field.ravel() for field in np.meshgrid(places, rows))
    for edge in (-0.5, 0.5):
        lines = rectangle(across + edge * bay, down, 0.18 + 0 * down, deep + 0 * down, 0.0)
        canvas.mark(placed(lines, x, y, angle), mix(asphalt, PAINT, 0.7))
    taken = rng.random(len(across)) < full * canvas.busy
    points = placed(np.stack([across, down], axis=1)[taken], x, y, angle)
    points += rng.normal(0, 0.12, points.shape)
    turn = angle + np.pi / 2 + np.pi * rng.integers(0, 2, len(points))
    cars(canvas, points[:, 0], points[:, 1], turn)


def pool(canvas: Canvas, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A swimming pool in its paved rim, rectangular or free in form."""
    rng = canvas.rng
    blue = mix((64, 168, 206), (84, 204, 214), rng.random())
    shape: Points
    if rng.random() < 0.6:
        shape, rim = rectangle(x, y, length, width, angle), 1.8
        border = rectangle(x, y, length + 2 * rim, width + 2 * rim, angle)
    else:
        shape = blob(rng, x, y, 0.42 * np.sqrt(length * width) + 0.6, 0.22)
        border = (shape - [x, y]) * 1.35 + [x, y]
    canvas.fill(border, Surface.ASPHALT, canvas.palette.concrete)
    canvas.fill(shape, Surface.POOL, blue)
    light = shape.mean(axis=0) + (shape - shape.mean(axis=0)) * 0.55
    canvas.mark(light, shade(blue, 0.9))


def station(canvas: Canvas, line_y: float, length: float, angle: float, roofs: int) -> None:
    """Platforms under long roofs between the tracks, and a hall beside them."""
    rng = canvas.rng
    colour = shade((186, 186, 184), rng.uniform(0.75, 1.15))
    for index in range(roofs):
        across, down = rng.uniform(-0.06, 0.06) * length, line_y + index * 14.0
        platform = rectangle(across, down, length, 8.0, 0.0)
        canvas.fill(placed(platform, 0.0, 0.0, angle), Surface.ASPHALT, canvas.palette.concrete)
        cover = placed(rectangle(across, down, 0.72 * length, 6.4, 0.0), 0.0, 0.0, angle)
        canvas.fill(cover, Surface.ROOF, colour, height=5.0)
        ridge = placed(rectangle(across, down + 1.6, 0.72 * length, 3.2, 0.0), 0.0, 0.0, angle)
        canvas.mark(ridge, shade(colour, 0.86))
        for place in np.arange(-0.36, 0.36, 0.06) * length + across:
            ends = np.array([[place, down - 3.2], [place, down + 3.2]])
            canvas.line(placed(ends, 0.0, 0.0, angle), 0.5, shade(colour, 0.75))
        canvas.zone("railway station", placed(platform, 0.0, 0.0, angle))
    hall = np.array([[rng.uniform(-0.1, 0.1) * length, line_y - 22.0]])
    place = placed(hall, 0.0, 0.0, angle)[0]
    block(canvas, place[0], place[1], 0.5 * length, 20.0, angle, 12.0)
    canvas.zone("railway station", rectangle(place[0], place[1], 0.5 * length, 20.0, angle))


def stadium(canvas: Canvas, x: float, y: float, size: float, angle: float) -> None:
    """Stands around an oval; what lies inside is drawn by the caller. ``size`` is its length."""
    rng = canvas.rng
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    power = rng.uniform(0.6, 0.95)
    oval = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    oval = np.sign(oval) * np.abs(oval) ** power * [size / 2, 0.8 * size / 2]
    roof = shade((212, 212, 210), rng.uniform(0.75, 1.1))
    seats = mix(roof, ((170, 60, 50), (60, 90, 160), (150, 150, 150))[int(rng.integers(3))], 0.6)
    canvas.fill(placed(oval, x, y, angle), Surface.ROOF, roof, height=22.0)
    canvas.zone("stadium", placed(oval, x, y, angle))
    canvas.mark(placed(oval * rng.uniform(0.82, 0.92), x, y, angle), seats)
    for ring in (0.9, 0.84, 0.78, 0.72):
        canvas.line(placed(oval * ring, x, y, angle), 0.8, shade(seats, 0.8), closed=True)
    for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        edge = np.array([np.cos(turn), np.sin(turn)])
        edge = np.sign(edge) * np.abs(edge) ** power * [size / 2, 0.4 * size]
        canvas.line(placed(np.stack([edge * 0.68, edge]), x, y, angle), 0.8, shade(roof, 0.8))
    floor = placed(oval * 0.68, x, y, angle)
    canvas.fill(floor, Surface.TURF, shade(canvas.palette.grass, 1.05))
    light = np.arctan2(*(-canvas.sun)[::-1])
    dark = arc(x, y, 0.24 * size, light - 0.9, light + 0.9, 16)
    canvas.line(dark, 0.05 * size, shade(canvas.palette.grass, 0.6))


def fill_with_buildings(canvas: Canvas, angle: float, share: float) -> None:
    """Buildings wherever open ground has room for them; ``share`` (0 to 1) of the plots."""
    rng = canvas.rng
    homes = rng.random() < 0.5
    wide, deep = (24.0, 26.0) if homes else (rng.uniform(38, 60), rng.uniform(34, 50))
    across, down = np.meshgrid(
        np.arange(-canvas.metres, canvas.metres, wide),
        np.arange(-canvas.metres, canvas.metres, deep),
    )
    plots = _near(
        canvas, np.stack([across.ravel(), down.ravel()], axis=1) + rng.uniform(0, 20, 2), angle
    )
    for x, y in plots.tolist():
        if rng.random() > share:
            continue
        length, width = rng.uniform(0.5, 0.72) * wide, rng.uniform(0.42, 0.6) * deep
        outline = rectangle(x, y, length + 4, width + 4, angle)
        inside = rectangle(x, y, length / 2, width / 2, angle)
        near = np.abs(outline).max() > canvas.half
        if not canvas.is_open(inside).all() or not (near or canvas.is_open(outline).all()):
            continue
        if homes:
            house(canvas, x, y, length, width, angle)
        else:
            block(canvas, x, y, length, width, angle, rng.uniform(6, 22))


def _near(canvas: Canvas, points: Points, angle: float) -> Points:
    # Points of the turned scene, those in or near the picture only.
    places = placed(points, 0.0, 0.0, angle)
    near: npt.NDArray[np.bool_] = np.abs(places).max(axis=1) < canvas.half * 1.15
    return places[near]
