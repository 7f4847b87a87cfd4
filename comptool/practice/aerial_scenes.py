"""Aerial scenes as tables of classes, surfaces, things and scenes, and the renderer of them all.

A scene is drawn from the ground up at twice the resolution of the picture and then photographed.
Whatever is drawn overwrites what lies under it, so that at the end every pixel knows the surface
that is visible there, and each surface counts for some classes. A *zone* is a class that is a place
and not a thing (a harbour, a golf course): it stays itself under the cars and trees on it, and only
cloud hides it.

The 60 classes are those of the label table behind AICOSS in its order and spelling ("habor" is the
harbour), and the kinds of scene are its 46 categories (MLRSNet; Qi et al. 2020, "MLRSNet: a
multi-label high spatial resolution remote sensing dataset for semantic scene understanding"), with
two more for football fields without a track and for ships on open water.
Letters: S pixels along a side of the picture, P = 2 S drawn ones; n things, m outlines of k corners
in one; x to the right, y down, in metres from the middle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Range = tuple[float, float]
Colour = tuple[int, int, int]
Floats = npt.NDArray[np.floating]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClassRule:
    """One class."""

    name: str  # of its column
    least: float  # share of the picture, 0 to 1, that it must fill to be true
    missed: float  # relative rate at which labellers overlook it; 1 is usual


RULES = tuple(
    ClassRule(*row)
    for row in (
        ("airplane", 0.004, 0.5), ("airport", 0.3, 1.0), ("bare soil", 0.04, 2.0),
        ("baseball diamond", 0.03, 0.4), ("basketball court", 0.015, 0.8), ("beach", 0.05, 0.5),
        ("bridge", 0.02, 0.7), ("buildings", 0.003, 1.0), ("cars", 0.0012, 1.8),
        ("chaparral", 0.03, 1.3), ("cloud", 0.05, 0.8), ("containers", 0.02, 0.5),
        ("crosswalk", 0.004, 2.2), ("dense residential area", 0.25, 0.9), ("desert", 0.3, 0.8),
        ("dock", 0.002, 1.0), ("factory", 0.05, 1.2), ("field", 0.08, 1.3),
        ("football field", 0.04, 1.2), ("forest", 0.2, 1.0), ("freeway", 0.06, 0.8),
        ("golf course", 0.3, 0.4), ("grass", 0.05, 1.4), ("greenhouse", 0.02, 0.5),
        ("gully", 0.1, 0.8), ("habor", 0.2, 0.7), ("intersection", 0.02, 1.1),
        ("island", 0.04, 0.6), ("lake", 0.06, 0.7), ("mobile home", 0.04, 0.6),
        ("mountain", 0.3, 0.7), ("overpass", 0.015, 0.7), ("park", 0.3, 1.3),
        ("parking lot", 0.03, 1.2), ("parkway", 0.06, 1.0), ("pavement", 0.05, 1.2),
        ("railway", 0.02, 0.8), ("railway station", 0.04, 1.1), ("river", 0.06, 0.8),
        ("road", 0.015, 1.2), ("roundabout", 0.03, 0.5), ("runway", 0.03, 0.6),
        ("sand", 0.03, 1.6), ("sea", 0.08, 0.8), ("ships", 0.003, 0.9), ("snow", 0.08, 0.9),
        ("snowberg", 0.3, 0.6), ("sparse residential area", 0.3, 1.0), ("stadium", 0.1, 0.3),
        ("swimming pool", 0.005, 1.0), ("tanks", 0.02, 0.4), ("tennis court", 0.015, 0.5),
        ("terrace", 0.2, 0.7), ("track", 0.03, 0.8), ("trail", 0.008, 2.0),
        ("transmission tower", 0.003, 0.5), ("trees", 0.012, 1.2), ("water", 0.03, 1.2),
        ("wetland", 0.3, 0.8), ("wind turbine", 0.0025, 0.4),
    )
)  # fmt: skip
CLASSES = tuple(rule.name for rule in RULES)
# The small edition: things of which a network can learn something from a thousand pictures.
SMALL_CLASSES = (
    "airplane", "bare soil", "baseball diamond", "bridge", "buildings", "cars", "containers",
    "dock", "field", "forest", "grass", "parking lot", "pavement", "road", "sand", "ships",
    "swimming pool", "tennis court", "trees", "water",
)  # fmt: skip


@dataclass(frozen=True)
class Surface:
    """What a pixel may show."""

    name: str
    classes: str  # that its pixels count for, with commas
    first: Colour  # each scene has one colour between the first and the second
    second: Colour
    slow: float = 0.04  # standard deviation of its light over metres, a share
    fine: float = 0.04  # the same from pixel to pixel
    stripe: float = 0.0  # strength of ripples, a share
    period: float = 8.0  # drawn pixels from one ripple to the next
    bend: float = 0.0  # how ripples wind
    canopy: float = 0.0  # strength of the pattern of tree crowns


SURFACES = tuple(
    Surface(*row)
    for row in (
        ("grass", "grass", (152, 142, 92), (78, 116, 58), 0.13, 0.09),
        ("turf", "grass", (128, 150, 84), (84, 138, 66), 0.05, 0.06),
        ("soil", "bare soil", (190, 162, 130), (150, 98, 70), 0.12, 0.07),
        ("clay", "bare soil", (186, 128, 88), (198, 158, 118), 0.05, 0.05),
        ("sand", "sand", (222, 204, 164), (206, 170, 124), 0.05, 0.04),
        ("dune", "sand", (224, 196, 150), (216, 160, 108), 0.06, 0.03, 0.11, 34, 1.8),
        ("snow", "snow", (226, 232, 242), (242, 242, 242), 0.03, 0.02),
        ("rock", "", (134, 124, 114), (96, 88, 84), 0.12, 0.12),
        ("crop", "field", (150, 140, 86), (110, 128, 70), 0.06, 0.05),
        ("step", "field", (176, 160, 104), (110, 122, 70), 0.06, 0.05, 0.3, 26, 3.5),
        ("shrub", "chaparral", (98, 96, 66), (66, 74, 48), 0.1, 0.15, 0, 8, 0, 0.2),
        ("crown", "trees", (86, 92, 56), (36, 68, 36), 0.08, 0.13, 0, 8, 0, 0.5),
        ("reed", "", (128, 112, 70), (96, 108, 60), 0.15, 0.14),
        ("water", "water", (36, 66, 84), (98, 106, 80), 0.06, 0.025, 0.015, 11, 1.5),
        ("sea", "sea,water", (16, 58, 92), (44, 116, 134), 0.08, 0.04, 0.035, 11, 1.5),
        ("foam", "sea,water", (222, 230, 230), (232, 238, 238), 0.05, 0.05),
        ("shallow", "sea,water", (70, 142, 150), (104, 168, 164), 0.06, 0.04, 0.03, 11, 1.5),
        ("pool", "swimming pool,water", (64, 168, 206), (84, 204, 214), 0.03, 0.02),
        ("asphalt", "pavement", (88, 88, 92), (142, 140, 138), 0.06, 0.04),
        ("concrete", "pavement", (160, 156, 150), (200, 196, 188), 0.06, 0.04),
        ("road", "road,pavement", (84, 84, 88), (138, 136, 134), 0.04, 0.04),
        ("freeway", "freeway,road,pavement", (98, 98, 100), (150, 148, 144), 0.04, 0.04),
        ("runway", "runway,pavement", (82, 82, 86), (118, 116, 114), 0.05, 0.04),
        ("rail", "railway", (132, 118, 106), (104, 98, 94), 0.06, 0.1),
        ("trail", "trail", (206, 188, 156), (190, 164, 128), 0.06, 0.06),
        ("roof", "buildings", (176, 168, 156), (120, 112, 104)),
        ("hall", "factory,buildings", (150, 160, 166), (196, 198, 200), 0.04, 0.03),
        ("home", "mobile home,buildings", (206, 204, 198), (236, 234, 228), 0.02, 0.03),
        ("glass", "greenhouse", (214, 220, 224), (176, 190, 182), 0.05, 0.05),
        ("tank", "tanks", (226, 226, 222), (178, 180, 180), 0.03, 0.02),
        ("container", "containers", (170, 70, 50), (50, 90, 140), 0.05, 0.05),
        ("car", "cars", (196, 198, 200), (120, 124, 128), 0, 0.03),
        ("ship", "ships", (236, 236, 234), (196, 198, 200), 0.02, 0.03),
        ("plane", "airplane", (206, 206, 206), (246, 246, 246), 0.01, 0.02),
        ("pier", "dock", (190, 180, 164), (150, 140, 126), 0.06, 0.05),
        ("lane", "track", (178, 84, 66), (160, 92, 78), 0.03, 0.03),
        ("blade", "wind turbine", (244, 244, 244), (232, 232, 232), 0, 0.02),
        ("steel", "transmission tower", (206, 208, 210), (164, 166, 168), 0, 0.03),
        ("cloud", "cloud", (238, 240, 244), (238, 240, 244), 0, 0),
        ("train", "", (196, 200, 204), (120, 124, 128)),
    )
)  # fmt: skip
PLACE = {surface.name: index for index, surface in enumerate(SURFACES)}
COUNTS_FOR = np.array([[name in s.classes.split(",") for name in CLASSES] for s in SURFACES])
# Ground that something may be set on, by the word for it in `Put.on` and `Part.over`.
GROUNDS = {
    "open": ("grass", "soil", "sand"), "water": ("water", "sea", "shallow"),
    "paved": ("asphalt", "concrete"), "way": ("freeway", "rail", "road"),
}  # fmt: skip
WHITE, YELLOW, DARK = ((228, 228, 224),), ((206, 178, 84),), ((44, 50, 58),)
PAINTS = ((232, 232, 230), (232, 232, 230), (196, 198, 200), (120, 124, 128), (46, 48, 52),
          (28, 28, 30), (150, 40, 36), (48, 72, 120))  # fmt: skip
BOXES = ((170, 70, 50), (50, 90, 140), (190, 190, 186), (60, 120, 90), (200, 140, 60),
         (120, 60, 50), (90, 110, 130), (208, 204, 196))  # fmt: skip
ROOFS = ((150, 84, 66), (168, 104, 80), (132, 76, 66), (112, 108, 106), (136, 130, 124),
         (92, 92, 98), (176, 168, 156), (190, 188, 184))  # fmt: skip
FLAT = ((196, 192, 186), *ROOFS[3:], (150, 146, 140), (214, 210, 204))
METALS = ((92, 130, 168), (196, 198, 200), (150, 160, 166), (172, 92, 76), (96, 140, 132))
CROPS = ((96, 128, 62), (126, 142, 78), (168, 156, 96), (190, 172, 118), (150, 122, 90),
         (70, 104, 56), (134, 112, 84), (176, 170, 134))  # fmt: skip
COURTS = ((172, 92, 70), (64, 118, 78), (84, 110, 156), (182, 124, 84), (92, 70, 132))
REDS = ((178, 84, 66), (168, 100, 84), (156, 72, 60), (96, 112, 150))


@dataclass(frozen=True)
class Part:
    """One shape of a thing."""

    shape: str  # of OUTLINES, or "blob", "stripes" (across the thing) or "ribs" (along it)
    surface: str = ""  # what it is; "" for paint on what lies there
    box: tuple[float, float, float, float] = (0, 0, 1, 1)  # middle, length, width; shares
    colour: tuple[Colour, ...] | str = ()  # alternatives for a thing, or a surface's colour
    tone: float = 1.0  # a factor of the colour
    height: float = 0.0  # metres above the ground, for its shadow
    zone: str = ""  # the place that it counts for
    over: str = ""  # ground to which its zone and its shadow are limited
    every: float = 0.0  # metres from one stripe to the next
    duty: float = 0.5  # share of that which is painted
    stroke: float = 0.0  # metres; the outline alone is drawn, so wide
    chance: float = 1.0  # share of the things that have it
    lit: bool = False  # whether it is a slope that faces away from the thing's middle
    sunward: float = 0.0  # shift towards the sun, a share of the length


class Thing:
    """Parts in order, and the ranges of length and width in metres; length 0 is without end."""

    def __init__(self, length: Range, width: Range, *parts: Part) -> None:
        self.length, self.width, self.parts = length, width, parts


def _circle(start: float, end: float, count: int, power: float = 1.0) -> Floats:
    turns = np.linspace(start, end, count, endpoint=False) * np.pi
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return np.asarray(0.5 * np.sign(ring) * np.abs(ring) ** power)


def _mirrored(*half: tuple[float, float]) -> Floats:
    points = np.array(half, float)
    return np.concatenate([points, points[::-1] * [1, -1]])


def _star(arms: int, root: float, tip: float) -> Floats:
    blade = np.array([[root, -root], [0.5, -tip], [0.5, tip], [root, root]])
    turns = 2 * np.pi * np.arange(arms) / arms
    turned = [placed(blade, np.zeros(2), np.array(turn)) for turn in turns]
    return np.concatenate(turned)


def placed(outline: Floats, middle: Floats, angle: Floats) -> Floats:
    """Points of shape (..., k, 2), turned by angles (...) and moved by (..., 2)."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    across, down = outline[..., 0], outline[..., 1]
    turned = np.stack([across * cos - down * sin, across * sin + down * cos], axis=-1)
    return turned + middle[..., None, :]


