"""Scenes of the country: fields, meadows, lakes, rivers, greenhouses, turbines and power lines.

Each function draws one scene on an empty canvas.
"""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.buildings import greenhouses, house
from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.land import (
    bushes,
    crowns,
    farmland,
    highlands,
    open_ground,
    rows_of_crop,
    still_water,
    wood,
)
from comptool.simulation.aicoss.objects import pylon, scatter_trees, tree_row, turbine
from comptool.simulation.aicoss.roads import crossing, road, trail
from comptool.simulation.aicoss.shapes import bent, beside, placed, rectangle, strip, winding
from comptool.simulation.aicoss.surfaces import Surface


def farmstead(canvas: Canvas, count: int) -> None:
    """A few houses close together on open ground."""
    rng = canvas.rng
    middle, angle = rng.uniform(-0.35, 0.35, 2) * canvas.metres, rng.uniform(0, np.pi)
    for _ in range(count):
        x, y = middle + rng.normal(0, 14, 2)
        if canvas.is_open(rectangle(x, y, 18.0, 14.0, angle)).all():
            house(canvas, x, y, rng.uniform(11, 20), rng.uniform(8, 11), angle)


def fields(canvas: Canvas) -> None:
    """Farmland: parcels, trails between them, trees and sometimes a farm."""
    rng = canvas.rng
    angle = rng.uniform(0, np.pi)
    farmland(canvas, canvas.metres * rng.uniform(0.2, 0.7), angle)
    if rng.random() < 0.35:
        open_land = canvas.noise(canvas.metres / 2) > rng.uniform(0.3, 1)
        surface = Surface.GRASS if rng.random() < 0.6 else Surface.SOIL
        colour = canvas.palette.grass if surface == Surface.GRASS else canvas.palette.soil
        canvas.cover(open_land, surface, colour)
    if rng.random() < 0.7:
        trail(canvas, crossing(canvas, 0.05), rng.uniform(3, 6))
    if rng.random() < 0.2:
        road(canvas, crossing(canvas, 0.1), 9.0)
    if rng.random() < 0.3:
        middle = rng.uniform(-0.3, 0.3, 2) * canvas.metres
        yard = rectangle(middle[0], middle[1], 60.0, 44.0, angle)
        canvas.fill(yard, Surface.GRASS, canvas.palette.grass)
        for offset in (-14.0, 14.0):
            spot = placed(np.array([[offset, 0.0]]), middle[0], middle[1], angle)[0]
            house(canvas, spot[0], spot[1], 19.0, 11.0, angle)
    _hedges(canvas, int(rng.integers(0, 3)))
    if rng.random() < 0.3:
        wood(canvas, canvas.noise(canvas.metres / 2) > 1.3)


def _hedges(canvas: Canvas, count: int) -> None:
    # Rows of trees in the crop, which is no open ground: each stands on a strip of grass.
    for _ in range(count):
        line = crossing(canvas, 0.03)
        canvas.line(line, 5.0, canvas.palette.grass)
        crown = canvas.mask(strip(line, 5.0))
        ragged = canvas.noise(9.0, 2) > -0.4
        crowns(canvas, crown & ragged, 5.0)


