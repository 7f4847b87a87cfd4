"""The scenes of a practice AICOSS: what is drawn, and what is true of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from comptool.practice.aerial_scenes import (
    BY_NAME,
    CLASSES,
    PLACE,
    RULES,
    SURFACES,
    THINGS,
    Canvas,
    Layer,
    Put,
    photograph,
)

LEAST = np.array([rule.least for rule in RULES])
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


def filled(canvas):
    """Share of the picture by class, of those that are seen."""
    shares = dict(zip(CLASSES, canvas.shares(), strict=True))
    return {name: value for name, value in shares.items() if value}


def test_a_class_fills_what_is_seen_of_its_things():
    canvas = Canvas(128, 64.0, np.random.default_rng(0))
    canvas.cover(Layer("grass"))
    canvas.put(Put("basketball court"))
    court = 32 * 19 / 64**2
    assert filled(canvas) == pytest.approx(
        {"grass": 1 - court, "pavement": court, "basketball court": court}, abs=0.01
    )
    canvas.cover(Layer("pool"))
    assert filled(canvas)["swimming pool"] == filled(canvas)["water"] == 1


def test_a_place_stays_under_its_things_and_not_under_clouds():
    canvas = Canvas(64, 64.0, np.random.default_rng(0))
    canvas.cover(Layer("grass", zone="park"))
    canvas.put(Put("grove"))
    assert filled(canvas)["park"] == 1 > filled(canvas)["grass"]
    canvas.cover(Layer("cloud", "patchy"))
    assert filled(canvas)["park"] == pytest.approx(1 - filled(canvas)["cloud"])


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


@pytest.mark.parametrize(("surface", "drawn"), [("grass", True), ("sea", True), ("road", False)])
def test_a_stray_is_drawn_where_there_is_room_for_it_only(surface, drawn):
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(12):
        canvas = Canvas(96, 160.0, rng)
        canvas.cover(Layer(surface))
        canvas.add_stray()
        seen |= {SURFACES[index].name for index in np.unique(canvas.surface)}
    assert (seen > {surface}) == drawn
    assert bool(seen & {"ship", "pier"}) == (surface == "sea")


def test_things_on_a_kind_of_ground_leave_all_other_ground_as_it_was():
    canvas = Canvas(128, 128.0, np.random.default_rng(5))
    canvas.cover(Layer("grass"))
    canvas.cover(Layer("water", "band", (-0.3, -0.3)))
    wet = canvas.surface == PLACE["water"]
    canvas.put(Put("block", (0, 0), (0, 0), (40, 30), on="open"))
    assert (canvas.surface == PLACE["roof"]).any()
    assert (canvas.surface[wet] == PLACE["water"]).mean() > 0.99


def test_the_tables_name_only_what_there_is():
    """A slip in a row would show only in the scenes that happen to draw it."""
    for kind in BY_NAME.values():
        for step in kind.steps:
            assert step.thing in THINGS if isinstance(step, Put) else step.surface in PLACE
        assert set(filter(None, kind.whole.split(","))) <= set(CLASSES)
    for thing in THINGS.values():
        for part in thing.parts:
            assert part.surface in {"", *PLACE}
            assert not part.zone or part.zone in CLASSES


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
