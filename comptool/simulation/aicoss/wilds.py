"""Scenes without people: bare land, shrubs, deserts, woods, mountains, terraces, wetland.

Each function draws one scene on an empty canvas.
"""

from __future__ import annotations

import numpy as np

from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.country import farmstead
from comptool.simulation.aicoss.land import (
    bushes,
    crowns,
    dunes,
    farmland,
    highlands,
    open_ground,
    relief,
    still_water,
    waves,
    wood,
)
from comptool.simulation.aicoss.objects import scatter_trees
from comptool.simulation.aicoss.roads import crossing, trail
from comptool.simulation.aicoss.shapes import rectangle, winding
from comptool.simulation.aicoss.surfaces import Surface, mix, shade, tinted


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
