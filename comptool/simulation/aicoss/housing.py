"""Scenes of housing: dense and sparse settlements, and parks of mobile homes.

Each function draws one scene on an empty canvas.
"""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.buildings import house, mobile_home, pool
from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.land import bushes, open_ground
from comptool.simulation.aicoss.objects import cars, scatter_trees, traffic, tree_row
from comptool.simulation.aicoss.roads import road, streets, trail
from comptool.simulation.aicoss.shapes import Points, bent, beside, placed, rectangle, strip
from comptool.simulation.aicoss.surfaces import Surface


def dense_residential(canvas: Canvas) -> None:
    """Rows of houses with gardens, drives and now and then a pool."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.4))
    canvas.whole("dense residential area")
    angle, gap = rng.uniform(0, np.pi), rng.uniform(52, 64)
    ways = streets(canvas, angle, gap, 7.5)
    pools = rng.random() < 0.45
    plot = rng.uniform(16, 21)
    for way in ways[:-1]:
        for side in (-1, 1):
            _house_row(canvas, beside(way, side * 16.0), angle, side, plot, pools)
    for way in ways:
        for lane in (-2.6, 2.6):
            traffic(canvas, beside(way, lane), rng.uniform(16, 50))
        tree_row(canvas, beside(way, 7.5), 15.0, 2.6)
    scatter_trees(canvas, int(rng.integers(10, 60)), 2.6)


def _house_row(
    canvas: Canvas, line: Points, angle: float, side: int, plot: float, pools: bool
) -> None:
    rng = canvas.rng
    steps = np.arange(-1.0, 1.0, plot / canvas.metres)
    along = np.interp(steps, np.linspace(-1, 1, len(line)), np.arange(len(line)))
    for place in along:
        x, y = line[int(place)] + (place % 1) * (
            line[min(int(place) + 1, len(line) - 1)] - line[int(place)]
        )
        if max(abs(x), abs(y)) > canvas.half * 1.1 or not _grass(canvas, x, y):
            continue
        drive = placed(rectangle(0.36 * plot, -side * 8.0, 3.4, 12.0, 0.0), x, y, angle)
        canvas.fill(drive, Surface.ASPHALT, canvas.palette.concrete)
        house(canvas, x, y, rng.uniform(0.66, 0.8) * plot, rng.uniform(8.5, 11.5), angle)
        if rng.random() < 0.35:
            spot = placed(np.array([[0.36 * plot, -side * 8.5]]), x, y, angle)
            cars(canvas, spot[:, 0], spot[:, 1], angle + np.pi / 2)
        if pools and rng.random() < 0.4:
            spot = placed(np.array([[rng.uniform(-2, 2), side * 11.0]]), x, y, angle)[0]
            pool(canvas, spot[0], spot[1], rng.uniform(6, 9), rng.uniform(3.2, 4.6), angle)


def _grass(canvas: Canvas, x: float, y: float) -> bool:
    return canvas.at(x, y) in (None, Surface.GRASS, Surface.SOIL)


def sparse_residential(canvas: Canvas) -> None:
    """One to three houses far apart in dry or wooded land, with drives and pools."""
    rng = canvas.rng
    dry = rng.random() < 0.5
    if dry:
        canvas.lay(Surface.SAND, canvas.palette.sand)
        bushes(canvas, canvas.surface == Surface.SAND, rng.uniform(2.5, 4), rng.uniform(0.15, 0.5))
    else:
        open_ground(canvas, rng.uniform(0, 0.5))
    canvas.whole("sparse residential area")
    angle = rng.uniform(0, np.pi)
    ends = placed(
        np.array([[-canvas.metres, 0.32], [canvas.metres, 0.32]]) * [1, canvas.metres],
        0.0,
        0.0,
        angle,
    )
    way = bent(ends[0], ends[1], rng.uniform(-12, 12))
    (road if rng.random() < 0.7 else trail)(canvas, way, 7.0)
    for across in rng.permutation([-0.3, 0.0, 0.3])[: int(rng.integers(1, 4))] * canvas.metres:
        x, y = placed(
            np.array([[across, rng.uniform(-0.25, 0.1) * canvas.metres]]), 0.0, 0.0, angle
        )[0]
        drive = placed(np.array([[across, 0.32 * canvas.metres]]), 0.0, 0.0, angle)[0]
        path = bent(np.array([x, y]), drive, rng.uniform(-6, 6))
        canvas.fill(strip(path, 4.0), Surface.ASPHALT, canvas.palette.concrete)
        if rng.random() < 0.6:
            canvas.disc(x, y, 17.0, Surface.GRASS, canvas.palette.grass)
        turn = angle + rng.normal(0, 0.3)
        house(canvas, x, y, rng.uniform(17, 25), rng.uniform(10, 14), turn)
        if rng.random() < 0.5:
            spot = placed(np.array([[rng.uniform(-6, 6), -13.0]]), x, y, turn)[0]
            pool(canvas, spot[0], spot[1], rng.uniform(9, 12), rng.uniform(4.5, 6), turn)
        if rng.random() < 0.3:
            cars(canvas, np.array([x + 9.0]), np.array([y + 10.0]), turn)
    scatter_trees(canvas, int(rng.integers(5, 60)), 3.0)


def mobile_homes(canvas: Canvas) -> None:
    """Rows of mobile homes, slanted to narrow lanes, each with its car."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.1, 0.8))
    angle, gap = rng.uniform(0, np.pi), rng.uniform(46, 54)
    ways = streets(canvas, angle, gap, 6.0)
    slant, plot = (
        angle + np.pi / 2 + rng.choice([-0.5, 0.5]) * rng.uniform(0, 1),
        rng.uniform(10, 13),
    )
    for way in ways[:-1]:
        for side in (-1, 1):
            for across in np.arange(-canvas.metres, canvas.metres, plot):
                offset = placed(np.array([[across, side * 0.24 * gap]]), 0.0, 0.0, angle)[0]
                x, y = way[len(way) // 2] + offset
                if (
                    max(abs(x), abs(y)) < canvas.half * 1.1
                    and rng.random() < 0.9
                    and _grass(canvas, x, y)
                ):
                    mobile_home(canvas, x, y, slant if side == 1 else 2 * angle - slant)
                    if rng.random() < 0.6:
                        spot = placed(np.array([[across + plot / 2, side * 6.0]]), 0.0, 0.0, angle)
                        spot += way[len(way) // 2]
                        cars(canvas, spot[:, 0], spot[:, 1], slant)
    scatter_trees(canvas, int(rng.integers(5, 60)), 2.4)
