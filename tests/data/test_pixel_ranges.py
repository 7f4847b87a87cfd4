"""Ranges of pixels that are no bytes."""

from __future__ import annotations

import numpy as np
import pytest

from comptool.data.image_io import ChipForm, to_chip
from comptool.data.pixel_ranges import (
    find_ranges,
    needs_range,
    ranged,
    ranges_of,
    some_values,
    spelled_ranges,
)

RANDOM = np.random.default_rng(0)


def images(*arrays):
    return [some_values(np.asarray(array, np.float32).reshape(-1, 1, 1)) for array in arrays]


@pytest.mark.parametrize(
    ("dtype", "channels", "needed"),
    [
        (np.uint8, 6, False),
        (np.uint16, 1, False),
        (np.uint16, 3, False),
        (np.uint16, 2, True),
        (np.uint16, 13, True),
        (np.float32, 1, True),
        (np.float32, 3, True),
    ],
)
def test_numbers_and_deep_bands_need_a_range(dtype, channels, needed):
    assert needs_range(np.zeros((4, 5, channels), dtype)) == needed


def test_shares_stay_shares_and_bytes_stay_bytes():
    assert find_ranges(images([0, 0.2, 0.9], [0.1, 0.3])) == ((0.0, 1.0),)
    assert find_ranges(images([0, 17, 229])) == ((0.0, 255.0),)
    levels = np.arange(256, dtype=np.float32).reshape(16, 16, 1)
    np.testing.assert_array_equal(ranged(levels, ((0.0, 255.0),)), levels)
    np.testing.assert_array_equal(ranged(levels / 255, ((0.0, 1.0),)), levels)


def test_faint_shares_are_no_shares_and_halves_no_bytes():
    # All would be black, or one of two levels.
    ((low, high),) = find_ranges(images([0, 0.001, 0.002]))
    assert (low, high) == pytest.approx((0, 0.002), abs=1e-4)
    ((_, high),) = find_ranges(images([0, 0.5, 200.5]))
    assert high == pytest.approx(200, abs=1)


def test_other_numbers_range_over_all_but_the_outermost():
    noise = RANDOM.normal(size=(40, 50, 60)).astype(np.float32)
    noise[0, 0, 0] = 1e6
    ((low, high),) = find_ranges([some_values(image[..., None]) for image in noise])
    assert (low, high) == pytest.approx((-3.09, 3.09), abs=0.1)
    found = ranged(noise[0][..., None], ((low, high),))
    assert (found.min(), found[0, 0, 0]) == (0, 255)


@pytest.mark.parametrize("start", range(0, 1000, 93))
@pytest.mark.parametrize("axis", [0, 1])
def test_a_stripe_anywhere_in_an_image_is_in_its_range(start, axis):
    image = np.full((1024, 1024, 1), 3, np.float32)
    image[:, start : start + 20] = 1000
    ((low, high),) = find_ranges([some_values(np.moveaxis(image, 1, axis))])
    assert (low, high) == (3, 1000)


@pytest.mark.parametrize("shape", [(1, 100_000, 2), (100_000, 1, 2), (3, 50_000, 2), (1, 1, 2)])
def test_a_narrow_image_has_values_from_both_of_its_ends(shape):
    image = np.repeat(np.arange(shape[0] * shape[1], dtype=np.float32), 2).reshape(shape)
    values = some_values(image)
    assert values.shape[1] == 2
    share = values[:, 0] % max(shape[:2]) / max(shape[:2])
    assert share.min() < 0.01
    assert max(shape) < 3 or share.max() > 0.99


def test_channels_share_a_range_unless_one_would_be_nearly_flat():
    values = RANDOM.uniform(0, 1000, (500, 1)).astype(np.float32)
    assert len(find_ranges([np.hstack([values, values / 4])])) == 1
    first, second = find_ranges([np.hstack([values, values / 50 - 7])])
    assert first == pytest.approx((0, 1000), abs=20)
    assert second == pytest.approx((-7, 13), abs=1)
    scaled = ranged(np.array([[[500, 3]]], np.float32), (first, second))
    assert scaled.ravel().tolist() == pytest.approx([128, 128], abs=3)


def test_images_without_a_common_unit_are_scaled_one_by_one():
    image = RANDOM.normal(size=(300, 1)).astype(np.float32) + 5
    assert find_ranges([image * 10**power for power in range(6)]) == ()
    one, other = (image.reshape(15, 20, 1) * factor for factor in (1, 1000))
    np.testing.assert_allclose(ranged(one, ()), ranged(other, ()), atol=1)
    assert np.ptp(ranged(one, ())) == 255


def test_what_is_not_finite_is_no_part_of_a_range():
    odd = [np.nan, -np.inf, np.inf, 1, 2, 3]
    ((low, high),) = find_ranges(images(np.array(odd) * 100))
    assert (low, high) == pytest.approx((100, 300), abs=1)
    scaled = ranged(np.array(odd, np.float32).reshape(1, 6, 1), ((1.0, 3.0),))
    assert scaled.ravel().tolist() == [0, 0, 255, 0, 128, 255]
    assert find_ranges(images([np.nan, np.nan])) == ((0.0, 1.0),)
    assert not ranged(np.full((2, 2, 1), np.nan, np.float32), ()).any()


def test_a_flat_image_has_a_range():
    ((low, high),) = find_ranges(images([700.5, 700.5]))
    assert (low, high) == (700.5, 701.5)
    assert not ranged(np.full((2, 2, 1), 700.5, np.float32), ()).any()


def test_deep_images_of_one_or_three_channels_keep_their_bit_depth_beside_a_range():
    deep = np.full((2, 2, 1), 4095, np.uint16)
    form = ChipForm(2, 2, 1, bits=12, ranges=((-1000.0, 3000.0),))
    assert np.unique(to_chip(deep, form, "a.dcm")) == [255]
    assert np.unique(to_chip(np.full((2, 2, 1), 1000, np.float32), form, "b.dcm")) == [128]


def test_ranges_survive_a_header_and_are_told_in_words():
    found = {"sar": (), "eo": ((0.0, 1.0),), "ms": ((0.0, 10.0), (-7.25, 3.0))}
    document = {name: [list(pair) for pair in pairs] for name, pairs in found.items()}
    assert ranges_of(document) == found
    assert [spelled_ranges(pairs) for pairs in found.values()] == [
        "image by image, as their ranges differ too much",
        "so that 0 to 1 is black to white",
        "channel by channel: 0 to 10, -7.25 to 3",
    ]
