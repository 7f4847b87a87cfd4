"""What the camera and the radar make of one box on even ground, and how large vehicles are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from comptool.practice import sensor_scenes
from comptool.practice.sensor_scenes import KNOTS, VEHICLES, Frame, park, shoot, stage

EIGHT = np.arange(8) * np.pi / 4
# A box of 2 m x 2 m x 3 m: half a side, and the height, in metres.
HALF, HEIGHT = 1.0, 3.0


def frames(**changes: float) -> list[Frame]:
    """One box in the middle of an open field of even tone, seen in eight directions."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * HALF
    values = {
        "outlines": corners[None], "faces": np.array([[0, HEIGHT, 0.2, 1]]),
        "heading": 0, "grass": 0.2, "patches": (),
        "tree": np.zeros(4), "knots": np.zeros((KNOTS, KNOTS), np.float32), "sun_elevation": 0.7,
        "lean": np.zeros(2), "incidence": 0.8, "exposure": 300, "blur": 0.6, "shift": np.zeros(2),
    }  # fmt: skip
    values |= changes
    return [Frame(**values, sun_azimuth=angle, radar_azimuth=angle) for angle in EIGHT]


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
                                np.random.default_rng(0)) < 36).sum())
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


def extents(points: np.ndarray, heading: float) -> tuple[float, float]:
    """Length along the heading and width across it of a few outlines."""
    turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
    along = points.reshape(-1, 2) @ turn
    return tuple(along.max(axis=0) - along.min(axis=0))


@pytest.mark.parametrize("kind", range(10))
def test_vehicles_have_the_documented_sizes(kind):
    rng = np.random.default_rng(kind)
    vehicle, found = VEHICLES[kind], []
    for heading in rng.uniform(0, 2 * np.pi, 400):
        outlines, faces = park(vehicle, heading, 0.0, False, rng)
        found.append((*extents(outlines, heading), faces[:, 1].max()))
    length, width, height = np.array(found).T
    if vehicle.towed is None:
        for sizes, (low, high) in ((length, vehicle.lead.length), (width, vehicle.lead.width)):
            assert low - 0.01 < sizes.min() < low + 0.1 * (high - low)
            assert high - 0.1 * (high - low) < sizes.max() < high + 0.01
    else:
        low, high = (vehicle.lead.length[end] + vehicle.towed.length[end] for end in (0, 1))
        assert low < length.min() and length.max() < high + 1  # a hitch of 0.3 to 0.7 m
        assert width.min() > max(vehicle.lead.width[0], vehicle.towed.width[0]) - 0.01
    tallest = max(unit.height[1] for unit in (vehicle.lead, vehicle.towed) if unit)
    assert tallest * 0.95 < height.max() < tallest + 0.01


def test_vehicles_stand_at_every_heading_and_trucks_are_longer_than_cars():
    rng = np.random.default_rng(0)
    turns = [stage(VEHICLES[0], rng).heading for _ in range(2000)]
    assert stats.kstest(turns, stats.uniform(0, 2 * np.pi).cdf).pvalue > 0.01
    assert all(kind.lead.length[0] > VEHICLES[0].lead.length[1] for kind in VEHICLES[6:8])


def test_neighbours_stand_beside_the_vehicle_and_never_in_it():
    rng = np.random.default_rng(0)
    for abreast in (False, True):
        alone = [len(park(VEHICLES[0], 0.0, 0.0, abreast, rng)[0]) for _ in range(20)]
        assert set(alone) == {3}
        for _ in range(100):
            outlines, faces = park(VEHICLES[0], 0.0, 1.0, abreast, rng)
            bodies = outlines[faces[:, 0] == 0]
            assert len(bodies) >= 3
            low, high = bodies.min(axis=1), bodies.max(axis=1)
            for one in range(len(bodies)):
                apart = (low > high[one]) | (high < low[one])
                assert np.delete(apart.any(axis=1), one).all()


def test_a_frame_that_follows_shows_the_same_scene_a_little_shifted():
    first, second, third = shoot(
        np.array([0, 0, 0]), np.array([False, True, False]), np.random.default_rng(0)
    )
    assert second.outlines is first.outlines and third.outlines is not first.outlines
    assert 0 < np.abs(second.shift - first.shift).max() < 1.5
    assert 0 < abs(second.radar_azimuth - first.radar_azimuth) < 0.2
    assert (second.sun_azimuth, second.exposure) == (first.sun_azimuth, first.exposure)


def test_a_box_covers_the_pixels_that_it_stands_on():
    chip = sensor_scenes.photograph(
        frames(faces=np.array([[0, 0.04, 2.0, 1]]), exposure=60, blur=0.1), np.random.default_rng(0)
    )[0]  # 2 m of 0.57 m are 3.5 pixels
    bright = chip > 60
    assert 9 <= bright.sum() <= 16
    assert bright[14:18, 14:18].sum() == bright.sum()
