"""Scenes of vehicles as seen by a radar and an optical sensor.

Which share of each pixel a shape covers, for many chips at once.

Every shape here is an intersection of strips ("between two parallel lines"): a rectangle is two of
them, and the ground that a box hides or darkens, its footprint swept along a vector, is three. The
signed depth inside a strip is linear in x and y, so the coverage of an edge pixel follows from the
smallest depth without drawing at a higher resolution.

World coordinates are metres: x to the right of the chip, y down, the origin near the vehicle.
Letters: N chips, S pixels along a side.

The ten vehicle types of MAVOC as boxes of real size.

A vehicle is one unit, or two with a hitch between them. A unit is a few upright boxes ("parts")
whose place and height are shares of the unit's length, width and height, so that two draws of one
type differ in size and not in build. Sizes are those of vehicles on North American roads.

The order of ``VEHICLES`` is that of the class ids 0 to 9.

What a vehicle stands on: car park, road or open grass, with markings and now and then a tree.

Both sensors look at the same ground. Letters: N scenes, S pixels along a side.

Vehicles on the ground: the one that is looked at, its trailer, and up to two neighbours.

Every scene has four seats: lead unit, towed unit, first and second neighbour. An empty seat keeps
its arrays and has no height, so that all scenes of a batch have one shape.
Letters: N scenes, P boxes, Q corners.

Scenes and the frames taken of them: vehicle, ground, sun, camera and radar.

A scene may be photographed more than once: the next frame of an aircraft that flies on sees the
same vehicle a little shifted, under a slightly turned radar, with new noise and new speckle.
Letters: N frames.

The photograph: grey EO chips of 32 x 32 pixels.

Light comes from the sun and from the sky; what the sun does not reach has sky light only. The
camera looks a little aslant, so that sides of tall vehicles show. Then come the lens (Gaussian
blur), shot noise and read noise, and eight bits that saturate.
Letters: N chips, S pixels along a side.

The radar image: grey SAR chips of 54 to 60 pixels.

The image is formed coherently. Every resolution cell of ground or metal scatters with a random
complex amplitude, whose square has a gamma distribution after averaging over looks: that is
speckle, and it multiplies the backscatter. Corners and dihedrals have an amplitude of their own.
The sum passes through the point-spread function; then power is averaged over looks.

In ground range a point at height z is imaged z / tan(incidence) nearer to the radar (layover), and
what lies within z * tan(incidence) behind it is not lit (shadow). Wall and ground together form a
dihedral, which returns from the foot of the wall, and strongly only if the wall faces the radar.
See Oliver and Quegan, "Understanding Synthetic Aperture Radar Images" (2004), chapters 4 and 5.
Letters: N chips, S pixels along a side.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class View:
    """Where the pixels of N chips lie.

    Parameters
    ----------
    x, y
        World coordinates of the columns and of the rows, of shape (N, S).
    spacing
        Metres per pixel, of shape (N,).
    """

    x: Floats
    y: Floats
    spacing: Floats

    def take(self, chips: Indices) -> View:
        """The view of some of the chips."""
        return View(self.x[chips], self.y[chips], self.spacing[chips])


@dataclass(frozen=True)
class Rectangles:
    """One rectangle for each of N chips; every field has shape (N,).

    Parameters
    ----------
    x, y
        Centre.
    cos, sin
        Direction of the long side.
    half_length, half_width
        Half the sides.
    """

    x: Floats
    y: Floats
    cos: Floats
    sin: Floats
    half_length: Floats
    half_width: Floats


def view_of(size: int, spacing: Floats, shift_x: Floats, shift_y: Floats) -> View:
    """The view of square chips of ``size`` pixels whose middle lies at (shift_x, shift_y)."""
    pixels = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    offsets = pixels * spacing[:, None]
    return View(offsets + shift_x[:, None], offsets + shift_y[:, None], spacing)


def along(view: View, cos: Floats, sin: Floats, origin: Floats) -> Floats:
    """Signed distance of every pixel from a line with normal (cos, sin): (N, S, S)."""
    columns = view.x * cos[:, None]
    rows = view.y * sin[:, None] - origin[:, None]
    return columns[:, None, :] + rows[:, :, None]


def depth(view: View, cos: Floats, sin: Floats, origin: Floats, half: Floats) -> Floats:
    """How far every pixel lies inside the strip |distance| <= half, negative outside."""
    distance = along(view, cos, sin, origin)
    np.abs(distance, out=distance)
    return np.subtract(half[:, None, None], distance, out=distance)


def coverage(inside: Floats, spacing: Floats, thickness: Floats) -> Floats:
    """Share of each pixel inside a shape, from the depth; writes over ``inside``.

    ``thickness`` is the smallest extent of the shape: a line thinner than a pixel never fills it.
    """
    inside /= spacing[:, None, None]
    inside += np.float32(0.5)
    ceiling = np.minimum(thickness / spacing, 1).astype(np.float32)
    return np.clip(inside, 0, ceiling[:, None, None], out=inside)


def rectangle_coverage(view: View, box: Rectangles) -> Floats:
    """Share of each pixel inside one rectangle per chip: (N, S, S) in [0, 1]."""
    inside = _rectangle_depth(view, box, box.half_length, box.half_width, box.x, box.y)
    return coverage(inside, view.spacing, 2 * np.minimum(box.half_length, box.half_width))


def swept_coverage(view: View, box: Rectangles, start: Floats, end: Floats) -> Floats:
    """Share of each pixel met by a rectangle that slides from shift ``start`` to ``end``.

    Parameters
    ----------
    view
        The pixels of N chips.
    box
        One rectangle per chip.
    start, end
        Shifts in metres, of shape (2, N): x, y.

    Returns
    -------
    numpy.ndarray
        Shape (N, S, S), values in [0, 1].
    """
    step = end - start
    x, y = np.asarray([box.x, box.y]) + (start + end) / 2
    half_length = box.half_length + np.abs(step[0] * box.cos + step[1] * box.sin) / 2
    half_width = box.half_width + np.abs(step[1] * box.cos - step[0] * box.sin) / 2
    inside = _rectangle_depth(view, box, half_length, half_width, x, y)
    # The third strip lies along the sweep and is as wide as the rectangle seen from there.
    long = np.hypot(step[0], step[1])
    safe = np.where(long > 0, long, 1).astype(np.float32)
    normal_x = np.where(long > 0, -step[1] / safe, box.cos)
    normal_y = np.where(long > 0, step[0] / safe, box.sin)
    seen = box.half_length * np.abs(normal_x * box.cos + normal_y * box.sin)
    seen = seen + box.half_width * np.abs(normal_y * box.cos - normal_x * box.sin)
    third = depth(view, normal_x, normal_y, normal_x * x + normal_y * y, seen)
    np.minimum(inside, third, out=inside)
    return coverage(inside, view.spacing, 2 * np.minimum(half_length, half_width))


def _rectangle_depth(
    view: View, box: Rectangles, half_length: Floats, half_width: Floats, x: Floats, y: Floats
) -> Floats:
    inside = depth(view, box.cos, box.sin, box.cos * x + box.sin * y, half_length)
    across = depth(view, -box.sin, box.cos, box.cos * y - box.sin * x, half_width)
    return np.minimum(inside, across, out=inside)


def disc_coverage(view: View, x: Floats, y: Floats, radius: Floats) -> Floats:
    """Share of each pixel inside one disc per chip: (N, S, S) in [0, 1]."""
    columns, rows = (view.x - x[:, None]) ** 2, (view.y - y[:, None]) ** 2
    distance = np.sqrt(columns[:, None, :] + rows[:, :, None])
    return coverage(radius[:, None, None] - distance, view.spacing, 2 * radius)


Range = tuple[float, float]


@dataclass(frozen=True)
class VehiclePart:
    """One upright box of a unit.

    Parameters
    ----------
    front, rear
        Ends of the box, as shares of the unit's length behind its front.
    width
        Share of the unit's width.
    base, top
        Lower and upper face, as shares of the unit's height.
    paint
        Share of the unit's paint in the reflectance of the part.
    own
        Reflectance that does not come from the paint: glass, wood, bare metal.
    chance
        Share of the vehicles that have the part at all, such as a load.
    """

    front: float
    rear: float
    width: float
    base: float
    top: float
    paint: float = 1.0
    own: float = 0.0
    chance: float = 1.0


@dataclass(frozen=True)
class Unit:
    """A rigid vehicle or trailer; sizes in metres, each drawn uniformly from its range.

    Parameters
    ----------
    length, width, height
        Ranges of the outer sizes.
    parts
        The boxes, at most ``MAX_PARTS``.
    notch
        Place of the inner corner that returns most radar (cab to bed), a share of the length.
    """

    length: Range
    width: Range
    height: Range
    parts: tuple[VehiclePart, ...]
    notch: float


@dataclass(frozen=True)
class VehicleType:
    """One class: a leading unit, and the trailer behind it if there is one."""

    name: str
    lead: Unit
    towed: Unit | None = None


GLASS = {"paint": 0.0, "own": 0.05}
CHASSIS = {"paint": 0.0, "own": 0.08}
DECK = {"paint": 0.0, "own": 0.2}

SEDAN = Unit(
    (4.4, 5.0), (1.72, 1.9), (1.4, 1.5),
    (
        VehiclePart(0, 1, 1, 0, 0.62),
        VehiclePart(0.27, 0.87, 0.9, 0.62, 0.8, **GLASS),
        VehiclePart(0.42, 0.7, 0.78, 0.62, 1),
    ),
    notch=0.27,
)  # fmt: skip
SUV = Unit(
    (4.6, 5.3), (1.88, 2.05), (1.7, 1.95),
    (
        VehiclePart(0, 1, 1, 0, 0.58),
        VehiclePart(0.24, 0.99, 0.92, 0.58, 0.8, **GLASS),
        VehiclePart(0.36, 0.95, 0.8, 0.58, 1),
    ),
    notch=0.24,
)  # fmt: skip
PICKUP = Unit(
    (5.2, 6.1), (1.88, 2.05), (1.75, 1.95),
    (
        VehiclePart(0, 1, 1, 0, 0.56),
        VehiclePart(0.65, 0.97, 0.78, 0.56, 0.57, paint=0.15, own=0.06),
        VehiclePart(0.24, 0.62, 0.92, 0.56, 0.8, **GLASS),
        VehiclePart(0.34, 0.58, 0.8, 0.56, 1),
    ),
    notch=0.65,
)  # fmt: skip
VAN = Unit(
    (5.0, 6.2), (1.95, 2.1), (2.0, 2.7),
    (
        VehiclePart(0, 1, 1, 0, 0.48),
        VehiclePart(0.1, 0.99, 0.96, 0.48, 0.7, **GLASS),
        VehiclePart(0.22, 0.99, 0.94, 0.48, 1),
    ),
    notch=0.1,
)  # fmt: skip
BOX_TRUCK = Unit(
    (6.6, 8.8), (2.3, 2.55), (3.1, 3.8),
    (
        VehiclePart(0.05, 1, 0.8, 0, 0.25, **CHASSIS),
        VehiclePart(0, 0.24, 0.88, 0, 0.5),
        VehiclePart(0.08, 0.22, 0.84, 0.5, 0.68),
        VehiclePart(0.28, 1, 1, 0.25, 1, paint=0.15, own=0.45),
    ),
    notch=0.26,
)  # fmt: skip
MOTORCYCLE = Unit(
    (2.0, 2.5), (0.75, 0.95), (1.2, 1.6),
    (
        VehiclePart(0, 1, 0.4, 0, 0.55),
        VehiclePart(0.22, 0.32, 1, 0.5, 0.7, **CHASSIS),
        VehiclePart(0.42, 0.7, 0.6, 0.5, 1, paint=0.5, own=0.08, chance=0.6),
    ),
    notch=0.4,
)  # fmt: skip
FLATBED = Unit(
    (6.6, 8.8), (2.3, 2.55), (2.4, 2.9),
    (
        VehiclePart(0.25, 1, 1, 0, 0.4, **DECK),
        VehiclePart(0, 0.24, 0.88, 0, 0.75),
        VehiclePart(0.07, 0.22, 0.84, 0.75, 1),
        VehiclePart(0.5, 0.85, 0.75, 0.4, 0.75, paint=0.5, own=0.1, chance=0.35),
    ),
    notch=0.25,
)  # fmt: skip
BUS = Unit(
    (10.0, 12.4), (2.45, 2.6), (2.9, 3.3),
    (
        VehiclePart(0, 1, 1, 0, 0.93),
        VehiclePart(0.2, 0.36, 0.6, 0.93, 1, paint=0.6, own=0.1),
        VehiclePart(0.7, 0.82, 0.6, 0.93, 1, paint=0.6, own=0.1),
    ),
    notch=0.02,
)  # fmt: skip
UTILITY_TRAILER = Unit(
    (3.6, 5.6), (1.7, 2.2), (1.0, 2.1),
    (
        VehiclePart(0, 0.22, 0.1, 0.1, 0.3, **CHASSIS),
        VehiclePart(0.2, 1, 1, 0, 0.4, **DECK),
        VehiclePart(0.26, 0.96, 0.9, 0.4, 1, paint=0.6, own=0.15, chance=0.5),
    ),
    notch=0.2,
)  # fmt: skip
FLATBED_TRAILER = Unit(
    (5.4, 7.6), (2.3, 2.55), (1.6, 2.4),
    (
        VehiclePart(0, 0.16, 0.12, 0.1, 0.4, **CHASSIS),
        VehiclePart(0.14, 1, 1, 0, 0.45, **DECK),
        VehiclePart(0.35, 0.8, 0.8, 0.45, 1, paint=0.5, own=0.1, chance=0.35),
    ),
    notch=0.15,
)  # fmt: skip

VEHICLES = (
    VehicleType("sedan", SEDAN),
    VehicleType("SUV", SUV),
    VehicleType("pickup truck", PICKUP),
    VehicleType("van", VAN),
    VehicleType("box truck", BOX_TRUCK),
    VehicleType("motorcycle", MOTORCYCLE),
    VehicleType("flatbed truck", FLATBED),
    VehicleType("bus", BUS),
    VehicleType("pickup truck with trailer", PICKUP, UTILITY_TRAILER),
    VehicleType("flatbed truck with trailer", FLATBED, FLATBED_TRAILER),
)
# What is parked next to a vehicle; indices into VEHICLES.
NEIGHBOURS = (0, 1, 2, 3)
MAX_PARTS = max(
    len(unit.parts) for kind in VEHICLES for unit in (kind.lead, kind.towed) if unit is not None
)


# Texture is drawn at knots 2.5 m apart and interpolated; 11 of them span more than a chip.
KNOTS = 11
KNOT_SPACING = 2.5
LINE_WIDTH = 0.14
LOT, ROAD, FIELD = range(3)
SURFACE_SHARES = (0.5, 0.3, 0.2)


@dataclass(frozen=True)
class Ground:
    """Ground of N scenes; every field has shape (N,) except ``knots``.

    Parameters
    ----------
    surface
        ``LOT``, ``ROAD`` or ``FIELD``.
    cos, sin
        Direction of the road or of the parking bays.
    paved_origin, paved_half
        Middle of the paved strip, metres to the right of the origin, and half its width.
    line_origin, line_period
        Place of one painted line, metres to the right, and the distance to the next.
    line_half
        Half the length of the lines in metres.
    paved_tone, grass_tone
        Reflectances.
    roughness
        Radar backscatter of the pavement, as a share of that of grass.
    tree_x, tree_y, tree_radius, tree_height
        A tree; ``tree_radius`` is 0 where there is none.
    knots
        Standard normal values, of shape (N, 11, 11).
    """

    surface: Floats
    cos: Floats
    sin: Floats
    paved_origin: Floats
    paved_half: Floats
    line_origin: Floats
    line_period: Floats
    line_half: Floats
    paved_tone: Floats
    grass_tone: Floats
    roughness: Floats
    tree_x: Floats
    tree_y: Floats
    tree_radius: Floats
    tree_height: Floats
    knots: Floats


def lay(heading: Floats, rng: np.random.Generator) -> Ground:
    """Ground under vehicles of the given headings (radians, of shape (N,))."""
    count = len(heading)
    surface = rng.choice(3, count, p=SURFACE_SHARES)
    lot, road = surface == LOT, surface == ROAD
    angle = heading + rng.normal(0, 0.03, count)
    verge = rng.uniform(3.5, 16, count)
    lanes = rng.uniform(3.2, 6.5, count)
    period = np.where(lot, rng.uniform(2.6, 3.4, count), rng.uniform(3.3, 3.8, count))
    concrete = rng.random(count) < 0.2
    away, bearing = rng.uniform(7, 11, count), rng.uniform(0, 2 * np.pi, count)
    tree = rng.random(count) < 0.25
    arrays = (
        surface,
        np.cos(angle),
        np.sin(angle),
        # A car park ends in a verge on one side only, a road on both.
        np.where(lot, (40 - verge) * rng.choice([-1, 1], count), rng.uniform(-1.5, 1.5, count)),
        np.where(lot, 40, np.where(road, lanes, 0)),
        period / 2 + rng.normal(0, 0.15, count),
        period,
        np.where(lot, rng.uniform(2.3, 3, count), np.where(road, 40, 0)),
        np.where(concrete, rng.uniform(0.22, 0.34, count), rng.uniform(0.08, 0.2, count)),
        rng.uniform(0.09, 0.2, count),
        rng.uniform(0.3, 0.6, count),
        away * np.cos(bearing),
        away * np.sin(bearing),
        np.where(tree, rng.uniform(1.5, 4, count), 0),
        rng.uniform(4, 8, count),
        rng.standard_normal((count, KNOTS, KNOTS)),
    )
    return Ground(*(array.astype(np.float32) for array in arrays))


def paved_share(ground: Ground, view: View) -> Floats:
    """Share of each pixel that is pavement: (N, S, S) in [0, 1]."""
    inside = depth(view, -ground.sin, ground.cos, ground.paved_origin, ground.paved_half)
    return coverage(inside, view.spacing, 2 * ground.paved_half)


def line_share(ground: Ground, view: View) -> Floats:
    """Share of each pixel that is white paint: (N, S, S) in [0, 1]."""
    distance = along(view, -ground.sin, ground.cos, ground.line_origin)
    period = ground.line_period[:, None, None]
    distance -= period * np.rint(distance / period)
    width = np.full_like(ground.cos, LINE_WIDTH)
    inside = np.subtract(np.float32(LINE_WIDTH / 2), np.abs(distance, out=distance), out=distance)
    painted = coverage(inside, view.spacing, width)
    ends = depth(view, ground.cos, ground.sin, np.zeros_like(ground.cos), ground.line_half)
    painted *= coverage(ends, view.spacing, 2 * ground.line_half)
    return painted


def texture(ground: Ground, view: View) -> Floats:
    """Slow random variation over the ground, about standard normal: (N, S, S)."""
    columns, rows = (_weights(axis) for axis in (view.x, view.y))
    return rows @ ground.knots @ columns.transpose(0, 2, 1)


def _weights(axis: Floats) -> Floats:
    # Linear interpolation between knots as one matrix per chip: (N, S, 11).
    places = axis[..., None] / np.float32(KNOT_SPACING) + np.float32(KNOTS // 2)
    weights: Floats = np.maximum(1 - np.abs(places - np.arange(KNOTS, dtype=np.float32)), 0)
    return weights


SEATS = 4
FLAT = 0.05
# Reflectance and frequency of vehicle paints: white, silver, grey, black, saturated colours.
PAINTS = np.array([0.75, 0.5, 0.28, 0.05, 0.16])
PAINT_SHARES = np.array([0.26, 0.2, 0.17, 0.19, 0.18])
# Corners of a unit: (place along from the front, place across, height as share, faces outward).
CORNERS = (
    (0.04, -0.46, 0.35, True),
    (0.04, 0.46, 0.35, True),
    (0.96, -0.46, 0.35, True),
    (0.96, 0.46, 0.35, True),
    (None, -0.2, 0.6, False),
    (None, 0.2, 0.6, False),
)


@dataclass(frozen=True)
class Boxes:
    """Upright boxes of N scenes, lowest top first; every field has shape (N, P).

    ``tone`` is the reflectance of the upper face. A box without height (``top`` 0) is no box.
    """

    x: Floats
    y: Floats
    cos: Floats
    sin: Floats
    half_length: Floats
    half_width: Floats
    base: Floats
    top: Floats
    tone: Floats

    def rectangles(self, chips: Indices, slot: int) -> Rectangles:
        """The footprints in one slot of some chips."""
        names = [field.name for field in fields(Rectangles)]
        return Rectangles(*(getattr(self, name)[chips, slot] for name in names))


@dataclass(frozen=True)
class Corners:
    """Points that return much radar; every field has shape (N, Q).

    (``facing_x``, ``facing_y``) points outward; it is (0, 0) where every direction sees the corner.
    ``strength`` is an amplitude, 0 where there is no corner.
    """

    x: Floats
    y: Floats
    z: Floats
    facing_x: Floats
    facing_y: Floats
    strength: Floats


@dataclass(frozen=True)
class _Seats:
    """Units in their places; every field has shape (N, 4)."""

    unit: Indices
    taken: npt.NDArray[np.bool_]
    x: Floats
    y: Floats
    angle: Floats
    length: Floats
    width: Floats
    height: Floats
    paint: Floats


def _tables() -> tuple[list[Unit], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    units: list[Unit] = []
    for kind in VEHICLES:
        units += [unit for unit in (kind.lead, kind.towed) if unit and unit not in units]
    absent = VehiclePart(0, 0, 0, 0, 0, chance=0)
    rows = [[*unit.parts, *[absent] * (MAX_PARTS - len(unit.parts))] for unit in units]
    parts = np.array([[list(vars(part).values()) for part in row] for row in rows])
    sizes = np.array([[unit.length, unit.width, unit.height] for unit in units])
    return units, parts, sizes


UNITS, PARTS, SIZES = _tables()
LEAD = np.array([UNITS.index(kind.lead) for kind in VEHICLES])
TOWED = np.array([UNITS.index(kind.towed) if kind.towed else -1 for kind in VEHICLES])
NOTCHES = np.array([unit.notch for unit in UNITS])


def park(
    kinds: Indices, heading: Floats, crowding: Floats, abreast: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[Boxes, Corners]:  # fmt: skip
    """Vehicles of the given kinds, with neighbours, as boxes and corners.

    Parameters
    ----------
    kinds
        Class ids, of shape (N,).
    heading
        Direction of travel in radians, of shape (N,).
    crowding
        Chance of each of the two neighbours, of shape (N,).
    abreast
        Whether neighbours stand beside the vehicle (else in line with it), of shape (N,).
    rng
        Source of sizes, paints and neighbours.
    """
    seats = _seat(kinds, heading, crowding, abreast, rng)
    return _boxes(seats, rng), _corners(seats, rng)


def _seat(
    kinds: Indices, heading: Floats, crowding: Floats, abreast: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> _Seats:  # fmt: skip
    count = len(kinds)
    others = rng.choice(LEAD[list(NEIGHBOURS)], (count, 2))
    unit = np.column_stack([LEAD[kinds], TOWED[kinds], others])
    beside = rng.random((count, 2)) < crowding[:, None]
    taken = np.column_stack([np.ones(count, bool), TOWED[kinds] >= 0, beside])
    low, high = SIZES[unit, :, 0], SIZES[unit, :, 1]
    size = low + (high - low) * rng.random((count, SEATS, 3))
    size[~taken] = 0
    forward, across, turn = _places(size, abreast, rng)
    cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
    paint = rng.choice(PAINTS, (count, SEATS), p=PAINT_SHARES)
    paint = paint * np.exp(0.12 * rng.standard_normal((count, SEATS)))
    paint[:, 1] = np.where(rng.random(count) < 0.5, paint[:, 0], paint[:, 1])
    arrays = (forward * cos - across * sin, forward * sin + across * cos, heading[:, None] + turn)
    lengths = (size[..., 0], size[..., 1], size[..., 2], np.minimum(paint, 0.9))
    return _Seats(unit, taken, *(array.astype(np.float32) for array in (*arrays, *lengths)))


def _places(
    size: npt.NDArray[np.float64], abreast: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Metres ahead, metres to the right and turn in radians of every seat, each (N, 4)."""
    count = len(size)
    length, width = size[..., 0], size[..., 1]
    towing = length[:, 1] > 0
    gap = np.where(towing, rng.uniform(0.3, 0.7, count), 0)
    bend = np.where(towing, 0.1 * rng.standard_normal(count), 0)
    forward, across, turn = (np.zeros((count, SEATS)) for _ in range(3))
    forward[:, 0] = (gap + length[:, 1]) / 2
    reach = gap + length[:, 1] / 2
    forward[:, 1] = forward[:, 0] - length[:, 0] / 2 - reach * np.cos(bend)
    across[:, 1] = -reach * np.sin(bend)
    turn[:, 1] = bend
    half = (length[:, 0] + gap + length[:, 1]) / 2
    side = np.column_stack([np.ones(count), -np.ones(count)]) * rng.choice([-1, 1], (count, 1))
    pitch = (width[:, :1] + width[:, 2:]) / 2 + rng.uniform(0.6, 1.3, (count, 2))
    follow = half[:, None] + length[:, 2:] / 2 + rng.uniform(1.2, 5, (count, 2))
    slack = np.maximum(half - 2.4, 0)[:, None] + 0.4
    along = np.where(abreast[:, None], slack * rng.uniform(-1, 1, (count, 2)), side * follow)
    forward[:, 2:] = along
    across[:, 2:] = np.where(abreast[:, None], side * pitch, 0.2 * rng.standard_normal((count, 2)))
    turn[:, 2:] = 0.03 * rng.standard_normal((count, 2))
    turn[:, 2:] += np.pi * (abreast[:, None] & (rng.random((count, 2)) < 0.5))
    return forward, across, turn


