"""Coverage of pixels against a plain twin that draws every shape at 16 times the resolution."""

from __future__ import annotations

import numpy as np
import pytest

from comptool.practice.sensor_scenes import (
    Rectangles,
    disc_coverage,
    rectangle_coverage,
    swept_coverage,
    view_of,
)

SIZE, SPACING, FINE = 24, 0.5, 16
COUNT = 12


@pytest.fixture
def view():
    rng = np.random.default_rng(0)
    shift = rng.uniform(-1, 1, (2, COUNT))
    return view_of(SIZE, np.full(COUNT, SPACING), *shift)


@pytest.fixture
def boxes() -> Rectangles:
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, COUNT)
    return Rectangles(
        x=rng.uniform(-2, 2, COUNT),
        y=rng.uniform(-2, 2, COUNT),
        cos=np.cos(angle),
        sin=np.sin(angle),
        half_length=rng.uniform(1, 3.5, COUNT),
        half_width=rng.uniform(0.5, 1.2, COUNT),
    )


def points(view, chip: int) -> tuple[np.ndarray, np.ndarray]:
    """Sub-pixels of one chip in metres: two arrays of shape (SIZE * FINE, SIZE * FINE)."""
    inner = ((np.arange(FINE) + 0.5) / FINE - 0.5) * SPACING
    x = (view.x[chip][:, None] + inner).ravel()
    y = (view.y[chip][:, None] + inner).ravel()
    return np.meshgrid(x, y)


def shares(inside: np.ndarray) -> np.ndarray:
    return inside.reshape(SIZE, FINE, SIZE, FINE).mean(axis=(1, 3))


def in_rectangle(box: Rectangles, chip: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x - box.x[chip], y - box.y[chip]
    ahead = x * box.cos[chip] + y * box.sin[chip]
    right = y * box.cos[chip] - x * box.sin[chip]
    return (np.abs(ahead) <= box.half_length[chip]) & (np.abs(right) <= box.half_width[chip])


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    """Area within one pixel; a corner pixel may be off by a quarter, on average 0.004."""
    assert found.shape == wanted.shape
    assert found.min() >= 0 and found.max() <= 1
    assert np.abs(found.sum(axis=(1, 2)) - wanted.sum(axis=(1, 2))).max() < 1
    assert np.abs(found - wanted).max() < 0.26
    assert np.abs(found - wanted).mean() < 0.004


def test_a_rectangle_covers_what_its_points_cover(view, boxes):
    found = rectangle_coverage(view, boxes)
    wanted = [shares(in_rectangle(boxes, chip, *points(view, chip))) for chip in range(COUNT)]
    close(found, np.stack(wanted))


def test_a_swept_rectangle_covers_every_place_it_slides_over(view, boxes):
    rng = np.random.default_rng(2)
    start, end = rng.uniform(-1, 1, (2, COUNT)), rng.uniform(-4, 4, (2, COUNT))
    wanted = []
    for chip in range(COUNT):
        x, y = points(view, chip)
        met = np.zeros(x.shape, bool)
        for share in np.linspace(0, 1, 65):
            step = start[:, chip] + share * (end[:, chip] - start[:, chip])
            met |= in_rectangle(boxes, chip, x - step[0], y - step[1])
        wanted.append(shares(met))
    close(swept_coverage(view, boxes, start, end), np.stack(wanted))


def test_a_sweep_over_no_distance_is_the_rectangle_at_its_place(view, boxes):
    shift = np.ones((2, COUNT))
    moved = Rectangles(
        boxes.x + 1, boxes.y + 1, boxes.cos, boxes.sin, boxes.half_length, boxes.half_width
    )
    found = swept_coverage(view, boxes, shift, shift)
    np.testing.assert_allclose(found, rectangle_coverage(view, moved), atol=1e-6)


def test_a_disc_covers_what_its_points_cover(view, boxes):
    radius = boxes.half_length
    wanted = []
    for chip in range(COUNT):
        x, y = points(view, chip)
        wanted.append(
            shares((x - boxes.x[chip]) ** 2 + (y - boxes.y[chip]) ** 2 <= radius[chip] ** 2)
        )
    close(disc_coverage(view, boxes.x, boxes.y, radius), np.stack(wanted))


def test_a_line_thinner_than_a_pixel_never_fills_one(view, boxes):
    thin = Rectangles(
        boxes.x, boxes.y, boxes.cos, boxes.sin, boxes.half_length, np.full(COUNT, SPACING / 10)
    )
    assert rectangle_coverage(view, thin).max() == pytest.approx(0.2)


def test_nothing_outside_the_chip_is_covered(view, boxes):
    far = Rectangles(
        boxes.x + 50, boxes.y, boxes.cos, boxes.sin, boxes.half_length, boxes.half_width
    )
    assert not rectangle_coverage(view, far).any()
    none = disc_coverage(view, boxes.x, boxes.y, np.zeros(COUNT))
    assert not none.any()
