"""Scenes of traffic: streets and their crossings, freeways, railways and airports.

Each function draws one scene on an empty canvas.
"""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.buildings import block, fill_with_buildings, parking, station
from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.country import farmstead
from comptool.simulation.aicoss.land import farmland, open_ground, paved_ground, wood
from comptool.simulation.aicoss.objects import airplane, cars, scatter_trees, traffic, tree_row
from comptool.simulation.aicoss.roads import (
    crossing,
    crosswalk,
    freeway,
    lanes_of,
    rails,
    road,
    runway,
    straight,
    taxiway,
    train,
)
from comptool.simulation.aicoss.shapes import arc, bent, beside, placed, rectangle, strip
from comptool.simulation.aicoss.surfaces import Surface, mix, shade


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