OUTLINES = {
    "box": np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]),
    "disc": _circle(0, 2, 20),
    "oval": _circle(0, 2, 40, 0.75),
    "track": np.concatenate([_circle(-0.5, 0.5, 12) * [0.5, 1] + [0.25, 0],
                             _circle(0.5, 1.5, 12) * [0.5, 1] - [0.25, 0]]),
    "diamond": np.array([[-0.5, 0], [0, -0.5], [0.5, 0], [0, 0.5]]),
    "fan": np.concatenate([[[-0.5, 0]], _circle(-0.25, 0.27, 14) * 2 - [0.5, 0]]),
    "hull": _mirrored((0.5, 0), (0.34, 0.36), (0.1, 0.5), (-0.44, 0.48), (-0.5, 0.3)),
    "wake": _mirrored((0.5, 0.15), (-0.5, 0.5), (-0.5, 0.25), (0, 0)),
    "jet": _mirrored((0.5, 0), (0.46, 0.03), (0.4, 0.055), (0.14, 0.055), (-0.12, 0.5),
                     (-0.19, 0.5), (-0.09, 0.055), (-0.34, 0.045), (-0.46, 0.19), (-0.5, 0.19)),
    "propeller": _mirrored((0.5, 0), (0.44, 0.05), (0.26, 0.06), (0.24, 0.5), (0.04, 0.5),
                           (0.02, 0.05), (-0.34, 0.03), (-0.36, 0.17), (-0.48, 0.17)),
    "rotor": _star(3, 0.035, 0.008),
    "cross": placed(_star(4, 0.04, 0.03), np.zeros(2), np.array(np.pi / 4)),
}  # fmt: skip
CONVEX = ("box", "disc", "oval", "track", "blob")

P, T = Part, Thing


def _lines(wide: float, *downs: float, shape: str = "box", every: float = 0) -> list[Part]:
    """White lines along a thing, so wide a share of it, or broken ones."""
    return [P(shape, "", (0, y, 1, wide), WHITE, every=every) for y in downs]


def _frames(stroke: float, shape: str, *boxes: tuple[float, float, float, float]) -> list[Part]:
    return [P(shape, "", box, WHITE, stroke=stroke) for box in boxes]


def _slopes(colour: tuple[Colour, ...] | str) -> list[Part]:
    return [P("box", "", (0, y, 1, 0.5), colour, lit=True) for y in (-0.25, 0.25)]


def _road(*lanes: float, walk: float = 0.5) -> list[Part]:
    """A carriageway with lines between its lanes, and a walk beside some."""
    return [P("box", "concrete", (0, 0, 1, 1.5), chance=walk), P("box", "road"),
            *_lines(0.03, *lanes, shape="stripes", every=8),
            P("box", "", (0, 0, 1, 0.03), YELLOW)]  # fmt: skip


def _deck(zone: str, over: str) -> list[Part]:
    """A road that something carries over something else."""
    deck = P("box", "road", (0, 0, 1, 1.15), "concrete", height=9, zone=zone, over=over)
    return [deck, *_road(-0.25, 0.25)[1:]]


