"""Natural ground: meadows, soil, woods, crops, water, relief, snow, dunes and clouds.

Letters: P drawn pixels along a side.
"""

from __future__ import annotations

import cv2
import numpy as np

from comptool.simulation.aicoss.canvas import Canvas, Floats, Mask
from comptool.simulation.aicoss.shapes import Points, rectangle
from comptool.simulation.aicoss.surfaces import CROPS, Colour, Surface, mix, shade, tinted


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
