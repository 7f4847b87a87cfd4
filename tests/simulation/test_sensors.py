"""What the camera and the radar make of one box on even ground, and how large vehicles are."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from comptool.practice import sensor_scenes
from comptool.practice.sensor_scenes import (
    FIELD,
    KNOTS,
    VEHICLES,
    Boxes,
    Corners,
    Ground,
    SceneFrames,
    park,
    stage,
)

EIGHT = np.arange(8) * np.pi / 4
# A box of 2 m x 2 m x 3 m: half a side, and the height, in metres.
HALF, HEIGHT = 1.0, 3.0


def frames(**changes: np.ndarray | float) -> SceneFrames:
    """One box in the middle of an open field of even tone, seen in eight directions."""

    def filled(kind: type, shape: tuple[int, ...], **values: float) -> object:
        wanted = {field.name: np.zeros(shape, np.float32) for field in fields(kind)}
        return kind(**(wanted | {name: np.full(shape, x) for name, x in values.items()}))

    ground = filled(
        Ground, (8,), surface=FIELD, cos=1, line_period=3, paved_tone=0.2, grass_tone=0.2
    )
    knots = {"knots": np.zeros((8, KNOTS, KNOTS))}
    ground = Ground(**{f.name: getattr(ground, f.name) for f in fields(Ground)} | knots)
    boxes = filled(Boxes, (8, 1), cos=1, half_length=HALF, half_width=HALF, top=HEIGHT, tone=0.2)
    values = {
        "sun_azimuth": EIGHT, "sun_elevation": 0.7, "lean_x": 0, "lean_y": 0,
        "radar_azimuth": EIGHT, "incidence": 0.8, "exposure": 300, "blur": 0.6,
        "shift_x": 0, "shift_y": 0,
    }  # fmt: skip
    plain = {
        name: np.broadcast_to(np.asarray(value, np.float32), (8,))
        for name, value in (values | changes).items()
    }
    return SceneFrames(boxes, filled(Corners, (8, 1)), ground, **plain)


def tone_at(chip: np.ndarray, distance: float, azimuth: float, spacing: float) -> float:
    """Mean of 3 x 3 pixels at so many metres in a direction from the middle."""
    middle = (len(chip) - 1) / 2
    x = round(middle + distance * np.cos(azimuth) / spacing)
    y = round(middle + distance * np.sin(azimuth) / spacing)
    return float(chip[y - 1 : y + 2, x - 1 : x + 2].mean())


def test_the_suns_shadow_falls_away_from_the_sun():
    chips = sensor_scenes.photograph(frames(), np.random.default_rng(0))
    for chip, azimuth in zip(chips, EIGHT, strict=True):
        # The shadow is 3 m / tan(0.7) = 3.6 m long and begins at the box.
        dark = tone_at(chip, 3.2, azimuth + np.pi, sensor_scenes.OPTICAL_SPACING)
        lit = tone_at(chip, 3.2, azimuth, sensor_scenes.OPTICAL_SPACING)
        assert dark - sensor_scenes.BLACK_LEVEL < 0.45 * (lit - sensor_scenes.BLACK_LEVEL)
        assert tone_at(chip, 6.5, azimuth + np.pi, sensor_scenes.OPTICAL_SPACING) > 0.7 * lit


def test_a_lower_sun_throws_a_longer_shadow():
    dark = [
        int((sensor_scenes.photograph(frames(sun_elevation=angle, exposure=200 / (np.sin(angle) +
        0.25)),
                                np.random.default_rng(0)) < 30).sum())
        for angle in (0.5, 0.7, 1.0)
    ]  # fmt: skip
    assert dark[0] > dark[1] > dark[2] > 0


def test_the_radars_shadow_lies_behind_and_the_layover_before_the_box():
    mean = np.mean(
        [sensor_scenes.image(frames(), 16, np.random.default_rng(seed)) for seed in range(8)],
        axis=0,
    )
    for chip, azimuth in zip(mean, EIGHT, strict=True):
        # The shadow is 3 m * tan(0.8) = 3.1 m long, the layover 3 m / tan(0.8) = 2.9 m.
        ground = tone_at(chip, 8, azimuth, sensor_scenes.RADAR_SPACING)
        assert ground == pytest.approx(sensor_scenes.GRASS_LEVEL, rel=0.06)
        assert tone_at(chip, 2.6, azimuth + np.pi, sensor_scenes.RADAR_SPACING) < 0.75 * ground
        assert tone_at(chip, 2.6, azimuth, sensor_scenes.RADAR_SPACING) > 1.03 * ground
        assert tone_at(chip, 6.5, azimuth + np.pi, sensor_scenes.RADAR_SPACING) > 0.9 * ground


def test_a_wall_that_faces_the_radar_returns_most():
    mean = np.mean(
        [sensor_scenes.image(frames(), 16, np.random.default_rng(seed)) for seed in range(8)],
        axis=0,
    )
    edge = [
        tone_at(chip, HALF, azimuth, sensor_scenes.RADAR_SPACING)
        for chip, azimuth in zip(mean, EIGHT, strict=True)
    ]
    assert min(edge[::2]) > 1.2 * max(edge[1::2])


@pytest.mark.parametrize("looks", [1, 2, 4, 9])
def test_speckle_multiplies_and_is_gamma_with_as_many_looks(looks):
    size = 306
    power = np.full((1, size, size), 3, np.float32)
    returned = sensor_scenes.develop(power, np.zeros_like(power), looks, np.random.default_rng(0))[
        0
    ]
    assert returned.shape == (300, 300)
    assert returned.mean() == pytest.approx(3, rel=0.02)
    assert returned.var() / returned.mean() ** 2 == pytest.approx(1 / looks, rel=0.05)
    # Pixels seven apart share nothing of the point-spread function.
    apart = returned[::7, ::7].ravel()
    assert stats.kstest(apart, stats.gamma(looks, scale=3 / looks).cdf).pvalue > 0.01
    # On twice the power the same noise is twice as large.
    again = sensor_scenes.develop(2 * power, np.zeros_like(power), looks, np.random.default_rng(0))[
        0
    ]
    np.testing.assert_allclose(again, 2 * returned, rtol=1e-5, atol=1e-5)


def test_a_steady_scatterer_stands_out_of_the_speckle_as_the_point_spread_function():
    power = np.full((1, 27, 27), 1e-6, np.float32)
    glints = np.zeros_like(power)
    glints[0, 13, 13] = 5
    spot = sensor_scenes.develop(power, glints, 1, np.random.default_rng(0))[0]
    assert np.unravel_index(spot.argmax(), spot.shape) == (10, 10)
    across = np.arange(-3, 4)
    shape = np.exp(-(across**2) / sensor_scenes.SPREAD**2)  # amplitude squared
    np.testing.assert_allclose(spot[10, 7:14] / spot[10, 10], shape, atol=0.02)


def outlines(boxes: Boxes, heading: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length along the heading, width across it and height of everything in each scene."""
    there = boxes.top > 0
    dx, dy = np.cos(heading)[:, None], np.sin(heading)[:, None]
    extents = []
    for ahead, right in ((dx, dy), (-dy, dx)):
        centre = boxes.x * ahead + boxes.y * right
        reach = boxes.half_length * np.abs(boxes.cos * ahead + boxes.sin * right)
        reach = reach + boxes.half_width * np.abs(boxes.cos * right - boxes.sin * ahead)
        high = np.where(there, centre + reach, -np.inf).max(axis=1)
        low = np.where(there, centre - reach, np.inf).min(axis=1)
        extents.append(high - low)
    return extents[0], extents[1], boxes.top.max(axis=1)


