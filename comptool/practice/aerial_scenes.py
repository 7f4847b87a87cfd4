"""The kinds of aerial scenes and the photograph taken of each.

Scenes of the country: fields, meadows, lakes, rivers, greenhouses, turbines and power lines.

Each function draws one scene on an empty canvas.

Scenes of housing: dense and sparse settlements, and parks of mobile homes.

Each function draws one scene on an empty canvas.

Scenes of work and trade: shops and offices, factories, car parks, tank farms.

Each function draws one scene on an empty canvas.

Scenes of sport and leisure: courts, diamonds, stadiums, golf, parks and pools.

Each function draws one scene on an empty canvas.

Scenes of traffic: streets and their crossings, freeways, railways and airports.

Each function draws one scene on an empty canvas.

Scenes at the water: beaches, islands, harbours, container yards and bridges.

Each function draws one scene on an empty canvas.

Scenes without people: bare land, shrubs, deserts, woods, mountains, terraces, wetland.

Each function draws one scene on an empty canvas.

The kinds of scene, how often each is met, and the picture of one of them.

The kinds are the 46 scene categories of MLRSNet, and two of ours for what its categories hold only
in passing: football fields without a track, and ships on open water.

A scene is drawn at twice the resolution of the picture and then photographed: exposure, haze, a
colour cast, the lens and the sensor. A *view* is one photograph; the second view of a scene is
displaced a little and differs in everything that is the camera's.
Letters: S pixels along a side of the picture, P = 2 S drawn ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from comptool.practice.aerial_canvas import (
    CROPS,
    Bytes,
    Canvas,
    Floats,
    Mask,
    Points,
    Surface,
    arc,
    bent,
    beside,
    blob,
    length_of,
    mix,
    placed,
    rectangle,
    shade,
    shares,
    stations,
    strip,
    tinted,
    winding,
)
from comptool.practice.aerial_objects import (
    COURTS,
    airplane,
    basketball,
    block,
    bunker,
    bushes,
    cars,
    clouds,
    containers,
    crossing,
    crosswalk,
    crowns,
    dashes,
    diamond,
    dunes,
    factory,
    farmland,
    fill_with_buildings,
    football,
    freeway,
    greenhouses,
    highlands,
    house,
    lanes_of,
    mobile_home,
    open_ground,
    parking,
    paved_ground,
    pier,
    pool,
    pylon,
    rails,
    relief,
    road,
    rows_of_crop,
    running_track,
    runway,
    scatter_trees,
    ship,
    stadium,
    station,
    still_water,
    straight,
    streets,
    tank,
    taxiway,
    tennis,
    traffic,
    trail,
    train,
    tree_row,
    trees,
    turbine,
    wake,
    waves,
    wood,
)


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


def surroundings(canvas: Canvas) -> None:
    """What stands around a road: buildings, trees, open ground."""
    rng = canvas.rng
    if rng.random() < 0.65:
        fill_with_buildings(canvas, rng.uniform(0, np.pi), rng.uniform(0.3, 0.9))
    scatter_trees(canvas, int(rng.integers(5, 50)))


def intersection(canvas: Canvas) -> None:
    """Two streets that cross, with crosswalks, cars and what stands at the corners."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.5))
    angle, lanes = rng.uniform(0, np.pi), 2 * rng.integers(1, 3, 2)
    widths = 3.6 * lanes + 2.0
    turns = (angle, angle + np.pi / 2 + rng.normal(0, 0.08))
    ways = [straight(canvas, turn) for turn in turns]
    for way, width, count in zip(ways, widths, lanes, strict=True):
        road(canvas, way, float(width), walks=rng.random() < 0.8, lanes=int(count))
    plain = rectangle(0.0, 0.0, widths[1] + 1, widths[0] + 1, angle)
    canvas.fill(plain, Surface.ROAD, canvas.palette.asphalt)
    canvas.zone("intersection", rectangle(0.0, 0.0, widths[1] + 12, widths[0] + 12, angle))
    marked = rng.random() < 0.85
    for index, side in ((0, -1), (0, 1), (1, -1), (1, 1)):
        away = side * (widths[1 - index] / 2 + 4.5)
        place = placed(np.array([[away, 0.0]]), 0.0, 0.0, turns[index])[0]
        if marked:
            crosswalk(canvas, place[0], place[1], turns[index], float(widths[index]))
    for way, count in zip(ways, lanes, strict=True):
        for lane in (np.arange(count) + 0.5 - count / 2) * 3.6:
            traffic(canvas, beside(way, float(lane)), rng.uniform(15, 60))
    surroundings(canvas)


