"""Canvas, shapes, surfaces and classes of aerial scenes.

The 60 classes of AICOSS: when each is true of a drawn scene, and how easily it is missed.

The names are those of the label table behind the challenge (MLRSNet; Qi et al. 2020, "MLRSNet: a
multi-label high spatial resolution remote sensing dataset for semantic scene understanding"), in
its order and spelling ("habor" is the harbour), so that a script for one runs on the other.

Outlines in metres: rectangles, blobs, curves and the strips along them.

Letters: n shapes, k corners of one; the last axis is x (to the right) and y (down).

What a pixel of a drawn scene may show, which classes that means, and its colours.

Letters: colours are RGB, 0 to 255, as tuples of three floats.

The sheet on which a scene is drawn: colours, what lies uppermost, shadows and zones.

Things are drawn from the ground up, at twice the resolution of the picture; each one overwrites
what lies under it, so that at the end every pixel knows what is visible there. A *zone* is a class
that is a place and not a thing (a harbour, a golf course): an area that stays itself under the cars
and trees on it, and that only cloud hides.
Letters: P drawn pixels along a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ClassRule:
    """One class.

    Parameters
    ----------
    name
        Column name.
    least
        Share of the picture, 0 to 1, that the class must fill to be true.
    missed
        Relative rate at which labellers overlook it; 1 is usual.
    """

    name: str
    least: float
    missed: float


RULES = (
    ClassRule("airplane", 0.004, 0.5),
    ClassRule("airport", 0.3, 1.0),
    ClassRule("bare soil", 0.04, 2.0),
    ClassRule("baseball diamond", 0.03, 0.4),
    ClassRule("basketball court", 0.015, 0.8),
    ClassRule("beach", 0.05, 0.5),
    ClassRule("bridge", 0.02, 0.7),
    ClassRule("buildings", 0.003, 1.0),
    ClassRule("cars", 0.0012, 1.8),
    ClassRule("chaparral", 0.03, 1.3),
    ClassRule("cloud", 0.05, 0.8),
    ClassRule("containers", 0.02, 0.5),
    ClassRule("crosswalk", 0.004, 2.2),
    ClassRule("dense residential area", 0.25, 0.9),
    ClassRule("desert", 0.3, 0.8),
    ClassRule("dock", 0.002, 1.0),
    ClassRule("factory", 0.05, 1.2),
    ClassRule("field", 0.08, 1.3),
    ClassRule("football field", 0.04, 1.2),
    ClassRule("forest", 0.2, 1.0),
    ClassRule("freeway", 0.06, 0.8),
    ClassRule("golf course", 0.3, 0.4),
    ClassRule("grass", 0.05, 1.4),
    ClassRule("greenhouse", 0.02, 0.5),
    ClassRule("gully", 0.1, 0.8),
    ClassRule("habor", 0.2, 0.7),
    ClassRule("intersection", 0.02, 1.1),
    ClassRule("island", 0.04, 0.6),
    ClassRule("lake", 0.06, 0.7),
    ClassRule("mobile home", 0.04, 0.6),
    ClassRule("mountain", 0.3, 0.7),
    ClassRule("overpass", 0.015, 0.7),
    ClassRule("park", 0.3, 1.3),
    ClassRule("parking lot", 0.03, 1.2),
    ClassRule("parkway", 0.06, 1.0),
    ClassRule("pavement", 0.05, 1.2),
    ClassRule("railway", 0.02, 0.8),
    ClassRule("railway station", 0.04, 1.1),
    ClassRule("river", 0.06, 0.8),
    ClassRule("road", 0.015, 1.2),
    ClassRule("roundabout", 0.03, 0.5),
    ClassRule("runway", 0.03, 0.6),
    ClassRule("sand", 0.03, 1.6),
    ClassRule("sea", 0.08, 0.8),
    ClassRule("ships", 0.003, 0.9),
    ClassRule("snow", 0.08, 0.9),
    ClassRule("snowberg", 0.3, 0.6),
    ClassRule("sparse residential area", 0.3, 1.0),
    ClassRule("stadium", 0.1, 0.3),
    ClassRule("swimming pool", 0.005, 1.0),
    ClassRule("tanks", 0.02, 0.4),
    ClassRule("tennis court", 0.015, 0.5),
    ClassRule("terrace", 0.2, 0.7),
    ClassRule("track", 0.03, 0.8),
    ClassRule("trail", 0.008, 2.0),
    ClassRule("transmission tower", 0.003, 0.5),
    ClassRule("trees", 0.012, 1.2),
    ClassRule("water", 0.03, 1.2),
    ClassRule("wetland", 0.3, 0.8),
    ClassRule("wind turbine", 0.0025, 0.4),
)
CLASSES = tuple(rule.name for rule in RULES)
# The small edition: things of which a network can learn something from a thousand pictures.
SMALL_CLASSES = (
    "airplane",
    "bare soil",
    "baseball diamond",
    "bridge",
    "buildings",
    "cars",
    "containers",
    "dock",
    "field",
    "forest",
    "grass",
    "parking lot",
    "pavement",
    "road",
    "sand",
    "ships",
    "swimming pool",
    "tennis court",
    "trees",
    "water",
)


Points = npt.NDArray[np.floating]
Number = float | npt.NDArray[np.floating]

CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


def placed(outline: Points, x: Number, y: Number, angle: Number) -> Points:
    """An outline of shape (k, 2) or (n, k, 2), turned and moved; numbers may have shape (n,)."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    across, down = outline[..., 0], outline[..., 1]
    column = across * cos - down * sin + np.asarray(x)[..., None]
    row = across * sin + down * cos + np.asarray(y)[..., None]
    return np.stack([column, row], axis=-1)


