"""Scenes of work and trade: shops and offices, factories, car parks, tank farms.

Each function draws one scene on an empty canvas.
"""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.buildings import block, factory, fill_with_buildings, parking
from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.land import open_ground, paved_ground
from comptool.simulation.aicoss.objects import cars, scatter_trees, tank, traffic, tree_row, trees
from comptool.simulation.aicoss.roads import road, streets
from comptool.simulation.aicoss.shapes import (
    Points,
    bent,
    beside,
    length_of,
    placed,
    rectangle,
    stations,
)
from comptool.simulation.aicoss.surfaces import Surface, mix, shade


def commercial(canvas: Canvas) -> None:
    """Large flat roofs close together, streets, cars and car parks."""
    rng = canvas.rng
    paved_ground(canvas, mix(canvas.palette.asphalt, canvas.palette.concrete, rng.uniform(0.3, 1)))
    angle, gap = rng.uniform(0, np.pi), rng.uniform(55, 75)
    ways = streets(canvas, angle, gap, 11.0)
    cells = np.arange(-canvas.metres, canvas.metres, rng.uniform(34, 50))
    taken = canvas.mask(rectangle(0.0, 0.0, 0.1, 0.1, 0.0))
    taken |= canvas.surface == Surface.ROAD
    for way in ways[:-1]:
        for across in cells:
            for side in (-1, 1):
                middle = (
                    way[len(way) // 2]
                    + placed(np.array([[across, side * gap / 4 + side * 2]]), 0.0, 0.0, angle)[0]
                )
                length, width = rng.uniform(24, 38), gap / 2 - 14
                plot = rectangle(middle[0], middle[1], length, width, angle)
                if np.abs(middle).max() > canvas.half * 1.2 or (canvas.mask(plot) & taken).any():
                    continue
                if rng.random() < 0.14:
                    parking(canvas, middle[0], middle[1], length, width, angle, 0.7)
                else:
                    block(canvas, middle[0], middle[1], length, width, angle, rng.uniform(8, 32))
                taken |= canvas.mask(plot)
    for way in ways:
        for lane in (-2.8, 2.8):
            traffic(canvas, beside(way, lane), rng.uniform(12, 30))
        if rng.random() < 0.6:
            _street_trees(canvas, beside(way, 7.6))


def _street_trees(canvas: Canvas, line: Points) -> None:
    points = stations(line, np.arange(0.0, length_of(line), 11.0))[0]
    trees(canvas, points[np.abs(points).max(axis=1) < canvas.half], 2.3)


def industrial(canvas: Canvas) -> None:
    """Halls with ribbed roofs on paved yards, with lorries."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.2, 0.9))
    angle = rng.uniform(0, np.pi)
    x, y = rng.uniform(-20, 20, 2)
    yard = rectangle(x, y, canvas.metres * rng.uniform(0.8, 1.4), canvas.metres * 0.8, angle)
    canvas.fill(
        yard, Surface.ASPHALT, mix(canvas.palette.asphalt, canvas.palette.concrete, rng.random())
    )
    wide, deep = rng.uniform(60, 90), rng.uniform(38, 60)
    for across in np.arange(-canvas.half * 1.3, canvas.half * 1.3, wide):
        for down in np.arange(-canvas.half * 1.3, canvas.half * 1.3, deep):
            x, y = placed(np.array([[across + rng.uniform(-4, 4), down]]), 0.0, 0.0, angle)[0]
            if rng.random() < 0.8 and np.abs([x, y]).max() < canvas.half * 1.3:
                factory(canvas, x, y, wide - rng.uniform(9, 26), deep - rng.uniform(8, 18), angle)
    if rng.random() < 0.6:
        down = rng.choice([-1, 1]) * deep / 2
        ends = placed(np.array([[-canvas.metres, down], [canvas.metres, down]]), 0.0, 0.0, angle)
        road(canvas, bent(ends[0], ends[1], 0.0), 8.0)
        traffic(canvas, bent(ends[0], ends[1], 0.0), 30.0, 7.0)
    places = rng.uniform(-canvas.half, canvas.half, (int(rng.integers(0, 25)), 2))
    column, row = np.rint(places.T / canvas.pixel + (canvas.side - 1) / 2).astype(int)
    clear = canvas.surface[np.clip(row, 0, canvas.side - 1), np.clip(column, 0, canvas.side - 1)]
    places = places[clear == Surface.ASPHALT]
    cars(canvas, places[:, 0], places[:, 1], angle, 6.0)
    scatter_trees(canvas, int(rng.integers(0, 40)))


def car_park(canvas: Canvas) -> None:
    """A car park before a building, with trees and a street."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.6))
    angle = rng.uniform(0, np.pi)
    x, y = rng.uniform(-12, 12, 2)
    length, width = rng.uniform(50, 100), rng.choice([27.0, 44.0, 61.0])
    parking(canvas, x, y, length, width, angle, rng.uniform(0.25, 0.98))
    down = width / 2 + 14.0
    if rng.random() < 0.5:
        spot = placed(np.array([[0.0, -down]]), x, y, angle)[0]
        block(canvas, spot[0], spot[1], length * 0.8, 22.0, angle, 9.0)
    if rng.random() < 0.5:
        ends = placed(np.array([[-canvas.metres, down], [canvas.metres, down]]), x, y, angle)
        way = bent(ends[0], ends[1], 0.0)
        road(canvas, way, 8.0)
        traffic(canvas, way, 30.0)
    if rng.random() < 0.7:
        ends = placed(
            np.array([[-length / 2, width / 2 + 3], [length / 2, width / 2 + 3]]), x, y, angle
        )
        tree_row(canvas, bent(ends[0], ends[1], 0.0), 8.0, 2.6)
    scatter_trees(canvas, int(rng.integers(0, 25)), 2.6)


def tank_farm(canvas: Canvas) -> None:
    """Storage tanks in their bunds, with pipes, a road and sheds."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.2, 0.9))
    angle = rng.uniform(0, np.pi)
    radius = canvas.metres * rng.uniform(0.07, 0.16)
    gap = radius * rng.uniform(2.5, 3.2)
    count = int(rng.integers(1, 4))
    for column in range(count):
        for row in range(max(1, count - int(rng.integers(0, 2)))):
            across, down = (column - (count - 1) / 2) * gap, (row - (count - 1) / 2) * gap
            x, y = placed(np.array([[across, down]]), 0.0, 0.0, angle)[0]
            pad = rectangle(x, y, 0.97 * gap, 0.97 * gap, angle)
            floor = (
                canvas.palette.concrete if rng.random() < 0.6 else shade(canvas.palette.soil, 1.1)
            )
            canvas.fill(pad, Surface.ASPHALT, floor)
            canvas.line(pad, 1.0, shade(floor, 0.75), closed=True)
            if rng.random() < 0.9:
                tank(canvas, x, y, radius * rng.uniform(0.8, 1.05))
    side = (count / 2) * gap + 8
    ends = placed(np.array([[-canvas.metres, side], [canvas.metres, side]]), 0.0, 0.0, angle)
    way = bent(ends[0], ends[1], 0.0)
    if rng.random() < 0.8:
        road(canvas, way, 7.0)
        traffic(canvas, way, 45.0, 6.0)
    canvas.line(beside(way, -6.0), 1.2, (176, 176, 172))
    fill_with_buildings(canvas, angle, 0.35)
    scatter_trees(canvas, int(rng.integers(0, 45)))