def roundabout(canvas: Canvas) -> None:
    """A roundabout with its green island and the roads that meet there."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.4))
    inner, width = rng.uniform(9, 16), rng.uniform(8, 11)
    arms, start = int(rng.integers(3, 6)), rng.uniform(0, 2 * np.pi)
    ways = []
    for arm in range(arms):
        turn = start + 2 * np.pi * arm / arms + rng.normal(0, 0.1)
        out = np.array([np.cos(turn), np.sin(turn)]) * canvas.metres
        ways.append(bent(out * (inner + width / 2) / canvas.metres, out, rng.uniform(-8, 8)))
        road(canvas, ways[-1], rng.uniform(8, 11), walks=rng.random() < 0.5)
    ring = inner + width
    canvas.disc(0.0, 0.0, ring + 2.0, Surface.ASPHALT, canvas.palette.concrete)
    canvas.disc(0.0, 0.0, ring, Surface.ROAD, canvas.palette.asphalt)
    canvas.disc(0.0, 0.0, inner + 1, Surface.ASPHALT, canvas.palette.concrete)
    canvas.disc(0.0, 0.0, inner, Surface.GRASS, shade(canvas.palette.grass, 1.05))
    canvas.zone("roundabout", arc(0, 0, ring, 0, 2 * np.pi, 40))
    scatter_trees(canvas, int(rng.integers(5, 50)), 2.6)
    circle = arc(0, 0, inner + width / 2, 0, 2 * np.pi, 40)
    for line in [circle, *(beside(way, side * 2.2) for way in ways for side in (-1, 1))]:
        traffic(canvas, line, rng.uniform(20, 60))
    if rng.random() < 0.4:
        place = ways[0][6]
        direction = np.arctan2(*(ways[0][7] - ways[0][5])[::-1])
        crosswalk(canvas, place[0], place[1], float(direction), 9.0)
    surroundings(canvas)


def motorway(canvas: Canvas) -> None:
    """A freeway between woods, fields or town."""
    rng = canvas.rng
    if rng.random() < 0.25:
        farmland(canvas, canvas.metres * rng.uniform(0.3, 0.8), rng.uniform(0, np.pi))
    else:
        open_ground(canvas, rng.uniform(0, 0.7))
    if rng.random() < 0.4:
        wood(canvas, canvas.noise(canvas.metres / 2) > rng.uniform(-0.5, 0.8))
    line, lanes = crossing(canvas, 0.08), int(rng.integers(2, 5))
    median = rng.uniform(1, 11)
    freeway(canvas, line, lanes, median)
    for lane in lanes_of(line, lanes, median):
        traffic(canvas, lane, rng.uniform(25, 90), 5.0)
    scatter_trees(canvas, int(rng.integers(5, 60)))
    if rng.random() < 0.25:
        fill_with_buildings(canvas, rng.uniform(0, np.pi), 0.5)


def overpass(canvas: Canvas) -> None:
    """A road that passes over a freeway or a railway."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.7))
    angle = rng.uniform(0, np.pi)
    under, lanes = straight(canvas, angle), int(rng.integers(2, 4))
    if rng.random() < 0.75:
        freeway(canvas, under, lanes, 5.0)
        ways, wide = lanes_of(under, lanes, 5.0), 2 * (3.7 * lanes + 3) + 5
    else:
        rails(canvas, under, 3)
        ways, wide = [], 16.0
    for lane in ways:
        traffic(canvas, lane, rng.uniform(25, 80))
    turn = angle + np.pi / 2 + rng.normal(0, 0.3)
    over, width = (
        straight(canvas, turn, rng.uniform(-0.15, 0.15) * canvas.metres),
        rng.uniform(9, 18),
    )
    below = canvas.mask(strip(under, wide + 16))
    deck = canvas.mask(strip(over, width + 3))
    canvas.shadow[canvas.moved(deck, canvas.sun * 7) & below] = 255
    canvas.shadow[deck] = 0
    canvas.cover(deck, Surface.ROAD, shade(canvas.palette.concrete, 1.05))
    road(canvas, over, width, lanes=2 if width < 13 else 4)
    canvas.zone("overpass", deck & below)
    for side in (-0.25, 0.25):
        traffic(canvas, beside(over, side * width), rng.uniform(20, 60))
    surroundings(canvas)


