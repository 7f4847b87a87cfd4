"""Pictures that are nearly alike: the hash, the search among hashes, and the pairs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import dctn

from comptool.inspection.duplicates import near_pairs
from comptool.inspection.image_scan import direction, perceptual_hash, spectrum

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=12)
FLIPS = st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=9)), max_size=9)


def found(hashes, distance: int) -> list[tuple[int, int]]:
    portions = near_pairs(np.array(hashes, np.uint64), distance)
    return [
        pair for one, other in portions for pair in zip(one.tolist(), other.tolist(), strict=True)
    ]


@given(HASHES, FLIPS, st.integers(0, 7))
def test_every_near_pair_is_found_once_and_no_other(hashes, flips, distance):
    for origin, bits in flips:
        if origin < len(hashes):
            hashes = [*hashes, hashes[origin] ^ sum(1 << bit for bit in bits)]
    near = [
        (one, other)
        for one in range(len(hashes))
        for other in range(one + 1, len(hashes))
        if (hashes[one] ^ hashes[other]).bit_count() <= distance
    ]
    assert sorted(found(hashes, distance)) == near


def test_many_equal_hashes_are_met_in_portions(monkeypatch):
    monkeypatch.setattr("comptool.inspection.duplicates.AT_ONCE", 50)
    assert len(found([7] * 40, 0)) == len(set(found([7] * 40, 0))) == 40 * 39 // 2


def test_a_distance_at_which_pairs_would_be_missed_is_refused():
    with pytest.raises(ValueError, match="0 to 7, not 8"):
        found([1, 2], 8)


def test_the_hash_is_that_of_an_independent_transform(picture):
    image = picture(3)
    grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
    small = grey.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    low = dctn(small, norm="ortho")[:8, :8].ravel()
    bits = "".join("1" if one > np.median(low) else "0" for one in low)
    assert perceptual_hash(spectrum(image)) == int(bits, 2)


def test_the_scale_of_the_values_does_not_matter(picture):
    image = picture(5)[:, :, :1]
    deep = spectrum(image.astype(np.uint16) * 257)
    assert perceptual_hash(deep) == perceptual_hash(spectrum(image))
    np.testing.assert_allclose(direction(deep), direction(spectrum(image)), atol=2)
