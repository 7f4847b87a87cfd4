"""Vehicles as tables of boxes, and their grey chips as a camera and a radar see them.

A scene is a vehicle with its trailer and up to two neighbours on a car park, a road or a field. The
two sensors look at the same scene: boxes on the ground, shapes swept from one height to another.

The camera looks a little aslant, so that sides of tall vehicles show. Light comes from the sun and
from the sky; what the sun does not reach has sky light only. Then come the lens (Gaussian blur),
shot noise and read noise, and eight bits that saturate.

The radar image is formed coherently. Every resolution cell scatters with a random complex
amplitude, whose square has a gamma distribution after averaging over looks: that is speckle, and it
multiplies the backscatter. In ground range a point at height z is imaged z / tan(incidence) nearer
to the radar (layover), and what lies within z * tan(incidence) behind it is not lit (shadow). Wall
and ground form a dihedral, which has an amplitude of its own: it returns from the foot of the wall,
and strongly only if the wall faces the radar. See Oliver and Quegan, "Understanding Synthetic
Aperture Radar Images" (2004), chapters 4 and 5.

World coordinates are metres: x to the right of the chip, y down, the origin near the vehicle.
Letters: N chips, S pixels along a side, B boxes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

Range = tuple[float, float]
Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Unit:
    """A rigid vehicle or trailer: ranges of its sizes in metres, and its boxes.

    A box has its front and rear end as shares of the length; its width; its lower and upper face;
    the share of the unit's paint in its reflectance; reflectance of its own (glass, wood, metal);
    and the share of the vehicles that have it, such as a load.
    """

    length: Range
    width: Range
    height: Range
    boxes: tuple[tuple[float, ...], ...]


SEDAN = Unit((4.4, 5.0), (1.72, 1.9), (1.4, 1.5), (
    (0, 1, 1, 0, 0.62, 1, 0, 1), (0.27, 0.87, 0.9, 0.62, 0.8, 0, 0.05, 1),
    (0.42, 0.7, 0.78, 0.62, 1, 1, 0, 1)))  # fmt: skip
SUV = Unit((4.6, 5.3), (1.88, 2.05), (1.7, 1.95), (
    (0, 1, 1, 0, 0.58, 1, 0, 1), (0.24, 0.99, 0.92, 0.58, 0.8, 0, 0.05, 1),
    (0.36, 0.95, 0.8, 0.58, 1, 1, 0, 1)))  # fmt: skip
PICKUP = Unit((5.2, 6.1), (1.88, 2.05), (1.75, 1.95), (
    (0, 1, 1, 0, 0.56, 1, 0, 1), (0.65, 0.97, 0.78, 0.56, 0.57, 0.15, 0.06, 1),
    (0.24, 0.62, 0.92, 0.56, 0.8, 0, 0.05, 1), (0.34, 0.58, 0.8, 0.56, 1, 1, 0, 1)))  # fmt: skip
VAN = Unit((5.0, 6.2), (1.95, 2.1), (2.0, 2.7), (
    (0, 1, 1, 0, 0.48, 1, 0, 1), (0.1, 0.99, 0.96, 0.48, 0.7, 0, 0.05, 1),
    (0.22, 0.99, 0.94, 0.48, 1, 1, 0, 1)))  # fmt: skip
BOX_TRUCK = Unit((6.6, 8.8), (2.3, 2.55), (3.1, 3.8), (
    (0.05, 1, 0.8, 0, 0.25, 0, 0.08, 1), (0, 0.24, 0.88, 0, 0.5, 1, 0, 1),
    (0.08, 0.22, 0.84, 0.5, 0.68, 1, 0, 1), (0.28, 1, 1, 0.25, 1, 0.15, 0.45, 1)))  # fmt: skip
MOTORCYCLE = Unit((2.0, 2.5), (0.75, 0.95), (1.2, 1.6), (
    (0, 1, 0.4, 0, 0.55, 1, 0, 1), (0.22, 0.32, 1, 0.5, 0.7, 0, 0.08, 1),
    (0.42, 0.7, 0.6, 0.5, 1, 0.5, 0.08, 0.6)))  # fmt: skip
FLATBED = Unit((6.6, 8.8), (2.3, 2.55), (2.4, 2.9), (
    (0.25, 1, 1, 0, 0.4, 0, 0.2, 1), (0, 0.24, 0.88, 0, 0.75, 1, 0, 1),
    (0.07, 0.22, 0.84, 0.75, 1, 1, 0, 1), (0.5, 0.85, 0.75, 0.4, 0.75, 0.5, 0.1, 0.35),
))  # fmt: skip
BUS = Unit((10.0, 12.4), (2.45, 2.6), (2.9, 3.3), (
    (0, 1, 1, 0, 0.93, 1, 0, 1), (0.2, 0.36, 0.6, 0.93, 1, 0.6, 0.1, 1),
    (0.7, 0.82, 0.6, 0.93, 1, 0.6, 0.1, 1)))  # fmt: skip
UTILITY_TRAILER = Unit((3.6, 5.6), (1.7, 2.2), (1.0, 2.1), (
    (0, 0.22, 0.1, 0.1, 0.3, 0, 0.08, 1), (0.2, 1, 1, 0, 0.4, 0, 0.2, 1),
    (0.26, 0.96, 0.9, 0.4, 1, 0.6, 0.15, 0.5)))  # fmt: skip
FLATBED_TRAILER = Unit((5.4, 7.6), (2.3, 2.55), (1.6, 2.4), (
    (0, 0.16, 0.12, 0.1, 0.4, 0, 0.08, 1), (0.14, 1, 1, 0, 0.45, 0, 0.2, 1),
    (0.35, 0.8, 0.8, 0.45, 1, 0.5, 0.1, 0.35)))  # fmt: skip


@dataclass(frozen=True)
class VehicleType:
    """One class: a leading unit, and the trailer behind it if there is one."""

    name: str
    lead: Unit
    towed: Unit | None = None


# In the order of the class ids 0 to 9; sizes are those of vehicles on North American roads.
VEHICLES = (
    VehicleType("sedan", SEDAN), VehicleType("SUV", SUV), VehicleType("pickup truck", PICKUP),
    VehicleType("van", VAN), VehicleType("box truck", BOX_TRUCK),
    VehicleType("motorcycle", MOTORCYCLE), VehicleType("flatbed truck", FLATBED),
    VehicleType("bus", BUS), VehicleType("pickup truck with trailer", PICKUP, UTILITY_TRAILER),
    VehicleType("flatbed truck with trailer", FLATBED, FLATBED_TRAILER),
)  # fmt: skip
NEIGHBOURS = (SEDAN, SUV, PICKUP, VAN)
# Reflectance and frequency of vehicle paints: white, silver, grey, black, saturated colours.
PAINTS, PAINT_SHARES = (0.75, 0.5, 0.28, 0.05, 0.16), (0.26, 0.2, 0.17, 0.19, 0.18)
LOT, ROAD, FIELD = range(3)
SURFACE_SHARES = (0.5, 0.3, 0.2)
CROWDING = (0.5, 0.25, 0.08)  # chance of each of two neighbours on such ground
KNOTS, KNOT_SPACING = 11, 2.5  # metres between the knots of the texture, which span over a chip
LINE_WIDTH, LINE_TONE, CROWN_TONE = 0.06, 0.55, 0.07
CORNER_SIGNS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
FLAT = 0.05  # metres; a lower box casts no shadow


@dataclass(frozen=True)
class Patch:
    """A polygon of ground."""

    outline: Floats
    tone: float  # reflectance
    power: float | None  # backscatter, if the radar sees it at all


@dataclass(frozen=True)
class Frame:
    """What the two sensors see; angles in radians, places and lengths in metres."""

    # Boxes, lowest top first: their corners on the ground, of shape (B, 4, 2); and of shape (B, 4)
    # their base, top, reflectance and how strongly their walls return radar, 1 on average.
    outlines: Floats
    faces: Floats
    heading: float  # direction of travel
    grass: float  # reflectance of the ground where no patch lies
    patches: tuple[Patch, ...]  # pavement, and the lines on it
    tree: Floats  # x, y, radius and height; no tree has radius 0
    knots: Floats  # standard normal values (11, 11), the texture of the ground
    sun_azimuth: float  # direction towards the sun
    sun_elevation: float  # its height above the horizon
    lean: Floats  # displacement (x, y) in the photograph of a point one metre above the ground
    radar_azimuth: float  # direction towards the radar
    incidence: float  # angle of its beam from the vertical
    exposure: float  # grey levels per unit of radiance
    blur: float  # standard deviation of the camera's blur in pixels
    shift: Floats  # where the middle of the chip lies


def shoot(kinds: Indices, follows: npt.NDArray[np.bool_], rng: np.random.Generator) -> list[Frame]:
    """Frames of vehicles of the given kinds (class ids).

    Those that follow show the scene of the frame before them: the aircraft flew on, so the vehicle
    is a little shifted, under a slightly turned radar, with new noise.
    """
    frames: list[Frame] = []
    for kind, again in zip(kinds, follows, strict=True):
        if frames and again:
            last, (turn, tilt) = frames[-1], rng.normal(0, (0.04, 0.005))
            frames.append(replace(last, shift=last.shift + rng.normal(0, 0.25, 2),
                                  radar_azimuth=last.radar_azimuth + turn,
                                  incidence=last.incidence + tilt))  # fmt: skip
        else:
            frames.append(stage(VEHICLES[kind], rng))
    return frames


def stage(vehicle: VehicleType, rng: np.random.Generator) -> Frame:
    """A new scene of a vehicle."""
    heading = float(rng.uniform(0, 2 * np.pi))
    surface = int(rng.choice(3, p=SURFACE_SHARES))
    abreast = surface == LOT or (surface == FIELD and rng.random() < 0.5)
    boxes = park(vehicle, heading, CROWDING[surface], abreast, rng)
    away, bearing = rng.uniform(7, 11), rng.uniform(0, 2 * np.pi)
    radius = rng.uniform(1.5, 4) if rng.random() < 0.25 else 0.0
    lean, azimuth = np.tan(rng.uniform(0, 0.5)), rng.uniform(0, 2 * np.pi)
    elevation = rng.uniform(0.45, 1.15)
    return Frame(
        *boxes,
        heading,
        grass=rng.uniform(0.09, 0.2),
        patches=_pavement(surface, heading + rng.normal(0, 0.03), rng),
        tree=np.array([*away * _toward(bearing), radius, rng.uniform(4, 8)]),
        knots=rng.standard_normal((KNOTS, KNOTS), dtype=np.float32),
        sun_azimuth=rng.uniform(0, 2 * np.pi),
        sun_elevation=elevation,
        lean=lean * np.array([np.cos(azimuth), np.sin(azimuth)]),
        radar_azimuth=rng.uniform(0, 2 * np.pi),
        incidence=rng.uniform(0.7, 1.05),
        # An exposure for the ground: the camera does not know what vehicle stands there.
        exposure=65 * np.exp(0.4 * rng.standard_normal()) / (0.14 * (np.sin(elevation) + SKY)),
        blur=rng.uniform(0.6, 1.1),
        shift=rng.normal(0, 0.7, 2),
    )


def _pavement(surface: int, angle: float, rng: np.random.Generator) -> tuple[Patch, ...]:
    """A car park that ends on one side, or a road, with painted lines; nothing in a field."""
    if surface == FIELD:
        return ()
    tone = rng.uniform(0.22, 0.34) if rng.random() < 0.2 else rng.uniform(0.08, 0.2)
    if surface == LOT:
        half, middle = 40.0, (40 - rng.uniform(3.5, 16)) * rng.choice([-1, 1])
        period, long = rng.uniform(2.6, 3.4), 2 * rng.uniform(2.3, 3)
    else:
        half, middle = rng.uniform(3.2, 6.5), rng.uniform(-1.5, 1.5)
        period, long = rng.uniform(3.3, 3.8), 80.0
    first = period / 2 + rng.normal(0, 0.15)
    places = first + period * np.arange(-6, 6)
    places = places[np.abs(places - middle) < half]
    paved = CORNER_SIGNS * [40, half] + [0, middle]
    lines = [CORNER_SIGNS * [long / 2, LINE_WIDTH / 2] + [0, place] for place in places]
    outlines = np.stack([paved, *lines]) @ _turn(angle).T
    return (Patch(outlines[0], tone, rng.uniform(0.3, 0.6)),
            *(Patch(outline, LINE_TONE, None) for outline in outlines[1:]))  # fmt: skip


def _turn(angle: float) -> Floats:
    """A matrix that turns points in its columns by an angle."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def park(
    vehicle: VehicleType, heading: float, crowding: float, abreast: bool, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """A vehicle and its neighbours: outlines and faces of `Frame`.

    Each of two neighbours is there with a chance of ``crowding``, beside the vehicle if
    ``abreast``, else in line with it.
    """
    lead, paint = _size(vehicle.lead, rng), _paint(rng)
    length = lead[0]
    units = [(vehicle.lead, lead, 0.0, 0.0, 0.0, paint)]
    if vehicle.towed:
        towed, gap, bend = _size(vehicle.towed, rng), rng.uniform(0.3, 0.7), rng.normal(0, 0.1)
        reach = gap + towed[0] / 2
        units[0] = (vehicle.lead, lead, (gap + towed[0]) / 2, 0.0, 0.0, paint)
        back = (towed[0] + gap - lead[0]) / 2 - reach * np.cos(bend)
        second = paint if rng.random() < 0.5 else _paint(rng)
        units.append((vehicle.towed, towed, back, -reach * np.sin(bend), bend, second))
        length += gap + towed[0]
    first = rng.choice([-1, 1])
    for side in (first, -first):
        if rng.random() < crowding:
            unit = NEIGHBOURS[int(rng.integers(len(NEIGHBOURS)))]
            size = _size(unit, rng)
            if abreast:
                ahead = (max(length / 2 - 2.4, 0) + 0.4) * rng.uniform(-1, 1)
                across = side * ((lead[1] + size[1]) / 2 + rng.uniform(0.6, 1.3))
            else:
                ahead = side * ((length + size[0]) / 2 + rng.uniform(1.2, 5))
                across = rng.normal(0, 0.2)
            turn = rng.normal(0, 0.03) + np.pi * (abreast and rng.random() < 0.5)
            units.append((unit, size, ahead, across, turn, _paint(rng)))
    drawn = [_build(*unit, heading, rng) for unit in units]
    outlines, faces = (np.concatenate(rows) for rows in zip(*drawn, strict=True))
    # What is higher is painted later.
    order = np.argsort(faces[:, 1], kind="stable")
    return outlines[order], faces[order]