def parkway(canvas: Canvas) -> None:
    """A boulevard whose lanes and median are lined with trees."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0, 0.3))
    line, median, width = crossing(canvas, 0.12), rng.uniform(8, 13), rng.uniform(7, 9)
    sides = [beside(line, side * (median + width) / 2) for side in (-1, 1)]
    for way in sides:
        road(canvas, way, width, walks=rng.random() < 0.6)
    canvas.zone("parkway", strip(line, median + 2 * width))
    for way in sides:
        traffic(canvas, way, rng.uniform(20, 60))
    tree_row(canvas, line, rng.uniform(6, 9), 3.0)
    for side in (-1, 1):
        tree_row(canvas, beside(line, side * (median / 2 + width + 6)), 8.0, 3.2)
    surroundings(canvas)


def railway(canvas: Canvas) -> None:
    """Tracks through country or town, sometimes with a train."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.1, 0.9))
    line = crossing(canvas, 0.08)
    rails(canvas, line, int(rng.integers(1, 7)))
    if rng.random() < 0.35:
        train(
            canvas, beside(line, rng.choice([-2.3, 2.3])), rng.uniform(0.4, 0.8) * canvas.metres, 5
        )
    if rng.random() < 0.4:
        way = beside(line, rng.choice([-1, 1]) * rng.uniform(26, 36))
        road(canvas, way, 8.0)
        traffic(canvas, way, 30.0)
    surroundings(canvas)


