"""The sheet on which a scene is drawn: colours, what lies uppermost, shadows and zones.

Things are drawn from the ground up, at twice the resolution of the picture; each one overwrites
what lies under it, so that at the end every pixel knows what is visible there. A *zone* is a class
that is a place and not a thing (a harbour, a golf course): an area that stays itself under the cars
and trees on it, and that only cloud hides.
Letters: P drawn pixels along a side.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from comptool.simulation.aicoss.classes import CLASSES
from comptool.simulation.aicoss.shapes import Points
from comptool.simulation.aicoss.surfaces import (
    COUNTS_FOR,
    FINE,
    NAVIGABLE_WATER,
    OPEN_GROUND,
    SLOW,
    Colour,
    Surface,
    draw_palette,
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