def _boxes(seats: _Seats, rng: np.random.Generator) -> Boxes:
    front, rear, width, base, top, paint, own, chance = np.moveaxis(PARTS[seats.unit], -1, 0)
    there = seats.taken[..., None] & (rng.random(chance.shape) < chance)
    length, height = seats.length[..., None], seats.height[..., None]
    forward = (0.5 - (front + rear) / 2) * length
    cos, sin = np.cos(seats.angle)[..., None], np.sin(seats.angle)[..., None]
    spread = np.ones_like(forward)
    arrays = {
        "x": seats.x[..., None] + forward * cos,
        "y": seats.y[..., None] + forward * sin,
        "cos": cos * spread,
        "sin": sin * spread,
        "half_length": (rear - front) * length / 2,
        "half_width": width * seats.width[..., None] / 2,
        "base": base * height,
        "top": np.where(there, top * height, 0),
        "tone": paint * seats.paint[..., None] + own,
    }
    return _lowest_first({name: array.reshape(len(array), -1) for name, array in arrays.items()})


def _lowest_first(arrays: dict[str, npt.NDArray[np.float64]]) -> Boxes:
    # What is higher is painted later; empty slots go to the end, and those empty in all go away.
    top = arrays["top"]
    order = np.argsort(np.where(top > 0, top, np.inf), axis=1, kind="stable")
    order = order[:, : max(1, int((top > 0).sum(axis=1).max()))]
    return Boxes(
        **{
            name: np.take_along_axis(array, order, 1).astype(np.float32)
            for name, array in arrays.items()
        }
    )