def _size(unit: Unit, rng: np.random.Generator) -> Floats:
    return np.asarray(rng.uniform(*np.transpose([unit.length, unit.width, unit.height])))


def _paint(rng: np.random.Generator) -> float:
    return min(float(rng.choice(PAINTS, p=PAINT_SHARES) * np.exp(0.12 * rng.normal())), 0.9)


def _build(
    unit: Unit, size: Floats, ahead: float, across: float, turn: float, paint: float,
    heading: float, rng: np.random.Generator,
) -> tuple[Floats, Floats]:  # fmt: skip
    """The same of one unit of some size, so far ahead and to the right of the origin."""
    middle, rotation = _turn(heading) @ [ahead, across], _turn(heading + turn)
    rows = np.array(unit.boxes)
    rows = rows[rng.random(len(rows)) < rows[:, 7]]
    front, rear, width, base, top, share, own, _ = rows.T
    halves = np.stack([(rear - front) * size[0], width * size[1]], axis=1) / 2
    outlines = CORNER_SIGNS * halves[:, None]
    outlines[..., 0] += ((0.5 - (front + rear) / 2) * size[0])[:, None]
    strength = np.exp(rng.normal(0, 0.6, len(rows)))
    faces = np.stack([base * size[2], top * size[2], share * paint + own, strength], axis=1)
    return outlines @ rotation.T + middle, faces


