"""Scenes at the water: beaches, islands, harbours, container yards and bridges.

Each function draws one scene on an empty canvas.
"""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.buildings import block, parking
from comptool.simulation.aicoss.canvas import Canvas, Floats, Mask
from comptool.simulation.aicoss.country import farmstead
from comptool.simulation.aicoss.land import crowns, open_ground, waves
from comptool.simulation.aicoss.objects import (
    cars,
    containers,
    pier,
    scatter_trees,
    ship,
    traffic,
    wake,
)
from comptool.simulation.aicoss.roads import dashes, lanes_of, road
from comptool.simulation.aicoss.shapes import bent, placed, rectangle, strip
from comptool.simulation.aicoss.surfaces import Surface, mix, shade


def shore(canvas: Canvas, rough: float, level: float) -> tuple[Floats, float]:
    """Distance from a shore line in shares of half the scene, positive on land, and its angle."""
    x, y = canvas.grid()
    turn = canvas.rng.uniform(0, 2 * np.pi)
    away = (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))) / canvas.half
    return away + rough * canvas.noise(canvas.metres / 1.5, 4) - level, turn


def beach(canvas: Canvas) -> None:
    """Sea, surf and sand, then plants or a road with houses."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.4))
    away, turn = shore(canvas, rng.uniform(0.03, 0.12), rng.uniform(-0.3, 0.4))
    wide = rng.uniform(0.2, 0.7)
    canvas.cover(away < wide, Surface.SAND, shade(canvas.palette.sand, 1.06))
    canvas.cover((away < 0.07) & (away > 0), Surface.SAND, shade(canvas.palette.sand, 0.82))
    canvas.zone("beach", (away < wide) & (away > -0.04))
    if rng.random() < 0.6:
        crowns(
            canvas, (away > wide) & (canvas.noise(canvas.metres / 5) > rng.uniform(-0.8, 0.8)), 6.0
        )
    else:
        farmstead(canvas, 6)
        scatter_trees(canvas, int(rng.integers(0, 25)))
    _surf(canvas, away, 0.035)
    if rng.random() < 0.25:
        _boats_at_sea(canvas, turn + np.pi, int(rng.integers(1, 4)))


def _surf(canvas: Canvas, away: Floats, breakers: float) -> None:
    # The sea grows darker away from the shore; the breakers are white lines along it.
    rng = canvas.rng
    waves(canvas, away <= 0, Surface.SEA, canvas.palette.sea)
    shallow = 0.6 * np.clip(1 + away / rng.uniform(0.2, 0.7), 0, 1)[:, :, None]
    tones = canvas.image + shallow * (np.array((112, 178, 176), np.float32) - canvas.image)
    canvas.cover(away <= 0, Surface.SEA, tones)
    broken = away + 0.02 * canvas.noise(canvas.metres / 12, 3)
    widths = rng.uniform(0.004, breakers, 3)
    for line, width in zip((-0.01, -0.1, -0.22), widths, strict=True):
        foam = (np.abs(broken - line) < width) & (away <= 0)
        canvas.cover(foam, Surface.SEA, (226, 234, 234))


def _boats_at_sea(canvas: Canvas, toward: float, count: int) -> None:
    rng = canvas.rng
    for _ in range(count):
        far = canvas.half * rng.uniform(0.4, 0.9)
        x, y = far * np.cos(toward), far * np.sin(toward)
        x, y = np.array([x, y]) + rng.normal(0, 0.2 * canvas.half, 2)
        if canvas.at(x, y) is not Surface.SEA:
            continue
        angle, length = rng.uniform(0, 2 * np.pi), canvas.metres * rng.uniform(0.06, 0.11)
        if rng.random() < 0.6:
            wake(canvas, x, y, length, angle)
        ship(canvas, x, y, length, angle)


def island(canvas: Canvas) -> None:
    """An island in the sea with its rim of sand or rock."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.1, 0.6))
    x, y = canvas.grid()
    middle = rng.uniform(-0.2, 0.2, 2) * canvas.metres
    away = np.hypot(x - middle[0], (y - middle[1]) * rng.uniform(0.8, 1.6)) / canvas.half
    land = rng.uniform(0.25, 0.7) - away + 0.2 * canvas.noise(canvas.metres / 3, 4)
    if rng.random() < 0.85:
        crowns(canvas, canvas.noise(canvas.metres / 4) > rng.uniform(-1.5, 1), canvas.metres / 40)
    rim = rng.uniform(0.01, 0.1)
    surface = Surface.SAND if rng.random() < 0.6 else Surface.ROCK
    canvas.cover(
        land < rim, surface, canvas.palette.sand if surface == Surface.SAND else (120, 112, 100)
    )
    canvas.zone("island", land > 0)
    _surf(canvas, 0.6 * land, 0.014)
    if rng.random() < 0.3:
        _boats_at_sea(canvas, rng.uniform(0, 6), int(rng.integers(1, 3)))


