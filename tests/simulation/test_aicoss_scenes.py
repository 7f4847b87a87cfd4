"""The scenes of a practice AICOSS: what is drawn, and what is true of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from comptool.practice.aerial_canvas import CLASSES, RULES, Canvas, Surface, rectangle, shares
from comptool.practice.aerial_scenes import BY_NAME, add_stray, photograph

LEAST = np.array([rule.least for rule in RULES])
GREEN = (90.0, 130.0, 60.0)
# The class that each kind of scene is there for.
NAMESAKE = {
    "bareland": "bare soil",
    "commercial area": "buildings",
    "dense residential": "dense residential area",
    "eroded farmland": "gully",
    "farmland": "field",
    "ground track field": "track",
    "harbor": "habor",
    "industrial area": "factory",
    "meadow": "grass",
    "mobile home park": "mobile home",
    "open sea": "ships",
    "shipping yard": "containers",
    "sparse residential": "sparse residential area",
    "storage tank": "tanks",
}


def picture(kind, seed=0, side=48, view=0):
    """A picture and which of the 60 classes are true of it."""
    scene, camera = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1, view])
    pixels, filled = photograph(BY_NAME[kind], side, scene, camera, displaced=view > 0)
    return pixels, filled >= LEAST


def test_a_class_fills_what_is_seen_of_its_things():
    canvas = Canvas(64, 64.0, np.random.default_rng(0))
    canvas.lay(Surface.GRASS, GREEN)
    canvas.fill(rectangle(-16.0, 0.0, 32.0, 64.0, 0.0), Surface.ROAD, GREEN)
    filled = dict(zip(CLASSES, shares(canvas.surface, canvas.zones), strict=True))
    assert {name: value for name, value in filled.items() if value} == pytest.approx(
        {"grass": 0.5, "road": 0.5, "pavement": 0.5}, abs=0.02
    )
    canvas.lay(Surface.POOL, GREEN)
    filled = dict(zip(CLASSES, shares(canvas.surface, canvas.zones), strict=True))
    assert {name for name, value in filled.items() if value} == {"water", "swimming pool"}


def test_a_place_stays_under_its_things_and_not_under_clouds():
    canvas = Canvas(64, 64.0, np.random.default_rng(0))
    canvas.whole("park")
    canvas.fill(rectangle(0.0, 0.0, 32.0, 64.0, 0.0), Surface.CROWN, GREEN)
    park = CLASSES.index("park")
    assert shares(canvas.surface, canvas.zones)[park] == 1
    canvas.fill(rectangle(0.0, 0.0, 32.0, 64.0, 0.0), Surface.CLOUD, GREEN)
    assert shares(canvas.surface, canvas.zones)[park] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_kind_of_scene_shows_what_it_is_there_for(kind):
    name = CLASSES.index(NAMESAKE.get(kind, kind))
    seen = [picture(kind, seed)[1] for seed in range(5)]
    assert sum(true[name] for true in seen) >= 3
    assert all(true.any() for true in seen)


def test_every_class_is_met_and_none_is_always_there():
    kinds = list(BY_NAME)
    true = np.stack([picture(kind, seed, side=24)[1] for seed in range(7) for kind in kinds])
    assert true.any(axis=0).all()
    assert not true.all(axis=0).any()


def test_things_occur_together_as_in_reality():
    harbours = np.stack([picture("harbor", seed)[1] for seed in range(8)])
    together = [CLASSES.index(name) for name in ("water", "ships")]
    assert harbours[:, together].mean() > 0.9
    yards = np.stack([picture("parking lot", seed)[1] for seed in range(8)])
    assert yards[:, CLASSES.index("pavement")].all()
    assert yards[:, CLASSES.index("cars")].mean() > 0.6


@pytest.mark.parametrize(
    ("surface", "drawn"), [(Surface.GRASS, True), (Surface.SEA, True), (Surface.ROAD, False)]
)
def test_a_stray_is_drawn_where_there_is_room_for_it_only(surface, drawn):
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(12):
        canvas = Canvas(96, 160.0, rng)
        canvas.lay(surface, GREEN)
        add_stray(canvas)
        seen |= set(np.unique(canvas.surface).tolist())
    assert (seen > {surface}) == drawn
    afloat = {Surface.SHIP, Surface.PIER}
    assert bool(seen & afloat) == (surface == Surface.SEA)


def test_a_second_view_shows_the_same_scene_a_little_displaced():
    first, true = picture("tennis court", 2, side=96)
    second, again = picture("tennis court", 2, side=96, view=1)
    other = picture("tennis court", 3, side=96)[0]
    assert (first != second).any()
    assert likeness(first, second) > 0.8 > 0.5 > likeness(first, other)
    assert (true == again).mean() > 0.95


def likeness(one, other):
    """Correlation of two pictures, one moved by up to 3 px against the other."""
    grey, template = one.mean(axis=2), other.mean(axis=2)[8:-8, 8:-8]
    match = cv2.matchTemplate(np.float32(grey), np.float32(template), cv2.TM_CCOEFF_NORMED)
    return float(match[5:12, 5:12].max())