def _corners(seats: _Seats, rng: np.random.Generator) -> Corners:
    place = np.array([[0 if row[0] is None else row[0], *row[1:3]] for row in CORNERS])
    inner = np.array([row[0] is None for row in CORNERS])
    outward = np.array([row[3] for row in CORNERS])
    ahead = np.where(inner, NOTCHES[seats.unit][..., None], place[:, 0])
    forward = (0.5 - ahead) * seats.length[..., None]
    right = place[:, 1] * seats.width[..., None]
    cos, sin = np.cos(seats.angle)[..., None], np.sin(seats.angle)[..., None]
    facing = np.where(outward, np.sqrt(0.5), 0)
    face_u, face_v = facing * np.sign(0.5 - place[:, 0]), facing * np.sign(place[:, 1])
    strength = np.exp(0.6 * rng.standard_normal(forward.shape)) * np.sqrt(seats.height)[..., None]
    arrays = (
        seats.x[..., None] + forward * cos - right * sin,
        seats.y[..., None] + forward * sin + right * cos,
        place[:, 2] * seats.height[..., None] * np.ones_like(forward),
        face_u * cos - face_v * sin,
        face_u * sin + face_v * cos,
        strength * seats.taken[..., None],
    )
    return Corners(*(array.reshape(len(array), -1).astype(np.float32) for array in arrays))