def harbour(canvas: Canvas) -> None:
    """A marina: boats at piers, a quay with road, buildings and car park."""
    rng = canvas.rng
    salt = rng.random() < 0.5
    surface = Surface.SEA if salt else Surface.WATER
    tone = mix(canvas.palette.sea, canvas.palette.water, 0.6)
    waves(canvas, canvas.everywhere(), surface, tone)
    canvas.whole("habor")
    angle, quay = rng.uniform(0, 2 * np.pi), canvas.half * rng.uniform(0.0, 0.55)
    _quay(canvas, angle, quay)
    if rng.random() < 0.3:
        _moored(canvas, angle, quay)
    else:
        _piers(canvas, angle, quay, 0.8 if rng.random() < 0.7 else 0.25)


def _moored(canvas: Canvas, angle: float, quay: float) -> None:
    # Ships that lie along the quay.
    rng = canvas.rng
    across = -canvas.half
    while across < canvas.half:
        length = rng.uniform(14, 26) if rng.random() < 0.6 else rng.uniform(45, 75)
        away = quay - 0.16 * length - 1
        x, y = placed(np.array([[across + length / 2, away]]), 0.0, 0.0, angle)[0]
        if rng.random() < 0.75:
            ship(canvas, x, y, length, angle)
        across += 1.2 * length


def _piers(canvas: Canvas, angle: float, quay: float, full: float) -> None:
    # Piers that reach out from the quay, and boats at ``full`` (0 to 1) of their berths.
    rng = canvas.rng
    reach, gap = canvas.half * rng.uniform(0.6, 1.0), rng.uniform(26, 36)
    for across in np.arange(-canvas.half * 1.3, canvas.half * 1.3, gap):
        x, y = placed(np.array([[across, quay - reach / 2]]), 0.0, 0.0, angle)[0]
        pier(canvas, x, y, reach, angle + np.pi / 2)
        for down in np.arange(quay - reach + 3, quay - 4, 5.4):
            for side in (-1, 1):
                if rng.random() < full:
                    length = rng.uniform(8, 0.4 * gap)
                    berth = np.array([[across + side * (1.8 + length / 2), down]])
                    x, y = placed(berth, 0.0, 0.0, angle)[0]
                    ship(canvas, x, y, length, angle + (0 if rng.random() < 0.7 else np.pi))


def _quay(canvas: Canvas, angle: float, edge: float) -> None:
    # Land beyond ``edge`` metres down the turned scene.
    rng, span = canvas.rng, 1.5 * canvas.metres
    land = placed(rectangle(0.0, edge + span / 2, 2 * span, span, 0.0), 0.0, 0.0, angle)
    inland = placed(rectangle(0.0, edge + 9 + span / 2, 2 * span, span, 0.0), 0.0, 0.0, angle)
    canvas.fill(land, Surface.ASPHALT, canvas.palette.concrete, height=2.0)
    green = rng.random() < 0.6
    canvas.fill(
        inland,
        Surface.GRASS if green else Surface.SOIL,
        canvas.palette.grass if green else canvas.palette.soil,
    )
    way = placed(np.array([[-span, edge + 14.0], [span, edge + 14.0]]), 0.0, 0.0, angle)
    road(canvas, bent(way[0], way[1], 0.0), 8.0)
    traffic(canvas, bent(way[0], way[1], 0.0), 28.0)
    for across in np.arange(-canvas.half, canvas.half, 42.0) + rng.uniform(0, 20):
        x, y = placed(np.array([[across, edge + 36.0]]), 0.0, 0.0, angle)[0]
        kind = rng.random()
        if kind < 0.4:
            block(canvas, x, y, rng.uniform(18, 36), rng.uniform(12, 22), angle, 8.0)
        elif kind < 0.6:
            parking(canvas, x, y, 36.0, 34.0, angle, 0.6)
    scatter_trees(canvas, 12)