THINGS = {
    # Traffic and its ways.
    "car": T((4.1, 5.1), (1.7, 2.1), P("box", "car", colour=PAINTS, height=1.5),
      *(P("box", "", (x, 0, 0.12, 0.8), DARK) for x in (0.17, -0.3))),
    "road": T((0, 0), (6.5, 9), *_road()),
    "avenue": T((0, 0), (13, 17), *_road(-0.25, 0.25, walk=0.7), *_lines(0.02, -0.47, 0.47)),
    "freeway": T((0, 0), (24, 36), P("box", "asphalt", colour="concrete", tone=0.8),
      *(P("box", "freeway", (0, y, 1, 0.4)) for y in (-0.27, 0.27)),
      P("box", "grass", (0, 0, 1, 0.12), chance=0.6),
      *_lines(0.012, -0.34, -0.2, 0.2, 0.34, shape="stripes", every=9),
      *_lines(0.012, -0.46, -0.08, 0.08, 0.46)),
    "bridge": T((0, 0), (11, 24), *_deck("bridge", "water")),
    "overpass": T((0, 0), (11, 18), *_deck("overpass", "way")),
    "parkway": T((0, 0), (24, 30), P("box", "grass", zone="parkway"),
      *(P("box", "road", (0, y, 1, 0.3)) for y in (-0.35, 0.35)),
      *_lines(0.02, -0.35, 0.35, shape="stripes", every=8)),
    "rail": T((0, 0), (4.8, 4.8), P("box", "rail", (0, 0, 1, 1.1)), *_lines(0.04, -0.15, 0.15),
      P("stripes", "", (0, 0, 1, 0.55), "rail", 0.68, every=1.6)),
    "train": T((100, 150), (3, 3),
      P("stripes", "train", colour=METALS, every=25, duty=0.96, height=4)),
    "trail": T((0, 0), (2.5, 4.5), P("box", "trail"), P("box", "", (0, 0, 1, 0.3), "trail", 0.85)),
    "crosswalk": T((4, 4), (14, 16), P("ribs", colour=WHITE, every=1.5, zone="crosswalk")),
    "junction": T((27, 27), (27, 27), P("box", "", stroke=0.1, zone="intersection"),
      P("box", "road", (0, 0, 0.6, 0.6))),
    "roundabout": T((40, 54), (40, 54), P("disc", "concrete", (0, 0, 1.08, 1.08)),
      P("disc", "road", zone="roundabout"), P("disc", "grass", (0, 0, 0.55, 0.55))),
    "runway": T((650, 1100), (40, 60), P("box", "runway", (0, 0, 1.05, 1.3), "asphalt"),
      P("box", "runway"), *_lines(0.03, 0, shape="stripes", every=60), *_lines(0.03, -0.47, 0.47),
      *(P("ribs", "", (x, 0, 0.035, 0.8), WHITE, every=8) for x in (-0.46, 0.46))),
    "taxiway": T((0, 0), (20, 24), P("box", "asphalt"), P("box", "", (0, 0, 1, 0.03), YELLOW)),
    "jet": T((32, 56), (28, 49), P("jet", "plane", height=5),
      *(P("box", "", (0.05, y, 0.1, 0.05), METALS[1:3]) for y in (-0.19, 0.19))),
    "light plane": T((10.5, 14), (13, 17), P("propeller", "plane", height=2)),
    # Buildings and works.
    "house": T((12, 17), (8.5, 11), P("box", "concrete", (0.3, -0.9, 0.25, 1), chance=0.8),
      P("box", "roof", colour=ROOFS, height=5), *_slopes(ROOFS),
      P("box", "roof", (0.25, 0.45, 0.5, 0.7), ROOFS, 0.92, height=4, chance=0.45)),
    "block": T((22, 34), (15, 20), P("box", "roof", colour=FLAT, tone=1.14, height=13),
      P("box", "", (0, 0, 0.93, 0.9), FLAT), *(P("box", "", (x, y, 0.17, 0.2), FLAT[::-1], 0.8,
      chance=0.6) for x, y in ((-0.25, 0.2), (0.1, -0.2), (0.3, 0.15)))),
    "factory": T((45, 75), (28, 46), P("box", "hall", colour=METALS, height=9),
      P("ribs", colour=METALS, tone=0.8, every=9),
      P("stripes", "", (0, 0.2, 0.9, 0.06), WHITE, every=8, chance=0.6)),
    "mobile home": T((14, 18), (4.6, 6.8), P("box", "home", height=3.5), *_slopes("home"),
      P("box", "home", (0.2, 0.75, 0.45, 0.5), tone=0.8, height=2.5, chance=0.5)),
    "tunnel": T((44, 60), (7.6, 8), P("box", "glass", height=3),
      P("box", "", (0, -0.3, 1, 0.2), "glass", 0.75),
      P("stripes", colour="glass", tone=0.9, every=6, duty=0.12)),
    "car park": T((44, 80), (32, 32), P("box", "asphalt", zone="parking lot"), *(P("stripes", "",
      (0, y, 1, 0.16), WHITE, every=2.8, duty=0.1) for y in (-0.38, -0.08, 0.08, 0.38))),
    "yard": T((120, 240), (90, 170), P("box", "asphalt", colour="concrete", tone=0.85)),
    "tank": T((20, 42), (20, 42), P("box", "concrete", (0, 0, 1.4, 1.4), chance=0.75),
      P("disc", "tank", tone=0.8, height=12), P("disc", "tank", (0, 0, 0.93, 0.93)),
      P("disc", "", (0, 0, 0.8, 0.8), "tank", 0.88, chance=0.5),
      P("box", "", (0.25, 0, 0.5, 0.05), "tank", 0.65)),
    "container": T((12.2, 12.2), (2.5, 2.5), P("box", "container", colour=BOXES, height=5)),
    "aisle": T((0, 0), (9, 14), P("box", "asphalt"),
      P("stripes", "", (0, 0, 1, 0.03), YELLOW, every=8)),
    "platform": T((110, 170), (8, 8), P("box", "concrete", (0, 0, 1.1, 1), zone="railway station"),
      P("box", "roof", (0, 0, 0.75, 0.8), height=5),
      P("stripes", "", (0, 0, 0.75, 0.8), "roof", 0.8, every=6, duty=0.15)),
    "turbine": T((54, 72), (54, 72), P("disc", "soil", (0, 0, 0.5, 0.35)),
      P("disc", "", (0, 0, 0.03, 0.03), height=46), P("rotor", "blade", height=46),
      P("disc", "blade", (0, 0, 0.08, 0.08))),
    "pylon": T((15, 22), (15, 22), P("box", "soil", (0, 0, 0.8, 0.8)), *_lines(0.01, -0.6, 0, 0.6),
      P("box", "steel", (0, 0, 0.6, 0.6), stroke=1.2), P("cross", "steel", height=25),
      P("stripes", "steel", (0, 0, 0.6, 1.4), tone=1.15, every=4, duty=0.25, height=34)),
    # Ships and piers.
    "boat": T((8, 13), (2.6, 4), P("hull", "ship", height=1.5),
      P("box", "", (-0.05, 0, 0.34, 0.5), METALS, 1.1)),
    "yacht": T((14, 22), (4.5, 6.5), P("hull", "ship", height=2),
      P("box", "", (-0.05, 0, 0.4, 0.5), METALS)),
    "freighter": T((45, 90), (8, 15), P("wake", "", (-1, 0, 1.2, 1.6), "foam", 0.72, chance=0.6),
      P("hull", "ship", colour=BOXES[5:7], tone=0.8, height=4),
      P("hull", "", (0, 0, 0.92, 0.75), CROPS[4:5]), P("box", "", (-0.36, 0, 0.16, 0.6), WHITE),
      P("stripes", "", (0.06, 0, 0.6, 0.5), BOXES, every=10, duty=0.8)),
    "pier": T((40, 52), (2.6, 3), P("box", "pier", height=1.5)),
    "quay": T((0, 0), (300, 300), P("box", "concrete", height=2),
      P("box", "grass", (0, 0.03, 1, 1)), P("box", "soil", (0, 0.03, 1, 1), chance=0.4),
      P("box", "road", (0, -0.435, 1, 0.03))),
    # Sport and leisure.
    "tennis court": T((36, 36), (17.5, 17.5),
      P("box", "asphalt", colour=COURTS[::-1], zone="tennis court"),
      P("box", "", (0, 0, 0.66, 0.62), COURTS), *_frames(0.3, "box", (0, 0, 0.66, 0.62), (0, 0,
      0.66, 0.46), (0, 0, 0.36, 0.46), (0, 0, 0, 0.7))),
    "basketball court": T((32, 32), (19, 19),
      P("box", "asphalt", colour=COURTS, tone=0.86, zone="basketball court"),
      P("box", "", (0, 0, 0.88, 0.8), COURTS),
      *(P("box", "", (x, 0, 0.18, 0.26), COURTS[::-1]) for x in (-0.34, 0.34)),
      *_frames(0.3, "box", (0, 0, 0.88, 0.8), (0, 0, 0, 0.8)),
      *_frames(0.3, "disc", (-0.36, 0, 0.34, 0.66), (0.36, 0, 0.34, 0.66))),
    "diamond": T((62, 95), (62, 95), P("fan", "clay", (0, 0, 1.08, 1.08)),
      P("fan", "turf", zone="baseball diamond"), P("disc", "clay", (-0.24, 0, 0.6, 0.62)),
      P("diamond", "turf", (-0.25, 0, 0.38, 0.38)),
      *(P("disc", "clay", (x, 0, 0.08, 0.08)) for x in (-0.24, -0.46))),
    "football field": T((80, 108), (50, 66), P("box", "turf", zone="football field"),
      P("stripes", colour="turf", tone=1.1, every=11, chance=0.7), *_frames(0.6, "box", (0, 0, 0.94,
      0.92), (0, 0, 0, 0.92), (-0.4, 0, 0.14, 0.5), (0.4, 0, 0.14, 0.5)),
      *_frames(0.6, "disc", (0, 0, 0.18, 0.29))),
    "track": T((110, 175), (58, 92), P("box", "concrete", (0, 0, 1.08, 1.12), chance=0.6),
      P("track", "lane", colour=REDS), P("track", "turf", (0, 0, 0.85, 0.72)),
      *_frames(0.3, "track", (0, 0, 0.93, 0.86))),
    "stadium": T((150, 220), (120, 176), P("oval", "concrete", (0, 0, 1.28, 1.32)),
      P("oval", "roof", height=20, zone="stadium"), P("oval", "", (0, 0, 0.88, 0.88), METALS[:4]),
      P("oval", "", (0, 0, 0.78, 0.78), METALS[:4], 0.8, stroke=1.5),
      P("oval", "turf", (0, 0, 0.68, 0.68)),
      P("oval", "lane", (0, 0, 0.68, 0.68), REDS, chance=0.35)),
    "pool": T((7, 11), (4, 6), P("box", "concrete", (0, 0, 1.35, 1.5)), P("box", "pool")),
    "large pool": T((13, 23), (8, 12), P("box", "concrete", (0, 0, 1.6, 1.9)),
      P("box", "pool", chance=0.6), P("blob", "pool", (0, 0, 1.1, 1.1)),
      P("stripes", "", (0, 0.84, 1.4, 0.12), WHITE, every=4, chance=0.7)),
    "fairway": T((70, 130), (24, 42), P("blob", "turf", tone=1.15),
      P("blob", "turf", (0.36, 0, 0.2, 0.55), tone=1.35), *(P("blob", "sand", (x, y, 0.12, 0.3),
      tone=1.06, chance=0.7) for x, y in ((0.5, 0.3), (0.3, -0.5), (0.1, 0.55)))),
    # Plants, ground and water.
    "tree": T((5, 9), (5, 9), P("disc", "crown", tone=0.74, height=5),
      P("blob", "", (0, 0, 0.74, 0.74), "crown", 1.15, sunward=0.12),
      P("disc", "", (0, 0, 0.3, 0.3), "crown", 1.4, sunward=0.2)),
    "parcel": T((60, 140), (60, 140), P("box", "crop", (0, 0, 1.3, 1.3), CROPS),
      P("ribs", "", (0, 0, 1.3, 1.3), CROPS, 0.9, every=9)),
    "meadow": T((55, 110), (40, 80), P("box", "grass")),
    "grove": T((40, 54), (40, 54), P("blob", "crown", zone="forest", height=5)),
    "pond": T((40, 72), (34, 58), P("blob", "soil", (0, 0, 1.1, 1.1)),
      P("blob", "water", zone="lake")),
    "bare patch": T((36, 48), (36, 48), P("blob", "soil")),
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """Ground that covers where a field is above a level.

    Fields: ``flat`` (everywhere), ``patchy`` (noise), ``veins`` (-|noise|, so narrow bands),
    ``shore`` (rises to one side), ``round`` (falls from the middle), ``band`` (falls from a line
    along the scene), ``same`` (the field and level of the layer before, to which its own is added).
    """

    surface: str
    field: str = "flat"
    level: Range = (0, 0)
    size: float = 0.33  # width of the lumps of noise, a share of the scene's
    chance: float = 1.0  # share of the scenes that have it
    zone: str = ""  # the place that it counts for
    tone: float = 1.0


@dataclass(frozen=True)
class Put:
    """Things set into the scene."""

    thing: str
    n: tuple[int, int] = (1, 1)  # range of their number, of the columns where there is a grid
    rows: tuple[int, int] = (1, 1)  # range of the rows; 0 of either fills the scene
    grid: Range = (0, 0)  # metres from one column and from one row to the next
    at: Range = (0, 0)  # metres from the middle
    near: float = 0.0  # random shift, a share of the scene's width
    turn: float | None = 0.0  # radians against the scene; None = at random
    follow: bool = False  # whether places count from the last things put without, and turn too
    on: str = ""  # ground that they have to stand on
    keep: float = 1.0  # share of the places that are used
    limit: int = 999  # and at most so many
    chance: float = 1.0  # share of the scenes that have it


Step = Layer | Put
FILL, ACROSS = (0, 0), np.pi / 2


def _some(thing: str, most: int, least: int = 0, on: str = "open", chance: float = 1.0) -> Put:
    """Things anywhere on such ground."""
    return Put(thing, (least, most), near=0.5, on=on, turn=None, chance=chance)


def _by(thing: str, *args: Any, **more: Any) -> Put:
    """Things beside those before."""
    return replace(Put(thing, *args, **more), follow=True)


def _cars(gap: float, *lanes: float) -> tuple[Put, ...]:
    """Cars on the lanes, metres beside the middle of the road before."""
    return tuple(_by("car", FILL, grid=(gap, 0), at=(0, y), keep=0.5) for y in lanes)


def _street(down: float, chance: float) -> tuple[Put, ...]:
    """A road ``down`` metres from the middle, and its cars."""
    return (Put("road", at=(0, down), chance=chance), *_cars(16, -2, 2))


def _arm(turn: float) -> tuple[Put, ...]:
    """One of two avenues that cross, with crosswalks before the junction."""
    walks = _by("crosswalk", (2, 2), grid=(24, 0), chance=0.85)
    return (Put("avenue", turn=turn), *_cars(13, -5, -2, 2, 5), walks)


def _trail(near: float, chance: float) -> Put:
    return Put("trail", near=near, chance=chance)


def _ground(low: float, high: float) -> tuple[Layer, Layer]:
    """Grass, often with soil where noise is above a level between two."""
    return (Layer("grass"), Layer("soil", "patchy", (low, high), chance=0.75))


def _wood(low: float, high: float, chance: float = 0.35, zone: str = "forest") -> Layer:
    return Layer("crown", "patchy", (low, high), 0.25, chance, zone)


def _edges(down: float) -> tuple[Step, ...]:
    """What borders a sports ground: a street ``down`` metres away, a car park, buildings."""
    return (*_street(down, 0.55),
            Put("car park", at=(0, -down - 10), on="open", chance=0.3),
            _some("car", 60, 30, "paved", 0.25), TOWN, VILLAGE, _some("tree", 50, 2))  # fmt: skip


TREES = _some("tree", 60, 8)
TOWN = Put("block", FILL, FILL, (48, 44), near=0.2, on="open", keep=0.5, chance=0.35)
VILLAGE = Put("house", FILL, FILL, (26, 28), near=0.2, on="open", keep=0.3, chance=0.2)
PARCELS = Put("parcel", FILL, FILL, (110, 100), near=0.3)
AROUND_IT = (TOWN, VILLAGE, TREES)


class SceneKind:
    """One kind of scene.

    ``metres`` is the range of the width of the ground that is seen; ``weight`` and ``small`` say
    how often it is met in the full and in the small edition, relative to the others. ``steps`` are
    drawn in order; ``whole`` are places that all of it counts for, with commas; ``warp`` is how far
    straight lines stray, a share of the scene's width, and ``relief`` how strongly slopes show.
    """

    def __init__(
        self, name: str, metres: Range, weight: float, small: float, *steps: Step,
        whole: str = "", warp: float = 0.0, relief: float = 0.0,
    ) -> None:  # fmt: skip
        self.name, self.metres, self.weight, self.small = name, metres, weight, small
        self.steps, self.whole, self.warp, self.relief = steps, whole, warp, relief


K, L = SceneKind, Layer
KINDS = (
    K("airplane", (90, 170), 1.6, 1.6, L("concrete", tone=0.85),
      L("concrete", tone=0.85, zone="airport", chance=0.45), Put("meadow", near=0.6, chance=0.35),
      Put("block", rows=(3, 3), grid=(0, 23), at=(0, -62), chance=0.4),
      Put("jet", FILL, grid=(54, 0), at=(5, 8), near=0.1, turn=ACROSS, keep=0.8),
      Put("light plane", FILL, (1, 2), (20, 18), (0, 40), turn=ACROSS, keep=0.7, chance=0.35),
      _some("car", 20, 5, "paved")),
    K("airport", (600, 900), 1.4, 0, *_ground(-0.2, 1.8), Put("runway", near=0.25),
      _by("taxiway", at=(0, 165)), _by("yard", at=(0, 255), chance=0.75),
      _by("block", (8, 12), (2, 2), (40, 30), (0, 370), chance=0.75),
      _by("jet", (6, 8), grid=(50, 0), at=(0, 250), turn=ACROSS, on="paved"), _some("grove", 9),
      whole="airport"),
    K("bareland", (100, 300), 1.6, 1.5, L("soil"), L("soil", "patchy", (-0.5, 0.8), tone=1.14),
      L("grass", "patchy", (0.9, 2.4), chance=0.7), _trail(0.3, 0.55), _some("tree", 7), warp=0.1),
    K("baseball diamond", (90, 140), 0.8, 1.2, *_ground(0.8, 2.2), Put("diamond", near=0.08),
      *_edges(52)),
    K("basketball court", (70, 110), 1.4, 0, *_ground(0.8, 2.4), L("concrete", chance=0.2),
      Put("basketball court", (1, 2), (1, 2), (33, 20), near=0.1), *_edges(36)),
    K("beach", (120, 300), 2.2, 2.0, *_ground(1.2, 2.6), _wood(-0.4, 1.6, 0.6, ""), VILLAGE,
      L("sand", "shore", (-0.6, -0.1), tone=1.06, zone="beach"),
      L("sand", "same", (0.35, 0.5), tone=0.86), L("foam", "same", (0.04, 0.06)),
      L("shallow", "same", (0.02, 0.05)), L("foam", "same", (0.08, 0.12)),
      L("sea", "same", (0.02, 0.05)), _some("yacht", 9, 3, "water", 0.5)),
    K("bridge", (110, 200), 2.0, 2.4, *_ground(0.2, 1.6), _wood(0.8, 1.6, 0.5, ""), TREES, VILLAGE,
      L("soil", "band", (-0.7, -0.45)), L("water", "same", (0.04, 0.08), zone="river"),
      L("sea", "same", chance=0.25), _some("yacht", 4, 1, "water", 0.45),
      Put("bridge", near=0.1, turn=ACROSS), *_cars(16, -4, 4), warp=0.02),
    K("chaparral", (80, 160), 2.0, 0, L("sand"), L("soil", "patchy", (0, 0.4), chance=0.4),
      _trail(0.3, 0.3), L("shrub", "patchy", (0.5, 1.2), 0.05),
      L("shrub", "patchy", (1.1, 1.6), 0.025), warp=0.05),
    K("cloud", (300, 900), 1.2, 0),
    K("commercial area", (130, 200), 2.4, 2.2, L("concrete", tone=0.9),
      Put("avenue", rows=FILL, grid=(0, 64)), *_cars(13, -62, -2, 2, 62),
      Put("avenue", near=0.3, turn=ACROSS), *_cars(13, -2, 2),
      Put("car park", at=(30, 32), chance=0.4),
      Put("block", FILL, FILL, (36, 21.3), on="paved", keep=0.92), _some("tree", 200, 120, "paved"),
      _some("car", 60, 20, "paved")),
    K("dense residential", (100, 160), 2.8, 3.4, *_ground(1.2, 2.8),
      Put("road", rows=FILL, grid=(0, 56)), *_cars(14, -54, -2, 2, 54),
      Put("road", near=0.4, turn=ACROSS), *_cars(14, -2, 2),
      Put("house", FILL, FILL, (19, 28), (9, 14), on="open", keep=0.95),
      Put("pool", FILL, FILL, (16, 56), (0, 28), on="open", keep=0.5, chance=0.5),
      Put("car", FILL, FILL, (19, 17), (4, 0), turn=ACROSS, on="paved", keep=0.4),
      _some("tree", 200, 120), whole="dense residential area"),
    K("desert", (200, 900), 1.8, 0, L("dune"), L("shrub", "patchy", (1.2, 1.8), 0.03, 0.4),
      whole="desert", warp=0.1),
    K("eroded farmland", (250, 600), 1.4, 0, PARCELS, L("grass", "veins", (-0.4, -0.3), 0.4),
      L("rock", "same", (0.1, 0.15), zone="gully"), L("rock", "same", (0.1, 0.15), tone=0.75),
      _trail(0.4, 0.45), L("crown", "patchy", (1, 1.7), 0.06, 0.5), warp=0.05),
    K("farmland", (200, 500), 3.0, 3.6, PARCELS, L("grass", "patchy", (0.5, 1.6), 0.5, 0.2),
      L("soil", "patchy", (0.7, 1.6), 0.5, 0.2), _wood(0.8, 1.6), _trail(0.4, 0.65),
      Put("road", near=0.4, turn=ACROSS, chance=0.2), Put("meadow", near=0.4, chance=0.4),
      _by("house", (2, 3), (1, 2), (26, 26), on="open"), Put("grove", (0, 3), near=0.5), warp=0.02),
    K("forest", (120, 300), 2.6, 2.8, *_ground(0.6, 2), _wood(-3, -0.4, 1), _trail(0.3, 0.35),
      Put("pond", near=0.3, turn=None, chance=0.25), warp=0.1),
    K("freeway", (90, 160), 2.2, 1.6, *_ground(0.6, 2.4),
      Put("parcel", FILL, FILL, (110, 100), chance=0.28), _wood(-0.6, 0.8, 0.4),
      Put("freeway", near=0.2), *_cars(14, -10, -7, -4, 4, 7, 10), TREES, warp=0.04),
    K("golf course", (180, 300), 1.6, 0, L("grass", tone=0.9), _wood(0.5, 1.1, 1, ""),
      *[Put("fairway", near=0.35, turn=None)] * 3, Put("pond", near=0.3, chance=0.5),
      _trail(0.3, 0.8), TREES, _some("house", 9, 4, chance=0.15), whole="golf course", warp=0.12),
    K("ground track field", (150, 230), 1.6, 0, *_ground(0.6, 2.4), Put("track", near=0.05),
      _by("football field", chance=0.55),
      _by("basketball court", (1, 3), grid=(34, 0), at=(0, 62), chance=0.6), *_edges(78)),
    K("football field", (120, 200), 0.2, 0, *_ground(0.8, 2.4),
      Put("football field", rows=(1, 2), grid=(0, 68), near=0.05), *_edges(74)),
    K("harbor", (110, 180), 1.8, 2.0, L("sea"), L("water", chance=0.5),
      Put("quay", at=(0, 170), near=0.1), *_cars(18, -131, -129),
      _by("block", FILL, grid=(44, 0), at=(0, -108), on="open", keep=0.6),
      _by("car park", FILL, grid=(90, 0), at=(20, -106), on="open", keep=0.25),
      _by("freighter", (1, 2), grid=(96, 0), at=(0, -162), on="water", chance=0.35),
      _by("pier", FILL, grid=(32, 0), at=(0, -177), turn=ACROSS, on="water", chance=0.75),
      _by("boat", FILL, (8, 9), (16, 5.6), (8, -176), on="water", keep=0.6), _some("tree", 12, 12),
      whole="habor"),
    K("industrial area", (150, 260), 2.0, 0, *_ground(0.4, 2), Put("yard", near=0.08),
      Put("factory", FILL, FILL, (82, 54), near=0.1, keep=0.8), *_street(27, 0.6),
      _some("car", 60, 20, "paved"), _some("tree", 40)),
    K("intersection", (70, 120), 2.2, 2.4, *_ground(0.8, 2.4), *_arm(0), *_arm(ACROSS),
      Put("junction"), *AROUND_IT),
    K("island", (200, 700), 1.4, 0, L("sea"), L("shallow", "round", (-0.8, -0.5)),
      L("foam", "same", (0.06, 0.14), zone="island"), L("sand", "same", (0.02, 0.03)),
      L("rock", "same", chance=0.6), L("grass", "same", (0.03, 0.12)),
      L("crown", "same", (0.03, 0.15), chance=0.75), _some("yacht", 30, 10, "water", 0.3),
      warp=0.03),
    K("lake", (250, 700), 1.6, 1.2, *_ground(0, 1.4),
      L("rock", "patchy", (-0.8, 0), chance=0.33, zone="mountain"), _wood(0.8, 1.6, 0.5, ""),
      L("soil", "round", (-0.95, -0.6)), L("water", "same", (0.03, 0.08), zone="lake"), TREES),
    K("meadow", (120, 300), 2.8, 3.0, *_ground(0.6, 2.2), _trail(0.3, 0.5),
      Put("road", near=0.3, chance=0.3), _some("house", 4, 2, chance=0.35), _some("tree", 60),
      warp=0.08),
    K("mobile home park", (90, 150), 1.0, 0, *_ground(0.6, 2.2),
      Put("road", rows=FILL, grid=(0, 50)), *_cars(14, -52, -2, 2, 48),
      Put("mobile home", FILL, FILL, (11, 25), (0, 12.5), turn=1.2, on="open", keep=0.92),
      Put("car", FILL, FILL, (11, 25), (5.5, 18), turn=1.2, on="open", keep=0.6),
      _some("tree", 40)),
    K("mountain", (800, 2000), 2.2, 0, L("grass"), L("crown", "patchy", (-0.7, 0.6), 0.5),
      L("rock", "veins", (-0.2, -0.04), 0.6), L("snow", "patchy", (0.6, 1.4), 0.5, 0.2),
      whole="mountain", warp=0.1, relief=0.35),
    K("open sea", (120, 260), 0.6, 0.8, L("sea"), Put("freighter", (1, 2), near=0.3, turn=None),
      _some("yacht", 3, 0, "water", 0.4)),
    K("overpass", (100, 170), 1.4, 0, *_ground(1, 2.4), Put("freeway", chance=0.8),
      *_cars(14, -10, -7, 7, 10), Put("rail", rows=(3, 4), grid=(0, 4.8), at=(0, 22), chance=0.55),
      Put("overpass", near=0.1, turn=ACROSS), *_cars(14, -4, 4), *AROUND_IT),
    K("park", (130, 240), 0.6, 0, *_ground(1.4, 2.8), _wood(0, 1, 1, ""),
      *[Put("trail", near=0.35, turn=None)] * 3, Put("pond", near=0.25, chance=0.65),
      _some("house", 8, 2, chance=0.7), *_street(75, 0.45), TREES, whole="park", warp=0.12),
    K("parking lot", (60, 110), 2.2, 2.4, *_ground(0.6, 2.4), Put("car park", near=0.08),
      *(_by("car", FILL, (2, 2), (2.8, y), turn=ACROSS, on="paved", keep=keep) for y,
      keep in ((5.2, 0.7), (24.4, 0.5))), *_street(36, 0.45), *AROUND_IT),
    K("parkway", (80, 130), 1.0, 0, *_ground(1.2, 2.6), Put("parkway", near=0.1),
      *_cars(16, -11, -8, 8, 11), _by("tree", FILL, (3, 3), (8, 36), on="open", keep=0.9),
      *AROUND_IT, warp=0.03),
    K("railway", (80, 150), 1.4, 0, *_ground(0, 1.8),
      Put("rail", rows=(1, 6), grid=(0, 4.8), near=0.15), _by("train", chance=0.35),
      *_street(34, 0.4), *AROUND_IT),
    K("railway station", (140, 220), 0.35, 0, *_ground(0.2, 1.8),
      Put("rail", rows=(9, 13), grid=(0, 5)), _by("platform", rows=(2, 4), grid=(0, 15)),
      _by("train"), Put("block", (1, 2), grid=(36, 0), at=(0, -46)),
      Put("car park", at=(50, -62), chance=0.45), _some("car", 90, 50, "paved", 0.45), TOWN,
      _some("tree", 40)),
    K("river", (200, 600), 2.0, 1.6, *_ground(0.4, 1.6),
      Put("parcel", FILL, FILL, (110, 100), chance=0.6), _wood(0.8, 1.4, 0.6, ""),
      L("grass", "band", (-0.55, -0.3)), L("soil", "same", (0.1, 0.14)),
      L("sand", "same", chance=0.45), L("water", "same", (0.03, 0.06), zone="river"), warp=0.2),
    K("roundabout", (80, 130), 0.55, 0, *_ground(1.4, 2.6), Put("road"), *_cars(14, -2, 2),
      Put("road", turn=1.3), *_cars(14, -2, 2), _by("crosswalk", (2, 2), grid=(72, 0), chance=0.35),
      Put("roundabout"), Put("car", (5, 9), near=0.12, turn=None, on="way"), *AROUND_IT),
    K("shipping yard", (110, 180), 1.2, 0.9, L("asphalt"),
      Put("container", FILL, FILL, (12.8, 2.7), keep=0.85), Put("aisle", rows=FILL, grid=(0, 34)),
      Put("aisle", FILL, grid=(52, 0), turn=ACROSS), _some("car", 120, 60, "paved"),
      L("sea", "shore", (0.3, 0.7), chance=0.28), _some("freighter", 20, 20, "water")),
    K("snowberg", (800, 2500), 1.4, 0, L("snow"), L("rock", "veins", (-0.25, 0.05), 0.5),
      L("water", "patchy", (0.6, 1.3), 0.8, 0.38), whole="snowberg,mountain", warp=0.1, relief=0.2),
    K("sparse residential", (90, 150), 1.2, 1.6, *_ground(0.6, 2.4), L("sand", chance=0.5),
      L("shrub", "patchy", (1, 1.8), 0.04, 0.5), Put("road", at=(0, -16), near=0.05, chance=0.85),
      Put("house", (1, 3), grid=(42, 0), near=0.05), _by("large pool", at=(8, 24), chance=0.45),
      _some("car", 30, 10, "paved", 0.3), TREES, whole="sparse residential area"),
    K("stadium", (230, 340), 0.5, 0, *_ground(0.6, 2.2), Put("stadium", near=0.04),
      _by("football field"), Put("car park", (2, 2), grid=(110, 0), at=(0, -125), chance=0.65),
      Put("avenue", at=(0, 122)), *_cars(12, -5, -2, 2, 5), _some("car", 160, 80, "paved"),
      _some("tree", 40)),
    K("storage tank", (100, 220), 1.2, 0, *_ground(-0.2, 1.8),
      Put("tank", (1, 3), (1, 3), (50, 50), near=0.1), *_street(48, 0.6), *AROUND_IT),
    K("swimming pool", (60, 100), 1.2, 1.2, *_ground(1.2, 2.6),
      Put("large pool", (1, 2), grid=(34, 0), near=0.08), Put("block", at=(0, -30), chance=0.8),
      *_street(28, 0.3), TREES),
    K("tennis court", (70, 130), 1.4, 1.2, *_ground(1.1, 2.6),
      Put("large pool", at=(0, -46), chance=0.1),
      Put("tennis court", (1, 2), (1, 3), (37, 18.2), near=0.1), *_edges(46)),
    K("terrace", (200, 500), 1.2, 0, L("step"), _trail(0.3, 0.35), _wood(0.8, 1.8, 1, ""),
      whole="terrace", warp=0.1),
    K("transmission tower", (60, 100), 0.4, 0, *_ground(0.2, 2), _wood(0.2, 1.2),
      L("crop", "patchy", (0, 1), 0.6, 0.25), TREES, _trail(0.3, 0.25), Put("pylon", near=0.2)),
    K("greenhouse", (130, 240), 1.2, 0, PARCELS, L("soil", "patchy", (0.3, 1.2), 0.5, 0.4),
      Put("trail", turn=ACROSS), Put("tunnel", (1, 2), (3, 9), (68, 9.5), near=0.05)),
    K("wetland", (200, 600), 1.6, 0, L("reed"), L("grass", "patchy", (0, 1.2)),
      L("soil", "patchy", (1.2, 2), chance=0.3), L("water", "veins", (-0.2, -0.07), 0.45),
      L("water", "patchy", (0.9, 2), 0.2), whole="wetland", warp=0.05),
    K("wind turbine", (110, 180), 0.3, 0, *_ground(0.5, 2),
      Put("parcel", FILL, FILL, (110, 100), chance=0.42), Put("trail", at=(0, 8), near=0.15),
      _by("turbine", at=(0, -8)), _some("tree", 12, chance=0.5)),
)  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}
# What may lie anywhere on open ground, and on water.
STRAYS = {
    "open": ("tennis court", "basketball court", "diamond", "football field", "track", "large pool",
             "car park", "tank", "tunnel", "factory", "container", "light plane", "grove", "pond",
             "meadow", "bare patch"),
    "water": ("yacht", "pier"),
}  # fmt: skip