def grassland(canvas: Canvas) -> None:
    """A meadow, bare here and there, with trees, trails and now and then a house."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.5))
    if rng.random() < 0.45:
        way = crossing(canvas)
        trail(canvas, way, rng.uniform(2.5, 4.5))
        if rng.random() < 0.4:
            tree_row(canvas, beside(way, 7.0), 9.0, 3.2)
    if rng.random() < 0.3:
        road(canvas, crossing(canvas), rng.uniform(6, 9))
    if rng.random() < 0.35:
        farmstead(canvas, int(rng.integers(1, 4)))
    scatter_trees(canvas, int(rng.integers(0, 45)), rng.uniform(2.5, 4))


def lake(canvas: Canvas) -> None:
    """A lake within the picture, its banks bare, grown with reeds or wooded."""
    rng = canvas.rng
    if rng.random() < 0.3:
        highlands(canvas)
        canvas.whole("mountain")
    else:
        open_ground(canvas, rng.uniform(0.2, 0.8))
    x, y = canvas.grid()
    middle = rng.uniform(-0.15, 0.15, 2) * canvas.metres
    away = np.hypot(x - middle[0], y - middle[1]) / canvas.half
    depth = rng.uniform(0.55, 0.9) - away + 0.22 * canvas.noise(canvas.metres / 2.5, 4)
    canvas.cover(depth > -rng.uniform(0.02, 0.2), Surface.SOIL, canvas.palette.soil)
    if rng.random() < 0.4:
        crowns(
            canvas, (depth < -0.12) & (canvas.noise(canvas.metres / 4) > 0.3), canvas.metres / 40
        )
    still_water(canvas, depth > 0, "lake")


def river(canvas: Canvas) -> None:
    """A winding river with sand banks between fields, woods and now and then houses."""
    rng = canvas.rng
    if rng.random() < 0.6:
        farmland(canvas, canvas.metres * rng.uniform(0.15, 0.4), rng.uniform(0, np.pi))
    else:
        open_ground(canvas, rng.uniform(0.2, 0.6))
    line = winding(rng, canvas.metres, rng.uniform(0.05, 0.22) * canvas.metres, rng.uniform(0, 6))
    wide = rng.uniform(0.1, 0.3) * canvas.metres
    away = canvas.distance_to(line) + 0.09 * wide * canvas.noise(canvas.metres / 6, 4)
    green = (away < 0.95 * wide) & (canvas.noise(canvas.metres / 5) > -0.6)
    canvas.cover(green, Surface.GRASS, canvas.palette.grass)
    bank = 0.5 * wide * (1 + 0.5 * np.maximum(canvas.noise(canvas.metres / 3), 0))
    sandy = Surface.SAND if rng.random() < 0.6 else Surface.SOIL
    canvas.cover(
        away < bank, sandy, canvas.palette.sand if sandy == Surface.SAND else canvas.palette.soil
    )
    if rng.random() < 0.6:
        crowns(canvas, (away > bank) & (canvas.noise(canvas.metres / 6) > 0.9), canvas.metres / 40)
    still_water(canvas, away < 0.42 * wide, "river")
    if rng.random() < 0.15:
        farmstead(canvas, 3)


def greenhouse(canvas: Canvas) -> None:
    """Rows of plastic tunnels among fields."""
    rng = canvas.rng
    angle = rng.uniform(0, np.pi)
    farmland(canvas, canvas.metres * rng.uniform(0.25, 0.5), angle)
    if rng.random() < 0.4:
        canvas.cover(canvas.noise(canvas.metres / 2) > 0.5, Surface.SOIL, canvas.palette.soil)
    turn = angle + np.pi / 2
    lane = placed(np.array([[-120.0, 0.0], [120.0, 0.0]]), 0.0, 0.0, turn)
    trail(canvas, bent(lane[0], lane[1], 0.0), rng.uniform(3, 5))
    for row in (-0.5, 0.5) if rng.random() < 0.6 else (0.5,):
        middle = placed(np.array([[row * 74.0, rng.uniform(-15, 15)]]), 0.0, 0.0, angle)[0]
        greenhouses(
            canvas, middle[0], middle[1], angle, int(rng.integers(3, 10)), rng.uniform(45, 64)
        )
    if rng.random() < 0.3:
        canvas.fill(rectangle(30.0, 30.0, 40.0, 30.0, angle), Surface.GRASS, canvas.palette.grass)
        farmstead(canvas, 6)
        scatter_trees(canvas, 40)


def turbines(canvas: Canvas) -> None:
    """One or two wind turbines on a ridge, each on its pad at a gravel track."""
    rng = canvas.rng
    if rng.random() < 0.4:
        farmland(canvas, canvas.metres * rng.uniform(0.4, 0.8), rng.uniform(0, np.pi))
    else:
        open_ground(canvas, rng.uniform(0.1, 0.8))
    if rng.random() < 0.25:
        bushes(canvas, canvas.surface == Surface.SOIL, 4.0, 0.3)
    x, y = rng.uniform(-0.2, 0.2, 2) * canvas.metres
    way = bent(np.array([x, y]), rng.choice([-1, 1], 2) * canvas.metres * 0.7, 12.0)
    trail(canvas, way, rng.uniform(4, 6))
    canvas.fill(
        rectangle(x + 6, y, 30.0, 20.0, rng.uniform(0, 3)), Surface.SOIL, canvas.palette.soil
    )
    turbine(canvas, x, y, rng.uniform(26, 36))
    scatter_trees(canvas, int(rng.integers(0, 12)))


def power_line(canvas: Canvas) -> None:
    """A lattice tower with its wires over grass, soil or woods."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.1, 0.8))
    if rng.random() < 0.3:
        wood(canvas, canvas.noise(canvas.metres / 2) > rng.uniform(-0.3, 0.6))
    if rng.random() < 0.25:
        rows_of_crop(
            canvas, canvas.noise(canvas.metres / 1.5) > 0, rng.uniform(0, 3), canvas.palette.soil
        )
    scatter_trees(canvas, int(rng.integers(0, 30)))
    if rng.random() < 0.25:
        trail(canvas, crossing(canvas), 3.5)
    x, y = rng.uniform(-0.22, 0.22, 2) * canvas.metres
    angle, size = rng.uniform(0, np.pi), rng.uniform(15, 22)
    canvas.fill(rectangle(x, y, 0.7 * size, 0.7 * size, angle), Surface.SOIL, canvas.palette.soil)
    pylon(canvas, x, y, size, angle)
    for reach in (-0.5, 0.0, 0.5):
        ends = np.array([[-canvas.metres, reach * size], [canvas.metres, reach * size]])
        canvas.line(placed(ends, x, y, angle), 0.15, (176, 178, 180))
