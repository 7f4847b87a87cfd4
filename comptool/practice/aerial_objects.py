"""Objects of aerial scenes: land, roads, buildings, sports fields.

Natural ground: meadows, soil, woods, crops, water, relief, snow, dunes and clouds.

Letters: P drawn pixels along a side.

Single things: cars, trees, ships, airplanes, tanks, containers, turbines, towers.

Sizes are those of the real things, in metres. Letters: n things.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from comptool.practice.aerial_canvas import (
    CROPS,
    Canvas,
    Colour,
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
    stations,
    strip,
    tinted,
)


def meadow(canvas: Canvas) -> None:
    """Grass everywhere."""
    canvas.lay(Surface.GRASS, canvas.palette.grass)


def open_ground(canvas: Canvas, bare: float = 0.2) -> None:
    """Grass with patches of bare soil, of which there are more as ``bare`` (0 to 1) grows."""
    meadow(canvas)
    rng = canvas.rng
    if rng.random() < 0.75:
        patchy = canvas.noise(canvas.metres / rng.uniform(2, 5), 3)
        canvas.cover(patchy > 2.2 - 3.2 * bare, Surface.SOIL, canvas.palette.soil)


def paved_ground(canvas: Canvas, colour: Colour) -> None:
    """Asphalt or concrete everywhere, with stains."""
    canvas.lay(Surface.ASPHALT, colour)
    for _ in range(int(canvas.rng.integers(2, 6))):
        x, y = canvas.rng.uniform(-canvas.half, canvas.half, 2)
        size = canvas.rng.uniform(0.05, 0.2, 2) * canvas.metres
        stain = rectangle(x, y, size[0], size[1], canvas.rng.uniform(0, np.pi))
        canvas.mark(stain, shade(colour, canvas.rng.uniform(0.88, 1.06)))


def rows_of_crop(canvas: Canvas, mask: Mask, angle: float, colour: Colour) -> None:
    """A field with rows along ``angle``."""
    x, y = canvas.grid()
    spacing = canvas.rng.uniform(2.5, 8) * canvas.pixel * 1.4
    across = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
    wave = np.sin(across * np.float32(2 * np.pi / spacing)) * canvas.rng.uniform(0.02, 0.13)
    tones = tinted(1 + wave, colour)
    canvas.cover(mask, Surface.CROP, tones)


def farmland(canvas: Canvas, parcel: float, angle: float) -> None:
    """Parcels of crops everywhere; ``parcel`` is their usual width in metres."""
    rng = canvas.rng
    x, y = canvas.grid()
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    across = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
    edges = np.cumsum(rng.uniform(0.6, 1.6, 24)) * parcel - 12 * parcel
    row = np.searchsorted(edges, across)
    column = np.searchsorted(edges * rng.uniform(1, 2), along + np.float32(parcel) * (row % 3))
    parcels = (row * 31 + column * 17) % len(CROPS)
    spacing = rng.uniform(3, 7) * canvas.pixel * 1.4
    phase = np.where(column % 2 == 0, along, across) * np.float32(2 * np.pi / spacing)
    strength = rng.uniform(0.02, 0.1, len(CROPS)).astype(np.float32)[parcels]
    colours = np.array(CROPS, np.float32)[rng.permutation(len(CROPS))]
    colours = 0.75 * colours + 0.25 * np.array(canvas.palette.soil, np.float32)
    tones = colours[parcels] * (1 + strength * np.sin(phase))[:, :, None]
    canvas.cover(canvas.everywhere(), Surface.CROP, tones)


def crowns(canvas: Canvas, mask: Mask, size: float, tone: float = 1.0) -> None:
    """Closed canopy of trees about ``size`` metres wide over a mask."""
    rng = canvas.rng
    count = int(np.clip((canvas.metres / size) ** 2 * 1.3, 20, 6000))
    seeds = np.full((canvas.side, canvas.side), 255, np.uint8)
    places = rng.integers(0, canvas.side, (count, 2))
    seeds[places[:, 0], places[:, 1]] = 0
    distance, owner = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    away: Floats = np.asarray(distance, np.float32)
    toward = _slope_to_sun(canvas, away)
    tint = rng.normal(1, 0.13, count + 2).astype(np.float32)[np.minimum(owner, count + 1)]
    bright = (1.12 - 0.5 * away / max(float(away.mean()) * 3, 1)) * tint + 0.22 * toward
    tones = tinted(np.clip(bright, 0.35, 1.7), shade(canvas.palette.crown, tone))
    canvas.cover(mask, Surface.CROWN, tones)


def _slope_to_sun(canvas: Canvas, field: Floats) -> Floats:
    # How much a surface that falls with ``field`` leans to the sun, about -1 to 1.
    across = cv2.Sobel(field, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(field, cv2.CV_32F, 0, 1, ksize=3)
    sun = -canvas.sun / np.hypot(*canvas.sun)
    lean: Floats = (across * np.float32(sun[0]) + down * np.float32(sun[1])) / 8
    return lean


def wood(canvas: Canvas, mask: Mask, size: float = 7.0) -> None:
    """A forest over a mask, with the shadow of its edge."""
    canvas.shadow[canvas.moved(mask, canvas.sun * 7) & ~mask] = 255
    canvas.shadow[mask] = 0
    crowns(canvas, mask, size)
    canvas.zone("forest", mask)


def bushes(canvas: Canvas, mask: Mask, size: float, density: float) -> None:
    """Single shrubs about ``size`` metres wide, some ``density`` (0 to 1) of a mask."""
    rng = canvas.rng
    count = int(np.clip((canvas.metres / size) ** 2 * density, 10, 5000))
    seeds = np.full((canvas.side, canvas.side), 255, np.uint8)
    places = rng.integers(0, canvas.side, (count, 2))
    seeds[places[:, 0], places[:, 1]] = 0
    away = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
    ragged = away + canvas.noise(size, 1) * 0.6
    radius = max(size / 2 / canvas.pixel, 0.8)
    tones = mix(canvas.palette.crown, canvas.palette.soil, 0.3)
    grown = mask & (ragged < radius)
    canvas.cover(grown, Surface.SHRUB, tones)
    canvas.shadow[canvas.moved(grown, canvas.sun * size * 0.4) & mask & ~grown] = 255


def waves(canvas: Canvas, mask: Mask, surface: Surface, colour: Colour) -> None:
    """Water over a mask: ripples, and slow changes of its depth."""
    rng = canvas.rng
    x, y = canvas.grid()
    angle, length = rng.uniform(0, np.pi), rng.uniform(3, 7) * canvas.pixel * 2
    drift = canvas.noise(canvas.metres / 5, 2)
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    ripple = np.sin(along * np.float32(2 * np.pi / length) + 1.5 * drift)
    strength = rng.uniform(0, 0.07 if surface == Surface.SEA else 0.03)
    bright = 1 + np.float32(strength) * ripple + np.float32(0.07) * drift
    canvas.cover(mask, surface, tinted(bright, colour))
    canvas.shadow[mask] = 0


def still_water(canvas: Canvas, mask: Mask, name: str) -> None:
    """A pond, lake or river over a mask, which is the zone ``name``."""
    waves(canvas, mask, Surface.WATER, canvas.palette.water)
    canvas.zone(name, mask)


def relief(canvas: Canvas, size: float, sharp: float) -> tuple[Floats, Floats]:
    """Heights of mountains, about -1 to 1, and how much their slopes lean to the sun.

    ``size`` is the width of a mountain in metres; ``sharp`` (0 to 1) makes ridges of round tops.
    """
    coarse, fine = canvas.noise(size, 4), canvas.noise(size / 3, 4)
    height = coarse + 0.4 * fine
    ridged = 1 - 1.6 * np.abs(coarse) + 0.3 * (0.5 - np.abs(fine))
    height = (1 - sharp) * height + sharp * ridged
    lean = _slope_to_sun(canvas, np.asarray(cv2.GaussianBlur(-height, (0, 0), 1.0)))
    return height, np.clip(lean / (float(lean.std()) + 1e-6), -2.5, 2.5)


def highlands(canvas: Canvas) -> None:
    """Slopes of grass, rock and forest, sometimes under snow."""
    rng = canvas.rng
    height, lean = relief(canvas, canvas.metres / rng.uniform(1, 2.2), rng.uniform(0.3, 1))
    green = mix(canvas.palette.grass, canvas.palette.soil, rng.uniform(0, 0.7))
    light = 1 + 0.24 * lean
    canvas.cover(canvas.everywhere(), Surface.GRASS, tinted(light, green))
    canvas.cover(height > rng.uniform(0.4, 1.6), Surface.ROCK, tinted(light, (134, 124, 114)))
    low = height + 0.6 * canvas.noise(canvas.metres / 6) < rng.uniform(-1.2, 0.9)
    canvas.cover(low, Surface.CROWN, tinted(0.95 + 0.3 * lean, canvas.palette.crown))
    if rng.random() < 0.3:
        snow = height - 0.2 * lean > rng.uniform(0.2, 1)
        canvas.cover(snow, Surface.SNOW, tinted(0.92 + 0.1 * lean, (232, 236, 244)))


def dunes(canvas: Canvas) -> None:
    """A desert of sand, rippled or in long dunes."""
    rng = canvas.rng
    x, y = canvas.grid()
    angle, length = rng.uniform(0, np.pi), canvas.metres / rng.uniform(4, 12)
    drift = canvas.noise(canvas.metres / rng.uniform(1.5, 4), 3)
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    phase = along * np.float32(2 * np.pi / length) + rng.uniform(0.8, 2.5) * drift
    # A dune rises slowly and falls steeply: a saw with a rounded edge.
    saw = np.sin(phase + 0.6 * np.sin(phase))
    bright = 1 + rng.uniform(0.04, 0.16) * saw + 0.05 * drift
    tone = mix(canvas.palette.sand, (216, 160, 108), rng.uniform(0, 0.8))
    canvas.cover(canvas.everywhere(), Surface.SAND, tinted(bright, tone))


def bunker(canvas: Canvas, outline: Points) -> None:
    """A hollow filled with sand."""
    canvas.fill(outline, Surface.SAND, mix(canvas.palette.sand, (240, 232, 208), 0.5))


def clouds(canvas: Canvas, scene: Floats, amount: float) -> None:
    """Veil a lit scene of shape (P, P, 3), in place; where it is dense only cloud is seen."""
    rng = canvas.rng
    puffs = canvas.noise(canvas.metres / rng.uniform(1.5, 4), 5)
    dense = np.clip((puffs - (1.2 - 2.4 * amount)) * rng.uniform(0.9, 2.2), 0, 1)
    cast = canvas.moved(dense > 0.4, canvas.sun * canvas.metres * 0.1)
    soft = cv2.blur(cast.astype(np.float32), (9, 9))
    scene *= (1 - 0.45 * soft)[:, :, None]
    tone = tinted(0.9 + 0.06 * np.clip(puffs, -1, 1.5), (238, 240, 244))
    scene += dense[:, :, None] * (tone - scene)
    canvas.surface[dense > 0.6] = Surface.CLOUD


PAINTS: tuple[Colour, ...] = (
    (232, 232, 230), (196, 198, 200), (120, 124, 128), (46, 48, 52),
    (28, 28, 30), (150, 40, 36), (48, 72, 120), (172, 164, 140),
)  # fmt: skip
PAINT_SHARES = (0.27, 0.17, 0.14, 0.13, 0.11, 0.07, 0.07, 0.04)
GLASS: Colour = (44, 50, 58)
BOXES: tuple[Colour, ...] = (
    (170, 70, 50), (50, 90, 140), (190, 190, 186), (60, 120, 90), (200, 140, 60),
    (120, 60, 50), (90, 110, 130), (208, 204, 196),
)  # fmt: skip
# Half of an airliner's outline, nose first, in shares of its length; the other half is mirrored.
JET = np.array(
    [
        [0.5, 0.0], [0.46, 0.03], [0.4, 0.05], [0.14, 0.05], [-0.12, 0.44], [-0.19, 0.44],
        [-0.09, 0.05], [-0.34, 0.04], [-0.46, 0.17], [-0.5, 0.17], [-0.46, 0.0],
    ]
)  # fmt: skip
PROPELLER = np.array(
    [
        [0.5, 0.0], [0.44, 0.06], [0.26, 0.07], [0.24, 0.62], [0.04, 0.62], [0.02, 0.06],
        [-0.34, 0.04], [-0.36, 0.2], [-0.48, 0.2], [-0.5, 0.0],
    ]
)  # fmt: skip
HULL = np.array([[0.5, 0], [0.34, 0.36], [0.1, 0.5], [-0.44, 0.48], [-0.5, 0.3]])


def mirrored(half: Points) -> Points:
    """A closed outline from the half of it on one side of the x axis."""
    return np.concatenate([half, half[::-1] * [1, -1]])


def cars(canvas: Canvas, x: Points, y: Points, angle: Points | float, length: float = 4.6) -> None:
    """Cars of shape (n,) at x, y; a few are vans or trucks."""
    rng, count = canvas.rng, len(x)
    if not count:
        return
    angle = np.broadcast_to(angle, count) + rng.normal(0, 0.02, count)
    long = length * rng.uniform(0.88, 1.12, count)
    wide = long * rng.uniform(0.38, 0.44, count)
    paint = rng.choice(len(PAINTS), count, p=PAINT_SHARES)
    body = rectangle(x, y, long, wide, angle)
    screen = placed(rectangle(0.17 * long, 0.0 * long, 0.13 * long, 0.8 * wide, 0.0), x, y, angle)
    rear = placed(rectangle(-0.3 * long, 0.0 * long, 0.09 * long, 0.76 * wide, 0.0), x, y, angle)
    for index in np.unique(paint):
        canvas.fill(body[paint == index], Surface.CAR, PAINTS[index], height=1.5)
    canvas.mark(np.concatenate([screen, rear]), GLASS)


def traffic(canvas: Canvas, line: Points, gap: float, length: float = 4.6) -> None:
    """Cars along a line, about ``gap`` metres from one to the next."""
    whole = length_of(line)
    count = int(canvas.rng.poisson(canvas.busy * whole / gap))
    places = np.sort(canvas.rng.uniform(0, whole, count))
    places = places[np.diff(places, prepend=-99.0) > 1.6 * length]
    points, angle = stations(line, places)
    cars(canvas, points[:, 0], points[:, 1], angle, length)


def trees(canvas: Canvas, points: Points, radius: npt.NDArray[np.floating] | float) -> None:
    """Trees at points of shape (n, 2)."""
    rng, count = canvas.rng, len(points)
    radii = np.broadcast_to(radius, count) * rng.uniform(0.75, 1.25, count)
    tints = rng.normal(1, 0.12, count)
    glint = -canvas.sun / np.hypot(*canvas.sun)
    for (x, y), size, tint in zip(points.tolist(), radii.tolist(), tints.tolist(), strict=True):
        dark = shade(canvas.palette.crown, 0.72 * tint)
        canvas.disc(x, y, size, Surface.CROWN, dark, height=1.1 * size)
        near = (x + 0.25 * size * glint[0], y + 0.25 * size * glint[1])
        canvas.spot(*near, 0.68 * size, shade(canvas.palette.crown, 1.12 * tint))
        if size > 4 * canvas.pixel:
            for _ in range(3):
                dot = rng.uniform(-0.5, 0.5, 2) * size
                tone = shade(canvas.palette.crown, tint * rng.uniform(0.75, 1.45))
                canvas.spot(near[0] + dot[0], near[1] + dot[1], 0.3 * size, tone)


def scatter_trees(canvas: Canvas, count: int, radius: float = 3.2) -> None:
    """Up to ``count`` trees wherever there is open ground, some of them in groups."""
    rng = canvas.rng
    points = rng.uniform(-canvas.half, canvas.half, (count, 2))
    follow = rng.random(count) < 0.4
    follow[:1] = False
    leader = np.maximum.accumulate(np.where(follow, 0, np.arange(count)))
    points = points[leader] + follow[:, None] * rng.normal(0, 2.2 * radius, (count, 2))
    trees(canvas, points[canvas.is_open(points)], radius)


def pier(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """A landing stage of boards, 2.6 metres wide."""
    boards = mix((190, 180, 164), (150, 140, 126), canvas.rng.random())
    canvas.fill(rectangle(x, y, length, 2.6, angle), Surface.PIER, boards, height=1.5)


def tree_row(canvas: Canvas, line: Points, spacing: float, radius: float) -> None:
    """Trees along a line, where there is open ground."""
    places = np.arange(canvas.rng.uniform(0, spacing), length_of(line), spacing)
    points = stations(line, places)[0]
    points += canvas.rng.normal(0, 0.12 * spacing, points.shape)
    trees(canvas, points[canvas.is_open(points)], radius)


def ship(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """A boat, or from 40 metres on a freighter."""
    rng = canvas.rng
    large = length > 40
    wide = length * (rng.uniform(0.14, 0.18) if large else rng.uniform(0.26, 0.34))
    hull = mirrored(HULL) * [length, wide]
    body: Colour = ((132, 60, 50), (56, 66, 84), (40, 44, 48))[int(rng.integers(3))]
    body = body if large else PAINTS[int(rng.integers(2))]
    canvas.fill(placed(hull, x, y, angle), Surface.SHIP, body, height=4.0 if large else 1.5)
    deck = shade((170, 150, 130), rng.uniform(0.8, 1.2)) if large else shade(body, 0.85)
    canvas.mark(placed(hull * [0.9, 0.72], x, y, angle), deck)
    cabin = rectangle(-0.36 if large else -0.05, 0.0, 0.16 if large else 0.34, 0.6, 0.0)
    canvas.mark(placed(cabin * [length, wide], x, y, angle), (238, 238, 236))
    if large:
        count = int(rng.integers(4, 9))
        places = np.linspace(-0.2, 0.34, count)
        holds = rectangle(places, 0 * places, 0.4 / count + 0 * places, 0.5 + 0 * places, 0.0)
        for hold in holds * [length, wide]:
            canvas.mark(placed(hold, x, y, angle), BOXES[int(rng.integers(len(BOXES)))])
    elif rng.random() < 0.7:
        canvas.mark(
            placed(rectangle(0.08, 0.0, 0.1, 0.5, 0.0) * [length, wide], x, y, angle), GLASS
        )


def wake(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """Foam behind a ship under way."""
    tail = np.array([[-0.4, 0.06], [-1.5, 0.2], [-1.5, 0.1], [-0.9, 0], [-1.5, -0.1], [-1.5, -0.2],
                     [-0.4, -0.06]])  # fmt: skip
    foam = mix(canvas.palette.sea, (240, 244, 244), 0.4)
    canvas.mark(placed(tail * length, x, y, angle), foam)


def airplane(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """An airliner, or below 16 metres a light airplane with a propeller."""
    rng = canvas.rng
    light = length < 16
    outline = mirrored(PROPELLER if light else JET) * length
    paint = shade((240, 240, 240), rng.uniform(0.8, 1.05))
    step = canvas.sun * (2.0 if light else 4.5)
    shadow = canvas.pixels(placed(outline, x + step[0], y + step[1], angle))
    cv2.fillPoly(canvas.shadow, [shadow], 255, cv2.LINE_8, 4)
    cv2.fillPoly(canvas.shadow, [canvas.pixels(placed(outline, x, y, angle))], 0, cv2.LINE_8, 4)
    canvas.fill(placed(outline, x, y, angle), Surface.AIRPLANE, paint)
    livery = PAINTS[int(rng.integers(3, len(PAINTS)))]
    tail = rectangle(-0.43 * length, 0.0, 0.12 * length, 0.035 * length, 0.0)
    canvas.mark(placed(tail, x, y, angle), livery)
    if not light:
        engines = rectangle(
            np.array([0.06, 0.06]) * length, np.array([-0.17, 0.17]) * length,
            np.array([0.1, 0.1]) * length, np.array([0.045, 0.045]) * length, 0.0,
        )  # fmt: skip
        canvas.mark(placed(engines, x, y, angle), (120, 124, 130))


def tank(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """A round storage tank with its bund, roof and stairs."""
    rng = canvas.rng
    base = ((226, 226, 222), (206, 208, 206), (190, 186, 176), (170, 176, 180))
    paint = base[int(rng.integers(len(base)))]
    canvas.disc(
        x, y, radius, Surface.TANK, shade(paint, 0.84), height=rng.uniform(0.6, 1.1) * radius
    )
    canvas.spot(x, y, 0.93 * radius, paint)
    if rng.random() < 0.5:
        canvas.spot(x, y, 0.8 * radius, shade(paint, 0.88))
    light = np.arctan2(-canvas.sun[1], -canvas.sun[0])
    canvas.line(arc(x, y, 0.9 * radius, light - 1, light + 1, 12), 0.08 * radius, (250, 250, 248))
    canvas.spot(x, y, 0.1 * radius, shade(paint, 0.6))
    turn = rng.uniform(0, 2 * np.pi)
    end = [x + radius * np.cos(turn), y + radius * np.sin(turn)]
    canvas.line(np.array([[x, y], end]), 0.8, shade(paint, 0.66))


def containers(canvas: Canvas, x: float, y: float, angle: float, rows: int, columns: int) -> None:
    """A block of stacked containers, rows abreast; each is 12.2 by 2.44 metres."""
    rng = canvas.rng
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    kept = rng.random(column.shape) < 0.93
    across = (column[kept] - (columns - 1) / 2) * 12.8
    down = (row[kept] - (rows - 1) / 2) * 2.6
    paints = rng.choice(len(BOXES), len(across))
    runs = rng.random(len(across)) < 0.5
    paints[1:] = np.where(runs[1:], paints[:-1], paints[1:])
    boxes = placed(rectangle(across, down, 12.2, 2.44, 0.0), x, y, angle)
    for index in np.unique(paints):
        tone = shade(BOXES[index], rng.uniform(0.85, 1.1))
        canvas.fill(boxes[paints == index], Surface.CONTAINER, tone, height=5.2)


def turbine(canvas: Canvas, x: float, y: float, blade: float) -> None:
    """A wind turbine with its pad and the long shadow of tower and rotor."""
    rng = canvas.rng
    hub = np.array([x, y])
    fall = canvas.sun * blade * 1.6
    turn, white = rng.uniform(0, 2 * np.pi), (244, 244, 244)
    turns = turn + np.array([0, 2, 4]) * np.pi / 3
    # The rotor faces the wind, so its shadow is a narrowed star.
    spread = np.array([1.0, rng.uniform(0.35, 0.8)])
    for angle in turns:
        tip = np.array([np.cos(angle), np.sin(angle)])
        ends = np.stack([hub + fall, hub + fall + tip * spread * blade])
        _dark_line(canvas, ends, 0.06 * blade)
    _dark_line(canvas, np.stack([hub, hub + fall]), 0.07 * blade)
    for angle in turns:
        shape = np.array([[0, 0.045], [0.3, 0.07], [1, 0.012], [1, -0.012], [0, -0.045]]) * blade
        canvas.fill(placed(shape, x, y, angle), Surface.TURBINE, white)
    canvas.disc(x, y, 0.085 * blade, Surface.TURBINE, (226, 228, 230))


def _dark_line(canvas: Canvas, points: Points, width: float) -> None:
    thick = max(1, round(width / canvas.pixel))
    cv2.polylines(canvas.shadow, [canvas.pixels(points)], False, 255, thick, cv2.LINE_8, 4)


def pylon(canvas: Canvas, x: float, y: float, size: float, angle: float) -> None:
    """A lattice tower seen from above, its arms across the line, with its shadow."""
    steel, height = shade((196, 198, 200), canvas.rng.uniform(0.8, 1.15)), 2.4 * size
    base = rectangle(x, y, 0.62 * size, 0.62 * size, angle)
    fall = canvas.sun * height
    for corner in base:
        _dark_line(canvas, np.stack([corner, [x + fall[0], y + fall[1]]]), 0.6)
    for share in (0.55, 0.75, 0.92):
        arm = placed(
            np.array([[0, -0.55], [0, 0.55]]) * size * (1.3 - 0.5 * share), 0.0, 0.0, angle
        )
        _dark_line(canvas, arm + [x, y] + fall * share, 0.8)
    bars = [base[[0, 2]], base[[1, 3]], base[[0, 1]], base[[1, 2]], base[[2, 3]], base[[3, 0]]]
    for bar in bars:
        _steel_line(canvas, bar, 0.06 * size, steel)
    for reach in (-0.22, 0.0, 0.22):
        arm = np.array([[reach, -0.72 + abs(reach)], [reach, 0.72 - abs(reach)]]) * size
        _steel_line(canvas, placed(arm, x, y, angle), 0.08 * size, shade(steel, 1.15))


def _steel_line(canvas: Canvas, points: Points, width: float, colour: Colour) -> None:
    canvas.line(points, width, colour)
    thick = max(1, round(width / canvas.pixel))
    outline = [canvas.pixels(points)]
    cv2.polylines(canvas.surface, outline, False, int(Surface.PYLON), thick, cv2.LINE_8, 4)


WHITE: Colour = (228, 228, 224)
YELLOW: Colour = (206, 178, 84)


def straight(canvas: Canvas, angle: float, offset: float = 0.0) -> Points:
    """A straight line across the scene, ``offset`` metres beside its middle."""
    ends = np.array([[-canvas.metres, offset], [canvas.metres, offset]])
    ends = placed(ends, 0.0, 0.0, angle)
    return bent(ends[0], ends[1], 0.0)


def crossing(canvas: Canvas, bend: float = 0.15) -> Points:
    """A gently bent line across the scene, through the neighbourhood of its middle."""
    rng, span = canvas.rng, 0.8 * canvas.metres
    turn, offset = rng.uniform(0, np.pi), rng.uniform(-0.3, 0.3) * canvas.metres
    ends = placed(np.array([[-span, offset], [span, offset]]), 0.0, 0.0, turn)
    return bent(ends[0], ends[1], rng.uniform(-bend, bend) * canvas.metres)


def dashes(canvas: Canvas, line: Points, colour: Colour, length: float = 3.0) -> None:
    """A broken line along another."""
    places = np.arange(0.0, length_of(line), 2.6 * length)
    points, angle = stations(line, places)
    if len(points):
        width = 0.22 + 0 * angle
        canvas.mark(rectangle(points[:, 0], points[:, 1], length + 0 * angle, width, angle), colour)


def road(
    canvas: Canvas,
    line: Points,
    width: float,
    surface: Surface = Surface.ROAD,
    *,
    walks: bool = False,
    lanes: int = 2,
) -> None:
    """A paved road along a line, with markings and perhaps pavements for walking beside it."""
    colour = canvas.palette.asphalt
    if walks:
        canvas.fill(strip(line, width + 4.4), Surface.ASPHALT, canvas.palette.concrete)
    canvas.fill(strip(line, width), surface, colour)
    paint = mix(colour, WHITE, 0.75)
    for lane in range(1, lanes):
        offset = (lane / lanes - 0.5) * width
        if lanes % 2 == 0 and lane == lanes // 2:
            canvas.line(beside(line, offset), 0.25, mix(colour, YELLOW, 0.75))
        else:
            dashes(canvas, beside(line, offset), paint)
    if lanes > 2:
        for side in (-0.47, 0.47):
            canvas.line(beside(line, side * width), 0.22, paint)


def crosswalk(canvas: Canvas, x: float, y: float, angle: float, width: float) -> None:
    """Stripes across a road of some width that runs along ``angle``."""
    across = np.arange(-width / 2 + 0.6, width / 2 - 0.3, 1.5)
    stripes = rectangle(0 * across, across, 4.0 + 0 * across, 0.75 + 0 * across, 0.0)
    canvas.mark(placed(stripes, x, y, angle), WHITE)
    canvas.zone("crosswalk", rectangle(x, y, 4.0, width, angle))


def freeway(canvas: Canvas, line: Points, lanes: int, median: float) -> None:
    """Two carriageways of ``lanes`` lanes each, ``median`` metres apart."""
    width = 3.7 * lanes + 3.0
    rng = canvas.rng
    shoulder = mix(canvas.palette.asphalt, canvas.palette.concrete, 0.5)
    canvas.fill(strip(line, 2 * width + median), Surface.ASPHALT, shoulder)
    if median > 4 and rng.random() < 0.7:
        canvas.fill(strip(line, median), Surface.GRASS, shade(canvas.palette.grass, 0.95))
    else:
        canvas.line(line, 0.9, (200, 200, 198))
    for side in (-1, 1):
        way = beside(line, side * (width + median) / 2)
        road(canvas, way, width - 1.2, Surface.FREEWAY, lanes=lanes + (lanes % 2 == 0))


def lanes_of(line: Points, lanes: int, median: float) -> list[Points]:
    """Middle lines of every lane of a freeway."""
    width = 3.7 * lanes + 3.0
    middle = [(lane + 0.5 - lanes / 2) * 3.7 for lane in range(lanes)]
    return [
        beside(line, side * (width + median) / 2 + offset) for side in (-1, 1) for offset in middle
    ]


def rails(canvas: Canvas, line: Points, tracks: int, spacing: float = 4.6) -> None:
    """Tracks side by side in their ballast."""
    rng = canvas.rng
    ballast = mix((132, 118, 106), (104, 98, 94), rng.random())
    canvas.fill(strip(line, tracks * spacing + 1.5), Surface.RAIL, ballast)
    for track in range(tracks):
        way = beside(line, (track - (tracks - 1) / 2) * spacing)
        places = np.arange(0.0, length_of(way), max(1.3, 3 * canvas.pixel))
        points, angle = stations(way, places)
        ties = rectangle(points[:, 0], points[:, 1], 0.5 + 0 * angle, 2.6 + 0 * angle, angle)
        canvas.mark(ties, shade(ballast, 0.66))
        for side in (-0.75, 0.75):
            canvas.line(beside(way, side), 0.18, (212, 208, 204))


def train(canvas: Canvas, line: Points, start: float, coaches: int) -> None:
    """A train of coaches of 24 metres; it hides the track and counts as part of nothing."""
    colours: tuple[Colour, ...] = ((196, 200, 204), (150, 60, 50), (70, 100, 150), (120, 124, 120))
    colour = colours[int(canvas.rng.integers(len(colours)))]
    points, angle = stations(line, start + 25.0 * np.arange(coaches))
    bodies = rectangle(points[:, 0], points[:, 1], 24.0 + 0 * angle, 3.0 + 0 * angle, angle)
    canvas.fill(bodies, Surface.OTHER, colour, height=4.0)
    spine = rectangle(points[:, 0], points[:, 1], 22.0 + 0 * angle, 0.8 + 0 * angle, angle)
    canvas.mark(spine, shade(colour, 0.8))


def runway(canvas: Canvas, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A runway with threshold, centre line, touch-down marks and rubber."""
    asphalt = shade(canvas.palette.asphalt, 0.92)
    canvas.fill(rectangle(x, y, length, width * 1.3, angle), Surface.RUNWAY, shade(asphalt, 1.2))
    canvas.fill(rectangle(x, y, length, width, angle), Surface.RUNWAY, asphalt)
    places = np.arange(-length / 2 + 90, length / 2 - 90, 60.0)
    # Real lines would be thinner than a pixel; they are drawn as wide as they look.
    thick = max(0.9, 1.2 * canvas.pixel)
    centre = rectangle(places, 0 * places, 30 + 0 * places, thick + 0 * places, 0.0)
    canvas.mark(placed(centre, x, y, angle), WHITE)
    for side in (-1, 1):
        bars = (np.arange(6) - 2.5) * width / 7
        zebra = rectangle(
            side * (length / 2 - 25) + 0 * bars, bars, 30 + 0 * bars, width / 13 + 0 * bars, 0.0
        )
        canvas.mark(placed(zebra, x, y, angle), WHITE)
        edge = rectangle(0.0, side * 0.47 * width, length, max(0.9, canvas.pixel), 0.0)
        canvas.mark(placed(edge, x, y, angle), mix(asphalt, WHITE, 0.7))
        rubber = rectangle(side * (length / 2 - 200), 0.0, 260.0, width / 4, 0.0)
        canvas.mark(placed(rubber, x, y, angle), shade(asphalt, 0.72))
        aim = rectangle(np.array([1.0, 1.0]) * side * (length / 2 - 130),
                        np.array([-0.22, 0.22]) * width, np.full(2, 45.0),
                        np.full(2, width / 8), 0.0)  # fmt: skip
        canvas.mark(placed(aim, x, y, angle), WHITE)