def railway_station(canvas: Canvas) -> None:
    """Platforms under roofs between tracks, the station's hall, and its car park."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.1, 0.7))
    angle, roofs = rng.uniform(0, np.pi), int(rng.integers(1, 5))
    yard = placed(rectangle(0.0, -14.0, 3 * canvas.metres, 46.0, 0.0), 0.0, 0.0, angle)
    canvas.fill(yard, Surface.ASPHALT, canvas.palette.asphalt)
    middle = (roofs - 1) * 7.0 + 7.0
    rails(canvas, straight(canvas, angle, middle), 3 * roofs + 1)
    if rng.random() < 0.4:
        train(canvas, straight(canvas, angle, middle), 0.7 * canvas.metres, 6)
    if rng.random() < 0.5:
        spot = placed(np.array([[rng.choice([-1, 1]) * 62.0, -26.0]]), 0.0, 0.0, angle)[0]
        parking(canvas, spot[0], spot[1], 60.0, 34.0, angle, rng.uniform(0.3, 0.9))
    station(canvas, 7.0, rng.uniform(110, 180), angle, roofs)
    surroundings(canvas)


def airfield(canvas: Canvas) -> None:
    """A runway with taxiways, apron and terminal in wide grass."""
    rng = canvas.rng
    open_ground(canvas, rng.uniform(0.1, 0.9))
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.25, 0.1) * canvas.metres
    x, y = placed(np.array([[rng.uniform(-0.3, 0.3) * canvas.metres, offset]]), 0.0, 0.0, angle)[0]
    width = rng.uniform(40, 60)
    runway(canvas, x, y, canvas.metres * rng.uniform(0.9, 1.6), width, angle)
    side = 3.2 * width
    taxiway(canvas, straight(canvas, angle, offset + side), 22.0)
    for across in (-0.3, 0.25):
        ends = np.array(
            [[across * canvas.metres, offset], [(across + 0.1) * canvas.metres, offset + side]]
        )
        ends = placed(ends, 0.0, 0.0, angle)
        taxiway(canvas, bent(ends[0], ends[1], 8.0), 22.0)
    if rng.random() < 0.7:
        _terminal(canvas, angle, offset + side + 90)
    canvas.whole("airport")
    scatter_trees(canvas, int(rng.integers(0, 80)), 6.0)
    if rng.random() < 0.3:
        farmstead(canvas, 5)


def _terminal(canvas: Canvas, angle: float, down: float) -> None:
    rng = canvas.rng
    apron = placed(rectangle(0.0, down, 420.0, 150.0, 0.0), 0.0, 0.0, angle)
    canvas.fill(apron, Surface.ASPHALT, canvas.palette.concrete)
    hall = placed(np.array([[0.0, down + 80.0]]), 0.0, 0.0, angle)[0]
    block(canvas, hall[0], hall[1], 260.0, 44.0, angle, 18.0)
    for across in np.arange(-130.0, 140.0, 62.0):
        if rng.random() < 0.7:
            x, y = placed(np.array([[across, down + 26.0]]), 0.0, 0.0, angle)[0]
            airplane(canvas, x, y, rng.uniform(40, 58), angle + np.pi / 2)


def apron(canvas: Canvas) -> None:
    """Airplanes parked on concrete, sometimes at a terminal."""
    rng = canvas.rng
    light = rng.random() < 0.35
    paved_ground(canvas, mix(canvas.palette.concrete, canvas.palette.asphalt, rng.uniform(0, 0.9)))
    size = canvas.metres * (rng.uniform(0.16, 0.24) if light else rng.uniform(0.26, 0.42))
    size = min(size, 14.0) if light else max(size, 28.0)
    angle = rng.uniform(0, 2 * np.pi)
    joints = mix(canvas.palette.concrete, (90, 90, 90), 0.25)
    for offset in np.arange(-canvas.half * 1.4, canvas.half * 1.4, 16.0):
        canvas.line(straight(canvas, angle, offset), 0.2, joints)
    if rng.random() < 0.4:
        lawn = rectangle(0.0, canvas.half * 1.6, 3 * canvas.metres, canvas.metres, 0.0)
        canvas.fill(placed(lawn, 0.0, 0.0, angle), Surface.GRASS, canvas.palette.grass)
    if rng.random() < 0.4:
        hall = placed(np.array([[0.0, -0.42 * canvas.metres]]), 0.0, 0.0, angle)[0]
        block(canvas, hall[0], hall[1], 0.8 * canvas.metres, 0.16 * canvas.metres, angle, 14.0)
    canvas.whole("airport") if rng.random() < 0.45 else None
    taxiway(canvas, straight(canvas, angle, -0.18 * canvas.metres), 1.0)
    gap = 1.25 * size
    rows = (0.0, gap) if light and rng.random() < 0.6 else (0.0,)
    for down in rows:
        for across in np.arange(-canvas.half, canvas.half, gap) + rng.uniform(0, gap):
            if rng.random() < 0.7:
                x, y = placed(np.array([[across, down]]), 0.0, 0.0, angle)[0]
                airplane(
                    canvas,
                    x,
                    y,
                    size * rng.uniform(0.9, 1.05),
                    angle + np.pi / 2 + rng.normal(0, 0.06),
                )
    count = int(rng.integers(0, 9))
    places = placed(rng.uniform(-0.45, 0.45, (count, 2)) * [canvas.metres, 0.1 * canvas.metres]
                    - [0, 0.3 * canvas.metres], 0.0, 0.0, angle)  # fmt: skip
    cars(canvas, places[:, 0], places[:, 1], angle, 5.5)


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


def bareland(canvas: Canvas) -> None:
    """Bare soil with old tracks and a few weeds."""
    rng = canvas.rng
    canvas.lay(Surface.SOIL, canvas.palette.soil)
    patchy = canvas.noise(canvas.metres / 3)
    pale = mix(canvas.palette.soil, (230, 220, 200), rng.uniform(0.1, 0.5))
    canvas.cover(patchy > rng.uniform(-0.5, 0.8), Surface.SOIL, pale)
    if rng.random() < 0.6:
        canvas.cover(patchy < rng.uniform(-2.2, -0.7), Surface.GRASS, canvas.palette.grass)
    if rng.random() < 0.5:
        trail(canvas, crossing(canvas), rng.uniform(2, 4))
    for _ in range(int(rng.integers(0, 4))):
        canvas.line(crossing(canvas), 0.5, shade(canvas.palette.soil, 0.85))
    scatter_trees(canvas, int(rng.integers(0, 8)), 2.0)


def chaparral(canvas: Canvas) -> None:
    """Shrubs on sandy ground."""
    rng = canvas.rng
    canvas.lay(Surface.SAND, canvas.palette.sand)
    if rng.random() < 0.35:
        canvas.cover(canvas.noise(canvas.metres / 3) > 0, Surface.SOIL, canvas.palette.soil)
    bushes(canvas, canvas.everywhere(), rng.uniform(2.2, 4.5), rng.uniform(0.2, 0.9))
    if rng.random() < 0.2:
        trail(canvas, crossing(canvas), 3.0)


def desert(canvas: Canvas) -> None:
    """Dunes, with shrubs in the hollows now and then."""
    dunes(canvas)
    canvas.whole("desert")
    if canvas.rng.random() < 0.4:
        hollow = canvas.noise(canvas.metres / 3) > 0.3
        bushes(canvas, hollow, canvas.metres / canvas.rng.uniform(45, 80), 0.35)


def forest(canvas: Canvas) -> None:
    """Woods with clearings, sometimes cut by a trail."""
    rng = canvas.rng
    open_ground(canvas, 0.25)
    edge = canvas.noise(canvas.metres / 2, 3)
    wood(canvas, edge > rng.uniform(-3, -0.3), rng.uniform(6, 11))
    if rng.random() < 0.35:
        trail(canvas, winding(rng, canvas.metres, 0.1 * canvas.metres, rng.uniform(0, 6)), 4.0)
    if rng.random() < 0.2:
        still_water(canvas, canvas.noise(canvas.metres / 2.5) > 1.3, "lake")


def mountains(canvas: Canvas) -> None:
    """Slopes of grass, rock and forest, sometimes under snow."""
    highlands(canvas)
    canvas.whole("mountain")


def snowberg(canvas: Canvas) -> None:
    """Mountains in snow and ice, their dark rock showing, sometimes above water."""
    rng = canvas.rng
    lean = relief(canvas, canvas.metres / rng.uniform(0.8, 1.8), rng.uniform(0.6, 1))[1]
    white = mix((226, 232, 242), (240, 240, 240), rng.random())
    canvas.cover(canvas.everywhere(), Surface.SNOW, tinted(0.88 + 0.14 * lean, white))
    rocky = np.abs(lean) + 0.4 * canvas.noise(canvas.metres / 10) > rng.uniform(1.1, 2.4)
    rock = tinted(0.9 + 0.25 * lean, (92, 84, 80))
    canvas.cover(rocky, Surface.ROCK, rock)
    canvas.whole("snowberg")
    canvas.whole("mountain")
    if rng.random() < 0.3:
        water = canvas.noise(canvas.metres / 1.2) > rng.uniform(0.7, 1.2)
        waves(canvas, water, Surface.WATER, mix(canvas.palette.water, (20, 40, 66), 0.6))


def terraces(canvas: Canvas) -> None:
    """Fields in steps along the contour of a slope."""
    rng = canvas.rng
    x, y = canvas.grid()
    turn = rng.uniform(0, 2 * np.pi)
    slope = (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))) / canvas.half
    level = (1.4 * slope + 0.55 * canvas.noise(canvas.metres / 1.2, 2)) * rng.uniform(4, 8)
    step = level - np.floor(level)
    bright = (1 + 0.1 * np.sin(np.floor(level) * 2.4)) * (1.1 - 0.22 * step)
    base = mix(canvas.palette.grass, canvas.palette.soil, rng.uniform(0.1, 0.8))
    tones = tinted(bright, mix(base, (176, 160, 104), 0.35))
    canvas.cover(canvas.everywhere(), Surface.CROP, tones)
    canvas.cover(step < 0.17, Surface.ROCK, shade(base, 0.5))
    canvas.whole("terrace")
    if rng.random() < 0.3:
        trail(canvas, winding(rng, canvas.metres, 0.15 * canvas.metres, rng.uniform(0, 6)), 4.0)
    grove = canvas.noise(canvas.metres / 4) > rng.uniform(0.8, 2.2)
    crowns(canvas, grove, 7.0)
    if rng.random() < 0.2:
        canvas.fill(rectangle(0.0, 0.0, 60.0, 30.0, turn), Surface.SOIL, canvas.palette.soil)
        farmstead(canvas, 12)


def eroded(canvas: Canvas) -> None:
    """Farmland cut up by branching gullies."""
    rng = canvas.rng
    farmland(canvas, canvas.metres * rng.uniform(0.3, 0.9), rng.uniform(0, np.pi))
    branch = np.abs(canvas.noise(canvas.metres / 1.6, 4) + 0.3 * canvas.noise(canvas.metres / 8))
    wide = rng.uniform(0.14, 0.3)
    _, lean = relief(canvas, canvas.metres / 6, 1.0)
    cut = branch < wide
    flank = mix(canvas.palette.soil, (206, 184, 150), 0.4)
    canvas.cover(branch < 1.8 * wide, Surface.GRASS, shade(canvas.palette.grass, 0.95))
    deep = 1 - 0.45 * (1 - branch / wide) + 0.2 * lean
    canvas.cover(cut, Surface.ROCK, tinted(deep, shade(flank, 0.85)))
    canvas.zone("gully", branch < 1.5 * wide)
    if rng.random() < 0.4:
        trail(canvas, crossing(canvas), 5.0)
    if rng.random() < 0.5:
        bushy = (branch < 1.9 * wide) & (canvas.noise(canvas.metres / 20) > 0.6)
        crowns(canvas, bushy, 5.0)


def wetland(canvas: Canvas) -> None:
    """Reeds, mud and grass with winding channels and pools."""
    rng = canvas.rng
    canvas.lay(Surface.REED, mix(canvas.palette.grass, (126, 110, 70), rng.uniform(0.2, 0.7)))
    patchy = canvas.noise(canvas.metres / 4, 5)
    canvas.cover(patchy > rng.uniform(0, 1.4), Surface.GRASS, shade(canvas.palette.grass, 0.9))
    if rng.random() < 0.3:
        canvas.cover(patchy < -1.1, Surface.SOIL, shade(canvas.palette.soil, 0.8))
    channel = np.abs(canvas.noise(canvas.metres / 2.2, 5)) < rng.uniform(0.05, 0.2)
    pools = canvas.noise(canvas.metres / 5, 4) > rng.uniform(0.9, 2.2)
    waves(canvas, channel | pools, Surface.WATER, shade(canvas.palette.water, 0.85))
    canvas.whole("wetland")


Spot = tuple[float, float, float]
TRIES = 14
# A stray is neither lost in the scene nor the whole of it: shares of the width of the picture.
SMALLEST, LARGEST = 0.12, 0.6
PROBES = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 5), np.linspace(-0.5, 0.5, 5)), axis=-1)


@dataclass(frozen=True)
class Stray:
    """Something that may lie anywhere on open ground, or on water.

    Parameters
    ----------
    length, width
        Room that it takes, in metres.
    draw
        Draws it at (x, y, angle).
    afloat
        Whether it lies on water instead of on open ground.
    """

    length: float
    width: float
    draw: Callable[[Canvas, Spot], None]
    afloat: bool = False


def _tennis(canvas: Canvas, spot: Spot) -> None:
    tennis(canvas, *spot, COURTS[int(canvas.rng.integers(len(COURTS)))])


def _diamond(canvas: Canvas, spot: Spot) -> None:
    x, y, angle = spot
    home = placed(np.array([[-38.0, 0.0]]), x, y, angle)[0]
    diamond(canvas, home[0], home[1], angle, 22.0)


def _grove(canvas: Canvas, spot: Spot) -> None:
    wood(canvas, canvas.mask(blob(canvas.rng, spot[0], spot[1], 26.0, 0.3)))


def _pond(canvas: Canvas, spot: Spot) -> None:
    still_water(canvas, canvas.mask(blob(canvas.rng, spot[0], spot[1], 20.0, 0.3)), "lake")


def _plot(canvas: Canvas, spot: Spot) -> None:
    mask = canvas.mask(rectangle(spot[0], spot[1], 60.0, 40.0, spot[2]))
    rows_of_crop(canvas, mask, spot[2], CROPS[int(canvas.rng.integers(len(CROPS)))])


def _bare(canvas: Canvas, spot: Spot) -> None:
    canvas.fill(blob(canvas.rng, spot[0], spot[1], 22.0, 0.3), Surface.SOIL, canvas.palette.soil)


def _landing(canvas: Canvas, spot: Spot) -> None:
    pier(canvas, spot[0], spot[1], 26.0, spot[2])
    for across, down in ((-6.0, -3.4), (3.0, 3.4), (9.0, -3.4)):
        if canvas.rng.random() < 0.6:
            x, y = placed(np.array([[across, down]]), *spot)[0]
            ship(canvas, x, y, 9.0, spot[2])


STRAYS = (
    Stray(38, 20, _tennis),
    Stray(34, 21, lambda canvas, spot: basketball(canvas, *spot)),
    Stray(90, 80, _diamond),
    Stray(100, 64, lambda canvas, spot: football(canvas, spot[0], spot[1], 98.0, spot[2])),
    Stray(130, 70, lambda canvas, spot: running_track(canvas, spot[0], spot[1], 125.0, spot[2])),
    Stray(22, 16, lambda canvas, spot: pool(canvas, spot[0], spot[1], 16.0, 9.0, spot[2])),
    Stray(46, 30, lambda canvas, spot: parking(canvas, *spot[:2], 44.0, 27.0, spot[2], 0.6)),
    Stray(28, 28, lambda canvas, spot: tank(canvas, spot[0], spot[1], 12.0)),
    Stray(46, 34, lambda canvas, spot: greenhouses(canvas, *spot, 3, 44.0)),
    Stray(48, 34, lambda canvas, spot: factory(canvas, *spot[:2], 44.0, 30.0, spot[2])),
    Stray(42, 16, lambda canvas, spot: containers(canvas, *spot, 5, 3)),
    Stray(16, 16, lambda canvas, spot: airplane(canvas, *spot[:2], 13.0, spot[2])),
    Stray(52, 52, _grove),
    Stray(42, 42, _pond),
    Stray(60, 40, _plot),
    Stray(44, 44, _bare),
    Stray(30, 12, _landing, afloat=True),
    Stray(22, 10, lambda canvas, spot: ship(canvas, *spot[:2], 17.0, spot[2]), afloat=True),
)


def add_stray(canvas: Canvas) -> None:
    """Draw one stray where there is room for it; nothing where there is none."""
    rng = canvas.rng
    wet = bool(canvas.is_navigable(rng.uniform(-canvas.half, canvas.half, (6, 2))).sum() > 1)
    fitting = [stray for stray in STRAYS if stray.afloat == wet]
    stray = fitting[int(rng.integers(len(fitting)))]
    if not SMALLEST < stray.length / canvas.metres < LARGEST:
        return
    for _ in range(TRIES):
        x, y = (rng.uniform(-0.42, 0.42, 2) * canvas.metres).tolist()
        angle = float(rng.uniform(0, 2 * np.pi))
        probes = placed(PROBES * [stray.length, stray.width], x, y, angle)
        within = np.abs(probes).max(axis=-1) < canvas.half
        fits = canvas.is_navigable(probes) if stray.afloat else canvas.is_open(probes)
        if fits[within].all():
            stray.draw(canvas, (x, y, angle))
            return


Layer = TypeVar("Layer", Bytes, Floats)
SUPERSAMPLING = 2
LARGEST_SHIFT = 4  # drawn pixels by which a second view is displaced
STRAY = 0.3  # chance of each of two things outside of their usual scene
CLOUDY = "cloud"
# What lies under the clouds of the kind "cloud".
UNDER_CLOUD = ("forest", "farmland", "bareland", "meadow", "wetland", "open sea", "desert")


@dataclass(frozen=True)
class SceneKind:
    """One kind of scene.

    Parameters
    ----------
    name
        Its name.
    draw
        Draws it on an empty canvas.
    metres
        Range of the width of the ground that is seen.
    weight
        How often it is met, relative to the others.
    small
        The same in the small edition; 0 where it is not met there.
    """

    name: str
    draw: Callable[[Canvas], None]
    metres: tuple[float, float]
    weight: float
    small: float = 0.0


KINDS = (
    SceneKind("airplane", apron, (90, 170), 1.6, 1.6),
    SceneKind("airport", airfield, (600, 900), 1.4),
    SceneKind("bareland", bareland, (100, 300), 1.6, 1.5),
    SceneKind("baseball diamond", baseball, (90, 140), 0.8, 1.2),
    SceneKind("basketball court", basketball_courts, (70, 110), 1.4),
    SceneKind("beach", beach, (120, 300), 2.2, 2.0),
    SceneKind("bridge", bridge, (110, 200), 2.0, 2.4),
    SceneKind("chaparral", chaparral, (80, 160), 2.0),
    SceneKind(CLOUDY, forest, (300, 900), 1.2),
    SceneKind("commercial area", commercial, (130, 200), 2.4, 2.2),
    SceneKind("dense residential", dense_residential, (100, 160), 2.8, 3.4),
    SceneKind("desert", desert, (200, 900), 1.8),
    SceneKind("eroded farmland", eroded, (250, 600), 1.4),
    SceneKind("farmland", fields, (200, 500), 3.0, 3.6),
    SceneKind("forest", forest, (120, 300), 2.6, 2.8),
    SceneKind("freeway", motorway, (90, 160), 2.2, 1.6),
    SceneKind("golf course", golf, (180, 300), 1.6),
    SceneKind("ground track field", track_field, (150, 230), 1.6),
    SceneKind("football field", football_fields, (120, 200), 0.2),
    SceneKind("harbor", harbour, (110, 180), 1.8, 2.0),
    SceneKind("industrial area", industrial, (150, 260), 2.0),
    SceneKind("intersection", intersection, (70, 120), 2.2, 2.4),
    SceneKind("island", island, (200, 700), 1.4),
    SceneKind("lake", lake, (250, 700), 1.6, 1.2),
    SceneKind("meadow", grassland, (120, 300), 2.8, 3.0),
    SceneKind("mobile home park", mobile_homes, (90, 150), 1.0),
    SceneKind("mountain", mountains, (800, 2000), 2.2),
    SceneKind("overpass", overpass, (100, 170), 1.4),
    SceneKind("park", park, (130, 240), 0.6),
    SceneKind("parking lot", car_park, (60, 110), 2.2, 2.4),
    SceneKind("parkway", parkway, (80, 130), 1.0),
    SceneKind("railway", railway, (80, 150), 1.4),
    SceneKind("railway station", railway_station, (140, 220), 0.35),
    SceneKind("river", river, (200, 600), 2.0, 1.6),
    SceneKind("roundabout", roundabout, (80, 130), 0.55),
    SceneKind("shipping yard", container_yard, (110, 180), 1.2, 0.9),
    SceneKind("open sea", shipping, (120, 260), 0.6, 0.8),
    SceneKind("snowberg", snowberg, (800, 2500), 1.4),
    SceneKind("sparse residential", sparse_residential, (90, 150), 1.2, 1.6),
    SceneKind("stadium", arena, (230, 340), 0.5),
    SceneKind("storage tank", tank_farm, (100, 220), 1.2),
    SceneKind("swimming pool", pools, (60, 100), 1.2, 1.2),
    SceneKind("tennis court", tennis_courts, (70, 130), 1.4, 1.2),
    SceneKind("terrace", terraces, (200, 500), 1.2),
    SceneKind("transmission tower", power_line, (60, 100), 0.4),
    SceneKind("greenhouse", greenhouse, (130, 240), 1.2),
    SceneKind("wetland", wetland, (200, 600), 1.6),
    SceneKind("wind turbine", turbines, (110, 180), 0.3),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def photograph(
    kind: SceneKind,
    side: int,
    scene: np.random.Generator,
    camera: np.random.Generator,
    *,
    displaced: bool = False,
) -> tuple[Bytes, npt.NDArray[np.float64]]:
    """One picture and what it shows.

    Parameters
    ----------
    kind
        What is drawn.
    side
        S.
    scene, camera
        Sources of what is random in the scene and in its photograph.
    displaced
        Whether this is a second view.

    Returns
    -------
    tuple of numpy.ndarray
        RGB bytes of shape (S, S, 3), and the share of the picture that each of the 60 classes
        fills, of shape (60,).
    """
    canvas = Canvas(SUPERSAMPLING * side, float(scene.uniform(*kind.metres)), scene)
    if kind.name == CLOUDY:
        BY_NAME[UNDER_CLOUD[int(scene.integers(len(UNDER_CLOUD)))]].draw(canvas)
        lit = canvas.lit()
        clouds(canvas, lit, float(scene.uniform(0.25, 0.75)))
    else:
        kind.draw(canvas)
        for _ in range(int(scene.binomial(2, STRAY))):
            add_stray(canvas)
        lit = canvas.lit()
    if displaced:
        lit = _displace(canvas, lit, camera)
    return _develop(lit, side, camera), shares(canvas.surface, canvas.zones)


def _displace(canvas: Canvas, lit: Floats, camera: np.random.Generator) -> Floats:
    # The aircraft flew on: everything moves, and the rim that comes into view mirrors the old one.
    right, down = camera.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, 2).tolist()
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)

    def moved(layer: Layer) -> Layer:
        size = (canvas.side, canvas.side)
        return np.asarray(
            cv2.warpAffine(
                layer, move, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
            ),
            layer.dtype,
        )

    canvas.surface = moved(canvas.surface)
    canvas.zones = {name: moved(zone) for name, zone in canvas.zones.items()}
    return moved(lit)


def _develop(lit: Floats, side: int, camera: np.random.Generator) -> Bytes:
    """The photograph of a lit scene of shape (P, P, 3): bytes of shape (S, S, 3)."""
    picture = cv2.resize(lit, (side, side), interpolation=cv2.INTER_AREA)
    width = camera.uniform(0.0, 0.65)
    if width > 0.3:
        picture = cv2.GaussianBlur(picture, (5, 5), width)
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + np.float32(camera.uniform(0.55, 1.15)) * (picture - grey)
    gain = camera.uniform(0.82, 1.22) * (1 + camera.normal(0, 0.025, 3))
    haze = 0.3 * camera.random() ** 1.7
    picture = picture * np.float32(gain * (1 - haze)) + np.float32(haze * np.array([196, 204, 214]))
    noise = camera.standard_normal((side, side), dtype=np.float32)
    picture += (noise * np.float32(camera.uniform(0.8, 3.5)))[:, :, None]
    developed: Bytes = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return developed