def container_yard(canvas: Canvas) -> None:
    """Blocks of containers on a paved yard, sometimes at a quay with a freighter."""
    rng = canvas.rng
    yard = mix(canvas.palette.asphalt, canvas.palette.concrete, rng.uniform(0, 0.7))
    canvas.lay(Surface.ASPHALT, yard)
    angle = rng.uniform(0, np.pi)
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(4, 9))
    wide, deep = 12.8 * columns + rng.uniform(7, 12), 2.6 * rows + rng.uniform(6, 12)
    for across in np.arange(-canvas.half * 1.5, canvas.half * 1.5, wide):
        for down in np.arange(-canvas.half * 1.5, canvas.half * 1.5, deep):
            if rng.random() < 0.85:
                x, y = placed(np.array([[across, down]]), 0.0, 0.0, angle)[0]
                containers(canvas, x, y, angle, rows, columns)
    lanes = np.arange(-canvas.half * 1.5, canvas.half * 1.5, wide) + wide / 2
    for across in lanes:
        lane = placed(
            np.array([[across, -canvas.metres], [across, canvas.metres]]), 0.0, 0.0, angle
        )
        dashes(canvas, bent(lane[0], lane[1], 0.0), (206, 180, 90))
        if rng.random() < 0.5:
            x, y = placed(np.array([[across, rng.uniform(-1, 1) * canvas.half]]), 0.0, 0.0, angle)[
                0
            ]
            cars(canvas, np.array([x]), np.array([y]), angle + np.pi / 2, 9.0)
    if rng.random() < 0.25:
        edge = canvas.half * rng.uniform(0.3, 0.7)
        sea = placed(
            rectangle(0.0, edge + canvas.metres, 4 * canvas.metres, 2 * canvas.metres, 0.0),
            0.0,
            0.0,
            angle,
        )
        waves(canvas, canvas.mask(sea), Surface.SEA, canvas.palette.sea)
        x, y = placed(np.array([[rng.uniform(-10, 10), edge + 14.0]]), 0.0, 0.0, angle)[0]
        ship(canvas, x, y, rng.uniform(90, 140), angle)


def bridge(canvas: Canvas) -> None:
    """A road bridge over a river or an arm of the sea."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.1, 0.6))
    turn = rng.uniform(0, np.pi)
    stream = placed(np.array([[-canvas.metres, 0.0], [canvas.metres, 0.0]]), 0.0, 0.0, turn)
    stream = bent(stream[0], stream[1], rng.uniform(-0.1, 0.1) * canvas.metres)
    wide = rng.uniform(0.35, 0.7) * canvas.metres
    away = canvas.distance_to(stream) + 0.03 * wide * canvas.noise(canvas.metres / 4, 4)
    salt = rng.random() < 0.3
    canvas.cover(away < 0.56 * wide, Surface.SOIL, canvas.palette.soil)
    if rng.random() < 0.6:
        grove = (away > 0.56 * wide) & (canvas.noise(canvas.metres / 4) > 0.5)
        crowns(canvas, grove, 6.5)
    scatter_trees(canvas, 25)
    surface = Surface.SEA if salt else Surface.WATER
    waves(canvas, away < wide / 2, surface, canvas.palette.sea if salt else canvas.palette.water)
    if not salt:
        canvas.zone("river", away < wide / 2)
    if rng.random() < 0.25:
        x = rng.uniform(-0.35, 0.35) * canvas.metres
        if away[canvas.side // 2, canvas.side // 2] < 0.3 * wide:
            ship(canvas, x * np.cos(turn), x * np.sin(turn), rng.uniform(12, 22), turn)
    farmstead(canvas, int(rng.integers(0, 6)))
    _deck(canvas, turn + np.pi / 2 + rng.normal(0, 0.12), away < wide / 2)


def _deck(canvas: Canvas, angle: float, water: Mask) -> None:
    rng = canvas.rng
    ends = placed(np.array([[-canvas.metres, 0.0], [canvas.metres, 0.0]]), 0.0, 0.0, angle)
    line, lanes = bent(ends[0], ends[1], 0.0), int(rng.integers(1, 4))
    width = 7.4 * lanes + 3
    deck = strip(line, width + 3)
    fall = canvas.sun * 9
    under = canvas.mask(deck + fall) & water
    canvas.fill(deck, Surface.ROAD, shade(canvas.palette.concrete, 1.02))
    canvas.shadow[under] = 255
    canvas.shadow[canvas.mask(deck)] = 0
    road(canvas, line, width, lanes=2 * lanes)
    canvas.zone("bridge", canvas.mask(deck) & water)
    for lane in lanes_of(line, lanes, -3.0):
        traffic(canvas, lane, rng.uniform(18, 60))


def shipping(canvas: Canvas) -> None:
    """Ships on open water."""
    rng = canvas.rng
    waves(canvas, canvas.everywhere(), Surface.SEA, canvas.palette.sea)
    for side in rng.permutation([-1, 1])[: int(rng.integers(1, 3))]:
        x, y = rng.uniform(-0.3, 0.3, 2) * canvas.metres * [1, 0.4] + [0, side * canvas.metres / 4]
        angle, length = rng.normal(0, 0.4), rng.uniform(45, 100)
        if rng.random() < 0.7:
            wake(canvas, x, y, length, angle)
        ship(canvas, x, y, length, angle)
