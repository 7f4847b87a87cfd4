"""What a pixel of a drawn scene may show, which classes that means, and its colours.

Letters: colours are RGB, 0 to 255, as tuples of three floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np
import numpy.typing as npt

from comptool.simulation.aicoss.classes import CLASSES

Colour = tuple[float, float, float]


class Surface(IntEnum):
    """The uppermost thing at a pixel."""

    GRASS = 0
    TURF = auto()
    SOIL = auto()
    CLAY = auto()
    SAND = auto()
    SNOW = auto()
    ROCK = auto()
    CROP = auto()
    SHRUB = auto()
    CROWN = auto()
    REED = auto()
    WATER = auto()
    SEA = auto()
    POOL = auto()
    ASPHALT = auto()
    ROAD = auto()
    FREEWAY = auto()
    RUNWAY = auto()
    RAIL = auto()
    TRAIL = auto()
    ROOF = auto()
    FACTORY = auto()
    HOME = auto()
    GLASSHOUSE = auto()
    TANK = auto()
    CONTAINER = auto()
    CAR = auto()
    SHIP = auto()
    AIRPLANE = auto()
    PIER = auto()
    TRACK = auto()
    TURBINE = auto()
    PYLON = auto()
    CLOUD = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Look:
    """What a surface counts as, and how uneven it is.

    Parameters
    ----------
    classes
        The classes that its pixels count for.
    slow, fine
        Standard deviation of its brightness over metres and from pixel to pixel, as shares.
    """

    classes: tuple[str, ...]
    slow: float
    fine: float


LOOKS = {
    Surface.GRASS: Look(("grass",), 0.13, 0.09),
    # Grass and clay that are kept: nothing is planted or built there.
    Surface.TURF: Look(("grass",), 0.06, 0.06),
    Surface.CLAY: Look(("bare soil",), 0.05, 0.05),
    Surface.SOIL: Look(("bare soil",), 0.12, 0.07),
    Surface.SAND: Look(("sand",), 0.05, 0.04),
    Surface.SNOW: Look(("snow",), 0.03, 0.02),
    Surface.ROCK: Look((), 0.12, 0.12),
    Surface.CROP: Look(("field",), 0.06, 0.05),
    Surface.SHRUB: Look(("chaparral",), 0.1, 0.15),
    Surface.CROWN: Look(("trees",), 0.08, 0.16),
    Surface.REED: Look((), 0.15, 0.12),
    Surface.WATER: Look(("water",), 0.05, 0.025),
    Surface.SEA: Look(("sea", "water"), 0.07, 0.04),
    Surface.POOL: Look(("swimming pool", "water"), 0.03, 0.02),
    Surface.ASPHALT: Look(("pavement",), 0.06, 0.04),
    Surface.ROAD: Look(("road", "pavement"), 0.04, 0.04),
    Surface.FREEWAY: Look(("freeway", "road", "pavement"), 0.04, 0.04),
    Surface.RUNWAY: Look(("runway", "pavement"), 0.05, 0.04),
    Surface.RAIL: Look(("railway",), 0.06, 0.1),
    Surface.TRAIL: Look(("trail",), 0.06, 0.06),
    Surface.ROOF: Look(("buildings",), 0.04, 0.04),
    Surface.FACTORY: Look(("factory", "buildings"), 0.04, 0.03),
    Surface.HOME: Look(("mobile home", "buildings"), 0.02, 0.03),
    Surface.GLASSHOUSE: Look(("greenhouse",), 0.05, 0.05),
    Surface.TANK: Look(("tanks",), 0.03, 0.02),
    Surface.CONTAINER: Look(("containers",), 0.05, 0.05),
    Surface.CAR: Look(("cars",), 0.0, 0.03),
    Surface.SHIP: Look(("ships",), 0.02, 0.03),
    Surface.AIRPLANE: Look(("airplane",), 0.01, 0.02),
    Surface.PIER: Look(("dock",), 0.06, 0.05),
    Surface.TRACK: Look(("track",), 0.03, 0.03),
    Surface.TURBINE: Look(("wind turbine",), 0.0, 0.02),
    Surface.PYLON: Look(("transmission tower",), 0.0, 0.03),
    Surface.CLOUD: Look(("cloud",), 0.0, 0.0),
    Surface.OTHER: Look((), 0.04, 0.04),
}
# On these a tree or a house may still be set.
OPEN_GROUND = (Surface.GRASS, Surface.SOIL, Surface.SAND)
NAVIGABLE_WATER = (Surface.WATER, Surface.SEA)


def _table(values: list[float]) -> npt.NDArray[np.float32]:
    # One entry for each value of a byte, as cv2.LUT wants it.
    table = np.zeros(256, np.float32)
    table[: len(values)] = values
    return table


SLOW = _table([LOOKS[surface].slow for surface in Surface])
FINE = _table([LOOKS[surface].fine for surface in Surface])
COUNTS_FOR = np.array(
    [[name in LOOKS[surface].classes for name in CLASSES] for surface in Surface], np.int64
)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour between two, ``share`` of the way to the second."""
    a, b, c = (x + share * (y - x) for x, y in zip(first, second, strict=True))
    return (a, b, c)


def shade(colour: Colour, factor: float) -> Colour:
    """A lighter or darker colour."""
    red, green, blue = colour
    return (red * factor, green * factor, blue * factor)


def tinted(bright: npt.NDArray[np.floating], colour: Colour) -> npt.NDArray[np.floating]:
    """One colour under brightness of shape (P, P): RGB of shape (P, P, 3)."""
    return bright.astype(np.float32)[:, :, None] * np.array(colour, np.float32)


@dataclass(frozen=True)
class Palette:
    """The colours of one place and season."""

    grass: Colour
    crown: Colour
    soil: Colour
    sand: Colour
    water: Colour
    sea: Colour
    asphalt: Colour
    concrete: Colour
    roofs: tuple[Colour, ...]


ROOFS: tuple[tuple[Colour, ...], ...] = (
    ((150, 84, 66), (168, 104, 80), (132, 76, 66), (142, 110, 92)),
    ((112, 108, 106), (136, 130, 124), (92, 92, 98), (158, 150, 140)),
    ((176, 168, 156), (120, 112, 104), (150, 96, 76), (96, 100, 110)),
    ((190, 188, 184), (206, 204, 200), (130, 140, 156), (108, 104, 100)),
)


CROPS: tuple[Colour, ...] = (
    (96, 128, 62), (126, 142, 78), (168, 156, 96), (190, 172, 118),
    (150, 122, 90), (70, 104, 56), (134, 112, 84), (176, 170, 134),
)  # fmt: skip


def draw_palette(rng: np.random.Generator) -> Palette:
    """The colours of a place drawn at random."""
    lush, wet, warm, worn, old, deep = (float(value) for value in rng.random(6))
    return Palette(
        grass=mix((152, 142, 92), (78, 116, 58), lush**0.7),
        crown=mix((86, 92, 56), (34, 68, 36), lush),
        soil=mix(mix((186, 164, 132), (140, 108, 80), wet), (168, 104, 72), 0.6 * warm),
        sand=mix((222, 204, 164), (206, 170, 124), warm),
        water=mix(mix((36, 66, 84), (66, 92, 74), wet), (124, 116, 88), 0.6 * deep**2),
        sea=mix((16, 58, 92), (44, 116, 134), deep),
        asphalt=mix((88, 88, 92), (142, 140, 138), worn),
        concrete=mix((168, 164, 156), (200, 196, 188), old),
        roofs=ROOFS[int(rng.integers(len(ROOFS)))],
    )
