"""Scenes of sport and leisure: courts, diamonds, stadiums, golf, parks and pools.

Each function draws one scene on an empty canvas.
"""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.buildings import (
    block,
    fill_with_buildings,
    house,
    parking,
    pool,
    stadium,
)
from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.land import bunker, crowns, open_ground, paved_ground, waves
from comptool.simulation.aicoss.objects import cars, scatter_trees, traffic
from comptool.simulation.aicoss.roads import road, straight, trail
from comptool.simulation.aicoss.shapes import arc, blob, placed, rectangle, winding
from comptool.simulation.aicoss.sports import (
    COURTS,
    basketball,
    diamond,
    football,
    running_track,
    tennis,
)
from comptool.simulation.aicoss.surfaces import Surface, mix, shade


def _edges(canvas: Canvas, angle: float, away: float) -> None:
    # What borders a sports ground: a street, buildings, trees, a car park.
    rng = canvas.rng
    if rng.random() < 0.6:
        way = straight(canvas, angle, rng.choice([-1, 1]) * away)
        road(canvas, way, 7.5, walks=rng.random() < 0.5)
        traffic(canvas, way, rng.uniform(20, 60))
    if rng.random() < 0.25:
        spot = placed(np.array([[away, 0.0]]), 0.0, 0.0, angle)[0]
        lot = rectangle(spot[0], spot[1], 44.0, 30.0, angle + np.pi / 2)
        if canvas.is_open(lot).any():
            parking(canvas, spot[0], spot[1], 44.0, 27.0, angle + np.pi / 2, 0.6)
    if rng.random() < 0.6:
        fill_with_buildings(canvas, angle, rng.uniform(0.2, 0.8))
    scatter_trees(canvas, int(rng.integers(3, 60)))


def tennis_courts(canvas: Canvas) -> None:
    """One to six tennis courts side by side."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.4))
    angle, columns, rows = rng.uniform(0, np.pi), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    middle = rng.uniform(-12, 12, 2)
    plot = rectangle(middle[0], middle[1], 38.0 * rows + 3, 18.4 * columns + 3, angle)
    canvas.fill(plot, Surface.ASPHALT, canvas.palette.asphalt)
    colours = COURTS[int(rng.integers(len(COURTS)))]
    for row in range(rows):
        for column in range(columns):
            place = np.array([[(row - (rows - 1) / 2) * 38.0, (column - (columns - 1) / 2) * 18.4]])
            x, y = placed(place, middle[0], middle[1], angle)[0]
            tennis(canvas, x, y, angle, colours)
    if rng.random() < 0.25:
        spot = placed(np.array([[0.0, 9.2 * columns + 18]]), middle[0], middle[1], angle)[0]
        pool(canvas, spot[0], spot[1], 20.0, 9.0, angle)
    _edges(canvas, angle, 9.2 * columns + 22)


def basketball_courts(canvas: Canvas) -> None:
    """One to three basketball courts between trees and houses."""
    rng = canvas.rng
    if rng.random() < 0.75:
        open_ground(canvas, rng.uniform(0, 0.5))
    else:
        paved_ground(canvas, canvas.palette.concrete)
    angle, count = rng.uniform(0, np.pi), int(rng.choice([1, 2, 3], p=[0.55, 0.35, 0.1]))
    middle = rng.uniform(-10, 10, 2)
    for index in range(count):
        place = np.array([[0.0, (index - (count - 1) / 2) * 20.0]])
        x, y = placed(place, middle[0], middle[1], angle)[0]
        basketball(canvas, x, y, angle)
    _edges(canvas, angle, 10.0 * count + 16)


def baseball(canvas: Canvas) -> None:
    """A baseball diamond, sometimes two back to back."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.6))
    angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(18, 27)
    x, y = -np.array([np.cos(angle), np.sin(angle)]) * 1.4 * size + rng.uniform(-8, 8, 2)
    diamond(canvas, x, y, angle, size)
    if rng.random() < 0.2:
        diamond(canvas, x - 20 * np.cos(angle), y - 20 * np.sin(angle), angle + np.pi, size)
    _edges(canvas, rng.uniform(0, np.pi), canvas.half * rng.uniform(0.75, 1))