@pytest.mark.parametrize("kind", range(10))
def test_vehicles_have_the_documented_sizes(kind):
    rng = np.random.default_rng(kind)
    count, vehicle = 400, VEHICLES[kind]
    heading = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    alone = np.zeros(count, np.float32)
    boxes, _ = park(np.full(count, kind), heading, alone, np.zeros(count, bool), rng)
    length, width, height = outlines(boxes, heading)
    if vehicle.towed is None:
        for found, (low, high) in (
            (length, vehicle.lead.length),
            (width, vehicle.lead.width),
        ):
            assert low - 0.01 < found.min() < low + 0.1 * (high - low)
            assert high - 0.1 * (high - low) < found.max() < high + 0.01
    else:
        low, high = (vehicle.lead.length[end] + vehicle.towed.length[end] for end in (0, 1))
        assert low < length.min() and length.max() < high + 1  # a hitch of 0.3 to 0.7 m
        assert width.min() > max(vehicle.lead.width[0], vehicle.towed.width[0]) - 0.01
    tallest = max(unit.height[1] for unit in (vehicle.lead, vehicle.towed) if unit)
    assert tallest * 0.95 < height.max() < tallest + 0.01


def test_vehicles_stand_at_every_heading_and_trucks_are_longer_than_cars():
    rng = np.random.default_rng(0)
    scene = stage(np.zeros(2000, int), rng)
    turn = np.arctan2(scene.ground.sin, scene.ground.cos)
    assert stats.kstest(turn, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01
    assert all(kind.lead.length[0] > VEHICLES[0].lead.length[1] for kind in VEHICLES[6:8])