def taxiway(canvas: Canvas, line: Points, width: float) -> None:
    """A paved way for airplanes with its yellow line; it is no road."""
    canvas.fill(
        strip(line, width),
        Surface.ASPHALT,
        mix(canvas.palette.asphalt, canvas.palette.concrete, 0.35),
    )
    canvas.line(line, max(0.4, 0.5 * canvas.pixel), YELLOW)


def trail(canvas: Canvas, line: Points, width: float) -> None:
    """An unpaved way."""
    pale = mix(canvas.palette.soil, (226, 212, 184), 0.55)
    canvas.fill(strip(line, width), Surface.TRAIL, pale)
    if width > 3:
        canvas.line(line, 0.25 * width, mix(pale, canvas.palette.grass, 0.35))


def streets(canvas: Canvas, angle: float, gap: float, width: float) -> list[Points]:
    """Parallel streets ``gap`` metres apart and one that crosses them; their middle lines."""
    rng, span = canvas.rng, canvas.metres
    ways = []
    for down in np.arange(-span, span, gap) + rng.uniform(0, gap):
        ends = placed(np.array([[-span, down], [span, down]]), 0.0, 0.0, angle)
        ways.append(bent(ends[0], ends[1], rng.uniform(-3, 3)))
    ways.append(straight(canvas, angle + np.pi / 2, rng.uniform(-0.4, 0.4) * span))
    walks = rng.random() < 0.6
    for way in ways:
        if np.abs(way).max(axis=1).min() < canvas.half * 1.1:
            road(canvas, way, width, walks=walks)
    return [way for way in ways if np.abs(way).max(axis=1).min() < canvas.half]


