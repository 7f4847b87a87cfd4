"""Things outside of their usual scene, so that the kind of scene does not give a label away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from comptool.simulation.aicoss.buildings import factory, greenhouses, parking, pool
from comptool.simulation.aicoss.canvas import Canvas
from comptool.simulation.aicoss.land import rows_of_crop, still_water, wood
from comptool.simulation.aicoss.objects import airplane, containers, pier, ship, tank
from comptool.simulation.aicoss.shapes import blob, placed, rectangle
from comptool.simulation.aicoss.sports import (
    COURTS,
    basketball,
    diamond,
    football,
    running_track,
    tennis,
)
from comptool.simulation.aicoss.surfaces import CROPS, Surface

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
