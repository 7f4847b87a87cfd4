"""Policies on the images of one sample: shared geometry, separate photometry, one seed."""

from __future__ import annotations

import subprocess
import sys

import albumentations as A
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.data.augment.albumentations_policies import Paired
from comptool.data.augment.named_policies import POLICIES, create, symmetry
from comptool.errors import UsageError

SEEDS = range(40)


def noise(height=24, width=24, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def each_symmetry(image):
    return [np.ascontiguousarray(symmetry(image, element)) for element in range(8)]


def which_symmetry(image, changed):
    found = [
        element
        for element, turned in enumerate(each_symmetry(image))
        if turned.shape == changed.shape and np.array_equal(turned, changed)
    ]
    assert len(found) == 1
    return found[0]


GEOMETRY = {
    "d4": lambda: A.D4(p=1),
    "flips-in-a-row": lambda: A.Compose(
        [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.Transpose(p=0.5)]
    ),
    "affine": lambda: A.Affine(
        rotate=(-45, 45), shear=(-10, 10), scale=(0.7, 1.3), translate_percent=0.2, p=0.9
    ),
    "rotate": lambda: A.SafeRotate(limit=90, p=1),
    "perspective": lambda: A.Perspective(p=1),
    "elastic": lambda: A.ElasticTransform(alpha=30, sigma=5, p=1),
    "grid": lambda: A.GridDistortion(p=1),
    "crop": lambda: A.RandomResizedCrop((16, 16), p=1),
    "dropout": lambda: A.CoarseDropout(fill="random", p=1),
    "one-of": lambda: A.OneOf([A.D4(p=1), A.Affine(rotate=30, p=1), A.GaussNoise(p=0)], p=0.8),
    "some-of": lambda: A.SomeOf([A.HorizontalFlip(p=1), A.Transpose(p=1), A.D4(p=1)], n=2, p=1),
    "random-order": lambda: A.RandomOrder([A.Transpose(p=1), A.HorizontalFlip(p=0.5)], n=2),
    "nested": lambda: A.Compose(
        [A.Sequential([A.OneOf([A.D4(p=1), A.Transpose(p=1)], p=1)], p=0.7)]
    ),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_the_same_picture_in_both_modalities_stays_the_same_picture(name):
    """Pixel by pixel, for every geometric policy and many seeds."""
    policy = Paired(GEOMETRY[name]())
    picture = noise()
    moved = 0
    for seed in SEEDS:
        first, second, third = policy([picture, picture.copy(), picture.copy()], seed)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, third)
        moved += not np.array_equal(first, picture)
    assert moved > len(SEEDS) / 3


@pytest.mark.parametrize("name", sorted(set(GEOMETRY) - {"dropout"}))
def test_photometry_in_between_leaves_geometry_shared(name):
    """Each modality is darkened by factors of its own; but for these, the two stay one picture."""
    darker = A.MultiplicativeNoise(multiplier=(0.4, 0.95), p=0.9)
    policy = Paired(A.Compose([darker, GEOMETRY[name](), A.OneOf([darker, A.NoOp()], p=1)]))
    picture = np.where(noise(channels=1) > 127, 255, 0).astype(np.uint8)
    factors = set()
    for seed in SEEDS:
        first, second = (one.astype(float) for one in policy([picture, picture], seed))
        assert np.abs(first / first.max() - second / second.max()).max() < 0.03
        factors.add((first.max(), second.max()))
    assert sum(first != second for first, second in factors) > len(SEEDS) / 2


@pytest.mark.parametrize("policy", ["flips", "d4"])
@pytest.mark.parametrize("sizes", [((24, 24), (8, 8)), ((24, 24, 1), (32, 32, 3), (5, 5, 1))])
def test_modalities_of_different_size_take_the_same_symmetry(policy, sizes):
    change = create("flips") if policy == "flips" else Paired(A.D4(p=1))
    images = [noise(*(*size, 3)[:3], seed=number) for number, size in enumerate(sizes)]
    seen = set()
    for seed in range(60):
        changed = change(images, seed)
        elements = {which_symmetry(one, other) for one, other in zip(images, changed, strict=True)}
        assert len(elements) == 1
        seen |= elements
    assert seen == set(range(8))


def test_noise_of_another_size_does_not_shift_what_geometry_draws():
    """Elastic noise is drawn per pixel; the flip after it must not depend on the image's size."""
    faint = A.GaussNoise(std_range=(0.01, 0.02), p=1)
    pipeline = A.Compose(
        [
            faint,
            A.ElasticTransform(alpha=0, p=1),
            A.CoarseDropout(fill="random", p=0.01),
            faint,
            A.D4(),
        ]
    )
    policy = Paired(pipeline)
    ramp = np.zeros((64, 64, 1), np.uint8)
    ramp[:16, :8] = 255
    small = ramp[::4, ::4]
    for seed in range(30):
        large_out, small_out = policy([ramp, small], seed)
        assert bright_corner(large_out) == bright_corner(small_out)


def bright_corner(image):
    half = image.shape[0] // 2
    quarters = [image[:half, :half], image[:half, half:], image[half:, :half], image[half:, half:]]
    rows_longer = image.mean(axis=1).max() < image.mean(axis=0).max()
    return int(np.argmax([quarter.mean() for quarter in quarters])), bool(rows_longer)


def test_on_images_that_are_not_square_flips_keep_the_shape():
    images = [noise(20, 30), noise(20, 20)]
    for seed in SEEDS:
        changed = create("flips")(images, seed)
        assert [one.shape for one in changed] == [one.shape for one in images]


@pytest.mark.parametrize("sizes", [((24, 24), (48, 48)), ((24, 36), (48, 72))])
def test_a_cutout_leaves_the_flips_and_covers_the_same_part_of_each_modality(sizes):
    images = [np.full((*size, 3), 7, np.uint8) + np.arange(3, dtype=np.uint8) for size in sizes]
    sides = set()
    for seed in range(200):
        flipped, cut = create("flips")(images, seed), create("flips", cutout=0.5)(images, seed)
        small, large = ((one != two).any(axis=2) for one, two in zip(flipped, cut, strict=True))
        spans = [
            (np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))) for hole in (small, large)
        ]
        for few, many in zip(*spans, strict=True):
            assert abs(2 * few[0] - many[0]) <= 2 and abs(2 * few[-1] - many[-1]) <= 2
        assert small[np.ix_(*spans[0])].all()
        sides.add(small.any(1).sum() / len(small))
    # Half the side, or less where the border clips it.
    assert max(sides) == 0.5 and min(sides) < 0.35


