"""The operations of ``weak`` and ``strong`` against Pillow, which they were defined with."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from comptool.data.augment.albumentations_policies import Cutout, Paired, operation, strong, weak
from comptool.data.augment.batches import GEOMETRIC, IMAGENET_POLICY, PHOTOMETRIC
from comptool.errors import UsageError

COARSE = np.random.default_rng(3).integers(40, 200, (6, 6, 3), dtype=np.uint8)
PICTURE = np.asarray(Image.fromarray(COARSE).resize((32, 32), Image.Resampling.BICUBIC))
SIGNED = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "colour": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}
UNSIGNED = {
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - round(4 * strength)),
    "solarize": lambda image, strength: ImageOps.solarize(image, 255 * (1 - strength)),
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "invert": lambda image, strength: ImageOps.invert(image),
    "identity": lambda image, strength: image,
}


def apply(name, strength, seed=0):
    return Paired(operation(name, strength))([PICTURE], seed)[0]


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("strength", [0.3, 0.9])
def test_enhancements_are_pillows_in_both_directions(name, strength):
    image = Image.fromarray(PICTURE)
    wanted = [
        np.asarray(SIGNED[name](image).enhance(1 + sign * 0.9 * strength)) for sign in (1, -1)
    ]
    drawn = set()
    for seed in range(12):
        changed = apply(name, strength, seed).astype(int)
        # Pillow leaves the outermost pixels as they are when it smooths.
        off = [np.abs(changed - one)[1:-1, 1:-1].max() for one in wanted]
        assert min(off) <= 1
        drawn.add(int(np.argmin(off)))
    assert drawn == {0, 1}


@pytest.mark.parametrize("name", UNSIGNED)
@pytest.mark.parametrize("strength", [0.3, 0.5, 0.9])
def test_operations_without_direction_are_pillows(name, strength):
    wanted = np.asarray(UNSIGNED[name](Image.fromarray(PICTURE), strength)).astype(int)
    assert np.abs(apply(name, strength) - wanted).max() <= 1


def test_equalizing_makes_the_histogram_flatter():
    before, after = (np.histogram(one, 8, (0, 256))[0] for one in (PICTURE, apply("equalize", 1)))
    assert after.std() < before.std() / 2


def dot(row, column):
    image = np.zeros((101, 101, 1), np.uint8)
    image[row - 1 : row + 2, column - 1 : column + 2] = 255
    return image


def centre(image):
    weight = image[:, :, 0].astype(float)
    rows, columns = np.indices(weight.shape)
    return (rows * weight).sum() / weight.sum(), (columns * weight).sum() / weight.sum()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("rotate", (50 - 40 * np.sin(np.radians(15)), 50 + 40 * np.cos(np.radians(15)))),
        ("translate-x", (50, 90 - 101 * 150 / 331 * 0.5)),
        ("translate-y", (50 - 101 * 150 / 331 * 0.5, 90)),
        ("shear-x", (50, 90)),
        ("shear-y", (50 - 40 * 0.15, 90)),
    ],
)
def test_geometric_operations_move_a_dot_as_far_as_the_papers_say(name, wanted):
    """Half strength: 15 degrees, a shift of 75/331 of the side, a shear of 0.15."""
    policy = Paired(operation(name, 0.5))
    moved = [policy([dot(50, 90)], seed)[0] for seed in range(8)]
    moves = [centre(image) for image in moved if image.any()]
    assert min(np.hypot(row - wanted[0], column - wanted[1]) for row, column in moves) < 1.5


def test_cutout_paints_one_rectangle_of_half_the_side():
    policy = Paired(Cutout(0.5))
    whole = 0
    for seed in range(300):
        painted = (policy([np.full((20, 30, 3), 7, np.uint8)], seed)[0] != 7).any(axis=2)
        rows, columns = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
        if not rows.size:  # the colour drawn was the picture's own
            continue
        assert painted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 5 <= len(rows) <= 10
        assert 7 <= len(columns) <= 15
        whole += (len(rows), len(columns)) == (10, 15)
    # The centre is anywhere, so half of the rows and half of the columns are cut at the border.
    assert 40 < whole < 110


def test_randaugment_draws_each_of_fourteen_operations_equally():
    names = (*GEOMETRIC, *PHOTOMETRIC)
    assert len(names) == 14
    (choice,) = weak(num_ops=1)._pipeline.transforms[1:]
    *shared, own = choice.transforms
    np.testing.assert_allclose(choice.transforms_ps, [1 / 14] * 5 + [9 / 14])
    np.testing.assert_allclose(own.transforms_ps, [1 / 9] * 9)
    assert len(shared) == len(GEOMETRIC)


def test_autoaugment_is_torchvisions_table():
    from torchvision.transforms import AutoAugment

    names = {"ShearX": "shear-x", "ShearY": "shear-y", "Color": "colour"}
    wanted = tuple(
        tuple((names.get(name, name.lower()), p, level or 0) for name, p, level in pair)
        for pair in AutoAugment().policies
    )
    assert wanted == IMAGENET_POLICY


@pytest.mark.parametrize("build", [weak, strong])
def test_weak_and_strong_share_geometry_on_a_pair(build):
    """Hole and border are in one place; sharpening one of the two changes no more than a rim."""
    policy = build()
    agree = moved = 0
    for seed in range(80):
        grey = np.full((64, 64, 1), 128, np.uint8)
        first, second = ((one != mode(one)) for one in policy([grey, grey], seed))
        agree += (first == second).mean() > 0.95
        moved += first.mean() > 0.02
    assert agree > 74
    assert moved > 70


def mode(image):
    return np.bincount(image.ravel()).argmax()


def covered(policy) -> float:
    """Share of a grey picture that the cut-out of a policy without other operations paints."""
    picture = np.full((40, 40, 3), 128, np.uint8)
    policy._pipeline.transforms[-1:] = []
    shares = [(policy([picture], seed)[0] != 128).any(axis=2).mean() for seed in range(200)]
    return max(shares)


@pytest.mark.parametrize("cutout", [0.2, 0.5, 0.75])
def test_the_side_of_the_cutout_is_an_option(cutout):
    assert covered(weak(cutout=cutout, num_ops=1)) == pytest.approx(cutout**2, rel=0.06)


def test_magnitude_is_the_strength_of_the_operations():
    def change(**options):
        policy, still = weak(cutout=1e-9, **options), weak(cutout=1e-9, magnitude=0)
        pairs = ((policy([PICTURE], seed)[0], still([PICTURE], seed)[0]) for seed in range(60))
        return np.mean([np.abs(one.astype(int) - other).mean() for one, other in pairs])

    assert change(magnitude=0) == 0
    assert 0 < change(magnitude=3) < change(magnitude=30)
    assert change(magnitude=9) < change(magnitude=9, num_ops=4)
    with pytest.raises(UsageError) as refusal:
        weak(magnitude=31)
    assert str(refusal.value) == "--magnitude is 31; it goes from 0 to 30"
