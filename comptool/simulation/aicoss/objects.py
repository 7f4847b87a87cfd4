"""Single things: cars, trees, ships, airplanes, tanks, containers, turbines, towers.

Sizes are those of the real things, in metres. Letters: n things.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.shapes import (
    Points,
    arc,
    length_of,
    placed,
    rectangle,
    stations,
)
from comptool.simulation.aicoss.surfaces import Colour, Surface, mix, shade

PAINTS: tuple[Colour, ...] = (
    (232, 232, 230), (196, 198, 200), (120, 124, 128), (46, 48, 52),
    (28, 28, 30), (150, 40, 36), (48, 72, 120), (172, 164, 140),
)  # fmt: skip
PAINT_SHARES = (0.27, 0.17, 0.14, 0.13, 0.11, 0.07, 0.07, 0.04)
GLASS: Colour = (44, 50, 58)
BOXES: tuple[Colour, ...] = (
    (170, 70, 50), (50, 90, 140), (190, 190, 186), (60, 120, 90), (200, 140, 60),
    (120, 60, 50), (90, 110, 130), (208, 204, 196),
)  # fmt: skip
# Half of an airliner's outline, nose first, in shares of its length; the other half is mirrored.
JET = np.array(
    [
        [0.5, 0.0], [0.46, 0.03], [0.4, 0.05], [0.14, 0.05], [-0.12, 0.44], [-0.19, 0.44],
        [-0.09, 0.05], [-0.34, 0.04], [-0.46, 0.17], [-0.5, 0.17], [-0.46, 0.0],
    ]
)  # fmt: skip
PROPELLER = np.array(
    [
        [0.5, 0.0], [0.44, 0.06], [0.26, 0.07], [0.24, 0.62], [0.04, 0.62], [0.02, 0.06],
        [-0.34, 0.04], [-0.36, 0.2], [-0.48, 0.2], [-0.5, 0.0],
    ]
)  # fmt: skip
HULL = np.array([[0.5, 0], [0.34, 0.36], [0.1, 0.5], [-0.44, 0.48], [-0.5, 0.3]])


def mirrored(half: Points) -> Points:
    """A closed outline from the half of it on one side of the x axis."""
    return np.concatenate([half, half[::-1] * [1, -1]])


def cars(canvas: Canvas, x: Points, y: Points, angle: Points | float, length: float = 4.6) -> None:
    """Cars of shape (n,) at x, y; a few are vans or trucks."""
    rng, count = canvas.rng, len(x)
    if not count:
        return
    angle = np.broadcast_to(angle, count) + rng.normal(0, 0.02, count)
    long = length * rng.uniform(0.88, 1.12, count)
    wide = long * rng.uniform(0.38, 0.44, count)
    paint = rng.choice(len(PAINTS), count, p=PAINT_SHARES)
    body = rectangle(x, y, long, wide, angle)
    screen = placed(rectangle(0.17 * long, 0.0 * long, 0.13 * long, 0.8 * wide, 0.0), x, y, angle)
    rear = placed(rectangle(-0.3 * long, 0.0 * long, 0.09 * long, 0.76 * wide, 0.0), x, y, angle)
    for index in np.unique(paint):
        canvas.fill(body[paint == index], Surface.CAR, PAINTS[index], height=1.5)
    canvas.mark(np.concatenate([screen, rear]), GLASS)


def traffic(canvas: Canvas, line: Points, gap: float, length: float = 4.6) -> None:
    """Cars along a line, about ``gap`` metres from one to the next."""
    whole = length_of(line)
    count = int(canvas.rng.poisson(canvas.busy * whole / gap))
    places = np.sort(canvas.rng.uniform(0, whole, count))
    places = places[np.diff(places, prepend=-99.0) > 1.6 * length]
    points, angle = stations(line, places)
    cars(canvas, points[:, 0], points[:, 1], angle, length)


def trees(canvas: Canvas, points: Points, radius: npt.NDArray[np.floating] | float) -> None:
    """Trees at points of shape (n, 2)."""
    rng, count = canvas.rng, len(points)
    radii = np.broadcast_to(radius, count) * rng.uniform(0.75, 1.25, count)
    tints = rng.normal(1, 0.12, count)
    glint = -canvas.sun / np.hypot(*canvas.sun)
    for (x, y), size, tint in zip(points.tolist(), radii.tolist(), tints.tolist(), strict=True):
        dark = shade(canvas.palette.crown, 0.72 * tint)
        canvas.disc(x, y, size, Surface.CROWN, dark, height=1.1 * size)
        near = (x + 0.25 * size * glint[0], y + 0.25 * size * glint[1])
        canvas.spot(*near, 0.68 * size, shade(canvas.palette.crown, 1.12 * tint))
        if size > 4 * canvas.pixel:
            for _ in range(3):
                dot = rng.uniform(-0.5, 0.5, 2) * size
                tone = shade(canvas.palette.crown, tint * rng.uniform(0.75, 1.45))
                canvas.spot(near[0] + dot[0], near[1] + dot[1], 0.3 * size, tone)


def scatter_trees(canvas: Canvas, count: int, radius: float = 3.2) -> None:
    """Up to ``count`` trees wherever there is open ground, some of them in groups."""
    rng = canvas.rng
    points = rng.uniform(-canvas.half, canvas.half, (count, 2))
    follow = rng.random(count) < 0.4
    follow[:1] = False
    leader = np.maximum.accumulate(np.where(follow, 0, np.arange(count)))
    points = points[leader] + follow[:, None] * rng.normal(0, 2.2 * radius, (count, 2))
    trees(canvas, points[canvas.is_open(points)], radius)


def pier(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """A landing stage of boards, 2.6 metres wide."""
    boards = mix((190, 180, 164), (150, 140, 126), canvas.rng.random())
    canvas.fill(rectangle(x, y, length, 2.6, angle), Surface.PIER, boards, height=1.5)


def tree_row(canvas: Canvas, line: Points, spacing: float, radius: float) -> None:
    """Trees along a line, where there is open ground."""
    places = np.arange(canvas.rng.uniform(0, spacing), length_of(line), spacing)
    points = stations(line, places)[0]
    points += canvas.rng.normal(0, 0.12 * spacing, points.shape)
    trees(canvas, points[canvas.is_open(points)], radius)


def ship(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """A boat, or from 40 metres on a freighter."""
    rng = canvas.rng
    large = length > 40
    wide = length * (rng.uniform(0.14, 0.18) if large else rng.uniform(0.26, 0.34))
    hull = mirrored(HULL) * [length, wide]
    body: Colour = ((132, 60, 50), (56, 66, 84), (40, 44, 48))[int(rng.integers(3))]
    body = body if large else PAINTS[int(rng.integers(2))]
    canvas.fill(placed(hull, x, y, angle), Surface.SHIP, body, height=4.0 if large else 1.5)
    deck = shade((170, 150, 130), rng.uniform(0.8, 1.2)) if large else shade(body, 0.85)
    canvas.mark(placed(hull * [0.9, 0.72], x, y, angle), deck)
    cabin = rectangle(-0.36 if large else -0.05, 0.0, 0.16 if large else 0.34, 0.6, 0.0)
    canvas.mark(placed(cabin * [length, wide], x, y, angle), (238, 238, 236))
    if large:
        count = int(rng.integers(4, 9))
        places = np.linspace(-0.2, 0.34, count)
        holds = rectangle(places, 0 * places, 0.4 / count + 0 * places, 0.5 + 0 * places, 0.0)
        for hold in holds * [length, wide]:
            canvas.mark(placed(hold, x, y, angle), BOXES[int(rng.integers(len(BOXES)))])
    elif rng.random() < 0.7:
        canvas.mark(
            placed(rectangle(0.08, 0.0, 0.1, 0.5, 0.0) * [length, wide], x, y, angle), GLASS
        )


def wake(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """Foam behind a ship under way."""
    tail = np.array([[-0.4, 0.06], [-1.5, 0.2], [-1.5, 0.1], [-0.9, 0], [-1.5, -0.1], [-1.5, -0.2],
                     [-0.4, -0.06]])  # fmt: skip
    foam = mix(canvas.palette.sea, (240, 244, 244), 0.4)
    canvas.mark(placed(tail * length, x, y, angle), foam)


def airplane(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """An airliner, or below 16 metres a light airplane with a propeller."""
    rng = canvas.rng
    light = length < 16
    outline = mirrored(PROPELLER if light else JET) * length
    paint = shade((240, 240, 240), rng.uniform(0.8, 1.05))
    step = canvas.sun * (2.0 if light else 4.5)
    shadow = canvas.pixels(placed(outline, x + step[0], y + step[1], angle))
    cv2.fillPoly(canvas.shadow, [shadow], 255, cv2.LINE_8, 4)
    cv2.fillPoly(canvas.shadow, [canvas.pixels(placed(outline, x, y, angle))], 0, cv2.LINE_8, 4)
    canvas.fill(placed(outline, x, y, angle), Surface.AIRPLANE, paint)
    livery = PAINTS[int(rng.integers(3, len(PAINTS)))]
    tail = rectangle(-0.43 * length, 0.0, 0.12 * length, 0.035 * length, 0.0)
    canvas.mark(placed(tail, x, y, angle), livery)
    if not light:
        engines = rectangle(
            np.array([0.06, 0.06]) * length, np.array([-0.17, 0.17]) * length,
            np.array([0.1, 0.1]) * length, np.array([0.045, 0.045]) * length, 0.0,
        )  # fmt: skip
        canvas.mark(placed(engines, x, y, angle), (120, 124, 130))


def tank(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """A round storage tank with its bund, roof and stairs."""
    rng = canvas.rng
    base = ((226, 226, 222), (206, 208, 206), (190, 186, 176), (170, 176, 180))
    paint = base[int(rng.integers(len(base)))]
    canvas.disc(
        x, y, radius, Surface.TANK, shade(paint, 0.84), height=rng.uniform(0.6, 1.1) * radius
    )
    canvas.spot(x, y, 0.93 * radius, paint)
    if rng.random() < 0.5:
        canvas.spot(x, y, 0.8 * radius, shade(paint, 0.88))
    light = np.arctan2(-canvas.sun[1], -canvas.sun[0])
    canvas.line(arc(x, y, 0.9 * radius, light - 1, light + 1, 12), 0.08 * radius, (250, 250, 248))
    canvas.spot(x, y, 0.1 * radius, shade(paint, 0.6))
    turn = rng.uniform(0, 2 * np.pi)
    end = [x + radius * np.cos(turn), y + radius * np.sin(turn)]
    canvas.line(np.array([[x, y], end]), 0.8, shade(paint, 0.66))


def containers(canvas: Canvas, x: float, y: float, angle: float, rows: int, columns: int) -> None:
    """A block of stacked containers, rows abreast; each is 12.2 by 2.44 metres."""
    rng = canvas.rng
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    kept = rng.random(column.shape) < 0.93
    across = (column[kept] - (columns - 1) / 2) * 12.8
    down = (row[kept] - (rows - 1) / 2) * 2.6
    paints = rng.choice(len(BOXES), len(across))
    runs = rng.random(len(across)) < 0.5
    paints[1:] = np.where(runs[1:], paints[:-1], paints[1:])
    boxes = placed(rectangle(across, down, 12.2, 2.44, 0.0), x, y, angle)
    for index in np.unique(paints):
        tone = shade(BOXES[index], rng.uniform(0.85, 1.1))
        canvas.fill(boxes[paints == index], Surface.CONTAINER, tone, height=5.2)


def turbine(canvas: Canvas, x: float, y: float, blade: float) -> None:
    """A wind turbine with its pad and the long shadow of tower and rotor."""
    rng = canvas.rng
    hub = np.array([x, y])
    fall = canvas.sun * blade * 1.6
    turn, white = rng.uniform(0, 2 * np.pi), (244, 244, 244)
    turns = turn + np.array([0, 2, 4]) * np.pi / 3
    # The rotor faces the wind, so its shadow is a narrowed star.
    spread = np.array([1.0, rng.uniform(0.35, 0.8)])
    for angle in turns:
        tip = np.array([np.cos(angle), np.sin(angle)])
        ends = np.stack([hub + fall, hub + fall + tip * spread * blade])
        _dark_line(canvas, ends, 0.06 * blade)
    _dark_line(canvas, np.stack([hub, hub + fall]), 0.07 * blade)
    for angle in turns:
        shape = np.array([[0, 0.045], [0.3, 0.07], [1, 0.012], [1, -0.012], [0, -0.045]]) * blade
        canvas.fill(placed(shape, x, y, angle), Surface.TURBINE, white)
    canvas.disc(x, y, 0.085 * blade, Surface.TURBINE, (226, 228, 230))


def _dark_line(canvas: Canvas, points: Points, width: float) -> None:
    thick = max(1, round(width / canvas.pixel))
    cv2.polylines(canvas.shadow, [canvas.pixels(points)], False, 255, thick, cv2.LINE_8, 4)


def pylon(canvas: Canvas, x: float, y: float, size: float, angle: float) -> None:
    """A lattice tower seen from above, its arms across the line, with its shadow."""
    steel, height = shade((196, 198, 200), canvas.rng.uniform(0.8, 1.15)), 2.4 * size
    base = rectangle(x, y, 0.62 * size, 0.62 * size, angle)
    fall = canvas.sun * height
    for corner in base:
        _dark_line(canvas, np.stack([corner, [x + fall[0], y + fall[1]]]), 0.6)
    for share in (0.55, 0.75, 0.92):
        arm = placed(
            np.array([[0, -0.55], [0, 0.55]]) * size * (1.3 - 0.5 * share), 0.0, 0.0, angle
        )
        _dark_line(canvas, arm + [x, y] + fall * share, 0.8)
    bars = [base[[0, 2]], base[[1, 3]], base[[0, 1]], base[[1, 2]], base[[2, 3]], base[[3, 0]]]
    for bar in bars:
        _steel_line(canvas, bar, 0.06 * size, steel)
    for reach in (-0.22, 0.0, 0.22):
        arm = np.array([[reach, -0.72 + abs(reach)], [reach, 0.72 - abs(reach)]]) * size
        _steel_line(canvas, placed(arm, x, y, angle), 0.08 * size, shade(steel, 1.15))


def _steel_line(canvas: Canvas, points: Points, width: float, colour: Colour) -> None:
    canvas.line(points, width, colour)
    thick = max(1, round(width / canvas.pixel))
    outline = [canvas.pixels(points)]
    cv2.polylines(canvas.surface, outline, False, int(Surface.PYLON), thick, cv2.LINE_8, 4)