def rectangle(x: Number, y: Number, length: Number, width: Number, angle: Number) -> Points:
    """Rectangles of shape (4, 2), or (n, 4, 2) from numbers of shape (n,)."""
    sides = np.stack([np.asarray(length), np.asarray(width)], axis=-1)
    return placed(CORNERS * sides[..., None, :], x, y, angle)


def blob(
    rng: np.random.Generator, x: float, y: float, radius: float, rough: float = 0.25
) -> Points:
    """A closed, smooth, irregular outline of shape (48, 2)."""
    turns = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    order = np.arange(2, 7)[:, None]
    waves = np.cos(order * turns + rng.uniform(0, 2 * np.pi, (5, 1))) * rng.normal(0, 1, (5, 1))
    radii = radius * np.maximum(1 + rough * (waves / order).sum(axis=0), 0.3)
    return np.stack([x + radii * np.cos(turns), y + radii * np.sin(turns)], axis=1)


def arc(x: float, y: float, radius: float, start: float, end: float, count: int = 24) -> Points:
    """Points on a circle from one angle to another, of shape (count, 2)."""
    turns = np.linspace(start, end, count)
    return np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1)


def bent(start: Points, end: Points, bend: float, count: int = 24) -> Points:
    """A curve from start to end that strays ``bend`` metres to one side, of shape (count, 2)."""
    step = end - start
    normal = np.array([-step[1], step[0]]) / max(float(np.hypot(*step)), 1e-9)
    along = np.linspace(0, 1, count)[:, None]
    return start + along * step + 4 * bend * along * (1 - along) * normal


def winding(rng: np.random.Generator, span: float, sway: float, angle: float) -> Points:
    """A winding line through the origin, ``2 * span`` metres long, of shape (48, 2)."""
    along = np.linspace(-span, span, 48)
    order = np.array([1.0, 2.0, 3.0])[:, None]
    swing = np.sin(order * np.pi * along / span + rng.uniform(0, 2 * np.pi, (3, 1))) / order
    return placed(np.stack([along, sway * swing.sum(axis=0)], axis=1), 0.0, 0.0, angle)


def strip(line: Points, width: Number) -> Points:
    """The outline of a band along a line of k points; ``width`` may have shape (k,)."""
    slope = np.gradient(line, axis=0)
    slope /= np.maximum(np.hypot(slope[:, 0], slope[:, 1]), 1e-9)[:, None]
    normal = np.stack([-slope[:, 1], slope[:, 0]], axis=1)
    half = normal * np.broadcast_to(np.asarray(width) / 2, len(line))[:, None]
    return np.concatenate([line + half, (line - half)[::-1]])


def beside(line: Points, offset: float) -> Points:
    """The line that runs ``offset`` metres to the right of another."""
    slope = np.gradient(line, axis=0)
    slope /= np.maximum(np.hypot(slope[:, 0], slope[:, 1]), 1e-9)[:, None]
    return line + offset * np.stack([-slope[:, 1], slope[:, 0]], axis=1)


def stations(
    line: Points, places: npt.NDArray[np.floating]
) -> tuple[Points, npt.NDArray[np.floating]]:
    """Points at distances along a line, of shape (n, 2), and the line's direction there."""
    steps = np.diff(line, axis=0)
    reached = np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])
    x, y = (np.interp(places, reached, line[:, axis]) for axis in (0, 1))
    segment = np.clip(np.searchsorted(reached, places) - 1, 0, len(steps) - 1)
    return np.stack([x, y], axis=1), np.arctan2(steps[segment, 1], steps[segment, 0])