SHIFT = 4  # cv2 takes coordinates in sixteenths of a pixel
SHADOW_LIGHT = np.array([0.40, 0.43, 0.52], np.float32)
PROBES = np.stack(np.meshgrid([-0.5, 0, 0.5], [-0.5, 0, 0.5]), axis=-1).reshape(9, 2)


LOOK = {
    name: np.array([getattr(surface, name) for surface in SURFACES], np.float32)
    for name in ("slow", "fine", "stripe", "period", "bend", "canopy")
}


def _indices(ground: str) -> list[int]:
    return [PLACE[name] for name in GROUNDS[ground]]


class Canvas:
    """A scene of some width in metres while it is drawn; ``rng`` decides all that is random."""

    def __init__(self, side: int, metres: float, rng: np.random.Generator) -> None:
        self.side, self.metres, self.rng, self.pixel = side, metres, rng, metres / side
        # Colours before light and texture; index in `SURFACES`; 1 where the sun does not reach.
        self.image: Bytes = np.zeros((side, side, 3), np.uint8)
        self.surface: Bytes = np.zeros((side, side), np.uint8)
        self.shadow: Bytes = np.zeros((side, side), np.uint8)
        self.zones: dict[str, Bytes] = {}  # class name to mask, 1 inside
        self.palette = {
            s.name: np.array(s.first) + rng.random() * (np.array(s.second) - s.first)
            for s in SURFACES
        }
        # Share of the usual traffic; on a quiet morning there is nearly none.
        self.busy = 1.0 if rng.random() < 0.75 else 0.05
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.15)
        # Shift in metres (x, y) of the shadow of a point one metre high.
        self.sun = np.array([np.cos(azimuth), np.sin(azimuth)]) / -np.tan(elevation)
        self.angle = rng.uniform(0, 2 * np.pi)
        self.frame: tuple[Floats, float] | None = None  # place and direction of the last things
        self.field: Floats = np.zeros((side, side), np.float32)
        self.level = 0.0
        axis = ((np.arange(side) - (side - 1) / 2) * self.pixel).astype(np.float32)
        self.x, self.y = axis[None, :], axis[:, None]

    def draw(self, step: Step) -> None:
        """Draw one step, or not, as its chance has it; what follows things needs them."""
        drawn = self.rng.random() < step.chance
        if isinstance(step, Put) and not step.follow:
            self.frame = None
        if drawn and isinstance(step, Layer):
            self.cover(step)
        elif drawn and isinstance(step, Put) and (self.frame or not step.follow):
            self.put(step)

    def noise(self, size: float, octaves: int = 3) -> Floats:
        """Smooth random field, about standard normal, of shape (P, P).

        ``size`` is the extent of its largest lumps, a share of the scene's; each octave halves it.
        """
        field: Floats = np.zeros((self.side, self.side), np.float32)
        for octave in range(octaves):
            cells = int(np.clip(2**octave / size, 1, self.side / 2)) + 3
            knots = self.rng.standard_normal((cells, cells), dtype=np.float32)
            whole = cv2.resize(knots, (self.side, self.side), interpolation=cv2.INTER_CUBIC)
            field += np.float32(0.55**octave) * whole
        return field * np.float32(1.3 / np.sqrt(sum(0.3**i for i in range(octaves + 1))))

    def cover(self, step: Layer) -> None:
        """Cover the ground where a field is above a level."""
        level = self.rng.uniform(*step.level)
        if step.field == "same":
            self.level += level
        else:
            self.field, self.level = self._field(step), level
        inside = self.field >= self.level
        self.image[inside] = np.clip(self.palette[step.surface] * step.tone, 0, 255)
        self.surface[inside] = PLACE[step.surface]
        self.shadow[inside] = 0
        if step.zone:
            self._zone(step.zone)[inside] = 1

    def _field(self, step: Layer) -> Floats:
        noise = self.noise(step.size, 4)
        turn = self.angle if step.field == "band" else self.rng.uniform(0, 2 * np.pi)
        along = (self.x * np.cos(turn) + self.y * np.sin(turn)).astype(np.float32)
        across = (self.y * np.cos(turn) - self.x * np.sin(turn)).astype(np.float32)
        shift, long = self.rng.uniform(-0.15, 0.15) * self.metres, self.rng.uniform(1, 1.5)
        half = np.float32(self.metres / 2)
        bases = {
            "flat": np.zeros_like(noise), "patchy": noise, "veins": -np.abs(noise),
            "shore": across / half + 0.12 * noise,
            "round": -np.hypot(along - shift, long * across) / half + 0.15 * noise,
            "band": -np.abs(across) / half + 0.03 * noise,
        }  # fmt: skip
        return np.asarray(bases[step.field])

    def _zone(self, name: str) -> Bytes:
        return self.zones.setdefault(name, np.zeros((self.side, self.side), np.uint8))

    def put(self, step: Put) -> None:
        """Set things into the scene, where they find the ground that they need."""
        rng, thing, gridded = self.rng, THINGS[step.thing], any(step.grid)
        middle, angle = (step.follow and self.frame) or (np.zeros(2), self.angle)
        grid = self._grid(step) if gridded else np.zeros((1, 2))
        count = 1 if gridded else int(rng.integers(step.n[0], step.n[1] + 1))
        turn = rng.uniform(0, 2 * np.pi, count) if step.turn is None else np.full(count, step.turn)
        origins = placed(np.array([step.at]), middle, np.array(angle))
        origins = origins + rng.uniform(-step.near, step.near, (count, 2)) * self.metres
        if not step.follow and count:
            self.frame = (origins[0], angle + turn[0])
        points = (origins[:, None] + placed(grid, np.zeros(2), np.array(angle))).reshape(-1, 2)
        angles = np.repeat(angle + turn, len(grid))
        sizes = np.array([thing.length, thing.width])
        sizes = sizes[:, 0] + rng.random((len(points), 1)) * (sizes[:, 1] - sizes[:, 0])
        if thing.length[1] == 0:
            sizes[:, 0] = 3 * self.metres
        seen = np.abs(points).max(axis=1, initial=0) < (self.metres + np.hypot(*sizes.T)) / 2
        seen &= rng.random(len(points)) < step.keep * (self.busy if step.thing == "car" else 1)
        if step.on:
            seen &= self._stands(points, angles, sizes, step.on)
        look = rng.random(len(points))
        if seen.any():
            chosen = np.flatnonzero(seen)[: step.limit]
            for part in thing.parts:
                self._part(part, points[chosen], angles[chosen], sizes[chosen], look[chosen])

    def _grid(self, step: Put) -> Floats:
        places = []
        for counts, gap in zip((step.n, step.rows), step.grid, strict=True):
            count = int(self.rng.integers(counts[0], counts[1] + 1))
            if gap and not count:
                count = 2 * int(np.ceil(0.75 * self.metres / gap)) + 1
            places.append((np.arange(max(count, 1)) - (max(count, 1) - 1) / 2) * gap)
        return np.stack(np.meshgrid(*places), axis=-1).reshape(-1, 2)

    def _stands(self, points: Floats, angles: Floats, sizes: Floats, on: str) -> Mask:
        """Which boxes of n things stand on such ground, as far as they are in the picture."""
        places = placed(PROBES * sizes[:, None], points, angles) / self.pixel
        places = np.rint(places + (self.side - 1) / 2).astype(np.intp)
        within = ((places >= 0) & (places < self.side)).all(axis=-1)
        places = places.clip(0, self.side - 1)
        ground = np.isin(self.surface[places[..., 1], places[..., 0]], _indices(on))
        stand: Mask = (ground | ~within).all(axis=1) & within.any(axis=1)
        return stand

    def _part(
        self, part: Part, points: Floats, angles: Floats, sizes: Floats, look: Floats
    ) -> None:
        """Draw a part of n things."""
        x, y, long, wide = part.box
        toward = part.sunward * sizes[:, :1] * -self.sun / np.hypot(*self.sun)
        middles = placed(np.array([x, y]) * sizes[:, None], points, angles)[:, 0] + toward
        outlines = self._outlines(part, sizes * [long, wide])
        shapes = placed(outlines, middles[:, None], angles[:, None])
        tone = np.full((len(points), 1), part.tone)
        if part.lit:
            facing = angles + np.arctan2(y, x) - np.arctan2(*-self.sun[::-1])
            tone += 0.2 * np.cos(facing)[:, None]
        colours = part.colour or part.surface or "road"
        if isinstance(colours, str):
            paint = self.palette[colours] * (0.92 + 0.16 * look[:, None])
        else:
            paint = np.array(colours)[(look * len(colours)).astype(int)]
        paint = np.clip(paint * tone, 0, 255)
        over = np.isin(self.surface, _indices(part.over)) if part.over else None
        for index in np.flatnonzero(self.rng.random(len(points)) < part.chance):
            self._fill(part, shapes[index], paint[index].tolist(), over)

    def _outlines(self, part: Part, sizes: Floats) -> Floats:
        """Outlines of a part of n things of some sizes around the origin: (n, m, k, 2)."""
        if part.every:
            axis = 1 if part.shape == "ribs" else 0
            count = max(1, round(float(sizes[:, axis].mean()) / part.every))
            shape = np.repeat(OUTLINES["box"][None], count, axis=0)
            places = (np.arange(count) + 0.5) / count - 0.5
            shape[..., axis] = shape[..., axis] * part.duty / count + places[:, None]
        elif part.shape == "blob":
            turns = np.linspace(0, 2 * np.pi, 32, endpoint=False)
            order = np.arange(2, 6)[:, None]
            phases, waves = self.rng.uniform(0, 2 * np.pi, (2, len(sizes), 4, 1))
            radii = 0.5 + 0.12 * (np.cos(order * turns + phases) * np.sin(waves) / order).sum(1)
            ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
            shape = (radii[..., None] * ring)[:, None]
        else:
            shape = OUTLINES[part.shape]
        return shape * sizes[:, None, None]

    def _fill(self, part: Part, shapes: Floats, paint: list[float], over: Mask | None) -> None:
        """Draw the m outlines of one part: its shadow, its colour, what it is and where."""
        outlines = list(self._pixels(shapes))
        if part.height:
            shade = self.shadow if over is None else np.zeros_like(self.shadow)
            fallen = self._pixels(shapes + self.sun * part.height)
            for moved, outline in zip(fallen, outlines, strict=True):
                swept = np.concatenate([outline, moved])
                fall = cv2.convexHull(swept) if part.shape in CONVEX else moved
                cv2.fillPoly(shade, [fall], 1, cv2.LINE_8, SHIFT)
            if over is not None:
                self.shadow |= shade & over
        layers: list[tuple[Bytes, int | list[float]]] = [(self.image, paint)]
        if part.surface:
            layers += [(self.surface, PLACE[part.surface])]
            layers += [(self.shadow, 0)] if part.height else []
        thick = max(1, round(part.stroke / self.pixel))
        for layer, value in layers:
            if part.stroke:
                cv2.polylines(layer, outlines, True, value, thick, cv2.LINE_8, SHIFT)
            else:
                cv2.fillPoly(layer, outlines, value, cv2.LINE_8, SHIFT)
        if part.zone:
            inside = np.zeros_like(self.surface)
            cv2.fillPoly(inside, [cv2.convexHull(np.concatenate(outlines))], 1, cv2.LINE_8, SHIFT)
            self._zone(part.zone)[:] |= inside if over is None else inside & over

    def _pixels(self, metres: Floats) -> npt.NDArray[np.int32]:
        places = metres / self.pixel + (self.side - 1) / 2
        pixels: npt.NDArray[np.int32] = np.rint(places * (1 << SHIFT)).astype(np.int32)
        return pixels

    def add_stray(self) -> None:
        """Put something where it is not usual, if there is room for it."""
        ground = "water" if np.isin(self.surface, _indices("water")).mean() > 0.5 else "open"
        name = STRAYS[ground][int(self.rng.integers(len(STRAYS[ground])))]
        # Neither lost in the scene nor the whole of it.
        if 0.12 < THINGS[name].length[1] / self.metres < 0.6:
            self.put(Put(name, (14, 14), near=0.42, turn=None, on=ground, limit=1))

    def bend(self, amount: float, shift: npt.NDArray[np.int64]) -> None:
        """Let straight lines stray by a share of the scene, and move all by drawn pixels (x, y).

        What comes in from outside mirrors the rim.
        """
        x, y = np.meshgrid(*[np.arange(self.side, dtype=np.float32)] * 2)
        for axis, by in zip((x, y), shift, strict=True):
            axis += np.float32(amount * self.side / 2) * self.noise(0.8, 1) - np.float32(by)
        for layer in (self.image, self.surface, self.shadow, *self.zones.values()):
            layer[:] = cv2.remap(layer, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)

    def lit(self, relief: float) -> Floats:
        """The finished scene in light and shade with its texture, of shape (P, P, 3)."""
        rng, surface = self.rng, self.surface
        slow, drift = self.noise(0.125, 4), self.noise(0.25, 2)
        look = {name: values[surface] for name, values in LOOK.items()}
        light = 1 + look["slow"] * slow
        light += look["fine"] * rng.standard_normal(surface.shape, dtype=np.float32)
        turn = rng.uniform(0, np.pi)
        along = (self.x * np.cos(turn) + self.y * np.sin(turn)).astype(np.float32) / self.pixel
        phase = 2 * np.pi * along / look["period"] + look["bend"] * drift
        light += look["stripe"] * np.sin(phase)
        light += look["canopy"] * self._canopy(max(7.0, self.metres / 40))
        if relief:
            lean = self._lean(cv2.GaussianBlur(self.field + 0.5 * self.noise(0.3), (0, 0), 1.5))
            light -= np.float32(relief) * np.clip(lean / lean.std(), -2.5, 2.5)
        scene: Floats = self.image.astype(np.float32) * light.clip(0.2, 2)[:, :, None]
        scene[self.shadow > 0] *= SHADOW_LIGHT
        return scene

    def _canopy(self, size: float) -> Floats:
        """Brightness of crowns about ``size`` metres wide, about 0 on average."""
        count = int(np.clip((self.metres / size) ** 2 * 1.3, 20, 6000))
        seeds = np.full((self.side, self.side), 255, np.uint8)
        seeds[tuple(self.rng.integers(0, self.side, (2, count)))] = 0
        away = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
        return np.asarray(0.4 - 0.5 * away / np.mean(away) + 0.4 * self._lean(away))

    def _lean(self, field: cv2.typing.MatLike) -> Floats:
        """How much a surface that falls with ``field`` leans to the sun."""
        down = (-self.sun / np.hypot(*self.sun)).astype(np.float32)
        across, along = (cv2.Sobel(field, cv2.CV_32F, i, 1 - i, ksize=3) for i in (1, 0))
        return np.asarray((across * down[0] + along * down[1]) / 8)

    def veil(self, scene: Floats, amount: float) -> None:
        """Lay clouds over a lit scene, in place; where they are dense only cloud is seen."""
        puffs = self.noise(1 / self.rng.uniform(1.5, 4), 5)
        dense = np.clip((puffs - (1.2 - 2.4 * amount)) * self.rng.uniform(0.9, 2.2), 0, 1)
        right, down = (self.sun * 0.1 * self.side).tolist()
        move = np.array([[1, 0, right], [0, 1, down]], np.float32)
        cast = cv2.warpAffine(dense, move, dense.shape, borderMode=cv2.BORDER_REFLECT)
        scene *= 1 - 0.45 * cv2.blur(cast, (9, 9))[:, :, None]
        tone = (0.9 + 0.06 * puffs.clip(-1, 1.5))[:, :, None] * self.palette["cloud"]
        scene += dense[:, :, None] * (tone.astype(np.float32) - scene)
        self.surface[dense > 0.6] = PLACE["cloud"]

    def shares(self) -> npt.NDArray[np.float64]:
        """Share of the picture that each of the 60 classes visibly fills, of shape (60,)."""
        counts = np.bincount(self.surface.ravel(), minlength=len(SURFACES)) @ COUNTS_FOR
        clear = self.surface != PLACE["cloud"]
        for name, inside in self.zones.items():
            counts[CLASSES.index(name)] += np.count_nonzero(inside.view(bool) & clear)
        return np.asarray(counts / self.surface.size)