T = TypeVar("T")
# Chance of each neighbour in a car park, on a road, on grass.
CROWDING = np.array([0.5, 0.25, 0.08])


@dataclass(frozen=True)
class SceneFrames:
    """What the two sensors see in N frames; angles in radians, every plain field of shape (N,).

    Parameters
    ----------
    boxes, corners, ground
        The scene in world coordinates.
    sun_azimuth, sun_elevation
        Where the sun stands: the direction towards it, and its height above the horizon.
    lean_x, lean_y
        Displacement in the photograph of a point one metre above the ground, in metres.
    radar_azimuth, incidence
        Direction towards the radar, and the angle of its beam from the vertical.
    exposure
        Grey levels per unit of radiance.
    blur
        Standard deviation of the camera's blur in pixels.
    shift_x, shift_y
        Where the middle of the chips lies in world coordinates, in metres.
    """

    boxes: Boxes
    corners: Corners
    ground: Ground
    sun_azimuth: Floats
    sun_elevation: Floats
    lean_x: Floats
    lean_y: Floats
    radar_azimuth: Floats
    incidence: Floats
    exposure: Floats
    blur: Floats
    shift_x: Floats
    shift_y: Floats

    def __len__(self) -> int:
        return len(self.shift_x)


def take(scene: T, rows: Indices) -> T:
    """The rows asked for of a dataclass of arrays, nested ones included."""
    values: dict[str, Any] = {}
    for field in fields(scene):  # type: ignore[arg-type]
        value = getattr(scene, field.name)
        values[field.name] = take(value, rows) if is_dataclass(value) else value[rows]
    return type(scene)(**values)