def track_field(canvas: Canvas) -> None:
    """A running track around a football field, with a school beside it."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.6))
    angle, length = rng.uniform(0, np.pi), rng.uniform(100, 178)
    x, y = rng.uniform(-10, 10, 2)
    rim = rectangle(x, y, length * 1.08, 0.6 * length, angle)
    if rng.random() < 0.6:
        canvas.fill(rim, Surface.ASPHALT, canvas.palette.concrete)
    running_track(canvas, x, y, length, angle)
    if rng.random() < 0.55:
        football(canvas, x, y, 0.58 * length, angle)
    if rng.random() < 0.45:
        for across in (-17.0, 17.0):
            spot = placed(np.array([[across, 0.3 * length + 16]]), x, y, angle)[0]
            basketball(canvas, spot[0], spot[1], angle)
    _edges(canvas, angle, 0.3 * length + rng.uniform(12, 30))


def football_fields(canvas: Canvas) -> None:
    """One or two football fields without a track."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.5))
    angle, length, count = rng.uniform(0, np.pi), rng.uniform(80, 110), int(rng.integers(1, 3))
    for index in range(count):
        place = np.array([[0.0, (index - (count - 1) / 2) * 0.72 * length]])
        x, y = placed(place, 0.0, 0.0, angle)[0]
        football(canvas, x, y, length, angle)
    _edges(canvas, angle, 0.38 * length * count + 14)


def arena(canvas: Canvas) -> None:
    """A stadium in its ring of pavement, with car parks, streets and trees."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.6))
    angle, size = rng.uniform(0, np.pi), canvas.metres * rng.uniform(0.55, 0.8)
    x, y = rng.uniform(-0.06, 0.06, 2) * canvas.metres
    turns = arc(0.0, 0.0, 0.5, 0, 2 * np.pi, 48) * [1.28 * size, 1.06 * size]
    canvas.fill(placed(turns, x, y, angle), Surface.ASPHALT, canvas.palette.concrete)
    stadium(canvas, x, y, size, angle)
    if rng.random() < 0.45:
        running_track(canvas, x, y, 0.64 * size, angle)
    football(canvas, x, y, 0.42 * size, angle)
    way = straight(canvas, angle, rng.choice([-1, 1]) * 0.58 * size)
    road(canvas, way, 14.0, lanes=4)
    traffic(canvas, way, 18.0)
    for side in (-1, 1):
        spot = placed(np.array([[side * 0.56 * size, 0.52 * size]]), x, y, angle)[0]
        if rng.random() < 0.6:
            parking(canvas, spot[0], spot[1], 90.0, 44.0, angle, 0.8)
    _edges(canvas, angle, 0.7 * size)


def golf(canvas: Canvas) -> None:
    """A golf course: fairways, greens, bunkers, ponds, woods and cart paths."""
    rng = canvas.rng
    canvas.lay(Surface.GRASS, shade(canvas.palette.grass, 0.86))
    canvas.whole("golf course")
    rough = canvas.noise(canvas.metres / 3)
    crowns(canvas, rough > rng.uniform(0.5, 1.1), rng.uniform(6, 9))
    bright = mix(shade(canvas.palette.grass, 1.3), (128, 176, 92), 0.6)
    for _ in range(int(rng.integers(2, 4))):
        middle, turn = rng.uniform(-0.4, 0.4, 2) * canvas.metres, rng.uniform(0, np.pi)
        fairway = blob(rng, 0.0, 0.0, 0.16 * canvas.metres, 0.2) * [2.2, 0.75]
        canvas.fill(placed(fairway, middle[0], middle[1], turn), Surface.TURF, bright)
        end = placed(np.array([[0.34 * canvas.metres, 0.0]]), middle[0], middle[1], turn)[0]
        canvas.fill(blob(rng, end[0], end[1], 11.0, 0.2), Surface.TURF, shade(bright, 1.16))
        for _ in range(int(rng.integers(1, 5))):
            spot = end + rng.normal(0, 17, 2)
            bunker(canvas, blob(rng, spot[0], spot[1], rng.uniform(4, 9), 0.35))
    if rng.random() < 0.45:
        x, y = rng.uniform(-0.3, 0.3, 2) * canvas.metres
        pond = canvas.mask(blob(rng, x, y, 0.13 * canvas.metres, 0.35))
        waves(canvas, pond, Surface.WATER, canvas.palette.water)
    if rng.random() < 0.8:
        trail(canvas, winding(rng, canvas.metres, 0.15 * canvas.metres, rng.uniform(0, 6)), 3.5)
    scatter_trees(canvas, int(rng.integers(15, 60)), 3.6)
    if rng.random() < 0.2:
        fill_with_buildings(canvas, rng.uniform(0, np.pi), 0.15)


def park(canvas: Canvas) -> None:
    """A city park: winding paths, lawns, trees, a pond, pavilions."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.3))
    canvas.whole("park")
    crowns(canvas, canvas.noise(canvas.metres / 5) > rng.uniform(0, 1), 6.0)
    for _ in range(int(rng.integers(2, 5))):
        turn, sway = rng.uniform(0, np.pi), rng.uniform(0.05, 0.2) * canvas.metres
        line = winding(rng, canvas.metres, sway, turn) + rng.uniform(-0.3, 0.3, 2) * canvas.metres
        trail(canvas, line, rng.uniform(2.4, 4.0))
    if rng.random() < 0.65:
        x, y = rng.uniform(-0.25, 0.25, 2) * canvas.metres
        outline = blob(rng, x, y, rng.uniform(0.13, 0.25) * canvas.metres, 0.4)
        waves(canvas, canvas.mask(outline), Surface.WATER, canvas.palette.water)
        canvas.line(outline, 2.0, canvas.palette.concrete, closed=True)
    if rng.random() < 0.6:
        x, y = rng.uniform(-0.3, 0.3, 2) * canvas.metres
        canvas.disc(x, y, 0.1 * canvas.metres, Surface.ASPHALT, canvas.palette.concrete)
        canvas.disc(x, y, 0.06 * canvas.metres, Surface.GRASS, shade(canvas.palette.grass, 1.1))
        canvas.disc(x, y, 0.02 * canvas.metres, Surface.WATER, (120, 170, 190))
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.4, 0.4, 2) * canvas.metres
        if canvas.at(x, y) in (Surface.GRASS, Surface.SOIL):
            house(canvas, x, y, rng.uniform(10, 22), rng.uniform(8, 12), rng.uniform(0, np.pi))
    if rng.random() < 0.45:
        way = straight(canvas, rng.uniform(0, np.pi), canvas.half * rng.uniform(0.75, 1))
        road(canvas, way, 9.0, walks=True)
        traffic(canvas, way, 20.0)
    scatter_trees(canvas, int(rng.integers(20, 80)), 3.0)