SHIFT = 4  # cv2 takes coordinates in sixteenths of a pixel


@dataclass(frozen=True)
class View:
    """A chip of S pixels, ``spacing`` metres wide, that is drawn ``fine`` times as fine."""

    size: int
    spacing: float
    fine: int
    shift: Floats

    def blank(self, value: float = 0.0) -> Floats:
        """A layer of one value, drawn pixels along both sides."""
        return np.full((self.fine * self.size,) * 2, value, np.float32)

    def pixels(self, points: Floats) -> npt.NDArray[np.int32]:
        """Points in metres as cv2's fixed-point pixels."""
        scale = (self.fine << SHIFT) / self.spacing
        middle = (self.size * self.fine - 1) * (1 << SHIFT) / 2 - self.shift * scale
        return np.rint(points * scale + middle).astype(np.int32)

    def fill(self, layer: Floats, outline: Floats, value: float) -> None:
        """Fill a convex outline."""
        cv2.fillConvexPoly(layer, self.pixels(outline), value, cv2.LINE_8, SHIFT)

    def sweep(self, layer: Floats, start: Floats, end: Floats, value: float) -> None:
        """Fill what a convex outline meets that slides from one place to another."""
        hull = cv2.convexHull(self.pixels(np.concatenate([start, end])))
        cv2.fillConvexPoly(layer, hull, value, cv2.LINE_8, SHIFT)

    def disc(self, layer: Floats, middle: Floats, radius: float, value: float) -> None:
        """Fill a disc, if it has a radius."""
        if radius:
            place = self.pixels(middle).tolist()
            size = round(radius / self.spacing * self.fine * (1 << SHIFT))
            cv2.circle(layer, place, size, value, -1, cv2.LINE_8, SHIFT)

    def texture(self, knots: Floats) -> Floats:
        """Slow random variation over the ground, about standard normal: (S, S)."""
        step = self.spacing / KNOT_SPACING
        start = (self.shift - self.spacing * (self.size - 1) / 2) / KNOT_SPACING + KNOTS // 2
        move = np.array([[step, 0, start[0]], [0, step, start[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (self.size, self.size)
        return np.asarray(
            cv2.warpAffine(knots, move, size, flags=flags, borderMode=cv2.BORDER_REPLICATE),
            np.float32,
        )

    def chip(self, layer: Floats) -> Floats:
        """A drawn layer in the chip's own pixels: (S, S)."""
        size = (self.size, self.size)
        return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), np.float32)


OPTICAL_SIZE, OPTICAL_SPACING = 32, 0.57  # pixels, and metres of one; together 18 m
SKY = 0.25  # light of the sky as a share of the sun's
BLACK_LEVEL = 14
SHOT_NOISE, READ_NOISE = 0.22, 1.6  # grey levels, the first at a signal of one grey level


def photograph(frames: list[Frame], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Grey chips of N frames: (N, 32, 32); ``rng`` is the source of the noise."""
    return np.stack([_photograph(frame, rng) for frame in frames])


def _photograph(frame: Frame, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    view = View(OPTICAL_SIZE, OPTICAL_SPACING, 3, frame.shift)
    tones, grassy, dark = view.blank(frame.grass), view.blank(1), view.blank()
    for patch in frame.patches:
        view.fill(tones, patch.outline, patch.tone)
        if patch.power is not None:
            view.fill(grassy, patch.outline, 0)
    fall = -_toward(frame.sun_azimuth) / np.tan(frame.sun_elevation)
    trunk, (radius, height) = frame.tree[:2], frame.tree[2:].tolist()
    view.disc(tones, trunk + frame.lean * height, radius, CROWN_TONE)
    view.disc(grassy, trunk + frame.lean * height, radius, 2)
    view.disc(dark, trunk + fall * height, radius, 1)
    for outline, (base, top, *_) in zip(frame.outlines, frame.faces.tolist(), strict=True):
        if top > base + FLAT:
            view.sweep(dark, outline + fall * base, outline + fall * top, 1)
    sun, share = np.sin(frame.sun_elevation), view.chip(grassy)
    fine = rng.standard_normal(share.shape, dtype=np.float32)
    uneven = 1 + (0.07 + 0.15 * share) * view.texture(frame.knots) + (0.03 + 0.17 * share) * fine
    light = cv2.resize(np.maximum(uneven, 0.1), dark.shape, interpolation=cv2.INTER_NEAREST)
    scene = tones * light * ((1 - dark) * np.float32(sun) + np.float32(SKY))
    # The sides that show face the camera; the sun lights them as far as it stands behind it.
    facing = max(-np.cos(frame.sun_azimuth - np.arctan2(*frame.lean[::-1])), 0)
    side = 0.8 * (np.cos(frame.sun_elevation) * facing + 0.7 * SKY)
    for outline, (base, top, tone, _) in zip(frame.outlines, frame.faces.tolist(), strict=True):
        view.sweep(scene, outline + frame.lean * base, outline + frame.lean * top, tone * side)
        view.fill(scene, outline + frame.lean * top, tone * (sun + SKY))
    blurred = cv2.GaussianBlur(
        view.chip(scene), (5, 5), frame.blur, borderType=cv2.BORDER_REPLICATE
    )
    signal = blurred * np.float32(frame.exposure)
    noise = np.sqrt(SHOT_NOISE**2 * signal + READ_NOISE**2)
    signal += noise * rng.standard_normal(signal.shape, dtype=np.float32)
    grey: npt.NDArray[np.uint8] = np.clip(np.rint(signal + BLACK_LEVEL), 0, 255).astype(np.uint8)
    return grey


def _toward(azimuth: float) -> Floats:
    return np.array([np.cos(azimuth), np.sin(azimuth)])


RADAR_SIZE, RADAR_SPACING = 60, 0.3  # pixels, and metres of one; together 18 m
MARGIN = 3  # pixels around the chip that the point-spread function draws from
KERNEL = 2 * MARGIN + 1
SPREAD = 1.05  # standard deviation of the point-spread function in pixels
# Backscatter (power), with grass = 1.
METAL, WALL, CROWN, NOISE_FLOOR = 0.5, 1.6, 2.2, 0.06
DIHEDRAL = 2.6  # amplitude at one metre of height
CORNER = 1.2  # amplitude of a corner, as a share of the dihedral's
LOBE = 0.2  # width of a dihedral's return in radians
GRASS_LEVEL = 112  # grey level of grass without speckle
REGISTRATION = 0.4  # metres between the two sensors' idea of the same place


def image(frames: list[Frame], looks: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Grey chips of N frames: (N, 60, 60). The grey level follows the fourth root of the power.

    ``looks`` independent looks are averaged, so that the speckle's variance is 1 / looks; ``rng``
    is the source of speckle and registration error.
    """
    errors = rng.normal(0, REGISTRATION, (len(frames), 2))
    seen = [_scatter(frame, error) for frame, error in zip(frames, errors, strict=True)]
    power, glints = (np.stack(layers) for layers in zip(*seen, strict=True))
    grey = np.float32(GRASS_LEVEL) * np.sqrt(np.sqrt(develop(power, glints, looks, rng)))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def develop(power: Floats, glints: Floats, looks: int, rng: np.random.Generator) -> Floats:
    """Power images with speckle, from backscatter and the amplitude of steady scatterers.

    Both have shape (N, S, S), with a margin of 3 pixels on each side, which what comes of them,
    of shape (N, S - 6, S - 6), has not. Over even ground its mean is ``power`` and its
    distribution gamma with shape ``looks``.
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
        total += (tall[..., 0] + tall[..., 1]).reshape(count, size, size)
    inner = slice(MARGIN, size - MARGIN)
    return total[:, inner, inner] * (gain * gain / looks)


def _scatter(frame: Frame, error: Floats) -> tuple[Floats, Floats]:
    """Backscatter, and amplitude of what returns steadily, both of shape (66, 66)."""
    view = View(RADAR_SIZE + 2 * MARGIN, RADAR_SPACING, 2, frame.shift + error)
    toward = _toward(frame.radar_azimuth)
    near, reach = toward / np.tan(frame.incidence), -toward * np.tan(frame.incidence)
    ground, raised, glints = view.blank(1), view.blank(), view.blank()
    for patch in frame.patches:
        if patch.power is not None:
            view.fill(ground, patch.outline, patch.power)
    trunk, (radius, height) = frame.tree[:2], frame.tree[2:].tolist()
    view.disc(ground, trunk + 0.5 * height * reach, radius, 0)
    view.disc(raised, trunk + 0.7 * height * near, radius, CROWN)
    for outline, (base, top, _, strength) in zip(frame.outlines, frame.faces.tolist(), strict=True):
        if top > base + FLAT:
            view.sweep(ground, outline, outline + reach * top, 0)
            view.sweep(raised, outline + near * base, outline + near * top, WALL)
            view.fill(raised, outline + near * top, METAL)
            amplitude = DIHEDRAL * strength * np.sqrt(top - base)
            _add_dihedrals(glints, view, outline + near * base, toward, amplitude)
    slow = np.exp(0.25 * view.texture(frame.knots))
    power = view.chip(ground) * slow + view.chip(raised) + np.float32(NOISE_FLOOR)
    return power, view.chip(glints)


def _add_dihedrals(
    glints: Floats, view: View, outline: Floats, toward: Floats, amplitude: float
) -> None:
    """Draw the amplitude of the feet of the walls that the radar sees, and of their corners."""
    steps = outline[[1, 2, 3, 0]] - outline
    facing = (steps @ [-toward[1], toward[0]]) / np.hypot(*steps.T)
    lobes = np.exp(-((np.arccos(np.clip(facing, -1, 1)) / LOBE) ** 2)) + 0.12 * facing
    places = view.pixels(outline).tolist()
    for edge in np.flatnonzero(facing > 0).tolist():
        value = amplitude * float(lobes[edge])
        cv2.line(glints, places[edge], places[(edge + 1) % 4], value, view.fine, cv2.LINE_8, SHIFT)
        corner = max(value, CORNER * amplitude)
        cv2.line(glints, places[edge], places[edge], corner, view.fine, cv2.LINE_8, SHIFT)