def shoot(kinds: Indices, follows: npt.NDArray[np.bool_], rng: np.random.Generator) -> SceneFrames:
    """Frames of vehicles of the given kinds.

    Parameters
    ----------
    kinds
        Class ids of the N frames.
    follows
        Whether a frame shows the same scene as the one before it, of shape (N,).
    rng
        Source of everything that is random.
    """
    follows = follows & (np.arange(len(kinds)) > 0)
    scenes = stage(kinds[~follows], rng)
    frames = take(scenes, np.cumsum(~follows) - 1)
    return _fly_on(frames, follows, rng)


def stage(kinds: Indices, rng: np.random.Generator) -> SceneFrames:
    """One frame each of new scenes; arguments as in ``shoot``."""
    count = len(kinds)
    heading = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    ground = lay(heading, rng)
    surface = ground.surface.astype(np.intp)
    abreast = (surface == LOT) | ((surface == FIELD) & (rng.random(count) < 0.5))
    boxes, corners = park(kinds, heading, CROWDING[surface].astype(np.float32), abreast, rng)
    lean, lean_azimuth = np.tan(rng.uniform(0, 0.5, count)), rng.uniform(0, 2 * np.pi, count)
    elevation = rng.uniform(0.45, 1.15, count)
    arrays = (
        rng.uniform(0, 2 * np.pi, count),
        elevation,
        lean * np.cos(lean_azimuth),
        lean * np.sin(lean_azimuth),
        rng.uniform(0, 2 * np.pi, count),
        rng.uniform(0.7, 1.05, count),
        # An exposure for the ground: the camera does not know what vehicle stands there.
        65 * np.exp(0.4 * rng.standard_normal(count)) / (0.14 * (np.sin(elevation) + 0.25)),
        rng.uniform(0.6, 1.1, count),
        rng.normal(0, 0.7, count),
        rng.normal(0, 0.7, count),
    )
    return SceneFrames(boxes, corners, ground, *(array.astype(np.float32) for array in arrays))