def length_of(line: Points) -> float:
    """Length of a line in metres."""
    steps = np.diff(line, axis=0)
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())


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
class Appearance:
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
    Surface.GRASS: Appearance(("grass",), 0.13, 0.09),
    # Grass and clay that are kept: nothing is planted or built there.
    Surface.TURF: Appearance(("grass",), 0.06, 0.06),
    Surface.CLAY: Appearance(("bare soil",), 0.05, 0.05),
    Surface.SOIL: Appearance(("bare soil",), 0.12, 0.07),
    Surface.SAND: Appearance(("sand",), 0.05, 0.04),
    Surface.SNOW: Appearance(("snow",), 0.03, 0.02),
    Surface.ROCK: Appearance((), 0.12, 0.12),
    Surface.CROP: Appearance(("field",), 0.06, 0.05),
    Surface.SHRUB: Appearance(("chaparral",), 0.1, 0.15),
    Surface.CROWN: Appearance(("trees",), 0.08, 0.16),
    Surface.REED: Appearance((), 0.15, 0.12),
    Surface.WATER: Appearance(("water",), 0.05, 0.025),
    Surface.SEA: Appearance(("sea", "water"), 0.07, 0.04),
    Surface.POOL: Appearance(("swimming pool", "water"), 0.03, 0.02),
    Surface.ASPHALT: Appearance(("pavement",), 0.06, 0.04),
    Surface.ROAD: Appearance(("road", "pavement"), 0.04, 0.04),
    Surface.FREEWAY: Appearance(("freeway", "road", "pavement"), 0.04, 0.04),
    Surface.RUNWAY: Appearance(("runway", "pavement"), 0.05, 0.04),
    Surface.RAIL: Appearance(("railway",), 0.06, 0.1),
    Surface.TRAIL: Appearance(("trail",), 0.06, 0.06),
    Surface.ROOF: Appearance(("buildings",), 0.04, 0.04),
    Surface.FACTORY: Appearance(("factory", "buildings"), 0.04, 0.03),
    Surface.HOME: Appearance(("mobile home", "buildings"), 0.02, 0.03),
    Surface.GLASSHOUSE: Appearance(("greenhouse",), 0.05, 0.05),
    Surface.TANK: Appearance(("tanks",), 0.03, 0.02),
    Surface.CONTAINER: Appearance(("containers",), 0.05, 0.05),
    Surface.CAR: Appearance(("cars",), 0.0, 0.03),
    Surface.SHIP: Appearance(("ships",), 0.02, 0.03),
    Surface.AIRPLANE: Appearance(("airplane",), 0.01, 0.02),
    Surface.PIER: Appearance(("dock",), 0.06, 0.05),
    Surface.TRACK: Appearance(("track",), 0.03, 0.03),
    Surface.TURBINE: Appearance(("wind turbine",), 0.0, 0.02),
    Surface.PYLON: Appearance(("transmission tower",), 0.0, 0.03),
    Surface.CLOUD: Appearance(("cloud",), 0.0, 0.0),
    Surface.OTHER: Appearance((), 0.04, 0.04),
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


Floats = npt.NDArray[np.floating]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# cv2 takes coordinates in sixteenths of a pixel.
SHIFT = 4
SHADOW_LIGHT = np.array([0.40, 0.43, 0.52], np.float32)
OPEN = np.isin(np.arange(256), OPEN_GROUND)
NAVIGABLE = np.isin(np.arange(256), NAVIGABLE_WATER)