def test_each_flip_is_as_likely_as_the_others():
    image = noise()
    elements = [which_symmetry(image, create("flips")([image], seed)[0]) for seed in range(2000)]
    counts = np.bincount(elements, minlength=8)
    # Chi-squared with 7 degrees of freedom: 24.3 is exceeded once in a thousand.
    assert ((counts - 250) ** 2 / 250).sum() < 24.3


def test_symmetries_are_a_group():
    image = noise(6, 6, 1)
    group = {one.tobytes() for one in each_symmetry(image)}
    assert len(group) == 8
    for element in range(8):
        assert {one.tobytes() for one in each_symmetry(symmetry(image, element))} == group


PHOTOMETRY = {
    "brightness": lambda: A.RandomBrightnessContrast(p=1),
    "noise": lambda: A.GaussNoise(p=1),
    "blur-or-not": lambda: A.GaussianBlur(blur_limit=(3, 7), p=0.5),
    "speckle": lambda: A.MultiplicativeNoise(p=1, elementwise=True),
    "one-of": lambda: A.OneOf([A.InvertImg(p=1), A.Solarize(p=1), A.NoOp(p=1)], p=1),
}


@pytest.mark.parametrize("name", PHOTOMETRY)
def test_photometry_is_drawn_for_each_modality(name):
    policy = Paired(A.Compose([PHOTOMETRY[name]()]))
    picture = noise()
    differs = sum(not np.array_equal(*policy([picture, picture.copy()], seed)) for seed in SEEDS)
    assert differs > len(SEEDS) / 4


def test_photometry_of_one_modality_is_independent_of_the_other():
    """Whether the first is inverted says nothing about whether the second is."""
    policy = Paired(A.Compose([A.InvertImg(p=0.5)]))
    black = np.zeros((2, 2, 1), np.uint8)
    drawn = np.array([[one.any() for one in policy([black, black], seed)] for seed in range(1000)])
    together = drawn.all(axis=1).mean()
    assert abs(drawn.mean() - 0.5) < 0.05
    assert abs(together - 0.25) < 0.05


@pytest.mark.parametrize("name", POLICIES.names)
def test_the_same_seed_gives_the_same_bytes_whatever_came_before(name):
    images = [noise(32, 32, 3, seed=1), noise(32, 32, 1, seed=2)]
    policy, twin = create(name), create(name)
    twin(images, 12345)
    for seed in (0, 7, 2**62 - 1):
        first, second = policy(images, seed), twin(images, seed)
        for one, other in zip(first, second, strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", ["flips", "weak", "strong"])
def test_policies_touch_no_global_generator(name):
    import random

    import torch

    images = [noise(32, 32)]
    states = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()
    for seed in range(20):
        create(name)(images, seed)
    after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()
    assert states == after


@pytest.mark.parametrize("name", POLICIES.names)
@pytest.mark.parametrize("channels", [1, 3])
def test_policies_keep_size_channels_and_the_given_images(name, channels):
    images = [noise(20, 28, channels), noise(16, 16, channels)]
    before = [image.copy() for image in images]
    for seed in range(100):
        for image, changed in zip(images, create_once(name)(images, seed), strict=True):
            assert changed.shape == image.shape
            assert changed.dtype == np.uint8
    for image, copy in zip(images, before, strict=True):
        np.testing.assert_array_equal(image, copy)


def create_once(name, made={}):  # noqa: B006
    return made.setdefault(name, create(name))


def test_an_unknown_policy_is_named_with_the_nearest():
    with pytest.raises(UsageError) as error:
        create("flip")
    assert str(error.value).startswith("no augmentation is called 'flip'; did you mean 'flips'")


@given(seed=st.integers(0, 2**62 - 1))
def test_any_seed_of_a_sampler_will_do(seed):
    create_once("weak")([noise(8, 8, 1)], seed)


def test_the_default_policy_does_not_wait_for_albumentations():
    code = (
        "import sys; from comptool.data.augment.named_policies import create\n"
        "create('flips'); create('none')\n"
        "sys.exit(bool({'albumentations', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