def _fly_on(
    frames: SceneFrames, follows: npt.NDArray[np.bool_], rng: np.random.Generator
) -> SceneFrames:
    """The frames, with those that follow another a little shifted and turned against it."""
    moves = {"shift_x": 0.25, "shift_y": 0.25, "radar_azimuth": 0.04, "incidence": 0.005}
    values = {field.name: getattr(frames, field.name) for field in fields(frames)}
    for name, spread in moves.items():
        step = spread * rng.standard_normal(len(follows)) * follows
        values[name] = np.float32(values[name] + step)
    return SceneFrames(**values)


OPTICAL_SIZE = 32
OPTICAL_SPACING = 0.57  # metres per pixel; 32 of them span 18 m
SKY = 0.25  # light of the sky as a share of the sun's
LINE_TONE = 0.55
CROWN_TONE = 0.07
BLACK_LEVEL = 14
SHOT_NOISE = 0.22  # grey levels at a signal of one grey level
READ_NOISE = 1.6


def photograph(frames: SceneFrames, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Grey chips of N frames: (N, 32, 32).

    Parameters
    ----------
    frames
        What is seen.
    rng
        Source of the noise.
    """
    spacing = np.full(len(frames), OPTICAL_SPACING, np.float32)
    view = view_of(OPTICAL_SIZE, spacing, frames.shift_x, frames.shift_y)
    light = _light(frames, view)
    scene = _ground_tones(frames, view, rng) * light
    for slot in range(frames.boxes.top.shape[1]):
        chips = np.flatnonzero(frames.boxes.top[:, slot] > 0)
        scene[chips] = _paint(frames, view.take(chips), chips, slot, scene[chips])
    signal = _blurred(scene, frames.blur) * frames.exposure[:, None, None]
    noise = np.sqrt(SHOT_NOISE**2 * signal + READ_NOISE**2)
    signal += noise * rng.standard_normal(signal.shape, dtype=np.float32)
    grey: npt.NDArray[np.uint8] = np.clip(np.rint(signal + BLACK_LEVEL), 0, 255).astype(np.uint8)
    return grey


def _ground_tones(frames: SceneFrames, view: View, rng: np.random.Generator) -> Floats:
    ground = frames.ground
    paved, lines, slow = paved_share(ground, view), line_share(ground, view), texture(ground, view)
    fine = rng.standard_normal(slow.shape, dtype=np.float32)
    grass = ground.grass_tone[:, None, None] * (1 + 0.22 * slow + 0.2 * fine)
    pavement = ground.paved_tone[:, None, None] * (1 + 0.07 * slow + 0.03 * fine)
    lines *= (ground.surface != FIELD)[:, None, None]
    pavement += lines * (LINE_TONE - pavement)
    tones = grass + paved * (pavement - grass)
    crown = disc_coverage(view, *_crown(frames), ground.tree_radius)
    tones += crown * (CROWN_TONE * (1 + 0.5 * fine) - tones)
    return np.maximum(tones, 0.01)


def _crown(frames: SceneFrames) -> tuple[Floats, Floats]:
    ground = frames.ground
    height = ground.tree_height
    return ground.tree_x + frames.lean_x * height, ground.tree_y + frames.lean_y * height


def _shadow_vector(frames: SceneFrames) -> Floats:
    # Shift in metres of the shadow of a point one metre high: (2, N).
    length = -1 / np.tan(frames.sun_elevation)
    return np.stack([length * np.cos(frames.sun_azimuth), length * np.sin(frames.sun_azimuth)])


def _light(frames: SceneFrames, view: View) -> Floats:
    """Light on level ground, of shape (N, S, S): sun where nothing stands before it, and sky."""
    shadow = _shadow_vector(frames)
    ground = frames.ground
    fall = shadow * ground.tree_height
    dark = disc_coverage(view, ground.tree_x + fall[0], ground.tree_y + fall[1], ground.tree_radius)
    for slot in range(frames.boxes.top.shape[1]):
        tall = frames.boxes.top[:, slot] > frames.boxes.base[:, slot] + FLAT
        chips = np.flatnonzero(tall)
        low, high = (field[chips, slot] for field in (frames.boxes.base, frames.boxes.top))
        cast = swept_coverage(
            view.take(chips),
            frames.boxes.rectangles(chips, slot),
            shadow[:, chips] * low,
            shadow[:, chips] * high,
        )
        dark[chips] = np.maximum(dark[chips], cast)
    return (1 - dark) * np.sin(frames.sun_elevation)[:, None, None] + np.float32(SKY)


def _paint(frames: SceneFrames, view: View, chips: Indices, slot: int, scene: Floats) -> Floats:
    """The scene with the sides and the upper face of one box per chip painted over it."""
    boxes = frames.boxes
    tone, base, top = (field[chips, slot] for field in (boxes.tone, boxes.base, boxes.top))
    lean = np.stack([frames.lean_x[chips], frames.lean_y[chips]])
    box = boxes.rectangles(chips, slot)
    sides = swept_coverage(view, box, lean * base, lean * top)
    scene += sides * ((tone * _side_light(frames, chips))[:, None, None] - scene)
    roof = swept_coverage(view, box, lean * top, lean * top)
    light = np.sin(frames.sun_elevation[chips]) + np.float32(SKY)
    scene += roof * ((tone * light)[:, None, None] - scene)
    return scene


def _side_light(frames: SceneFrames, chips: Indices) -> Floats:
    # The sides that show face the camera; the sun lights them as far as it stands behind it.
    lean = np.arctan2(frames.lean_y[chips], frames.lean_x[chips])
    facing = np.maximum(-np.cos(frames.sun_azimuth[chips] - lean), 0)
    return 0.8 * (np.cos(frames.sun_elevation[chips]) * facing + np.float32(0.7 * SKY))


def _blurred(scene: Floats, sigma: Floats) -> Floats:
    return np.stack(
        [
            cv2.GaussianBlur(chip, (5, 5), float(width), borderType=cv2.BORDER_REPLICATE)
            for chip, width in zip(scene, sigma, strict=True)
        ]
    )


RADAR_SIZE = 60
MARGIN = 3  # pixels around the chip that the point-spread function draws from
RADAR_SPACING = 0.3  # metres per pixel; 60 of them span 18 m
KERNEL = 2 * MARGIN + 1
SPREAD = 1.05  # standard deviation of the point-spread function in pixels
# Backscatter (power), with grass = 1.
METAL, WALL, CROWN, NOISE_FLOOR = 0.5, 1.6, 2.2, 0.06
CORNER, DIHEDRAL = 5.0, 2.6  # amplitudes at one metre of height
LOBE = 0.2  # width of a dihedral's return in radians
GRASS_LEVEL = 112  # grey level of grass without speckle
REGISTRATION = 0.4  # metres between the two sensors' idea of the same place


def image(frames: SceneFrames, looks: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Grey chips of N frames: (N, 60, 60). The grey level follows the fourth root of the power.

    Parameters
    ----------
    frames
        What is seen.
    looks
        Number of independent looks averaged; the speckle's variance is 1 / looks.
    rng
        Source of speckle and registration error.
    """
    spacing = np.full(len(frames), RADAR_SPACING, np.float32)
    error = (REGISTRATION * rng.standard_normal((2, len(frames)))).astype(np.float32)
    shifts = frames.shift_x + error[0], frames.shift_y + error[1]
    view = view_of(RADAR_SIZE + 2 * MARGIN, spacing, *shifts)
    power, glints = _scatter(frames, view)
    _add_corners(glints, frames, view)
    returned = develop(power, glints, looks, rng)
    grey = np.float32(GRASS_LEVEL) * np.sqrt(np.sqrt(returned))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def develop(power: Floats, glints: Floats, looks: int, rng: np.random.Generator) -> Floats:
    """Power images with speckle, from backscatter and the amplitude of steady scatterers.

    Parameters
    ----------
    power, glints
        Of shape (N, S, S), with a margin of 3 pixels on each side.
    looks
        Number of looks averaged.
    rng
        Source of the speckle.

    Returns
    -------
    numpy.ndarray
        Shape (N, S - 6, S - 6). Over even ground its mean is ``power`` and its distribution gamma
        with shape ``looks``.
    """
    count, size, _ = power.shape
    kernel = cv2.getGaussianKernel(KERNEL, SPREAD)
    gain = np.float32(1 / (kernel**2).sum())
    spread = np.sqrt(power / np.float32(2))[..., None]
    total = np.zeros((count, size, size), np.float32)
    for _ in range(looks):
        field = spread * rng.standard_normal((count, size, size, 2), dtype=np.float32)
        field[..., 0] += glints
        # One tall picture for the whole batch; what a chip's margin takes from its neighbour
        # stays within the margin, which is cut off below.
        tall = cv2.GaussianBlur(field.reshape(count * size, size, 2), (KERNEL, KERNEL), SPREAD)
        tall *= tall
        total += tall.sum(axis=-1).reshape(count, size, size)
    inner = slice(MARGIN, size - MARGIN)
    return total[:, inner, inner] * (gain * gain / looks)


def _scatter(frames: SceneFrames, view: View) -> tuple[Floats, Floats]:
    """Backscatter, and amplitude of dihedrals, both of shape (N, S, S)."""
    towards = np.stack([np.cos(frames.radar_azimuth), np.sin(frames.radar_azimuth)])
    reach, near = np.tan(frames.incidence), 1 / np.tan(frames.incidence)
    lit, raised = _trees(frames, view, towards * near, towards * reach)
    glints = np.zeros_like(lit)
    for slot in range(frames.boxes.top.shape[1]):
        tall = frames.boxes.top[:, slot] > frames.boxes.base[:, slot] + FLAT
        chips = np.flatnonzero(tall)
        box, part = frames.boxes.rectangles(chips, slot), view.take(chips)
        base, top = frames.boxes.base[chips, slot], frames.boxes.top[chips, slot]
        toward, layover = towards[:, chips], towards[:, chips] * near[chips]
        shadow = swept_coverage(part, box, 0 * toward, -toward * reach[chips] * top)
        lit[chips] *= 1 - shadow
        walls = swept_coverage(part, box, layover * base, layover * top)
        roof = swept_coverage(part, box, layover * top, layover * top)
        raised[chips] += WALL * (walls - roof).clip(0) + METAL * roof
        lines = _dihedrals(part, box, toward, layover * base, top - base)
        glints[chips] = np.maximum(glints[chips], lines)
    ground = _ground_power(frames, view)
    return ground * lit + raised + np.float32(NOISE_FLOOR), glints


def _ground_power(frames: SceneFrames, view: View) -> Floats:
    ground = frames.ground
    paved = paved_share(ground, view) * (ground.surface != FIELD)[:, None, None]
    power = 1 + paved * (ground.roughness[:, None, None] - 1)
    darkened: Floats = power * np.exp(0.25 * texture(ground, view))
    return darkened


def _trees(frames: SceneFrames, view: View, near: Floats, reach: Floats) -> tuple[Floats, Floats]:
    """What trees leave lit, and the power of their crowns."""
    ground = frames.ground
    shift, fall = near * ground.tree_height * 0.7, -reach * ground.tree_height * 0.5
    radius = ground.tree_radius
    crown = disc_coverage(view, ground.tree_x + shift[0], ground.tree_y + shift[1], radius)
    shade = disc_coverage(view, ground.tree_x + fall[0], ground.tree_y + fall[1], radius)
    return 1 - shade, CROWN * crown


def _dihedrals(
    view: View, box: Rectangles, towards: Floats, layover: Floats, height: Floats
) -> Floats:
    """Amplitude of the two lines at the feet of the walls that the radar sees: (N, S, S)."""
    x, y = box.x + layover[0], box.y + layover[1]
    ahead = towards[0] * box.cos + towards[1] * box.sin
    right = towards[1] * box.cos - towards[0] * box.sin
    total = np.zeros((len(x), view.y.shape[1], view.x.shape[1]), np.float32)
    thin = np.full_like(height, RADAR_SPACING / 2)
    for facing, long, across in ((ahead, False, box.half_length), (right, True, box.half_width)):
        normal_x, normal_y = (-box.sin, box.cos) if long else (box.cos, box.sin)
        away = np.sign(facing) * across
        half = box.half_length if long else box.half_width
        line = replace(
            box,
            x=x + away * normal_x,
            y=y + away * normal_y,
            half_length=half if long else thin,
            half_width=thin if long else half,
        )
        off = np.arccos(np.clip(np.abs(facing), 0, 1))
        lobe = np.exp(-((off / LOBE) ** 2)) + 0.12 * np.abs(facing)
        amplitude = DIHEDRAL * np.sqrt(height) * lobe
        total = np.maximum(total, amplitude[:, None, None] * rectangle_coverage(view, line))
    return total


def _add_corners(glints: Floats, frames: SceneFrames, view: View) -> None:
    """Add the visible corners to the amplitudes, each in the pixel where layover puts it."""
    corners = frames.corners
    towards = np.cos(frames.radar_azimuth)[:, None], np.sin(frames.radar_azimuth)[:, None]
    near = corners.z / np.tan(frames.incidence)[:, None]
    facing = corners.facing_x * towards[0] + corners.facing_y * towards[1]
    omni = (corners.facing_x == 0) & (corners.facing_y == 0)
    seen = np.where(omni, 0.6, np.clip(facing, 0, None))
    chips, slots = np.nonzero(corners.strength * seen)
    x = (corners.x + near * towards[0])[chips, slots]
    y = (corners.y + near * towards[1])[chips, slots]
    column, row = _pixel(x, view.x[chips]), _pixel(y, view.y[chips])
    size = view.x.shape[1]
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    amplitude = CORNER * (corners.strength * seen)[chips, slots]
    place = (chips[inside], row[inside], column[inside])
    np.add.at(glints, place, amplitude[inside].astype(np.float32))


def _pixel(place: Floats, axis: Floats) -> Indices:
    pixel: Indices = np.rint((place - axis[:, 0]) / np.float32(RADAR_SPACING)).astype(np.intp)
    return pixel