def pools(canvas: Canvas) -> None:
    """A hotel's or a club's swimming pools on a terrace with parasols."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.3))
    angle = rng.uniform(0, np.pi)
    x, y = rng.uniform(-6, 6, 2)
    canvas.fill(
        rectangle(x, y, 58.0, 36.0, angle), Surface.ASPHALT, shade(canvas.palette.concrete, 1.05)
    )
    for across in (-13.0, 13.0) if rng.random() < 0.4 else (0.0,):
        spot = placed(np.array([[across, 0.0]]), x, y, angle)[0]
        pool(canvas, spot[0], spot[1], rng.uniform(14, 24), rng.uniform(8, 13), angle)
    places = placed(rng.uniform(-1, 1, (24, 2)) * [28, 1.5] + [0, 15.5], x, y, angle)
    for across, down in places.tolist():
        canvas.spot(across, down, 1.1, (244, 244, 240))
    spot = placed(np.array([[0.0, -30.0]]), x, y, angle)[0]
    if rng.random() < 0.8:
        block(canvas, spot[0], spot[1], rng.uniform(30, 60), 16.0, angle, 12.0)
    if rng.random() < 0.3:
        spots = placed(rng.uniform(-1, 1, (6, 2)) * [25, 4] + [0, 30.0], x, y, angle)
        cars(canvas, spots[:, 0], spots[:, 1], angle)
    scatter_trees(canvas, int(rng.integers(10, 60)), 2.4)