PAINT: Colour = (226, 226, 222)


def roof_colour(canvas: Canvas) -> Colour:
    """The colour of one roof of this place."""
    roofs = canvas.palette.roofs
    return shade(roofs[int(canvas.rng.integers(len(roofs)))], canvas.rng.uniform(0.85, 1.12))


def facing(canvas: Canvas, angle: float) -> float:
    """How brightly a slope that faces ``angle`` is lit, about 0.8 to 1.2."""
    sun = np.arctan2(-canvas.sun[1], -canvas.sun[0])
    return 1 + 0.2 * float(np.cos(angle - sun))


def house(canvas: Canvas, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A house under a pitched roof, often with a wing."""
    rng, colour = canvas.rng, roof_colour(canvas)
    _pitched(canvas, x, y, length, width, angle, colour)
    if rng.random() < 0.45:
        wing = placed(np.array([[0.28 * length * rng.choice([-1, 1]), 0.45 * width]]), x, y, angle)[
            0
        ]
        _pitched(canvas, wing[0], wing[1], 0.8 * width, 0.45 * length, angle + np.pi / 2, colour)


def _pitched(
    canvas: Canvas, x: float, y: float, length: float, width: float, angle: float, colour: Colour
) -> None:
    lit = [shade(colour, facing(canvas, angle + side * np.pi / 2)) for side in (1, -1)]
    whole = rectangle(x, y, length, width, angle)
    canvas.fill(whole, Surface.ROOF, lit[1], height=5.0)
    half = rectangle(0.0, width / 4, length, width / 2, 0.0)
    canvas.mark(placed(half, x, y, angle), lit[0])
    hip = 0.42 * width
    for side in (1, -1):
        end = np.array([[length / 2, -width / 2], [length / 2, width / 2], [length / 2 - hip, 0]])
        lean = angle if side == 1 else angle + np.pi
        canvas.mark(placed(end * side, x, y, angle), shade(colour, facing(canvas, lean)))


def block(
    canvas: Canvas, x: float, y: float, length: float, width: float, angle: float, height: float
) -> None:
    """A building with a flat roof, its parapet and the plant on it."""
    rng = canvas.rng
    grey: Colour = shade((196, 192, 186), rng.uniform(0.62, 1.15))
    colour = grey if rng.random() < 0.7 else roof_colour(canvas)
    canvas.fill(rectangle(x, y, length, width, angle), Surface.ROOF, shade(colour, 1.14), height)
    inner = rectangle(x, y, length - 1.6, width - 1.6, angle)
    canvas.mark(inner, colour)
    count = int(rng.integers(1, 6))
    places = rng.uniform(-0.36, 0.36, (count, 2)) * [length, width]
    sizes = rng.uniform(0.05, 0.2, (count, 2)) * min(length, width) + 1
    for (across, down), (long, wide) in zip(places.tolist(), sizes.tolist(), strict=True):
        plant = placed(rectangle(across, down, long, wide, 0.0), x, y, angle)
        canvas.fill(plant, Surface.ROOF, shade(colour, rng.choice([0.7, 1.25])), height=2.5)


def factory(canvas: Canvas, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A hall with a ribbed or saw-toothed metal roof."""
    rng = canvas.rng
    metals: tuple[Colour, ...] = ((92, 130, 168), (196, 198, 200), (150, 160, 166), (172, 92, 76),
                                  (214, 212, 206), (96, 140, 132))  # fmt: skip
    colour = shade(metals[int(rng.integers(len(metals)))], rng.uniform(0.85, 1.08))
    canvas.fill(rectangle(x, y, length, width, angle), Surface.FACTORY, colour, height=9.0)
    teeth = int(max(width // rng.uniform(7, 14), 2))
    down = (np.arange(teeth) + 0.25) / teeth * width - width / 2
    bands = rectangle(0 * down, down, length + 0 * down, width / teeth / 2 + 0 * down, 0.0)
    dim = facing(canvas, angle + np.pi / 2) * rng.uniform(0.8, 0.92)
    canvas.mark(placed(bands, x, y, angle), shade(colour, dim))
    vents = (np.arange(8) + 0.5) / 8 * length - length / 2
    for across in (-width / 4, width / 4) if rng.random() < 0.6 else ():
        dots = rectangle(vents, 0 * vents + across, 2.2 + 0 * vents, 1.6 + 0 * vents, 0.0)
        canvas.mark(placed(dots, x, y, angle), shade(colour, 1.3))


def mobile_home(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A long narrow home with a bright roof and a carport."""
    rng = canvas.rng
    length, width = rng.uniform(15, 19), rng.uniform(4.4, 7.4)
    colour = shade((222, 220, 214), rng.uniform(0.78, 1.1))
    canvas.fill(rectangle(x, y, length, width, angle), Surface.HOME, colour, height=3.5)
    side = placed(rectangle(0.0, width / 4, length, width / 2, 0.0), x, y, angle)
    canvas.mark(side, shade(colour, facing(canvas, angle + np.pi / 2) * 0.92))
    if rng.random() < 0.5:
        port = rectangle(0.2 * length, width / 2 + 1.4, 0.45 * length, 2.6, 0.0)
        canvas.fill(placed(port, x, y, angle), Surface.HOME, shade(colour, 0.8), height=2.5)


def greenhouses(
    canvas: Canvas, x: float, y: float, angle: float, count: int, length: float
) -> None:
    """A row of ``count`` plastic tunnels, each about 8 metres wide."""
    rng, width = canvas.rng, 8.0
    film = mix((214, 220, 224), (170, 186, 178), rng.random())
    down = (np.arange(count) - (count - 1) / 2) * (width + rng.uniform(0.6, 2.5))
    tunnels = rectangle(0 * down, down, length + 0 * down, width + 0 * down, 0.0)
    canvas.fill(placed(tunnels, x, y, angle), Surface.GLASSHOUSE, film, height=3.0)
    for offset, tone in ((-0.32, 0.78), (0.28, 1.1)):
        ribs = rectangle(0 * down, down + offset * width, length + 0 * down, 1.6 + 0 * down, 0.0)
        canvas.mark(placed(ribs, x, y, angle), shade(film, tone * facing(canvas, angle) ** 0.5))
    for place in np.arange(-length / 2 + 4, length / 2, rng.uniform(4, 8)):
        ends = np.array([[place, down[0] - width / 2], [place, down[-1] + width / 2]])
        canvas.line(placed(ends, x, y, angle), 0.4, shade(film, 0.9))


def parking(
    canvas: Canvas, x: float, y: float, length: float, width: float, angle: float, full: float
) -> None:
    """A car park: bays with painted lines, ``full`` (0 to 1) of them taken."""
    rng = canvas.rng
    asphalt = shade(canvas.palette.asphalt, rng.uniform(0.9, 1.1))
    lot = rectangle(x, y, length, width, angle)
    canvas.fill(lot, Surface.ASPHALT, asphalt)
    canvas.zone("parking lot", lot)
    period, bay, deep = 17.0, 2.7, 5.2
    rows = np.arange(deep / 2 + 0.5, width - deep / 2, period / 2)
    # Two rows stand back to back, then an aisle: 5.2 + 5.2 + 6.6 metres.
    rows = np.where(np.arange(len(rows)) % 2 == 0, rows, rows - (period / 2 - deep)) - width / 2
    places = np.arange(bay, length - bay, bay) - length / 2 + bay / 2
    across, down = (field.ravel() for field in np.meshgrid(places, rows))
    for edge in (-0.5, 0.5):
        lines = rectangle(across + edge * bay, down, 0.18 + 0 * down, deep + 0 * down, 0.0)
        canvas.mark(placed(lines, x, y, angle), mix(asphalt, PAINT, 0.7))
    taken = rng.random(len(across)) < full * canvas.busy
    points = placed(np.stack([across, down], axis=1)[taken], x, y, angle)
    points += rng.normal(0, 0.12, points.shape)
    turn = angle + np.pi / 2 + np.pi * rng.integers(0, 2, len(points))
    cars(canvas, points[:, 0], points[:, 1], turn)


def pool(canvas: Canvas, x: float, y: float, length: float, width: float, angle: float) -> None:
    """A swimming pool in its paved rim, rectangular or free in form."""
    rng = canvas.rng
    blue = mix((64, 168, 206), (84, 204, 214), rng.random())
    shape: Points
    if rng.random() < 0.6:
        shape, rim = rectangle(x, y, length, width, angle), 1.8
        border = rectangle(x, y, length + 2 * rim, width + 2 * rim, angle)
    else:
        shape = blob(rng, x, y, 0.42 * np.sqrt(length * width) + 0.6, 0.22)
        border = (shape - [x, y]) * 1.35 + [x, y]
    canvas.fill(border, Surface.ASPHALT, canvas.palette.concrete)
    canvas.fill(shape, Surface.POOL, blue)
    light = shape.mean(axis=0) + (shape - shape.mean(axis=0)) * 0.55
    canvas.mark(light, shade(blue, 0.9))


def station(canvas: Canvas, line_y: float, length: float, angle: float, roofs: int) -> None:
    """Platforms under long roofs between the tracks, and a hall beside them."""
    rng = canvas.rng
    colour = shade((186, 186, 184), rng.uniform(0.75, 1.15))
    for index in range(roofs):
        across, down = rng.uniform(-0.06, 0.06) * length, line_y + index * 14.0
        platform = rectangle(across, down, length, 8.0, 0.0)
        canvas.fill(placed(platform, 0.0, 0.0, angle), Surface.ASPHALT, canvas.palette.concrete)
        cover = placed(rectangle(across, down, 0.72 * length, 6.4, 0.0), 0.0, 0.0, angle)
        canvas.fill(cover, Surface.ROOF, colour, height=5.0)
        ridge = placed(rectangle(across, down + 1.6, 0.72 * length, 3.2, 0.0), 0.0, 0.0, angle)
        canvas.mark(ridge, shade(colour, 0.86))
        for place in np.arange(-0.36, 0.36, 0.06) * length + across:
            ends = np.array([[place, down - 3.2], [place, down + 3.2]])
            canvas.line(placed(ends, 0.0, 0.0, angle), 0.5, shade(colour, 0.75))
        canvas.zone("railway station", placed(platform, 0.0, 0.0, angle))
    hall = np.array([[rng.uniform(-0.1, 0.1) * length, line_y - 22.0]])
    place = placed(hall, 0.0, 0.0, angle)[0]
    block(canvas, place[0], place[1], 0.5 * length, 20.0, angle, 12.0)
    canvas.zone("railway station", rectangle(place[0], place[1], 0.5 * length, 20.0, angle))


def stadium(canvas: Canvas, x: float, y: float, size: float, angle: float) -> None:
    """Stands around an oval; what lies inside is drawn by the caller. ``size`` is its length."""
    rng = canvas.rng
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    power = rng.uniform(0.6, 0.95)
    oval = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    oval = np.sign(oval) * np.abs(oval) ** power * [size / 2, 0.8 * size / 2]
    roof = shade((212, 212, 210), rng.uniform(0.75, 1.1))
    seats = mix(roof, ((170, 60, 50), (60, 90, 160), (150, 150, 150))[int(rng.integers(3))], 0.6)
    canvas.fill(placed(oval, x, y, angle), Surface.ROOF, roof, height=22.0)
    canvas.zone("stadium", placed(oval, x, y, angle))
    canvas.mark(placed(oval * rng.uniform(0.82, 0.92), x, y, angle), seats)
    for ring in (0.9, 0.84, 0.78, 0.72):
        canvas.line(placed(oval * ring, x, y, angle), 0.8, shade(seats, 0.8), closed=True)
    for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        edge = np.array([np.cos(turn), np.sin(turn)])
        edge = np.sign(edge) * np.abs(edge) ** power * [size / 2, 0.4 * size]
        canvas.line(placed(np.stack([edge * 0.68, edge]), x, y, angle), 0.8, shade(roof, 0.8))
    floor = placed(oval * 0.68, x, y, angle)
    canvas.fill(floor, Surface.TURF, shade(canvas.palette.grass, 1.05))
    light = np.arctan2(*(-canvas.sun)[::-1])
    dark = arc(x, y, 0.24 * size, light - 0.9, light + 0.9, 16)
    canvas.line(dark, 0.05 * size, shade(canvas.palette.grass, 0.6))


def fill_with_buildings(canvas: Canvas, angle: float, share: float) -> None:
    """Buildings wherever open ground has room for them; ``share`` (0 to 1) of the plots."""
    rng = canvas.rng
    homes = rng.random() < 0.5
    wide, deep = (24.0, 26.0) if homes else (rng.uniform(38, 60), rng.uniform(34, 50))
    across, down = np.meshgrid(
        np.arange(-canvas.metres, canvas.metres, wide),
        np.arange(-canvas.metres, canvas.metres, deep),
    )
    plots = _near(
        canvas, np.stack([across.ravel(), down.ravel()], axis=1) + rng.uniform(0, 20, 2), angle
    )
    for x, y in plots.tolist():
        if rng.random() > share:
            continue
        length, width = rng.uniform(0.5, 0.72) * wide, rng.uniform(0.42, 0.6) * deep
        outline = rectangle(x, y, length + 4, width + 4, angle)
        inside = rectangle(x, y, length / 2, width / 2, angle)
        near = np.abs(outline).max() > canvas.half
        if not canvas.is_open(inside).all() or not (near or canvas.is_open(outline).all()):
            continue
        if homes:
            house(canvas, x, y, length, width, angle)
        else:
            block(canvas, x, y, length, width, angle, rng.uniform(6, 22))


def _near(canvas: Canvas, points: Points, angle: float) -> Points:
    # Points of the turned scene, those in or near the picture only.
    places = placed(points, 0.0, 0.0, angle)
    near: npt.NDArray[np.bool_] = np.abs(places).max(axis=1) < canvas.half * 1.15
    return places[near]


LINE_WHITE: Colour = (238, 238, 234)
COURTS: tuple[tuple[Colour, Colour], ...] = (
    ((58, 98, 150), (72, 122, 84)), ((64, 118, 78), (150, 78, 62)), ((92, 70, 132), (70, 116, 80)),
    ((182, 104, 74), (168, 96, 70)), ((70, 120, 82), (70, 120, 82)),
    ((66, 106, 160), (66, 106, 160)),
)  # fmt: skip


def _lines(canvas: Canvas, lines: list[list[list[float]]], x: float, y: float, angle: float,
           width: float = 0.3) -> None:  # fmt: skip
    for points in lines:
        canvas.line(placed(np.array(points), x, y, angle), width, LINE_WHITE)


def tennis(
    canvas: Canvas, x: float, y: float, angle: float, colours: tuple[Colour, Colour]
) -> None:
    """A tennis court, 23.77 by 10.97 metres in a run-off of 36 by 18; colours inside and out."""
    inner, outer = colours
    whole = rectangle(x, y, 36.0, 18.0, angle)
    canvas.fill(whole, Surface.ASPHALT, outer)
    canvas.zone("tennis court", whole)
    canvas.mark(rectangle(x, y, 23.77, 10.97, angle), inner)
    a, b, single, service = 11.885, 5.485, 4.115, 6.4
    _lines(
        canvas,
        [
            [[-a, -b], [a, -b], [a, b], [-a, b], [-a, -b]],
            [[-a, -single], [a, -single]],
            [[-a, single], [a, single]],
            [[-service, -single], [-service, single]],
            [[service, -single], [service, single]],
            [[-service, 0], [service, 0]],
        ],
        x, y, angle,
    )  # fmt: skip
    net = placed(np.array([[0, -b - 0.9], [0, b + 0.9]]), x, y, angle)
    canvas.line(net, 0.35, (60, 62, 60))


def basketball(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A basketball court, 28 by 15 metres in a run-off of 32 by 19."""
    rng = canvas.rng
    floors: tuple[Colour, ...] = (
        (172, 92, 70),
        (78, 128, 90),
        (84, 110, 156),
        (196, 158, 110),
        (150, 150, 148),
    )
    floor = floors[int(rng.integers(len(floors)))]
    key = floors[int(rng.integers(len(floors)))]
    whole = rectangle(x, y, 32.0, 19.0, angle)
    canvas.fill(whole, Surface.ASPHALT, shade(floor, 0.86))
    canvas.zone("basketball court", whole)
    canvas.mark(rectangle(x, y, 28.0, 15.0, angle), floor)
    frame: list[list[list[float]]] = [
        [[-14, -7.5], [14, -7.5], [14, 7.5], [-14, 7.5], [-14, -7.5]], [[0, -7.5], [0, 7.5]]
    ]  # fmt: skip
    for side in (-1, 1):
        lane = placed(rectangle(side * 11.1, 0.0, 5.8, 4.9, 0.0), x, y, angle)
        canvas.mark(lane, key)
        canvas.line(lane, 0.3, LINE_WHITE, closed=True)
        three = arc(side * 12.4, 0.0, 6.75, np.pi / 2, 3 * np.pi / 2)
        three = three if side == 1 else np.stack([-24.8 - three[:, 0] + 24.8, three[:, 1]], axis=1)
        canvas.line(placed(three, x, y, angle), 0.3, LINE_WHITE)
    _lines(canvas, frame, x, y, angle)
    canvas.line(placed(arc(0, 0, 1.8, 0, 2 * np.pi), x, y, angle), 0.3, LINE_WHITE)


def diamond(canvas: Canvas, x: float, y: float, angle: float, size: float = 27.4) -> None:
    """A baseball field; x, y is home plate, ``angle`` points to second base, ``size`` in metres."""
    rng = canvas.rng
    clay = mix((186, 128, 88), (198, 158, 118), rng.random())
    grass = shade(canvas.palette.grass, rng.uniform(1.0, 1.2))
    reach = size * rng.uniform(3.1, 3.8)
    fan = np.concatenate([[[0.0, 0.0]], arc(0, 0, reach, -np.pi / 4, np.pi / 4)])
    outfield = placed(fan * 1.05, x, y, angle)
    canvas.line(outfield, 0.06 * size, clay, closed=True)
    canvas.fill(outfield, Surface.TURF, grass)
    for ring in np.arange(2.1, 4.0, 0.5)[:: 1 if rng.random() < 0.6 else 9]:
        band = arc(0, 0, min(ring * size, reach * 0.97), -np.pi / 4, np.pi / 4)
        canvas.line(placed(band, x, y, angle), 0.2 * size, shade(grass, 0.93))
    skin = np.concatenate([[[-0.15 * size, 0.0]], arc(0.62 * size, 0, 1.1 * size, -1.9, 1.9)])
    skin = skin[np.abs(np.arctan2(skin[:, 1], skin[:, 0] + 0.16 * size)) < 0.84]
    canvas.fill(placed(skin, x, y, angle), Surface.CLAY, clay)
    half = size / np.sqrt(2)
    if rng.random() < 0.8:
        square = np.array(
            [[0.18 * size, 0], [half, 0.8 * half], [1.25 * size, 0], [half, -0.8 * half]]
        )
        canvas.fill(placed(square, x, y, angle), Surface.TURF, grass)
    mound = placed(np.array([[0.67 * size, 0.0]]), x, y, angle)[0]
    canvas.disc(mound[0], mound[1], 0.1 * size, Surface.CLAY, clay)
    canvas.disc(x, y, 0.16 * size, Surface.CLAY, clay)
    for turn in (-np.pi / 4, np.pi / 4):
        foul = placed(np.array([[0.0, 0], [reach, 0]]), x, y, angle + turn)
        canvas.line(foul, 0.3, LINE_WHITE)
    canvas.zone("baseball diamond", outfield)


def football(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """A marked football field."""
    rng = canvas.rng
    width = 0.62 * length
    grass = mix(shade(canvas.palette.grass, 1.05), (72, 132, 66), rng.uniform(0, 0.8))
    pitch = rectangle(x, y, length, width, angle)
    canvas.fill(pitch, Surface.TURF, grass)
    canvas.zone("football field", pitch)
    if rng.random() < 0.7:
        bands = np.arange(-0.5 + 1 / 20, 0.5, 1 / 5) * length
        stripes = rectangle(bands, 0 * bands, length / 10 + 0 * bands, width + 0 * bands, 0.0)
        canvas.mark(placed(stripes, x, y, angle), shade(grass, 1.1))
    a, b = 0.47 * length, 0.46 * width
    thick = max(0.3, 0.9 * canvas.pixel)
    frame = [[[-a, -b], [a, -b], [a, b], [-a, b], [-a, -b]], [[0, -b], [0, b]]]
    for side in (-a, a):
        inner = side * 0.7
        frame.append([[side, -0.5 * b], [inner, -0.5 * b], [inner, 0.5 * b], [side, 0.5 * b]])
    _lines(canvas, frame, x, y, angle, thick)
    canvas.line(placed(arc(0, 0, 0.09 * length, 0, 2 * np.pi), x, y, angle), thick, LINE_WHITE)


def running_track(canvas: Canvas, x: float, y: float, length: float, angle: float) -> None:
    """A running track around grass; ``length`` is its outer length in metres."""
    rng = canvas.rng
    reds: tuple[Colour, ...] = ((178, 84, 66), (168, 100, 84), (156, 72, 60), (96, 112, 150))
    red = reds[int(rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)))]
    width = 0.52 * length
    canvas.fill(_oval(x, y, length, width, angle), Surface.TRACK, red)
    lane = 0.075 * length
    inside = _oval(x, y, length - 2 * lane, width - 2 * lane, angle)
    canvas.fill(inside, Surface.TURF, shade(canvas.palette.grass, 1.05))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        cut = 2 * lane * share
        ring = _oval(x, y, length - cut, width - cut, angle)
        canvas.line(ring, 0.25, mix(red, LINE_WHITE, 0.45), closed=True)


def _oval(x: float, y: float, length: float, width: float, angle: float) -> Points:
    straight = (length - width) / 2
    right = arc(straight, 0, width / 2, -np.pi / 2, np.pi / 2, 16)
    return placed(np.concatenate([right, -right]), x, y, angle)