SUPERSAMPLING = 2
LARGEST_SHIFT = 4  # drawn pixels by which a second view is displaced
STRAY = 0.3  # chance of each of two things outside of their usual scene
CLOUDY = "cloud"
UNDER_CLOUD = ("forest", "farmland", "bareland", "meadow", "wetland", "open sea", "desert")


def photograph(
    kind: SceneKind,
    side: int,
    scene: np.random.Generator,
    camera: np.random.Generator,
    *,
    displaced: bool = False,
) -> tuple[Bytes, npt.NDArray[np.float64]]:
    """One picture, RGB bytes of shape (S, S, 3), and the share that each class fills of it, (60,).

    ``scene`` and ``camera`` decide what is random in the scene and in its photograph. A second,
    displaced view of a scene differs in everything that is the camera's.
    """
    canvas = Canvas(SUPERSAMPLING * side, float(scene.uniform(*kind.metres)), scene)
    cloudy = kind.name == CLOUDY
    if cloudy:
        kind = BY_NAME[UNDER_CLOUD[int(scene.integers(len(UNDER_CLOUD)))]]
    for step in kind.steps:
        canvas.draw(step)
    for _ in range(0 if cloudy else int(scene.binomial(2, STRAY))):
        canvas.add_stray()
    for name in kind.whole.split(",") if kind.whole else ():
        canvas.zones[name] = np.ones_like(canvas.surface)
    canvas.bend(kind.warp, displaced * camera.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, 2))
    lit = canvas.lit(kind.relief)
    if cloudy:
        canvas.veil(lit, float(scene.uniform(0.25, 0.75)))
    return _develop(lit, side, camera), canvas.shares()


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