class Canvas:
    """A scene while it is drawn.

    Parameters
    ----------
    side
        P.
    metres
        Width of the ground that is seen.
    rng
        Source of everything that is random in the scene.

    Attributes
    ----------
    image
        RGB colours before light and texture, uint8 of shape (P, P, 3).
    surface
        ``Surface`` of each pixel, uint8 of shape (P, P).
    shadow
        255 where the sun does not reach, uint8 of shape (P, P).
    zones
        Class name to uint8 mask of shape (P, P), 1 inside.
    sun
        Shift in metres (x, y) of the shadow of a point one metre high.
    busy
        Share of the usual traffic that is there; on a quiet morning there is nearly none.
    """

    def __init__(self, side: int, metres: float, rng: np.random.Generator) -> None:
        self.side, self.metres, self.rng = side, metres, rng
        self.half = metres / 2
        self.pixel = metres / side
        self.palette = draw_palette(rng)
        self.image: Bytes = np.zeros((side, side, 3), np.uint8)
        self.surface: Bytes = np.zeros((side, side), np.uint8)
        self.shadow: Bytes = np.zeros((side, side), np.uint8)
        self.zones: dict[str, Bytes] = {}
        self.busy = 1.0 if rng.random() < 0.75 else 0.05
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.15)
        self.sun = np.array([np.cos(azimuth), np.sin(azimuth)]) / -np.tan(elevation)

    def pixels(self, metres: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Points or lengths-from-the-middle in metres as cv2's fixed-point pixels."""
        places = np.asarray(metres) / self.pixel + (self.side - 1) / 2
        return np.rint(places * (1 << SHIFT)).astype(np.int32)

    def grid(self) -> tuple[Floats, Floats]:
        """World coordinates of the columns, of shape (1, P), and of the rows, of shape (P, 1)."""
        axis = (np.arange(self.side, dtype=np.float32) - (self.side - 1) / 2) * self.pixel
        axis = axis.astype(np.float32)
        return axis[None, :], axis[:, None]

    def mask(self, shape: Points) -> Mask:
        """Which pixels lie inside an outline."""
        inside = np.zeros((self.side, self.side), np.uint8)
        cv2.fillPoly(inside, [self.pixels(shape)], 1, cv2.LINE_8, SHIFT)
        return inside.astype(bool)

    def everywhere(self) -> Mask:
        """A mask of every pixel."""
        return np.ones((self.side, self.side), bool)

    def distance_to(self, line: Points) -> Floats:
        """Distance in metres of every pixel from a line."""
        ink = np.full((self.side, self.side), 255, np.uint8)
        cv2.polylines(ink, [self.pixels(line)], False, 0, 1, cv2.LINE_8, SHIFT)
        away: Floats = cv2.distanceTransform(ink, cv2.DIST_L2, 3) * np.float32(self.pixel)
        return away

    def noise(self, size: float, octaves: int = 3) -> Floats:
        """Smooth random field, about standard normal, of shape (P, P).

        ``size`` is the extent of its largest lumps in metres; each octave halves it.
        """
        field: Floats = np.zeros((self.side, self.side), np.float32)
        weight = total = 1.0
        for octave in range(octaves):
            cells = int(np.clip(self.metres / size * 2**octave, 1, self.side / 2)) + 3
            knots = self.rng.standard_normal((cells, cells), dtype=np.float32)
            field += weight * cv2.resize(
                knots, (self.side, self.side), interpolation=cv2.INTER_CUBIC
            )
            weight *= 0.55
            total += weight**2
        field *= 1.3 / np.sqrt(total)
        return field

    def lay(self, surface: Surface, colour: Colour) -> None:
        """Cover everything."""
        self.image[:] = np.clip(colour, 0, 255)
        self.surface[:] = surface

    def cover(self, mask: Mask, surface: Surface, colour: Colour | Floats) -> None:
        """Cover the pixels of a mask, with one colour or with a picture of shape (P, P, 3)."""
        layer = np.asarray(colour, np.float32)
        layer = layer if layer.ndim == 1 else layer[mask]
        self.image[mask] = np.clip(layer, 0, 255)
        self.surface[mask] = surface

    def fill(self, shape: Points, surface: Surface, colour: Colour, height: float = 0.0) -> None:
        """Draw one shape (k, 2) or several (n, k, 2); those of some height cast shadows."""
        outlines = list(self.pixels(shape if shape.ndim == 3 else shape[None]))
        if height:
            self._cast(outlines, height)
        cv2.fillPoly(self.image, outlines, colour, cv2.LINE_8, SHIFT)
        cv2.fillPoly(self.surface, outlines, int(surface), cv2.LINE_8, SHIFT)
        if height:
            cv2.fillPoly(self.shadow, outlines, 0, cv2.LINE_8, SHIFT)

    def _cast(self, outlines: list[npt.NDArray[np.int32]], height: float) -> None:
        step = np.rint(self.sun * height / self.pixel * (1 << SHIFT)).astype(np.int32)
        for outline in outlines:
            hull = cv2.convexHull(np.concatenate([outline, outline + step]))
            cv2.fillConvexPoly(self.shadow, hull, 255, cv2.LINE_8, SHIFT)

    def mark(self, shape: Points, colour: Colour) -> None:
        """Paint shapes that change the colour of what is there and not what it is."""
        outlines = list(self.pixels(shape if shape.ndim == 3 else shape[None]))
        cv2.fillPoly(self.image, outlines, colour, cv2.LINE_8, SHIFT)

    def line(self, points: Points, width: float, colour: Colour, closed: bool = False) -> None:
        """Paint a line, at least one drawn pixel wide, as ``mark`` does."""
        thick = max(1, round(width / self.pixel))
        outline = [self.pixels(points)]
        cv2.polylines(self.image, outline, closed, colour, thick, cv2.LINE_8, SHIFT)

    def disc(
        self, x: float, y: float, radius: float, surface: Surface, colour: Colour, height: float = 0
    ) -> None:
        """Draw a disc, with the shadow of a cylinder where it has a height."""
        (column, row), size = self.pixels([x, y]).tolist(), self._length(radius)
        if height:
            step = np.rint(self.sun * height / self.pixel * (1 << SHIFT)).astype(int)
            for share in (0.25, 0.5, 0.75, 1.0):
                centre = (column + int(share * step[0]), row + int(share * step[1]))
                cv2.circle(self.shadow, centre, size, 255, -1, cv2.LINE_8, SHIFT)
            cv2.circle(self.shadow, (column, row), size, 0, -1, cv2.LINE_8, SHIFT)
        cv2.circle(self.image, (column, row), size, colour, -1, cv2.LINE_8, SHIFT)
        cv2.circle(self.surface, (column, row), size, int(surface), -1, cv2.LINE_8, SHIFT)

    def spot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Paint a disc that changes the colour of what is there and not what it is."""
        column, row = self.pixels([x, y]).tolist()
        cv2.circle(self.image, (column, row), self._length(radius), colour, -1, cv2.LINE_8, SHIFT)

    def _length(self, metres: float) -> int:
        return max(1, round(metres / self.pixel * (1 << SHIFT)))

    def zone(self, name: str, area: Points | Mask) -> None:
        """Count an outline, or a mask of shape (P, P), as part of the place called ``name``."""
        inside = self.zones.setdefault(name, np.zeros((self.side, self.side), np.uint8))
        if area.dtype == bool:
            inside |= area.view(np.uint8)
        else:
            cv2.fillPoly(inside, [self.pixels(area)], 1, cv2.LINE_8, SHIFT)

    def whole(self, name: str) -> None:
        """Count the whole scene as the place called ``name``."""
        self.zones[name] = np.ones((self.side, self.side), np.uint8)

    def moved(self, mask: Mask, shift: npt.ArrayLike) -> Mask:
        """A mask displaced by (x, y) metres; what comes in from outside mirrors the rim."""
        right, down = (np.asarray(shift) / self.pixel).tolist()
        move = np.array([[1, 0, round(right)], [0, 1, round(down)]], np.float32)
        shifted = cv2.warpAffine(
            mask.view(np.uint8),
            move,
            (self.side, self.side),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REFLECT,
        )
        return shifted.view(bool)

    def at(self, x: float, y: float) -> Surface | None:
        """What lies at a point; None outside of the picture."""
        column, row = (round(place / self.pixel + (self.side - 1) / 2) for place in (x, y))
        if not (0 <= column < self.side and 0 <= row < self.side):
            return None
        return Surface(self.surface[row, column])

    def is_open(self, points: Points) -> Mask:
        """Which points of shape (..., 2) lie in the picture, on open ground."""
        return self._lies_on(OPEN, points)

    def is_navigable(self, points: Points) -> Mask:
        """Which points of shape (..., 2) lie in the picture, on water for ships."""
        return self._lies_on(NAVIGABLE, points)

    def _lies_on(self, wanted: Mask, points: Points) -> Mask:
        places = np.rint(points / self.pixel + (self.side - 1) / 2).astype(np.intp)
        within = ((places >= 0) & (places < self.side)).all(axis=-1)
        places = np.clip(places, 0, self.side - 1)
        found: Mask = wanted[self.surface[places[..., 1], places[..., 0]]] & within
        return found

    def lit(self) -> Floats:
        """The finished scene in light and shade with its texture, of shape (P, P, 3)."""
        slow = self.noise(max(self.metres / 8, 4 * self.pixel), 4)
        fine = self.rng.standard_normal(self.surface.shape, dtype=np.float32)
        light = cv2.LUT(self.surface, SLOW) * slow + cv2.LUT(self.surface, FINE) * fine
        light += 1
        dark = self.shadow > 127
        scene: Floats = self.image.astype(np.float32) * light[:, :, None]
        scene[dark] *= SHADOW_LIGHT
        return scene


def shares(surface: Bytes, zones: dict[str, Bytes]) -> npt.NDArray[np.float64]:
    """Share of a picture that each of the 60 classes visibly fills, of shape (60,)."""
    counts = np.bincount(surface.ravel(), minlength=len(Surface))[: len(Surface)] @ COUNTS_FOR
    clear = surface != Surface.CLOUD
    for name, inside in zones.items():
        counts[CLASSES.index(name)] += np.count_nonzero(inside.view(bool) & clear)
    return counts / surface.size
